"""A Hub process with nothing behind it: answers in ways that tests of the thread want.

Run as ``python -m tests.state.hub_standin``.  ``machine`` says its process id in the chip's name;
``reference`` echoes its text, once as many others have been answered as the text says; ``die``
ends the process by force; ``babble`` sends something that makes no sense; ``raise`` answers with an
error; ``hang`` never answers; ``forgotten`` lists the questions that were cancelled.
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
from gui.hub.types import DownloadState, DownloadStatus, Machine
from gui.process.child import decode_json, encode_json, run_child


def serve(connection: Any, _options: Any) -> None:
    lock = threading.Lock()
    turn, echoed = threading.Condition(), 0
    cancelled: list[int] = []

    def send(message: dict[str, Any]) -> None:
        with lock:
            connection.send_bytes(encode_json(message))

    def later(message: dict[str, Any]) -> None:
        nonlocal echoed
        with turn:
            turn.wait_for(lambda: echoed >= int(message["text"]))
            send({"id": message["id"], "result": message["text"]})
            echoed += 1
            turn.notify_all()

    while True:
        try:
            message = decode_json(connection.recv_bytes())
        except EOFError:
            break
        match message["do"]:
            case "cancel_request":
                cancelled.append(message["request"])
            case "machine":
                machine = Machine("Linux", chip=str(os.getpid()))
                send({"id": message["id"], "result": machine.to_json()})
            case "reference":
                threading.Thread(target=later, args=(message,), daemon=True).start()
            case "search":  # dies under the first of all searches, answers every other
                once = Path(message["cursor"])
                if not once.exists():
                    once.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                page = {"page": {"models": [], "cursor": ""}, "fits": [], "reference": "again"}
                send({"id": message["id"], "result": page})
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "babble":
                send({"id": message["id"], "event": "download", "value": {"id": 3}})
            case "raise":
                error = SfumatoError(ErrorKind.ACCESS, "Accept the terms first.", "401")
                send({"id": message["id"], "error": error.to_json()})
            case "move":
                status = DownloadStatus("d", "a/b", "v", "T", "r", DownloadState.FETCHING, 10, 5)
                send({"event": "download", "value": status.to_json()})
                send({"id": message["id"], "result": None})
            case "forgotten":
                send({"id": message["id"], "result": cancelled})
    # What the real one does with its downloads.
    if note := os.environ.get("STANDIN_NOTE"):
        time.sleep(0.1)
        Path(note).write_text("paused")


if __name__ == "__main__":
    run_child("hub", serve, sys.argv[1:])
