"""The self-test's part for Macs, with stand-ins for the system: that it would touch all there is.

Core ML is replaced behind coremltools' interface, pyobjc by classes of a few lines; the rest is
real.
"""

from __future__ import annotations

import ast
import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import gui
from gui import paths, self_test
from gui.coreml import native
from gui.self_test import checks, mac
from gui.self_test.found import CheckError, Found
from tests.support.core_ml import CoreML, put_in_place

ONLY_ON_A_MAC = ("mac/cocoa.py", "mac/cloning.py", "coreml/native.py")

NOT_TOUCHED = {
    "CocoaServices.share": "shows a list over a window, which waits for a person",
    "CocoaServices.reveal": "opens a window of Finder",
    "CocoaServices.notify": "shows a notification",
    "CocoaServices.open_with": "starts another program",
    "_cannot_write": "a full disk",
    "_as_picture": "a network that takes pictures, of which none ships",
    "_remove_abandoned.<locals>": "what a killed process left a day ago",
}
"""Functions that the self-test leaves out, and why."""


class Board:
    def __init__(self) -> None:
        self.text: str | None = None

    def setString_forType_(self, text: str, _kind: str) -> None:
        self.text = text

    def stringForType_(self, _kind: str) -> str | None:
        return self.text

    def clearContents(self) -> None:
        self.text = None

    def releaseGlobally(self) -> None: ...


class NSObject:
    @classmethod
    def alloc(cls) -> Any:
        return cls()

    def init(self) -> Any:
        return self


class Application:
    provider: Any = None

    def __init__(self) -> None:
        self.tile = MagicMock()
        self.tile.size.return_value = types.SimpleNamespace(width=128.0, height=128.0)

    def dockTile(self) -> Any:
        return self.tile

    def applicationIconImage(self) -> None: ...

    def setServicesProvider_(self, provider: Any) -> None:
        self.provider = provider

    def servicesProvider(self) -> Any:
        return self.provider


@pytest.fixture
def pyobjc(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.SimpleNamespace]:
    """A Mac's frameworks, as far as `gui.mac.cocoa` asks them."""
    appkit, foundation, objc = MagicMock(), MagicMock(), MagicMock()
    application = Application()
    appkit.NSApplication.sharedApplication.return_value = application
    appkit.NSPasteboard.pasteboardWithUniqueName = Board
    workspace = appkit.NSWorkspace.sharedWorkspace()
    preview = types.SimpleNamespace(path=lambda: "/Applications/Preview.app")
    workspace.URLForApplicationToOpenURL_.return_value = preview
    workspace.URLsForApplicationsToOpenURL_.return_value = [preview]
    picture = types.SimpleNamespace(path=lambda: str(paths.resource("icon.png")))
    workspace.desktopImageURLForScreen_.return_value = picture
    workspace.setDesktopImageURL_forScreen_options_error_.return_value = (True, None)
    appkit.NSScreen.screens.return_value = ["one"]
    foundation.NSObject = NSObject
    objc.typedSelector = lambda _signature: lambda function: function
    objc.super = super
    for name, module in (("AppKit", appkit), ("Foundation", foundation), ("objc", objc)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "gui.mac.cocoa", raising=False)
    cocoa = importlib.import_module("gui.mac.cocoa")
    yield types.SimpleNamespace(services=cocoa.CocoaServices(), appkit=appkit, app=application)
    monkeypatch.delitem(sys.modules, "gui.mac.cocoa", raising=False)


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CoreML:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    return put_in_place(monkeypatch)


def defined(file: str) -> set[str]:
    """Qualified names of a module's functions, those inside of others left out."""
    tree = ast.parse((Path(gui.__file__).parent / file).read_text("utf-8"))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef))
            names |= {f"{node.name}.{one.name}" for one in inner}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return names


def called(work: Callable[[], object]) -> set[tuple[str, str]]:
    """Which functions of ours run meanwhile: file below `gui`, and qualified name."""
    root = Path(gui.__file__).parent
    codes: set[types.CodeType] = set()

    def watch(frame: types.FrameType, _event: str, _argument: object) -> None:
        codes.add(frame.f_code)  # and no line of it, which would take ten times as long

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        work()
    finally:
        sys.settrace(before)
    ours = ((Path(code.co_filename), code.co_qualname) for code in codes)
    return {
        (file.relative_to(root).as_posix(), name)
        for file, name in ours
        if file.is_relative_to(root)
    }


