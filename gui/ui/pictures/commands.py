"""What can be done with finished pictures: copy, show, mark, use again, throw away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from gui import words
from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.pictures.drag import MOST_FILES

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.state.studio import Studio
    from gui.ui.pictures.tags import TagsSheet


class PictureCommands(QObject):
    """Acts on all pictures that are chosen, or on the one on show.  The chosen ones need not be at
    hand: there may be a hundred thousand.

    Args:
        studio: where the pictures are.
        shown: the picture on show, None while there is none.
        chosen: ids of all that are chosen where the person is, in their order.
        window: what dialogs lie over.
    """

    failed = Signal(SfumatoError)
    said = Signal(str)
    """What was done where nothing else shows it."""
    settings_wanted = Signal(str)
    """Path of the picture whose settings are wanted."""
    start_wanted = Signal(str)

    def __init__(
        self,
        studio: Studio,
        shown: Callable[[], IndexedPicture | None],
        chosen: Callable[[], Sequence[int]],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._studio = studio
        self._shown = shown
        self._chosen = chosen
        self._window = window
        self._tags: TagsSheet | None = None

    def ids(self) -> list[int]:
        """What a command acts on: all that are chosen, or the picture on show."""
        chosen, picture = list(self._chosen()), self._shown()
        if not chosen and picture is not None:
            return [picture.id]
        return chosen

    def shown(self) -> IndexedPicture | None:
        """The picture on show."""
        return self._shown()

    def with_paths(self, then: Callable[[list[str]], object]) -> None:
        """Call `then` with the files of what commands act on; nothing is called for nothing."""
        ids = self.ids()
        picture = self._shown()
        if picture is not None and ids == [picture.id]:
            then([picture.path])
        elif ids:
            self._studio.library.with_paths(ids, then)

    # -- out ----------------------------------------------------------------------------------

    def copy(self) -> None:
        """The files of all that are chosen, and the pixels of the current one."""
        picture = self._shown()
        current = picture.path if picture is not None else ""
        if len(self.ids()) > MOST_FILES:
            self._studio.notice.emit(
                f"Up to {MOST_FILES:,} pictures can be copied at once; choose fewer."
            )
            return

        def copy(paths: list[str]) -> None:
            desktop.copy_to_clipboard(self._studio.pictures.copy_data(paths, current))
            number = len(paths)
            self.said.emit(
                "Copied" if number == 1 else f"Copied {words.counted(number, 'picture')}"
            )

        self.with_paths(copy)

    def refuse_drag(self) -> None:
        """Say why nothing is dragged."""
        if len(self.ids()) > MOST_FILES:
            most = f"{MOST_FILES:,}"
            self._studio.notice.emit(f"Up to {most} pictures can be dragged at once; choose fewer.")
        else:
            self._studio.notice.emit("The chosen pictures are still being read; drag them again.")

    def reveal(self) -> None:
        self.with_paths(lambda paths: self.reveal_path(*paths))

    def reveal_path(self, *paths: str) -> None:
        """Show files or folders in the file manager."""
        self._studio.background.run(
            lambda: desktop.reveal(*paths), lambda _: None, self.failed.emit
        )

    # -- marks --------------------------------------------------------------------------------

    def toggle_favourite(self) -> None:
        self._studio.marks.toggle_favourite(self.ids())

    def edit_tags(self) -> None:
        """Tags for all that are chosen, in a sheet."""
        from gui.ui.pictures.tags import TagsSheet

        ids = self.ids()
        if not ids:
            return
        if self._tags is None:
            self._tags = TagsSheet(self._studio, self._window)
        self._tags.open_for(ids)

    # -- again --------------------------------------------------------------------------------

    def use_settings(self) -> None:
        picture = self._shown()
        if picture is not None:
            self.settings_wanted.emit(picture.path)

    def use_as_start(self) -> None:
        picture = self._shown()
        if picture is not None:
            self.start_wanted.emit(picture.path)

    def vary(self) -> None:
        """Variations of the picture on show, put in line."""
        picture = self._shown()
        if picture is not None:
            self._studio.again.vary(picture.path)

    def refine(self) -> None:
        """The picture on show, enlarged and with finer detail, put in line."""
        picture = self._shown()
        if picture is not None:
            self._studio.again.refine(picture.path)

    # -- away ---------------------------------------------------------------------------------

    def trash(self) -> None:
        """All that are chosen go to the Trash; one undo brings them back."""
        self.with_paths(self._studio.trash.move)
