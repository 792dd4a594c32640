"""Sign a bundle from the inside out; macOS only.

Usage: ``python packaging/macos/sign.py dist/Sfumato.app [IDENTITY]``; without an identity ad hoc,
which runs on the Mac that signed it and, after a right-click and Open, on others.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import macho

ENTITLEMENTS = Path(__file__).parent / "entitlements"
AD_HOC = "-"


def plan(app: Path, identity: str = AD_HOC) -> list[list[str]]:
    """The commands, deepest files first, so that every signature covers signed content.

    `codesign --deep` is never used: it skips files outside the standard places and gives every
    file the app's entitlements.
    """
    base = ["codesign", "--force", "--sign", identity, "--options", "runtime"]
    if identity != AD_HOC:
        base.append("--timestamp")
    entitlements = ENTITLEMENTS / ("adhoc.plist" if identity == AD_HOC else "developer-id.plist")
    entitled = [*base, "--entitlements", str(entitlements)]
    programs = app / "Contents/MacOS"
    frameworks = [
        path
        for path in sorted(app.rglob("*.framework"))
        if not path.is_symlink() and (path / "Versions").is_dir()
    ]
    inner = [
        path
        for path in macho.find(app)
        if path.parent != programs and not any(_is_binary_of(path, f) for f in frameworks)
    ]
    inner.sort(key=_depth)
    frameworks.sort(key=_depth)
    main = _main_program(app)
    helpers = [path for path in macho.find(programs) if path.name != main]
    return [
        *([*base, str(path)] for path in inner),
        *([*base, str(path)] for path in frameworks),
        *([*entitled, str(path)] for path in helpers),
        [*entitled, str(app)],
    ]


def sign(app: Path, identity: str = AD_HOC) -> None:
    """Sign and verify.

    Raises:
        subprocess.CalledProcessError: codesign refused.
    """
    for command in plan(app, identity):
        subprocess.run(command, check=True)
    subprocess.run(["codesign", "--verify", "--strict", "--verbose=2", str(app)], check=True)


def _depth(path: Path) -> tuple[int, str]:
    return -len(path.parts), str(path)


def _is_binary_of(path: Path, framework: Path) -> bool:
    """Whether a file is the framework's own binary, which signing the framework signs."""
    return path.name == framework.stem and framework / "Versions" == path.parent.parent


def _main_program(app: Path) -> str:
    import plistlib

    plist = plistlib.loads((app / "Contents/Info.plist").read_bytes())
    return plist["CFBundleExecutable"]


if __name__ == "__main__":
    sign(Path(sys.argv[1]), *sys.argv[2:3])
