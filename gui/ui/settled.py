"""When the banner's error is no concern any more: what the studio says, as subjects settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.ui.widgets.banner import Banner, Subject

if TYPE_CHECKING:
    from gui.state.hub.catalogue_rows import CatalogueState
    from gui.state.hub.types import Account, DownloadStatus
    from gui.state.model_entry import ModelEntry
    from gui.state.studio import Studio

_SETTINGS = {
    "pictures/folder": (Subject.FOLDER,),
    "generate/compute_unit": (Subject.MODEL, Subject.JOB),
}
"""What a changed setting settles."""


def settle_errors(banner: Banner, studio: Studio) -> None:
    """Let the banner's error go when its model, job, folder or connection is mended or replaced.

    Args:
        banner: lives as long as the studio.
    """

    def on_read(entry: ModelEntry) -> None:
        if entry.usable:
            banner.settle(Subject.MODEL)

    def on_catalogue(state: CatalogueState) -> None:
        if state.error is None and state.phase in ("ready", "empty"):
            banner.settle(Subject.NETWORK)

    def on_download(status: DownloadStatus) -> None:
        if status.bytes_per_second > 0:
            banner.settle(Subject.NETWORK)

    def on_account(account: Account) -> None:
        if account.name:
            banner.settle(Subject.ACCOUNT, Subject.NETWORK)

    studio.model_selected.connect(lambda _: banner.settle(Subject.MODEL, Subject.JOB))
    studio.model_read.connect(on_read)
    # It could be made and saved, whatever stood in the way before.
    made = (Subject.JOB, Subject.MODEL, Subject.FOLDER, Subject.PROMPT)
    studio.picture_finished.connect(lambda _: banner.settle(*made))
    studio.settings.changed.connect(lambda key: banner.settle(*_SETTINGS.get(key, ())))
    studio.hub.catalogue.state_changed.connect(on_catalogue)
    studio.hub.downloads.changed.connect(on_download)
    studio.hub.updates_changed.connect(lambda: banner.settle(Subject.NETWORK))
    studio.hub.account.changed.connect(on_account)
