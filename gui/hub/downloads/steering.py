"""What a download is told, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.fetch import Backoff
from gui.hub.downloads.plan import Plan
from gui.hub.downloads.workers import Workers
from gui.hub.types import DownloadStatus


class Stop(StrEnum):
    """Why a download is to end before it is done."""

    PAUSE = "pause"
    CANCEL = "cancel"
    CLOSE = "close"
    """The program ends; the next one offers to go on."""


@dataclass(frozen=True)
class DownloadContext:
    """What all downloads share."""

    root: Path
    endpoint: str | None
    token: Callable[[], str | None]
    workers: Workers
    backoff: Backoff
    notify: Callable[[DownloadStatus], None]
    """Called with no lock held."""


class Stopped(Exception):  # noqa: N818 - asked for, not a mistake
    """The download was told to stop."""


def busy(plan: Plan) -> SfumatoError:
    """Another process works on this download."""
    return SfumatoError(
        ErrorKind.STORAGE,
        "Another Sfumato is downloading this model at the moment; wait until it is done.",
        plan.id,
    )
