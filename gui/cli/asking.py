"""What a command line asks for: the options that make a request, shared by `generate` and
`queue add`."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gui.axes import Axis, axis_named, each_alternative, make_grid, parse_axis
from gui.cli.controls import add_control_options, controls_of
from gui.cli.finding import lora_use_of, model_folder
from gui.cli.options import add_precision
from gui.cli.parameters import add_parameters, branch_of, request_of
from gui.coreml.precision import check_precision
from gui.errors import ErrorKind, SfumatoError
from gui.files import checked, children, is_folder
from gui.grid import Grid
from gui.library.picture_forms import is_picture_name
from gui.request import PictureRequest, Precision

_SUFFIXES = {"packages": ".mlpackage", "compiled": ".mlmodelc"}


def add_options(parser: Any) -> None:
    """Give a parser the options that a request is made of."""
    add = parser.add_argument
    add("words", metavar="PROMPT", nargs="?", default="", help="the prompt, as Swift's tool has it")
    add_parameters(parser)
    add_control_options(parser)
    add("--branch-from", default="", metavar="PICTURE",
        help="go on from a step of a picture that Sfumato made; options that are given count from "
             "there on, all others stay as they were")  # fmt: skip
    add("--at-step", type=int, default=None, metavar="K",
        help="the last step that is made as it was; needs --branch-from")  # fmt: skip
    add(
        "--model",
        "-i",
        "--resource-path",
        default="",
        metavar="MODEL",
        help="the model's folder, or its name in `models list`; default: the starter model",
    )
    add("--variant", default="", metavar="ID", help="which one, where several are installed")
    add("--model-sources", choices=("packages", "compiled"),
        help="which files to use where the folder holds both")  # fmt: skip
    add("-o", "--output", "--output-path", default="", metavar="FILE|DIR",
        help="a name ending in .png: that file, replaced if it exists; anything else: a folder; "
             "default: a folder per day in your pictures folder")  # fmt: skip
    add("--lora", action="append", default=[], metavar="NAME[:WEIGHT[:TEXT-WEIGHT]]",
        help="a LoRA by its name in the LoRAs folder, or a file; may be given several times, and "
             "named in the prompt as <lora:name:0.8>")  # fmt: skip
    add("--reduce-memory", action="store_true",
        help="have one network in memory at a time, which takes longer; happens by itself where "
             "memory is short")  # fmt: skip
    add_precision(parser, Precision.FP32)
    for flag, what in (("--columns", "from column to column"), ("--rows", "from row to row")):
        add(
            flag,
            metavar="NAME=LIST",
            help=f"make a grid: what changes {what}, like steps=10,20,30, guidance=5-9:1, "
            '"scheduler=Euler a, DDIM", model=…, or prompt for its own {a|b}; a contact sheet is '
            "saved too",
        )


def base_request(options: argparse.Namespace) -> PictureRequest:
    """The request a command line means, but for the model, which is looked for last.

    Raises:
        SfumatoError: BAD_REQUEST.
    """
    if options.words and options.prompt is not None:
        raise SfumatoError(ErrorKind.BAD_REQUEST, "The prompt was given twice; give it once.")
    options.prompt = options.words or options.prompt
    earlier = branch_of(options)
    if options.prompt is None and earlier is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, 'There is no prompt; add one, for example: --prompt "a fox".'
        )
    file, folder = _output(options.output)
    if options.rows and not options.columns:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, "A grid has columns first; give --columns, or it instead."
        )
    check_precision(options.precision)
    request = request_of(options, earlier)
    request = dataclasses.replace(
        request,
        controls=controls_of(options) or request.controls,
        loras=tuple(lora_use_of(text) for text in options.lora) or request.loras,
        output_dir=folder,
        output_file=file,
        reduce_memory=options.reduce_memory,
        precision=options.precision,
    )
    request.validate()
    return request


def with_model(request: PictureRequest, options: argparse.Namespace) -> PictureRequest:
    """With the model that is asked for.

    Raises:
        SfumatoError: there is none of that name, or there are several.
    """
    if not options.model:
        return request
    folder = model_folder(options.model, options.variant)
    if options.model_sources:
        folder = _with_sources(folder, options.model_sources)
    return request.with_all(model=str(folder))


def expanded(
    request: PictureRequest, options: argparse.Namespace
) -> tuple[Grid | None, list[PictureRequest]]:
    """The requests that one stands for: a grid's cells, or one for each combination of its
    alternatives.

    Raises:
        SfumatoError: BAD_REQUEST, saying what of it is wrong.
    """
    axes: list[Axis] = []
    for text in (options.columns, options.rows):
        if text:
            name, _, values = text.partition("=")
            field = axis_named(name)
            group = sum(axis.field == field for axis in axes)
            axes.append(parse_axis(field, values, request, _named_model, group))
    grid: Grid | None = None
    if axes:
        grid, requests = make_grid(request, *axes)
    else:
        requests = each_alternative(request)
    if len(requests) > 1 and request.output_file:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"These are {len(requests)} requests, which have no room in one file; give a folder "
            "with -o.",
        )
    return grid, requests


def _named_model(text: str) -> tuple[str, str]:
    """A model's folder and name; “starter” is the one that comes with the app."""
    if text.casefold() in ("starter", "sfumato starter"):
        return "", "Sfumato Starter"
    folder = model_folder(text, "")
    return str(folder), folder.name


def _output(text: str) -> tuple[str, str]:
    """``-o`` as exact file and folder, one of them empty."""
    if not text:
        return "", ""
    path = checked(text)
    if text.endswith(os.sep) or is_folder(path):
        return "", str(path)
    if path.suffix.lower() == ".png":
        return str(path), ""
    if is_picture_name(path.name):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"Pictures are PNG files; give a name that ends in .png, not “{path.name}”.",
        )
    return "", str(path)


def _with_sources(folder: Path, sources: str) -> Path:
    """The folder inside `folder` (or itself) that holds packages, or compiled models.

    Raises:
        SfumatoError: BAD_MODEL where there is none, or more than one.
    """
    suffix = _SUFFIXES[sources]
    found = [f for f in _folders(folder, depth=2) if any(_with_suffix(f, suffix))]
    if folder in found:
        return folder
    if len(found) == 1:
        return found[0]
    if not found:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"There are no {suffix} files in {folder}; choose another folder."
        )
    names = ", ".join(str(f.relative_to(folder)) for f in found)
    raise SfumatoError(
        ErrorKind.BAD_MODEL, f"There are several models in {folder}; choose one of {names}."
    )


def _folders(folder: Path, depth: int) -> Iterable[Path]:
    yield folder
    if depth:
        for child in children(folder):
            if is_folder(child) and child.suffix not in _SUFFIXES.values():
                yield from _folders(child, depth - 1)


def _with_suffix(folder: Path, suffix: str) -> Iterable[Path]:
    return (child for child in children(folder) if child.suffix == suffix)
