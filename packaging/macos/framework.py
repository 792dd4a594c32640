"""A stand-in for python.org's Python.framework, for bundles that are put together on Linux.

Usage: ``python packaging/macos/framework.py DEST``, with the `ziglang` wheel installed.

No package registry has a Python for macOS.  Layout, load commands, architecture and names are those
of the real framework, and the standard library is this interpreter's; what is **not** there is
code: libpython and the extension modules are empty libraries.  A bundle made with it shows that
everything is in its place and can be rewritten, signed and packed.  It cannot start.
"""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TARGET = "aarch64-macos.11.0"
NOT_ON_MACS = {"_gdbm", "nis", "ossaudiodev", "spwd"}
ONLY_ON_MACS = {"_scproxy"}
LEFT_OUT = ("__pycache__", "config-*", "idlelib", "lib-dynload", "site-packages", "test", "tkinter")


def make(dest: Path) -> Path:
    """Make ``dest/Python.framework``; returns its ``Versions/3.x``."""
    root = dest / "Python.framework"
    shutil.rmtree(root, ignore_errors=True)
    version = root / "Versions" / VERSION
    program = version / "Resources/Python.app/Contents/MacOS"
    program.mkdir(parents=True)
    shared = ["-shared", f"-Wl,-install_name,{version}/Python"]
    _compile(version / "Python", "int x(void) { return 0; }", *shared)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libpython.dylib"
        shutil.copy(version / "Python", library)
        main = "int x(void); int main(void) { return x(); }"
        _compile(program / "Python", main, str(library))
    _standard_library(version)
    plist = {
        "CFBundleExecutable": "Python",
        "CFBundleIdentifier": "org.python.python",
        "CFBundleName": "Python",
        "CFBundlePackageType": "FMWK",
        "CFBundleShortVersionString": VERSION,
        "CFBundleVersion": VERSION,
    }
    (version / "Resources/Info.plist").write_bytes(plistlib.dumps(plist))
    (root / "Versions/Current").symlink_to(VERSION)
    return version


def _standard_library(version: Path) -> None:
    ours = Path(sysconfig.get_path("stdlib"))
    library = version / f"lib/python{VERSION}"
    shutil.copytree(ours, library, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in (f"config-{VERSION}-darwin", "lib-dynload", "site-packages"):
        (library / name).mkdir()
    for name in ("Makefile", "Setup", "Setup.local"):
        (library / f"config-{VERSION}-darwin" / name).touch()
    for path in library.glob("_sysconfigdata_*"):
        path.rename(library / "_sysconfigdata__darwin_darwin.py")
    header = version / f"include/python{VERSION}/pyconfig.h"
    header.parent.mkdir(parents=True)
    header.write_text("/* stand-in */\n")
    names = {path.name.split(".")[0] for path in (ours / "lib-dynload").glob("*.so")}
    extension = library / "lib-dynload" / "_stand_in.so"
    _compile(extension, "int x(void) { return 0; }", "-shared")
    for name in sorted((names | ONLY_ON_MACS) - NOT_ON_MACS):
        ending = f".cpython-{VERSION.replace('.', '')}-darwin.so"
        shutil.copy(extension, library / "lib-dynload" / f"{name}{ending}")
    extension.unlink()


def _compile(out: Path, code: str, *options: str) -> None:
    """Compile C for a Mac, with room in the header for the load commands that py2app rewrites."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "x.c"
        source.write_text(code + "\n")
        subprocess.run(
            [
                sys.executable, "-m", "ziglang", "cc", "-target", TARGET, str(source),
                "-o", str(out), *options, "-Wl,-headerpad_max_install_names",
            ],
            check=True,
        )  # fmt: skip


if __name__ == "__main__":
    print(make(Path(sys.argv[1]).resolve()))
