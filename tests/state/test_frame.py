"""Frames around a picture: where sides may go, and what sizes come of it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSize

from gui.start_image import MAX_OUTPAINT, Outpaint
from gui.state.canvas.frame import (
    RATIOS,
    cropped_to,
    framed,
    moved,
    shifted,
    stepped,
    with_length,
    with_ratio,
)

SQUARE = QSize(512, 512)


@pytest.mark.parametrize(
    ("by", "whole"),
    [(-70, 448), (-40, 448), (-20, 512), (0, 512), (20, 512), (40, 576), (64, 576), (100, 640)],
)
def test_a_side_snaps_so_that_the_whole_is_a_multiple_of_64(by: float, whole: int) -> None:
    frame = moved(SQUARE, Outpaint(), "right", by)
    assert framed(SQUARE, frame) == QSize(whole, 512)


def test_an_odd_picture_becomes_a_multiple_of_64_too() -> None:
    odd = QSize(500, 333)
    frame = moved(odd, Outpaint(), "left", 70)
    assert framed(odd, frame).width() == 576 and frame.left == 76
    assert moved(odd, Outpaint(), "left", 70, snap=False).left == 70


def test_both_sides_go_as_far() -> None:
    frame = moved(SQUARE, Outpaint(), "top", 70, both=True)
    assert frame.top == frame.bottom == 64 and framed(SQUARE, frame).height() == 640


def test_no_frame_is_larger_than_can_be_made() -> None:
    small = QSize(64, 64)
    frame = moved(small, Outpaint(left=64), "right", 10_000)
    assert framed(small, frame).width() == 4 * 64
    large = QSize(2048, 2048)
    assert moved(large, Outpaint(), "right", 10_000).right == MAX_OUTPAINT
    assert framed(small, with_length(small, Outpaint(), True, 9000)).width() == 4 * 64


def test_an_odd_picture_has_its_own_edge_to_come_back_to() -> None:
    odd = QSize(500, 333)
    assert moved(odd, Outpaint(), "right", -5) == Outpaint()
    assert framed(odd, moved(odd, Outpaint(), "right", -60)).width() == 448


def test_a_crop_leaves_64_pixels_of_the_picture() -> None:
    left = moved(SQUARE, Outpaint(), "left", -300, snap=False)
    assert moved(SQUARE, left, "right", -400, snap=False) == Outpaint(left=-300, right=300 - 448)
    both = moved(SQUARE, Outpaint(), "top", -1000, both=True)
    assert both == Outpaint(top=-224, bottom=-224)
    assert moved(QSize(40, 40), Outpaint(), "top", -30) == Outpaint(), "there is nothing to spare"
    # new ground on the other side does not count
    wide = Outpaint(left=500)
    assert moved(SQUARE, wide, "right", -1000, snap=False) == Outpaint(left=500, right=-448)


def test_steps_go_out_and_in() -> None:
    frame = stepped(SQUARE, Outpaint(), "bottom", 1)
    assert frame == Outpaint(bottom=64)
    assert stepped(SQUARE, frame, "bottom", -1) == Outpaint()
    assert stepped(SQUARE, Outpaint(), "bottom", -1) == Outpaint(bottom=-64)
    assert stepped(SQUARE, Outpaint(), "bottom", -20) == Outpaint(bottom=64 - 512)


def test_a_typed_size_keeps_how_the_new_ground_was_parted() -> None:
    assert with_length(SQUARE, Outpaint(), True, 768) == Outpaint(left=128, right=128)
    assert with_length(SQUARE, Outpaint(left=64), True, 768) == Outpaint(left=256)
    assert with_length(SQUARE, Outpaint(left=64), True, 100) == Outpaint(left=-206, right=-206)
    assert with_length(SQUARE, Outpaint(left=-64), True, 384) == Outpaint(left=-128)
    assert with_length(SQUARE, Outpaint(left=64, right=-64), True, 1) == Outpaint(-224, 0, -224, 0)


@pytest.mark.parametrize("size", [QSize(512, 512), QSize(768, 512), QSize(300, 900)])
@pytest.mark.parametrize("ratio", RATIOS)
def test_proportions_hold_all_of_the_picture(size: QSize, ratio: tuple[int, int]) -> None:
    whole = framed(size, with_ratio(size, *ratio))
    assert whole.width() >= size.width() and whole.height() >= size.height()
    assert whole.width() == size.width() or whole.height() == size.height()
    limited = max(whole.width() / size.width(), whole.height() / size.height()) == 4
    assert limited or abs(whole.width() / whole.height() - ratio[0] / ratio[1]) < 0.01


@pytest.mark.parametrize("size", [QSize(512, 512), QSize(768, 512), QSize(300, 900)])
@pytest.mark.parametrize("ratio", RATIOS)
def test_the_largest_crop_of_proportions(size: QSize, ratio: tuple[int, int]) -> None:
    frame = cropped_to(size, *ratio)
    whole = framed(size, frame)
    assert whole.width() == size.width() or whole.height() == size.height()
    assert abs(whole.width() / whole.height() - ratio[0] / ratio[1]) < 0.01
    assert not frame.outwards and abs(frame.left - frame.right) <= 1


def test_a_shifted_frame_keeps_its_size_and_the_picture_stays_inside() -> None:
    frame = Outpaint(left=100, right=60, top=0, bottom=50)
    assert shifted(frame, 30, 0) == Outpaint(left=70, right=90, top=0, bottom=50)
    assert shifted(frame, -1000, 1000) == Outpaint(left=160, right=0, top=0, bottom=50)
    assert shifted(Outpaint(left=-100, right=-60), 30, 0) == Outpaint(left=-130, right=-30)
    assert shifted(Outpaint(left=-100, right=-60), 500, 0) == Outpaint(left=-160)
    assert shifted(Outpaint(left=64, right=-64), 100, 0) == Outpaint(), "all of the picture again"
    assert shifted(frame, 0, -20) == Outpaint(left=100, right=60, top=20, bottom=30)
