"""Window, queue, engine process, pipeline and runtime together, on real Core ML packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PySide6.QtGui import QImage

ROOT = Path(__file__).resolve().parents[2]


def offscreen_run(*arguments: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [sys.executable, "-m", "gui", "--offscreen-run", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_a_prompt_becomes_a_picture_in_the_real_window(tiny_sd1_fp16, tmp_path):
    done = offscreen_run(
        "a red apple", "--model", str(tiny_sd1_fp16.folder), "--out", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    (picture,) = [Path(path) for kind, path in lines if kind == "picture"]
    shots = [Path(path) for kind, path in lines if kind == "screenshot"]
    assert picture.parent == tmp_path
    assert "-7-a-red-apple" in picture.name
    image = QImage(str(picture))
    assert (image.width(), image.height()) == (64, 64)
    assert b"a red apple" in picture.read_bytes()
    assert [shot.name for shot in shots] == ["window-half-way.png", "window.png"]
    half_way, window = (QImage(str(shot)) for shot in shots)
    assert window.width() >= 1024 and window.size() == half_way.size()
    assert half_way != window
    left = {p.name for p in tmp_path.iterdir()} - {picture.name, "window.png", shots[0].name}
    assert left == set()


def test_a_model_that_cannot_be_used_is_one_sentence_and_exit_code_one(tmp_path):
    folder = tmp_path / "empty-model"
    folder.mkdir()
    done = offscreen_run("x", "--model", str(folder), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("sfumato: ")]
    assert line.endswith(".")
    assert not list((tmp_path / "out").glob("*.png"))
