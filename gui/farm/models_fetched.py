"""A model that a person has allowed this Mac to get from the Hub, for the farm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gui.coreml.inspect import inspect_model, model_hash
from gui.errors import ErrorKind, SfumatoError
from gui.farm.wire import FetchModel
from gui.hub.account import load_token
from gui.hub.catalog.catalog import Catalog
from gui.hub.catalog.details import details
from gui.hub.downloads import Downloads
from gui.hub.machine import this_machine
from gui.hub.types import DownloadState

_TICK = 0.5


async def fetch_model(event: FetchModel, on_progress: Callable[[int, int], None]) -> Path:
    """Get it, and see that it is the one that was meant.

    Args:
        on_progress: told the bytes that are here, and all; on this loop's thread.

    Returns:
        The installed folder.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND, STORAGE; BAD_MODEL where the Hub has another one
            by now.
    """
    loop = asyncio.get_running_loop()

    def told(done: int, total: int) -> None:
        loop.call_soon_threadsafe(on_progress, done, total)

    return await asyncio.to_thread(_fetch, event, told)


def _fetch(event: FetchModel, on_progress: Callable[[int, int], None]) -> Path:
    try:
        token, _ = load_token()
    except SfumatoError:  # a locked keychain: most models need no token
        token = None
    catalog = Catalog(token=token)
    found = details(catalog, event.repo, this_machine(), True)
    chosen = found.variant(event.variant)
    if chosen is None:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"“{event.repo}” does not offer that model any more; copy it from the Mac that has it.",
            event.variant,
        )
    with Downloads(endpoint=catalog.endpoint, token=lambda: catalog.token) as downloads:
        status = downloads.start(
            found.summary.id, found.revision, chosen, title=found.summary.name, about=found
        )
        while status.state.live:
            on_progress(status.bytes_done, status.bytes_total)
            status = downloads.wait(status.id, _TICK)
    if status.state is not DownloadState.DONE:
        raise status.error or SfumatoError(
            ErrorKind.NETWORK, "The download has stopped; allow it again to go on."
        )
    folder = Path(status.folder)
    if model_hash(inspect_model(folder)) != event.model:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The Hub has another version of “{event.name}” by now, which was installed beside; "
            "copy the model from the Mac that has it.",
            event.model,
        )
    return folder
