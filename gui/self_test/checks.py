"""What is checked on every system; each check says in a line what it found, or raises."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gui
from gui import paths
from gui.self_test.found import CheckError, Found

if TYPE_CHECKING:
    from gui.request import PictureRequest

ENGINE_MODULES = (
    "numpy", "scipy.integrate", "PIL.Image", "torch", "safetensors.torch", "tokenizers",
    "transformers", "diffusers", "coremltools", "huggingface_hub", "google.protobuf",
    "gui.engine.server", "gui.pipeline.pipeline", "gui.library.pictures", "gui.library.queue",
    "gui.coreml.portable", "gui.coreml.native", "gui.coreml.inspect",
    "gui.coreml.service",
    "pillow_heif", "watchfiles", "gui.library.picture_reader",
    "c2pa", "cryptography.x509", "gui.library.export.writing", "gui.library.export.credentials",
    "keyring", "gui.hub.service", "gui.convert.service", "gui.serve.server",
    "gui.mcp_server.server", "anyio._backends._asyncio",
)  # fmt: skip
WINDOW_MODULES = (
    "PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets", "PySide6.QtSvg", "PySide6.QtNetwork",
    "PySide6.QtPrintSupport",
    "sqlite3", "ssl", "ctypes", "multiprocessing.connection", "gui.app", "gui.cli.main", "gui.mac",
)  # fmt: skip

RESOURCES = (
    "LICENSES.md", "icon.png", "tokenizer/vocab.json", "tokenizer/merges.txt", "starter-model",
)  # fmt: skip

MANIFEST = "manifest.json"
"""In the bundle's resources: the hash of every other file there."""

PROMPT = "a red apple on blue"
SECONDS = 600.0
"""How long the first picture, or a small conversion, may take on a slow machine, loading included.
"""


def program() -> str:
    kind = "bundle" if getattr(sys, "frozen", None) else "source or wheel"
    return (
        f"Sfumato {gui.__version__} ({kind}), Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()} {platform.machine()}"
    )


def resources() -> str:
    """Everything is there; of what says its hash, every byte."""
    root = paths.resource_root()
    missing = [name for name in RESOURCES if not paths.resource(name).exists()]
    if missing:
        raise CheckError(f"missing below {root}: {', '.join(missing)}")
    known = stated_hashes(root)
    wrong = [name for name, stated in known.items() if _sha256(root / name) != stated]
    if wrong:
        raise CheckError(f"not as they were made: {', '.join(sorted(wrong))}")
    return f"{len(RESOURCES)} found in {root}, {len(known)} files as they were made"


def stated_hashes(root: Path) -> dict[str, str]:
    """SHA-256 of shipped files by their path below `root`: of all where the bundle's build wrote
    them down (`MANIFEST`), else those that the shipped models' sidecars state."""
    manifest = root / MANIFEST
    if manifest.is_file():
        return dict(json.loads(manifest.read_text("utf-8")))
    known: dict[str, str] = {}
    for sidecar in sorted(root.glob("*/sfumato.json")):
        stated = json.loads(sidecar.read_text("utf-8")).get("hashes", {})
        known |= {f"{sidecar.parent.name}/{name}": sha for name, sha in stated.items()}
    return known


def write_manifest(root: Path) -> Path:
    """Write down the hash of every file below a folder of resources."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != MANIFEST)
    known = {path.relative_to(root).as_posix(): _sha256(path) for path in files}
    (root / MANIFEST).write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    return root / MANIFEST


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def modules(names: Sequence[str]) -> str:
    for name in names:
        importlib.import_module(name)
    return f"{len(names)} imported"


def native_modules() -> tuple[str, ...]:
    """Core ML's bindings and the keychain's exist on a Mac only; coremltools itself imports
    without them."""
    if sys.platform != "darwin":
        return ()
    return ("coremltools.libcoremlpython", "keyring.backends.macOS")


def window_system() -> str:
    """Start Qt, on the real platform where there is one, and draw with what the app draws with."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QImageReader, QPixmap
    from PySide6.QtWidgets import QApplication

    from gui.app import make_application

    application = QApplication.instance() or make_application()
    formats = {bytes(name.data()).decode() for name in QImageReader.supportedImageFormats()}
    if absent := {"png", "jpeg", "svg"} - formats:
        raise CheckError(f"Qt cannot read {', '.join(sorted(absent))}")
    icon = QPixmap(str(paths.resource("icon.png")))
    if icon.isNull():
        raise CheckError("the app icon cannot be read")
    return f"{QApplication.platformName()}, {type(application).__name__}"


