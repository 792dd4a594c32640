"""`sfumato preprocess`: what a ControlNet would be shown of a picture."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gui.cli import json_lines
from gui.cli.controls import kind_or_network
from gui.cli.options import add_pictures, add_verbose
from gui.control_use import (
    PREPROCESSOR_SETTINGS,
    PREPROCESSORS,
    USUAL,
    Preprocessor,
)
from gui.errors import SfumatoError
from gui.files import checked
from gui.request import MAX_SIDE, MIN_SIDE


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "preprocess",
        help="make control pictures of ordinary ones",
        description="Make of pictures what a ControlNet would be shown: edges, a scribble, a depth "
        "map.  Each is saved as a new PNG beside the original; the paths of the new files are "
        "printed.",
        allow_abbrev=False,
    )
    add_pictures(parser)
    add = parser.add_argument
    add("--with", dest="kind", default=Preprocessor.CANNY, metavar="KIND",
        help="a kind of --list, or a depth or line network: its name in the folder Preprocessors, "
             "or its file; some can be set: canny:low=50,high=150; default: canny")  # fmt: skip
    add("--size", type=_size, default=(512, 512), metavar="WxH",
        help="of the picture that is to be led; default: 512x512")  # fmt: skip
    add("--json", action="store_true", help="print a line of JSON per picture")
    add_verbose(parser)
    parser.set_defaults(run=_run, parser=parser)


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(s.isdecimal() and MIN_SIDE <= int(s) <= MAX_SIDE for s in sides):
        raise argparse.ArgumentTypeError(
            f"must be like 512x768, each side {MIN_SIDE} to {MAX_SIDE}, not {text!r}"
        )
    return int(sides[0]), int(sides[1])


def _run(options: argparse.Namespace) -> int:
    if options.list:
        return _list(options.json)
    if not options.files:
        options.parser.error("give the pictures to prepare")
    from gui.control.client import ControlClient
    from gui.control.messages import PrepareControl

    kind, network, settings = kind_or_network(options.kind)
    client, failed = ControlClient(), 0
    try:
        for given in options.files:
            try:
                file = checked(given)
                width, height = options.size
                unit = options.compute_unit
                wish = PrepareControl(str(file), width, height, kind, network, unit, settings)
                made, _told = client.prepare(wish)
                folder = checked(options.output) if options.output else file.parent
                name = f"{file.stem}-{Path(network).stem or kind.value}.png"
                path = _saved(folder, name, made.width, made.height, made.rgba)
                if options.json:
                    json_lines.tell("picture", source=given, path=str(path))
                else:
                    print(path, flush=True)
            except SfumatoError as error:
                print(error.message, file=sys.stderr)
                if options.json:
                    json_lines.tell_error(error, source=given)
                if options.verbose and error.detail:
                    print(error.detail, file=sys.stderr)
                failed += 1
    finally:
        client.close()
    return 1 if failed else 0


def _saved(folder: Path, name: str, width: int, height: int, rgba: bytes) -> Path:
    from PIL import Image

    from gui.library.picture_texts import png_of
    from gui.library.pictures import save_new

    picture = Image.frombytes("RGBA", (width, height), rgba)
    if picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    return save_new(folder, name, png_of(picture, {}))


def _settable(kind: Preprocessor) -> str:
    told = [
        f"{each.key}={getattr(USUAL, each.field):g}" for each in PREPROCESSOR_SETTINGS.get(kind, ())
    ]
    return f" ({kind}:{','.join(told)})" if told else ""


def _list(as_json: bool) -> int:
    from gui.coreml.client import ModelReader
    from gui.coreml.messages import ListNetworks

    reader = ModelReader()
    try:
        found = reader.ask(ListNetworks())
    finally:
        reader.close()
    rows = [
        (option.value.value, option.help + _settable(Preprocessor(option.value)))
        for option in PREPROCESSORS
        if option.value is not Preprocessor.NETWORK
        and (found.vision or option.value not in (Preprocessor.POSE, Preprocessor.SUBJECT))
    ]
    rows += [
        (network.name, network.problem or network.summary or "a network of your own")
        for network in found.maps
    ]
    for name, summary in rows:
        told = json.dumps({"name": name, "summary": summary})
        print(told if as_json else f"{name:<20} {summary}")
    return 0
