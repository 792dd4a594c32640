"""Sign a bundle from the inside out.

Usage: ``python packaging/macos/sign.py dist/Sfumato.app [IDENTITY]``; without an identity ad hoc,
which runs on the Mac that signed it and, after a right-click and Open, on others.  On a Mac
`codesign` does it, elsewhere the library of rcodesign (`apple-platform-py`), by the same plan:
IDENTITY is then a PEM file that holds certificate and private key.
"""

from __future__ import annotations

import plistlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import macho, seal

ENTITLEMENTS = Path(__file__).parent / "entitlements"
AD_HOC = "-"


@dataclass(frozen=True)
class Step:
    """One thing to sign: a file, a framework or the app."""

    path: Path
    program: bool
    """Whether it is started by itself; only programs have entitlements."""


def plan(app: Path) -> list[Step]:
    """What to sign, deepest first, so that every signature covers signed content.

    `codesign --deep` is never used: it skips files outside the standard places and gives every
    file the app's entitlements.
    """
    programs = app / "Contents/MacOS"
    frameworks = [
        path
        for path in sorted(app.rglob("*.framework"))
        if not path.is_symlink() and (path / "Versions").is_dir()
    ]
    files = list(macho.find(app))
    inner = [
        path
        for path in files
        if path.parent != programs and not any(_is_binary_of(path, f) for f in frameworks)
    ]
    main = programs / _main_program(app)
    helpers = [path for path in files if path.parent == programs and path != main]
    return [
        *(Step(path, False) for path in sorted(inner, key=_depth)),
        *(Step(path, False) for path in sorted(frameworks, key=_depth)),
        *(Step(path, True) for path in helpers),
        Step(app, True),
    ]


def entitlements(identity: str) -> Path:
    return ENTITLEMENTS / ("adhoc.plist" if identity == AD_HOC else "developer-id.plist")


def commands(app: Path, identity: str = AD_HOC) -> Iterator[list[str]]:
    """codesign's commands, in order."""
    base = ["codesign", "--force", "--sign", identity, "--options", "runtime"]
    if identity != AD_HOC:
        base.append("--timestamp")
    for step in plan(app):
        rights = ["--entitlements", str(entitlements(identity))] if step.program else []
        yield [*base, *rights, str(step.path)]


def sign(app: Path, identity: str = AD_HOC) -> None:
    """Sign and verify.

    Raises:
        subprocess.CalledProcessError: codesign refused.
        ValueError: what was signed does not verify.
    """
    remove_attributes(app)
    if sys.platform == "darwin":
        for command in commands(app, identity):
            subprocess.run(command, check=True)
        subprocess.run(
            ["codesign", "--verify", "--strict", "--deep", "--verbose=2", str(app)], check=True
        )
    else:
        sign_elsewhere(app, identity)
    if problems := seal.verify(app):
        raise ValueError("The signed bundle does not verify:\n" + "\n".join(problems))


def remove_attributes(app: Path) -> None:
    """Take off what Finder and downloads leave on files, which codesign calls detritus."""
    if sys.platform == "darwin":
        subprocess.run(["xattr", "-cr", str(app)], check=True)


def sign_elsewhere(app: Path, identity: str = AD_HOC) -> None:
    """`sign` without macOS' tools, and without a timestamp, which needs Apple's server."""
    import apple_platform  # type: ignore[import-not-found]

    options = {}
    if identity != AD_HOC:
        key = apple_platform.PemKey(files=[identity])
        options = {"signer": apple_platform.Signer(pem=key), "timestamp_url": "none"}
    for step in plan(app):
        rights = {"entitlements_xml_file": str(entitlements(identity))} if step.program else {}
        # Shallow: what lies inside has been signed already, each in its own way.
        framework = step.path.suffix == ".framework"
        apple_platform.sign(
            (step.path / "Versions/Current").resolve() if framework else step.path,
            code_signature_flags=["runtime"],
            shallow=step.path.is_dir(),
            **rights,
            **options,
        )


def _depth(path: Path) -> tuple[int, str]:
    return -len(path.parts), str(path)


def _is_binary_of(path: Path, framework: Path) -> bool:
    """Whether a file is the framework's own binary, which signing the framework signs."""
    return path.name == framework.stem and framework / "Versions" == path.parent.parent


def _main_program(app: Path) -> str:
    return plistlib.loads((app / "Contents/Info.plist").read_bytes())["CFBundleExecutable"]


if __name__ == "__main__":
    sign(Path(sys.argv[1]), *sys.argv[2:3])
