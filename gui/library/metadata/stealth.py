"""Settings hidden in the pixels: in the lowest bits of the alpha channel, or of the colours.

NovelAI and extensions of web UIs write them, so that they outlive services that strip metadata.
Column by column, from the top left: a signature of 15 characters, the length of what follows in
bits as a 32-bit big-endian number, then the text, compressed by gzip or plain.  Nothing in it is
trusted: a length beyond the picture, a bomb or noise is no settings.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from gui.library.metadata.values import load_json

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MAX_PIXELS = 40_000_000
"""Of pictures that are searched: all of them have to be decoded."""
MAX_HIDDEN = 4 * 1024 * 1024
"""Bytes of hidden text, also after decompression."""

_SIGNATURE = 15
_HEADER = 8 * _SIGNATURE + 32
_LOWEST = [255 * (value & 1) for value in range(256)]


def hidden_texts(image: PillowImage) -> dict[str, str]:
    """Texts by keyword, as a PNG would carry them openly; none where nothing is hidden.

    Args:
        image: RGBA or RGB, as stored: neither turned nor in another colour space.
    """
    if image.mode not in ("RGBA", "RGB") or image.width * image.height > MAX_PIXELS:
        return {}
    from PIL import Image

    # Down the columns is along the rows of the picture on its side.
    turned = image.transpose(Image.Transpose.TRANSPOSE)
    if image.mode == "RGBA":
        found = _texts(turned.getchannel("A").tobytes(), b"stealth_png")
        if found:
            return found
    return _texts(turned.convert("RGB").tobytes(), b"stealth_rgb")


def _texts(samples: bytes, kind: bytes) -> dict[str, str]:
    head = _packed(samples[:_HEADER])
    signature = head[:_SIGNATURE]
    if len(head) < _HEADER // 8 or signature not in (kind + b"info", kind + b"comp"):
        return {}
    bits = int.from_bytes(head[_SIGNATURE:], "big")
    if bits > min(8 * MAX_HIDDEN, len(samples) - _HEADER):
        return {}
    data = _packed(samples[_HEADER : _HEADER + bits])
    if signature.endswith(b"comp"):
        engine = zlib.decompressobj(31)  # gzip's header
        try:
            data = engine.decompress(data, MAX_HIDDEN)
        except zlib.error:
            return {}
        if engine.unconsumed_tail:
            return {}
    text = data.decode("utf-8", "replace")
    values = load_json(text)
    if not isinstance(values, dict) or "sui_image_params" in values:
        return {"parameters": text} if text.strip() else {}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }


def _packed(samples: bytes) -> bytes:
    """The lowest bit of each byte, eight to a byte, the first the highest."""
    from PIL import Image

    whole = len(samples) // 8 * 8
    if not whole:
        return b""
    row = Image.frombytes("L", (whole, 1), samples[:whole])
    return row.point(_LOWEST, "1").tobytes()
