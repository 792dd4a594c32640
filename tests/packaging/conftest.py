"""A small made-up bundle, laid out as py2app and the PySide6 wheel lay out a real one."""

from __future__ import annotations

import plistlib
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from macho_maker import macho, universal

ROOT = Path(__file__).resolve().parents[2]

QT = "PySide6/Qt/lib"
ON_QTCORE = "@rpath/QtCore.framework/Versions/A/QtCore"
ON_QTGUI = "@rpath/QtGui.framework/Versions/A/QtGui"
ON_QTQML = "@rpath/QtQml.framework/Versions/A/QtQml"


def write(path: Path, data: bytes | str = b"", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)
    return path


def fat(**options: object) -> bytes:
    """A universal library whose two halves say the same."""
    halves = [(arch, macho(arch, **options)) for arch in ("x86_64", "arm64")]  # type: ignore[arg-type]
    return universal(*halves)


def _framework(lib: Path, name: str, dylibs: tuple[str, ...] = ()) -> None:
    """As a wheel holds it: no links, so the resources lie there twice."""
    root = lib / QT / f"{name}.framework"
    identifier = f"@rpath/{name}.framework/Versions/A/{name}"
    binary = fat(identifier=identifier, dylibs=dylibs, rpaths=("@loader_path/../../../",))
    write(root / "Versions/A" / name, binary, 0o755)
    for folder in ("Resources", "Versions/A/Resources"):
        write(root / folder / "Info.plist", plistlib.dumps({"CFBundleName": name}))
    write(root / "Versions/A/Headers/all.h", "// header")


def _module(lib: Path, name: str, *dylibs: str) -> None:
    write(lib / f"PySide6/{name}.abi3.so", fat(dylibs=dylibs, rpaths=("@loader_path/Qt/lib",)))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The bundle as built, not yet finished."""
    app = tmp_path / "Sfumato.app"
    contents = app / "Contents"
    plist = {
        "CFBundleExecutable": "Sfumato",
        "CFBundleIconFile": "icon.icns",
        "CFBundleIdentifier": "app.sfumato.Sfumato",
        "CFBundleVersion": "1.0",
        "LSMinimumSystemVersion": "14.0",
        "PythonInfoDict": {"PythonExecutable": "/Users/me/python", "PythonShortVersion": "3.12"},
    }
    write(contents / "Info.plist", plistlib.dumps(plist))
    for name in ("Sfumato", "engine", "python"):
        write(contents / "MacOS" / name, macho(), 0o755)
    write(contents / "Resources/icon.icns", b"icns")
    write(contents / "Resources/resources/LICENSES.md", "text")
    write(contents / "Resources/qt.conf", "[Paths]\nPlugins = qt_plugins\n")
    lib = contents / "Resources/lib/python3.12"
    _framework(lib, "QtCore")
    _framework(lib, "QtGui", (ON_QTCORE,))
    _framework(lib, "QtQml", (ON_QTCORE,))
    _module(lib, "QtCore", ON_QTCORE)
    _module(lib, "QtGui", ON_QTGUI, "/usr/lib/libSystem.B.dylib")
    _module(lib, "QtQml", ON_QTQML)
    write(lib / "PySide6/qmllint", fat(dylibs=(ON_QTQML,)), 0o755)
    write(lib / "PySide6/QtCore.pyi", "stub")
    for plugin in ("platforms/libqcocoa.dylib", "platforms/libqminimal.dylib"):
        rpaths = ("@loader_path/../../lib",)
        write(lib / "PySide6/Qt/plugins" / plugin, fat(dylibs=(ON_QTGUI,), rpaths=rpaths))
    write(lib / "PySide6/Qt/plugins/qmltooling/libqmldbg.dylib", fat(dylibs=(ON_QTQML,)))
    write(lib / "PySide6/Qt/qml/QtQuick/qmldir", "module")
    write(lib / "torch/include/torch/all.h", "// header")
    write(lib / "torch/testing/tests/needed.py", "x = 1")
    write(lib / "sympy/core/tests/test_x.py", "x = 1")
    write(lib / "objc/_objc.so.dSYM/Contents/Resources/DWARF/_objc.so", macho())
    write(lib / "packaging/version.py", "x = 1")
    write(lib / "gui/bundle_main.py", "x = 1")
    write(lib / "sympy/core/__pycache__/x.pyc", b"")
    with zipfile.ZipFile(lib.with_name("python312.zip"), "w") as archive:
        archive.writestr("site.pyc", b"code")
        archive.writestr("google/_upb/_message.abi3.so", macho())
    return app


@pytest.fixture(scope="session")
def source_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel is built from, copied so that the build leaves nothing in the checkout."""
    target = tmp_path_factory.mktemp("source") / "sfumato"
    target.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("gui", "resources", "packaging"):
        shutil.copytree(ROOT / name, target / name, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, target / name)
    return target
