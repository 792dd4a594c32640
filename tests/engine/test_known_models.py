"""A model is read again only where its files have changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gui.coreml import inspect
from gui.engine.known_models import KnownModels
from gui.errors import SfumatoError
from gui.paths import starter_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(starter_model(), tmp_path / "model"))


def test_a_model_is_read_once_for_as_long_as_it_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read = inspect.inspect_model

    def counted(place: Path) -> object:
        reads.append(place)
        return read(place)

    monkeypatch.setattr(inspect, "inspect_model", counted)
    known = KnownModels()
    first = known.read(folder)
    assert known.read(folder) == first and len(reads) == 1
    assert first.info == read(folder) and first.hash == inspect.model_hash(first.info)

    stated = folder / "sfumato.json"
    text = json.loads(stated.read_text())
    stated.write_text(json.dumps({**text, "name": "Another"}))
    assert known.read(folder).sidecar.name == "Another"
    weights = next(folder.rglob("weight.bin"))
    shutil.copyfile(weights, folder / "copy")
    (folder / "copy").replace(weights)  # the same bytes in another file
    assert known.read(folder).hash == first.hash and len(reads) == 3


def test_a_model_that_has_gone_or_is_spoilt_is_told_of(folder: Path) -> None:
    known = KnownModels()
    known.read(folder)
    shutil.rmtree(next(folder.glob("*decoder*")))
    with pytest.raises(SfumatoError, match="VAE decoder is missing"):
        known.read(folder)
    shutil.rmtree(folder)
    with pytest.raises(SfumatoError, match="does not exist"):
        known.read(folder)
