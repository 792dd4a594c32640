"""Errors as values: a kind for code, a sentence for a person, a detail for a report."""

from __future__ import annotations

import errno
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
    CHANGED_MODEL = "changed-model"
    """Core ML refuses a model with LoRAs or of another size; the model as it is can be used."""
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


class Cancelled(Exception):  # noqa: N818 - a request, not an error
    """Work was given up because it is no longer wanted: a person stopped it, or nobody waits for
    its answer."""


class SfumatoError(Exception):
    """An error as a value: a kind, one sentence for a person, and a detail for a report.

    Nothing is added to the sentence where it shows.  Its form is “What happened; what to do next.”
    or, where either is long, two sentences.

    Args:
        kind: what went wrong.
        message: what happened, and what a person can do next.
        detail: technical text for a bug report (exception text, path, traceback); may be empty.
    """

    def __init__(self, kind: ErrorKind, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail

    @property
    def what(self) -> str:
        """What happened, without what to do: for lists of faults, whose advice is elsewhere."""
        return self.message.partition("; ")[0].rstrip(".") + "."

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
        return disk_error(error, "A file could not be read or written", detail=detail)
    return defect(detail)


def defect(detail: str) -> SfumatoError:
    """What should never happen."""
    return SfumatoError(
        ErrorKind.INTERNAL,
        "Something went wrong inside Sfumato; try again, and if it stays, copy the details into a "
        "report.",
        detail,
    )


_DISK: tuple[tuple[frozenset[int], str, str], ...] = (
    (frozenset({errno.ENOSPC, errno.EDQUOT}), "the disk is full", "free some space"),
    (
        frozenset({errno.EFBIG}),
        "the disk cannot hold a file as large as this",
        "choose another disk",
    ),
    (
        frozenset({errno.EACCES, errno.EPERM}),
        "the permissions of the folder do not allow it",
        "change them, or choose another folder",
    ),
    (frozenset({errno.EROFS}), "the disk cannot be written to", "choose another disk"),
    (
        frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO, errno.ESTALE}),
        "its folder or disk cannot be reached",
        "see that it is there",
    ),
    (
        frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}),
        "something else is in the way",
        "move that, or choose another name",
    ),
    (
        frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}),
        "the disk does not take this name",
        "choose another one",
    ),
    (
        frozenset({errno.EMFILE, errno.ENFILE}),
        "too many files are open",
        "close other programs",
    ),
)
_OTHER = ("the disk reported an error", "check it")


def disk_error(
    error: OSError, what: str, *, then: str = "try again", detail: str = ""
) -> SfumatoError:
    """What an operating system's error about a file means to a person.

    >>> disk_error(OSError(errno.ENOSPC, ""), "The picture could not be saved").message
    'The picture could not be saved: the disk is full; free some space, then try again.'

    Args:
        what: what did not work, a sentence without its full stop.
        then: what to do once the cause is mended.
        detail: for a report; empty: the error and its file.

    Returns:
        An error of the kind STORAGE.
    """
    why, remedy = next(((w, r) for numbers, w, r in _DISK if error.errno in numbers), _OTHER)
    return SfumatoError(
        ErrorKind.STORAGE, f"{what}: {why}; {remedy}, then {then}.", detail or repr(error)
    )


def unusable(problem: str, detail: str = "") -> SfumatoError:
    """A model's fault as an error of someone who wants to use it.

    Args:
        problem: one sentence, as `gui.coreml.model.ModelInfo.problems` has them.
    """
    what = problem.rstrip(".")
    advice = "" if "; " in what else "; choose another model, or get this one again"
    return SfumatoError(ErrorKind.BAD_MODEL, f"{what}{advice}.", detail)
