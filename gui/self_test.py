"""``--self-test``: does this copy of Sfumato have everything it needs, and can it make a picture?

Runs in the finished bundle on the machine that built it, in a wheel and in a checkout.  Prints one
line per check.  It catches everything, because an exception that leaves a bundle's main program
opens a dialog that waits for a person.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gui
from gui import paths, records, versions, words
from gui.records import Record

ENGINE_MODULES = (
    "numpy", "scipy.integrate", "PIL.Image", "torch", "safetensors.torch", "tokenizers",
    "transformers", "diffusers", "coremltools", "huggingface_hub", "google.protobuf",
    "gui.engine.server", "gui.pipeline.pipeline", "gui.library.pictures", "gui.library.queue",
    "gui.coreml.portable", "gui.coreml.native", "gui.coreml.inspect",
    "gui.coreml.service",
    "pillow_heif", "watchfiles", "gui.library.picture_reader",
    "c2pa", "cryptography.x509", "gui.library.export.writing", "gui.library.export.credentials",
    "keyring", "gui.hub.service", "gui.convert.service",
)  # fmt: skip
WINDOW_MODULES = (
    "PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtSvg", "PySide6.QtNetwork",
    "PySide6.QtPrintSupport",
    "sqlite3", "ssl", "ctypes", "multiprocessing.connection", "gui.app", "gui.cli.main", "gui.mac",
)  # fmt: skip

RESOURCES = (
    "LICENSES.md", "icon.png", "tokenizer/vocab.json", "tokenizer/merges.txt", "starter-model",
)  # fmt: skip

PROMPT = "a red apple on blue"
SECONDS = 600.0
"""How long the first picture, or a small conversion, may take on a slow machine, loading included.
"""


class CheckError(Exception):
    """A check did not hold; the text says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check, even after one failed.  Returns 0 when all hold, 1 otherwise; never raises.

    Args:
        arguments: ``--no-picture`` leaves out the checks that run our other processes;
            ``--report FILE`` also writes what was found as JSON.
    """
    parser = argparse.ArgumentParser(prog="sfumato --self-test")
    parser.add_argument("--no-picture", action="store_true", help="don't run the other processes")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report as JSON")
    options = parser.parse_args(arguments)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("program", _program),
        ("resources", _resources),
        ("window modules", lambda: _modules(WINDOW_MODULES)),
        ("engine modules", lambda: _modules(ENGINE_MODULES + _native_modules())),
        ("window system", _window_system),
        ("certificates", _certificates),
        ("starter model", _starter_model),
    ]
    if not options.no_picture:
        checks += [("models", _reading), ("hub", _hub), ("conversion", _conversion)]
        checks += [("picture", _picture)]
    results = [_run(name, check) for name, check in checks]
    failed = sum(not result.passed for result in results)
    if options.report is not None:
        _write(options.report, results)
    print("self-test passed" if not failed else f"self-test FAILED: {failed} of {len(checks)}")
    return 1 if failed else 0


@dataclass(frozen=True)
class Result(Record):
    """What one check came to."""

    name: str
    passed: bool
    said: str
    seconds: float


@dataclass(frozen=True)
class Report(Record):
    """The whole self-test, to be sent by who ran it: nothing in it names a person."""

    version: str
    system: str
    passed: bool
    checks: tuple[Result, ...]


def _write(path: Path, results: Sequence[Result]) -> None:
    passed = all(result.passed for result in results)
    report = Report(gui.__version__, versions.system(), passed, tuple(results))
    try:
        path.write_text(records.dumps(report, indent=2) + "\n")
    except OSError as error:
        print(f"The report could not be written: {error}", file=sys.stderr)


def _run(name: str, check: Callable[[], str]) -> Result:
    started = time.monotonic()
    try:
        said = check()
    except BaseException as error:  # SystemExit too: a module may try to quit at import
        if isinstance(error, KeyboardInterrupt):
            raise
        said = f"{type(error).__name__}: {error}"
        print(f"FAILED {name}: {said}", flush=True)
        if not isinstance(error, CheckError):
            traceback.print_exc()
        return Result(name, False, said, time.monotonic() - started)
    taken = time.monotonic() - started
    print(f"ok     {name}: {said} ({words.measured(taken)})", flush=True)
    return Result(name, True, said, taken)


def _program() -> str:
    kind = "bundle" if getattr(sys, "frozen", None) else "source or wheel"
    return (
        f"Sfumato {gui.__version__} ({kind}), Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()} {platform.machine()}"
    )


def _resources() -> str:
    missing = [name for name in RESOURCES if not paths.resource(name).exists()]
    if missing:
        raise CheckError(f"missing below {paths.resource_root()}: {', '.join(missing)}")
    return f"{len(RESOURCES)} found in {paths.resource_root()}"


def _modules(names: Sequence[str]) -> str:
    for name in names:
        importlib.import_module(name)
    return f"{len(names)} imported"


def _native_modules() -> tuple[str, ...]:
    """Core ML's bindings and the keychain's exist on a Mac only; coremltools itself imports
    without them."""
    if sys.platform != "darwin":
        return ()
    return ("coremltools.libcoremlpython", "keyring.backends.macOS")


def _window_system() -> str:
    """Start Qt, on the real platform where there is one, and draw with what the app draws with."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QImageReader, QPixmap
    from PySide6.QtWidgets import QApplication

    application = QApplication.instance() or QApplication([])
    formats = {bytes(name.data()).decode() for name in QImageReader.supportedImageFormats()}
    if absent := {"png", "jpeg", "svg"} - formats:
        raise CheckError(f"Qt cannot read {', '.join(sorted(absent))}")
    icon = QPixmap(str(paths.resource("icon.png")))
    if icon.isNull():
        raise CheckError("the app icon cannot be read")
    return f"{QApplication.platformName()}, {type(application).__name__}"


