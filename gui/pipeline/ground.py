"""The ground a picture is painted on: the starting picture as the model is shown it, what of it is
painted anew, and how the new goes back into the old.

All of it in pixels.  What is not painted anew comes back bit for bit: the finished picture is the
old one with the new blended in over the mask and a seam around it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Image as PillowImage

from gui.coreml.model import Attention, ModelInfo
from gui.errors import ErrorKind, SfumatoError
from gui.files import expanded
from gui.framing import LEAST_KEPT, MOST_FRAMES, frame_size, kept_part, placed
from gui.library.picture_reader import opaque, read_picture, size_of
from gui.pipeline.start_image import fitted
from gui.request import PictureRequest
from gui.start_image import MASK_ALPHA, InpaintArea, MaskedContent, Outpaint, StartImage

HALF = 128
"""Masks count from here on, of 255; as diffusers binarises them."""
PADDING = 32
"""Pixels around the masked area that the model sees at least where it draws that area alone; as
much as web UIs do by default."""
PREVIEW_SIDE = 384
"""Pixels that a preview within its picture is long at most."""
MULTIPLE = 64
_NEAR_AREA = 0.5, 2.5
"""Frames of so many times the area that a model draws by itself keep their scale."""


@dataclass(frozen=True)
class Ground:
    """A starting picture, ready to be painted on."""

    picture: np.ndarray
    """float32 [height, width, 3] in 0…1, as the model takes it."""
    repaint: np.ndarray | None = None
    """bool [height, width]: what of it is painted anew, the seam too, so that there is something to
    blend; None: all of it, more or less."""
    filled: bool = False
    """Whether `picture` holds something else than the original where it is painted anew."""
    from_noise: bool = False
    """Whether what is painted anew begins with nothing but noise."""
    kept: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    """uint8 [height, width, 3]: the finished picture before anything is painted."""
    share: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """float32 [height, width] of `box`: how much of the new there is in the finished picture."""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Where in `kept` the model's picture lies: left, top, right, bottom; may reach beyond it."""
    notes: tuple[str, ...] = ()

    def shrunk(self, most: int = PREVIEW_SIDE) -> Ground:
        """The same at most so many pixels long, to put previews into the old picture."""
        high, wide = self.kept.shape[:2]
        scale = most / max(high, wide, 1)
        if self.repaint is None or scale >= 1:
            return self
        left, top, right, bottom = (round(edge * scale) for edge in self.box)
        box = left, top, max(right, left + 1), max(bottom, top + 1)
        size = max(1, round(wide * scale)), max(1, round(high * scale))
        kept = Image.fromarray(self.kept).resize(size, Image.Resampling.BOX)
        share = Image.fromarray(self.share).resize(
            (box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX
        )
        return replace(self, kept=np.asarray(kept), share=np.asarray(share), box=box)

    def cleared(self) -> PillowImage | None:
        """The model's picture, RGBA, transparent where it is painted anew; None: all of it is."""
        if self.repaint is None:
            return None
        image = Image.fromarray((self.picture * 255).round().astype(np.uint8))
        image.putalpha(Image.fromarray(np.where(self.repaint, 0, 255).astype(np.uint8)))
        return image

    def finished(self, pixels: np.ndarray) -> np.ndarray:
        """The model's picture in the old one.

        Args:
            pixels: uint8 [height, width, 3], as large as `picture`.

        Returns:
            uint8; where `share` is 0 it is `kept` exactly.
        """
        if self.repaint is None:
            return pixels
        left, top, right, bottom = self.box
        size = (right - left, bottom - top)
        if (pixels.shape[1], pixels.shape[0]) != size:
            resized = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
            pixels = np.asarray(resized)
        high, wide = self.kept.shape[:2]
        rows, columns = slice(max(top, 0), min(bottom, high)), slice(max(left, 0), min(right, wide))
        inner = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        share = self.share[inner][..., None]
        old, new = self.kept[rows, columns], pixels[inner]
        mixed = old + share * (new.astype(np.float32) - old)
        made = self.kept.copy()
        made[rows, columns] = mixed.round().clip(0, 255).astype(np.uint8)
        return made


def prepare(start: StartImage, width: int, height: int) -> Ground:
    """Read a starting picture and its mask, and lay them out.

    Args:
        start: what was asked for.
        width, height: of the model's pictures.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is missing, no picture, damaged or enormous;
            BAD_REQUEST for a mask that covers nothing or everything, or a frame that is too large.
    """
    source = read_picture(expanded(start.path))
    check_frame(start.outpaint, *source.size)
    notes: list[str] = []
    coverage = _coverage(start, source, notes) if start.mask else None
    source = cropped(source, start.outpaint)
    coverage = cropped(coverage, start.outpaint) if coverage is not None else None
    start = replace(start, outpaint=start.outpaint.outwards)
    if not start.paints_in:
        return Ground(_floats(fitted(opaque(source), width, height)))
    whole = start.inpaint_area is InpaintArea.WHOLE
    canvas, mask, new = _laid_out(start, opaque(source), coverage, (width, height), whole)
    masked = mask >= HALF
    _check_mask(masked)
    high, wide = mask.shape
    box = (0, 0, wide, high) if whole else _box(masked, width, height, start.mask_feather)
    share, grown = _share(_part(mask, box, "constant"), start.mask_feather)
    shown, repaint = _cut(canvas, box, width, height), _resized(grown, width, height)
    # what a transparent part holds nobody can see, so it is never what to begin with
    every = start.masked_content is MaskedContent.FILLED or start.mask == MASK_ALPHA
    holes = repaint if every else _resized(_part(new, box, "constant"), width, height)
    picture = _floats(Image.fromarray(shown))
    return Ground(
        filled_in(picture, holes) if holes.any() else picture,
        repaint,
        bool(holes.any()),
        start.masked_content is MaskedContent.NOISE,
        canvas,
        share,
        box,
        tuple(notes),
    )


def cropped(picture: PillowImage, frame: Outpaint) -> PillowImage:
    """What of a picture lies within a frame."""
    if not frame.inwards:
        return picture
    return picture.crop(kept_part(frame, *picture.size))


def check_frame(outpaint: Outpaint, width: int, height: int) -> None:
    """Raises SfumatoError: BAD_REQUEST for a frame that is too large for its picture, or that
    leaves next to nothing of it."""
    left, top, right, bottom = kept_part(outpaint, width, height)
    if right - left < min(LEAST_KEPT, width) or bottom - top < min(LEAST_KEPT, height):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The frame leaves too little of the picture, which is {width} × {height} pixels; keep "
            f"at least {LEAST_KEPT} of its width and of its height.",
        )
    wide, high = frame_size(outpaint, width, height)
    if wide > MOST_FRAMES * width or high > MOST_FRAMES * height:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The new frame is {wide} × {high} pixels around a picture of {width} × {height}; make "
            f"it at most {MOST_FRAMES} times as wide and as high, and go on from there.",
        )


