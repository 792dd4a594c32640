"""A mask's pixels against geometry: what brush, lasso and eraser leave; and undo."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QSize
from PySide6.QtGui import QImage

from gui.state.canvas.mask_image import FULL, Brush, MaskImage


def pixels(mask: MaskImage) -> np.ndarray:
    image = mask.image
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width()].astype(int)


def distance(size: int, x: float, y: float) -> np.ndarray:
    """Of every pixel's middle from a point."""
    across, down = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    return np.hypot(across - x, down - y)


def dab(mask: MaskImage, brush: Brush, x: float, y: float, pressure: float = 1.0) -> None:
    at = QPointF(x, y)
    mask.stroke(brush, at, at, (pressure, pressure))


@pytest.mark.parametrize(("size", "x", "y"), [(60, 64.0, 64.0), (9, 40.3, 70.8), (2, 50.5, 50.5)])
def test_a_hard_brush_leaves_a_disc(size: float, x: float, y: float) -> None:
    mask = MaskImage(QSize(128, 128))
    dab(mask, Brush(size, 1.0), x, y)
    away, left = distance(128, x, y), pixels(mask)
    assert (left[away < size / 2 - 1] == FULL).all()
    assert (left[away > size / 2 + 1] == 0).all()
    assert abs(left.sum() / FULL - np.pi * size**2 / 4) < 0.06 * np.pi * size**2 / 4 + 1


def test_a_soft_brush_falls_off_like_half_a_wave() -> None:
    mask = MaskImage(QSize(128, 128))
    dab(mask, Brush(100, 0.4), 64, 64)
    away, left = distance(128, 64, 64), pixels(mask) / FULL
    share = np.clip((away - 20) / 30, 0, 1)
    assert np.abs(left - (1 + np.cos(np.pi * share)) / 2).max() < 0.06


def test_a_stroke_is_as_wide_everywhere_and_never_adds_up() -> None:
    mask, brush = MaskImage(QSize(300, 120)), Brush(40, 0.3)
    mask.stroke(brush, QPointF(40, 60), QPointF(140, 60))
    mask.stroke(brush, QPointF(140, 60), QPointF(260, 60))
    section = pixels(mask)[:, 100]
    for x in range(60, 240):
        assert np.abs(pixels(mask)[:, x] - section).max() <= 1
    once = pixels(mask)
    mask.stroke(brush, QPointF(260, 60), QPointF(40, 60))
    assert np.abs(pixels(mask) - once)[:, 60:240].max() <= 1


def test_an_eraser_takes_all_of_it_away() -> None:
    mask = MaskImage(QSize(128, 128))
    mask.fill(FULL)
    mask.stroke(Brush(30, 1.0, erase=True), QPointF(30, 30), QPointF(90, 90))
    left = pixels(mask)
    assert left[60, 60] == 0 and left[30, 30] == 0 and left[10, 100] == FULL
    assert not mask.empty


def test_a_pens_pressure_is_the_brushs_size() -> None:
    mask, brush = MaskImage(QSize(300, 120)), Brush(60, 1.0)
    mask.stroke(brush, QPointF(40, 60), QPointF(260, 60), (0.2, 1.0))
    widths = (pixels(mask) > FULL // 2).sum(axis=0)
    for x in (60, 100, 150, 200, 240):
        expected = 60 * (0.2 + 0.8 * (x - 40) / 220)
        assert abs(widths[x] - expected) <= 3


def test_a_lasso_masks_exactly_what_it_goes_around() -> None:
    mask = MaskImage(QSize(128, 128))
    square = [QPointF(20, 30), QPointF(90, 30), QPointF(90, 110), QPointF(20, 110)]
    mask.fill_outline(square)
    wanted = np.zeros((128, 128), int)
    wanted[30:110, 20:90] = FULL
    assert (pixels(mask) == wanted).all()
    mask.fill_outline([point * 0.5 + QPointF(25, 35) for point in square], erase=True)
    assert pixels(mask)[70, 55] == 0 and pixels(mask)[32, 22] == FULL


def test_each_change_is_taken_back_and_done_again_to_the_byte() -> None:
    mask = MaskImage(QSize(700, 600))
    states, edits = [pixels(mask)], []
    for change in (
        lambda: mask.stroke(Brush(80, 0.5), QPointF(50, 50), QPointF(650, 550)),
        lambda: mask.fill_outline([QPointF(0, 0), QPointF(699, 20), QPointF(300, 599)]),
        mask.invert,
        lambda: mask.stroke(Brush(33, 1.0, erase=True), QPointF(-20, 300), QPointF(720, 310)),
    ):
        mask.begin()
        change()
        edits.append(mask.end())
        states.append(pixels(mask))
    for edit, state in zip(reversed(edits), reversed(states[:-1]), strict=True):
        mask.swap(edit)
        assert (pixels(mask) == state).all()
    for edit, state in zip(edits, states[1:], strict=True):
        mask.swap(edit)
        assert (pixels(mask) == state).all()


def test_what_changes_nothing_is_no_change() -> None:
    mask = MaskImage(QSize(100, 100))
    mask.begin()
    dab(mask, Brush(20, 1.0, erase=True), 50, 50)
    assert mask.end() is None
    mask.begin()
    dab(mask, Brush(20, 1.0), 500, 500)
    assert mask.end() is None and mask.empty


def test_a_stroke_that_is_broken_off_leaves_nothing() -> None:
    mask = MaskImage(QSize(400, 400))
    dab(mask, Brush(50, 0.5), 100, 100)
    before = pixels(mask)
    mask.begin()
    mask.stroke(Brush(90, 0.5), QPointF(50, 50), QPointF(380, 300))
    mask.cancel()
    assert (pixels(mask) == before).all()


def test_what_a_change_remembers_is_small() -> None:
    mask = MaskImage(QSize(2048, 2048))
    mask.begin()
    mask.stroke(Brush(60, 0.8), QPointF(100, 100), QPointF(1900, 1800))
    edit = mask.end()
    assert edit is not None and edit.size < 50_000


def test_a_mask_of_another_size_is_stretched() -> None:
    mask = MaskImage(QSize(64, 128))
    other = QImage(32, 32, QImage.Format.Format_Grayscale8)
    other.fill(0)
    for y in range(32):
        for x in range(16):
            other.setPixelColor(x, y, "white")
    mask.take(other)
    left = pixels(mask)
    assert (left[:, :30] == FULL).all() and (left[:, 34:] == 0).all()
