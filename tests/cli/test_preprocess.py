"""`sfumato preprocess`, by the real process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gui.cli.main import main

FILES = Path(__file__).parents[1] / "pipeline" / "files"


def test_edges_are_saved_beside_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that OpenCV finds; what fails is told, and the rest goes on."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    given = tmp_path / "photo.png"
    given.write_bytes((FILES / "canny.png").read_bytes())
    none = tmp_path / "none.png"
    assert main(["preprocess", str(none), str(given), "--size", "160x160"]) == 1
    told = capsys.readouterr()
    made = tmp_path / "photo-canny.png"
    assert told.out == f"{made}\n" and "none.png" in told.err
    with Image.open(made) as picture, Image.open(FILES / "canny-opencv.png") as want:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture)[..., 0], np.asarray(want.convert("L")))
    assert (
        main(["preprocess", str(given), "--size", "160x160", "--with", "canny:high=70,low=30"]) == 0
    )
    with (
        Image.open(tmp_path / "photo-canny-2.png") as picture,
        Image.open(FILES / "canny-opencv-30-70.png") as want,
    ):
        np.testing.assert_array_equal(np.asarray(picture)[..., 0], np.asarray(want))
    capsys.readouterr()
    for wrong, says in (
        ("canny:low=0", "give low: a whole number from 1 to 500, high: a whole"),
        ("blur:low=4", "give radius: a number from 0.5 to 64."),
        ("grey:low=4", "Nothing can be set of “grey”"),
    ):
        assert main(["preprocess", str(given), "--with", wrong]) == 1
        assert says in capsys.readouterr().err
    assert main(["preprocess", str(given), "--with", "My Depth"]) == 1
    assert "There is no depth or line network yet" in capsys.readouterr().err


def test_the_kinds_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    assert main(["preprocess", "--list"]) == 0
    told = capsys.readouterr().out
    assert "(canny:low=100,high=200)" in told and "(blur:radius=9)" in told
    kinds = [line.split()[0] for line in told.splitlines()]
    assert {"canny", "scribble", "depth", "inpaint"} <= {*kinds} and "network" not in kinds
