"""What is kept of prompts survives damage, other windows and newer versions."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.library.prompt_store import FILE_NAME, KeptText, PromptStore, ShelfName

HISTORY, STYLES = ShelfName.HISTORY, ShelfName.STYLES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE_NAME


def keys(store: PromptStore, shelf: ShelfName = HISTORY) -> list[str]:
    return [entry.key for entry in store.load(shelf, 100)]


def test_entries_are_kept_by_key_newest_first(path: Path) -> None:
    store = PromptStore(path)
    assert keys(store) == [] and not path.exists(), "nothing is made before something is kept"
    store.put(HISTORY, [KeptText("a", '"one"', 1.0), KeptText("b", '"two"', 2.0)])
    store.put(STYLES, [KeptText("a", "{}", 9.0)])
    store.put(HISTORY, [KeptText("a", '"three"', 3.0)])
    assert PromptStore(path).load(HISTORY, 9) == [
        KeptText("a", '"three"', 3.0),
        KeptText("b", '"two"', 2.0),
    ]
    store.remove(HISTORY, ["a", "none"])
    assert (keys(store), keys(store, STYLES)) == (["b"], ["a"])
    assert path.stat().st_mode & 0o077 == 0, "prompts are nobody else's to read"


def test_the_oldest_are_forgotten(path: Path) -> None:
    store = PromptStore(path)
    store.put(HISTORY, [KeptText(str(n), "1", float(n)) for n in range(10)])
    store.put(STYLES, [KeptText("kept", "1", 0.0)])
    assert [entry.key for entry in store.load(HISTORY, 4)] == ["9", "8", "7", "6"]
    assert keys(store) == ["9", "8", "7", "6"]
    assert keys(store, STYLES) == ["kept"]


def test_two_programs_lose_nothing_of_each_other(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from gui.library.prompt_store import KeptText, PromptStore, ShelfName;"
        "store = PromptStore(Path(sys.argv[1]));"
        "[store.put(ShelfName.HISTORY, [KeptText(f'{sys.argv[2]}{n}', '1', float(n))])"
        " for n in range(40)]"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    assert [one.wait() for one in both] == [0, 0]
    assert sorted(keys(PromptStore(path))) == sorted(f"{who}{n}" for who in "ab" for n in range(40))


@pytest.mark.parametrize("where", [0, 5000])
def test_a_damaged_file_is_set_aside_and_said_once(path: Path, where: int) -> None:
    store = PromptStore(path)
    store.put(HISTORY, [KeptText(str(n), '"' + "x" * 500 + '"', float(n)) for n in range(50)])
    with path.open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 4000)
    again = PromptStore(path)
    assert keys(again) == []
    assert "damaged" in again.notice and "begin anew" in again.notice
    aside = [f for f in path.parent.iterdir() if "damaged" in f.name]
    assert len(aside) == 1 and str(aside[0]) in again.notice
    assert aside[0].read_bytes()[where : where + 9] == b"\xff" * 9
    again.put(HISTORY, [KeptText("new", "1", 1.0)])
    third = PromptStore(path)
    assert (keys(third), third.notice) == (["new"], "")


def test_a_newer_versions_file_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE other (x)")
    before = path.read_bytes()
    with pytest.raises(SfumatoError, match="update Sfumato") as caught:
        PromptStore(path).put(HISTORY, [KeptText("a", "1", 1.0)])
    assert caught.value.kind is ErrorKind.STORAGE
    assert path.read_bytes() == before or sqlite3.connect(path).execute(
        "SELECT name FROM sqlite_master"
    ).fetchall() == [("other",)]


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SfumatoError, match="check that the folder can be written to"):
        PromptStore(tmp_path / "file" / FILE_NAME).put(HISTORY, [KeptText("a", "1", 1.0)])
