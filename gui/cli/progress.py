"""Progress on stderr: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import TextIO

from gui import words
from gui.cli import json_lines
from gui.cli.json_lines import ProgressKind

_BAR = 24
_QUIET_SECONDS = 5.0
"""Least time between two plain lines."""


def say(text: str) -> None:
    """One line for the person at the terminal, beside what the command prints."""
    print(f"sfumato: {text}", file=sys.stderr, flush=True)


class ProgressLine:
    """Shows where a job stands.

    Args:
        stream: usually stderr.
        count: number of pictures.
        quiet: show nothing but `line`.
    """

    def __init__(self, stream: TextIO, count: int, *, quiet: bool = False) -> None:
        self._stream = stream
        self._count = count
        self._quiet = quiet
        self._terminal = stream.isatty()
        self._shown = 0  # characters of the line that is up
        self._last = 0.0

    def loading(self, component: str, index: int, total: int, preparing: bool = False) -> None:
        part = f"{words.component(component)} ({index + 1} of {total})"
        why = ": Core ML prepares it for the Neural Engine, once, in a minute or two"
        self.text(f"loading {part}{why if preparing else ''}")

    def step(self, picture: int, step: int, steps: int, seconds_per_step: float) -> None:
        left = (steps - step + (self._count - 1 - picture) * steps) * seconds_per_step
        which = f"picture {picture + 1} of {self._count}, " if self._count > 1 else ""
        figures = (f"step {step} of {steps}", words.speed(seconds_per_step), words.left(left))
        told = ", ".join(figure for figure in figures if figure)
        self.text(f"{self._bar(step / steps)}{which}{told}")

    def bar(self, fraction: float, text: str) -> None:
        """Show how much of something is done, 0 to 1."""
        self.text(f"{self._bar(fraction)}{words.percent(fraction)}, {text}")

    def _bar(self, fraction: float) -> str:
        if not self._terminal:
            return ""
        filled = int(_BAR * fraction)
        return "▕" + "█" * filled + "·" * (_BAR - filled) + "▏ "

    def text(self, text: str) -> None:
        """Show a passing state."""
        if self._quiet:
            return
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            text = text[:width]
            self._stream.write("\r" + text.ljust(self._shown))
            self._shown = len(text)
        elif time.monotonic() - self._last >= _QUIET_SECONDS or not self._last:
            self._last = time.monotonic()
            self._stream.write(text + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the passing state away."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0

    def line(self, text: str) -> None:
        """Say something that stays."""
        self.clear()
        self._stream.write(f"sfumato: {text}\n")
        self._stream.flush()


class JsonProgress(ProgressLine):
    """The same as lines of JSON on stdout."""

    def __init__(self, count: int) -> None:
        super().__init__(sys.stderr, count, quiet=True)

    def loading(self, component: str, index: int, total: int, preparing: bool = False) -> None:
        more = {"preparing": True} if preparing else {}
        json_lines.tell("loading", component=component, index=index, total=total, **more)

    def step(self, picture: int, step: int, steps: int, seconds_per_step: float) -> None:
        json_lines.tell(
            "step", picture=picture, step=step, steps=steps, seconds_per_step=seconds_per_step
        )

    def bar(self, fraction: float, text: str) -> None:
        json_lines.tell("pieces", fraction=fraction, text=text)

    def line(self, text: str) -> None:
        json_lines.tell("note", text=text)


def progress_of(options: argparse.Namespace, count: int) -> ProgressLine:
    """What the options of `json_lines.add_options` mean."""
    if options.progress is ProgressKind.JSON:
        return JsonProgress(count)
    quiet = options.quiet or options.progress is ProgressKind.NONE
    return ProgressLine(sys.stderr, count, quiet=quiet)
