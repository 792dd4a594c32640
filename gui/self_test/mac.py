"""What only a Mac can answer: everything of `gui.mac.cocoa` and `gui.coreml.native` is done once.

Nothing a person would notice stays behind: no file outside of a temporary folder, no entry in the
keychain, no badge, and the desktop's picture is set to what it is.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import paths
from gui.self_test import checks
from gui.self_test.found import CheckError, Found

if TYPE_CHECKING:
    import numpy as np

    from gui.coreml.loaded import Runtime
    from gui.mac import MacServices

LEAST_DB = 25.0
"""A picture by Core ML beside the portable runtime's: half precision and palettes cost a little, a
wrong network gives about 10."""
KEYCHAIN = ("app.sfumato.self-test", "self-test")
_PREFIX = "sfumato-self-test-"


def all_checks(pictures: bool = True) -> list[tuple[str, Callable[[], str | Found]]]:
    """As `gui.self_test.all_checks`; Core ML last, for it may end the process."""
    found: list[tuple[str, Callable[[], str | Found]]] = [
        ("desktop", desktop),
        ("keychain", keychain),
        ("copies", cloning),
        ("system calls", renaming),
    ]
    if pictures:
        from gui.request import ComputeUnit

        found += [("compilation", compilation), ("links", links)]
        found += [(f"Core ML {unit.value}", _picture_on(unit.value)) for unit in ComputeUnit]
    return found


def desktop(services: MacServices | None = None) -> str:
    """The Dock, Finder's programs, sleep, the Services menu, the desktop's picture."""
    from gui.mac import mac_services

    mac = services if services is not None else mac_services()
    if type(mac).__name__ != "CocoaServices":
        raise CheckError(f"pyobjc is missing: the services are {type(mac).__name__}")
    for fraction in (0.0, 0.5, None):
        mac.set_progress(fraction)
    mac.set_badge("1")
    mac.set_badge("")
    mac.begin_activity("Testing Sfumato")
    mac.begin_activity("Testing Sfumato")
    mac.end_activity()
    mac.end_activity()
    programs = mac.applications(paths.resource("icon.png"))
    if not programs:
        raise CheckError("no program is known that opens a PNG")
    asked: list[str] = []
    mac.offer_service(asked.append)
    _serve("a red fox")
    if asked != ["a red fox"]:
        raise CheckError(f"the Services menu handed over {asked!r}")
    _same_wallpaper(mac)
    power = "battery" if mac.on_battery() else "mains"
    saving = ", saving energy" if mac.saves_energy() else ""
    return f"{len(programs)} programs for a PNG, on {power}{saving}"


def _serve(text: str) -> None:
    """As the system does: a pasteboard of its own, and the message by its selector."""
    import AppKit  # type: ignore[import-not-found]

    board = AppKit.NSPasteboard.pasteboardWithUniqueName()
    board.setString_forType_(text, AppKit.NSPasteboardTypeString)
    provider = AppKit.NSApplication.sharedApplication().servicesProvider()
    problem = provider.makePicture_userData_error_(board, None, None)
    board.clearContents()
    empty = provider.makePicture_userData_error_(board, None, None)
    board.releaseGlobally()
    if problem or not empty:
        raise CheckError(f"the service answered {problem!r} to a text and {empty!r} to none")


def _same_wallpaper(mac: MacServices) -> None:
    """Set the desktop's picture to what it is."""
    import AppKit  # type: ignore[import-not-found]

    workspace = AppKit.NSWorkspace.sharedWorkspace()
    for screen in AppKit.NSScreen.screens() or ():
        url = workspace.desktopImageURLForScreen_(screen)
        if url is not None and Path(str(url.path())).is_file():
            mac.set_wallpaper(Path(str(url.path())))
        return


def keychain() -> str:
    """Write, read and delete an entry."""
    from gui.hub import account

    ring = account.keychain()
    ring.set_password(*KEYCHAIN, "secret 狐")
    try:
        got = ring.get_password(*KEYCHAIN)
    finally:
        ring.delete_password(*KEYCHAIN)
    if got != "secret 狐":
        raise CheckError(f"it gave back {got!r}")
    return type(ring.get_keyring()).__module__


def cloning() -> str:
    """Files that share their bytes until one of them changes."""
    from gui.mac.cloning import clone_file

    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        one, other = Path(folder) / "one", Path(folder) / "other"
        one.write_bytes(bytes(range(256)) * 4096)
        try:
            clone_file(one, other)
        except OSError as error:
            return f"this disk shares none ({error.strerror})"
        if other.read_bytes() != one.read_bytes():
            raise CheckError("the copy is another")
    return "1 MB shared"


def renaming() -> str:
    """A folder takes another's place in one step, which downloads are installed by."""
    from gui.hub.downloads.install import exchange

    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        one, other = Path(folder) / "one", Path(folder) / "other"
        for place in (one, other):
            place.mkdir()
            (place / "name").write_text(place.name)
        if not exchange(one, other):
            return "this disk cannot"
        if (one / "name").read_text() != "other" or (other / "name").read_text() != "one":
            raise CheckError("they did not change places")
    return "two folders changed places"


# Core ML


