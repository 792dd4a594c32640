"""Two copies of Sfumato on the same folders at the same time: each sees what the other does, and
nothing that either was told is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from tests.ui.pictures.hands import click, name, press

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def other(gallery, tmp_path, monkeypatch):
    """Says something to the other copy and waits for its answer."""
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.second_copy"],
        cwd=ROOT, env={**os.environ}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None
    assert stdout.readline() == "ready\n"

    def say(*words: str):
        stdin.write(json.dumps(words) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    yield say
    stdin.close()
    process.wait(60)
    stdout.close()


def seen(pictures) -> dict[str, tuple[bool, tuple[str, ...]]]:
    held = [pictures.picture(row) for row in range(pictures.rowCount())]
    return {name(p): (p.favourite, p.tags) for p in held if p is not None}


def test_each_sees_what_the_other_makes_marks_and_throws_away(workspace, gallery, other, qtbot):
    pictures, grid, marks = workspace.studio.gallery, gallery.grid, workspace.studio.marks
    assert sorted(other("see")) == [f"00{number}" for number in range(7)]

    # Marked there, and more said of the same picture here, before this copy has been told.
    other("favourite", "001")
    other("tag", "001", "theirs")
    marks.tag([pictures.id_at(1)], ["ours"], [])
    qtbot.waitUntil(lambda: seen(pictures)["001"] == (True, ("ours", "theirs")))
    qtbot.waitUntil(lambda: other("see")["001"] == [True, ["ours", "theirs"]])

    # Marked here, unmarked there.
    click(grid, 2)
    press(grid, Qt.Key.Key_F)
    qtbot.waitUntil(lambda: seen(pictures)["002"][0])
    qtbot.waitUntil(lambda: other("see")["002"][0])
    other("favourite", "002")
    qtbot.waitUntil(lambda: not seen(pictures)["002"][0])

    # Made there, thrown away there and here.
    made = other("save", "a heron")
    qtbot.waitUntil(lambda: made in seen(pictures))
    other("trash", "003")
    qtbot.waitUntil(lambda: "003" not in seen(pictures) and pictures.rowCount() == 7)
    row = next(r for r in range(7) if name(pictures.picture(r)) == "004")
    click(grid, row)
    workspace.actions_.trash.trigger()
    qtbot.waitUntil(lambda: "004" not in other("see"))
    workspace.actions_.undo.trigger()
    qtbot.waitUntil(lambda: {"004", made} <= set(other("see")))
    qtbot.waitUntil(lambda: {"004", made} <= set(seen(pictures)))
    assert seen(pictures)["001"] == (True, ("ours", "theirs"))
