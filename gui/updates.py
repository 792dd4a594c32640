"""The list of releases: its form, its signature, and what of it is news for this computer.

The list is a small JSON file beside the releases.  Its outer object holds the list proper as one
text and signatures (Ed25519, RFC 8032) of exactly that text, so nothing depends on how JSON is
written:

```json
{"signed": "{\\"schema\\": 1, \\"serial\\": 7, …}",
 "signatures": [{"key": "4d3a…", "signature": "base64 of 64 bytes"}]}
```

The list proper is a `Feed`.  Its serial number grows with every list that is signed; a copy of the
app that has seen one accepts no older one, so that nobody can offer yesterday's release as today's.
Which keys count, and where the list lies, says `resources/updates.json`, which ships with the app
(`Source`).  Lists are made and signed by `packaging/macos/update_feed.py`.

Nothing here goes over the network.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from gui import records
from gui.errors import ErrorKind, SfumatoError
from gui.records import Range, Record, RecordError

SCHEMA = 1
"""A list of another one is for another version of the app."""

PURPOSE = b"Sfumato updates 1\n"
"""Stands before the text that is signed, so that a signature of anything else is none of this."""

MOST_BYTES = 256 * 1024
"""Larger files are no list of ours."""

_UNTRUSTED = (
    "The list of releases is not signed by Sfumato's makers; leave it, and look for news on the "
    "page where you got Sfumato."
)


@dataclass(frozen=True)
class Matches:
    """A text of a certain form, all of it."""

    pattern: str
    words: str = ""
    form: str = "text"

    def accepts(self, value: Any) -> bool:
        return re.fullmatch(self.pattern, value) is not None

    def expected(self, kind: str) -> str:
        del kind
        return self.form


_VERSION = Matches(r"\d{1,6}(\.\d{1,6}){1,3}", form="a version such as 1.2.0")
_PAGE = Matches(r"https://[^\s\x00-\x1f]{1,1000}", form="an address that begins with https://")
_SHA256 = Matches(r"[0-9a-f]{64}", form="64 hexadecimal digits")
_DATE = Matches(r"\d{4}-\d\d-\d\d", form="a date such as 2026-11-30")
_FILE = Matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", form="a file name")
_TEXT = Matches(r"(?s).{0,20000}", form="text of at most 20,000 characters")


@dataclass(frozen=True)
class Download(Record):
    """A file of a release."""

    name: Annotated[str, _FILE]
    size: Annotated[int, Range(1, 1 << 40)]
    """Bytes."""
    sha256: Annotated[str, _SHA256]


@dataclass(frozen=True)
class Release(Record):
    """One version that can be had."""

    version: Annotated[str, _VERSION]
    published: Annotated[str, _DATE]
    minimum_macos: Annotated[str, _VERSION]
    page: Annotated[str, _PAGE]
    """Where a person reads about it and downloads it."""
    notes: Annotated[str, _TEXT]
    """What is new, in Markdown that reads well as it stands."""
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True)
class Feed(Record):
    """The list proper."""

    schema: int
    serial: Annotated[int, Range(1, 1 << 53)]
    releases: tuple[Release, ...]


@dataclass(frozen=True)
class _AnyFeed(Record):
    """What lists of every form have."""

    schema: int


@dataclass(frozen=True)
class Signature(Record):
    key: str
    """The key's name, `key_name`."""
    signature: str
    """Base64 of 64 bytes."""


@dataclass(frozen=True)
class SignedFeed(Record):
    """The file."""

    signed: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True)
class Source(Record):
    """Where this copy of the app looks, and whom it believes."""

    address: str = ""
    """Of the list; empty in a copy that nobody has released: there is nothing to look for."""
    keys: tuple[str, ...] = ()
    """Public keys, base64 of 32 bytes each.  Two during a change of keys."""


def key_name(public: bytes) -> str:
    """A key's name: the beginning of its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()[:16]


def read_source(path: Path) -> Source:
    """Read `resources/updates.json`; a damaged one leaves nothing to look for.

    Reads a file of the app's own.
    """
    try:
        return records.loads(Source, path.read_bytes())
    except (OSError, RecordError):
        return Source()


def read_feed(data: bytes, keys: Iterable[str], serial: int = 0) -> Feed:
    """The list that a file holds, if one of our keys signed it and it is not older than the last.

    Args:
        data: the file.
        keys: public keys that count, base64.
        serial: of the newest list seen so far; 0 for none.

    Raises:
        SfumatoError: NETWORK where it is no list, ACCESS where nobody of ours signed it or an older
            one stands in for the newest.
    """
    if len(data) > MOST_BYTES:
        raise _unreadable(f"{len(data)} bytes")
    try:
        file = records.from_plain(SignedFeed, records.parse(data, unique=True))
        signed = file.signed.encode()
    except (RecordError, UnicodeEncodeError) as error:
        raise _unreadable(str(error)) from error
    if not _signed_by_one(signed, file.signatures, keys):
        named = ", ".join(one.key[:16] for one in file.signatures[:4])
        raise SfumatoError(ErrorKind.ACCESS, _UNTRUSTED, f"signed by: {named or 'nobody'}")
    try:
        plain = records.parse(signed, unique=True)
        if (schema := records.from_plain(_AnyFeed, plain).schema) != SCHEMA:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                "The list of releases is written for another version of Sfumato; look for news on "
                "the page where you got this one.",
                f"schema {schema}",
            )
        feed = records.from_plain(Feed, plain)
    except RecordError as error:
        raise _unreadable(str(error)) from error
    if feed.serial < serial:
        raise SfumatoError(
            ErrorKind.ACCESS,
            "The list of releases is older than the one seen before; try again later, or look on "
            "the page where you got Sfumato.",
            f"serial {feed.serial} after {serial}",
        )
    return feed


def _signed_by_one(signed: bytes, signatures: Iterable[Signature], keys: Iterable[str]) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    ours: dict[str, bytes] = {}
    for key in keys:
        try:
            public = base64.b64decode(key, validate=True)
        except ValueError:  # binascii's is one
            continue
        if len(public) == 32:
            ours[key_name(public)] = public
    for one in signatures:
        if one.key not in ours:
            continue
        try:
            proof = base64.b64decode(one.signature, validate=True)
            Ed25519PublicKey.from_public_bytes(ours[one.key]).verify(proof, PURPOSE + signed)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _unreadable(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK,
        "What came instead of the list of releases is none; try again later.",
        detail,
    )


def newest(feed: Feed, version: str, macos: str = "") -> Release | None:
    """The newest release that is newer than a version and runs on a macOS.

    Args:
        version: of this copy, as `gui.__version__`.
        macos: of this computer, ``15.1``; empty where it is none, or unknown: all run.
    """
    mine, system = version_numbers(version), version_numbers(macos) if macos else None
    newer = [
        release
        for release in feed.releases
        if version_numbers(release.version) > mine
        and (system is None or version_numbers(release.minimum_macos) <= system)
    ]
    return max(newer, key=lambda release: version_numbers(release.version), default=None)


def version_numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, zeros at the end left off; what follows the numbers is not compared."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
