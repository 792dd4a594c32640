"""`sfumato patch`: a finished model with LoRAs in it, of another size or with a clip skip."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import paths, words
from gui.cli.finding import lora_of, model_folder
from gui.cli.options import add_verbose
from gui.convert.types import ImageSize
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked, exists
from gui.names import folder_name

if TYPE_CHECKING:
    from gui.convert.patch.variant import PatchReport


def add_parser(commands: Any) -> None:
    """Add the command to `sfumato`."""
    parser = commands.add_parser(
        "patch",
        help="add LoRAs or a clip skip to a finished Core ML model, or change its picture size",
        description="Make a model folder from a finished Core ML model, without conversion: with "
        "LoRAs added to its weights, for pictures of another size, with a clip skip, or several of "
        "them.  The original is only read.  The finished folder is printed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="the model's folder, or its name in `models list`")
    add("--variant", default="", metavar="ID", help="which one, where several are installed")
    add("--lora", action="append", default=[], metavar="FILE[:SCALE[:TEXT-SCALE]]",
        help="a LoRA to add, with its weight, and another one for the text encoders; may be given "
             "several times")  # fmt: skip
    add("--size", default="", metavar="WxH", help="of the pictures, multiples of 64")
    add("--clip-skip", type=int, default=1, metavar="N",
        help="layers from the end up to which the text encoders shall give their states, for "
             "example 2; of “.mlpackage” files alone")  # fmt: skip
    add("-o", "--output", default="", metavar="DIR",
        help="model folder to make; below DIR where that exists; default: your models")  # fmt: skip
    add("--name", default="", help="name of the model; default: the old one, and what was done")
    add("--base", default="", metavar="SOURCE", help="the checkpoint that the model was made from, "
        "a folder or file: the LoRA is then added to its own numbers, and the result is a "
        "conversion's to the last bit")  # fmt: skip
    add("--json", action="store_true", help="print a report as JSON")
    add("--quiet", action="store_true", help="no progress")
    add_verbose(parser)
    parser.set_defaults(run=_patch, parser=parser)


def _patch(options: argparse.Namespace) -> int:
    from gui.cli.progress import ProgressLine

    try:
        loras = [lora_of(text) for text in options.lora]
        size = _size(options.size)
        skip = options.clip_skip
        if not loras and size is None and skip == 1:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "There is nothing to do; give --lora, --size or --clip-skip, or several of them.",
            )
    except SfumatoError as error:
        options.parser.error(error.message)
    from gui.convert.patch.base import base_of
    from gui.convert.patch.variant import make_variant

    source = model_folder(options.model, options.variant)
    progress = ProgressLine(sys.stderr, 1, quiet=options.quiet)
    try:
        report = make_variant(
            source,
            _output(options.output, source, _suffix(loras, size, skip)),
            loras,
            size,
            clip_skip=skip,
            name=options.name,
            base=base_of(checked(options.base)) if options.base else None,
            tick=lambda fraction: progress.bar(fraction, "patching"),
        )
    finally:
        progress.clear()
    print(json.dumps(report.to_json()) if options.json else report.folder)
    if not options.quiet and not options.json:
        for line in _told(report):
            progress.line(line)
    return 0


def _size(text: str) -> ImageSize | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})", text.strip())
    if match is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"“{text}” is no size; write it as width x height: 768x512."
        )
    return ImageSize(int(match[1]), int(match[2]))


def _suffix(loras: list[Any], size: ImageSize | None, clip_skip: int) -> str:
    parts = [f"{Path(lora.path).stem}-{lora.scale:g}" for lora in loras]
    parts += [f"{size.width}x{size.height}"] if size else []
    parts += [f"clip-skip-{clip_skip}"] if clip_skip > 1 else []
    return "-".join(parts)


def _output(text: str, source: Path, suffix: str) -> Path:
    """The folder to make."""
    inside = source.parent.parent == paths.models_dir()  # a variant of a model from the Hub
    own = f"{source.parent.name}-{source.name}" if inside else source.name
    name = folder_name(f"{own}-{suffix}")
    if not text:
        return paths.models_dir() / name
    path = checked(text)
    return path / name if exists(path) else path


def _told(report: PatchReport) -> Iterator[str]:
    """The report in sentences."""
    if report.layers:
        counts = words.listed(str(count) for count in report.layers)
        yield f"{counts} layers changed, {words.size(report.written_bytes)} written."
    if report.repacked:
        yield (
            f"{report.repacked} compressed tensors were compressed again; the noise this adds lies "
            f"{report.noise_db:g} dB or more below the weights."
        )
    yield from report.notes
    yield f"It took {report.seconds:g} s."
