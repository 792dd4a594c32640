"""Stand-in converters for the real converter process.

`SFUMATO_CONVERTER_STANDIN=tests.support.fake_converter:backend` makes the child use them.  What a
source is, and what becomes of it, is written in the source file's own text:

    "sleep=0.05"        seconds per component
    "go=/a/file"        from component 2 on, waits for that file; a cancel is heeded meanwhile
    "look=/a/file"      looking at the source waits for that file
    "hang_at=2"         never comes back from component 2 (from 1)
    "kill_at=2"         the process is killed there, as when the memory runs out
    "crash_at=2"        the process aborts there
    "error=storage"     the conversion fails with that kind of SfumatoError
    "refuse=text"       the check refuses, with _ for spaces
    "foreign"           no checkpoint at all: looking fails
    "psnr=30"           parity of the UNet

A finished component leaves a file in the work folder, and is not made again.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from gui.convert.client import JOURNAL, partial_folder
from gui.convert.types import (
    ComponentKind,
    ConvertReport,
    ConvertRequest,
    Estimate,
    Family,
    ImageSize,
    Parity,
    Progress,
    SourceInfo,
    Step,
)
from gui.errors import Cancelled, ErrorKind, SfumatoError

COMPONENTS = ("Text encoder", "UNet", "VAE decoder", "VAE encoder")
KINDS = (
    ComponentKind.TEXT_ENCODER,
    ComponentKind.UNET,
    ComponentKind.VAE_DECODER,
    ComponentKind.VAE_ENCODER,
)


def options(path: str) -> dict[str, str]:
    if Path(path).is_dir():
        return {}
    pairs = (word.partition("=") for word in Path(path).read_text().split())
    return {name: value for name, _, value in pairs}


class FakeConverter:
    def look(self, path: Path) -> SourceInfo:
        if not path.exists():
            raise SfumatoError(ErrorKind.STORAGE, f"“{path.name}” is not there; choose another.")
        if "foreign" in options(str(path)):
            message = "This is a Flux model, which Sfumato cannot convert; choose another."
            raise SfumatoError(ErrorKind.UNSUPPORTED, message)
        wanted = options(str(path))
        while "look" in wanted and not Path(wanted["look"]).exists():
            time.sleep(0.01)
        family = Family.SDXL if "xl" in path.name else Family.SD1
        side = 1024 if family is Family.SDXL else 512
        return SourceInfo(
            str(path), path.stem, True, family, "epsilon", KINDS, ImageSize(side, side),
            1_066_000_000, 860_000_000, 2_132_000_000,
        )  # fmt: skip

    def estimate(self, request: ConvertRequest, info: SourceInfo) -> Estimate:
        packed = 1.0 if request.compression == "none" else 0.4
        return Estimate(
            int(2_600_000_000 * packed), 3_000_000_000, 7_500_000_000, 420.0,
            90_000_000_000, 16_000_000_000,
        )  # fmt: skip

    def check(self, request: ConvertRequest, info: SourceInfo) -> None:
        refusal = options(request.source).get("refuse")
        if refusal is not None:
            raise SfumatoError(ErrorKind.BAD_REQUEST, refusal.replace("_", " "))
        for size in request.sizes:
            if size.width % 64 or size.height % 64:
                raise SfumatoError(ErrorKind.BAD_REQUEST, f"{size} is no multiple of 64.")

    def run(
        self,
        request: ConvertRequest,
        on_progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> ConvertReport:
        began = time.monotonic()
        wanted = options(request.source)
        if "error" in wanted:
            kind = ErrorKind(wanted["error"])
            raise SfumatoError(kind, "The disk is full; free some space and go on.", "a detail")
        work = partial_folder(request.output)
        work.mkdir(parents=True, exist_ok=True)
        (work / JOURNAL).write_text(json.dumps({"request": request.to_json()}))
        parities = []
        for index, name in enumerate(COMPONENTS):
            made = work / f"{KINDS[index].value}.mlpackage"
            total = len(COMPONENTS)
            if made.exists():
                on_progress(Progress(name, Step.READING, index + 1, total, (index + 1) / total,
                                     resumed=True))  # fmt: skip
                continue
            for step in (Step.READING, Step.TRACING, Step.CONVERTING):
                on_progress(Progress(name, step, index, total, index / total, f"{name}: {step}"))
                while True:
                    if cancelled():
                        raise Cancelled
                    if index == 0 or "go" not in wanted or Path(wanted["go"]).exists():
                        break
                    time.sleep(0.02)
                time.sleep(float(wanted.get("sleep", "0")) / 3)
            misbehave(wanted, index + 1)
            made.mkdir()
            psnr = float(wanted.get("psnr", "72")) if name == "UNet" else 80.0
            warning = "Less alike than it should be." if psnr < 35 else ""
            parity = Parity(KINDS[index], made.name, psnr, 0.001, 35.0, "Both on noise.", warning)
            parities.append(parity)
            on_progress(Progress(name, Step.CHECKING, index + 1, total, (index + 1) / total,
                                 parity=parity))  # fmt: skip
        work.rename(request.output)
        info = self.look(Path(request.source))
        return ConvertReport(request, info, (request.output,), tuple(parities),
                             time.monotonic() - began, 10**9, 2 * 10**9, {})  # fmt: skip


def misbehave(wanted: dict[str, str], number: int) -> None:
    if wanted.get("hang_at") == str(number):
        time.sleep(600)
    if wanted.get("kill_at") == str(number):
        os.kill(os.getpid(), signal.SIGKILL)
    if wanted.get("crash_at") == str(number):
        os.abort()


def backend() -> FakeConverter:
    return FakeConverter()