# Sizes


def finished_size(start: StartImage | None, width: int, height: int) -> tuple[int, int]:
    """Width and height of the pictures that are made from a starting picture.

    Args:
        width, height: of the model's pictures.

    Raises:
        SfumatoError: BAD_IMAGE where the starting picture cannot be read.
    """
    if start is None or not start.paints_in or start.inpaint_area is InpaintArea.WHOLE:
        return width, height
    return frame_size(start.outpaint, *size_of(expanded(start.path)))


def size_for_frame(start: StartImage, width: int, height: int) -> tuple[int, int]:
    """The size at which a picture with a new frame is best made: the frame's own in multiples of
    64, brought near to what the model is used to.

    Args:
        width, height: that the model draws by itself.

    Raises:
        SfumatoError: BAD_IMAGE; BAD_REQUEST for a frame that is too large for its picture.
    """
    own = size_of(expanded(start.path))
    check_frame(start.outpaint, *own)
    wide, high = frame_size(start.outpaint, *own)
    low, most = (share * width * height for share in _NEAR_AREA)
    area = wide * high
    scale = math.sqrt(min(max(area, low), most) / area)
    scale = min(scale, 2048 / max(wide, high))
    moved = start.outpaint.outwards
    return (
        _multiple(wide * scale, bool(moved.left or moved.right)),
        _multiple(high * scale, bool(moved.top or moved.bottom)),
    )


def framed(request: PictureRequest, info: ModelInfo) -> PictureRequest:
    """With the size that suits a frame which was moved, where none is asked for; a model
    that has one size alone keeps it.

    Raises:
        SfumatoError: BAD_IMAGE; BAD_REQUEST for a frame that is too large for its picture.
    """
    start = request.lineage()[0].start_image
    fixed = info.attention is Attention.SPLIT_EINSUM_V2 and info.sizes is None
    chosen = request.width or request.height or fixed
    if start is None or not start.outpaint or chosen or start.keeps_size:
        return request
    own = info.sizes.own if info.sizes is not None else (info.image_width, info.image_height)
    size = size_for_frame(start, *own)
    width, height = info.sizes.nearest(size) if info.sizes is not None else size
    return request.with_all(width=width, height=height)


