"""Addresses by which other programs ask for a picture: ``sfumato://generate?prompt=a%20fox&steps=20``.

After the question mark come parameters of a picture by the names of `PictureRequest`'s fields, with
hyphens or underscores, and ``model`` by its name.  Anybody's web page can have such a link, so
nothing is made before the person has agreed.  Standard library only.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from gui.asked import LONGEST, Asked, asked_for
from gui.errors import ErrorKind, SfumatoError

SCHEME = "sfumato"
GENERATE = "generate"
MOST_FIELDS = 64


def read_address(address: str) -> Asked:
    """What an address asks for.

    Raises:
        SfumatoError: BAD_REQUEST where it is none of ours or asks for nothing.
    """
    try:
        parts = urlsplit(address[: LONGEST + 1])
        action = parts.netloc or parts.path
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        raise _not_understood(str(error)) from error
    if parts.scheme.lower() != SCHEME or len(address) > LONGEST:
        raise _not_understood(address[:80])
    if action.strip("/").lower() != GENERATE:
        raise _not_understood(f"it asks for {action[:40]!r}")
    return asked_for(dict(pairs))


def _not_understood(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_REQUEST,
        "The link is not one that Sfumato understands; type the prompt instead.",
        detail,
    )
