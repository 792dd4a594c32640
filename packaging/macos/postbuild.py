"""What py2app leaves undone: prune, repair and thin a bundle before it is signed.

Usage: ``python packaging/macos/postbuild.py dist/Sfumato.app``.  Needs no macOS tools.
"""

from __future__ import annotations

import fnmatch
import plistlib
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from macos import macho

from gui.self_test.checks import write_manifest

QT_MODULES = ("QtCore", "QtGui", "QtWidgets", "QtSvg", "QtNetwork", "QtDBus", "QtPrintSupport")
QT_PLUGINS = (
    "platforms/libqcocoa.dylib", "platforms/libqoffscreen.dylib", "styles/*", "iconengines/*",
    "tls/*", "printsupport/*", "imageformats/libqgif.dylib", "imageformats/libqicns.dylib",
    "imageformats/libqico.dylib", "imageformats/libqjpeg.dylib", "imageformats/libqsvg.dylib",
    "imageformats/libqtiff.dylib", "imageformats/libqwebp.dylib",
)  # fmt: skip
QT_FOLDERS = ("qml", "metatypes", "libexec", "modules", "sbom")

PACKAGE_EXTRAS = (
    "torch/bin", "torch/include", "torch/share", "torch/utils/benchmark",
    "coremltools/modelrunner", "coremltools/test", "sympy/plotting/tests",
)  # fmt: skip
TEST_FOLDERS = ("test", "tests")
TESTS_NEEDED_BY = ("torch", "numpy")
"""Packages whose own code imports from folders of these names."""
DEVELOPER_FILES = (
    "*.a", "*.cmake", "*.cpp", "*.h", "*.hpp", "*.o", "*.pxd", "*.pyi", "*.rlib",
)  # fmt: skip


def finish(app: Path, report: Callable[[str], None] = print) -> None:
    """Every step in order; `report` gets a line with the bundle's size after each."""
    app = app.resolve()
    steps: list[tuple[str, Callable[[Path], object]]] = [
        ("as built", lambda _: None),
        ("Qt pruned", prune_qt),
        ("Qt frameworks repaired", repair_frameworks),
        ("packages pruned", prune_packages),
        ("copies dropped", drop_copies),
        ("thinned to arm64", thin),
        ("binaries out of the zip", strip_zip),
        ("qt.conf and Info.plist", lambda path: (write_qt_conf(path), clean_plist(path))),
        ("resources written down", write_down),
    ]
    for name, step in steps:
        step(app)
        report(f"{name:<26} {size(app) / 1e6:8.1f} MB")


def size(root: Path) -> int:
    """Bytes of every file below a folder, links counted as themselves."""
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())


def library(app: Path) -> Path:
    """Folder of the bundle's Python packages.

    Raises:
        FileNotFoundError: this is no py2app bundle.
    """
    for path in sorted((app / "Contents/Resources/lib").glob("python3.*")):
        if path.is_dir():
            return path
    raise FileNotFoundError(f"{app} has no Contents/Resources/lib/python3.x")


def write_down(app: Path) -> None:
    """The hash of every resource, which the self-test looks at."""
    resources = app / "Contents" / "Resources" / "resources"
    if resources.is_dir():
        write_manifest(resources)


def prune_qt(app: Path) -> None:
    """Keep the Qt modules and plugins the app uses, and the frameworks those reach."""
    pyside = library(app) / "PySide6"
    for path in sorted(pyside.iterdir()):
        module = re.fullmatch(r"(Qt\w+)\.abi3\.so", path.name)
        unused_module = module is not None and module[1] not in QT_MODULES
        tool = path.suffix == ".app" or (path.is_file() and not path.suffix and macho.read(path))
        if unused_module or tool or path.name.startswith("libpyside6qml"):
            _remove(path)
    for name in QT_FOLDERS:
        _remove(pyside / "Qt" / name)
    for name in ("doc", "glue", "include", "scripts", "typesystems"):
        _remove(pyside / name)
    for path in (pyside / "Qt/translations").glob("*"):
        if not path.name.startswith("qtbase_"):
            _remove(path)
    plugins = pyside / "Qt/plugins"
    for path in sorted(plugins.rglob("*")):
        relative = path.relative_to(plugins).as_posix()
        if path.is_file() and not any(fnmatch.fnmatch(relative, kept) for kept in QT_PLUGINS):
            path.unlink()
    _drop_empty_folders(plugins)
    reached = _frameworks_reached(pyside)
    for path in sorted((pyside / "Qt/lib").glob("*.framework")):
        if path.stem not in reached:
            _remove(path)


def _frameworks_reached(pyside: Path) -> set[str]:
    """Names of the frameworks that modules and plugins load, directly or through another."""
    frameworks = pyside / "Qt/lib"
    todo = [path for path in macho.find(pyside) if frameworks not in path.parents]
    reached: set[str] = set()
    while todo:
        for part in macho.read(todo.pop()):
            for dylib in part.dylibs:
                match = re.search(r"@rpath/(\w+)\.framework/", dylib)
                if match is None or match[1] in reached:
                    continue
                reached.add(match[1])
                binary = frameworks / f"{match[1]}.framework/Versions/A/{match[1]}"
                if binary.exists():
                    todo.append(binary)
    return reached


