"""Fetches a checkpoint from the Hub for `sfumato convert`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gui.hub.types import DownloadState
from gui.request import ErrorKind, SfumatoError

if TYPE_CHECKING:
    from gui.cli_progress import Progress

_TICK = 0.2


def fetch_source(repo: str, revision: str, line: Progress) -> tuple[str, str]:
    """Download what of a repository can be converted; goes on with an interrupted download.

    Args:
        repo: ``owner/name``.
        revision: branch, tag or commit; empty: the newest.
        line: where progress shows.

    Returns:
        The folder (or the one file in it) to convert, and the commit.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND, UNSUPPORTED, STORAGE.
        KeyboardInterrupt: Ctrl-C; what was fetched is kept for the next time.
    """
    from gui.hub.account import load_token
    from gui.hub.catalog import Catalog
    from gui.hub.downloads import Downloads
    from gui.state.convert_options import checkpoint_in, fetch_text

    line.text(f"asking the Hub for {repo}")
    try:
        token, _ = load_token()
    except SfumatoError as error:  # a locked keychain: most models need no token
        print(f"sfumato: {error.message}", file=sys.stderr)
        token = None
    tree = Catalog(token=token).tree(repo, revision)
    with Downloads(token=lambda: token) as downloads:
        status = downloads.start_source(repo, tree.revision, tree)
        while status.state.live:
            part = status.bytes_done / status.bytes_total if status.bytes_total else 0.0
            line.bar(part, fetch_text(status).lower())
            status = downloads.wait(status.id, _TICK)
    line.clear()
    if status.state is DownloadState.DONE:
        return checkpoint_in(status.folder), status.revision
    raise status.error or SfumatoError(
        ErrorKind.NETWORK, "The download has stopped; give the same command again to go on."
    )
