"""Styles: texts that are put around a prompt and a negative prompt, several one after the other.

The rule is that of Stable Diffusion web UIs, whose files of styles are read here: a text with
``{prompt}`` in it takes the prompt there, any other is appended behind a comma.  It can be turned
round, so a picture carries the text that its model read and the names of the styles, and the
person's own words are found again.  Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gui.records import Record

PLACEHOLDER = "{prompt}"
_JOINT = ", "


@dataclass(frozen=True)
class PromptStyle(Record):
    """One style."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def styled(prompt: str, negative: str, styles: Iterable[PromptStyle]) -> tuple[str, str]:
    """Prompt and negative prompt with the styles around them, the first innermost."""
    for style in styles:
        prompt = _put(prompt, style.prompt)
        negative = _put(negative, style.negative_prompt)
    return prompt, negative


def unstyled(prompt: str, negative: str, styles: Sequence[PromptStyle]) -> tuple[str, str] | None:
    """The words that `styled` made these of; None where it cannot have made them."""
    own: str | None = prompt
    own_negative: str | None = negative
    for style in reversed(styles):
        if own is not None and own_negative is not None:
            own = _taken(own, style.prompt)
            own_negative = _taken(own_negative, style.negative_prompt)
    if own is None or own_negative is None:
        return None
    same = styled(own, own_negative, styles) == (prompt, negative)
    return (own, own_negative) if same else None


def words_before(styles: Iterable[PromptStyle], *, negative: bool = False) -> int:
    """How many characters stand before the person's own words (UTF-16 counts apart)."""
    mark = "\0"
    pair = styled(mark, mark, styles)
    return pair[negative].index(mark)


def _put(text: str, style: str) -> str:
    if PLACEHOLDER in style:
        filled = style.replace(PLACEHOLDER, text)
        return filled if text else filled.strip(" ,")
    return _JOINT.join(part for part in (text, style.strip()) if part)


def _taken(text: str, style: str) -> str | None:
    """The inverse of `_put`."""
    if _put("", style) == text:
        return ""
    if PLACEHOLDER not in style:
        tail = _JOINT + style.strip() if style.strip() else ""
        return text.removesuffix(tail) if text.endswith(tail) else None
    parts = style.split(PLACEHOLDER)
    length, rest = divmod(len(text) - sum(map(len, parts)), len(parts) - 1)
    if length <= 0 or rest:
        return None
    own = text[len(parts[0]) : len(parts[0]) + length]
    return own if style.replace(PLACEHOLDER, own) == text else None


BUILT_IN = (
    PromptStyle(
        "Photograph",
        "photograph of {prompt}, natural light, sharp focus, fine detail",
        "drawing, painting, illustration, cartoon, blurry",
    ),
    PromptStyle(
        "Cinematic",
        "cinematic still of {prompt}, dramatic light, shallow depth of field, film grain",
        "drawing, cartoon, flat light, low contrast",
    ),
    PromptStyle(
        "Oil Painting",
        "oil painting of {prompt}, visible brush strokes, rich colours, on canvas",
        "photograph, 3d render, smooth plastic",
    ),
    PromptStyle(
        "Watercolour",
        "watercolour painting of {prompt}, soft washes, paper texture, loose edges",
        "photograph, 3d render, hard outlines",
    ),
    PromptStyle(
        "Pencil Drawing",
        "pencil drawing of {prompt}, graphite on paper, hatching",
        "photograph, colour, 3d render",
    ),
    PromptStyle(
        "Anime",
        "anime illustration of {prompt}, clean lines, cel shading, vivid colours",
        "photograph, 3d render, realistic skin",
    ),
    PromptStyle(
        "Pixel Art",
        "pixel art of {prompt}, limited palette, crisp pixels",
        "photograph, blurry, smooth gradients",
    ),
    PromptStyle(
        "3D Render",
        "3d render of {prompt}, global illumination, soft shadows, physically based materials",
        "drawing, sketch, flat colours",
    ),
    PromptStyle("Detailed", "highly detailed, intricate, best quality", "low quality, blurry"),
)
"""What everybody has, until they keep one of the same name."""
