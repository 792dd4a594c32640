"""`sfumato`: the window, and everything else from a terminal, on the same engine.

Nothing heavy is imported before it is needed, so that ``--help`` answers at once.

Exit codes: 0 done, 1 an error (one sentence on stderr), 2 the command line makes no sense,
130 stopped with Ctrl-C.  With ``--json`` an error is a line on stdout as well (`json_lines`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import io
import json
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gui import __version__, words
from gui.cli import alfred, asking, json_lines
from gui.cli import bench as cli_bench
from gui.cli import convert as cli_convert
from gui.cli import farm as cli_farm
from gui.cli import history as cli_history
from gui.cli import mcp as cli_mcp
from gui.cli import metadata as cli_metadata
from gui.cli import models as cli_models
from gui.cli import patch as cli_patch
from gui.cli import preprocess as cli_preprocess
from gui.cli import queue as cli_queue
from gui.cli import serve as cli_serve
from gui.cli import upscale as cli_upscale
from gui.cli import verify as cli_verify
from gui.cli.options import STOPPED, add_verbose
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked, path_error
from gui.request import PictureRequest

if TYPE_CHECKING:
    from gui.coreml.model import ModelInfo
    from gui.engine import messages

_NOT_NEEDED = {
    "--model-version": (True, "the model says it itself"),
    "--xl": (False, "the family is told by the model's files"),
    "--unet-batch-one": (False, "the model's files say how many pictures its UNet takes"),
}
"""Flags of Apple's tools that say what is known here: whether they take a value, and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.  Without arguments: the window.

    Args:
        arguments: without the program's name; None: the process's own.

    Returns:
        The exit code.  A wrong command line and ``--help`` raise SystemExit, as argparse does.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        # By name, since window and command line are neighbours that do not know each other.
        return int(importlib.import_module("gui.app").main() or 0)
    as_json = json_lines.asked_for(given)
    try:
        code = _run_command(given, as_json)
    except _WrongUse as wrong:
        if as_json:
            json_lines.tell_error(SfumatoError(ErrorKind.BAD_REQUEST, wrong.message))
        raise
    if code == STOPPED and arguments is None:
        _leave_threads(code)
    return code


def _leave_threads(code: int) -> None:
    """End a process that was stopped, where Python would wait for threads that read the network."""
    if all(each.daemon for each in threading.enumerate() if each is not threading.main_thread()):
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run_command(given: list[str], as_json: bool) -> int:
    options = _parser().parse_args(given)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not have every character
            stream.reconfigure(errors="replace")
    try:
        return options.run(options)
    except SfumatoError as error:
        return _report(error, options, as_json)
    except KeyboardInterrupt:
        if as_json:
            json_lines.tell("stopped")
        return STOPPED
    except BrokenPipeError:  # `sfumato … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # of a file that nobody looked at before it was used
        return _report(path_error(error.filename or "?", error), options, as_json)


def _report(error: SfumatoError, options: argparse.Namespace, as_json: bool) -> int:
    print(f"sfumato: {error.message}", file=sys.stderr)
    if getattr(options, "verbose", False) and error.detail:
        print(error.detail, file=sys.stderr)
    if as_json:
        json_lines.tell_error(error)
    if getattr(options, "alfred", False):
        alfred.tell([alfred.nothing(error.message)])
        return 0  # or it would not be shown
    return 1


