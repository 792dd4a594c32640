"""What a picture of ours says to other programs, beside our own record: XMP.

Prompt as its description (Finder, Photos and Spotlight show it), the program as its creator tool,
the settings as Draw Things writes them, so that they travel there by a drop, and IPTC's digital
source type: whoever meets the picture can tell by a machine that a model made it.  Never a person's
name or a path.

Sources: XMP (ISO 16684-1); IPTC Photo Metadata Standard 2025.1, *Digital Source Type*, *AI System
Used*, *AI System Version Used* and *AI Prompt Information*; Draw Things' reader takes these keys of
an EXIF user comment: c, uc, steps, sampler, scale, seed, size, model, strength, seed_mode.
"""

from __future__ import annotations

import json

from gui import __version__
from gui.library.metadata.xmp import PREFIXES
from gui.request import PictureRecord, RandomSource

XMP_KEYWORD = "XML:com.adobe.xmp"
"""Keyword of the PNG text chunk that holds an XMP packet."""
XMP_RECORD = "sfumato:record"
"""XMP property that holds our own record in forms without PNG's texts."""
XMP_SOURCE_TYPE = "Iptc4xmpExt:DigitalSourceType"

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MADE_BY_MODEL = _SOURCE_TYPES + "trainedAlgorithmicMedia"
MADE_WITH_PICTURE = _SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"

_DRAW_THINGS_SAMPLERS = {
    "Euler a": "Euler Ancestral", "PNDM": "PLMS", "DPM++ 2M Karras": "DPM++ 2M Karras",
    "DPM++ SDE Karras": "DPM++ SDE Karras", "DDIM": "DDIM", "UniPC": "UniPC", "LCM": "LCM",
    "TCD": "TCD",
}  # fmt: skip
_SEED_MODES = {
    RandomSource.NVIDIA: "NVIDIA GPU Compatible",
    RandomSource.TORCH: "Torch CPU Compatible",
}
"""NumPy's numbers are none of Draw Things' modes, so none is claimed for them."""


def xmp_of(record: PictureRecord, own: str = "") -> str:
    """The XMP packet of a finished picture.

    Args:
        own: our own record, for forms that have no other place for it.
    """
    request = record.request
    program = record.program or f"Sfumato {__version__}"
    system, _, version = program.rpartition(" ")
    spaces = " ".join(f'xmlns:{name}="{uri}"' for uri, name in PREFIXES.items())
    fields = {
        "xmp:CreatorTool": program,
        "exif:UserComment": _alternative(draw_things_json(record)),
        "dc:description": _alternative(request.prompt),
        "photoshop:Credit": f"Made with {program}",
        XMP_SOURCE_TYPE: source_type(record),
        "Iptc4xmpExt:AISystemUsed": f"{system} ({record.model_name})",
        "Iptc4xmpExt:AISystemVersionUsed": version,
        "Iptc4xmpExt:AIPromptInformation": request.prompt,
        XMP_RECORD: own,
    }
    body = "".join(
        f"<{name}>{value if value.startswith('<rdf:') else _text(value)}</{name}>"
        for name, value in fields.items()
        if value
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        f'{spaces}><rdf:Description rdf:about="">{body}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="r"?>'
    )


def source_type(record: PictureRecord) -> str:
    """IPTC's digital source type: whether a picture that no model made went into this one."""
    begun = record.request.start_image is not None and not record.provenance.start_by_model
    return MADE_WITH_PICTURE if begun else MADE_BY_MODEL


def draw_things_json(record: PictureRecord) -> str:
    """The settings in the form Draw Things writes and reads."""
    request = record.request
    width, height = record.drawn_size
    values: dict[str, object] = {
        "c": request.prompt,
        "uc": request.negative_prompt,
        "steps": request.steps,
        "sampler": _DRAW_THINGS_SAMPLERS.get(request.scheduler or "", request.scheduler or ""),
        "scale": request.guidance_scale,
        "seed": request.seed,
        "size": f"{width}x{height}",
        "model": record.model_name,
        "strength": request.start_image.strength if request.start_image is not None else 1.0,
    }
    if mode := _SEED_MODES.get(request.random_source):
        values["seed_mode"] = mode
    stated = {key: value for key, value in values.items() if value is not None}
    return json.dumps(stated, sort_keys=True)


def _alternative(text: str) -> str:
    """A text in XMP's form for texts of several languages, of which there is one; empty: none."""
    clean = _text(text)
    if not clean:
        return ""
    return f'<rdf:Alt><rdf:li xml:lang="x-default">{clean}</rdf:li></rdf:Alt>'


def _text(text: str) -> str:
    """Escaped, without the characters and halves of characters that XML cannot hold."""
    whole = text.encode("utf-8", "ignore").decode()
    plain = "".join(c for c in whole if c in "\t\n\r" or ord(c) >= 32)
    # As xml.sax does it, which brings all of Python's HTTP client along.
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