def test_every_function_of_ours_that_only_a_mac_has_is_touched(
    pyobjc: types.SimpleNamespace, core_ml: CoreML, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clonefile(_source: bytes, target: bytes, _flags: int) -> int:
        Path(target.decode()).write_bytes(Path(_source.decode()).read_bytes())
        return 0

    library = types.SimpleNamespace(clonefile=clonefile)
    monkeypatch.setattr("gui.mac.cloning.ctypes.CDLL", lambda *_args, **_kind: library)

    def work() -> None:
        mac.desktop(type(pyobjc.services)())
        mac.cloning()
        mac.compilation()
        mac.links()
        mac.picture_on("CPU_ONLY")

    seen = called(work)
    absent = {
        name
        for file in ONLY_ON_A_MAC
        for name in defined(file)
        if (file, name) not in seen and name not in NOT_TOUCHED
    }
    assert not absent, f"no check of the self-test touches {sorted(absent)}"
    known = {name for file in ONLY_ON_A_MAC for name in defined(file)}
    assert {name for name in NOT_TOUCHED if "<" not in name} <= known, "this is no more"


def test_a_broken_service_is_found(pyobjc: types.SimpleNamespace) -> None:
    pyobjc.app.setServicesProvider_ = lambda _provider: None
    pyobjc.app.provider = MagicMock()
    with pytest.raises(CheckError, match="the service answered"):
        mac.desktop(pyobjc.services)


def test_a_wrong_network_is_found(core_ml: CoreML, monkeypatch: pytest.MonkeyPatch) -> None:
    right = native._owned
    monkeypatch.setattr(native, "_owned", lambda *given: 0.3 * right(*given))
    with pytest.raises(CheckError, match="dB from the portable"):
        mac.compilation()


def test_a_picture_by_core_ml_is_measured(core_ml: CoreML) -> None:
    found = mac.picture_on("CPU_AND_GPU")
    assert set(found.measured) == {"load_s", "step_s", "psnr_db"}
    assert found.measured["psnr_db"] > 60, "the stand-in computes the same"


def test_the_keychain_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str], str] = {}
    ring = types.SimpleNamespace(
        set_password=lambda service, user, text: kept.__setitem__((service, user), text),
        get_password=lambda service, user: kept.get((service, user)),
        delete_password=lambda service, user: kept.pop((service, user)),
        get_keyring=MagicMock,
    )
    monkeypatch.setattr("gui.hub.account.keychain", lambda: ring)
    mac.keychain()
    assert not kept
    ring.get_password = lambda _service, _user: "another"
    with pytest.raises(CheckError):
        mac.keychain()
    assert not kept


def test_the_report_is_written_after_every_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    during: list[dict[str, Any]] = []

    def look() -> Found:
        during.append(json.loads(file.read_text("utf-8")))
        return Found("fine", {"seconds": 1.5})

    def fail() -> str:
        raise CheckError("no good")

    every = [("one", lambda: "fine"), ("two", look), ("three", fail)]
    monkeypatch.setattr(self_test, "all_checks", lambda _pictures: every)
    assert self_test.main(["--report", str(file)]) == 1
    (before,) = during
    assert before["running"] == "two" and not before["complete"] and not before["passed"]
    told = json.loads(file.read_text("utf-8"))
    assert told["complete"] and not told["passed"] and told["version"] == gui.__version__
    assert [one["passed"] for one in told["checks"]] == [True, True, False]
    assert told["checks"][1]["measured"] == {"seconds": 1.5}
    assert "no good" in told["checks"][2]["said"] and "CheckError" in told["checks"][2]["detail"]
    assert self_test.main(["--only", "one", "--report", str(file)]) == 0
    assert [one["name"] for one in json.loads(file.read_text("utf-8"))["checks"]] == ["one"]
    assert self_test.main(["--only", "four"]) == 1 and "there are: one" in capsys.readouterr().out
    assert self_test.main(["--report", str(tmp_path / "absent" / "r.json")]) == 1


def test_a_changed_resource_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "resources"
    for name in checks.RESOURCES:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if "." not in place.name else place.write_text(name)
    monkeypatch.setattr(checks.paths, "resource_root", lambda: root)
    assert ", 0 files" in checks.resources()
    checks.write_manifest(root)
    assert f", {len(checks.RESOURCES) - 1} files" in checks.resources()
    (root / "icon.png").write_text("another")
    with pytest.raises(CheckError, match=r"icon\.png"):
        checks.resources()
