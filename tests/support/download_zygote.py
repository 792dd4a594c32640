"""Downloads in processes that can be killed, and started again in milliseconds.

A process without threads imports everything once; for each ``go`` on its stdin it forks a child
which works on the download until it is done or killed, and says the child's id on its stdout.
"""

from __future__ import annotations

import json
import os
import sys

CHUNK = 64 * 1024
"""Bytes between two entries in the journal, smaller than in earnest so that little files do."""


def main() -> None:
    from gui.hub.downloads import Downloads, fetch
    from gui.hub.types import ModelSummary, RepoDetails, Variant
    from tests.support.hub_downloads import HASTY

    fetch.CHUNK = CHUNK
    fetch.LARGE = fetch.PIECE = 1 << 20
    task = json.loads(sys.stdin.readline())
    variant = Variant.from_json(task["variant"])
    about = RepoDetails(ModelSummary(task["repo"]), task["revision"])
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            downloads = Downloads(
                endpoint=task["endpoint"], connections=task["connections"], backoff=HASTY
            )
            status = downloads.start(task["repo"], task["revision"], variant, about=about)
            status = downloads.wait(status.id, 60)
            os._exit(0 if status.state == "done" else 3)
        print(child, flush=True)
        _, result = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(result), flush=True)


if __name__ == "__main__":
    main()
