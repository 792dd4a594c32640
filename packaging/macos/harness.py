"""Run py2app where it was never meant to run: on Linux, for tests of the bundle.

Two ways, both of which let py2app itself decide what goes into the bundle and where:

- ``harness.py linux DIST``: with this interpreter's own packages.  What is made has the bundle's
  layout and **starts on Linux**, by shell scripts in the places of the two programs.
- ``harness.py mac DIST --site SITE --framework VERSION``: with unpacked macOS packages and a Python
  framework (`framework.py`), whose load commands py2app rewrites as it does on a Mac.

py2app is a program for one system, and much of it is module-level functions; what does not exist
here is replaced for this process alone.  Each replacement says why.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import shutil
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

import setuptools  # noqa: F401 - brings distutils, which py2app imports

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import macho

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

STARTER = """\
#!/bin/sh
# Starts the bundle's Python as py2app's program does on a Mac.
contents=$(dirname "$(dirname "$(readlink -f "$0")")")
unset PYTHONPATH PYTHONOPTIMIZE
export PYTHONHOME="$contents/Resources" RESOURCEPATH="$contents/Resources"
export EXECUTABLEPATH="$contents/MacOS/{name}" ARGVZERO="$contents/MacOS/{name}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
export LD_LIBRARY_PATH="$contents/Frameworks"
exec "$contents/MacOS/python" "$contents/Resources/__boot__.py" "$@"
"""
"""The same variables as `apptemplate/src/main.c` sets."""


def build(dist: Path, work: Path) -> None:
    """Run `setup_app.py py2app` in this process.

    Args:
        dist: gets `Sfumato.app`.
        work: for py2app's own files.
    """
    import py2app.recipes as recipes

    recipes.tkinter.check = lambda command, graph: None  # it opens a Tk window; we exclude it
    os.chdir(ROOT)
    # Ours are imported by now; `setup_app.py` puts on the path what py2app may see.
    packaging = str(ROOT / "packaging")
    sys.path[:] = [place for place in sys.path if place not in (packaging, str(ROOT))]
    arguments = ["py2app", "--dist-dir", str(dist), "--bdist-base", str(work)]
    sys.argv = ["setup_app.py", *arguments]
    runpy.run_path("setup_app.py", run_name="__main__")


def build_for_linux(dist: Path, work: Path) -> Path:
    """A bundle of this interpreter's packages that starts here.  Returns the app."""
    import py2app.build_app as builder

    builder.loader_paths = lambda *_: iter(())  # reads load commands, which ELF files have not
    initialise, finalise = builder.py2app.initialize_options, builder.py2app.finalize_options

    def without_macho(self: Any) -> None:
        initialise(self)
        self.debug_skip_macholib = True

    def with_what_is_here(self: Any) -> None:
        finalise(self)  # pyobjc's packages exist on a Mac only
        self.packages = {name for name in self.packages if importlib.util.find_spec(name)}

    builder.py2app.initialize_options = without_macho
    builder.py2app.finalize_options = with_what_is_here
    build(dist, work)
    app = dist / "Sfumato.app"
    packages = app / f"Contents/Resources/lib/python{VERSION}"
    # What macholib would have brought along: libraries beside the packages, and libpython.
    for folder in Path(sysconfig.get_path("platlib")).glob("*.libs"):
        shutil.copytree(folder, packages / folder.name, dirs_exist_ok=True)
        # Extension modules outside of a package look for theirs beside themselves.
        beside = packages / "lib-dynload" / folder.name
        if not beside.is_symlink():
            beside.symlink_to(Path("..") / folder.name)
    (app / "Contents/Frameworks").mkdir(exist_ok=True)
    library = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("INSTSONAME")
    if library.suffix != ".a" and library.is_file():
        shutil.copy2(library, app / "Contents/Frameworks" / library.name)
    programs = app / "Contents/MacOS"
    (programs / "python").unlink(missing_ok=True)
    shutil.copy2(Path(sys.executable).resolve(), programs / "python")
    for name in ("Sfumato", "engine"):
        (programs / name).write_text(STARTER.format(name=name))
        (programs / name).chmod(0o755)
    return app


def build_for_mac(dist: Path, work: Path, site: Path, framework: Path) -> Path:
    """A bundle of macOS packages for arm64.  Returns the app.

    Args:
        site: unpacked wheels for this interpreter's version of Python.
        framework: ``Python.framework/Versions/3.x``, laid out as python.org's.
    """
    import macholib.dyld
    import modulegraph.find_modules
    import modulegraph.modulegraph
    import py2app.build_app as builder

    library = framework / f"lib/python{VERSION}"
    places = [str(library), str(library / "lib-dynload"), str(site), str(ROOT)]
    endings = [f".cpython-{VERSION.replace('.', '')}-darwin.so", ".abi3.so", ".so"]
    _be_a_framework_build(builder, framework)
    # The system's libraries are in a cache of macOS', not on disk: those that our files name count.
    named = _system_libraries([site, framework])
    macholib.dyld._dyld_shared_cache_contains_path = lambda path: path in named  # type: ignore[attr-defined]
    builder.strip_files = lambda *_, **__: None
    builder.codesign_adhoc = lambda _app: None  # hides failures even on a Mac; `sign.py` does it
    sys.modules.update(_standins_for_pyside(site))
    _search(modulegraph, places, endings)
    own = builder.imp_find_module

    def find_module(name: str, path: Any = None) -> Any:
        return own(name, path) if name.startswith("py2app") else own(name, path or places)

    def import_nothing(name: str, *_: Any, **__: Any) -> Any:
        raise ImportError(name)

    # For its warnings py2app imports what it lacks: that would be this machine's packages.
    builder.__import__ = import_nothing  # type: ignore[attr-defined]
    builder.imp_find_module = find_module
    _refuse_namespaces(site)
    metadata = builder.scan_for_metadata
    builder.scan_for_metadata = lambda _path: metadata([str(site)])
    # py2app copies the file of zlib that this process runs with.
    _zlib(library, endings[0])
    build(dist, work)
    return dist / "Sfumato.app"


