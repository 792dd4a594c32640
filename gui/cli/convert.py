"""`sfumato convert`: a checkpoint becomes a Core ML model, in a process of its own.

The flags of Apple's `torch2coreml` are taken where they mean the same.  Some of its flags say what
the checkpoint's own files say better; those are accepted with a remark.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import words
from gui.cli.finding import lora_of
from gui.cli.options import STOPPED, add_verbose
from gui.convert.types import (
    REPORT,
    TEXT_TOKENS,
    Compression,
    ConvertRequest,
    Ended,
    ImageSize,
    Progress,
    SourceInfo,
)
from gui.coreml.model import Attention, ComponentKind
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import checked, children, exists, is_folder
from gui.names import Reference, folder_name, parse_reference

if TYPE_CHECKING:
    from gui.cli.progress import ProgressLine as Line
    from gui.convert.client import ConvertClient, Outlook


_COMPONENTS = {
    "text_encoder": (ComponentKind.TEXT_ENCODER, ComponentKind.TEXT_ENCODER_2),
    "unet": (ComponentKind.UNET, ComponentKind.REFINER),
    "vae_decoder": (ComponentKind.VAE_DECODER,),
    "vae_encoder": (ComponentKind.VAE_ENCODER,),
    "safety_checker": (ComponentKind.SAFETY_CHECKER,),
}
"""What Apple's ``--convert-…`` flags stand for."""

_FILES_SAY = "the source's own files say it"
_NOT_NEEDED = {
    "--compute-unit": "it is chosen when pictures are made",
    "--text-token-sequence-length": _FILES_SAY,
    "--text-encoder-hidden-size": _FILES_SAY,
    "--text-encoder-vocabulary-url": "the vocabulary comes with Sfumato",
    "--text-encoder-merges-url": "the vocabulary comes with Sfumato",
}
"""Apple's flags whose value is not asked for, and why."""

_ELSEWHERE = {
    "--sd3-version": "Stable Diffusion 3 cannot be converted; SD 1, SD 2 and SDXL can.",
    "--include-t5": "Stable Diffusion 3 cannot be converted; SD 1, SD 2 and SDXL can.",
    "--convert-mmdit": "Stable Diffusion 3 cannot be converted; SD 1, SD 2 and SDXL can.",
}
"""Apple's flags for what is not done here, and what to do instead."""

_FLAGS_ONLY = {"--sd3-version", "--include-t5", "--convert-mmdit"}
_NBITS = {
    1: Compression.PALETTE_1,
    2: Compression.PALETTE_2,
    4: Compression.PALETTE_4,
    6: Compression.PALETTE_6,
    8: Compression.PALETTE_8,
}
_NO_SOURCE = "name a source, before the options: a folder, a file or owner/name."
_TARGETS = {
    "macos13": "macOS13", "macos14": "macOS14", "macos15": "macOS15", "macos26": "macOS26",
    "ios16": "macOS13", "ios17": "macOS14", "ios18": "macOS15", "ios26": "macOS26",
}  # fmt: skip
"""Systems of one year have the same Core ML."""