def asked_size(request: PictureRequest, info: ModelInfo) -> tuple[int, int]:
    """Width and height that are to be drawn by a model of several sizes.

    Raises:
        SfumatoError: as `framed`.
    """
    assert info.sizes is not None
    request = framed(request, info)
    return request.width or info.sizes.own[0], request.height or info.sizes.own[1]


def _multiple(side: float, moved: bool) -> int:
    """Up where the side has been moved, so that the frame gains and not the picture loses."""
    steps = math.ceil(side / MULTIPLE - 1e-6) if moved else round(side / MULTIPLE)
    return min(max(steps, 1) * MULTIPLE, 2048)


# Laying out


def _laid_out(
    start: StartImage,
    picture: PillowImage,
    coverage: PillowImage | None,
    size: tuple[int, int],
    whole: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The finished picture before anything is painted, uint8 [h, w, 3]; the mask, uint8 [h, w]; and
    what of it is new ground, bool [h, w].

    Args:
        coverage: the mask, as large as the picture.
        size: width and height of the model's pictures.
        whole: whether the finished picture has that size.
    """
    if not start.outpaint:
        if whole:
            picture = fitted(picture, *size)
            coverage = fitted(coverage, *size) if coverage is not None else None
        mask = np.asarray(coverage) if coverage is not None else np.zeros(_high_wide(picture))
        return np.array(picture), np.array(mask, np.uint8), np.zeros(mask.shape, bool)
    own = picture.size
    moved = start.outpaint
    left, top, wide, high = placed(moved, own, size) if whole else (moved.left, moved.top, *own)
    full = size if whole else frame_size(moved, *own)
    if (wide, high) != own:
        picture = picture.resize((wide, high), Image.Resampling.LANCZOS)
        coverage = coverage.resize((wide, high)) if coverage is not None else None
    sides = ((top, full[1] - top - high), (left, full[0] - left - wide))
    mask = np.asarray(coverage) if coverage is not None else np.zeros((high, wide))
    canvas = np.pad(np.asarray(picture), (*sides, (0, 0)), mode="edge")
    new = np.pad(np.zeros((high, wide), bool), sides, constant_values=True)
    return canvas, np.pad(np.array(mask, np.uint8), sides, constant_values=255), new


def _coverage(start: StartImage, source: PillowImage, notes: list[str]) -> PillowImage:
    """The mask as grey, 255 where all is painted anew; as large as the picture."""
    if start.mask == MASK_ALPHA:
        if not _clear(source):
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"“{Path(start.path).name}” has no transparent part to be painted anew; "
                "give a mask instead, or erase a part of it.",
            )
        grey = ImageOps.invert(source.getchannel("A"))
    else:
        mask = read_picture(expanded(start.mask))
        grey = mask.getchannel("A") if _clear(mask) else opaque(mask).convert("L")
    if grey.size != source.size:
        was, now = (f"{size[0]} × {size[1]}" for size in (grey.size, source.size))
        notes.append(
            f"The mask is {was} pixels and the starting picture {now}; it was stretched to fit."
        )
        grey = grey.resize(source.size, Image.Resampling.BILINEAR)
    return ImageOps.invert(grey) if start.mask_inverted else grey


def _clear(picture: PillowImage) -> bool:
    """Whether a picture has transparent parts."""
    return picture.mode == "RGBA" and bool((np.asarray(picture.getchannel("A")) < 255).any())


def _check_mask(masked: np.ndarray) -> None:
    if not masked.any():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The mask covers nothing of the picture, so nothing would be painted; remove the mask, "
            "or mask what is to be made anew.",
        )
    if masked.all():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The mask covers the whole picture, so nothing of it would stay; remove the mask, or "
            "leave a part free.",
        )


def _box(masked: np.ndarray, width: int, height: int, feather: int) -> tuple[int, int, int, int]:
    """What the model draws where it draws the masked area alone: the area with some of what is
    around it, in the proportions of the model's pictures.

    Returns:
        Left, top, right, bottom; may reach beyond the picture where that is narrower.
    """
    rows, columns = np.flatnonzero(masked.any(1)), np.flatnonzero(masked.any(0))
    spans = [(int(columns[0]), int(columns[-1]) + 1), (int(rows[0]), int(rows[-1]) + 1)]
    around = max(PADDING, feather + 1)
    sides = [last - first + 2 * around for first, last in spans]
    scale = max(sides[0] / width, sides[1] / height)
    sides = [math.ceil(width * scale), math.ceil(height * scale)]
    firsts: list[int] = []
    for (first, last), side, limit in zip(spans, sides, masked.shape[::-1], strict=True):
        middle = (first + last - side) // 2
        inside = limit - side
        firsts.append(min(max(middle, 0), inside) if inside >= 0 else inside // 2)
    return firsts[0], firsts[1], firsts[0] + sides[0], firsts[1] + sides[1]


def _cut(canvas: np.ndarray, box: tuple[int, int, int, int], width: int, height: int) -> np.ndarray:
    """A part of the canvas at the model's size; beyond it, its edge goes on."""
    part = _part(canvas, box, "edge")
    if part.shape[:2] != (height, width):
        resized = Image.fromarray(part).resize((width, height), Image.Resampling.LANCZOS)
        part = np.asarray(resized)
    return part


def _resized(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """A mask, bool, at the model's size; whatever holds some of it belongs to it."""
    if mask.shape == (height, width):
        return mask
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR)) > 0


