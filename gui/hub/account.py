"""The person's access token: in the system's keychain, or where Hugging Face's own tools keep it.

A token never reaches a log, a command line, a child's environment or the text of an error.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, read_text
from gui.names import token_page

SERVICE = "Sfumato"
"""Name of the entry in the keychain."""
USER = "huggingface.co"
_MAX_TOKEN_FILE = 64 << 10

KEYCHAIN = "keychain"
ENVIRONMENT = "environment"
FILE = "file"

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_TOKEN = re.compile(r"[\x21-\x7e]{4,512}")


def load_token() -> tuple[str | None, str]:
    """The token and where it is from: ``keychain``, ``environment``, ``file``, or None and "".

    What a person signed in with here comes first; then HF_TOKEN, then `hf auth login`'s file.

    Raises:
        SfumatoError: ACCESS where the keychain holds a token but will not give it, and there is
            no other.
    """
    problem = None
    try:
        if token := _clean(keychain().get_password(SERVICE, USER)):
            return token, KEYCHAIN
    except SfumatoError as error:
        problem = error
    except Exception as error:
        problem = _locked(error)
    for name in _VARIABLES:
        if token := _clean(os.environ.get(name)):
            return token, ENVIRONMENT
    if token := _clean(_file_text()):
        return token, FILE
    # No keychain at all is as good as an empty one, until something is to be saved.
    if problem is not None and problem.kind is ErrorKind.ACCESS:
        raise problem
    return None, ""


def save_token(token: str) -> None:
    """Keep a token in the keychain.

    Raises:
        SfumatoError: BAD_REQUEST where it cannot be one; ACCESS, UNSUPPORTED where the keychain
            is locked or missing.
    """
    clean = _clean(token)
    if clean is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"This is not an access token; copy one from {token_page()} (it begins with hf_).",
        )
    ring = keychain()
    try:
        ring.set_password(SERVICE, USER, clean)
    except Exception as error:
        raise _locked(error) from None


def forget_token() -> None:
    """Take the token out of the keychain; one in the environment or a file stays.

    Raises:
        SfumatoError: ACCESS, UNSUPPORTED where the keychain is locked or missing.
    """
    try:
        ring = keychain()
        if ring.get_password(SERVICE, USER) is not None:
            ring.delete_password(SERVICE, USER)
    except SfumatoError as error:
        if error.kind is not ErrorKind.UNSUPPORTED:  # without a keychain there is nothing in it
            raise
    except Exception as error:
        raise _locked(error) from None


def keychain() -> Any:
    """The keyring module, once it has a usable backend.

    Raises:
        SfumatoError: UNSUPPORTED.
    """
    try:
        import keyring
        from keyring.backends import fail, null

        backend = keyring.get_keyring()
        if isinstance(backend, fail.Keyring) and sys.platform == "darwin":
            # Inside a bundle keyring cannot find its own backends: it asks the metadata of
            # installed packages for them, and there are none.
            from keyring.backends import macOS

            backend = macOS.Keyring()
            keyring.set_keyring(backend)
    except Exception as error:
        raise _missing(error) from None
    if isinstance(backend, (fail.Keyring, null.Keyring)):
        raise _missing(None)
    return keyring


def _missing(error: BaseException | None) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        "This system has no keychain to keep the token in; set HF_TOKEN instead.",
        type(error).__name__ if error is not None else "no backend",
    )


def _locked(error: BaseException) -> SfumatoError:
    """Only the type is told: a backend's text may quote what it was given."""
    names = {c.__name__ for c in type(error).__mro__}
    if "NoKeyringError" in names:
        return _missing(error)
    return SfumatoError(
        ErrorKind.ACCESS,
        "The keychain did not give access to the token; unlock it, allow Sfumato, and try again.",
        type(error).__name__,
    )


def _file_text() -> str:
    """What `hf auth login` left; empty where there is nothing readable."""
    from huggingface_hub import constants

    try:
        return read_text(Path(constants.HF_TOKEN_PATH), _MAX_TOKEN_FILE)
    except (OSError, UnreadableFile):
        return ""


def _clean(token: str | None) -> str | None:
    token = (token or "").strip()
    return token if _TOKEN.fullmatch(token) else None
