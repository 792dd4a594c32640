"""`sfumato verify`: pictures are drawn again by the real engine from real model files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gui import paths
from gui.cli import drawing
from gui.cli.main import main
from gui.cli.verify import DIFFERENT, EQUAL, IDENTICAL, NOT_HERE, psnr
from gui.engine.runner import EngineRunner
from gui.library import places
from gui.library.export.forms import ExportOptions, PictureForm
from gui.library.export.writing import save_as
from gui.library.picture_record import read_record
from gui.library.pictures import png_bytes
from gui.request import PictureRecord

if TYPE_CHECKING:
    from tests.support.tiny_models import TinyModel

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFUMATO_HOME", str(folder))
        patch.delenv("SFUMATO_ENGINE_STANDIN", raising=False)
        yield folder


@pytest.fixture(scope="module")
def one_engine(home: Path) -> Iterator[None]:
    """One engine for the whole file; each command would start its own."""
    runner = EngineRunner()

    class Shared:
        def __init__(self, **_: object) -> None:
            self.run, self.stop, self.abandon = runner.run, runner.stop, runner.abandon

        def close(self) -> None:
            """It is needed again."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "EngineRunner", Shared)
        yield
    runner.close()


@pytest.fixture
def verify(one_engine: None, capsys: pytest.CaptureFixture[str]) -> Verify:
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["verify", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out.strip(), err

    return call


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, ...], bytes]:
    """What was drawn by the same command before."""
    return {}


@pytest.fixture
def drawn(
    one_engine: None, tmp_path: Path, tiny_sd1: TinyModel, kept: dict[tuple[str, ...], bytes]
) -> Callable[..., Path]:
    """Draws a picture with the command line."""

    def draw(*more: str, model: Path = tiny_sd1.folder) -> Path:
        path = tmp_path / "drawn.png"
        given = ("a fox", "-i", str(model), "--steps", "4", "--seed", "5", *more)
        if given not in kept:
            how = ("--scheduler", "Euler a", "--quiet", "-o", str(path))
            assert main(["generate", *given, *how]) == 0
            kept[given] = path.read_bytes()
        path.write_bytes(kept[given])
        return path

    return draw


def rewritten(path: Path, **changes: Any) -> PictureRecord:
    """Give a picture the record of another, with its own pixels."""
    record = read_record(path)
    assert record is not None
    with Image.open(path) as image:
        pixels = np.asarray(image)
    changed = replace(record, **changes)
    path.write_bytes(png_bytes(pixels, changed))
    return record


def test_a_picture_comes_out_identical(drawn: Callable[..., Path], verify: Verify) -> None:
    path = drawn()
    code, out, err = verify(path)
    assert (code, out) == (IDENTICAL, "identical") and "→" not in err


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_lossy_copy_is_equal_within_what_was_lost(
    drawn: Callable[..., Path], verify: Verify, tmp_path: Path, scale: float
) -> None:
    path, copy = drawn(), tmp_path / "copy.jpg"
    save_as(path, copy, ExportOptions(PictureForm.JPEG, 98, scale=scale))
    code, out, err = verify(copy, "--json")
    told = json.loads(out)
    assert code == EQUAL and told["verdict"] == "equal" and told["psnr"] > 30
    assert any("scaled" in note for note in told["notes"]) is (scale != 1)
    del err


def test_where_another_drawing_parts_is_told(drawn: Callable[..., Path], verify: Verify) -> None:
    path = drawn()
    record = read_record(path)
    assert record is not None
    rewritten(path, request=replace(record.request, seed=6))
    assert verify(path)[:2] == (
        DIFFERENT, "different, from the beginning on: it starts from other noise"
    )  # fmt: skip
    rewritten(path, request=replace(record.request, guidance_scale=90.0))
    code, out, _ = verify(path, "--json")
    assert code == DIFFERENT and json.loads(out)["first_step"] == 1, "the noise is the same"
    bare = replace(record.provenance, sketch="")
    rewritten(path, request=replace(record.request, seed=6), provenance=bare)
    assert "does not say how its steps went" in verify(path)[1]


def test_a_picture_that_was_painted_over(drawn: Callable[..., Path], verify: Verify) -> None:
    path = drawn()
    record = read_record(path)
    assert record is not None
    with Image.open(path) as image:
        ImageDraw.Draw(image).rectangle((0, 0, 40, 40), fill="white")
        path.write_bytes(png_bytes(np.asarray(image), record))
    code, out, _ = verify(path)
    assert code == DIFFERENT and "every step was the same" in out


