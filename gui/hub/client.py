"""The window's end of the Hub process: start it, ask it, read what it says.

No Qt and nothing heavy: huggingface_hub lives in the child (`gui.hub.service`).  A question is
``{"id": n, "do": name, …}``, its answer ``{"id": n, "result": …}`` or ``{"id": n, "error": …}``, in
any order; what happens by itself comes as ``{"event": name, …}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gui.errors import SfumatoError
from gui.hub.types import (
    Account,
    DownloadStatus,
    FileProblem,
    InstalledModel,
    Machine,
    Orphan,
    RepoDetails,
    SearchPage,
)
from gui.process import child
from gui.process.child import ChildLost, ChildProcess
from gui.records import Record

HubLost = ChildLost

CLOSE_SECONDS = 2.0
"""How long the child may take to bring its downloads safely to rest after a hang-up."""


@dataclass(frozen=True)
class SearchAnswer(Record):
    """A page of results, and what the filters make of each."""

    page: SearchPage
    fits: tuple[bool | None, ...] = ()
    """One per result: whether it passes the query's filters; None: only its files can tell."""
    reference: str = ""
    """``owner/name`` where the text named one repository, which is then the only result."""


@dataclass(frozen=True)
class DetailsAnswer(Record):
    """A repository's details.  The variants' `files` are left out, as there may be thousands."""

    details: RepoDetails
    fits: bool | None = None
    """Whether it passes the filters of the query that was given along."""


@dataclass(frozen=True)
class VerifyProgress(Record):
    """How far the files of an installed model have been checked."""

    folder: str
    fraction: float


def _all(kind: type[Record]) -> Callable[[Any], list[Any]]:
    return lambda items: [kind.from_json(item) for item in items]


_RESULTS: dict[str, Callable[[Any], Any]] = {
    "search": SearchAnswer.from_json,
    "details": DetailsAnswer.from_json,
    "start": DownloadStatus.from_json,
    "start_source": DownloadStatus.from_json,
    "repair": lambda status: DownloadStatus.from_json(status) if status else None,
    "downloads": _all(DownloadStatus),
    "installed": _all(InstalledModel),
    "orphans": _all(Orphan),
    "verify": _all(FileProblem),
    "account": Account.from_json,
    "set_token": Account.from_json,
    "machine": Machine.from_json,
}
"""How the result of each question is read; one that is not here is plain JSON."""

_EVENTS: dict[str, Callable[[Any], Any]] = {
    "download": DownloadStatus.from_json,
    "verify": VerifyProgress.from_json,
}

REPEATABLE = frozenset(
    {"search", "details", "picture", "downloads", "installed", "orphans", "account", "machine",
     "updates", "verify", "start", "start_source", "resume"}
)  # fmt: skip
"""Questions of which a second one does no more than the first, so that one lost with the child may
be asked again."""

PATIENCE = {"search": 90.0, "details": 90.0, "picture": 60.0, "account": 120.0}
"""Seconds after which a question counts as lost in the child, which has shorter limits itself for
everything the network does.  Others may take as long as they need."""


@dataclass(frozen=True)
class Answer:
    """The answer to one question: `result`, or `error`."""

    request: int
    result: Any = None
    error: SfumatoError | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened by itself: a download moved (``download``: `DownloadStatus`), files
    were checked (``verify``: `VerifyProgress`)."""

    name: str
    value: Any


class HubClient:
    """One Hub process.  Not reusable: make a new one after `close`.

    One thread at a time.

    Args:
        command: program and arguments; default: `gui.process.child.worker_command`.
        environment: variables to add to this process's own.
        log: file that takes the child's stderr; default ``hub.log`` in the logs folder.

    Raises:
        HubLost: the process could not be started.
    """

    def __init__(
        self,
        command: list[str] | None = None,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._asked: dict[int, str] = {}
        self._child = ChildProcess(
            "The connection to the Hub",
            command or child.worker_command("hub"),
            log or child.log_file("hub"),
            environment,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def connection(self) -> Connection:
        """For `multiprocessing.connection.wait` beside other things."""
        return self._child.connection

    def ask(self, request: int, do: str, arguments: Mapping[str, Any]) -> None:
        """Put a question; its answer comes with the same number.

        Raises:
            HubLost: the child is gone.
        """
        self._asked[request] = do
        self._child.send_json({"id": request, "do": do, **arguments})

    def cancel(self, request: int) -> None:
        """The answer is no longer wanted; the child saves itself the work where it can.

        Raises:
            HubLost: the child is gone.
        """
        if self._asked.pop(request, None) is not None:
            self._child.send_json({"do": "cancel_request", "request": request})

    def receive(self) -> Answer | Event | None:
        """The next message; waits for it.  None: an answer nobody waits for any more.

        Raises:
            HubLost: the child ended, or made no sense.
        """
        message = self._child.receive_json()
        try:
            return self._read(message)
        except (KeyError, TypeError, ValueError) as error:
            self._child.kill()
            raise self._child.lost(f"a message that makes no sense: {error!r}") from error

    def _read(self, message: dict[str, Any]) -> Answer | Event | None:
        name = message.get("event")
        if name is not None:
            read = _EVENTS.get(name)
            return Event(name, read(message["value"]) if read else message.get("value"))
        do = self._asked.pop(int(message["id"]), None)
        if do is None:
            return None
        if "error" in message:
            return Answer(message["id"], error=SfumatoError.from_json(message["error"]))
        read = _RESULTS.get(do)
        return Answer(message["id"], read(message["result"]) if read else message["result"])

    def unanswered(self) -> list[int]:
        """Questions that are still open, oldest first."""
        return list(self._asked)

    def kill(self) -> None:
        """End the process at once; downloads go on from disk another time."""
        self._child.kill()

    def close(self, grace: float = CLOSE_SECONDS) -> None:
        """Hang up: the child pauses its downloads and ends.  May be called twice."""
        self._child.close(grace)