def _part(canvas: np.ndarray, box: tuple[int, int, int, int], mode: str) -> np.ndarray:
    left, top, right, bottom = box
    high, wide = canvas.shape[:2]
    inside = canvas[max(top, 0) : min(bottom, high), max(left, 0) : min(right, wide)]
    beyond = (
        (max(-top, 0), max(bottom - high, 0)),
        (max(-left, 0), max(right - wide, 0)),
        *(((0, 0),) if canvas.ndim == 3 else ()),
    )
    if not any(map(any, beyond)):
        return inside
    return np.pad(inside, beyond, mode="edge" if mode == "edge" else "constant")


def _share(mask: np.ndarray, feather: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of the new there is at each place, float32: all within the mask, then less and less
    over the feather's pixels, and nothing beyond; and where there is any, bool."""
    soft = mask.astype(np.float32) / 255
    if not feather:
        return soft, mask >= HALF
    from scipy import ndimage

    away = np.asarray(ndimage.distance_transform_edt(mask < HALF), np.float32)
    grown = away <= feather
    near = np.where(grown, 1 - away / (feather + 1), 0)
    return np.maximum(soft, near * near * (3 - 2 * near)), grown


def filled_in(picture: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """A picture whose holes have the colours around them, the smoother the further inside.

    By a pyramid: known pixels are averaged into ever smaller pictures, and what is unknown in one
    is taken from the smaller one (Gortler et al., "The lumigraph", 3.4: pull-push).

    Args:
        picture: float32 [height, width, 3].
        holes: bool [height, width].
    """
    return _pull_push(picture, np.where(holes, 0, 1).astype(np.float32))


def _pull_push(picture: np.ndarray, weight: np.ndarray) -> np.ndarray:
    high, wide = weight.shape
    if weight.min() > 0 or max(high, wide) == 1:
        return picture
    even = ((0, high % 2), (0, wide % 2))
    w = np.pad(weight, even)
    c = np.pad(picture * weight[..., None], (*even, (0, 0)))
    total = _fours(w)
    colour = _fours(c) / np.maximum(total, 1e-6)[..., None]
    smaller = _pull_push(colour, np.minimum(total, 1))
    larger = _twice(smaller)[:high, :wide]
    known = weight[..., None]
    return np.asarray(picture * known + larger * (1 - known), np.float32)


def _fours(array: np.ndarray) -> np.ndarray:
    return array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2]


def _twice(array: np.ndarray) -> np.ndarray:
    """Twice as large, linearly between the middles of its pixels."""
    for axis in (0, 1):
        count = array.shape[axis]
        places = np.arange(count)
        before = array.take(np.maximum(places - 1, 0), axis)
        after = array.take(np.minimum(places + 1, count - 1), axis)
        pairs = np.stack([0.75 * array + 0.25 * before, 0.75 * array + 0.25 * after], axis + 1)
        array = pairs.reshape([2 * n if at == axis else n for at, n in enumerate(array.shape)])
    return array


def _floats(picture: PillowImage) -> np.ndarray:
    return np.asarray(picture, np.float32) / 255


def _high_wide(picture: PillowImage) -> tuple[int, int]:
    return picture.height, picture.width
