"""Two to four pictures side by side, or two under a divider, zoomed and moved together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from gui import words
from gui.state.pictures.differences import FEWEST, MOST, differences, telling_parts
from gui.state.pictures.levels import LevelLoader, PictureLevels
from gui.state.pictures.origin import Origin
from gui.state.pictures.types import IndexedPicture
from gui.state.studio import Studio
from gui.ui.canvas.canvas import title_of
from gui.ui.pictures.compare_foot import CompareFoot
from gui.ui.pictures.compare_surface import (
    ComparedPicture,
    PictureZoomSurface,
    WipeSurface,
    ZoomSurface,
)
from gui.ui.pictures.linked_zoom import STEP, LinkedZoom
from gui.ui.widgets.controls import ElidedLabel, Segments, icon_button, label

PAN_STEP = 60.0
"""By which an arrow key moves what is zoomed."""
WIPE_STEP = 0.05
SAME = "The same settings"
UNKNOWN = "Does not say what made it"
UNREADABLE = "This picture cannot be read; its file was moved or is damaged."


class CompareView(QWidget):
    """Lies in the canvas's place.  Commands act on the picture of the pane with the focus."""

    left = Signal()
    """Back to where the pictures were chosen."""
    current_changed = Signal()
    menu_requested = Signal(QPoint)
    trash_requested = Signal()
    zoom_changed = Signal(bool)
    """True: fitted."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self.linked = LinkedZoom(self)
        self.shown: list[ComparedPicture] = []
        self.surfaces: list[PictureZoomSurface] = []
        self.feet: list[CompareFoot] = []
        self.wipe: WipeSurface | None = None
        self._origins: dict[str, Origin] = {}
        self._current = 0
        self._columns = 0
        self._loader = LevelLoader(self)
        self._loader.loaded.connect(self._on_loaded)
        self._loader.failed.connect(self._on_failed)
        self.linked.changed.connect(self._on_zoom)
        self.back = icon_button("chevron-left", "Back (Esc)")
        self.back.clicked.connect(self.left)
        self.title = ElidedLabel("", "heading")
        self.percent = label("", "small")
        self.percent.setAccessibleName("Zoom")
        self.mode = Segments("How two pictures are compared", ("Side by Side", "Wipe"))
        self.mode.chosen.connect(lambda _: self._lay_out_panes())
        for signal in (studio.pictures.dataChanged, studio.gallery.dataChanged):
            signal.connect(self._show_marks)
        studio.trash.went.connect(self._on_gone)
        self._lay_out()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(12, 10, 16, 4)
        head.setSpacing(10)
        head.addWidget(self.back)
        head.addWidget(self.title, 1)
        head.addWidget(self.percent)
        head.addWidget(self.mode)
        self._panes = QWidget()
        self._grid = QGridLayout(self._panes)
        self._grid.setContentsMargins(12, 0, 12, 4)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self._panes, 1)

    # -- what is shown ------------------------------------------------------------------------

    def show_pictures(self, pictures: Sequence[IndexedPicture]) -> None:
        """Compare these, in this order; the first one has the focus."""
        self._loader.forget()
        known = {one.picture.path: one for one in self.shown}
        self.shown = [known.get(p.path) or self._new(p) for p in pictures[:MOST]]
        self._origins = {
            path: origin for path, origin in self._origins.items()
            if path in {one.picture.path for one in self.shown}
        }  # fmt: skip
        self._current = min(self._current, len(self.shown) - 1) if known else 0
        if not known:
            self.linked.fit()
        self._make_panes()
        for one in self.shown:
            path = one.picture.path
            if one.levels is None:
                self._loader.load(path)
            if path not in self._origins:
                self._studio.library.with_origin(
                    path, lambda origin, path=path: self._on_origin(path, origin)
                )

    def _new(self, picture: IndexedPicture) -> ComparedPicture:
        return ComparedPicture(picture, self._studio.gallery.thumbnail(picture))

    def forget(self) -> None:
        """Let go of all pixels: nothing is compared any more."""
        self._loader.forget()
        self.shown = []
        self._origins = {}
        self._current = 0
        self._make_panes()

    def close_down(self) -> None:
        self._loader.close()

    def current(self) -> IndexedPicture | None:
        """The picture that commands act on."""
        if not self.shown:
            return None
        picture = self.shown[self._current].picture
        held = self._studio.pictures.held(picture.id) or self._studio.gallery.held(picture.id)
        return held or picture

    def choose(self, number: int) -> None:
        """Have commands act on another one."""
        if 0 <= number < len(self.shown) and number != self._current:
            self._current = number
            self._show_current()
            self.current_changed.emit()

    # -- panes --------------------------------------------------------------------------------

    def _make_panes(self) -> None:
        for widget in (*self.surfaces, *self.feet, self.wipe):
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.surfaces, self.feet, self.wipe = [], [], None
        for number, one in enumerate(self.shown):
            surface = PictureZoomSurface(self.linked, one)
            self._connect(surface, number)
            foot = CompareFoot(one)
            foot.pressed.connect(lambda n=number: self._focus(n))
            foot.favourite_requested.connect(lambda n=number: self._toggle_favourite(n))
            self.surfaces.append(surface)
            self.feet.append(foot)
        if len(self.shown) == FEWEST:
            self.wipe = WipeSurface(self.linked, *self.shown)
            self._connect(self.wipe, None)
        self.mode.setVisible(len(self.shown) == FEWEST)
        self.title.set_text(f"Comparing {words.counted(len(self.shown), 'picture')}")
        self._tell()
        self._lay_out_panes()
        self._show_current()

    def _connect(self, surface: ZoomSurface, number: int | None) -> None:
        if number is not None:
            surface.focused.connect(lambda: self.choose(number))
        surface.menu_requested.connect(self.menu_requested)

    def _lay_out_panes(self) -> None:
        """Side by side in as many columns as show the pictures largest."""
        had_focus = self._has_focus_inside()
        while self._grid.takeAt(0) is not None:
            pass
        for line in range(2 * MOST):
            self._grid.setRowStretch(line, 0)
            self._grid.setColumnStretch(line, 0)
        wiping = self.wipe is not None and self.mode.current() == 1
        self._columns = len(self.shown) if wiping else self._best_columns()
        for number, (surface, foot) in enumerate(zip(self.surfaces, self.feet, strict=True)):
            row, at = divmod(number, max(1, self._columns))
            if not wiping:
                self._grid.addWidget(surface, 2 * row, at)
            self._grid.addWidget(foot, 2 * row + 1, at)
            self._grid.setRowStretch(2 * row, 1)
            self._grid.setColumnStretch(at, 1)
            surface.setVisible(not wiping)
            foot.show()
        if self.wipe is not None:
            if wiping:
                self._grid.addWidget(self.wipe, 0, 0, 1, FEWEST)
            self.wipe.setVisible(wiping)
        if had_focus:
            self._focus(self._current)
        self._on_zoom()

    def _best_columns(self) -> int:
        count = len(self.shown)
        if not count:
            return 1
        width, height = max(1, self.width() - 24), max(1, self.height() - 60)

        def area(columns: int) -> float:
            """Of the smallest picture, as large as its pane lets it be."""
            rows = math.ceil(count / columns)
            room = (width / columns - 32, height / rows - 100)
            return min(
                min(room[0] / one.size.width(), room[1] / one.size.height())
                * math.sqrt(one.size.width() * one.size.height())
                for one in self.shown
            )

        return max(range(1, count + 1), key=area)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wiping = self.wipe is not None and self.mode.current() == 1
        if not wiping and self._best_columns() != self._columns:
            self._lay_out_panes()
        self._on_zoom()

    # -- what is said -------------------------------------------------------------------------

    def _tell(self) -> None:
        origins = [self._origins.get(one.picture.path, Origin()) for one in self.shown]
        come = all(one.picture.path in self._origins for one in self.shown)
        sizes = [(one.picture.facts.width, one.picture.facts.height) for one in self.shown]
        found = differences(origins, sizes)
        prompts = [title_of(one.picture) for one in self.shown]
        differ = len(set(prompts)) > 1
        for one, foot, prompt, own, origin in zip(
            self.shown, self.feet, telling_parts(prompts), found, origins, strict=True
        ):
            note = "" if not come else UNKNOWN if origin.empty else "" if differ else SAME
            foot.tell(prompt, differ, own, UNREADABLE if one.unreadable else note)

    def _show_marks(self, *_: object) -> None:
        pictures, gallery = self._studio.pictures, self._studio.gallery
        for one, foot in zip(self.shown, self.feet, strict=True):
            held = pictures.held(one.picture.id) or gallery.held(one.picture.id)
            if held is not None:
                foot.set_favourite(held.favourite)

    def _show_current(self) -> None:
        for number, surface in enumerate(self.surfaces):
            surface.chosen = number == self._current
            surface.update()
        for number, (foot, one) in enumerate(zip(self.feet, self.shown, strict=True)):
            foot.set_chosen(number == self._current)
            chosen = ", chosen" if number == self._current else ""
            name = f"Picture {number + 1} of {len(self.shown)}: “{title_of(one.picture)}”{chosen}"
            self.surfaces[number].setAccessibleName(name)
            foot.setAccessibleName(name)
        if self.wipe is not None:
            self.wipe.second = self._current == 1
            self.wipe.setAccessibleName("Two pictures under a divider")
            self.wipe.update()
        self._on_zoom()

    def _on_zoom(self) -> None:
        surface = self.active_surface()
        if surface is not None:
            zoom = self.linked.zoom / surface.place().true_zoom
            self.percent.setText(f"{100 * zoom:.0f}%")
        self.zoom_changed.emit(self.linked.fitted)

    # -- answers ------------------------------------------------------------------------------

    def _on_origin(self, path: str, origin: Origin) -> None:
        if any(one.picture.path == path for one in self.shown):
            self._origins[path] = origin
            self._tell()

    def _on_loaded(self, path: str, levels: PictureLevels) -> None:
        for one in self.shown:
            if one.picture.path == path:
                one.levels = levels
        for surface in (*self.surfaces, *([self.wipe] if self.wipe is not None else [])):
            surface.update()
        self._on_zoom()

    def _on_failed(self, path: str, _error: object) -> None:
        for one in self.shown:
            if one.picture.path == path:
                one.unreadable = True
        self._tell()

    def _on_gone(self, paths: list[str]) -> None:
        """What went to the Trash is compared no more; one alone is not compared."""
        if not self.shown:
            return
        stay = [one.picture for one in self.shown if one.picture.path not in paths]
        if len(stay) == len(self.shown):
            return
        if len(stay) < FEWEST:
            self._current = next((k for k, one in enumerate(self.shown) if one.picture in stay), 0)
            self.left.emit()
        else:
            self.show_pictures(stay)
            self._focus(self._current)
            self.current_changed.emit()

    # -- commands -----------------------------------------------------------------------------

    def _toggle_favourite(self, number: int) -> None:
        self._focus(number)
        self._show_marks()  # the button has changed already; what counts is what is kept
        self._studio.marks.toggle_favourite([self.shown[number].picture.id])

    def fit(self) -> None:
        self.linked.fit()

    def true_size(self) -> None:
        """One pixel of the chosen picture to one of the screen."""
        surface = self.active_surface()
        if surface is not None:
            place = surface.place()
            self.linked.zoom_to(place, surface.middle(), place.true_zoom)

    def zoom(self, step: int) -> None:
        """In (1) or out (-1), about the middle."""
        surface = self.active_surface()
        if surface is not None:
            self.linked.zoom_at(surface.place(), surface.middle(), STEP**step)

    def active_surface(self) -> ZoomSurface | None:
        """Where the chosen picture is seen."""
        if self.wipe is not None and self.mode.current() == 1:
            return self.wipe
        return self.surfaces[self._current] if self.shown else None

    def focus_current(self) -> None:
        self._focus(self._current)

    def _focus(self, number: int) -> None:
        self.choose(number)
        surface = self.active_surface()
        if surface is not None:
            surface.setFocus(Qt.FocusReason.OtherFocusReason)

    def _has_focus_inside(self) -> bool:
        widget = self.window().focusWidget() if self.window() else None
        return widget is not None and self._panes.isAncestorOf(widget)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.left.emit()
        elif Qt.Key.Key_1 <= key <= Qt.Key.Key_4:
            self._focus(min(key - Qt.Key.Key_1, len(self.shown) - 1))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(1)
        elif key == Qt.Key.Key_Minus:
            self.zoom(-1)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key == Qt.Key.Key_Z:
            surface = self.active_surface()
            if surface is not None:
                surface.toggle(surface.middle())
        elif key == Qt.Key.Key_W and self.wipe is not None:
            self.mode.choose(1 - self.mode.current())
        elif key == Qt.Key.Key_F:
            self._toggle_favourite(self._current)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.trash_requested.emit()
        elif (way := _ARROWS.get(key)) is not None:
            self._arrow(way)
        else:
            super().keyPressEvent(event)

    def _arrow(self, way: QPointF) -> None:
        """Fitted pictures: the pane or the divider; else what is seen of them."""
        surface = self.active_surface()
        if surface is None:
            return
        if not self.linked.fitted:
            self.linked.pan(surface.place(), way * -PAN_STEP)
        elif isinstance(surface, WipeSurface):
            surface.set_share(surface.share + way.x() * WIPE_STEP)
        else:
            step = int(way.x()) or int(way.y()) * max(1, self._columns)
            if 0 <= self._current + step < len(self.shown):
                self._focus(self._current + step)


_ARROWS: dict[int, QPointF] = {
    Qt.Key.Key_Left: QPointF(-1, 0),
    Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1),
    Qt.Key.Key_Down: QPointF(0, 1),
}
