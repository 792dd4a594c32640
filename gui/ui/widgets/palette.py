"""The colours of the two appearances.  No Qt here: the first paint reads this."""

from __future__ import annotations

from typing import NamedTuple


class Palette(NamedTuple):
    """The colours of one appearance.  Text colours reach 4.5 : 1 on every ground they stand on."""

    canvas: str
    panel: str
    field: str
    hover: str
    pressed: str
    border: str
    border_strong: str
    outline: str
    """The edge of a box to tick or a round button: 3 : 1 on every ground it stands on."""
    groove: str
    text: str
    secondary: str
    disabled: str
    accent: str
    accent_hover: str
    accent_pressed: str
    on_accent: str
    accent_soft: str
    """Ground of a selected card or chip."""
    good: str
    """What goes well: a verdict, a file that was verified."""
    warning: str
    error: str
    error_soft: str
    knob: str
    raised: str
    """The chosen part of a segmented control."""
    overlay: str
    """Ground of things that float over the canvas."""
    mask: str
    """What is painted anew, over any picture."""


LIGHT = Palette(
    canvas="#EBEBED",
    panel="#F8F8F9",
    field="#FFFFFF",
    hover="#EDEDEF",
    pressed="#E2E2E5",
    border="#DEDEE2",
    border_strong="#C9C9CF",
    outline="#767680",
    groove="#D6D6DB",
    text="#1C1C1F",
    secondary="#5F5F66",
    disabled="#A9A9B0",
    accent="#0F7282",
    accent_hover="#0C6574",
    accent_pressed="#0A5663",
    on_accent="#FFFFFF",
    accent_soft="#DDEDF0",
    good="#196B3A",
    warning="#8F4A00",
    error="#B3261E",
    error_soft="#FBEAE8",
    knob="#FFFFFF",
    raised="#FFFFFF",
    overlay="#FFFFFF",
    mask="#E5386B",
)

DARK = Palette(
    canvas="#141416",
    panel="#1E1E21",
    field="#29292D",
    hover="#2C2C31",
    pressed="#36363C",
    border="#313136",
    border_strong="#47474E",
    outline="#96969F",
    groove="#424249",
    text="#F1F1F3",
    secondary="#A6A6AE",
    disabled="#66666E",
    accent="#56BFD0",
    accent_hover="#6CCBDA",
    accent_pressed="#45AEBF",
    on_accent="#04262C",
    accent_soft="#1D383E",
    good="#74CF94",
    warning="#F0AE66",
    error="#FF8A80",
    error_soft="#3A2221",
    knob="#E9E9EC",
    raised="#56565F",
    overlay="#242428",
    mask="#FF4F81",
)