def compilation() -> Found:
    """Core ML compiles a package once, and computes what the portable runtime computes."""
    import numpy as np

    from gui.coreml.inspect import inspect_model
    from gui.coreml.model import ComponentKind
    from gui.coreml.native import NativeRuntime
    from gui.coreml.portable import PortableRuntime
    from gui.measure import telling
    from gui.request import ComputeUnit

    decoder = inspect_model(paths.starter_model()).components[ComponentKind.VAE_DECODER]
    (wanted,) = decoder.inputs
    given = np.random.default_rng(1).standard_normal([n or 1 for n in wanted.shape])
    arrays = {wanted.name: given.astype(np.float32)}
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        started = time.perf_counter()
        runtime = NativeRuntime(cache=Path(folder))
        model = runtime.load(decoder, ComputeUnit.CPU_ONLY)
        first = time.perf_counter() - started
        started = time.perf_counter()
        again = NativeRuntime(cache=Path(folder)).load(decoder, ComputeUnit.CPU_ONLY)
        second = time.perf_counter() - started
        results = model(arrays), again(arrays)
        model.close()
        again.close()
        shares = runtime.shares(decoder, ComputeUnit.CPU_ONLY)
    portable = PortableRuntime().load(decoder, ComputeUnit.ALL)(arrays)
    name = decoder.outputs[0].name
    peak = float(np.ptp(portable[name]))
    decibels = min(_decibels(portable[name], result[name], peak) for result in results)
    if decibels < LEAST_DB:
        raise CheckError(f"it is {decibels:.0f} dB from the portable runtime's result")
    return Found(
        f"{decibels:.0f} dB from the portable runtime; Core ML's plan: "
        f"{telling.shares(shares) or 'not told'}",
        {"first_load_s": round(first, 3), "next_load_s": round(second, 3)},
    )


def links() -> str:
    """A compiled model of links, as Hugging Face's cache keeps one, is opened through a copy."""
    from gui.coreml.inspect import inspect_component, inspect_model
    from gui.coreml.model import ComponentKind
    from gui.coreml.native import NativeRuntime
    from gui.request import ComputeUnit

    decoder = inspect_model(paths.starter_model()).components[ComponentKind.VAE_DECODER]
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        cache = Path(folder) / "cache"
        compiled = NativeRuntime(cache=cache).compiled(decoder.files[0])
        blobs, linked = Path(folder) / "blobs", Path(folder) / "VAEDecoder.mlmodelc"
        shutil.copytree(compiled, blobs)
        for file in (path for path in blobs.rglob("*") if path.is_file()):
            place = linked / file.relative_to(blobs)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)
        NativeRuntime(cache=cache).load(inspect_component(linked), ComputeUnit.CPU_ONLY).close()
    return "opened through a copy"


def _picture_on(unit: str) -> Callable[[], Found]:
    return lambda: picture_on(unit)


def picture_on(unit: str) -> Found:
    """A picture of the starter model by Core ML on some processors, beside the portable runtime's.

    What Core ML itself says of a unit that this Mac lacks is its own affair: it takes another one.
    """
    from gui.coreml.native import NativeRuntime
    from gui.coreml.portable import PortableRuntime

    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        native = NativeRuntime(cache=Path(folder))
        pixels, measured = _draw(native, unit)
        expected, _ = _draw(PortableRuntime(), unit)
    decibels = _decibels(expected, pixels, peak=255.0)
    if decibels < LEAST_DB:
        raise CheckError(f"the picture is {decibels:.0f} dB from the portable runtime's")
    text = f"{decibels:.0f} dB, loaded in {measured['load_s']} s, {measured['step_s']} s a step"
    return Found(text, {**measured, "psnr_db": round(decibels, 1)})


def _draw(runtime: Runtime, unit: str) -> tuple[np.ndarray, dict[str, Any]]:
    from gui.coreml.inspect import inspect_model, load_sidecar
    from gui.pipeline.pipeline import Hooks, Pipeline
    from gui.request import ComputeUnit, Enlargement, PictureRequest

    info = inspect_model(paths.starter_model())
    pipeline = Pipeline(info, load_sidecar(info), runtime, ComputeUnit(unit))
    try:
        started = time.perf_counter()
        pipeline.load()
        loaded = time.perf_counter() - started
        request = PictureRequest(
            prompt=checks.PROMPT, model="", seed=1, steps=8, previews=False,
            compute_unit=ComputeUnit(unit), enlargement=Enlargement.OFF,
        )  # fmt: skip
        moments: list[float] = []
        hooks = Hooks(on_step=lambda *_: moments.append(time.perf_counter()))
        (made,) = pipeline.generate(request, hooks)
        steps = sorted(later - earlier for earlier, later in itertools.pairwise(moments))
        middle = steps[len(steps) // 2] if steps else 0.0
        return made.pixels, {"load_s": round(loaded, 3), "step_s": round(middle, 4)}
    finally:
        pipeline.close()


def _decibels(expected: np.ndarray, found: np.ndarray, peak: float) -> float:
    """Peak signal-to-noise ratio; 200 where they are the same."""
    import numpy as np

    if expected.shape != found.shape or not np.isfinite(found).all():
        raise CheckError(f"the result has shape {found.shape}, or numbers that are none")
    error = float(np.mean((expected.astype(float) - found.astype(float)) ** 2))
    return 200.0 if not error else float(10 * np.log10(peak**2 / error))
