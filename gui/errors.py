"""Errors as values: a kind for code, a sentence for a person, a detail for a report."""

from __future__ import annotations

import os
import traceback
from enum import StrEnum
from typing import Any


class ErrorKind(StrEnum):
    """What went wrong, for code to branch on; the sentence for people is in the error itself."""

    BAD_REQUEST = "bad-request"
    """A parameter is out of range or contradicts another."""
    BAD_MODEL = "bad-model"
    """The model's files are missing, damaged, foreign or do not fit together."""
    UNSUPPORTED = "unsupported"
    """The model is sound, but this program or this machine cannot run it."""
    BAD_IMAGE = "bad-image"
    """The starting picture cannot be read."""
    STORAGE = "storage"
    """A folder is not writable, or the disk is full."""
    MEMORY = "memory"
    """The machine ran out of memory."""
    NETWORK = "network"
    """The Hub cannot be reached, or answers nonsense; may work later."""
    ACCESS = "access"
    """The Hub wants a token, a better one, or accepted terms."""
    NOT_FOUND = "not-found"
    """No such model, revision or file on the Hub, or not any more."""
    ENGINE = "engine"
    """The engine process died or stopped answering."""
    INTERNAL = "internal"
    """A defect of ours."""


class SfumatoError(Exception):
    """An error as a value: a kind, one sentence for a person, and a detail for a report.

    Args:
        kind: what went wrong.
        message: one clear sentence that says what happened and, where possible, what to do next.
        detail: technical text for a bug report (exception text, path, traceback); may be empty.
    """

    def __init__(self, kind: ErrorKind, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind.value, "message": self.message, "detail": self.detail}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SfumatoError:
        """Read what `to_json` wrote; a kind of another version's counts as INTERNAL."""
        try:
            kind = ErrorKind(data.get("kind", "internal"))
        except ValueError:
            kind = ErrorKind.INTERNAL
        return cls(kind, str(data.get("message", "")), str(data.get("detail", "")))


def as_sfumato_error(error: BaseException) -> SfumatoError:
    """Any exception as something that can be shown and reported."""
    if isinstance(error, SfumatoError):
        return error
    detail = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError):
        return SfumatoError(
            ErrorKind.MEMORY,
            "There is not enough memory; close other programs and try again.",
            detail,
        )
    if isinstance(error, OSError) and error.errno is not None:
        reason = os.strerror(error.errno)
        return SfumatoError(
            ErrorKind.STORAGE,
            f"A file could not be read or written ({reason}); check the disk and try again.",
            detail,
        )
    return SfumatoError(
        ErrorKind.INTERNAL, "Something went wrong inside Sfumato; the details say what.", detail
    )
