"""From a prompt to a recognisable picture: the model that ships with the app, through the real
engine process, judged by colours that the prompt names."""

from __future__ import annotations

import colorsys
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gui.engine import messages
from gui.engine.runner import EngineRunner, OutcomeStatus
from gui.library.picture_record import read_record
from gui.request import PictureRequest

ROOT = Path(__file__).parents[2]
BORDER = 8
"""Pixels at the edge where the subject, drawn in the middle, does not reach."""


def picture(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(float) / 255


def border_hue(pixels: np.ndarray) -> float:
    """Hue, in degrees, of the mean colour along the four edges."""
    edge = np.ones(pixels.shape[:2], bool)
    edge[BORDER:-BORDER, BORDER:-BORDER] = False
    return 360 * colorsys.rgb_to_hsv(*pixels[edge].mean(0))[0]


def share_in_the_middle(pixels: np.ndarray, low: float, high: float) -> float:
    """Share of the central half's pixels whose hue lies from `low` to `high` degrees (wrapping)
    and that are clearly coloured."""
    height, width = pixels.shape[:2]
    middle = pixels[height // 4 : -(height // 4), width // 4 : -(width // 4)].reshape(-1, 3)
    hits = 0
    for rgb in middle:
        hue, saturation, _ = colorsys.rgb_to_hsv(*rgb)
        hits += saturation > 0.35 and (360 * hue - low) % 360 <= (high - low) % 360
    return hits / len(middle)


@pytest.mark.parametrize(
    ("prompt", "background", "subject"),
    [
        ("a red apple on a blue background", (195, 250), (335, 25)),
        ("a red apple on a green background", (80, 170), (335, 25)),
        ("a banana on a blue background", (195, 250), (30, 70)),
    ],
)
def test_the_picture_shows_what_the_prompt_names(
    real_runner: EngineRunner,
    prompt: str,
    background: tuple[float, float],
    subject: tuple[float, float],
) -> None:
    made: list[str] = []

    def keep(event: messages.JobEvent) -> None:
        if isinstance(event, messages.Image):
            made.append(event.path)

    outcome = real_runner.run("j", PictureRequest(prompt, "", seed=1), 0, keep)
    assert outcome.status is OutcomeStatus.FINISHED, outcome.error
    pixels = picture(made[0])
    assert background[0] <= border_hue(pixels) <= background[1]
    assert share_in_the_middle(pixels, *subject) > 0.15


def test_half_of_a_picture_anew_and_a_wider_frame(real_home: Path) -> None:
    """By the command line: what is not masked is the picture's very bytes."""

    def generate(name: str, *options: str) -> np.ndarray:
        done = subprocess.run(
            [sys.executable, "-m", "gui.cli.main", "generate", "--upscale", "off", "--quiet",
             "--seed", "3", "-o", str(real_home / f"{name}.png"), *options],
            capture_output=True, text=True, cwd=ROOT, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with Image.open(real_home / f"{name}.png") as image:
            return np.asarray(image.convert("RGB"))

    first = generate("first", "a red apple on a blue background")
    height, width = first.shape[:2]
    mask = Image.new("L", (width, height))
    mask.paste(255, (0, 0, width // 2, height))
    mask.save(real_home / "mask.png")
    start = ("--image", str(real_home / "first.png"), "--mask-feather", "8")
    masked = ("--mask", str(real_home / "mask.png"), "--strength", "1")
    half = generate("half", "a banana on a blue background", *start, *masked)
    seam = width // 2 + 8
    assert (half[:, seam:] == first[:, seam:]).all()
    assert (half[:, : width // 2] != first[:, : width // 2]).any(2).mean() > 0.9
    # it stays on its ground
    assert 190 <= border_hue(half[:, : width // 2].astype(float) / 255) <= 255
    wide = generate("wide", "a red apple on a blue background", *start, "--outpaint", "right=64")
    assert wide.shape == (height, width + 64, 3)
    assert (wide[:, : width - 8] == first[:, : width - 8]).all()
    assert 190 <= border_hue(wide[:, width:].astype(float) / 255) <= 255


def test_the_command_line_uses_it_by_default(real_home: Path) -> None:
    target = real_home / "apple.png"
    done = subprocess.run(
        [sys.executable, "-m", "gui.cli.main", "generate", "--prompt",
         "a red apple on a blue background", "--seed", "2", "-o", str(target)],
        capture_output=True, text=True, cwd=ROOT, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 195 <= border_hue(picture(target)) <= 250
    record = read_record(target)
    assert record is not None and record.request.steps
