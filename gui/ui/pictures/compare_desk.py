"""From pictures that are chosen in gallery or strip to their comparison, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QAction

from gui.state.pictures.differences import FEWEST, MOST
from gui.state.pictures.types import IndexedPicture

if TYPE_CHECKING:
    from gui.state.studio import Studio
    from gui.ui.canvas.canvas import Canvas
    from gui.ui.pictures.compare import CompareView
    from gui.ui.pictures.filmstrip import Filmstrip
    from gui.ui.pictures.gallery import GalleryView


class CompareDesk(QObject):
    """Puts the comparison in the canvas's place, made when it is first wanted.

    Args:
        studio, canvas, strip: of the window.
        action: the command; it can be given while two to four pictures are chosen.
        gallery: the gallery where it is on show, else None.
    """

    current_changed = Signal()
    """Commands act on another picture."""
    changed = Signal(bool)
    """Whether pictures are compared."""
    menu_requested = Signal(QPoint)
    trash_requested = Signal()
    zoom_changed = Signal(bool)

    def __init__(
        self,
        studio: Studio,
        canvas: Canvas,
        strip: Filmstrip,
        action: QAction,
        gallery: Callable[[], GalleryView | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._studio = studio
        self._canvas = canvas
        self._strip = strip
        self._action = action
        self._gallery = gallery
        self.view: CompareView | None = None
        action.triggered.connect(lambda _checked=False: self.compare())
        strip.list.selectionModel().selectionChanged.connect(self.update_action)
        canvas.covered_changed.connect(self._on_covered)
        self.update_action()

    @property
    def on(self) -> bool:
        """Whether pictures are compared now."""
        return self.view is not None and self._canvas.cover is self.view

    def current(self) -> IndexedPicture | None:
        """The picture that commands act on; None where nothing is compared."""
        return self.view.current() if self.view is not None and self.on else None

    def compare(self) -> None:
        """Compare what is chosen."""
        ids = self._chosen_ids()
        if FEWEST <= len(ids) <= MOST and not self.on:
            self._studio.pictures.with_pictures(ids, self.show)

    def show(self, pictures: list[IndexedPicture]) -> None:
        """Compare these."""
        if not FEWEST <= len(pictures) <= MOST:
            return
        view = self._made()
        view.show_pictures(pictures)
        self._canvas.show_cover(view)
        view.focus_current()

    def leave(self) -> None:
        """Back to the gallery or the canvas, with the picture that commands acted on."""
        if self.view is None or not self.on:
            return
        picture = self.view.current()
        self._canvas.show_cover(None)
        gallery = self._gallery()
        if gallery is not None:
            gallery.grid.setFocus()
        elif picture is not None and self._studio.pictures.row_of_id(picture.id) >= 0:
            self._canvas.look_at(picture)
            self._strip.go_back_to(picture.path)

    def update_action(self, *_: object) -> None:
        """What is chosen has changed."""
        self._action.setEnabled(not self.on and FEWEST <= len(self._chosen_ids()) <= MOST)

    def close_down(self) -> None:
        if self.view is not None:
            self.view.close_down()

    def _chosen_ids(self) -> list[int]:
        gallery = self._gallery()
        if gallery is not None:
            return gallery.chosen_ids() if gallery.grid.chosen_count <= MOST else []
        return self._strip.chosen_ids()[: MOST + 1]

    def _made(self) -> CompareView:
        if self.view is None:
            from gui.ui.pictures.compare import CompareView

            view = self.view = CompareView(self._studio)
            view.left.connect(self.leave)
            view.current_changed.connect(self.current_changed)
            view.menu_requested.connect(self.menu_requested)
            view.trash_requested.connect(self.trash_requested)
            view.zoom_changed.connect(self.zoom_changed)
        return self.view

    def _on_covered(self, covered: bool) -> None:
        if not covered and self.view is not None:
            self.view.forget()
        self.update_action()
        self.changed.emit(self.on)
