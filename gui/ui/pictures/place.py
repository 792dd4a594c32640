"""The person goes on where they were: the picture on the canvas, or the gallery as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from gui.state.pictures.place import KeptPlace, filter_fields
from gui.state.pictures.types import IndexedPicture

if TYPE_CHECKING:
    from gui.state.studio import Studio
    from gui.ui.canvas.canvas import Canvas
    from gui.ui.pictures.filmstrip import Filmstrip
    from gui.ui.pictures.gallery import GalleryView


class PlaceKeeper(QObject):
    """Keeps and restores a `KeptPlace`.

    Args:
        gallery: the gallery, None until it was first wanted.
        show_gallery: puts it on show.
    """

    def __init__(
        self,
        studio: Studio,
        canvas: Canvas,
        strip: Filmstrip,
        gallery: Callable[[], GalleryView | None],
        show_gallery: Callable[[], object],
    ) -> None:
        super().__init__(canvas)
        self._studio = studio
        self._canvas = canvas
        self._strip = strip
        self._gallery = gallery
        self._show_gallery = show_gallery
        self._before = KeptPlace()

    def save(self) -> None:
        canvas, gallery, before = self._canvas, self._gallery(), self._before
        shown = canvas.picture
        place = KeptPlace(
            shown=shown.path if shown is not None else "",
            following=canvas.following,
            browsing=canvas.browsing,
            **filter_fields(self._studio.gallery.filter),
            # What has not come by now is as it was.
            **(_of_grid(gallery) if gallery is not None else _of_before(before)),
        )
        self._studio.settings.picture_place = place.to_json()

    def restore(self) -> None:
        """Begin; pictures come when the index has been opened.

        Raises:
            ValueError: what was kept makes no sense.
        """
        place = self._before = KeptPlace.from_json(self._studio.settings.picture_place)
        self._studio.gallery.set_filter(place.filter())
        if place.browsing:
            self._show_gallery()
            gallery = self._gallery()
            if gallery is not None and place.side:
                gallery.set_side(place.side)
        self._studio.library.opened.connect(self._on_opened)

    def _on_opened(self) -> None:
        """Ids hold from now on; these questions are answered after that for the rows."""
        place, library = self._before, self._studio.library
        if place.shown:
            library.with_picture(place.shown, self._look_at)
        if place.browsing and place.current:
            library.with_picture(place.current, self._choose)
        if place.browsing and place.top:
            library.with_picture(place.top, self._scroll_to)

    def _look_at(self, picture: IndexedPicture) -> None:
        if self._canvas.picture is not None or self._studio.activity.busy:
            return  # the person was quicker, or something is being made
        if self._before.following:
            self._canvas.show_picture(picture)
        else:
            browsing = self._canvas.browsing
            self._canvas.look_at(picture)
            if browsing:
                self._show_gallery()
        self._strip.select_id(picture.id)

    def _choose(self, picture: IndexedPicture) -> None:
        gallery = self._gallery()
        if gallery is not None and gallery.grid.current_row() < 0:
            gallery.select(picture)

    def _scroll_to(self, picture: IndexedPicture) -> None:
        gallery = self._gallery()
        row = self._studio.gallery.row_of_id(picture.id)
        if gallery is not None and row >= 0:
            gallery.grid.put_at(row, self._before.offset)


def _of_grid(gallery: GalleryView) -> dict[str, Any]:
    grid = gallery.grid
    current = grid.current()
    rows = grid.visible_rows() if grid.verticalScrollBar().value() else []
    top = grid.pictures.picture(rows[0]) if rows else None
    return {
        "current": current.path if current is not None else "",
        "top": top.path if top is not None else "",
        "offset": grid.rect_on_screen(rows[0]).top() if rows else 0,
        "side": grid.side,
    }


def _of_before(before: KeptPlace) -> dict[str, Any]:
    return {
        "current": before.current, "top": before.top, "offset": before.offset, "side": before.side,
    }  # fmt: skip
