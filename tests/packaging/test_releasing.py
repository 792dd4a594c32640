"""From what was built to what is published: hashes, notes, the signed list of releases."""

from __future__ import annotations

import hashlib
import json
import plistlib
import stat
import subprocess
from pathlib import Path

import pytest
from macos import release, update_feed

from gui import updates

PAGE = "https://example.org/releases/v1.2.0"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A folder as the build leaves it."""
    dist = tmp_path / "dist"
    (dist / "Sfumato.app/Contents").mkdir(parents=True)
    plist = {
        "CFBundleShortVersionString": "1.2.0",
        "LSMinimumSystemVersion": "14.0",
        "CFBundleIdentifier": "app.sfumato.Sfumato",
    }
    (dist / "Sfumato.app/Contents/Info.plist").write_bytes(plistlib.dumps(plist))
    (dist / "Sfumato-1.2.0.dmg").write_bytes(b"image" * 1000)
    release.write(dist, release.gather(dist, "2026-11-30"), "- Faster\n")
    return dist


def test_facts_are_those_of_the_built_files(dist: Path) -> None:
    facts = release.read(dist / "release.json")
    assert (facts.version, facts.minimum_macos) == ("1.2.0", "14.0")
    (image,) = facts.files
    assert image.size == 5000
    assert image.sha256 == hashlib.sha256(b"image" * 1000).hexdigest()


def test_checksums_are_read_by_the_systems_command(dist: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=dist, capture_output=True).returncode == 0
    (dist / "Sfumato-1.2.0.dmg").write_bytes(b"something else")
    assert subprocess.run(command, cwd=dist, capture_output=True).returncode != 0


def test_notes_are_the_versions_section() -> None:
    log = "# Changelog\n\n## Unreleased\n\n- Later\n\n## 1.2.0 (2026-11-30)\n\n- Faster\n\n## 1.2\n"
    assert release.notes(log, "1.2.0") == "- Faster\n"
    for absent in ("1.2.0.1", "1.2", "2.0"):
        with pytest.raises(ValueError, match="CHANGELOG"):
            release.notes(log, absent)


def run(*arguments: object) -> int:
    return update_feed.main([str(argument) for argument in arguments])


@pytest.fixture
def key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """Private key's file and the public key, as the tool makes them."""
    path = tmp_path / "key.pem"
    assert run("key", path) == 0
    return path, capsys.readouterr().out.split()[-1]


def test_a_release_goes_on_the_list_that_the_app_then_believes(
    dist: Path, key: tuple[Path, str], tmp_path: Path
) -> None:
    private, public = key
    source, feed = tmp_path / "source.json", tmp_path / "updates.json"
    trust = ["trust", public, "--address", "https://example.org/updates.json"]
    assert run(*trust, "--source", source) == 0
    add = ["add", dist, "--page", PAGE, "--feed", feed, "--source", source, "--key", private]
    assert run(*add) == 0 and run(*add) == 0 and run("check", feed, "--source", source) == 0
    found = updates.read_feed(feed.read_bytes(), updates.read_source(source).keys)
    assert found.serial == 2, "each signed list has a number of its own"
    news = updates.newest(found, "1.1.9", "14.0")
    assert news is not None and news.notes == "- Faster\n" and news.page == PAGE
    assert [one.version for one in found.releases] == ["1.2.0"]


def test_an_untrusted_key_publishes_nothing(
    dist: Path, key: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, feed = tmp_path / "source.json", tmp_path / "updates.json"
    source.write_text("{}")
    add = ["add", dist, "--page", PAGE, "--feed", feed, "--source", source, "--key", key[0]]
    assert run(*add) == 1
    assert not feed.exists()
    assert "not signed by" in capsys.readouterr().err


def test_a_page_that_is_no_secure_address_is_refused(
    dist: Path, key: tuple[Path, str], tmp_path: Path
) -> None:
    source, feed = tmp_path / "source.json", tmp_path / "updates.json"
    assert run("trust", key[1], "--source", source) == 0
    page = "http://example.org"
    add = ["add", dist, "--page", page, "--feed", feed, "--source", source, "--key", key[0]]
    assert run(*add) == 1 and not feed.exists()


def test_a_private_key_is_its_owners_alone_and_never_overwritten(
    key: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = key[0]
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("key", path) == 1 and path.read_bytes() == before
    inside = update_feed.ROOT / "key.pem"
    assert run("key", inside) == 1 and not inside.exists()
    monkeypatch.setenv(update_feed.PASSPHRASE, "between us")
    locked = tmp_path / "locked.pem"
    assert run("key", locked) == 0 and b"ENCRYPTED" in locked.read_bytes()
    assert update_feed.read_keys([locked])
    with pytest.raises(update_feed.FeedError, match="cannot be read"):
        update_feed.read_keys([locked], {})


def test_the_key_may_come_from_the_environment(key: tuple[Path, str]) -> None:
    (found,) = update_feed.read_keys([], {update_feed.KEY: key[0].read_text()})
    assert update_feed.public_key(found) == key[1]
    with pytest.raises(update_feed.FeedError, match="no key"):
        update_feed.read_keys([], {})


def test_keys_are_changed_in_two_steps(
    dist: Path, key: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, old_public = key
    new = tmp_path / "new.pem"
    assert run("key", new) == 0
    new_public = capsys.readouterr().out.split()[-1]
    source = tmp_path / "source.json"
    assert run("trust", old_public, "--source", source) == 0
    assert run("trust", new_public, "--source", source) == 0
    feed = tmp_path / "updates.json"
    add = ["add", dist, "--page", PAGE, "--feed", feed, "--source", source]
    assert run(*add, "--key", old, "--key", new) == 0
    for public in (old_public, new_public):
        assert updates.read_feed(feed.read_bytes(), [public])
    assert run("trust", new_public, "--drop", old_public, "--source", source) == 0
    assert json.loads(source.read_text())["keys"] == [new_public]
