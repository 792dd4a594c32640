"""What a starting picture's mask and frame mean in pixels, and that all else stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.errors import ErrorKind, SfumatoError
from gui.framing import MOST_FRAMES, placed
from gui.pipeline.ground import Ground, filled_in, finished_size, prepare, size_for_frame
from gui.start_image import InpaintArea, MaskedContent, Outpaint, StartImage

WHITE = np.array([255, 255, 255], np.uint8)
SIZE = (64, 48)
LARGE = (128, 96)
BOX = (20, 10, 40, 30)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """No two neighbours alike, nothing white."""
    pixels = np.random.default_rng(3).integers(0, 200, (SIZE[1], SIZE[0], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.fixture
def large(tmp_path: Path) -> str:
    pixels = np.random.default_rng(4).integers(0, 200, (LARGE[1], LARGE[0], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    return str(tmp_path / "large.png")


@pytest.fixture
def mask(tmp_path: Path) -> str:
    return saved_mask(tmp_path / "mask.png")


def saved_mask(path: Path, size: tuple[int, int] = SIZE, box: tuple[int, ...] = BOX) -> str:
    image = Image.new("L", size)
    image.paste(255, (box[0], box[1], box[2], box[3]))
    image.save(path)
    return str(path)


def pixels_of(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def painted_white(ground: Ground) -> np.ndarray:
    """The finished picture where the model paints everything white."""
    return ground.finished(np.full(ground.picture.shape, 255, np.uint8))


def inside(size: tuple[int, int] = SIZE, box: tuple[int, ...] = BOX) -> np.ndarray:
    found = np.zeros(size[::-1], bool)
    found[box[1] : box[3], box[0] : box[2]] = True
    return found


# The seam


@pytest.mark.parametrize("feather", [0, 1, 5, 12])
def test_beyond_the_feather_it_is_the_very_same_picture(
    photo: str, mask: str, feather: int
) -> None:
    ground = prepare(StartImage(photo, mask=mask, mask_feather=feather), *SIZE)
    made, old = painted_white(ground), pixels_of(photo)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    dx = np.maximum(0, np.maximum(BOX[0] - x, x - BOX[2] + 1))
    dy = np.maximum(0, np.maximum(BOX[1] - y, y - BOX[3] + 1))
    away = np.hypot(dx, dy)
    assert (made[away == 0] == WHITE).all()
    assert (made[away > feather] == old[away > feather]).all()
    seam = (away > 0) & (away <= feather)
    assert ground.repaint is not None
    assert (ground.repaint == (away <= feather)).all()
    # every pixel of the seam is between old and new, and some of it is new
    assert (made[seam] > old[seam]).all() and (made[seam] < 255).all()


def test_the_seam_goes_evenly_from_new_to_old(tmp_path: Path) -> None:
    Image.new("RGB", (64, 16)).save(tmp_path / "black.png")
    area = saved_mask(tmp_path / "left.png", (64, 16), (0, 0, 20, 16))
    start = StartImage(str(tmp_path / "black.png"), mask=area, mask_feather=16)
    line = painted_white(prepare(start, 64, 16))[8, :, 0].astype(int)
    assert (line[:20] == 255).all() and (line[36:] == 0).all()
    steps = -np.diff(line[19:37])
    assert (steps > 0).all() and steps.max() < 30


def test_soft_masks_blend_as_they_say(tmp_path: Path) -> None:
    Image.new("RGB", (4, 1)).save(tmp_path / "black.png")
    Image.fromarray(np.array([[0, 51, 204, 255]], np.uint8)).save(tmp_path / "soft.png")
    start = StartImage(str(tmp_path / "black.png"), mask=str(tmp_path / "soft.png"), mask_feather=0)
    assert painted_white(prepare(start, 4, 1))[0, :, 0].tolist() == [0, 51, 204, 255]


# Forms of masks


def test_of_a_mask_with_transparency_the_opaque_part_counts(photo: str, tmp_path: Path) -> None:
    drawn = Image.new("RGBA", SIZE)
    drawn.paste((10, 20, 30, 255), BOX)  # in whatever colour
    drawn.save(tmp_path / "drawn.png")
    start = StartImage(photo, mask=str(tmp_path / "drawn.png"), mask_feather=0)
    assert (prepare(start, *SIZE).repaint == inside()).all()


def test_the_transparent_part_of_the_picture_itself(photo: str, tmp_path: Path) -> None:
    erased = Image.open(photo).convert("RGBA")
    erased.paste((0, 255, 0, 0), BOX)
    erased.save(tmp_path / "erased.png")
    start = StartImage(str(tmp_path / "erased.png"), mask="alpha", mask_feather=0)
    ground = prepare(start, *SIZE)
    assert (ground.repaint == inside()).all()
    # what nobody could see is not what the model begins with, nor the white behind it
    hidden = ground.picture[inside()]
    assert hidden.max() < 200 / 255 and ground.filled
    assert (painted_white(ground)[~inside()] == pixels_of(photo)[~inside()]).all()


def test_an_inverted_mask(photo: str, mask: str) -> None:
    start = StartImage(photo, mask=mask, mask_feather=0, mask_inverted=True)
    assert (prepare(start, *SIZE).repaint == ~inside()).all()


def test_a_mask_of_another_size_is_stretched_and_it_is_said(photo: str, tmp_path: Path) -> None:
    area = saved_mask(tmp_path / "big.png", (128, 144), (40, 30, 80, 90))
    ground = prepare(StartImage(photo, mask=area, mask_feather=0), *SIZE)
    assert (ground.repaint == inside()).all()
    assert ground.notes == (
        "The mask is 128 × 144 pixels and the starting picture 64 × 48; it was stretched to fit.",
    )


def test_a_mask_is_cut_as_its_picture_is(photo: str, mask: str) -> None:
    """The picture is cut to the model's proportions around its centre; the mask stays on it."""
    ground = prepare(StartImage(photo, mask=mask, mask_feather=0), 48, 48)
    shifted = (BOX[0] - 8, BOX[1], BOX[2] - 8, BOX[3])
    assert (ground.repaint == inside((48, 48), shifted)).all()
    old = pixels_of(photo)[:, 8:56]
    kept = ~inside((48, 48), shifted)
    assert (painted_white(ground)[kept] == old[kept]).all()