def repair_frameworks(app: Path) -> None:
    """Give Qt's frameworks the links that a wheel cannot hold.

    Without them a framework has two `Resources` folders, and codesign calls it ambiguous.
    """
    for framework in sorted((library(app) / "PySide6/Qt/lib").glob("*.framework")):
        name = framework.stem
        links = {
            framework / "Versions/Current": "A",
            framework / name: f"Versions/Current/{name}",
            framework / "Resources": "Versions/Current/Resources",
        }
        _remove(framework / "Headers")
        _remove(framework / "Versions/A/Headers")
        for link, target in links.items():
            if link.is_symlink():
                continue
            _remove(link)
            if link.name != "Resources" or (framework / "Versions/A/Resources").is_dir():
                link.symlink_to(target)


def prune_packages(app: Path) -> None:
    """Drop headers, build tools, stubs, tests, debuggers' symbols and stale byte code."""
    root = library(app)
    for name in PACKAGE_EXTRAS:
        _remove(root / name)
    for path in sorted(root.rglob("*"), reverse=True):
        inside = path.relative_to(root).parts
        tests = path.name in TEST_FOLDERS and inside[0] not in TESTS_NEEDED_BY
        dropped = tests or path.name == "__pycache__" or path.suffix == ".dSYM"
        if path.is_dir() and not path.is_symlink() and dropped:
            shutil.rmtree(path)
        elif path.is_file() and any(fnmatch.fnmatch(path.name, p) for p in DEVELOPER_FILES):
            path.unlink()


def drop_copies(app: Path) -> list[Path]:
    """Drop libraries that wheels keep in a folder `.dylibs` and nothing loads from there; returns
    them.  They are the originals of what py2app has copied to Frameworks, where an extension
    module lay outside of its package."""
    files = macho.find(app)
    todo = [path for path in files if path.parent.name != ".dylibs"]
    reached = set(todo)
    while todo:
        path = todo.pop()
        for part in files[path]:
            for dylib in part.dylibs:
                for place in candidates(app, path, part, dylib):
                    found = place.resolve()
                    if found in files and found not in reached:
                        reached.add(found)
                        todo.append(found)
    dropped = sorted(files.keys() - reached)
    for path in dropped:
        path.unlink()
    return dropped


def candidates(app: Path, path: Path, part: macho.Slice, dylib: str) -> list[Path]:
    """Where the loader would look for a library that a file names, by the file's own rpaths only
    (its loader's may be absent)."""

    def expand(text: str) -> Path:
        text = text.replace("@loader_path", str(path.parent), 1)
        return Path(text.replace("@executable_path", str(app / "Contents/MacOS"), 1))

    if dylib.startswith("@rpath/"):
        return [expand(rpath) / dylib.removeprefix("@rpath/") for rpath in part.rpaths]
    return [expand(dylib)]


def thin(app: Path) -> int:
    """Keep only arm64 in every universal file; returns how many there were.

    Raises:
        ValueError: a file has no arm64 slice.
    """
    return sum(macho.thin(path) for path in macho.find(app))


def strip_zip(app: Path) -> list[str]:
    """Drop Mach-O files from py2app's zip, where Apple's notary rejects them; returns their names.

    They are `google/_upb`'s: py2app takes that namespace for data.  The importable copy lies in
    lib-dynload.
    """
    dropped: list[str] = []
    for path in sorted((app / "Contents/Resources/lib").glob("python3*.zip")):
        with zipfile.ZipFile(path) as source:
            entries = [(item, source.read(item)) for item in source.infolist()]
        bad = {item.filename for item, data in entries if macho.is_macho(data[:8])}
        if not bad:
            continue
        temporary = path.with_name(path.name + ".new")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as target:
            for item, data in entries:
                if item.filename not in bad:
                    target.writestr(item, data)
        temporary.replace(path)
        dropped += sorted(bad)
    return dropped


def write_qt_conf(app: Path) -> None:
    """Point Qt at its plugins inside the PySide6 package; py2app's own file names no folder."""
    prefix = (library(app) / "PySide6/Qt").relative_to(app / "Contents").as_posix()
    text = f"[Paths]\nPrefix = {prefix}\nPlugins = plugins\n"
    (app / "Contents/Resources/qt.conf").write_text(text)


def clean_plist(app: Path) -> None:
    """Take the building machine's interpreter path out of Info.plist, and ask for the macOS that
    the most demanding file needs: the tags of wheels tell too little."""
    path = app / "Contents/Info.plist"
    plist = plistlib.loads(path.read_bytes())
    plist.get("PythonInfoDict", {}).pop("PythonExecutable", None)
    said = tuple(int(number) for number in plist["LSMinimumSystemVersion"].split("."))
    plist["LSMinimumSystemVersion"] = ".".join(map(str, max(said, minimum_macos(app))))
    path.write_bytes(plistlib.dumps(plist))


def minimum_macos(app: Path) -> tuple[int, int]:
    """The newest macOS that a file's load commands ask for; (0, 0) where none asks."""
    slices = (part for parts in macho.find(app).values() for part in parts)
    return max((part.minimum_macos or (0, 0) for part in slices), default=(0, 0))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _drop_empty_folders(root: Path) -> None:
    folders: Iterable[Path] = sorted(root.rglob("*"), reverse=True)
    for path in folders:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


if __name__ == "__main__":
    finish(Path(sys.argv[1]))
