"""`sfumato upscale`: pictures that exist, enlarged."""

from __future__ import annotations

import argparse
import json
import signal
from typing import TYPE_CHECKING, Any

from gui import words
from gui.cli import json_lines
from gui.cli.options import STOPPED, add_pictures, add_verbose
from gui.cli.progress import progress_of
from gui.errors import Cancelled, SfumatoError
from gui.files import checked

if TYPE_CHECKING:
    from gui.enlarge.client import EnlargeClient
    from gui.enlarge.messages import Pieces


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "upscale",
        help="enlarge pictures",
        description="Enlarge pictures with an upscaling network.  Each is saved as a new PNG "
        "beside the original; the paths of the new files are printed.",
        allow_abbrev=False,
    )
    add_pictures(parser)
    add = parser.add_argument
    add("--factor", type=int, default=4, choices=(2, 4), help="how many times; default: 4")
    add("--upscaler", default="", metavar="NAME",
        help="a network of --list, or the path of a Core ML file; default: the first")  # fmt: skip
    json_lines.add_options(parser, "picture")
    add_verbose(parser)
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    from gui.enlarge.client import EnlargeClient

    client = EnlargeClient()
    try:
        if options.list:
            return _list(client, options)
        if not options.files:
            options.parser.error("give the pictures to enlarge")
        return _enlarge(client, options)
    finally:
        client.close()


def _list(client: EnlargeClient, options: argparse.Namespace) -> int:
    for upscaler in client.upscalers():
        if json_lines.wanted(options):
            print(json.dumps(upscaler.to_json()))
        else:
            print(f"{upscaler.name:<20} {words.size(upscaler.size_bytes):>8}  {upscaler.summary}")
    return 0


def _enlarge(client: EnlargeClient, options: argparse.Namespace) -> int:
    """Each picture on its own: what goes wrong with one is told, and the rest goes on."""
    from gui.enlarge.messages import EnlargePicture

    progress = progress_of(options, len(options.files))
    as_json = json_lines.wanted(options)
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    folder = str(checked(options.output)) if options.output else ""
    failed = 0
    try:
        for number, given in enumerate(options.files, 1):
            name = f"{number} of {len(options.files)}" if len(options.files) > 1 else ""

            def on_pieces(pieces: Pieces, name: str = name) -> None:
                told = f"piece {pieces.done} of {pieces.total}"
                text = f"picture {name}, {told}" if name else told
                progress.bar(pieces.done / pieces.total, text)

            try:
                question = EnlargePicture(
                    str(checked(given)),
                    options.factor,
                    options.upscaler,
                    folder,
                    options.compute_unit,
                )
                done = client.enlarge(question, on_pieces, lambda: bool(stopped))
            except SfumatoError as error:
                progress.clear()
                progress.line(error.message)
                if options.verbose and error.detail:
                    progress.line(error.detail)
                if as_json:
                    json_lines.tell_error(error, source=given)
                failed += 1
                continue
            progress.clear()
            if as_json:
                json_lines.tell("picture", source=given, **done.to_json())
            else:
                print(done.path, flush=True)
    except Cancelled:
        progress.clear()
        progress.line("Stopped.")
        if as_json:
            json_lines.tell("stopped")
        return STOPPED
    finally:
        signal.signal(signal.SIGINT, before)
    return 1 if failed else 0
