"""What tests build is built once, and again when anything changes that has a part in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.support import built as module
from tests.support import converted, tiny_models
from tests.support.built import built, fingerprint, sources

FILES = {
    "tests/__init__.py": "",
    "tests/builder.py": "from gui.convert import job\ndef build():\n    import gui.late\n",
    "gui/__init__.py": "",
    "gui/late.py": "import os\n",
    "gui/window.py": "from tests import builder\n",
    "gui/convert/__init__.py": "",
    "gui/convert/job.py": "from gui.convert.deep import thing\n",
    "gui/convert/deep.py": "thing = 1\n",
    "resources/tokenizer/vocab.json": "{}",
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small checkout, and a cache of its own."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "_BASE", tmp_path / "cache")
    _forget()
    yield tmp_path
    _forget()


def _forget() -> None:
    """As a new run does not know what an earlier one has read."""
    fingerprint.cache_clear()
    module._place.cache_clear()


@pytest.mark.parametrize("name", [n for n in FILES if n != "gui/window.py"])
def test_a_change_of_anything_that_has_a_part_is_a_new_build(checkout: Path, name: str) -> None:
    code = str(checkout / "tests/builder.py")
    first = built("thing", lambda place: place.write_text("old"), code)
    assert built("thing", lambda place: place.write_text("never"), code) == first
    with (checkout / name).open("a") as file:
        file.write("\n# another word\n")
    _forget()
    second = built("thing", lambda place: place.write_text("new"), code)
    assert (first.read_text(), second.read_text()) == ("old", "new")


def test_a_change_of_anything_else_is_none(checkout: Path) -> None:
    before = fingerprint(str(checkout / "tests/builder.py"))
    (checkout / "gui/window.py").write_text("import gui.late\n")
    _forget()
    assert fingerprint(str(checkout / "tests/builder.py")) == before


def test_the_converter_has_a_part_in_what_it_converts() -> None:
    names = {f.relative_to(module.ROOT).as_posix() for f in sources(Path(converted.__file__))}
    assert {
        "gui/convert/job.py",
        "gui/convert/package/convert.py",
        "gui/convert/networks/attention.py",
        "tests/support/tiny_checkpoints.py",
        "tests/support/tiny_networks.py",
    } <= names
    assert not any(name.startswith("gui/ui/") for name in names)
    names = {f.relative_to(module.ROOT).as_posix() for f in sources(Path(tiny_models.__file__))}
    assert "tests/support/apple_layout.py" in names


def test_of_several_that_ask_at_once_one_builds(checkout: Path) -> None:
    together = Barrier(4)
    log = checkout / "log"

    def build(place: Path) -> None:
        with log.open("a") as file:
            file.write("built\n")
        place.mkdir()
        (place / "half").write_text("made")

    def ask() -> str:
        together.wait()
        return (built("thing", build, str(checkout / "tests/builder.py")) / "half").read_text()

    with ThreadPoolExecutor(4) as pool:
        told = [each.result() for each in [pool.submit(ask) for _ in range(4)]]
    assert told == ["made"] * 4
    assert log.read_text() == "built\n"


def test_what_a_builder_left_that_broke_off_is_not_taken_for_the_whole(checkout: Path) -> None:
    code = str(checkout / "tests/builder.py")

    def broken(place: Path) -> None:
        place.mkdir()
        (place / "half").write_text("made")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        built("thing", broken, code)

    def whole(place: Path) -> None:
        place.mkdir()

    assert list(built("thing", whole, code).iterdir()) == []
