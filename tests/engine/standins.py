"""Stand-in pipelines for the real engine process.

`SFUMATO_ENGINE_STANDIN=tests.engine.standins:backend` makes the child use them.  What they do is
written in the prompt, so that one engine can be driven through several jobs:

    "steps=4 sleep=0.01"    four steps of 10 ms
    "hold=0.5"              each step holds the interpreter lock, as Core ML's calls do
    "crash_at=2"            the process aborts after step 2
    "crash_once=FILE"       aborts after the first picture unless FILE exists, and creates it
    "hang_at=2"             never comes back from step 2
    "error=storage"         fails with that kind of SfumatoError
    "raise=text"            an exception nobody foresaw
    "size=64" "load=0.2"    pixels per side; seconds per component while loading
    "measured=HASH"         the Neural Engine was measured to be quickest for the model
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.request import ComputeUnit, PictureRecord, PictureRequest


def hold_interpreter(seconds: float) -> None:
    """Sleep in C without releasing the GIL."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def options(prompt: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in prompt.split() if "=" in word)


@dataclass
class StandinPicture:
    pixels: np.ndarray
    record: PictureRecord


class StandinPipeline:
    def __init__(self, load: float, hold: float) -> None:
        self._load = load
        self._hold = hold
        self._have: set[str] = set()

    def load(self, on_loading: Callable[[str, int, int], None], request: PictureRequest) -> None:
        names = [n for n in ("text_encoder", "unet", "vae_decoder") if n not in self._have]
        for index, name in enumerate(names):
            on_loading(name, index, len(names))
            self._have.add(name)
            if self._hold:
                hold_interpreter(self._hold)
            time.sleep(self._load)

    def generate(self, request: PictureRequest, hooks: Any) -> Iterator[StandinPicture]:
        wishes = options(request.prompt)
        for index in range(request.count):
            single = request.single(index)
            self._picture_steps(index, request, wishes, hooks)
            size = int(wishes.get("size", 16))
            pixels = np.full((size, size, 3), single.seed % 251, np.uint8)
            alone = replace(single, steps=request.steps or 3)
            yield StandinPicture(pixels, PictureRecord(alone, size, size, "standin"))
            marker = wishes.get("crash_once")
            if marker and not Path(marker).exists():
                Path(marker).touch()
                os.abort()

    def _picture_steps(
        self, index: int, request: PictureRequest, wishes: dict[str, str], hooks: Any
    ) -> None:
        steps = int(wishes.get("steps", 3))
        size = int(wishes.get("size", 16))
        if "error" in wishes:
            raise SfumatoError(ErrorKind(wishes["error"]), "A sentence for a person.", "detail")
        if "raise" in wishes:
            raise RuntimeError(wishes["raise"])
        for step in range(1, steps + 1):
            if hooks.cancelled():
                raise Cancelled
            if "hold" in wishes:
                hold_interpreter(float(wishes["hold"]))
            time.sleep(float(wishes.get("sleep", 0)))
            preview = None
            if request.previews:
                preview = np.full((size, size, 3), (step, index, 7), np.uint8)
            hooks.on_step(index, step, steps, preview)
            if int(wishes.get("hang_at", 0)) == step:
                hold_interpreter(0.9)
                while True:
                    hold_interpreter(0.9)
            if int(wishes.get("crash_at", 0)) == step:
                os.abort()

    def close(self) -> None:
        pass


class StandinChoice:
    width = height = 16
    name = "standin"
    sparing = False

    def __init__(self, request: PictureRequest) -> None:
        if request.model == "missing":
            raise SfumatoError(ErrorKind.BAD_MODEL, "There is no model in this folder.")
        wishes = options(request.prompt)
        self.key = request.model, request.compute_unit
        self._load = float(wishes.get("load", 0))
        self._hold = float(wishes.get("hold", 0))
        if "measured" in wishes:
            self.measured = (wishes["measured"], ComputeUnit.CPU_AND_NE)

    measured: tuple[str, ComputeUnit] | None = None

    def prepares(self, component: str) -> bool:
        return False

    def build(self) -> StandinPipeline:
        return StandinPipeline(self._load, self._hold)


class StandinBackend:
    runtime = "standin"

    def versions(self) -> dict[str, str]:
        return {"standin": "1"}

    def find(self, request: PictureRequest) -> StandinChoice:
        return StandinChoice(request)


def backend() -> StandinBackend:
    return StandinBackend()


def crashing_backend() -> StandinBackend:
    """An engine that dies before it is ready."""
    os.abort()


def slow_backend() -> StandinBackend:
    """An engine that never becomes ready."""
    time.sleep(60)
    return StandinBackend()
