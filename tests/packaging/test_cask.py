"""Homebrew's cask of a release."""

from __future__ import annotations

import re

import pytest
from macos import cask, release

from gui.updates import Download

HOME = "https://example.org/sfumato"
FOLDER = f"{HOME}/releases/download/v{{version}}"


def facts(**changes: object) -> release.Facts:
    files = (Download("Sfumato-1.2.0.dmg", 5, "ab" * 32),)
    known = {
        "version": "1.2.0", "minimum_macos": "14.0", "identifier": "app.sfumato.Sfumato",
        "published": "2026-11-30", "files": files,
    }  # fmt: skip
    return release.Facts(**{**known, **changes})  # type: ignore[arg-type]


def test_it_says_what_homebrew_must_know() -> None:
    lines = [line.strip() for line in cask.cask(facts(), FOLDER, HOME).splitlines()]
    for line in (
        'version "1.2.0"',
        f'sha256 "{"ab" * 32}"',
        f'url "{HOME}/releases/download/v#{{version}}/Sfumato-#{{version}}.dmg"',
        f'homepage "{HOME}"',
        "depends_on arch: :arm64",
        'depends_on macos: ">= :sonoma"',
        'app "Sfumato.app"',
    ):
        assert line in lines, line
    assert "auto_updates" not in "\n".join(lines), "the app installs nothing by itself"


def test_its_blocks_are_closed() -> None:
    text = cask.cask(facts(), FOLDER, HOME)
    opened = len(re.findall(r"\bdo$", text, re.MULTILINE))
    assert opened == len(re.findall(r"^\s*end$", text, re.MULTILINE)) == 2
    assert text.count("[") == text.count("]") and text.count('"') % 2 == 0


def test_zapping_takes_nothing_that_a_person_made() -> None:
    text = cask.cask(facts(), FOLDER, HOME)
    trashed = re.findall(r'"(~/[^"]+)"', text)
    assert trashed == sorted(trashed) and trashed
    for kept in ("~/Pictures/Sfumato", "~/Library/Application Support/Sfumato/Models"):
        assert not any(kept.startswith(place) for place in trashed)


@pytest.mark.parametrize(
    ("download", "home", "changes"),
    [
        (FOLDER.replace("https", "http"), HOME, {}),
        (f"{HOME}/releases/download/v1.2.0", HOME, {}),
        (FOLDER, 'https://x"; system "rm', {}),
        (FOLDER, HOME, {"minimum_macos": "13.9.9" if 13 not in cask.NAMES else "99.0"}),
        (FOLDER, HOME, {"version": "1.3.0"}),
    ],
)
def test_what_would_be_no_cask_is_refused(
    download: str, home: str, changes: dict[str, object]
) -> None:
    with pytest.raises(ValueError):
        cask.cask(facts(**changes), download, home)