@pytest.mark.parametrize(
    ("box", "inverted", "says"),
    [
        ((0, 0, 0, 0), False, "covers nothing"),
        ((0, 0, 64, 48), False, "covers the whole picture"),
        ((0, 0, 64, 48), True, "covers nothing"),
    ],
)
def test_masks_that_say_nothing(
    photo: str, tmp_path: Path, box: tuple[int, ...], inverted: bool, says: str
) -> None:
    area = saved_mask(tmp_path / "m.png", SIZE, box)
    with pytest.raises(SfumatoError, match=says) as caught:
        prepare(StartImage(photo, mask=area, mask_inverted=inverted), *SIZE)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_picture_without_transparency_is_no_mask_of_its_own(photo: str) -> None:
    with pytest.raises(SfumatoError, match=r"“photo\.png” has no transparent part"):
        prepare(StartImage(photo, mask="alpha"), *SIZE)


def test_a_mask_that_is_no_picture_is_named(photo: str, tmp_path: Path) -> None:
    (tmp_path / "m.png").write_text("words")
    with pytest.raises(SfumatoError, match=r"“m\.png”") as caught:
        prepare(StartImage(photo, mask=str(tmp_path / "m.png")), *SIZE)
    assert caught.value.kind is ErrorKind.BAD_IMAGE


# What the masked area begins with


def test_holes_are_filled_with_what_is_around_them() -> None:
    red = np.zeros((40, 50, 3), np.float32)
    red[..., 0] = 0.8
    holes = np.zeros((40, 50), bool)
    holes[10:30, 20:50] = True
    spoilt = np.where(holes[..., None], 0.5, red).astype(np.float32)
    np.testing.assert_allclose(filled_in(spoilt, holes), red, atol=1e-6)


def test_a_filled_slope_stays_a_slope() -> None:
    x = np.linspace(0, 1, 64, dtype=np.float32)
    slope = np.repeat(np.repeat(x[None, :, None], 64, 0), 3, 2)
    holes = np.zeros((64, 64), bool)
    holes[24:40, 24:40] = True
    made = filled_in(np.where(holes[..., None], 0, slope), holes)
    assert np.abs(made - slope).max() < 0.1
    assert (made[~holes] == slope[~holes]).all()


