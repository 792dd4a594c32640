"""Variations of a picture that is there: the same request, its noise turned a little each time."""

from __future__ import annotations

from dataclasses import replace

from gui.request import Enlargement
from gui.state.draft import Draft, random_seed
from gui.state.pictures.origin import Origin

NUMBER = 4
"""Variations that one command makes."""
STRENGTH = 0.2
"""How far each goes towards its other seed where the picture is no variation itself: the same
picture, told anew."""


def variations_of(origin: Origin, number: int = NUMBER) -> list[Draft]:
    """Drafts of variations; none where the picture does not say its seed."""
    if all(setting.name != "seed" for setting in origin.settings):
        return []
    draft = origin.put_into(Draft()).with_value("count", 1)
    strength = draft.value("variation_strength") or STRENGTH
    draft = draft.with_value("variation_strength", strength)
    return [draft.with_value("variation_seed", random_seed()) for _ in range(number)]


DETAIL = 0.3
"""How strongly detail is painted into a picture that is there: it keeps what it shows."""


def refined_draft(origin: Origin, path: str) -> Draft | None:
    """A draft that enlarges a picture and paints finer detail into it, with its own prompt and
    settings; None where it does not say its prompt."""
    if all(setting.name != "prompt" for setting in origin.settings):
        return None
    draft = origin.put_into(Draft()).with_value("count", 1)
    for name, value in (
        ("start_image.path", path),
        ("start_image.strength", 0.0),
        ("enlargement", Enlargement.X2),
        ("detail_strength", DETAIL),
        ("composition", None),
        ("variation_strength", 0.0),
    ):
        draft = draft.with_value(name, value)
    return replace(draft, request=replace(draft.request, branch=None, controls=()))
