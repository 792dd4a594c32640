"""Files that earlier versions wrote are read as they were meant.

`written_before` holds one file of each kind, byte for byte as version 0.9 wrote it.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gui.convert import journal as journals
from gui.convert.types import (
    ConvertReport,
    ConvertRequest,
    ImageSize,
    Lora,
    Parity,
    SourceInfo,
)
from gui.coreml import sidecar
from gui.coreml.model import ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.plan import About, Plan, Purpose, WorkFolder
from gui.hub.types import Level, ModelKind, RemoteFile, Variant, Verdict
from gui.library.job import JobStatus
from gui.library.picture_record import RECORD_KEY, read_record, record_of
from gui.library.queue import JobStore
from gui.request import ComputeUnit, PictureRecord, PictureRequest, RandomSource, StartImage

FILES = Path(__file__).parent / "written_before"

REQUEST = PictureRequest(
    "a fox, “red” \ud83d", "/Users/me/m", "blurry", 30, 7.5, "Euler a", 7, 2, RandomSource.TORCH,
    ComputeUnit.CPU_AND_NE, StartImage("/Users/me/s.png", 0.45), False, True, "/out", "",
)  # fmt: skip
CONVERSION = ConvertRequest(
    "/in", "/out", sizes=(ImageSize(512, 512),), components=(ComponentKind.UNET,),
    loras=(Lora("/l", 0.5),),
)  # fmt: skip
PARITY = Parity(ComponentKind.UNET, "unet", 61.5, 0.01, 35.0, "what")


def written(name: str) -> Any:
    return json.loads((FILES / f"{name}.json").read_text("utf-8"))


def within(earlier: Any, now: Any) -> bool:
    """Whether all that stood in a record still does; a newer one may say more."""
    if not isinstance(earlier, dict):
        return bool(earlier == now)
    return all(name in now and within(value, now[name]) for name, value in earlier.items())


def test_a_request() -> None:
    assert PictureRequest.from_json(written("request")) == REQUEST
    assert within(written("request"), REQUEST.to_json())


def test_a_picture(tmp_path: Path) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(RECORD_KEY, (FILES / "picture.json").read_text())
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    record = read_record(tmp_path / "a.png")
    assert record == PictureRecord(
        PictureRequest.from_json({**written("request"), "output_dir": ""}), 512, 768, "Fox 1",
        "abc", 3.25, ("A note.",), "passed", "Sfumato 0.9", "2025-11-30T10:00:00+01:00",
    )  # fmt: skip


def test_a_picture_whose_places_were_told_from_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    start = {"path": "~/p/s.png", "strength": 0.5}
    data = written("picture")
    data["record"]["request"] |= {"model": "~/Models/fox", "start_image": start}
    record = record_of(json.dumps(data))
    assert record.request.model == str(tmp_path / "Models" / "fox")
    assert record.request.start_image == StartImage(str(tmp_path / "p" / "s.png"), 0.5)


def test_a_queue(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite3"
    request, error = ((FILES / f"{name}.json").read_text() for name in ("request", "error"))
    with sqlite3.connect(file) as base:
        base.execute(
            "CREATE TABLE jobs ("
            " position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
            " request TEXT NOT NULL, status TEXT NOT NULL, error TEXT,"
            " pictures TEXT NOT NULL, crashes INTEGER NOT NULL)"
        )
        base.execute("PRAGMA user_version = 1")
        base.executemany(
            "INSERT INTO jobs (id, request, status, error, pictures, crashes)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                ("a", request, "queued", None, "[]", 0),
                ("b", request, "failed", error, '["/x.png", "/\\u00fc.png"]', 1),
                ("c", "[" * 100_000, "queued", None, "[]", 0),
                ("d", '{"prompt": 5}', "queued", None, "[]", 0),
                ("e", request, "queued", None, "{}", 0),
            ],
        )
    queue = JobStore(file)
    first, second = queue.jobs()
    queue.close()
    assert first.request == second.request == REQUEST
    assert second.status is JobStatus.FAILED and second.pictures == ["/x.png", "/ü.png"]
    assert second.error is not None and second.error.kind is ErrorKind.MEMORY
    assert (second.error.message, second.error.detail) == ("Not enough memory.", "trace")


def test_a_sidecar(tmp_path: Path) -> None:
    (tmp_path / "sfumato.json").write_bytes((FILES / "sfumato.json").read_bytes())
    found = sidecar.read(tmp_path)
    assert found is not None
    assert found == sidecar.Sidecar(
        Family.SDXL, "v_prediction", 0.13025,
        scheduler_config={"beta_end": 0.012, "trained_betas": None},
        default_scheduler="Euler", default_steps=30, default_guidance_scale=6.5,
        pad_token_ids=(49407, 0), force_zeros_for_empty_prompt=True, name="Léon",
        source_repo="a/b", card=sidecar.ModelCard("what", ("cat",), ("sky",), ("a cat",), "MIT"),
        hashes={"x": "y"}, inferred=("family",), extra={"tool": {"k": 1}},
    )  # fmt: skip
    sidecar.write(tmp_path, found)
    assert (tmp_path / "sfumato.json").read_bytes() == (FILES / "sfumato.json").read_bytes()


def test_a_sidecar_with_a_mark_at_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "sfumato.json").write_bytes(b"\xef\xbb\xbf" + (FILES / "sfumato.json").read_bytes())
    found = sidecar.read(tmp_path)
    assert found is not None and found.name == "Léon"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"extra": ' + '{"a":' * 70 + "1" + "}" * 71])
def test_a_sidecar_without_end(tmp_path: Path, text: str) -> None:
    (tmp_path / "sfumato.json").write_text(text)
    with pytest.raises(SfumatoError) as caught:
        sidecar.read(tmp_path)
    assert caught.value.kind is ErrorKind.BAD_MODEL


def test_a_download(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path, "o--n-1")
    work.path.mkdir(parents=True)
    (work.path / "plan.json").write_bytes((FILES / "plan.json").read_bytes())
    plan = work.load()
    assert plan == Plan(
        "o--n-1", "o/n", "c0ffee", "N", Purpose.MODEL,
        Variant("split/packages", "Split", (RemoteFile("a/b.bin", 5, "ab", "cd"),),
                family=Family.SD1, kind=ModelKind.TEXT_TO_IMAGE,
                verdict=Verdict(Level.GOOD, ("Runs.",))),
        "o--n/model", About("mit", "What.", "", ("a cat",), known=True),
    )  # fmt: skip
    (work.path / "plan.json").write_text("[" * 100_000)
    (work.path / "state.json").write_text("[" * 100_000)
    assert work.load() is None and work.load_state() == {}


def test_an_unfinished_conversion(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_bytes((FILES / "journal.json").read_bytes())
    found = journals.ConversionJournal.open(tmp_path, CONVERSION, "f")
    assert found.done == {"unet": journals.Done({"a": "b"}, {"a": 1}, PARITY, 2.5)}


def test_a_conversion() -> None:
    assert ConvertReport.from_json(written("conversion")) == ConvertReport(
        CONVERSION,
        SourceInfo("/in", "n", True, Family.SD1, "epsilon", (ComponentKind.UNET,),
                   ImageSize(512, 512), 5, 4, 3),
        ("/out",), (PARITY,), 1.5, 10, 20, {"torch": "2"},
    )  # fmt: skip
