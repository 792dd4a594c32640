"""What is refused, as HTTP says it: a status, and one sentence."""

from __future__ import annotations

from typing import Any

from gui.errors import ErrorKind, SfumatoError

_STATUS = {
    ErrorKind.BAD_REQUEST: 422,
    ErrorKind.BAD_MODEL: 422,
    ErrorKind.UNSUPPORTED: 422,
    ErrorKind.CHANGED_MODEL: 422,
    ErrorKind.BAD_IMAGE: 422,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.STORAGE: 507,
    ErrorKind.MEMORY: 503,
}


class Refusal(SfumatoError):  # noqa: N818 - said to a program, which may do better
    """Refused with a status of its own."""

    def __init__(self, status: int, message: str, kind: ErrorKind = ErrorKind.BAD_REQUEST) -> None:
        super().__init__(kind, message)
        self.status = status


def status_of(error: SfumatoError) -> int:
    if isinstance(error, Refusal):
        return error.status
    return _STATUS.get(error.kind, 500)


def body_of(error: SfumatoError) -> dict[str, Any]:
    """The answer's JSON, in the form of the web UI's; details stay here, as they name folders."""
    return {
        "error": error.kind.value,
        "detail": error.message,
        "body": "",
        "errors": error.message,
    }