def _refuse_namespaces(site: Path) -> None:
    """Say at once what py2app says after minutes: it takes no package that has no `__init__`."""
    sys.path.append(str(ROOT))
    import setup_app

    wrong = [
        name
        for name in setup_app.PACKAGES
        if name != "gui" and not (site / name / "__init__.py").is_file()
    ]
    if wrong:
        raise SystemExit(f"py2app cannot take as packages: {', '.join(wrong)}")


def _be_a_framework_build(builder: Any, framework: Path) -> None:
    ours = {
        "PYTHONFRAMEWORK": "Python",
        "CONFINCLUDEPY": str(framework / f"include/python{VERSION}"),
        "LIBPL": str(framework / f"lib/python{VERSION}/config-{VERSION}-darwin"),
        "Py_ENABLE_SHARED": 0,
    }
    config = builder.get_config_var
    builder.get_config_var = lambda name: ours[name] if name in ours else config(name)
    builder.PYTHONFRAMEWORK = "Python"
    builder.sys_base_prefix = str(framework)
    builder.get_platform = lambda: "macosx-11.0-arm64"
    builder.get_config_h_filename = lambda: str(framework / f"include/python{VERSION}/pyconfig.h")
    sysconfig._get_sysconfigdata_name = lambda *_: "_sysconfigdata__darwin_darwin"  # type: ignore[attr-defined]


def _system_libraries(roots: list[Path]) -> set[str]:
    return {
        dylib
        for root in roots
        for slices in macho.find(root).values()
        for part in slices
        for dylib in part.dylibs
        if dylib.startswith(("/usr/lib/", "/System/Library/"))
    }


def _standins_for_pyside(site: Path) -> dict[str, types.ModuleType]:
    """py2app's recipe asks a running Qt where its plugins are; the Mac's does not run here."""
    plugins = str(site / "PySide6/Qt/plugins")

    class QLibraryInfo:
        PluginsPath = 0

        class LibraryPath:
            PluginsPath = 0

        @staticmethod
        def path(_kind: int) -> str:
            return plugins

        location = path

    package, core = types.ModuleType("PySide6"), types.ModuleType("PySide6.QtCore")
    package.__path__ = []
    core.QLibraryInfo = QLibraryInfo  # type: ignore[attr-defined]
    package.QtCore = core  # type: ignore[attr-defined]
    return {"PySide6": package, "PySide6.QtCore": core}


def _search(modulegraph: Any, places: list[str], endings: list[str]) -> None:
    """Have the module graph look for the Mac's modules, and nowhere else."""
    from importlib.machinery import (
        EXTENSION_SUFFIXES,
        ExtensionFileLoader,
        FileFinder,
        SourceFileLoader,
        SourcelessFileLoader,
    )

    graph = modulegraph.modulegraph
    initialise = graph.ModuleGraph.__init__

    def with_places(self: Any, path: Any = None, *arguments: Any, **options: Any) -> None:
        del path
        EXTENSION_SUFFIXES[:] = endings
        modulegraph.find_modules.C_SUFFIXES[:] = endings
        sys.path_importer_cache.clear()
        initialise(self, list(places), *arguments, **options)

    graph.ModuleGraph.__init__ = with_places
    finders: dict[str, FileFinder | None] = {}

    def importer(entry: str) -> FileFinder | None:
        place = os.path.abspath(entry)  # noqa: PTH100 - as pkgutil is given it
        if place not in finders:
            loaders = (
                (ExtensionFileLoader, endings),
                (SourceFileLoader, [".py"]),
                (SourcelessFileLoader, [".pyc"]),
            )
            found = os.path.isdir(place)  # noqa: PTH112
            finders[place] = FileFinder(place, *loaders) if found else None
        return finders[place]

    import pkgutil

    shim = types.ModuleType("pkgutil")
    shim.__dict__.update(vars(pkgutil), get_importer=importer)
    graph.pkgutil = shim


def _zlib(library: Path, ending: str) -> None:
    import zlib

    zlib.__file__ = str(library / f"lib-dynload/zlib{ending}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=["linux", "mac"])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for py2app's own files")
    parser.add_argument("--site", type=Path)
    parser.add_argument("--framework", type=Path)
    options = parser.parse_args()
    dist, work = options.dist.resolve(), options.work.resolve()
    shutil.rmtree(dist / "Sfumato.app", ignore_errors=True)
    if options.kind == "linux":
        build_for_linux(dist, work)
    else:
        build_for_mac(dist, work, options.site.resolve(), options.framework.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
