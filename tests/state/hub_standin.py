"""A Hub process with nothing behind it: answers in ways that tests of the thread want.

Run as ``python -m tests.state.hub_standin``.  `AskMachine` says its process id in the chip's name;
`Verify` tells of a download by the name of its folder as soon as it is worked on, and echoes its
folder as a problem once as many others have been answered as the folder says;
`Pause` of ``die`` ends the process by force, of ``babble`` sends something that makes no sense, of
``raise`` answers with an error, of ``move`` tells of a download; `StartSource` never answers;
`Updates` lists the questions that were cancelled.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gui.errors import ErrorKind, SfumatoError
from gui.hub import messages
from gui.hub.types import DownloadState, DownloadStatus, FileProblem, Machine, SearchPage
from gui.process.messages import pack
from gui.process.serve import Call, Server, run_child
from gui.process.worker_pool import WorkerPool


class Standin:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.turn, self.echoed = threading.Condition(), 0
        self.cancelled: dict[str, str] = {}
        handlers: dict[Any, Any] = dict.fromkeys(messages.HUB.questions, self.other)
        handlers |= {
            messages.AskMachine: lambda *_: Machine("Linux", chip=str(os.getpid())),
            messages.Verify: self.echo,
            messages.Search: self.search,
            messages.Pause: self.misbehave,
            messages.Updates: lambda *_: self.cancelled,
        }
        pools = {kind: WorkerPool(kind.__name__, 4) for kind in handlers}
        self.server = Server(connection, messages.HUB, handlers, pools)

    def echo(self, ask: messages.Verify, call: Call) -> tuple[FileProblem, ...]:
        call.tell(messages.DownloadMoved(status(ask.folder)))
        with self.turn:
            self.turn.wait_for(lambda: self.echoed >= int(ask.folder))
            self.echoed += 1
            self.turn.notify_all()
            if call.cancelled():
                self.cancelled[ask.folder] = "cancelled"
        return (FileProblem(ask.folder, "hash"),)

    def search(self, ask: messages.Search, _call: Call) -> messages.SearchAnswer:
        once = Path(ask.cursor)  # dies under the first of all searches, answers every other
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return messages.SearchAnswer(SearchPage(()), (), "again")

    def misbehave(self, ask: messages.Pause, call: Call) -> None:
        match ask.download:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "babble":
                self.connection.send_bytes(pack({"event": "DownloadMoved", "id": 0, "with": {}}))
            case "garble":
                self.connection.send_bytes(pack({"id": 3, "answer": []}))
            case "raise":
                raise SfumatoError(ErrorKind.ACCESS, "Accept the terms first.", "401")
            case "move":
                call.tell(messages.DownloadMoved(status("d")))

    def other(self, ask: Any, _call: Call) -> None:
        if isinstance(ask, messages.StartSource):
            time.sleep(600)


def status(name: str) -> DownloadStatus:
    return DownloadStatus(name, "a/b", "v", "T", "r", DownloadState.FETCHING, 10, 5)


def serve(connection: Any) -> None:
    Standin(connection).server.run()
    # What the real one does with its downloads.
    if note := os.environ.get("STANDIN_NOTE"):
        time.sleep(0.1)
        Path(note).write_text("paused")


if __name__ == "__main__":
    run_child("hub", serve, sys.argv[1:])
