"""Options that several commands share, in one wording."""

from __future__ import annotations

import argparse
import math
from typing import Any

from gui.request import ComputeUnit, Precision

STOPPED = 130
"""Exit code that shells report for a program ended by Ctrl-C."""


def add_verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verbose", action="store_true", help="technical details of an error")


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """What every command has that makes new pictures of ``files``: the pictures, ``output``,
    ``compute_unit`` and ``list``."""
    add = parser.add_argument
    add("files", metavar="FILE", nargs="*", help="pictures of any usual format")
    add("-o", "--output", default="", metavar="DIR", help="folder for the new files")
    add("--compute-unit", type=ComputeUnit, choices=[*ComputeUnit], default=ComputeUnit.ALL,
        metavar="UNIT",
        help="processors that Core ML may use: " + ", ".join(ComputeUnit))  # fmt: skip
    add("--list", action="store_true", help="say what there is to choose from")


def add_precision(parser: Any, default: Precision | None) -> None:
    """``precision``, of commands that run models.

    Args:
        default: None: the person's own setting.
    """
    parser.add_argument(
        "--precision",
        type=Precision,
        choices=[*Precision],
        default=default,
        metavar="NAME",
        help="what the portable runtime computes in, where the processor has it: fp32, or bf16, "
        "which is quicker and less exact (about 45 dB beside fp32 for each network); default: "
        + (default.value if default else "as in Settings"),
    )


def seconds(text: str) -> float:
    """The type of an option: how long."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
    return value


def gigabytes(text: str) -> int:
    """The type of an option: a size in GB, as bytes."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 10000, not {text!r}")
    return round(value * 10**9)


def port(text: str) -> int:
    """The type of an option: where something listens; 0 is the usual or a free one."""
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text!r}")
    return int(text)
