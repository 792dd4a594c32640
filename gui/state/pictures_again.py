"""Pictures made once more from one that there is: varied, or with finer detail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.errors import SfumatoError
from gui.state.draft import Draft
from gui.state.draft_requests import DraftRequests
from gui.state.model_entry import ModelEntry
from gui.state.pictures.imported import PictureImports
from gui.state.pictures.library import PictureLibrary
from gui.state.pictures.variations import refined_draft, variations_of
from gui.state.queue.desk import QueueDesk

if TYPE_CHECKING:
    from gui.state.pictures.origin import Origin


class PicturesAgain(QObject):
    """Puts in line what is made of a picture.

    Args:
        library: knows where a picture comes from.
        imports: finds its model.
        requests: knows how pictures are made by the person's settings.
        jobs: puts them in line.
        model: tells which one is in use, for pictures whose own is not here.
    """

    undoable = Signal(str)
    """Something was put in line: one sentence."""
    failed = Signal(SfumatoError)
    notice = Signal(str)

    def __init__(
        self,
        library: PictureLibrary,
        imports: PictureImports,
        requests: DraftRequests,
        jobs: QueueDesk,
        model: Callable[[], ModelEntry],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._library = library
        self._imports = imports
        self._requests = requests
        self._jobs = jobs
        self._model = model

    def vary(self, path: str) -> None:
        """Put variations of a picture in line, each towards another seed."""
        self._library.with_origin(path, self._vary)

    def refine(self, path: str) -> None:
        """Put in line what enlarges a picture and paints finer detail into it."""
        self._library.with_origin(path, lambda origin: self._refine(origin, path))

    def _refine(self, origin: Origin, path: str) -> None:
        draft = refined_draft(origin, path)
        if draft is None:
            self.notice.emit(
                "This picture does not say its prompt, so nothing tells what to paint."
            )
            return
        told = "The picture is in line to be enlarged and refined."
        self._make_again(origin, [draft], "Refine", told)

    def _vary(self, origin: Origin) -> None:
        drafts = variations_of(origin)
        if not drafts:
            self.notice.emit("This picture does not say its seed, so there is nothing to vary.")
            return
        told = f"{len(drafts)} variations of this picture are in line."
        self._make_again(origin, drafts, "Make Variations", told)

    def _make_again(self, origin: Origin, drafts: list[Draft], what: str, told: str) -> None:
        """Put drafts in line that come from a picture, with its model where it is here."""
        match = self._imports.match(origin)
        entry = match.entry if match.entry is not None and match.sure else self._model()
        try:
            model = entry.request_folder
            requests = [draft.request_for(model, **self._requests.how()) for draft in drafts]
        except SfumatoError as error:
            self.failed.emit(error)
            return
        if not match.sure and origin.model:
            told = f"{told} Its model “{origin.model}” is not here, so “{entry.name}” draws."
        if self._jobs.submit(requests, what):
            self.undoable.emit(told)
