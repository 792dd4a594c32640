"""What an assistant sees: the tools, their words and schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gui import asked
from gui.library.picture_index import PictureKind
from gui.serve import limits

MAX_PICTURES = 8
"""Of one call: an assistant and its person look at each."""
MAX_CALLS = 8
"""That make pictures at a time; others are refused."""
MAX_FOUND = 50
"""Pictures that a search tells of."""
MAX_SHOWN = 2048
"""Pixels of the longest side of a picture that is handed over."""
LIMITED = ("count", "steps")
"""Parameters that have limits of their own here, the steps' those of the service."""
_PERSONS = ("compute_unit", "safety_checker")
"""Parameters that are as the person has set them in Sfumato."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class ToolText:
    """A tool as the protocol tells of it."""

    name: str
    title: str
    description: str
    inputs: Schema
    outputs: Schema
    changes: bool = False
    """Whether it adds something to the person's disk."""


def _record(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _text(what: str, **more: Any) -> Schema:
    return {"type": "string", "description": what, **more}


def _whole(what: str, low: int, high: int | None = None, **more: Any) -> Schema:
    top = {} if high is None else {"maximum": high}
    return {"type": "integer", "description": what, "minimum": low, **top, **more}


_NUMBER = _whole(
    "A picture's number in the gallery, as `search_history` and `generate` tell it.", 1
)
_DATA = _text("A picture as base64 (PNG, JPEG, WebP …), with or without `data:image/png;base64,`.")
_PICTURE = _record(
    {
        "number": {"type": ["integer", "null"], "description": "In the gallery."},
        "path": _text("The file."),
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "seed": {"type": ["integer", "null"]},
        "prompt": {"type": "string"},
        "model": {"type": "string"},
        "created": {"type": "string"},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    ("path",),
) | {"additionalProperties": True}
_PICTURES = _record({"pictures": {"type": "array", "items": _PICTURE}}, ("pictures",))


def generate_inputs() -> Schema:
    """The parameters of a picture, and what stands for paths here."""
    found = {name: each for name, each in asked.schema().items() if name not in _PERSONS}
    found["count"] = {**found["count"], "maximum": MAX_PICTURES}
    found["steps"] = {**found["steps"], "maximum": limits.MAX_STEPS}
    found["seed"]["description"] += " Left out: a random one."
    found["model"] = _text(
        "A model's name, as `list_models` tells it; left out: the one in use in Sfumato.",
        maxLength=300,
    )
    found["start_picture"] = {
        **_NUMBER,
        "description": "Start from this picture of the gallery (image to image).",
    }
    found["start_picture_data"] = {
        **_DATA,
        "description": f"Start from this. {_DATA['description']}",
    }
    found["strength"] = {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.6,
        "description": "How much of the starting picture is dreamt anew: 0 keeps it, 1 ignores it.",
    }
    return _record(found, ("prompt",))


def tools() -> tuple[ToolText, ...]:
    """All there are, in order."""
    return (
        ToolText(
            "generate",
            "Make pictures",
            "Make pictures from words with Stable Diffusion on the person's own computer, offline. "
            "They are saved in the person's gallery, with everything that made them. Settings "
            "that are left out are the model's own, which is usually best. It takes seconds to "
            "minutes, and waits in line with what the person asked for.",
            generate_inputs(),
            _PICTURES,
            changes=True,
        ),
        ToolText(
            "upscale",
            "Enlarge a picture",
            "Enlarge a picture two or four times with an upscaling network; saved as a new one.",
            _record(
                {
                    "picture": _NUMBER,
                    "picture_data": _DATA,
                    "factor": {"type": "integer", "enum": [2, 4], "default": 4},
                    "upscaler": _text(
                        "Its name, as `list_models` tells it; left out: the first.", maxLength=300
                    ),
                }
            ),
            _PICTURES,
            changes=True,
        ),
        ToolText(
            "search_history",
            "Search the gallery",
            "Find pictures that were made or kept, the newest first, by what made them.",
            _record(
                {
                    "words": _text(
                        'Words that occur in prompt or settings; "…" keeps words '
                        "together, -word leaves pictures out.",
                        maxLength=1000,
                    ),
                    "model": _text("Made with this model.", maxLength=300),
                    "scheduler": _text("Made with this scheduler.", maxLength=100),
                    "since": _text("From this day on.", format="date"),
                    "until": _text("Up to this day, which counts.", format="date"),
                    "tag": _text("With this tag.", maxLength=300),
                    "kind": _text("Made here, or imported.", enum=[k.value for k in PictureKind]),
                    "favourites": {"type": "boolean", "description": "Favourites alone."},
                    "limit": _whole("At most so many.", 1, MAX_FOUND, default=10),
                }
            ),
            _record(
                {
                    "pictures": {"type": "array", "items": _PICTURE},
                    "found": {"type": "integer", "description": "How many there are in all."},
                },
                ("pictures", "found"),
            ),
        ),
        ToolText(
            "show_picture",
            "Look at a picture",
            "Look at a picture of the gallery, and what made it.",
            _record(
                {
                    "picture": _NUMBER,
                    "longest": _whole(
                        "Pixels of the longest side, scaled down to.", 64, MAX_SHOWN, default=1024
                    ),
                },
                ("picture",),
            ),
            _PICTURES,
        ),
        ToolText(
            "list_models",
            "List models",
            "Models, LoRAs and upscalers that are installed.",
            _record({}),
            _record(
                {
                    "models": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "in_use": {"type": "boolean"},
                            },
                            "required": ["name", "in_use"],
                        },
                    },
                    "loras": {"type": "array", "items": {"type": "string"}},
                    "upscalers": {"type": "array", "items": {"type": "string"}},
                },
                ("models", "loras", "upscalers"),
            ),
        ),
    )
