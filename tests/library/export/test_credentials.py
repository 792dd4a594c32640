"""Content Credentials, read back by the C2PA project: sealed, and honest about who made the
certificate."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.library.export import credentials
from gui.library.export.forms import ExportOptions, PictureForm
from gui.library.export.writing import export_picture
from gui.library.metadata.writing import MADE_BY_MODEL, MADE_WITH_PICTURE
from gui.library.picture_record import read_record
from gui.library.pictures import png_bytes
from gui.request import PictureRecord, PictureRequest, StartImage

RECORD = PictureRecord(PictureRequest("a secret fox", "", seed=5), 96, 64, "Tiny")
FORM = pytest.mark.parametrize("form", list(PictureForm))


def write(home: Path, record: PictureRecord = RECORD) -> Path:
    y, x = np.mgrid[0:64, 0:96]
    path = home / "fox.png"
    path.write_bytes(png_bytes(np.stack([x * 2, y * 3, x + y], 2).astype(np.uint8), record))
    return path


def export(path: Path, form: PictureForm, **more: Any) -> Path:
    options = ExportOptions(form, credentials=True, **more)
    return export_picture(path, path.parent / "out", options).path


def told(data: bytes, form: PictureForm) -> dict[str, Any]:
    """What the project's reader says; raises where there is nothing to read."""
    import c2pa

    with c2pa.Reader(f"image/{form.value}", io.BytesIO(data)) as reader:
        return json.loads(reader.json())


@FORM
def test_a_signed_picture_is_sealed_by_an_unknown_signer(home: Path, form: PictureForm) -> None:
    path = export(write(home), form)
    found = told(path.read_bytes(), form)
    assert found["validation_state"] == "Valid"
    assert [each["code"] for each in found["validation_status"]] == ["signingCredential.untrusted"]
    manifest = found["manifests"][found["active_manifest"]]
    assert manifest["signature_info"]["common_name"] == "Made on this computer"
    (actions,) = (a["data"]["actions"] for a in manifest["assertions"] if "actions" in a["label"])
    assert [(a["action"], a["digitalSourceType"]) for a in actions] == [
        ("c2pa.created", MADE_BY_MODEL)
    ]
    assert "secret" not in json.dumps(found), "the settings have their own place"
    assert read_record(path) == RECORD
    with Image.open(path) as image:
        image.load()


@FORM
def test_a_change_breaks_the_seal(home: Path, form: PictureForm) -> None:
    data = bytearray(export(write(home), form).read_bytes())
    place = data.index(b"secret")
    data[place : place + 6] = b"public"
    assert told(bytes(data), form)["validation_state"] == "Invalid"


def test_a_picture_that_began_from_another_says_so(home: Path) -> None:
    begun = replace(RECORD.request, start_image=StartImage("/x/s.png", 0.5))
    path = export(write(home, replace(RECORD, request=begun)), PictureForm.JPEG)
    assert MADE_WITH_PICTURE in json.dumps(told(path.read_bytes(), PictureForm.JPEG))


def test_the_key_is_made_once_and_for_nobody_else(home: Path) -> None:
    path = write(home)
    export(path, PictureForm.JPEG)
    key = home / "data" / credentials.FILE_NAME
    before = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    export(path, PictureForm.PNG)
    assert key.read_bytes() == before


def test_a_damaged_or_expired_key_is_made_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = write(home), home / "data" / credentials.FILE_NAME
    for damage in (b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        key.parent.mkdir(exist_ok=True)
        key.write_bytes(damage)
        made = export(path, PictureForm.JPEG)
        assert told(made.read_bytes(), PictureForm.JPEG)["validation_state"] == "Valid"
    before = key.read_bytes()

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=365 * 11)

    monkeypatch.setattr(credentials, "datetime", Later)
    credentials._identity()
    assert key.read_bytes() != before


def test_other_programs_pictures_are_not_vouched_for(home: Path) -> None:
    path = home / "photo.png"
    Image.new("RGB", (20, 20)).save(path)
    made = export_picture(path, home / "out", ExportOptions(PictureForm.JPEG, credentials=True))
    assert "was not made by Sfumato" in made.note and b"c2pa" not in made.path.read_bytes()


def test_without_settings_there_are_none_either(home: Path) -> None:
    path = export(write(home), PictureForm.JPEG, settings=False)
    assert b"c2pa" not in path.read_bytes() and b"jumb" not in path.read_bytes()
