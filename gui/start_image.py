"""The picture that a request starts from: how much of it stays, and where.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from gui.parameters import Option, Parameter
from gui.records import Range, Record

MASK_ALPHA = "alpha"
"""In place of a mask's path: the starting picture's own transparency is the mask."""
MAX_FEATHER = 256
MAX_OUTPAINT = 2048
MAX_CROP = 32_768


class MaskedContent(StrEnum):
    """What the masked area begins with."""

    ORIGINAL = "original"
    FILLED = "filled"
    NOISE = "noise"


class InpaintArea(StrEnum):
    """What the model draws where there is a mask."""

    WHOLE = "whole"
    MASKED = "masked"


@dataclass(frozen=True)
class Outpaint(Record):
    """By how much each side of a picture's frame is moved outwards, or, below zero, inwards, which
    crops; pixels of the starting picture."""

    left: Annotated[int, Range(-MAX_CROP, MAX_OUTPAINT)] = 0
    top: Annotated[int, Range(-MAX_CROP, MAX_OUTPAINT)] = 0
    right: Annotated[int, Range(-MAX_CROP, MAX_OUTPAINT)] = 0
    bottom: Annotated[int, Range(-MAX_CROP, MAX_OUTPAINT)] = 0

    def __bool__(self) -> bool:
        return any(self._sides)

    @property
    def _sides(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom

    @property
    def outwards(self) -> Outpaint:
        """What of it is new ground."""
        return Outpaint(*(max(0, side) for side in self._sides))

    @property
    def inwards(self) -> Outpaint:
        """What of it crops."""
        return Outpaint(*(min(0, side) for side in self._sides))

    def __str__(self) -> str:
        """``left=128,right=128``, as the command line takes it; empty where nothing is moved."""
        sides = ("left", "top", "right", "bottom")
        return ",".join(f"{side}={getattr(self, side)}" for side in sides if getattr(self, side))


@dataclass(frozen=True)
class StartImage(Record):
    """A picture to start from (image-to-image), and where it is to be painted anew."""

    path: Annotated[
        str,
        Parameter(
            "Start from",
            "The starting picture",
            "A picture to start from.",
            ("--image",),
            metavar="FILE",
        ),
    ]
    strength: Annotated[
        float,
        Range(0.0, 1.0),
        Parameter(
            "Strength",
            "The strength",
            "How much of the starting picture is dreamt anew: 0 keeps it, 1 ignores it.",
            ("--strength",),
            metavar="X",
            key="Denoising strength",
            decimals=2,
            step=0.01,
        ),
    ] = 0.6
    mask: Annotated[
        str,
        Parameter(
            "Mask",
            "The mask",
            "What is white in it is painted anew, all else stays as it is; of a picture with "
            "transparency, what is opaque.",
            ("--mask",),
            "Paint anew what is white in this picture (or opaque, where it has transparency) and "
            f"keep all else as it is; “{MASK_ALPHA}”: what is transparent in --image itself",
            metavar="FILE",
        ),
    ] = ""
    """Path, or `MASK_ALPHA`; empty: there is none."""
    mask_feather: Annotated[
        int,
        Range(0, MAX_FEATHER),
        Parameter(
            "Feather",
            "The feather of the mask",
            "Pixels around the mask over which new and old are blended; 0 cuts sharply.",
            ("--mask-feather",),
            useful=(0, 64),
        ),
    ] = 16
    """Of the finished picture; beyond them it is exactly the starting picture."""
    mask_inverted: Annotated[
        bool,
        Parameter(
            "Invert mask",
            "The inversion of the mask",
            "Keep what is masked, and paint all else anew.",
            ("--mask-inverted",),
        ),
    ] = False
    masked_content: Annotated[
        MaskedContent,
        Parameter(
            "Masked content",
            "The masked content",
            "What the masked area begins with.",
            ("--masked-content",),
            metavar="KIND",
            options=(
                Option(MaskedContent.ORIGINAL, "Original", "What is there; suits changes."),
                Option(
                    MaskedContent.FILLED,
                    "Filled",
                    "The colours around it; suits taking things away.",
                    ("fill",),
                ),
                Option(MaskedContent.NOISE, "Noise", "Nothing; suits new things."),
            ),
        ),
    ] = MaskedContent.ORIGINAL
    inpaint_area: Annotated[
        InpaintArea,
        Parameter(
            "Inpaint area",
            "The inpaint area",
            "What the model draws.",
            ("--inpaint-area",),
            metavar="AREA",
            options=(
                Option(InpaintArea.WHOLE, "Whole picture", "The masked area sees all around it."),
                Option(
                    InpaintArea.MASKED,
                    "Only masked",
                    "The masked area is enlarged, drawn in detail and put back; the picture keeps "
                    "its size.",
                ),
            ),
        ),
    ] = InpaintArea.WHOLE
    outpaint: Annotated[
        Outpaint,
        Parameter(
            "Outpaint",
            "The outpainting",
            "Moves the frame’s sides outwards, which paints what is new in it, or inwards (below "
            "zero), which crops.",
            ("--outpaint",),
            "Move the frame outwards by so many pixels of --image, and paint what is new in it: "
            "left=128,right=128, top=…, bottom=…, or one number for every side; a negative number "
            "moves that side inwards, which crops: top=-64",
            metavar="SIDES",
        ),
    ] = Outpaint()

    @property
    def paints_in(self) -> bool:
        """Whether a part of it stays as it is."""
        return bool(self.mask or self.outpaint.outwards)

    @property
    def keeps_size(self) -> bool:
        """Whether what is drawn is put back into it, so that the finished picture is as large as it
        is, or as its frame."""
        return self.paints_in and self.inpaint_area is InpaintArea.MASKED
