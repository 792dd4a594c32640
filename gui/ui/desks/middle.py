"""The middle of the window: the canvas, the gallery or a comparison; and the zoom of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Signal

from gui.ui.desks.parts import Parts, connect_commands
from gui.ui.pictures.compare_desk import CompareDesk

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.ui.pictures.gallery import GalleryView


class MiddleDesk(QObject):
    """Says which picture is on show and which are chosen, wherever the person is looking."""

    shown = Signal()
    """Commands act on another picture, or on others."""
    menu_requested = Signal(QPoint)
    trash_requested = Signal()
    drag_refused = Signal()
    search_wanted = Signal()
    """Something is to be found where no pictures are looked through."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = studio = parts.studio
        self._prompt = parts.prompt
        self._canvas = canvas = parts.canvas
        self._strip = strip = parts.filmstrip
        self._actions = a = parts.actions
        self.gallery: GalleryView | None = None
        """Made when it is first wanted."""
        self.comparison = CompareDesk(studio, canvas, strip, a.compare, self.open_gallery, self)
        canvas.picture_shown.connect(self._on_shown)
        canvas.menu_requested.connect(self.menu_requested)
        canvas.pixels_shown.connect(studio.pictures.keep_pixels)
        canvas.browsing_changed.connect(self._on_browsing)
        canvas.view.zoom_changed.connect(self._on_zoom)
        self._connect_strip()
        self._connect_comparison()
        a.gallery.toggled.connect(self.show_gallery)
        a.filmstrip.toggled.connect(lambda _: self._show_filmstrip())
        connect_commands(
            (a.larger, lambda: self._zoom(1)),
            (a.smaller, lambda: self._zoom(-1)),
            (a.fit, lambda: self._set_fit(True)),
            (a.true_size, lambda: self._set_fit(False)),
            (a.find, self.find),
        )

    def _connect_strip(self) -> None:
        canvas, strip = self._canvas, self._strip
        canvas.following_changed.connect(strip.set_following)
        strip.set_following(canvas.following)
        strip.chosen.connect(canvas.look_at)
        strip.follow_requested.connect(canvas.follow)
        strip.chosen_changed.connect(self._on_shown)
        strip.drag_refused.connect(self.drag_refused)
        strip.menu_requested.connect(self.menu_requested)

    def _connect_comparison(self) -> None:
        comparison = self.comparison
        comparison.changed.connect(self._show_commands)
        comparison.current_changed.connect(self._on_shown)
        comparison.menu_requested.connect(self.menu_requested)
        comparison.trash_requested.connect(self.trash_requested)
        comparison.zoom_changed.connect(self._on_zoom)

    def close_down(self) -> None:
        """End what reads pictures in the background."""
        self._canvas.close_loader()
        self.comparison.close_down()
        if self.gallery is not None:
            self.gallery.close_down()

    # -- what commands act on -----------------------------------------------------------------

    def shown_picture(self) -> IndexedPicture | None:
        """The picture that commands act on: the gallery's current one, that of the pane with the
        focus where some are compared, or that on the canvas."""
        if self.comparison.on:
            return self.comparison.current()
        if (gallery := self.open_gallery()) is not None:
            return gallery.current()
        picture = self._canvas.picture
        return picture and (self._studio.pictures.held(picture.id) or picture)

    def chosen_ids(self) -> list[int]:
        """The pictures that are chosen where the person is, none of which need be at hand."""
        if self.comparison.on:
            return []
        if (gallery := self.open_gallery()) is not None:
            return gallery.chosen_ids()
        picture, ids = self._canvas.picture, self._strip.chosen_ids()
        return ids if picture is not None and picture.id in ids else []

    def _on_shown(self, *_: object) -> None:
        self.shown.emit()

    # -- the gallery --------------------------------------------------------------------------

    def open_gallery(self) -> GalleryView | None:
        """The gallery while it is on show."""
        return self.gallery if self._canvas.browsing and self._canvas.cover is None else None

    def show_gallery(self, on: bool = True) -> None:
        """Put the gallery in the canvas's place, or take it away."""
        if on and self.gallery is None:
            # Made when it is first wanted: the window is complete without it.
            from gui.ui.pictures.gallery import GalleryView

            self.gallery = GalleryView(self._studio)
            self.gallery.opened.connect(self.open_picture)
            self.gallery.menu_requested.connect(self.menu_requested)
            self.gallery.current_changed.connect(self._on_shown)
            self.gallery.grid.chosen_changed.connect(self.comparison.update_action)
            self.gallery.chosen_changed.connect(self._on_shown)
            self.gallery.drag_refused.connect(self.drag_refused)
            self._canvas.set_gallery(self.gallery)
        self._canvas.browse(on)

    def open_picture(self, picture: IndexedPicture | None) -> None:
        """Put a picture on the canvas; None: the one that is there already."""
        if picture is None:
            self._canvas.browse(False)
        else:
            self._canvas.look_at(picture)
            self._strip.select(picture.path)

    def find(self) -> None:
        """Look for pictures where they are looked at, else for models."""
        if (gallery := self.open_gallery()) is not None:
            gallery.focus_search()
        else:
            self.search_wanted.emit()

    def take_focus(self) -> None:
        """Where the person goes on: at the prompt, or among the pictures."""
        gallery = self.open_gallery()
        (self._prompt.prompt.edit if gallery is None else gallery.grid).setFocus()

    def _on_browsing(self, on: bool) -> None:
        self._show_commands()
        if on and self.gallery is not None:
            self.gallery.select(self._canvas.picture)
            self.gallery.grid.setFocus()
        self._on_shown()

    def show_all(self) -> None:
        """Bring the commands in line with what is there at the start."""
        self._on_shown()
        self._on_browsing(self._canvas.browsing)

    def _show_commands(self, *_: object) -> None:
        """Those that go with what is in the middle of the window."""
        a = self._actions
        browsing, comparing = self._canvas.browsing, self.comparison.on
        a.gallery.setChecked(browsing)
        for action in (a.larger, a.smaller):
            action.setEnabled(browsing or comparing)
        for action in (a.fit, a.true_size):
            action.setEnabled(comparing or not browsing)
        self._on_zoom(comparing or self._canvas.view.fitted)
        self._show_filmstrip()
        self.comparison.update_action()

    def _show_filmstrip(self) -> None:
        free = not self._canvas.browsing and self._canvas.cover is None
        self._strip.set_wanted(self._actions.filmstrip.isChecked() and free)

    # -- zoom ---------------------------------------------------------------------------------

    def _zoom(self, step: int) -> None:
        if self.comparison.view is not None and self.comparison.on:
            self.comparison.view.zoom(step)
        elif self.gallery is not None:
            self.gallery.zoom(step)

    def _set_fit(self, fitted: bool) -> None:
        if self.comparison.view is not None and self.comparison.on:
            view = self.comparison.view
            (view.fit if fitted else view.true_size)()
            fitted = view.linked.fitted
        else:
            self._canvas.view.set_fitted(fitted)
        self._on_zoom(fitted)

    def _on_zoom(self, fitted: bool) -> None:
        self._actions.fit.setChecked(fitted)
        scale = 1.0 if self.comparison.on else self._canvas.view.scale
        self._actions.true_size.setChecked(not fitted and scale == 1.0)
