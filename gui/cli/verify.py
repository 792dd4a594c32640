"""`sfumato verify`: draw a picture again from its record, and compare.

Exit codes: 0 identical, 3 equal within so many dB, 4 different, 5 it cannot be drawn again here;
1, 2 and 130 as for every command.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import paths, words
from gui.cli.options import STOPPED, add_verbose
from gui.cli.progress import ProgressLine, say
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked, exists, is_file, is_folder
from gui.library.latent_sketch import first_difference, read_sketch
from gui.library.picture_record import read_record
from gui.request import Composition, Enlargement, PictureRecord, PictureRequest, Precision
from gui.start_image import MASK_ALPHA

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

IDENTICAL, EQUAL, DIFFERENT, NOT_HERE = 0, 3, 4, 5
"""Exit codes."""
EQUAL_DB = 30.0
"""From this peak signal-to-noise ratio on two pictures are told equal: between runtimes and
computers 40 to 60 dB are usual, and below 30 dB a person sees it."""


@dataclass(frozen=True)
class Comparison:
    """How a picture and the one drawn from its record differ."""

    code: int
    psnr: float | None = None
    """Decibels; None where they are identical."""
    first_step: int | None = None
    """The step from which the latents differ, 0: the beginning; None: never, or not known."""
    steps_known: bool = False
    """Whether both say how their steps went."""

    @property
    def sentence(self) -> str:
        if self.code == IDENTICAL:
            return "identical"
        if self.code == EQUAL:
            return f"equal within {self.psnr:.1f} dB"
        if not self.steps_known:
            return "different; the picture does not say how its steps went"
        if self.first_step is None:
            return (
                "different, though every step was the same: what came after the steps is another, "
                "or the picture was changed"
            )
        if self.first_step == 0:
            return "different, from the beginning on: it starts from other noise"
        return f"different, from step {self.first_step} on"


def add_parser(commands: Any) -> None:
    """Add the command to `sfumato`."""
    parser = commands.add_parser(
        "verify",
        help="draw a picture again from its record, and compare",
        description="Draw a picture of Sfumato again from the record inside it, and say whether "
        "it comes out the same.",
        epilog=f"Exit codes: 0 identical, {EQUAL} equal within so many dB ({EQUAL_DB:g} or more), "
        f"{DIFFERENT} different, {NOT_HERE} its model or starting picture is not here.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a picture that Sfumato made, in any form")
    add("--model", default="", metavar="DIR", help="draw with the model in this folder")
    add("--keep", default="", metavar="FILE", help="keep the picture that is drawn; ends in .png")
    add("--json", action="store_true", help="print JSON")
    add("--quiet", action="store_true", help="no progress, no notes")
    add_verbose(parser)
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    from gui.cli.drawing import draw
    from gui.engine import messages
    from gui.engine.runner import OutcomeStatus

    if options.keep and not options.keep.lower().endswith(".png"):
        options.parser.error("--keep needs a name that ends in .png")
    path = checked(options.picture)
    record = read_record(path)
    if record is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{path.name}” does not say how Sfumato made it; choose one that Sfumato made, and "
            "that was not exported without settings.",
        )
    if record.grid is not None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{path.name}” is the contact sheet of a grid; choose one of the grid's pictures.",
        )
    notes: list[str] = []
    try:
        request = _request_again(record, options.model, notes)
    except _NotHereError as error:
        say(str(error))
        if options.json:
            print(json.dumps({"path": str(path), "verdict": "not here", "notes": [str(error)]}))
        return NOT_HERE
    progress = ProgressLine(sys.stderr, 1, quiet=options.quiet)
    made: list[PictureRecord] = []

    def on_event(event: messages.JobEvent) -> None:
        if isinstance(event, messages.Image):
            made.append(event.record)

    with tempfile.TemporaryDirectory(prefix="sfumato-") as folder:
        drawn = checked(options.keep) if options.keep else Path(folder, "drawn.png")
        outcome = draw(replace(request, output_file=str(drawn)), progress, on_event)
        if outcome.status is OutcomeStatus.CANCELLED:
            return STOPPED
        found = compared(path, record, drawn, made[0], notes)
    _report(options, path, found, [*notes, *_circumstances(record, made[0], found)])
    return found.code


def _report(options: argparse.Namespace, path: Path, found: Comparison, notes: list[str]) -> None:
    if options.json:
        verdict = {IDENTICAL: "identical", EQUAL: "equal", DIFFERENT: "different"}[found.code]
        told = {"path": str(path), "verdict": verdict, "psnr": found.psnr,
                "first_step": found.first_step, "notes": notes}  # fmt: skip
        print(json.dumps(told))
        return
    print(found.sentence)
    if not options.quiet:
        for note in notes:
            say(note)


# -- what it takes ---------------------------------------------------------------------------


class _NotHereError(Exception):
    """The picture cannot be drawn again here; the text is a sentence."""


def _request_again(record: PictureRecord, model: str, notes: list[str]) -> PictureRequest:
    """The request to draw, with model and starting picture where they are here.

    Args:
        model: a folder to use in any case; empty: the one that has the record's hash.
        notes: gets sentences about what is not as it was.
    """
    folder = str(checked(model)) if model else _model_of(record)
    if record.model_hash and (now := _hash_of(folder)) != record.model_hash:
        notes.append(
            f"The model is another than the one that drew it (its hash is {now}, not "
            f"{record.model_hash})."
        )
    request, start = record.request, record.request.start_image
    known = record.provenance
    if start is not None:
        path = _picture_of("starting", start.path, known.start_fingerprint, notes)
        start = replace(start, path=path)
        if start.mask not in ("", MASK_ALPHA):
            mask = _picture_of("mask", start.mask, known.mask_fingerprint, notes)
            start = replace(start, mask=mask)
    if request.depth_map:
        _picture_of("depth", request.depth_map, known.depth_fingerprint, notes)
    prints = dict(enumerate(known.control_fingerprints))
    for number, control in enumerate(request.controls):
        _picture_of("control", control.picture, prints.get(number, ""), notes)
    return replace(
        request.with_all(model=folder, start_image=start),
        # a record has every default filled in: one that says nothing is older than the field
        enlargement=request.enlargement or Enlargement.OFF,
        composition=request.composition or Composition.MODEL,
        count=1,
        previews=False,
        keep_previews=False,
        output_dir="",
    )


def _model_of(record: PictureRecord) -> str:
    """The folder of the model that drew it: where it was, or wherever one of its hash is.

    Raises:
        _NotHereError: there is none, and none of its name.
    """
    request = record.request
    was = request.model or str(paths.starter_model())
    here = exists(was)
    if here and (not record.model_hash or _hash_of(request.model) == record.model_hash):
        return request.model
    named: list[str] = []
    for folder in _installed():
        if record.model_hash and _hash_of(str(folder)) == record.model_hash:
            return str(folder)
        if record.model_name in _names(folder):
            named.append(str(folder))
    if here:
        return request.model
    if named:
        return named[0]
    source = record.provenance.source_repo
    advice = (
        f"get it with `sfumato models get {source}`" if source else "give its folder by --model"
    )
    known = f" (hash {record.model_hash})" if record.model_hash else ""
    raise _NotHereError(f"The model “{record.model_name}”{known} is not here; {advice}.")


def _installed() -> Iterator[Path]:
    """Every model the window knows."""
    from gui.library.models.folders import model_folders
    from gui.state.settings import Settings

    yield paths.starter_model()
    yield from model_folders(paths.models_dir())
    yield from (Path(folder) for folder in Settings().model_folders if is_folder(folder))


def _names(folder: Path) -> set[str]:
    from gui.coreml import sidecar

    try:
        told = sidecar.read(folder)
    except SfumatoError:
        told = None
    return {folder.name, told.name if told is not None else ""} - {""}


def _hash_of(folder: str) -> str:
    """A model's hash as records have it; empty where it cannot be read."""
    from gui.coreml.inspect import inspect_model, model_hash

    try:
        return model_hash(inspect_model(Path(folder) if folder else paths.starter_model()))
    except (SfumatoError, OSError):
        return ""


