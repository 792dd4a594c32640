"""Examine a finished bundle for what would only fail on someone else's Mac.

Usage: ``python packaging/macos/doctor.py dist/Sfumato.app``; exit status 1 when there are problems.
Needs no macOS tools.
"""

from __future__ import annotations

import plistlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import contents, info_plist, macho, postbuild

SYSTEM = ("/usr/lib/", "/System/Library/")
INSTALLED, PACKED = 700e6, 190e6
"""Bytes that the app and its disk image may take."""


def examine(app: Path) -> list[str]:
    """One sentence per problem; empty for a sound bundle."""
    if not (app / "Contents/Info.plist").is_file():
        return [f"{app} is not an app bundle."]
    plist = plistlib.loads((app / "Contents/Info.plist").read_bytes())
    try:
        files = macho.find(app)
    except ValueError as error:
        return [str(error)]
    problems = [*_plist_problems(app, plist), *_zip_problems(app), *_framework_problems(app)]
    problems += _package_problems(app)
    for path, slices in files.items():
        name = path.relative_to(app).as_posix()
        problems += [f"{name}: {problem}" for problem in _file_problems(app, path, slices, plist)]
    return problems + size_problems(postbuild.size(app))


def size_problems(installed: float, packed: float = 0) -> list[str]:
    """One sentence per budget that is exceeded."""
    sizes = (("The app", installed, INSTALLED), ("The disk image", packed, PACKED))
    return [
        f"{what} takes {size / 1e6:.0f} MB, and may take {budget / 1e6:.0f}."
        for what, size, budget in sizes
        if size > budget
    ]


def _plist_problems(app: Path, plist: dict) -> Iterator[str]:
    for key in ("CFBundleIdentifier", "CFBundleVersion", "LSMinimumSystemVersion"):
        if not plist.get(key):
            yield f"Info.plist has no {key}."
    for name in (plist.get("CFBundleExecutable", ""), "engine"):
        program = app / "Contents/MacOS" / name
        if not name or not program.is_file() or not program.stat().st_mode & 0o100:
            yield f"Contents/MacOS/{name} is no program."
    if _floor(plist) > _floor({"LSMinimumSystemVersion": info_plist.LOWEST_MACOS}):
        yield (
            f"It needs macOS {plist['LSMinimumSystemVersion']}, and {info_plist.LOWEST_MACOS} "
            "is promised."
        )
    icon = str(plist.get("CFBundleIconFile", ""))
    if not (app / "Contents/Resources" / icon).with_suffix(".icns").is_file():
        yield "The icon is missing."
    if plist.get("PythonInfoDict", {}).get("PythonExecutable"):
        yield "Info.plist names the building machine's interpreter."
    resources = app / "Contents/Resources"
    if not (resources / "resources").is_dir():
        yield "The resources are missing."
    icons = {entry.get("CFBundleTypeIconFile") for entry in plist.get("CFBundleDocumentTypes", ())}
    for name in sorted(filter(None, icons)):
        if not (resources / name).is_file():
            yield f"The icon {name} is missing."
    if plist.get("CFBundleIconName") and not (resources / "Assets.car").is_file():
        yield "Info.plist names a layered icon, and Assets.car is missing."
    for language in plist.get("CFBundleLocalizations", ()):
        if not (resources / f"{language}.lproj/InfoPlist.strings").is_file():
            yield f"The texts of {language} are missing."


def _package_problems(app: Path) -> Iterator[str]:
    """Ours in place of somebody else's of the same name: py2app takes a path for a package."""
    modules = contents.Modules(app)
    for name in ("packaging.version", "gui.bundle_main"):
        if not modules.has(name):
            yield f"The module {name} is missing."
    if (postbuild.library(app) / "packaging/macos").exists():
        yield "The folder packaging of the checkout is in the bundle."


def _zip_problems(app: Path) -> Iterator[str]:
    for path in sorted((app / "Contents/Resources/lib").glob("python3*.zip")):
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                with archive.open(item) as file:
                    if macho.is_macho(file.read(8)):
                        yield f"{path.name} hides the binary {item.filename}."


def _framework_problems(app: Path) -> Iterator[str]:
    for framework in sorted(app.rglob("*.framework")):
        if framework.is_symlink() or not (framework / "Versions").is_dir():
            continue
        for link in ("Resources", "Versions/Current"):
            path = framework / link
            if path.is_dir() and not path.is_symlink():
                yield f"{framework.relative_to(app)}: {link} is a folder and should be a link."


def _file_problems(app: Path, path: Path, slices: list[macho.Slice], plist: dict) -> Iterator[str]:
    if [part.cpu for part in slices] != [macho.ARM64]:
        yield f"built for {', '.join(part.architecture for part in slices)}, not arm64 alone."
        return
    part = slices[0]
    if part.minimum_macos is not None and part.minimum_macos > _floor(plist):
        yield f"needs macOS {'.'.join(map(str, part.minimum_macos))}."
    for dylib in part.dylibs:
        if dylib.startswith(SYSTEM) or dylib in part.weak:
            continue
        found = [place for place in postbuild.candidates(app, path, part, dylib) if place.exists()]
        if not found:
            yield f"needs {dylib}, which is not in the bundle."
        elif not any(app.resolve() in place.resolve().parents for place in found):
            yield f"needs {dylib}, which lies outside of the bundle."


def _floor(plist: dict) -> tuple[int, ...]:
    return tuple(int(number) for number in plist.get("LSMinimumSystemVersion", "0.0").split("."))


def main() -> int:
    problems = examine(Path(sys.argv[1]))
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems" if problems else "The bundle is sound.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
