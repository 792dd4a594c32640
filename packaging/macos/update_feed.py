"""Make, sign and check the list of releases; its form is in `gui/updates.py`.

```sh
python packaging/macos/update_feed.py key ~/sfumato-updates.pem    # once: a key pair
python packaging/macos/update_feed.py trust PUBLIC --address URL   # resources/updates.json
python packaging/macos/update_feed.py add dist --page URL --feed updates.json
python packaging/macos/update_feed.py check updates.json
```

The private key stays outside of the repository: in a file that only its owner reads, encrypted with
a passphrase where one is given, or in the secret ``SFUMATO_UPDATE_KEY`` of the release workflow,
which `add` reads from the environment, as it reads ``SFUMATO_UPDATE_PASSPHRASE``.  Whoever has it
can tell every copy of Sfumato about a release, but none installs anything by itself.

A key is changed in two releases: the first brings the new public key beside the old one and is
signed with the old, the second drops the old one.  `add` signs with every key it is given.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import release

from gui import records, updates
from gui.errors import SfumatoError
from gui.updates import Feed, Release, Signature, SignedFeed, Source

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "resources" / "updates.json"
KEY = "SFUMATO_UPDATE_KEY"
PASSPHRASE = "SFUMATO_UPDATE_PASSPHRASE"
KEPT = 20
"""Releases that stay on the list."""


class FeedError(Exception):
    """A sentence that says what to do."""


def new_key(path: Path, passphrase: str = "") -> str:
    """Make a key pair; the private one goes to a file that only its owner may read.

    Returns: the public key, base64.

    Raises:
        FileExistsError: there is a file already, which is never overwritten.
    """
    private = Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return public_key(private)


def public_key(private: Ed25519PrivateKey) -> str:
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def read_keys(
    paths: Sequence[Path], environment: Mapping[str, str] = os.environ
) -> list[Ed25519PrivateKey]:
    """The private keys of files, or else the one in the environment.

    Raises:
        FeedError: there is none, or one cannot be read.
    """
    texts = [path.read_bytes() for path in paths]
    if not texts and environment.get(KEY):
        texts = [environment[KEY].encode()]
    if not texts:
        raise FeedError(f"There is no key to sign with; give --key FILE, or set {KEY}.")
    passphrase = environment.get(PASSPHRASE, "").encode() or None
    keys: list[Ed25519PrivateKey] = []
    for text in texts:
        try:
            key = serialization.load_pem_private_key(text, passphrase)
        except (ValueError, TypeError) as error:
            raise FeedError(f"The key cannot be read; check {PASSPHRASE}. ({error})") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise FeedError("The key is none of Ed25519; make one with “key FILE”.")
        keys.append(key)
    return keys


def sign(feed: Feed, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """The file: the list as text, with each key's signature of it."""
    records.check(feed)
    signed = records.dumps(feed)
    signatures = tuple(
        Signature(
            updates.key_name(key.public_key().public_bytes_raw()),
            base64.b64encode(key.sign(updates.PURPOSE + signed.encode())).decode(),
        )
        for key in keys
    )
    return (records.dumps(SignedFeed(signed, signatures), indent=2) + "\n").encode()


def add(feed: Feed | None, facts: release.Facts, page: str, text: str) -> Feed:
    """A list with a release put first, or put anew where it is on it, under a new serial number."""
    made = Release(
        facts.version, facts.published, facts.minimum_macos, page, text, tuple(facts.files)
    )
    others = [one for one in (feed.releases if feed else ()) if one.version != facts.version]
    every = sorted([made, *others], key=lambda one: updates.version_numbers(one.version))[::-1]
    serial = feed.serial + 1 if feed else 1
    return Feed(updates.SCHEMA, serial, tuple(every[:KEPT]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    key = commands.add_parser("key", help="make a key pair")
    key.add_argument("file", type=Path)
    trust = commands.add_parser("trust", help="have copies built from here believe a public key")
    trust.add_argument("public", help="as “key” printed it")
    trust.add_argument("--address", help="where the list will lie, https://…")
    trust.add_argument("--drop", action="append", default=[], help="a public key to take out")
    adding = commands.add_parser("add", help="put what was built on the list, and sign it")
    adding.add_argument("dist", type=Path, help="folder with release.json and notes.md")
    adding.add_argument("--page", required=True, help="where a person downloads it, https://…")
    adding.add_argument("--feed", type=Path, required=True, help="the list, changed in place")
    adding.add_argument("--key", type=Path, action="append", default=[])
    checking = commands.add_parser("check", help="read a list as the app does")
    checking.add_argument("feed", type=Path)
    for one in (trust, adding, checking):
        one.add_argument("--source", type=Path, default=SOURCE, help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except (FeedError, SfumatoError, records.RecordError, OSError) as error:
        print(error, getattr(error, "detail", ""), file=sys.stderr)
        return 1


def _key(options: argparse.Namespace) -> int:
    if ROOT in options.file.resolve().parents:
        raise FeedError("A private key stays outside of the repository; name another folder.")
    public = new_key(options.file, os.environ.get(PASSPHRASE, ""))
    print(f"Private key: {options.file} (keep it, and a copy of it, where nobody else reads it)")
    print(f"Public key:  {public}")
    return 0


def _trust(options: argparse.Namespace) -> int:
    source = updates.read_source(options.source)
    keys = dict.fromkeys([*source.keys, options.public])
    kept = tuple(key for key in keys if key not in options.drop)
    changed = dataclasses.replace(source, keys=kept, address=options.address or source.address)
    options.source.write_text(records.dumps(changed, indent=2) + "\n")
    return 0


def _add(options: argparse.Namespace) -> int:
    source = updates.read_source(options.source)
    before = None
    if options.feed.exists():
        before = updates.read_feed(options.feed.read_bytes(), source.keys)
    facts = release.read(options.dist / "release.json")
    feed = add(before, facts, options.page, (options.dist / "notes.md").read_text())
    data = sign(feed, read_keys(options.key))
    updates.read_feed(data, source.keys, feed.serial)  # what no copy believes is not written
    temporary = options.feed.with_name(options.feed.name + ".new")
    temporary.write_bytes(data)
    temporary.replace(options.feed)
    print(f"{facts.version} is on the list, number {feed.serial}.")
    return 0


def _check(options: argparse.Namespace) -> int:
    source: Source = updates.read_source(options.source)
    feed = updates.read_feed(options.feed.read_bytes(), source.keys)
    for one in feed.releases:
        print(f"{one.version}  {one.published}  macOS {one.minimum_macos} or later  {one.page}")
    print(f"number {feed.serial}, {len(feed.releases)} releases, signed by one of ours")
    return 0


_COMMANDS = {"key": _key, "trust": _trust, "add": _add, "check": _check}


if __name__ == "__main__":
    sys.exit(main())
