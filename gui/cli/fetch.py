"""Fetches a checkpoint from the Hub for `sfumato convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gui.convert.client import asked_of, partial_folder
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import DownloadState

if TYPE_CHECKING:
    from gui.cli.progress import ProgressLine

_TICK = 0.2


def fetch_source(repo: str, revision: str, line: ProgressLine) -> tuple[str, str]:
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
    from gui.cli.models_hub import open_catalog
    from gui.hub.downloads import Downloads
    from gui.state.convert.options import checkpoint_in, fetch_text

    line.text(f"asking the Hub for {repo}")
    catalog = open_catalog()
    tree = catalog.tree(repo, revision)
    try:
        with Downloads(token=lambda: catalog.token) as downloads:
            status = downloads.start_source(repo, tree.revision, tree)
            while status.state.live:
                part = status.bytes_done / status.bytes_total if status.bytes_total else 0.0
                line.bar(part, fetch_text(status).lower())
                status = downloads.wait(status.id, _TICK)
    except KeyboardInterrupt:
        line.line("Stopped; what was fetched is kept: give the same command again to go on.")
        raise
    line.clear()
    if status.state is DownloadState.DONE:
        return checkpoint_in(status.folder), status.revision
    raise status.error or SfumatoError(
        ErrorKind.NETWORK, "The download has stopped; give the same command again to go on."
    )


def begun_source(output: Path, repo: str, revision: str) -> tuple[str, str] | None:
    """What `fetch_source` gave for an unfinished conversion, if it is still there: the conversion
    goes on with that, whatever has become of the repository since.

    Args:
        output: the model folder to make.
        repo: ``owner/name``.
        revision: the beginning of a commit; empty: any.
    """
    from gui.library.models.origin import fetched_source

    begun = asked_of(partial_folder(str(output)))
    if begun is None or begun.source_repo != repo or not begun.source_revision.startswith(revision):
        return None
    source = Path(begun.source)
    kept = fetched_source(source if source.is_dir() else source.parent)
    return (begun.source, begun.source_revision) if kept == (repo, begun.source_revision) else None