def _picture_of(kind: str, path: str, known: str, notes: list[str]) -> str:
    """The file of a picture that went in.

    Args:
        kind: what it was, in a word.
        known: its fingerprint then; empty: not known.

    Raises:
        _NotHereError: it is not where it was.
    """
    from gui.pipeline.provenance import picture_facts

    name = Path(path).name
    if not is_file(path):
        raise _NotHereError(f"Its {kind} picture “{name}” is not here; put it back where it was.")
    if known and picture_facts(Path(path))[0] != known:
        notes.append(f"The {kind} picture “{name}” is another than it was.")
    return path


# -- comparing -------------------------------------------------------------------------------


def compared(
    path: Path, record: PictureRecord, drawn: Path, again: PictureRecord, notes: list[str]
) -> Comparison:
    """Compare a picture with the one that was drawn from its record.

    Args:
        notes: gets a sentence where the picture has another size than it was drawn in.
    """
    from PIL import Image

    from gui.library.picture_reader import opaque, read_picture

    there, here = opaque(read_picture(path)), opaque(read_picture(drawn))
    if there.size != here.size:
        notes.append(
            f"The picture was scaled to {words.pixels(*there.size)} from "
            f"{words.pixels(*here.size)}, and is compared in that size."
        )
        here = here.resize(there.size, Image.Resampling.LANCZOS)
    decibels = psnr(there, here)
    if math.isinf(decibels):
        return Comparison(IDENTICAL)
    decibels = round(decibels, 2)
    if decibels >= EQUAL_DB:
        return Comparison(EQUAL, decibels)
    before, after = read_sketch(record.provenance.sketch), read_sketch(again.provenance.sketch)
    if before is None or after is None or before.steps != after.steps:
        return Comparison(DIFFERENT, decibels)
    step = first_difference(before, after)
    return Comparison(DIFFERENT, decibels, step, steps_known=True)


def psnr(one: PillowImage, other: PillowImage) -> float:
    """Peak signal-to-noise ratio of two RGB pictures of one size, in decibels; infinite where they
    are identical."""
    from PIL import ImageChops, ImageStat

    squares = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    error = sum(squares) / (3 * one.width * one.height)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _circumstances(record: PictureRecord, again: PictureRecord, found: Comparison) -> Iterator[str]:
    """What else was not as it is here; of no interest where the pictures are identical."""
    then, now = record.provenance, again.provenance
    if found.code == IDENTICAL or not then.runtime:
        return
    names = {"native": "Core ML", "portable": "the portable runtime"}
    if then.runtime != now.runtime:
        yield (
            f"It was drawn by {names.get(then.runtime, then.runtime)} on {then.system}; here it is "
            f"{names.get(now.runtime, now.runtime)} on {now.system}."
        )
    elif then.precision != now.precision:
        yield (
            f"It was computed in {_number(then.precision)}; here it is {_number(now.precision)}."
        )
    elif then.system != now.system:
        yield f"It was drawn on {then.system}; here it is {now.system}."
    if changes := list(_changes(then.versions, now.versions)):
        yield f"Of other versions now: {words.listed(changes)}."
    if changes := list(_changes(then.scheduler, now.scheduler)):
        yield f"The scheduler is set otherwise now: {words.listed(changes)}."


def _number(precision: str) -> str:
    return "bfloat16" if precision == Precision.BF16 else "float32"


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name, 'unset')} → {after.get(name, 'unset')}"
