"""The list of releases: believed only when signed by one of ours, and never an older one."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from macos import update_feed

from gui import paths, updates
from gui.errors import ErrorKind, SfumatoError

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
OURS = (update_feed.public_key(KEY),)


def release(version: str = "1.2.0", macos: str = "14.0", **changes: Any) -> dict[str, Any]:
    made = {
        "version": version, "published": "2026-11-30", "minimum_macos": macos,
        "page": "https://example.org/sfumato", "notes": "- Faster",
        "downloads": [{"name": "Sfumato.dmg", "size": 5, "sha256": "ab" * 32}],
    }  # fmt: skip
    return made | changes


def plain(serial: int = 3, releases: list[Any] | None = None, **changes: Any) -> str:
    listed = [release()] if releases is None else releases
    return json.dumps({"schema": 1, "serial": serial, "releases": listed} | changes)


def sealed(text: str, *keys: Ed25519PrivateKey) -> bytes:
    """A signed list, written here by hand and not by the tool."""
    signatures = [
        {
            "key": updates.key_name(key.public_key().public_bytes_raw()),
            "signature": base64.b64encode(key.sign(updates.PURPOSE + text.encode())).decode(),
        }
        for key in keys or (KEY,)
    ]
    return json.dumps({"signed": text, "signatures": signatures}).encode()


def refused(data: bytes, kind: ErrorKind, keys: tuple[str, ...] = OURS, serial: int = 0) -> None:
    with pytest.raises(SfumatoError) as caught:
        updates.read_feed(data, keys, serial)
    assert caught.value.kind is kind


def test_a_list_signed_by_us_is_read() -> None:
    feed = updates.read_feed(sealed(plain()), OURS, serial=3)
    (found,) = feed.releases
    assert (feed.serial, found.version, found.downloads[0].size) == (3, "1.2.0", 5)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"1.2.0", b"9.9.9"),
        lambda data: data.replace(b"example.org", b"example.com"),
        lambda data: data.replace(b"- Faster", b"- Faster "),
    ],
    ids=["version", "page", "a space"],
)
def test_a_list_that_was_changed_is_not_believed(change: Callable[[bytes], bytes]) -> None:
    data = sealed(plain())
    assert change(data) != data
    refused(change(data), ErrorKind.ACCESS)


def test_every_other_bit_of_the_signature_counts() -> None:
    text = plain()
    proof = KEY.sign(updates.PURPOSE + text.encode())
    name = updates.key_name(KEY.public_key().public_bytes_raw())
    for place in range(0, 512, 7):
        bad = bytearray(proof)
        bad[place // 8] ^= 1 << place % 8
        entry = {"key": name, "signature": base64.b64encode(bytes(bad)).decode()}
        refused(json.dumps({"signed": text, "signatures": [entry]}).encode(), ErrorKind.ACCESS)


def test_another_key_does_not_count_even_under_our_keys_name() -> None:
    refused(sealed(plain(), OTHER), ErrorKind.ACCESS)
    ours, others = (
        json.loads(sealed(plain(), key))["signatures"][0] for key in (KEY, OTHER)
    )  # fmt: skip
    entry = others | {"key": ours["key"]}
    refused(json.dumps({"signed": plain(), "signatures": [entry]}).encode(), ErrorKind.ACCESS)


def test_a_copy_without_keys_believes_nobody() -> None:
    refused(sealed(plain()), ErrorKind.ACCESS, keys=())
    refused(json.dumps({"signed": plain(), "signatures": []}).encode(), ErrorKind.ACCESS)


def test_a_signature_for_another_purpose_does_not_count() -> None:
    text = plain()
    entry = {
        "key": updates.key_name(KEY.public_key().public_bytes_raw()),
        "signature": base64.b64encode(KEY.sign(text.encode())).decode(),
    }
    refused(json.dumps({"signed": text, "signatures": [entry]}).encode(), ErrorKind.ACCESS)


def test_an_older_list_is_refused_and_the_same_one_is_not() -> None:
    data = sealed(plain(serial=3))
    assert updates.read_feed(data, OURS, serial=3).serial == 3
    refused(data, ErrorKind.ACCESS, serial=4)


def test_while_keys_change_either_signature_is_enough() -> None:
    data = sealed(plain(), OTHER, KEY)
    assert updates.read_feed(data, OURS)
    assert updates.read_feed(data, (update_feed.public_key(OTHER),))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>", b"\xff\xfe", b"[]", b"{}", b'{"signed": 5, "signatures": []}',
        b'{"signed": "\\ud800", "signatures": []}', b" " * (updates.MOST_BYTES + 1),
        b"[" * 100_000,
    ],
    ids=["empty", "html", "bytes", "list", "object", "number", "surrogate", "huge", "deep"],
)  # fmt: skip
def test_anything_else_is_no_list(data: bytes) -> None:
    refused(data, ErrorKind.NETWORK)


@pytest.mark.parametrize(
    "bad",
    [
        {"version": "1.2.0; rm"}, {"version": "latest"}, {"page": "file:///etc/passwd"},
        {"page": "http://example.org"}, {"page": "https://a b"}, {"minimum_macos": ""},
        {"published": "soon"}, {"downloads": [{"name": "../x", "size": 1, "sha256": "ab" * 32}]},
        {"downloads": [{"name": "x", "size": 1, "sha256": "AB"}]}, {"notes": "x" * 20_001},
    ],
)  # fmt: skip
def test_even_a_signed_list_holds_only_what_fits(bad: dict[str, Any]) -> None:
    refused(sealed(plain(releases=[release(**bad)])), ErrorKind.NETWORK)


def test_a_name_stated_twice_is_refused() -> None:
    text = plain().replace('"serial": 3', '"serial": 3, "serial": 9')
    refused(sealed(text), ErrorKind.NETWORK)


def test_a_list_of_a_later_form_says_so() -> None:
    refused(sealed(plain(schema=2)), ErrorKind.UNSUPPORTED)


def test_openssl_agrees_about_the_signature(tmp_path: Path) -> None:
    """The signature of a list that the tool made, checked by OpenSSL's own command."""
    data = update_feed.sign(updates.Feed(1, 1, ()), [KEY])
    file = json.loads(data)
    (tmp_path / "signed").write_bytes(updates.PURPOSE + file["signed"].encode())
    (tmp_path / "proof").write_bytes(base64.b64decode(file["signatures"][0]["signature"]))
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "public.pem").write_bytes(pem)
    openssl = shutil.which("openssl")
    assert openssl is not None
    done = subprocess.run(
        [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin",
         "-in", "signed", "-sigfile", "proof"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("version", "macos", "expected"),
    [
        ("1.0.0", "15.1", "2.0.0"),
        ("1.0.0", "14.7.2", "1.10.0"),
        ("1.0.0", "13.0", None),
        ("1.0.0", "", "2.0.0"),
        ("1.9", "14.0", "1.10.0"),
        ("1.10", "14.0", None),
        ("2.0", "26.0", None),
        ("2.1.0rc1", "26.0", None),
    ],
)
def test_the_newest_that_runs_here_is_news(version: str, macos: str, expected: str | None) -> None:
    listed = [release("1.2.0"), release("2.0.0", "15.0"), release("1.10.0", "14.0")]
    feed = updates.read_feed(sealed(plain(releases=listed)), OURS)
    found = updates.newest(feed, version, macos)
    assert (found.version if found else None) == expected


def test_the_shipped_source_is_read_and_its_keys_are_keys() -> None:
    path = paths.resource("updates.json")
    source = updates.read_source(path)
    assert json.loads(path.read_text()) == {"address": source.address, "keys": list(source.keys)}
    assert all(len(base64.b64decode(key, validate=True)) == 32 for key in source.keys)
    assert source.address == "" or source.address.startswith("https://")


def test_a_damaged_source_leaves_nothing_to_look_for(tmp_path: Path) -> None:
    for text in ("", "{", '{"keys": 5}'):
        (tmp_path / "updates.json").write_text(text)
        assert updates.read_source(tmp_path / "updates.json") == updates.Source()
    assert updates.read_source(tmp_path / "absent.json") == updates.Source()