def add_parser(commands: Any) -> None:
    """Add the command to `sfumato`."""
    parser = commands.add_parser(
        "convert",
        help="turn a Stable Diffusion checkpoint into a Core ML model",
        description="Turn a checkpoint (a diffusers folder, a .safetensors file, or owner/name on "
        "the Hub) into a Core ML model.  The finished folders are printed.",
        epilog="The flag names of Apple's torch2coreml are accepted too.  An interrupted "
        "conversion goes on when the same command is given again; Ctrl-C cancels it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", nargs="?", default="", help="what to convert")
    add("-o", "--output", default="", metavar="DIR",
        help="model folder to make; below DIR where that exists; default: your models")  # fmt: skip
    add("--name", default="", help="name of the model; default: the source's")
    add("--revision", default="", metavar="REV", help="of a model on the Hub; default: the newest")
    add("--attention-implementation", "--attention", dest="attention", type=str.upper,
        choices=[a.value.upper() for a in Attention if a is not Attention.UNKNOWN],
        default=Attention.SPLIT_EINSUM.value.upper(),
        help="SPLIT_EINSUM (Neural Engine, the default), SPLIT_EINSUM_V2 or ORIGINAL (GPU)",
        )  # fmt: skip
    add("--size", nargs="+", action="extend", default=[], metavar="WxH",
        help="picture sizes, multiples of 64; default: the source's own")  # fmt: skip
    add("--latent-h", type=int, metavar="N", help="picture height ÷ 8")
    add("--latent-w", type=int, metavar="N", help="picture width ÷ 8")
    add(
        "--quantize-nbits",
        type=int,
        choices=_NBITS,
        help="bits of a palette for the UNet and the text encoders",
    )
    add("--compression", choices=[c.value for c in Compression], help="of the UNet; default: none")
    add("--chunk-unet", action="store_true", help="the UNet also in two files")
    add("--unet-batch-one", action="store_true", help="guidance in two calls: less memory")
    add("--unet-support-controlnet", action="store_true", help="also a UNet for ControlNets")
    add("--convert-controlnet", nargs="+", action="extend", default=[], metavar="PATH",
        help="ControlNets and T2I-Adapters to convert along")  # fmt: skip
    parts = parser.add_argument_group(
        "parts",
        "By default all that the source has is converted; name parts, and only these are.",
    )
    for name in _COMPONENTS:
        parts.add_argument(f"--convert-{name.replace('_', '-')}", dest=name, action="store_true")
    add("--prediction-type", choices=("epsilon", "v_prediction", "sample"), default="",
        help="what the UNet predicts; default: as the source's files say")  # fmt: skip
    add("--text-tokens", type=int, choices=TEXT_TOKENS, default=TEXT_TOKENS[0],
        help="tokens of text that the UNet reads: 154 for prompts of 150 tokens, 231 for 225; "
        "default: 77, which is 75 of a prompt")  # fmt: skip
    add("--clip-skip", type=int, default=1, metavar="N",
        help="layers from the end that the text encoders shall offer for “clip skip”, for example "
        "2; default: the last one alone")  # fmt: skip
    add("--lora", action="append", default=[], metavar="FILE[:SCALE]", help="fuse a LoRA in first")
    add("--min-deployment-target", type=str.lower, choices=_TARGETS, default="macos13",
        metavar="MACOS", help="oldest macOS that shall run it: macOS13 (default), macOS14, "
        "macOS15, macOS26; or an iOS of the same year: iOS16, iOS17, iOS18, iOS26")  # fmt: skip
    add("--refiner-version", "--refiner", dest="refiner", default="", metavar="SOURCE",
        help="Stable Diffusion XL's refiner to convert along: a folder, a file or owner/name",
        )  # fmt: skip
    add("--custom-vae-version", "--vae", dest="vae", default="", metavar="SOURCE",
        help="a VAE instead of the source's own: a folder, a file or owner/name")  # fmt: skip
    add("--bundle-resources-for-swift-cli", "--compiled", dest="compiled", action="store_true",
        help="also compile for the Swift apps (on a Mac)")  # fmt: skip
    add("--no-check", action="store_true", help="do not compare each part with the original")
    add("--dry-run", action="store_true", help="say what the source is and what it would take")
    add("--json", action="store_true", help="print the report (or the estimate) as JSON")
    add("--quiet", action="store_true", help="no progress")
    add_verbose(parser)
    _apples_other_flags(add)
    parser.set_defaults(run=_convert, parser=parser)


def _apples_other_flags(add: Any) -> None:
    add("--model-version", default="", help=argparse.SUPPRESS)  # Apple's name for the source
    add("--check-output-correctness", action="store_true", help=argparse.SUPPRESS)  # the default
    add("--xl-version", action="store_true", help=argparse.SUPPRESS)  # the files say it
    for flag in _NOT_NEEDED:
        add(flag, help=argparse.SUPPRESS)
    for flag in _ELSEWHERE:
        how: dict[str, Any] = {"action": "store_true"} if flag in _FLAGS_ONLY else {}
        add(flag, help=argparse.SUPPRESS, **how)


