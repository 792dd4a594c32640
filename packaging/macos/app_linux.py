"""``make app-linux``: the macOS bundle, put together on Linux as far as that goes.

Everything is the real thing but the Python framework, whose code does not exist outside of macOS
(`framework.py`): packages are the macOS wheels of the locked versions, py2app rewrites their load
commands, and what is made is pruned, examined, signed with an identity that is thrown away,
verified and packed.  It shows what the release will hold and that it holds together.  **It does
not start.**

The packages are those for this interpreter's version; the release is built with 3.12.
"""

from __future__ import annotations

import argparse
import email
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import apple_platform
from macos import build, doctor, image, postbuild, seal
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "packaging/locks/bundle.txt"
COMPILER = "ziglang==0.17.1"
PLATFORMS = ("macosx_14_0_arm64", "macosx_14_0_universal2")
BUILD_ONLY = (
    "py2app", "setuptools", "pkg_resources", "_distutils_hack", "PyObjCTest", "dmgbuild",
    "ds_store", "mac_alias",
)  # fmt: skip
"""Packages of the lock that build the app and are none of it."""


def download(wheels: Path, python: str) -> None:
    """Fetch the locked packages' wheels for macOS; what has none fails.

    Args:
        python: version, ``3.12``.
    """
    wheels.mkdir(parents=True, exist_ok=True)
    platforms = [f"--platform={name}" for name in PLATFORMS]
    abis = [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
         "--only-binary=:all:", *platforms, *abis, "--implementation=cp",
         f"--python-version={python}", "--dest", str(wheels), *requirements(python)],
        check=True,
    )  # fmt: skip


def mac_environment(python: str) -> dict[str, str]:
    """What markers are judged by on a Mac: pip would take this machine's answers."""
    return {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "darwin",
        "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "extra": "",
    }  # fmt: skip


def requirements(python: str) -> list[str]:
    """The lock's lines for a version of Python on a Mac."""
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    environment = mac_environment(python)
    return [
        f"{one.name}{one.specifier}"
        for one in map(Requirement, lines)
        if one.marker is None or one.marker.evaluate(environment)
    ]


def unmet(wheels: Path, python: str) -> list[str]:
    """What the wheels of a folder need on a Mac and the lock does not give them."""
    environment = mac_environment(python)
    locked = {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in map(Requirement, requirements(python))
    }
    problems: list[str] = []
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = email.message_from_bytes(archive.read(name))
        for line in metadata.get_all("Requires-Dist") or ():
            need = Requirement(line)
            if need.marker is not None and not need.marker.evaluate(environment):
                continue
            version = locked.get(canonicalize_name(need.name))
            if version is None:
                problems.append(f"{wheel.name} needs {need.name}, which is not locked.")
            elif not need.specifier.contains(version, prereleases=True):
                problems.append(f"{wheel.name} needs {need}, and {version} is locked.")
    return problems


def unpack(wheels: Path, site: Path) -> None:
    """Install wheels by unpacking them, which is all that they need."""
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for data in site.glob("*.data"):
        for kind in ("purelib", "platlib"):
            if (data / kind).is_dir():
                shutil.copytree(data / kind, site, dirs_exist_ok=True)
        shutil.rmtree(data)
    for name in BUILD_ONLY:
        shutil.rmtree(site / name, ignore_errors=True)
        for path in site.glob(f"{name}-*"):
            shutil.rmtree(path)
    (site / "distutils-precedence.pth").unlink(missing_ok=True)


def assemble(work: Path) -> Path:
    """Packages, framework and py2app; returns the app, not yet finished."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    download(work / "wheels", python)
    unpack(work / "wheels", work / "site")
    here = Path(__file__).parent
    python_with_zig = compiler_python(work)
    subprocess.run([python_with_zig, str(here / "framework.py"), str(work)], check=True)
    framework = work / "Python.framework/Versions" / python
    subprocess.run(
        [sys.executable, str(here / "harness.py"), "mac", str(work / "dist"), "--work",
         str(work / "py2app"), "--site", str(work / "site"), "--framework", str(framework)],
        check=True, stdout=(work / "py2app.log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    return work / "dist/Sfumato.app"


def compiler_python(work: Path) -> str:
    """An interpreter that has a compiler for macOS, which nothing else needs."""
    folder = work / "compiler"
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", COMPILER], check=True)
    return str(python)


def finish(app: Path, work: Path) -> list[str]:
    """Prune, examine, sign, verify, pack; returns problems.  Runs where `TOOLS` are installed."""

    identity = work / "throw-away.pem"
    apple_platform.certificates.generate_self_signed(
        person_name="Sfumato throw-away"
    ).write_pem_bundle(identity)
    if build.finish(app, str(identity)):
        return ["The bundle is not sound."]
    problems = seal.verify(app)
    problems += notices_changes(app)
    target = app.with_name(image.name_of(app))
    image.make(app, target)
    installed, packed = postbuild.size(app), target.stat().st_size
    print(f"{installed / 1e6:.0f} MB installed, {packed / 1e6:.0f} MB to download")
    return problems + doctor.size_problems(installed, packed)


def notices_changes(app: Path) -> list[str]:
    """Change one byte of a few files, one after the other: each must break the seal."""
    library = postbuild.library(app)
    chosen = (
        library / "gui/__init__.py",
        library / "PySide6/QtCore.abi3.so",
        app / "Contents/MacOS/engine",
        app / "Contents/Info.plist",
        app / "Contents/Resources/resources/updates.json",
    )
    unnoticed = []
    for path in chosen:
        before = path.read_bytes()
        place = len(before) // 2
        path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
        if not seal.verify(app):
            unnoticed.append(f"{path.relative_to(app)} was changed, and the seal holds.")
        path.write_bytes(before)
    return unnoticed + seal.verify(app)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, default=ROOT / "build/app-linux")
    work = parser.parse_args().work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    problems = finish(assemble(work), work)
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
