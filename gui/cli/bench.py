"""`sfumato bench`: how fast each compute unit runs a model here, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import paths, words
from gui.cli.finding import model_folder
from gui.cli.options import add_precision, add_verbose, seconds
from gui.cli.progress import ProgressLine
from gui.coreml.precision import check_precision
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.files import checked
from gui.request import ComputeUnit, Precision

if TYPE_CHECKING:
    from gui.library.unit_times import Measurement
    from gui.measure.messages import TryEvent

_STOPPED = 130
_STEPS = 20
"""What peers' published figures are for."""
_MOST_STEPS = 200


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure how fast each compute unit runs a model",
        description="Measure how fast each compute unit runs a model on this computer: the first "
        "start, and steps per second of a picture in the model’s own size.  What is found decides "
        "which unit is used where none is chosen.",
        epilog="A MODEL that ends in .json is a file that --json wrote: it is shown, and nothing "
        "is measured.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", default="",
        help="a model's folder, or its name in `models list`; default: the starter")  # fmt: skip
    add("--variant", default="", metavar="ID", help="which one, where several are installed")
    add("--unit", action="append", type=ComputeUnit, choices=[*ComputeUnit], default=[],
        metavar="UNIT", help="try this one only; may be given several times: "
        + ", ".join(ComputeUnit))  # fmt: skip
    add("--steps", type=int, default=_STEPS, metavar="N",
        help=f"of the picture that is made; default: {_STEPS}")  # fmt: skip
    add_precision(parser, Precision.FP32)
    add("--limit", type=seconds, default=0.0, metavar="SECONDS",
        help="give a unit up after so long, loading included; default: 1800")  # fmt: skip
    add("--again", action="store_true",
        help="try units again that crashed on this version of the system")  # fmt: skip
    add("--json", default="", metavar="FILE", help="write the figures there, too; -: print them")
    add("--compare", default="", metavar="FILE",
        help="put the figures of another computer beside these, from a file of --json")  # fmt: skip
    add("--quiet", action="store_true", help="no progress")
    add_verbose(parser)
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    from gui.measure import report

    if not 2 <= options.steps <= _MOST_STEPS:
        options.parser.error(f"--steps takes a number from 2 to {_MOST_STEPS}")
    other = report.read(checked(options.compare)) if options.compare else None
    if options.model.lower().endswith(".json"):
        found = report.read(checked(options.model))
    else:
        check_precision(options.precision)
        try:
            found = _measured(options)
        except (Cancelled, KeyboardInterrupt):
            return _STOPPED
    data = report.published(found)
    text = json.dumps(data, indent=1, ensure_ascii=False)
    if options.json == "-":
        print(text)
        return 0
    print("\n".join(report.table(found)))
    if other is not None:
        print()
        print("\n".join(report.comparison(found, other)))
    if options.json:
        _write(checked(options.json), text)
    return 0


def _measured(options: argparse.Namespace) -> Measurement:
    from gui.measure import client
    from gui.measure.client import Measurer
    from gui.measure.messages import LoadingPart, StepMade
    from gui.measure.telling import unit_name

    folder = model_folder(options.model, options.variant) if options.model else None
    subject = client.read_subject(folder or paths.starter_model())
    measurer = Measurer()
    every = client.all_units(measurer.computer, apple_silicon=client.this_apple_silicon())
    units = tuple(dict.fromkeys(options.unit)) or every
    if missing := [unit for unit in units if unit not in every]:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{words.capital(words.COMPUTER)} cannot be told to use {missing[0]}; choose "
            f"{words.listed(every, 'or')}.",
        )
    progress = ProgressLine(sys.stderr, 1, quiet=options.quiet)
    which = ""

    def on_unit(unit: ComputeUnit, number: int, total: int) -> None:
        nonlocal which
        which = unit_name(unit, measurer.computer)
        progress.text(f"{which} ({number + 1} of {total})")

    def on_event(event: TryEvent) -> None:
        if isinstance(event, LoadingPart):
            part = words.component(event.component)
            progress.text(f"{which}: loading {part} ({event.index + 1} of {event.total})")
        elif isinstance(event, StepMade):
            progress.text(f"{which}: step {event.step} of {event.steps}")

    # Ctrl-C ends the unit that is being tried, and what was measured before stays.
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: stopped.append(number))
    try:
        return measurer.measure(
            subject,
            units,
            steps=options.steps,
            limit=options.limit or client.PATIENT_SECONDS,
            precision=options.precision,
            even_crashed=options.again,
            on_unit=on_unit,
            on_event=on_event,
            cancelled=lambda: bool(stopped),
        )
    finally:
        signal.signal(signal.SIGINT, before)
        progress.clear()


def _write(file: Path, text: str) -> None:
    from gui.files import path_error
    from gui.library.temporaries import write_whole

    try:
        write_whole(file.parent, file.name, f"{text}\n".encode(), overwrite=True)
    except OSError as error:
        raise path_error(file, error) from error