def test_what_else_is_not_as_it_was_is_said(drawn: Callable[..., Path], verify: Verify) -> None:
    path = drawn()
    record = read_record(path)
    assert record is not None
    then = replace(
        record.provenance, runtime="native", system="macOS 15.1, arm64",
        versions={**record.provenance.versions, "torch": "1.0"},
        scheduler={**record.provenance.scheduler, "beta_end": 0.5},
    )  # fmt: skip
    rewritten(path, request=replace(record.request, seed=6), provenance=then)
    _, _, err = verify(path)
    for said in ("by Core ML on macOS 15.1", "torch 1.0 →", "beta_end 0.5 → 0.012"):
        assert said in err


def test_a_model_is_found_wherever_it_went(
    drawn: Callable[..., Path], verify: Verify, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    copy = tmp_path / "models" / "tiny copy"
    shutil.copytree(tiny_sd1.folder, copy)
    path = drawn(model=copy)
    moved = paths.models_dir() / "moved"
    moved.parent.mkdir(parents=True, exist_ok=True)
    copy.rename(moved)
    try:
        assert verify(path)[:2] == (IDENTICAL, "identical")
    finally:
        shutil.rmtree(moved)


def test_a_model_that_is_gone_and_one_that_changed(
    drawn: Callable[..., Path], verify: Verify, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    copy = tmp_path / "tiny copy"
    shutil.copytree(tiny_sd1.folder, copy)
    path = drawn(model=copy)
    record = read_record(path)
    assert record is not None
    told = replace(record.provenance, source_repo="owner/tiny")
    rewritten(path, provenance=told, model_hash="0000000000")
    places.remember(replace(record, model_hash="0000000000"))
    code, out, err = verify(path)
    assert code == IDENTICAL and out == "identical"
    assert "The model is another" in err and record.model_hash in err
    shutil.rmtree(copy)
    code, out, err = verify(path)
    assert (code, out) == (NOT_HERE, "")
    assert "is not here; get it with `sfumato models get owner/tiny`" in err
    assert verify(path, "--model", tiny_sd1.folder)[0] == IDENTICAL
    assert json.loads(verify(path, "--json")[1])["verdict"] == "not here"


def test_a_starting_picture_that_changed_or_went(
    drawn: Callable[..., Path], verify: Verify, tmp_path: Path
) -> None:
    start = tmp_path / "start.png"
    Image.new("RGB", (64, 64), "red").save(start)
    path = drawn("--image", str(start), "--strength", "0.5")
    assert verify(path)[0] == IDENTICAL
    Image.new("RGB", (64, 64), "blue").save(start)
    code, out, err = verify(path)
    assert code != IDENTICAL and "start.png” is another than it was" in err
    start.unlink()
    code, out, err = verify(path)
    assert (code, out) == (NOT_HERE, "") and "“start.png” is not here" in err


def test_the_drawn_picture_can_be_kept(
    drawn: Callable[..., Path], verify: Verify, tmp_path: Path
) -> None:
    path, kept = drawn(), tmp_path / "again.png"
    assert verify(path, "--keep", kept)[0] == IDENTICAL
    with Image.open(path) as one, Image.open(kept) as other:
        assert one.tobytes() == other.tobytes()
    with pytest.raises(SystemExit) as refused:
        verify(path, "--keep", tmp_path / "again.jpg")
    assert refused.value.code == 2


def test_what_cannot_be_verified(verify: Verify, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("x")
    for name, said in (("photo.png", "does not say how Sfumato made it"), ("text.png", "text.png")):
        code, out, err = verify(tmp_path / name)
        assert (code, out) == (1, "") and said in err


def test_decibels_are_those_of_the_definition() -> None:
    chance = np.random.default_rng(0)
    one, other = (chance.integers(0, 256, (20, 30, 3)).astype(np.uint8) for _ in range(2))
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    got = psnr(Image.fromarray(one), Image.fromarray(other))
    assert got == pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)


def test_a_picture_from_before_there_was_enlarging_is_drawn_as_it_was(
    drawn: Callable[..., Path], verify: Verify
) -> None:
    """The starter model enlarges by default now; a record that says nothing of it is older."""
    path = drawn("--upscale", "1", model=paths.starter_model())
    record = read_record(path)
    assert record is not None
    rewritten(path, request=replace(record.request, enlargement=None, upscaler=None))
    assert verify(path)[:2] == (IDENTICAL, "identical")
