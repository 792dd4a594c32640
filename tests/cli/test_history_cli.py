"""`sfumato history` and `sfumato metadata`: on real files and the real index, beside the window."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gui import paths
from gui.cli.main import main
from gui.library.picture_index import FILE_NAME, PictureFilter, PictureIndex
from gui.library.pictures import png_bytes
from gui.request import PictureRecord, PictureRequest

FOX = PictureRecord(
    PictureRequest("a red fox in fog", "", "blurry", 12, 3.5, "Euler a", 77), 48, 32, "Tiny SD",
    program="Sfumato 1.0.0", created="2026-05-04T13:14:15+02:00",
)  # fmt: skip
OWL = replace(
    FOX, request=replace(FOX.request, prompt="an owl", seed=78, scheduler="DDIM"),
    model_name="Other", created="2026-05-06T10:00:00+02:00",
)  # fmt: skip

Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as exit_:
            code = int(str(exit_.code))
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return call


@pytest.fixture
def pictures(run: Run) -> list[Path]:
    """A fox and an owl of ours, and a photograph."""
    folder = paths.pictures_dir() / "2026-05-04"
    folder.mkdir(parents=True)
    made = [folder / "fox.png", folder / "owl.png", folder / "photo.jpg"]
    for path, record in zip(made, (FOX, OWL), strict=False):
        path.write_bytes(png_bytes(np.zeros((32, 48, 3), np.uint8), record))
    Image.new("RGB", (30, 20), "#405060").save(made[2])
    return made


def test_pictures_are_found_by_what_made_them(run: Run, pictures: list[Path]) -> None:
    fox, owl, photo = map(str, pictures)
    assert set(run("history", "search", "--paths")[1]) == {fox, owl, photo}
    for question, answer in (
        (("fox",), [fox]),
        (('"red fox" -owl',), [fox]),
        (("--model", "Other"), [owl]),
        (("--scheduler", "euler ancestral"), [fox]),
        (("--since", "2026-05-05", "--until", "2026-05-06"), [owl]),
        (("--kind", "imported"), [photo]),
        (("--kind", "made", "--limit", "1"), [owl]),
        (("--favourites",), []),
    ):
        assert run("history", "search", "--paths", *question)[:2] == (0, answer), question
    line = json.loads(run("history", "search", "fox", "--json")[1][0])
    assert (line["path"], line["seed"], line["prompt"]) == (fox, 77, "a red fox in fog")
    shown = "\n".join(run("history", "search", "fox")[1])
    assert "seed 77" in shown and "2026-05-04" in shown and fox in shown


def test_a_picture_is_shown_by_file_and_by_number(run: Run, pictures: list[Path]) -> None:
    number = str(json.loads(run("history", "search", "fox", "--json")[1][0])["number"])
    for name in (number, str(pictures[0]), "Pictures/2026-05-04/fox.png"):
        code, lines, _ = run("history", "show", name)
        text = "\n".join(lines)
        assert code == 0
        for said in ("a red fox in fog", "blurry", "77", "Euler a", "Tiny SD"):
            assert said in text
    record = json.loads(run("history", "show", number, "--json")[1][0])["record"]
    assert record["request"]["seed"] == 77


def test_favourites_are_kept_while_another_copy_has_the_index_open(
    run: Run, pictures: list[Path]
) -> None:
    run("history", "search")
    window = PictureIndex(paths.data_dir() / FILE_NAME)
    try:
        assert run("history", "favourite", str(pictures[0]))[:2] == (0, [str(pictures[0])])
        (number,) = window.find(PictureFilter(favourites=True)).ids
        assert window.rows([number])[0].path == str(pictures[0])
        assert run("history", "search", "--favourites", "--paths")[1] == [str(pictures[0])]
        run("history", "favourite", str(number), "--off")
        assert list(window.find(PictureFilter(favourites=True)).ids) == []
    finally:
        window.close()


def test_pictures_are_exported_by_name_and_by_what_is_looked_for(
    run: Run, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    how = ("-o", str(out), "--form", "jpeg", "--longest", "24", "--name", "{seed} {prompt}")
    code, lines, _ = run("history", "export", *how, "--kind", "made")
    assert code == 0
    assert {Path(line).name for line in lines} == {"77 a-red-fox-in-fog.jpg", "78 an-owl.jpg"}
    with Image.open(out / "78 an-owl.jpg") as image:
        assert image.size == (24, 16)
    again = run("history", "export", *how, str(pictures[1]))[1]
    assert [Path(line).name for line in again] == ["78 an-owl-2.jpg"]
    target = tmp_path / "one.webp"
    assert (
        run("history", "export", str(pictures[0]), "-o", str(target), "--without-settings")[0] == 0
    )
    assert b"fox" not in target.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("export",), 2, "say which pictures"),
        (("export", "FOX", "--quality", "101"), 1, "1 to 100"),
        (("export", "FOX", "--scale", "0"), 1, "0.05 to 8"),
        (("export", "FOX", "--name", "{sed}"), 1, "{seed}"),
        (("export", "FOX", "-o", "a.tiff"), 1, ".png"),
        (("export", "FOX", "-o", "a.png", "--form", "jpeg"), 1, "ends as another form"),
        (("export", "FOX", "OWL", "-o", "a.png"), 1, "give a folder"),
        (("show", "999"), 1, "history search"),
        (("show", "absent.png"), 1, "is not there"),
        (("favourite", "outside.png"), 1, "pictures folder"),
        (("search", "--since", "soon"), 2, "2026-05-04"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    run: Run, pictures: list[Path], tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    named = {"FOX": str(pictures[0]), "OWL": str(pictures[1])}
    got, lines, err = run("history", *(named.get(word, word) for word in arguments))
    assert got == code and lines == [] and said in err and "Traceback" not in err


def test_one_picture_that_cannot_be_read_does_not_keep_the_others(
    run: Run, pictures: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(pictures[0].read_bytes()[:200])
    how = ("--form", "webp", "-o", str(tmp_path / "o"))
    code, lines, err = run("history", "export", str(broken), str(pictures[1]), *how)
    assert code == 1 and "broken.png" in err
    assert [Path(line).name for line in lines] == ["owl.webp"]


def test_metadata_of_any_program(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    info = PngInfo()
    text = "an otter\nNegative prompt: x\nSteps: 5, Sampler: Euler a, CFG scale: 2, Seed: 9, Fo: x"
    info.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(tmp_path / "foreign.png", pnginfo=info)
    code, lines, _ = run("metadata", "foreign.png", str(pictures[0]), str(pictures[2]))
    shown = "\n".join(lines)
    assert code == 0
    for said in ("an otter", "Euler a", "Fo", "a red fox in fog", "Tiny SD", "does not say"):
        assert said in shown
    first, second = (
        json.loads(line) for line in run("metadata", "--json", "foreign.png", str(pictures[0]))[1]
    )
    assert first["imported"]["seed"] == 9 and first["texts"]["parameters"] == text
    assert second["record"]["request"]["seed"] == 77 and second["record"] is not None
    assert second["xmp"]["dc:description"] == "a red fox in fog"


def test_metadata_of_what_is_no_picture_and_of_a_damaged_record(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    info = PngInfo()
    info.add_itxt("sfumato", "{")
    info.add_text("parameters", "an otter\nSteps: 5, Sampler: Euler a, CFG scale: 2, Seed: 9")
    Image.new("RGB", (8, 8)).save(tmp_path / "damaged.png", pnginfo=info)
    code, lines, err = run("metadata", "text.png", "absent.png", "damaged.png")
    assert code == 1 and "otter" in "\n".join(lines)
    for said in ("text.png", "absent.png", "damaged"):
        assert said in err