def _value(options: argparse.Namespace, flag: str) -> Any:
    return getattr(options, flag[2:].replace("-", "_"))


# The request


def _convert(options: argparse.Namespace) -> int:
    from gui.cli.progress import ProgressLine as Line
    from gui.convert.client import ConvertClient

    try:
        source = _source_text(options)
        request = _request(options)
    except SfumatoError as error:
        options.parser.error(error.message)
    line = Line(sys.stderr, 1, quiet=options.quiet)
    _remark(options, line)
    client = ConvertClient()
    made: list[Path] = []
    try:
        request = _with_source(request, source, options, line)
        info = client.look(request.source)
        request = _completed(request, info, options)
        made = _make_parents(Path(request.output))
        outlook = client.outlook(request)
        line.clear()
        if options.dry_run:
            return _tell(info, request, outlook, options)
        if outlook.refusal is not None:
            raise outlook.refusal
        return _run(client, request, outlook, options, line)
    finally:
        line.clear()
        client.close()
        for folder in made:  # where nothing came of it, nothing is left of it
            with contextlib.suppress(OSError):
                folder.rmdir()


def _source_text(options: argparse.Namespace) -> str:
    """What to convert, as it was given.  Raises SfumatoError."""
    given = [text for text in (options.source, options.model_version) if text]
    if len(given) == 1:
        return given[0]
    message = "name the source once." if given else _NO_SOURCE
    raise SfumatoError(ErrorKind.BAD_REQUEST, message)


