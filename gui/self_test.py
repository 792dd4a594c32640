"""``--self-test``: does this copy of Sfumato have everything it needs, and can it make a picture?

Runs in the finished bundle on the machine that built it, in a wheel and in a checkout.  Prints one
line per check.  It catches everything, because an exception that leaves a bundle's main program
opens a dialog that waits for a person.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import gui
from gui import paths

ENGINE_MODULES = (
    "numpy", "scipy.integrate", "PIL.Image", "torch", "safetensors.torch", "tokenizers",
    "transformers", "diffusers", "coremltools", "huggingface_hub", "google.protobuf",
    "gui.engine.server", "gui.pipeline.pipeline", "gui.library.pictures", "gui.library.queue",
    "gui.coreml.portable", "gui.coreml.native", "gui.coreml.inspect",
)  # fmt: skip
WINDOW_MODULES = (
    "PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtSvg", "PySide6.QtNetwork",
    "sqlite3", "ssl", "ctypes", "multiprocessing.connection", "gui.app", "gui.cli", "gui.mac",
)  # fmt: skip

RESOURCES = (
    "LICENSES.md", "icon.png", "tokenizer/vocab.json", "tokenizer/merges.txt", "starter-model",
)  # fmt: skip

PROMPT = "a red apple on blue"
SECONDS = 600.0
"""How long the first picture may take, loading included, on a slow machine."""


class CheckError(Exception):
    """A check did not hold; the text says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check, even after one failed.  Returns 0 when all hold, 1 otherwise; never raises.

    Args:
        arguments: ``--no-picture`` leaves out the check that runs the engine.
    """
    parser = argparse.ArgumentParser(prog="sfumato --self-test")
    parser.add_argument("--no-picture", action="store_true", help="don't run the engine")
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
        checks.append(("picture", _picture))
    failed = sum([not _run(name, check) for name, check in checks])
    print("self-test passed" if not failed else f"self-test FAILED: {failed} of {len(checks)}")
    return 1 if failed else 0


def _run(name: str, check: Callable[[], str]) -> bool:
    started = time.monotonic()
    try:
        said = check()
    except BaseException as error:  # SystemExit too: a module may try to quit at import
        if isinstance(error, KeyboardInterrupt):
            raise
        print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
        if not isinstance(error, CheckError):
            traceback.print_exc()
        return False
    print(f"ok     {name}: {said} ({time.monotonic() - started:.1f} s)", flush=True)
    return True


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
    """Core ML's bindings exist on a Mac only; coremltools itself imports without them."""
    return ("coremltools.libcoremlpython",) if sys.platform == "darwin" else ()


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


def _picture() -> str:
    """Make a picture through the real engine process, into a folder that is then removed."""
    from gui.engine.client import EngineClient
    from gui.engine.runner import EngineRunner, OutcomeStatus
    from gui.request import PictureRequest

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        target = Path(folder) / "picture.png"
        request = PictureRequest(prompt=PROMPT, model="", seed=1, output_file=str(target))
        runner = EngineRunner(make_client=lambda: EngineClient(log=Path(folder) / "engine.log"))
        limit = threading.Timer(SECONDS, runner.abandon)
        limit.start()
        try:
            outcome = runner.run("self-test", request)
        finally:
            limit.cancel()
            runner.close()
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