@pytest.mark.parametrize(
    ("content", "filled", "noise"),
    [
        (MaskedContent.ORIGINAL, False, False),
        (MaskedContent.FILLED, True, False),
        (MaskedContent.NOISE, False, True),
    ],
)
def test_contents(photo: str, mask: str, content: Any, filled: bool, noise: bool) -> None:
    ground = prepare(StartImage(photo, mask=mask, masked_content=content), *SIZE)
    assert (ground.filled, ground.from_noise) == (filled, noise)
    same = np.abs(ground.picture * 255 - pixels_of(photo)).max() < 1e-3
    assert same is not filled


# Only the masked area


def test_only_the_masked_area_is_drawn_and_the_picture_keeps_its_size(tmp_path: Path) -> None:
    size = (900, 700)
    pixels = np.random.default_rng(4).integers(0, 200, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    area = saved_mask(tmp_path / "m.png", size, (600, 500, 660, 540))
    start = StartImage(
        str(tmp_path / "large.png"), mask=area, mask_feather=8, inpaint_area=InpaintArea.MASKED
    )
    ground = prepare(start, 64, 64)
    assert ground.picture.shape == (64, 64, 3)
    left, top, right, bottom = ground.box
    assert right - left == bottom - top < 200  # in the model's proportions
    assert left <= 600 - 32 and right >= 660 + 32 and top <= 500 - 32 and bottom >= 540 + 32
    made = painted_white(ground)
    assert made.shape == pixels.shape == (*finished_size(start, 64, 64)[::-1], 3)
    far = ~inside(size, (600 - 8, 500 - 8, 660 + 8, 540 + 8))
    assert (made[far] == pixels[far]).all()
    assert (made[inside(size, (600, 500, 660, 540))] == 255).all()


def test_an_area_wider_than_the_picture_allows(tmp_path: Path) -> None:
    """A tall strip for a square model: beyond the picture its edge goes on, and is cut off."""
    Image.new("RGB", (40, 400), (9, 8, 7)).save(tmp_path / "strip.png")
    area = saved_mask(tmp_path / "m.png", (40, 400), (0, 50, 40, 350))
    start = StartImage(
        str(tmp_path / "strip.png"), mask=area, mask_feather=0, inpaint_area=InpaintArea.MASKED
    )
    ground = prepare(start, 64, 64)
    assert np.abs(ground.picture * 255 - (9, 8, 7)).max() < 1e-3
    made = painted_white(ground)
    assert made.shape == (400, 40, 3)
    assert (made[50:350] == 255).all() and (made[:50] == (9, 8, 7)).all()


# The frame


@pytest.mark.parametrize(
    ("outpaint", "own", "target", "expected"),
    [
        # as asked for, the picture unscaled
        (Outpaint(left=128, right=128), (512, 512), (768, 512), (128, 0, 512, 512)),
        (Outpaint(top=64), (512, 512), (512, 576), (0, 64, 512, 512)),
        (Outpaint(64, 64, 64, 64), (512, 512), (640, 640), (64, 64, 512, 512)),
        # the frame is rounded up, and the new ground with it
        (Outpaint(left=100), (512, 512), (640, 512), (128, 0, 512, 512)),
        (Outpaint(left=20, right=60), (512, 512), (640, 512), (32, 0, 512, 512)),
        # a model of one size: all of the frame is there, with more ground above and below
        (Outpaint(left=128, right=128), (512, 512), (512, 512), (86, 85, 341, 341)),
        # the side that nobody moved fits exactly
        (Outpaint(right=256), (500, 500), (768, 512), (0, 0, 512, 512)),
        (Outpaint(left=256, right=256), (2000, 1000), (1280, 512), (128, 0, 1024, 512)),
    ],
)
def test_where_a_picture_lies_in_its_new_frame(
    outpaint: Outpaint, own: tuple[int, int], target: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert placed(outpaint, own, target) == expected


@pytest.mark.parametrize(
    ("outpaint", "own", "native", "expected"),
    [
        (Outpaint(left=128, right=128), (512, 512), (512, 512), (768, 512)),
        (Outpaint(left=100), (512, 512), (512, 512), (640, 512)),
        (Outpaint(right=128), (768, 512), (512, 512), (896, 512)),  # once more
        (Outpaint(bottom=256), (500, 500), (512, 512), (512, 768)),
        (Outpaint(left=64), (128, 128), (128, 128), (192, 128)),
        (Outpaint(left=-128, right=-128), (1024, 512), (512, 512), (768, 512)),
        (Outpaint(top=-256, right=128), (512, 768), (512, 512), (640, 512)),
    ],
)
def test_sizes_that_suit_a_frame(
    tmp_path: Path, outpaint: Outpaint, own: Any, native: Any, expected: Any
) -> None:
    Image.new("RGB", own).save(tmp_path / "p.png")
    start = StartImage(str(tmp_path / "p.png"), outpaint=outpaint)
    assert size_for_frame(start, *native) == expected


def test_large_pictures_are_made_smaller_for_a_frame(tmp_path: Path) -> None:
    Image.new("RGB", (4000, 3000)).save(tmp_path / "p.png")
    start = StartImage(str(tmp_path / "p.png"), outpaint=Outpaint(left=500))
    width, height = size_for_frame(start, 512, 512)
    assert width % 64 == height % 64 == 0
    assert 1.4 < width / height < 1.7 and width * height < 3 * 512 * 512
    ground = prepare(start, width, height)
    assert ground.picture.shape == (height, width, 3)


def test_new_ground_is_painted_and_the_picture_stays(photo: str) -> None:
    start = StartImage(photo, outpaint=Outpaint(left=64, bottom=16), mask_feather=4)
    ground = prepare(start, 128, 64)
    assert ground.filled and ground.repaint is not None
    made, old = painted_white(ground), pixels_of(photo)
    assert (made[:44, 68:] == old[:44, 4:]).all()
    assert (made[:, :64] == 255).all() and (made[48:] == 255).all()
    assert ground.repaint[:, :68].all() and not ground.repaint[:44, 68:].any()
    # the model begins with the colours next to it
    near = ground.picture[:, :64] * 255
    assert near.min() >= 0 and near.max() <= 200


def test_a_mask_and_a_frame_together(photo: str, mask: str) -> None:
    start = StartImage(photo, mask=mask, mask_feather=0, outpaint=Outpaint(right=64))
    ground = prepare(start, 128, 48)
    expected = np.ones((48, 128), bool)
    expected[:, :64] = inside()
    assert (ground.repaint == expected).all()


def test_a_crop_is_the_part_of_the_picture_that_stays(large: str, tmp_path: Path) -> None:
    crop = Outpaint(left=-10, top=-8, right=-6)
    start = StartImage(large, outpaint=crop)
    ground = prepare(start, 112, 88)
    assert ground.repaint is None, "it is a picture to start from, like any other"
    assert ((ground.picture * 255).round() == pixels_of(large)[8:, 10:122]).all()
    mask = saved_mask(tmp_path / "m.png", LARGE)
    masked = StartImage(large, mask=mask, mask_feather=0, outpaint=crop)
    assert (prepare(masked, 112, 88).repaint == inside(LARGE)[8:, 10:122]).all()


def test_one_side_in_and_one_out(large: str) -> None:
    start = StartImage(large, outpaint=Outpaint(left=-16, right=32), mask_feather=4)
    made = painted_white(prepare(start, 144, 96))
    assert (made[:, :108] == pixels_of(large)[:, 16:124]).all()
    assert (made[:, 112:] == 255).all()
    only = replace(start, inpaint_area=InpaintArea.MASKED)
    assert finished_size(only, 512, 512) == (144, 96)
    made = painted_white(prepare(only, 64, 64))
    assert (made[:, :108] == pixels_of(large)[:, 16:124]).all() and (made[:, 112:] == 255).all()


@pytest.mark.parametrize("outpaint", [Outpaint(left=-65), Outpaint(left=-99, right=200)])
def test_a_crop_that_leaves_nothing(large: str, outpaint: Outpaint) -> None:
    with pytest.raises(SfumatoError, match="keep at least 64 of its width"):
        prepare(StartImage(large, outpaint=outpaint), 64, 64)


def test_a_frame_around_only_what_is_new(photo: str) -> None:
    start = StartImage(
        photo, outpaint=Outpaint(left=30), mask_feather=0, inpaint_area=InpaintArea.MASKED
    )
    ground = prepare(start, 64, 64)
    made = painted_white(ground)
    assert made.shape == (48, 94, 3) == (*finished_size(start, 64, 64)[::-1], 3)
    assert (made[:, 30:] == pixels_of(photo)).all() and (made[:, :30] == 255).all()


def test_a_frame_far_larger_than_its_picture(photo: str) -> None:
    start = StartImage(photo, outpaint=Outpaint(left=MOST_FRAMES * 64))
    with pytest.raises(SfumatoError, match="make it at most 4 times as wide"):
        prepare(start, 512, 64)
    with pytest.raises(SfumatoError, match="make it at most 4 times as wide"):
        size_for_frame(start, 512, 512)
