"""What sets pictures apart that are looked at side by side: only the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gui import words
from gui.request import described_fields
from gui.state.pictures.origin import BRANCH, Origin

FEWEST, MOST = 2, 4
"""Pictures that can be compared."""
NONE = "none"
"""Said of a setting that one picture lacks and another has."""
KEPT_WORDS = 1
"""Of the words that prompts begin with in common, those shown before they part …"""
LEAST_SHARED = 5
"""… where they have at least so many in common."""


@dataclass(frozen=True)
class Difference:
    """One setting of one picture that another one does not share."""

    label: str
    text: str


def differences(
    origins: Sequence[Origin], sizes: Sequence[tuple[int, int]]
) -> list[tuple[Difference, ...]]:
    """What each picture has that not all of them have, but for the prompt.

    A setting counts where two pictures state different values.  A picture of ours states all that
    it has; of another program's, what it does not say is not known and no difference.

    Args:
        origins: what made each picture.
        sizes: width and height of each in pixels.
    """
    stated = [_stated(origin, size) for origin, size in zip(origins, sizes, strict=True)]
    labels = dict.fromkeys(label for each in stated for label in each)
    found: list[list[Difference]] = [[] for _ in origins]
    for label in _in_order(labels):
        texts = [
            each.get(label, NONE if origin.whole is not None else None)
            for each, origin in zip(stated, origins, strict=True)
        ]
        if len({text for text in texts if text is not None}) > 1:
            for mine, text in zip(found, texts, strict=True):
                if text is not None:
                    mine.append(Difference(label, text))
    return [tuple(mine) for mine in found]


def telling_parts(prompts: Sequence[str]) -> list[str]:
    """The prompts from where they part, where they begin alike: … and the last word in common."""
    split = [prompt.split() for prompt in prompts]
    shared = 0
    while all(len(each) > shared for each in split) and len({e[shared] for e in split}) == 1:
        shared += 1
    if len(set(map(tuple, split))) == 1 or shared < LEAST_SHARED:
        return [" ".join(each) for each in split]
    return ["… " + " ".join(each[shared - KEPT_WORDS :]) for each in split]


def _stated(origin: Origin, size: tuple[int, int]) -> dict[str, str]:
    found = {
        setting.label: " ".join(setting.text.split()) or NONE
        for setting in origin.settings
        if setting.name != "prompt"
    }
    found |= {label: text for label, text in reversed(origin.facts) if label == BRANCH}
    if origin.model:
        found["Model"] = origin.model
    found["Size"] = words.pixels(*size)
    return found


def _in_order(labels: dict[str, None]) -> list[str]:
    """What is most often varied first: seed, then as the panel has them."""
    told = [field.parameter.label for field in described_fields().values()]
    order = ["Model", "Seed", *told]
    return sorted(labels, key=lambda label: order.index(label) if label in order else len(order))