class _WrongUse(SystemExit):
    """The command line makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, rather than after a screenful of usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Unknown options are refused by the command they were given to, whose help knows more."""
        found, unknown = super().parse_known_args(self._with_values(args), namespace)
        if len(unknown) == 1 and unknown[0][:1] != "-" and getattr(found, "words", None) == "":
            found.words = unknown.pop()  # argparse looks for it before the options only
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _with_values(self, args: Sequence[str]) -> list[str]:
        """Values that begin with a hyphen, joined to their options: ``--negative-prompt -blurry``.

        What is itself an option stays one, so that a forgotten value is still noticed.
        """
        given, result = list(args), []
        while given:
            word = given.pop(0)
            if word == "--":
                return [*result, word, *given]
            action = self._option_string_actions.get(word)
            takes_one = action is not None and action.nargs is None and action.const is None
            following = given[0] if given else ""
            known = following.partition("=")[0] in self._option_string_actions
            if takes_one and following.startswith("-") and following != "--" and not known:
                word = f"{word}={given.pop(0)}"
            result.append(word)
        return result

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        # As our own sentences are: with an end, and with what to do next.
        raise _WrongUse(f"{words.capital(message.rstrip('.'))}; see {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sfumato",
        description="Pictures from words with Core ML Stable Diffusion, offline.",
        epilog="Without a command: open the window.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"Sfumato {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _generate_parser(commands)
    cli_convert.add_parser(commands)
    cli_models.add_parser(commands)
    cli_patch.add_parser(commands)
    cli_history.add_parser(commands)
    cli_metadata.add_parser(commands)
    cli_verify.add_parser(commands)
    cli_upscale.add_parser(commands)
    cli_preprocess.add_parser(commands)
    cli_queue.add_parser(commands)
    cli_mcp.add_parser(commands)
    cli_farm.add_parser(commands)
    cli_serve.add_parser(commands)
    cli_bench.add_parser(commands)
    inspect = commands.add_parser(
        "inspect", help="say what a model folder holds, and whether it can be used"
    )
    inspect.add_argument("folder", metavar="DIR", help="folder of a Core ML model")
    inspect.add_argument("--json", action="store_true", help="print JSON")
    inspect.add_argument("--verbose", action="store_true", help="inputs and outputs too")
    inspect.set_defaults(run=_inspect)
    doctor = commands.add_parser("doctor", help="say what this machine can run")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _generate_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="make pictures",
        description="Make pictures from a prompt.  The paths of the finished files are printed.",
        epilog="The flag names of Apple's Python and Swift tools are accepted too.",
        allow_abbrev=False,
    )
    asking.add_options(parser)
    add = parser.add_argument
    add("--save-every", type=int, default=0, metavar="N",
        help="also the preview of every Nth step, beside the picture")  # fmt: skip
    for flag, (takes_value, _) in _NOT_NEEDED.items():
        how: dict[str, Any] = {} if takes_value else {"action": "store_true"}
        add(flag, help=argparse.SUPPRESS, **how)
    json_lines.add_options(parser, "picture")
    add_verbose(parser)
    parser.set_defaults(run=_generate, parser=parser)


def _request(options: argparse.Namespace) -> PictureRequest:
    """`asking.base_request`, with previews where they are saved.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    if options.save_every < 0:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "A preview is saved every so many steps; give --save-every a number of 1 or more.",
        )
    return dataclasses.replace(asking.base_request(options), previews=options.save_every > 0)


def _generate(options: argparse.Namespace) -> int:
    try:
        request = _request(options)
    except SfumatoError as error:
        options.parser.error(error.message)
    for flag, (_, why) in _NOT_NEEDED.items():
        if getattr(options, flag[2:].replace("-", "_")):
            print(f"sfumato: {flag} is not needed: {why}.", file=sys.stderr)
    request = asking.with_model(request, options)
    grid, requests = asking.expanded(request, options)
    from gui.cli.progress import progress_of

    progress = progress_of(options, request.count)
    if options.seed is None and not options.branch_from and not options.quiet:
        progress.line(f"The seed is {request.seed}.")
    if grid is None and len(requests) == 1:
        return _run(requests[0], progress, options)
    from gui.cli.queue_run import run_apart

    return run_apart(requests, grid, request, progress, as_json=json_lines.wanted(options))


def _run(request: PictureRequest, progress: Any, options: argparse.Namespace) -> int:
    from gui.cli.drawing import draw
    from gui.engine import messages
    from gui.engine.runner import OutcomeStatus

    previews: dict[int, dict[int, messages.Preview]] = {}  # by picture and step
    as_json = json_lines.wanted(options)

    def on_event(event: messages.JobEvent) -> None:
        if isinstance(event, messages.Step):
            if event.preview is not None and event.step % options.save_every == 0:
                previews.setdefault(event.picture_index, {})[event.step] = event.preview
        elif isinstance(event, messages.Enlarging):
            progress.bar(event.done / event.total, "enlarging")
        elif isinstance(event, messages.Image):
            # A picture is saved while the next one is begun.
            _save_previews(Path(event.path), previews.pop(event.picture_index, {}))
            progress.clear()
            if as_json:
                json_lines.tell_picture(event.path, event.record)
            else:
                print(event.path, flush=True)
            for note in event.record.notes:
                progress.line(note)

    outcome = draw(request, progress, on_event)
    if outcome.status is not OutcomeStatus.CANCELLED:
        return 0
    if as_json:
        json_lines.tell("stopped")
    return STOPPED


def _save_previews(picture: Path, previews: dict[int, messages.Preview]) -> None:
    """Write what was seen on the way beside the finished picture.

    Raises:
        SfumatoError: STORAGE.
    """
    from PIL import Image

    try:
        for step, preview in previews.items():
            size = (preview.width, preview.height)
            image = Image.frombytes("RGB", size, preview.rgb)
            image.save(picture.with_name(f"{picture.stem}.step{step:03}.png"))
    except OSError as error:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"A preview cannot be saved beside {picture.name}; choose another folder.",
            str(error),
        ) from error


def _inspect(options: argparse.Namespace) -> int:
    from gui.coreml.inspect import inspect_model

    info = inspect_model(checked(options.folder))
    if options.json:
        print(json.dumps({**info.to_json(), "usable": info.usable}, indent=1))
    else:
        print("\n".join(_description(info, options.verbose)))
    for problem in info.problems:
        print(f"sfumato: {problem}", file=sys.stderr)
    return 0 if info.usable else 1


def _description(info: ModelInfo, verbose: bool) -> Iterable[str]:
    """A model in lines of text."""
    from gui.coreml.inspect import load_sidecar
    from gui.coreml.prediction import KnownBy, Prediction
    from gui.hub.machine import this_machine
    from gui.hub.variants.verdict import memory_of
    from gui.state import describe

    yield f"{info.name}  ({info.folder})"
    yield "  can be used" if info.usable else "  cannot be used"
    if info.components:
        try:
            sidecar = load_sidecar(info)
        except SfumatoError:  # which is among the problems
            sidecar = None
        rows = describe.model_rows(info, sidecar, memory_of(info, this_machine()))
        yield from (f"  {name.lower():<13}{words.plain(value)}" for name, value in rows)
        yield "technical details"
        yield f"  family       {words.family(info.family)}"
        if info.prediction_type:
            reason = Prediction(info.prediction_type, KnownBy(info.prediction_known_by)).reason
            yield f"  predicts     {info.prediction_type} ({reason})"
        yield f"  attention    {words.attention(info.attention)}"
        yield f"  compression  {words.compression(info.compression)}"
        yield f"  needs        macOS {info.minimum_macos or '?'} for Core ML"
    for component in (*info.components.values(), *info.controlnets):
        files = " + ".join(f.name for f in component.files)
        name = component.name or words.component(component.kind)
        yield f"  {name:<23}{files}  {words.size(component.size_bytes)}"
        if verbose:
            for arrow, tensors in (("→", component.inputs), ("←", component.outputs)):
                for t in tensors:
                    shape = " × ".join("?" if n is None else str(n) for n in t.shape)
                    yield f"      {arrow} {t.name}  {t.dtype} [{shape}]"
    for note in info.notes:
        yield f"  note: {note}"


def _doctor(options: argparse.Namespace) -> int:
    from gui.cli.doctor import examine

    findings = examine()
    if options.json:
        print(json.dumps([vars(f) for f in findings], indent=1))
    else:
        for finding in findings:
            mark = "ok     " if finding.good else "PROBLEM"
            print(f"{mark} {finding.what:<14} {finding.text}")
    return 0 if all(f.good for f in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
