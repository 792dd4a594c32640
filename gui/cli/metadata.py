"""`sfumato metadata`: what any picture, of any program, says of what made it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import records, words
from gui.cli import json_lines
from gui.cli.progress import say
from gui.errors import SfumatoError
from gui.files import checked

if TYPE_CHECKING:
    from gui.library.metadata.containers import Fields
    from gui.library.picture_origin import PictureOrigin


def add_parser(commands: Any) -> None:
    """Add the command to `sfumato`."""
    parser = commands.add_parser(
        "metadata",
        help="say what made a picture, of any program",
        description="Say what a picture's file tells of what made it: pictures of Sfumato, web "
        "UIs, ComfyUI, InvokeAI, Draw Things, Mochi Diffusion and others.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a picture")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one line of JSON per picture, with the texts as they are",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from gui.library.metadata.containers import read_fields
    from gui.library.picture_origin import read_origin

    code = 0
    for number, name in enumerate(options.files):
        try:
            path = checked(name)
            fields, origin = read_fields(path), read_origin(path)
        except SfumatoError as error:
            say(error.message)
            if options.json:
                json_lines.tell_error(error, source=name)
            code = 1
            continue
        if origin.note:
            say(f"{path.name}: {origin.note}")
        if options.json:
            print(json.dumps(_as_json(path, fields, origin), default=str))
        else:
            print(*([""] if number else []), *_lines(path, fields, origin), sep="\n")
    return code


def _as_json(path: Path, fields: Fields, origin: PictureOrigin) -> dict[str, Any]:
    imported = origin.imported
    return {
        "path": str(path),
        "form": fields.form,
        "width": fields.width,
        "height": fields.height,
        "record": records.to_plain(origin.record) if origin.record is not None else None,
        "imported": dataclasses.asdict(imported) if imported is not None else None,
        "texts": fields.texts,
        "exif": {
            "comment": fields.exif.user_comment,
            "orientation": fields.exif.orientation,
            **{f"0x{tag:04x}": text for tag, text in fields.exif.texts.items()},
        },
        "xmp": fields.xmp,
        "iptc": fields.iptc,
        "left_out": fields.left_out,
    }


def _lines(path: Path, fields: Fields, origin: PictureOrigin) -> Iterator[str]:
    yield f"{path}  {fields.form}, {words.pixels(fields.width, fields.height)}"
    rows = list(told(origin))
    if not rows:
        yield "  It does not say what made it."
    for name, text in rows:
        first, *more = text.splitlines() or [""]
        yield f"  {name:<18} {first}"
        yield from (f"  {'':<18} {line}" for line in more)
    yield from (f"  note: {note}" for note in fields.left_out if note != origin.note)


def told(origin: PictureOrigin) -> Iterator[tuple[str, str]]:
    """What made a picture, in rows of name and text."""
    from gui.state.pictures.origin import origin_of

    found = origin_of(origin)
    yield from ((setting.label, setting.text) for setting in found.settings)
    if found.model:
        yield "Model", found.model
    yield from found.facts
    yield from found.technical
    yield from ((name, f"{text}\n{why}") for name, text, why in found.left)