def _certificates() -> str:
    """An HTTPS client can be made (none is used)."""
    import ssl

    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    count = len(context.get_ca_certs())
    if not count:
        raise CheckError("no certificate authorities were found")
    return f"{count} authorities"


def _starter_model() -> str:
    from gui.coreml.inspect import inspect_model

    info = inspect_model(paths.starter_model())
    if info.problems:
        raise CheckError(" ".join(str(problem) for problem in info.problems))
    return f"{len(info.components)} components"


@contextlib.contextmanager
def _limited(end: Callable[[], object], close: Callable[[], object]) -> Iterator[None]:
    """Work with a process of ours, which is ended under it after `SECONDS`, and closed after it."""
    limit = threading.Timer(SECONDS, end)
    limit.start()
    try:
        yield
    finally:
        limit.cancel()
        close()


def _reading() -> str:
    """Have the starter model read by the process that reads models for the window."""
    from gui.coreml.client import ModelReader

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        reader = ModelReader(log=Path(folder) / "coreml.log")
        with _limited(reader.abandon, reader.close):
            found = reader.read(paths.starter_model())
    if found.problem or found.info is None:
        raise CheckError(found.problem or "nothing was found")
    return f"{found.info.name}, {len(found.info.components)} components"


def _hub() -> str:
    """Ask the real Hub process about this machine; nothing goes over the network."""
    from gui.errors import SfumatoError
    from gui.hub.messages import HUB, AskMachine
    from gui.process.supervisor import Supervisor

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        hub = Supervisor(HUB, log=Path(folder) / "hub.log")
        with _limited(hub.abandon, hub.close):
            try:
                machine = hub.ask(AskMachine())
            except SfumatoError as error:
                raise CheckError(f"{error.message} {error.detail}") from error
    return f"{machine.chip or 'unknown processor'}, macOS {machine.macos or 'none'}"


def _conversion() -> str:
    """Convert and compress a small network in the real converter process, and compare the two."""
    from gui.convert.client import ConvertClient
    from gui.convert.types import Compression, ConvertRequest
    from gui.coreml.model import ComponentKind

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        source = Path(folder) / "source"
        _write_checkpoint(source)
        request = ConvertRequest(
            str(source), str(Path(folder) / "model"),
            components=(ComponentKind.UNET,), compression=Compression.PALETTE_8,
        )  # fmt: skip
        client = ConvertClient()
        deadline = time.monotonic() + SECONDS
        ended = client.convert(request, lambda _: None, lambda: time.monotonic() > deadline)
    if ended.error is not None:
        raise CheckError(f"{ended.error.message} {ended.error.detail}")
    if ended.report is None:
        raise CheckError(f"not done after {SECONDS:.0f} s")
    (parity,) = ended.report.parities
    if parity.warning:
        raise CheckError(parity.warning)
    return f"{parity.psnr:.0f} dB"


def _write_checkpoint(folder: Path) -> None:
    """A Stable Diffusion 1 as diffusers saves it, but very narrow and with random weights."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    diffusers: Any = importlib.import_module("diffusers")
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, cross_attention_dim=64, block_out_channels=(32, 64), norm_num_groups=8,
        layers_per_block=1, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=4,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=1,
        )
    )  # fmt: skip
    index: dict[str, object] = {"_class_name": "StableDiffusionPipeline"}
    for name, network in (("unet", unet), ("vae", vae), ("text_encoder", text)):
        network.save_pretrained(folder / name)
        index[name] = [type(network).__module__.partition(".")[0], type(network).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))


def _picture() -> str:
    """Make a picture through the real engine process, into a folder that is then removed."""
    from gui.engine.runner import EngineRunner, OutcomeStatus
    from gui.request import PictureRequest

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        target = Path(folder) / "picture.png"
        request = PictureRequest(prompt=PROMPT, model="", seed=1, output_file=str(target))
        runner = EngineRunner(log=Path(folder) / "engine.log")
        with _limited(runner.abandon, runner.close):
            outcome = runner.run("self-test", request)
        if outcome.status is OutcomeStatus.CANCELLED:
            raise CheckError(f"no picture after {SECONDS:.0f} s")
        if outcome.status is not OutcomeStatus.FINISHED:
            error = outcome.error
            raise CheckError(f"{error.message} {error.detail}" if error else outcome.status)
        return _look_at(target)


def _look_at(path: Path) -> str:
    """Decode the picture; a flat one means that the arithmetic went wrong."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        extrema = image.convert("L").getextrema()
        size = f"{image.width} × {image.height}"
    if extrema[1] - extrema[0] < 16:  # type: ignore[operator]
        raise CheckError(f"the picture is flat: grey values {extrema}")
    return f"{size} pixels"


if __name__ == "__main__":
    sys.exit(main())
