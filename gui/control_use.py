"""A picture that leads another one: by which network, how it is prepared, how strongly and when.

Standard library only.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from gui.parameters import Option
from gui.records import Range, Record

MAX_GRADIENT = 500
"""Thresholds of edges that make sense; gradients reach 2040."""


class ControlBalance(StrEnum):
    """What is to win where prompt and control picture disagree."""

    BALANCED = "balanced"
    PROMPT = "prompt"
    CONTROL = "control"


class Preprocessor(StrEnum):
    """What makes a control picture of an ordinary one."""

    NONE = "none"
    CANNY = "canny"
    SCRIBBLE = "scribble"
    INVERT = "invert"
    BLUR = "blur"
    TILE = "tile"
    GREY = "grey"
    DEPTH = "depth"
    """From a picture that is a depth map already, of whatever range and depth of bits."""
    INPAINT = "inpaint"
    """What is clear in the picture is to be filled; where the starting picture has a mask, that
    picture and its mask take its place."""
    POSE = "pose"
    """People's joints, found by macOS."""
    SUBJECT = "subject"
    """White where the subject is, found by macOS."""
    NETWORK = "network"
    """A depth or line network of the person's (`Control.preprocessor_network`)."""


_P, _B = Preprocessor, ControlBalance
PREPROCESSORS = (
    Option(_P.NONE, "As it is", "The picture is a control picture already"),
    Option(_P.CANNY, "Edges", "White outlines, by Canny’s method"),
    Option(_P.SCRIBBLE, "Scribble", "White strokes from a drawing"),
    Option(_P.DEPTH, "Depth map", "From a depth map, stretched to the whole range"),
    Option(_P.TILE, "Tile", "Coarse, for details to be found anew"),
    Option(_P.BLUR, "Blur", "Soft colours and shapes"),
    Option(_P.GREY, "Grey", "Without colours, to be coloured"),
    Option(_P.INVERT, "Invert", "Black becomes white: for dark lines on paper"),
    Option(_P.INPAINT, "Fill clear parts", "What is transparent or masked is to be painted"),
    Option(_P.POSE, "Pose", "People’s joints, found by macOS"),
    Option(_P.SUBJECT, "Subject", "White where the subject is, found by macOS"),
    Option(_P.NETWORK, "A network", "A depth or line network of your own"),
)
"""What each preprocessor is called, in the order they are offered."""
BALANCES = (
    Option(_B.BALANCED, "Balanced", "Both count alike"),
    Option(_B.PROMPT, "The prompt matters more", "The control gives way where they differ"),
    Option(_B.CONTROL, "The control matters more", "It leads the prompt alone, and closely"),
)

MAX_CONTROLS = 8


@dataclass(frozen=True)
class PreprocessorSettings(Record):
    """What can be set of preprocessors; of each, only its own counts."""

    canny_low: Annotated[int, Range(1, MAX_GRADIENT)] = 100
    canny_high: Annotated[int, Range(1, MAX_GRADIENT)] = 200
    """Thresholds of gradients between 0…255 values: those of diffusers' and web UIs' examples."""
    scribble_threshold: Annotated[int, Range(1, 254)] = 127
    blur_radius: Annotated[float, Range(0.5, 64.0)] = 9.0
    """Of the Gaussian, for pictures of 512 pixels; as web UIs have it."""
    tile_size: Annotated[int, Range(2, 32)] = 4
    """Pixels across of the squares that one colour is left of."""


USUAL = PreprocessorSettings()


@dataclass(frozen=True)
class PreprocessorSetting:
    """How one of `PreprocessorSettings` is told to people.

    Args:
        field: its name there.
        key: its name on the command line.
        label, help: in the window.
        decimals, step, suffix: of the number.
    """

    field: str
    key: str
    label: str
    help: str
    decimals: int = 0
    step: float = 10.0
    suffix: str = ""

    @property
    def range(self) -> Range:
        hint = typing.get_type_hints(PreprocessorSettings, include_extras=True)[self.field]
        return next(each for each in hint.__metadata__ if isinstance(each, Range))


PREPROCESSOR_SETTINGS = {
    _P.CANNY: (
        PreprocessorSetting("canny_low", "low", "Low", "Weaker lines than this are left out."),
        PreprocessorSetting(
            "canny_high",
            "high",
            "High",
            "Lines from here on stay, and weaker ones that go on from them.",
        ),
    ),
    _P.SCRIBBLE: (
        PreprocessorSetting(
            "scribble_threshold",
            "threshold",
            "Threshold",
            "How strong a stroke must be to stay.",
        ),
    ),
    _P.BLUR: (
        PreprocessorSetting(
            "blur_radius",
            "radius",
            "Radius",
            "How soft, in pixels of a picture of 512.",
            decimals=1,
            step=1.0,
            suffix=" px",
        ),
    ),
    _P.TILE: (
        PreprocessorSetting(
            "tile_size", "size", "Size", "How coarse: the side of a square.", step=1.0, suffix=" px"
        ),
    ),
}
"""What can be set, of the preprocessors of which something can."""


def settings_in_words(kind: Preprocessor, settings: PreprocessorSettings) -> str:
    """``low=50,high=150``, as the command line takes it: what is not as usual; empty: all is."""
    return ",".join(
        f"{each.key}={getattr(settings, each.field):g}"
        for each in PREPROCESSOR_SETTINGS.get(kind, ())
        if getattr(settings, each.field) != getattr(USUAL, each.field)
    )


@dataclass(frozen=True)
class Control(Record):
    """A ControlNet with the picture that it leads by."""

    network: str
    """Its name among those of the model or in the library, or the path of its file."""
    picture: str
    """Path."""
    preprocessor: Preprocessor = Preprocessor.NONE
    weight: Annotated[float, Range(0.0, 2.0)] = 1.0
    start: Annotated[float, Range(0.0, 1.0)] = 0.0
    end: Annotated[float, Range(0.0, 1.0)] = 1.0
    """The part of the steps in which it leads."""
    balance: ControlBalance = ControlBalance.BALANCED
    on: bool = True
    """Off: kept in the list, without effect."""
    preprocessor_network: str = ""
    """Of `Preprocessor.NETWORK`: its name in the library, or the path of its file."""
    settings: PreprocessorSettings = USUAL