def window() -> Found:
    """Open the real window with all that is in it, draw it, and close it; the engine stays off and
    nothing of the person's is read."""
    from PySide6.QtWidgets import QApplication

    from gui import app as composition

    application = QApplication.instance()
    if not isinstance(application, composition.Application):
        application = composition.make_application()
    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder, _home(folder):
        started = time.perf_counter()
        window = composition.make_window(application)
        window.show()
        application.processEvents()
        painted = time.perf_counter() - started
        workspace = composition.furnish(application, window)
        complete = time.perf_counter() - started
        for _ in range(20):
            application.processEvents()
        picture = window.grab().toImage()
        controls = len(workspace.findChildren(composition.QObject))
        window.close()
        application.processEvents()
        window.deleteLater()
    colors = {picture.pixel(x, y) for x in range(0, 900, 30) for y in range(0, 600, 30)}
    if len(colors) < 4:
        raise CheckError(f"the window is empty: {len(colors)} colours")
    text = f"{picture.width()} × {picture.height()} pixels, {controls} parts"
    return Found(text, {"first_paint_s": round(painted, 3), "complete_s": round(complete, 3)})


@contextlib.contextmanager
def _home(folder: str) -> Iterator[None]:
    """Settings, queue and pictures of this process are in a folder of their own."""
    before = os.environ.get("SFUMATO_HOME")
    os.environ["SFUMATO_HOME"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["SFUMATO_HOME"]
        else:
            os.environ["SFUMATO_HOME"] = before


def callbacks() -> str:
    """C calls Python: a hardened program needs permission for memory that is written and run."""
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    numbers = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
    compare = kind(lambda one, other: one[0] - other[0])
    ctypes.CDLL(None).qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), compare)
    if list(numbers) != [1, 2, 3, 4, 5]:
        raise CheckError(f"qsort gave {list(numbers)}")
    return "qsort asked Python"


def certificates() -> str:
    """An HTTPS client can be made (none is used)."""
    import ssl

    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    count = len(context.get_ca_certs())
    if not count:
        raise CheckError("no certificate authorities were found")
    return f"{count} authorities"


def starter_model() -> str:
    from gui.coreml.inspect import inspect_model

    info = inspect_model(paths.starter_model())
    if info.problems:
        raise CheckError(" ".join(str(problem) for problem in info.problems))
    return f"{len(info.components)} components"


@contextlib.contextmanager
def limited(end: Callable[[], object], close: Callable[[], object]) -> Iterator[None]:
    """Work with a process of ours, which is ended under it after `SECONDS`, and closed after it."""
    limit = threading.Timer(SECONDS, end)
    limit.start()
    try:
        yield
    finally:
        limit.cancel()
        close()


def reading() -> str:
    """Have the starter model read by the process that reads models for the window."""
    from gui.coreml.client import ModelReader

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        reader = ModelReader(log=Path(folder) / "coreml.log")
        with limited(reader.abandon, reader.close):
            found = reader.read(paths.starter_model())
    if found.problem or found.info is None:
        raise CheckError(found.problem or "nothing was found")
    return f"{found.info.name}, {len(found.info.components)} components"


def hub() -> str:
    """Ask the real Hub process about this machine; nothing goes over the network."""
    from gui.errors import SfumatoError
    from gui.hub.messages import HUB, AskMachine
    from gui.process.supervisor import Supervisor

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        hub = Supervisor(HUB, log=Path(folder) / "hub.log")
        with limited(hub.abandon, hub.close):
            try:
                machine = hub.ask(AskMachine())
            except SfumatoError as error:
                raise CheckError(f"{error.message} {error.detail}") from error
    return f"{machine.chip or 'unknown processor'}, macOS {machine.macos or 'none'}"


def conversion() -> str:
    """Convert and compress a small network in the real converter process, and compare the two."""
    from gui.convert.client import ConvertClient
    from gui.convert.types import Compression, ConvertRequest
    from gui.coreml.model import ComponentKind

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder:
        source = Path(folder) / "source"
        write_checkpoint(source)
        request = ConvertRequest(
            str(source), str(Path(folder) / "model"),
            components=(ComponentKind.UNET,), compression=Compression.PALETTE_6,
        )  # fmt: skip
        client = ConvertClient()
        deadline = time.monotonic() + SECONDS
        ended = client.convert(request, lambda _: None, lambda: time.monotonic() > deadline)
        resized = "" if ended.report is None else resize(Path(folder))
    if ended.error is not None:
        raise CheckError(f"{ended.error.message} {ended.error.detail}")
    if ended.report is None:
        raise CheckError(f"not done after {SECONDS:.0f} s")
    (parity,) = ended.report.parities
    if parity.warning:
        raise CheckError(parity.warning)
    return f"{parity.psnr:.0f} dB, {resized}"


