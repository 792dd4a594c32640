"""What a picture of ours says of itself in text: to web UIs and their kin, to everyone by XMP, and
to us; and its prompt as part of a file's name.  Standard library only."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gui import __version__
from gui.control_use import (
    PREPROCESSOR_SETTINGS,
    Control,
    ControlBalance,
    settings_in_words,
)
from gui.library.loras import tags_of
from gui.library.metadata.writing import XMP_KEYWORD, xmp_of
from gui.library.picture_record import RECORD_KEY, record_text
from gui.request import (
    Enlargement,
    PictureRecord,
    PictureRequest,
    RandomSource,
    Tiling,
    described_fields,
    value_of,
)
from gui.syntax.reading import has_marks
from gui.syntax.types import PromptSyntax

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.PngImagePlugin import PngInfo

PARAMETERS_KEY = "parameters"
"""Keyword under which Stable Diffusion web UIs keep their text, read by many other programs."""

_SLUG_CHARACTERS = 48
_SLUG_BYTES = 96  # with time, seed and a number well below the 143 bytes of the strictest systems


def png_texts(record: PictureRecord) -> dict[str, str]:
    """What a PNG says of itself, by keyword."""
    return {
        PARAMETERS_KEY: parameters_text(record),
        # ASCII-only JSON: lone surrogates, NULs and every script survive as escapes.
        RECORD_KEY: record_text(record),
        XMP_KEYWORD: xmp_of(record),
    }


def add_text(info: PngInfo, keyword: str, text: str) -> None:
    """Add a text chunk.  Web UIs look for a plain one where the text can be one."""
    if keyword == PARAMETERS_KEY:
        info.add_text(keyword, text)
    else:
        info.add_itxt(keyword, text)


def parameters_text(record: PictureRecord) -> str:
    """The settings in the form Stable Diffusion web UIs write and many programs read.

    Prompt, then a line ``Negative prompt: …``, then one line of ``Key: value`` pairs separated by
    commas, in which a value that holds a comma, a colon, a quote or a line break is a JSON string.
    """
    request = record.request
    fields = _described(request)
    width, height = record.drawn_size
    fields.append(("Size", f"{width}x{height}"))
    for number, control in enumerate(request.controls):
        fields.append((f"ControlNet {number}", _control(control)))
    # No "Model hash": that is the beginning of a checkpoint file's SHA-256, by which others look
    # the model up, and a Core ML package has none.  Ours is in our record.
    fields.append(("Model", record.model_name))
    # Web UIs know two sources by these names; numpy is not among them, so it gets its own key.
    known = {RandomSource.TORCH: ("RNG", "CPU"), RandomSource.NVIDIA: ("RNG", "NV")}
    fields.append(known.get(request.random_source, ("Noise source", "numpy")))
    if (branch := request.branch) is not None:
        fields.append(("Branch step", str(branch.step)))
        fields.append(("Branch from", _in_short(branch.earlier)))
    fields.append(("Time taken", f"{record.seconds:.1f} s"))
    fields.append(("Version", record.program or f"Sfumato {__version__}"))
    # A prompt that has such a line itself would be cut there by every reader.
    prompt = " ".join(part for part in (request.prompt, tags_of(request.loras)) if part)
    lines = [_NEGATIVE_LINE.sub("Negative prompt\u200b:", prompt)]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in fields))
    text = "\n".join(lines).replace("\0", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def _in_short(request: PictureRequest) -> str:
    """An earlier request on one line, from which a picture branched."""
    fields = _described(request)
    if request.negative_prompt:
        fields.insert(0, ("Negative prompt", request.negative_prompt))
    if (branch := request.branch) is not None:
        fields.append(("Branch step", str(branch.step)))
        fields.append(("Branch from", _in_short(branch.earlier)))
    settings = ", ".join(f"{key}: {_quoted(value)}" for key, value in fields)
    return f"{' '.join(request.prompt.split())}, {settings}"


_NEGATIVE_LINE = re.compile(r"^Negative prompt:", re.MULTILINE)

_FIRST = ("Steps", "Sampler", "CFG scale", "Seed")
"""Readers know the last line by the first of these."""


def _control(control: Control) -> str:
    """As web UIs' ControlNet extension writes it."""
    matters = {
        ControlBalance.BALANCED: "Balanced",
        ControlBalance.PROMPT: "My prompt is more important",
        ControlBalance.CONTROL: "ControlNet is more important",
    }
    of_kind = PREPROCESSOR_SETTINGS.get(control.preprocessor, ())
    changed = bool(settings_in_words(control.preprocessor, control.settings))
    thresholds = [
        f"Threshold {letter}: {getattr(control.settings, each.field):g}, "
        for letter, each in zip("AB", of_kind if changed else (), strict=False)
    ]
    return (
        f"Module: {control.preprocessor}, Model: {Path(control.network).stem}, "
        f"Weight: {control.weight:g}, {''.join(thresholds)}Guidance Start: {control.start:g}, "
        f"Guidance End: {control.end:g}, Control Mode: {matters[control.balance]}"
    )


def _described(request: PictureRequest) -> list[tuple[str, str]]:
    """The request's fields that web UIs know, as they write them."""
    found: dict[str, str] = {}
    prompts = request.prompt, request.negative_prompt
    for name, field in described_fields().items():
        value = value_of(request, name)
        off = value is Enlargement.OFF or (
            field.kind is float and not value and field.default == 0.0
        )
        # readers of this text take the marks as the web UI's
        off = off or value is PromptSyntax.WEB_UI
        off = off or (name == "clip_skip" and value == 1) or value is Tiling.OFF
        value = "True" if value is Tiling.BOTH else value  # as web UIs write it
        off = off or (name.startswith("refiner") and not request.refiner)
        value = Path(str(value)).name if name == "refiner" else value
        off = off or (value is PromptSyntax.PLAIN and not any(map(has_marks, prompts)))
        if field.parameter.key and value is not None and not off:
            found[field.parameter.key] = f"{value:g}" if isinstance(value, float) else str(value)
    first = [(key, found.pop(key)) for key in _FIRST if key in found]
    return [*first, *found.items()]


def slug(prompt: str) -> str:
    """The prompt as part of a file name: letters and digits of any script in lower case, joined
    by hyphens; safe on every file system, at most 48 characters and 96 bytes; may be empty."""
    text = unicodedata.normalize("NFC", prompt).lower()
    words = "".join(c if c.isalnum() and c.isprintable() else " " for c in text).split()
    result = ""
    for word in words:
        longer = f"{result}-{word}" if result else word
        if len(longer) > _SLUG_CHARACTERS or len(longer.encode()) > _SLUG_BYTES:
            break
        result = longer
    if not result and words:  # one enormous word, or a script without spaces
        result = words[0][:_SLUG_CHARACTERS].encode()[:_SLUG_BYTES].decode("utf-8", "ignore")
    return result


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(c in value for c in ',:"\n') else value


def png_of(image: PillowImage, texts: Mapping[str, str]) -> bytes:
    """A picture as PNG with these texts, by their keywords."""
    from PIL import ImageFile
    from PIL.PngImagePlugin import PngInfo

    # In one piece: Pillow asks for the interpreter after each, which Core ML may hold for long.
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 4 * image.width * image.height)
    info = PngInfo()
    for keyword, text in texts.items():
        add_text(info, keyword, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=4)
    return buffer.getvalue()
