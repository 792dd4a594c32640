"""What a release consists of: its files with sizes and hashes, its version, its notes.

Usage: ``python packaging/macos/release.py dist``; writes into that folder

- `release.json`, from which the cask and the list of releases are made,
- `SHA256SUMS`, as ``shasum -a 256 -c SHA256SUMS`` reads it,
- `notes.md`, the version's section of CHANGELOG.md.

The version and the oldest macOS are read out of the app that was built, not told.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import plistlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gui import records
from gui.records import Record
from gui.updates import Download

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ("*.dmg",)
"""Which files of the folder are given to people."""


@dataclass(frozen=True)
class Facts(Record):
    """`release.json`."""

    version: str
    minimum_macos: str
    identifier: str
    published: str
    """Day, ``2026-11-30``, in UTC."""
    files: tuple[Download, ...]


def gather(dist: Path, day: str | None = None) -> Facts:
    """Facts of what was built in a folder.

    Args:
        dist: holds `Sfumato.app` and the disk image.
        day: of the release; None: today.

    Raises:
        FileNotFoundError: there is no app, or nothing to give to people.
    """
    plist = plistlib.loads((dist / "Sfumato.app/Contents/Info.plist").read_bytes())
    paths = sorted(path for pattern in RELEASED for path in dist.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"{dist} holds no disk image; make it first")
    return Facts(
        version=plist["CFBundleShortVersionString"],
        minimum_macos=plist["LSMinimumSystemVersion"],
        identifier=plist["CFBundleIdentifier"],
        published=day or datetime.datetime.now(datetime.UTC).date().isoformat(),
        files=tuple(Download(path.name, path.stat().st_size, sha256(path)) for path in paths),
    )


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def notes(changelog: str, version: str) -> str:
    """A version's section of the changelog, without its heading.

    Raises:
        ValueError: it has none; a release without a word about it is a mistake.
    """
    heading = rf"^## \[?{re.escape(version)}\]?(?: [^\n]*)?$"
    match = re.search(rf"{heading}\n(?P<text>.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    if match is None or not match["text"].strip():
        raise ValueError(f"CHANGELOG.md has no section “## {version}”; write it before releasing")
    return match["text"].strip() + "\n"


def read(path: Path) -> Facts:
    """Read `release.json`."""
    return records.loads(Facts, path.read_bytes())


def write(dist: Path, facts: Facts, text: str) -> None:
    (dist / "release.json").write_text(records.dumps(facts, indent=2) + "\n")
    sums = [f"{one.sha256}  {one.name}\n" for one in facts.files]
    (dist / "SHA256SUMS").write_text("".join(sums))
    (dist / "notes.md").write_text(text)


def differing(dist: Path) -> list[str]:
    """Files that are not, or no longer, what `release.json` says."""
    return [
        one.name
        for one in read(dist / "release.json").files
        if not (dist / one.name).is_file() or sha256(dist / one.name) != one.sha256
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--tag", help="fail unless the app's version is this tag's (v1.2.0)")
    parser.add_argument("--verify", action="store_true", help="only compare files and facts")
    options = parser.parse_args()
    if options.verify:
        changed = differing(options.dist)
        print(*(f"{name} is not the file that was built." for name in changed), sep="\n")
        return 1 if changed else 0
    facts = gather(options.dist)
    if options.tag and options.tag.removeprefix("v") != facts.version:
        print(f"The tag {options.tag} is not of version {facts.version}.", file=sys.stderr)
        return 1
    # A build that is no release has no section of its own yet.
    section = facts.version if options.tag else "Unreleased"
    write(options.dist, facts, notes((ROOT / "CHANGELOG.md").read_text(), section))
    for one in facts.files:
        print(f"{one.name}: {one.size / 1e6:.1f} MB, SHA-256 {one.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
