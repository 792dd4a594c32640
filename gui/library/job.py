"""One request on its way to becoming pictures, and its row in the queue's database."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gui import records
from gui.errors import SfumatoError
from gui.request import PictureRequest

log = logging.getLogger(__name__)


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """With its error; it is kept until a person tries it again or takes it off."""


ENDED = frozenset({JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED})
FINISHED = frozenset({JobStatus.DONE, JobStatus.CANCELLED})
"""Ended, and nothing is left to do about it."""

_OLD_FAILED = "set_aside"
"""What an older version called a job that had failed by bringing the engine down."""


@dataclass
class Job:
    """One request on its way to becoming pictures."""

    id: str
    request: PictureRequest
    status: JobStatus = JobStatus.QUEUED
    error: SfumatoError | None = None
    pictures: list[str] = field(default_factory=list)
    """Files made so far, in order; a retry goes on with picture number ``len(pictures)``."""
    crashes: int = 0
    """How often the engine died of this job."""
    begun: bool = False
    """Whether it has ever been worked on, so that there may be pictures of it that nobody has
    written down here: a process can die between a picture's name and its entry."""
    position: int = 0
    """Where it stands among the others; kept by the store."""
    ended: float = 0.0
    """When it was done, stopped or failed: seconds since 1970; 0 where that is not known."""


COLUMNS = "position, id, request, status, error, pictures, crashes, begun, ended"


def state_of(job: Job) -> tuple[str, str | None, str, int, bool, float]:
    """The columns that change."""
    error = records.dumps(job.error) if job.error else None
    return job.status, error, records.dumps(job.pictures), job.crashes, job.begun, job.ended


def readable(row: tuple[Any, ...], request: PictureRequest | None = None) -> Job | None:
    """The job of a row, its request read already where one is given; None where this version
    cannot read it."""
    try:
        return _job(*row, read=request)
    except (ValueError, TypeError) as error:
        log.warning("job %s is unreadable: %r", row[1], error)
        return None


def _job(
    position: int,
    job_id: str,
    request: str,
    status: str,
    error: str | None,
    pictures: str,
    crashes: int,
    begun: int,
    ended: float,
    read: PictureRequest | None,
) -> Job:
    return Job(
        job_id,
        read or records.loads(PictureRequest, request),
        JobStatus.FAILED if status == _OLD_FAILED else JobStatus(status),
        records.loads(SfumatoError, error) if error else None,
        records.loads(list[str], pictures),
        int(crashes),
        bool(begun),
        position,
        float(ended),
    )