def _request(options: argparse.Namespace) -> ConvertRequest:
    """The request a command line means, source, output and name still open.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    for flag, advice in _ELSEWHERE.items():
        if _value(options, flag):
            raise SfumatoError(ErrorKind.BAD_REQUEST, f"{flag} is not possible.  {advice}")
    if options.quantize_nbits and options.compression:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, "--quantize-nbits and --compression say the same; give one."
        )
    compression = Compression(options.compression or Compression.NONE)
    if options.quantize_nbits:
        compression = _NBITS[options.quantize_nbits]
    return ConvertRequest(
        source="",
        output=options.output,
        name=options.name,
        attention=Attention(options.attention.lower()),
        sizes=_sizes(options),
        unet_batch=1 if options.unet_batch_one else 2,
        chunked=options.chunk_unet,
        keep_whole=options.chunk_unet,  # as Apple's converter does, whose flag it is
        evenly=bool(options.quantize_nbits),
        compression=compression,
        target=_TARGETS[options.min_deployment_target],
        loras=tuple(lora_of(text) for text in options.lora),
        controlnets=tuple(str(checked(path)) for path in options.convert_controlnet),
        control_ready=options.unet_support_controlnet,
        prediction_type=options.prediction_type,
        compiled=options.compiled,
        check=not options.no_check,
        text_tokens=options.text_tokens,
        clip_skip=options.clip_skip,
    )


def _sizes(options: argparse.Namespace) -> tuple[ImageSize, ...]:
    from gui.state.convert.options import parse_sizes

    try:
        sizes = parse_sizes(",".join(options.size))
    except ValueError as error:
        raise SfumatoError(ErrorKind.BAD_REQUEST, str(error)) from error
    if options.latent_h is None and options.latent_w is None:
        return sizes
    if sizes:
        raise SfumatoError(ErrorKind.BAD_REQUEST, "Give either --size or --latent-h and -w.")
    given = [side for side in (options.latent_h, options.latent_w) if side is not None]
    if any(side % 8 or side < 8 for side in given):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, "--latent-h and --latent-w must be multiples of 8; give others."
        )
    if len(given) < 2:
        return ()  # the other side is the source's, see `_completed`
    height, width = given
    return (ImageSize(8 * width, 8 * height),)


def _remark(options: argparse.Namespace, line: Line) -> None:
    for flag, why in _NOT_NEEDED.items():
        if _value(options, flag):
            line.line(f"{flag} is not needed: {why}.")
    if options.xl_version:
        line.line("--xl-version is not needed: the family is recognised from the files.")


def _with_source(
    request: ConvertRequest, source: str, options: argparse.Namespace, line: Line
) -> ConvertRequest:
    """The request with its sources on this disk, fetched from the Hub where they are not."""
    more = {
        name: _on_disk(text, line) if text else ""
        for name, text in (("vae", options.vae), ("refiner", options.refiner))
    }
    request = dataclasses.replace(request, **more)
    path = checked(source)
    if exists(path):
        return dataclasses.replace(request, source=str(path))
    named = _repository(source)
    from gui.cli.fetch import begun_source, fetch_source

    repo, revision = named.repo, options.revision or named.revision
    output = _output(request.output, request.name or _name_in(repo))
    begun = begun_source(output, repo, revision)
    folder, revision = begun or fetch_source(repo, revision, line)
    return dataclasses.replace(request, source=folder, source_repo=repo, source_revision=revision)


def _on_disk(text: str, line: Line) -> str:
    """A further source on this disk, fetched from the Hub where it is not."""
    path = checked(text)
    if exists(path):
        return str(path)
    from gui.cli.fetch import fetch_source

    named = _repository(text)
    folder, _ = fetch_source(named.repo, named.revision, line)
    return folder


def _repository(text: str) -> Reference:
    """What names a source that is not on this disk.  Raises SfumatoError, NOT_FOUND."""
    named = parse_reference(text)
    if named is None:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no file or folder {text}; check the path, or name a model on the Hub.",
            str(checked(text)),
        )
    return named


def _completed(
    request: ConvertRequest, info: SourceInfo, options: argparse.Namespace
) -> ConvertRequest:
    """The request with what only the source could tell: components, name and place."""
    wanted = [
        kind for name, kinds in _COMPONENTS.items() if getattr(options, name) for kind in kinds
    ]
    components = tuple(kind for kind in info.components if kind in wanted)
    if wanted and not components:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The source has none of the parts asked for; leave the --convert options out.",
        )
    name = request.name or _name_in(request.source_repo) or info.name
    if (options.latent_h is None) != (options.latent_w is None):  # one side is given
        width = options.latent_w * 8 if options.latent_w else info.size.width
        height = options.latent_h * 8 if options.latent_h else info.size.height
        request = dataclasses.replace(request, sizes=(ImageSize(width, height),))
    return dataclasses.replace(
        request, components=components, name=name, output=str(_output(request.output, name))
    )


def _name_in(repo: str) -> str:
    return repo.partition("/")[2]


def _output(text: str, name: str) -> Path:
    """The model folder to make."""
    from gui import paths

    plain = folder_name(name)
    if not text:
        return paths.models_dir() / plain
    folder = checked(text)
    # One that holds a model (or one per size) is that model's, and the converter refuses it.
    if not is_folder(folder) or exists(folder / REPORT):
        return folder
    return folder if any(c.suffix.startswith(".ml") for c in children(folder)) else folder / plain


def _make_parents(folder: Path) -> list[Path]:
    """Make the folders above a model's; returns those that were not there, the inner ones first.

    Raises:
        SfumatoError: STORAGE.
    """
    try:
        missing = [parent for parent in folder.parents if not parent.exists()]
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(
            error, f"The folder {folder.parent} cannot be made", then="try again, or give -o"
        ) from error
    return missing


# Doing it


def _tell(
    info: SourceInfo, request: ConvertRequest, outlook: Outlook, options: argparse.Namespace
) -> int:
    """What a dry run prints."""
    refusal = outlook.refusal
    if options.json:
        answer = {
            "source": info.to_json(),
            "request": request.to_json(),
            "estimate": outlook.estimate.to_json(),
            "refusal": refusal.to_json() if refusal else None,
        }
        print(json.dumps(answer, indent=1))
    else:
        print("\n".join(_lines(info, request, outlook)))
    if refusal is not None:
        print(f"sfumato: {refusal.message}", file=sys.stderr)
    return 1 if refusal is not None else 0


def _lines(info: SourceInfo, request: ConvertRequest, outlook: Outlook) -> Sequence[str]:
    from gui.state.convert import options as choices

    estimate = outlook.estimate
    sizes = request.sizes or (info.size,)
    parts = request.components or info.components
    lines = [
        f"{info.name}  ({info.path})",
        f"  source       {choices.facts_line(info)}",
        f"  parts        {', '.join(map(words.component, parts))}",
        f"  makes        {request.output}",
        f"  pictures     {', '.join(words.pixels(s.width, s.height) for s in sizes)} pixels",
        f"  attention    {words.attention(request.attention)}",
        f"  compression  {choices.compression_text(request.compression)}",
        f"  on disk      {words.size(estimate.disk_bytes)}"
        f" ({words.size(estimate.scratch_bytes)} more while converting)",
        f"  memory       {words.memory(estimate.memory_bytes)}",
        f"  time         {words.duration(estimate.seconds)}, roughly",
    ]
    return lines + [f"  note: {note}" for note in (*info.notes, *estimate.warnings)]


def _run(
    client: ConvertClient,
    request: ConvertRequest,
    outlook: Outlook,
    options: argparse.Namespace,
    line: Line,
) -> int:
    for warning in outlook.estimate.warnings:
        line.line(warning)
    asked = [0]

    def stop(*_: object) -> None:
        asked[0] += 1
        line.text("cancelling (Ctrl-C again: at once)")
        if asked[0] > 1:
            client.abandon()

    handlers = {
        signal.SIGINT: signal.signal(signal.SIGINT, stop),
        # Told to end by the system: what is finished stays, for another day.
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: client.abandon()),
    }
    reporter = _Reporter(line, quiet=options.quiet)
    try:
        ended = client.convert(request, reporter.show, lambda: asked[0] > 0, outlook.estimate)
    finally:
        line.clear()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return _finish(ended, request, options, line)


def _finish(ended: Ended, request: ConvertRequest, options: argparse.Namespace, line: Line) -> int:
    from gui.convert.client import partial_folder

    if ended.report is not None:
        report = ended.report
        for warning in report.warnings:
            line.line(warning)
        print(json.dumps(report.to_json()) if options.json else "\n".join(report.folders))
        return 0
    if ended.cancelled or ended.error is None:
        line.line("Cancelled; nothing was kept.")
        return STOPPED
    refused = ended.error.kind is ErrorKind.BAD_REQUEST  # what is there is another conversion's
    if partial_folder(request.output).is_dir() and not refused:
        line.line("Finished parts are kept: give the same command again to go on.")
    raise ended.error


class _Reporter:
    """Progress on the terminal.

    Args:
        line: where it shows.
        quiet: nothing shows.
    """

    def __init__(self, line: Line, *, quiet: bool) -> None:
        self._line = line
        self._quiet = quiet
        self._began: tuple[float, float] | None = None

    def show(self, progress: Progress) -> None:
        from gui.state.convert import options as choices

        if self._quiet:
            return
        if progress.resumed:
            self._line.line(f"{progress.component}: already converted.")
        elif progress.parity is not None:
            parity = progress.parity
            said = choices.parity_text(parity.psnr, parity.threshold)
            self._line.line(f"{progress.component}: {said}.")
        number = min(progress.index + 1, progress.total)
        text = f"{progress.step} {progress.component} ({number} of {progress.total})"
        self._line.bar(progress.fraction, text + self._left(progress))

    def _left(self, progress: Progress) -> str:
        """Time left, once some of the work has been seen."""

        now = time.monotonic()
        if self._began is None or progress.resumed:
            self._began = (now, progress.fraction)
        began, before = self._began
        done = progress.fraction - before
        if done < 0.05:
            return ""
        left = (now - began) / done * (1 - progress.fraction)
        return f", {words.left(left)}"