def resize(folder: Path) -> str:
    """Change the converted network for another picture size, and run it."""
    import numpy as np

    from gui.convert.patch.network import make_network
    from gui.convert.types import ImageSize
    from gui.coreml.inspect import inspect_component
    from gui.coreml.runtime import default_runtime
    from gui.request import ComputeUnit

    (file,) = (folder / "model").rglob("*.mlpackage")
    make_network(inspect_component(file), folder / "wide", ImageSize(64, 64), ImageSize(128, 64))
    (made,) = (folder / "wide").rglob("*.mlpackage")
    network = inspect_component(made)
    model = default_runtime().load(network, ComputeUnit.CPU_ONLY)
    given = {t.name: np.ones([n or 1 for n in t.shape], np.float32) for t in network.inputs}
    (result,) = model(given).values()
    model.close()
    if not np.isfinite(result).all() or not result.std():
        raise CheckError("the network of another size gives no numbers")
    return f"{8 * result.shape[-1]} × {8 * result.shape[-2]} of it"


def write_checkpoint(folder: Path) -> None:
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


def picture() -> Found:
    """Make a picture through the real engine process, into a folder that is then removed."""
    from gui.request import PictureRequest

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder, _home(folder):
        target = Path(folder) / "picture.png"
        started = time.perf_counter()
        make_picture(
            PictureRequest(prompt=PROMPT, model="", seed=1, output_file=str(target)),
            Path(folder) / "engine.log",
        )
        seconds = time.perf_counter() - started
        return Found(look_at(target), {"with_start_s": round(seconds, 3)})


def make_picture(request: PictureRequest, log: Path) -> None:
    """Through an engine process of its own.

    Raises:
        CheckError: it came to nothing.
    """
    from gui.engine.runner import EngineRunner, OutcomeStatus

    runner = EngineRunner(log=log)
    with limited(runner.abandon, runner.close):
        outcome = runner.run("self-test", request)
    if outcome.status is OutcomeStatus.CANCELLED:
        raise CheckError(f"no picture after {SECONDS:.0f} s")
    if outcome.status is not OutcomeStatus.FINISHED:
        error = outcome.error
        raise CheckError(f"{error.message} {error.detail}" if error else outcome.status)


def enlarging() -> str:
    """Enlarge a small picture in the real process for that."""
    from PIL import Image

    from gui.enlarge.client import EnlargeClient
    from gui.enlarge.messages import EnlargePicture
    from gui.errors import SfumatoError

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder, _home(folder):
        source = Path(folder) / "small.png"
        Image.linear_gradient("L").resize((48, 32)).convert("RGB").save(source)
        client = EnlargeClient()
        with limited(client.abandon, client.close):
            try:
                made = client.enlarge(EnlargePicture(str(source), 4, folder=folder))
            except SfumatoError as error:
                raise CheckError(f"{error.message} {error.detail}") from error
        return look_at(Path(made.path))


def service() -> str:
    """Start the real service for other programs, and ask it once over HTTP on loopback."""
    import urllib.request

    from gui.errors import SfumatoError
    from gui.serve.client import ServeClient, kept_token
    from gui.serve.messages import Listen, ServiceOptions

    with tempfile.TemporaryDirectory(prefix="sfumato-self-test-") as folder, _home(folder):
        client = ServeClient()
        with limited(client.abandon, client.close):
            try:
                token = kept_token()
                heard = client.ask(Listen(ServiceOptions(token, port=0)))
            except SfumatoError as error:
                raise CheckError(f"{error.message} {error.detail}") from error
            asked = urllib.request.Request(
                f"{heard.url}/sdapi/v1/samplers", headers={"Authorization": f"Bearer {token}"}
            )
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(asked, timeout=60) as answer:
                found = json.load(answer)
    if not any(each["name"] == "Euler a" for each in found):
        raise CheckError("it answers something else")
    return f"{len(found)} samplers told over HTTP"


def look_at(path: Path) -> str:
    """Decode the picture; a flat one means that the arithmetic went wrong."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        extrema = image.convert("L").getextrema()
        size = f"{image.width} × {image.height}"
    if extrema[1] - extrema[0] < 16:  # type: ignore[operator]
        raise CheckError(f"the picture is flat: grey values {extrema}")
    return f"{size} pixels"
