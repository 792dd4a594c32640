"""The gallery: every picture ever made, found by words and filters, in a grid by day."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDropEvent,
    QHideEvent,
    QKeyEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from gui import words
from gui.state.pictures.drag import MOST_FILES
from gui.state.pictures.images import is_picture_name
from gui.state.pictures.types import IndexedPicture, PictureFilter
from gui.state.studio import Studio
from gui.ui.pictures.filters import PictureFilters, active_filters, without_filters
from gui.ui.pictures.grid import SIDES, PictureGrid, next_side
from gui.ui.pictures.large_view import LargeView
from gui.ui.widgets.controls import ElidedLabel, QuietSlider, icon_button, search_field
from gui.ui.widgets.drop_glow import DropGlow
from gui.ui.widgets.dropped import local_files
from gui.ui.widgets.filtering import FilterButton, FilterChips
from gui.ui.widgets.message import Message

TYPING_MS = 80
"""After a key, before the pictures are asked for: a search takes some milliseconds."""
SEARCH_TIP = (
    "Words of the prompt, the negative prompt or the settings. “Quoted words” belong together; "
    "-word leaves pictures out."
)


class GalleryView(QWidget):
    """Search, filters and grid over the studio's gallery."""

    opened = Signal(object)
    """This `IndexedPicture` is wanted on the canvas; None: only the canvas."""
    current_changed = Signal()
    chosen_changed = Signal()
    drag_refused = Signal()
    menu_requested = Signal(QPoint)

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self._pictures = studio.gallery
        self.search = search_field("Search", "Search pictures", SEARCH_TIP)
        self.filters = FilterButton(PictureFilters, active_filters)
        self.chips = FilterChips(active_filters, without_filters)
        self.count = ElidedLabel("", "small")
        self.slider = QuietSlider()
        self.slider.setRange(0, len(SIDES) - 1)
        self.slider.setPageStep(1)
        self.slider.setFixedWidth(84)
        self.slider.setAccessibleName("Size of the pictures")
        self.slider.setToolTip("Size of the pictures")
        self.back = icon_button("chevron-left", "Back to the canvas")
        self.grid = PictureGrid(self._pictures)
        self.message = Message()
        self.clear = self.message.add_button("Clear Search and Filters")
        self.large = LargeView(self)
        self.glow = DropGlow(self)
        self.setAcceptDrops(True)
        self._looking = -1
        self._next = -1
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._lay_out()
        self._connect()
        self._on_side()
        self._on_filter(self._pictures.filter)
        self._show()

    # -- construction -------------------------------------------------------------------------

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(12, 10, 16, 6)
        head.setSpacing(6)
        head.addWidget(self.back)
        head.addWidget(self.search, 5)
        head.addWidget(self.filters)
        head.addSpacing(6)
        head.addWidget(self.count, 2)
        head.addSpacing(6)
        head.addWidget(self.slider)
        self.search.setMinimumWidth(100)
        self.count.setMinimumWidth(104)  # “100,000 pictures”
        self.search.setMaximumWidth(360)
        self.count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        chips = QHBoxLayout()
        chips.setContentsMargins(18, 0, 18, 4)
        chips.addWidget(self.chips)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.grid)
        self.stack.addWidget(self.message)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(chips)
        column.addWidget(self.stack, 1)

    def _connect(self) -> None:
        pictures, grid, library = self._pictures, self.grid, self._studio.library
        self.search.textEdited.connect(lambda _: self._typing.start())
        self.search.returnPressed.connect(self._search_now)
        self._typing.timeout.connect(self._search_now)
        self.filters.changed.connect(self._pictures.set_filter)
        self.chips.changed.connect(self._pictures.set_filter)
        self.clear.clicked.connect(self.clear_filter)
        self.back.clicked.connect(lambda: self.opened.emit(None))
        self.slider.valueChanged.connect(lambda at: self.set_side(SIDES[at]))
        pictures.filter_changed.connect(self._on_filter)
        for signal in (pictures.rowsInserted, pictures.rowsRemoved, pictures.refreshed):
            signal.connect(self._show)
        library.looking.connect(self._on_looking)
        library.choices_changed.connect(self.filters.popover.set_choices)
        library.changed.connect(self._want_choices)
        library.opened.connect(self._want_choices)
        self.filters.button.pressed.connect(library.want_choices)
        grid.opened.connect(lambda: self.opened.emit(grid.current()))
        grid.left.connect(lambda: self.opened.emit(grid.current()))
        grid.look_wanted.connect(self.look)
        grid.delete_requested.connect(self.trash)
        grid.favourite_requested.connect(self._studio.marks.toggle_favourite)
        grid.menu_requested.connect(self.menu_requested)
        grid.current_changed.connect(self.current_changed)
        grid.current_changed.connect(self._follow_with_large)
        grid.chosen_changed.connect(self._on_chosen)
        grid.verticalScrollBar().valueChanged.connect(lambda _: self._studio.thumbnails.hurry())
        pictures.dataChanged.connect(self._follow_with_large)
        self._studio.trash.went.connect(self._after_trash)
        grid.drag_refused.connect(self.drag_refused)
        self.large.moved.connect(grid.move_current)
        self.large.passed.connect(grid.keyPressEvent)
        self.large.closed.connect(lambda: self.grid.setFocus())

    # -- what is shown ------------------------------------------------------------------------

    def current(self) -> IndexedPicture | None:
        return self.grid.current()

    def chosen_ids(self) -> list[int]:
        return self.grid.chosen_ids()

    def select(self, picture: IndexedPicture | None) -> None:
        """Choose a picture that came from elsewhere, where the filter has it."""
        row = self._pictures.row_of_id(picture.id) if picture is not None else -1
        if row >= 0:
            self.grid.choose(row)

    def focus_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def clear_filter(self) -> None:
        self.search.clear()
        self._pictures.set_filter(PictureFilter())

    def zoom(self, step: int) -> None:
        """Larger (1) or smaller (-1) pictures."""
        self.set_side(next_side(self.grid.side, step))

    def set_side(self, side: int) -> None:
        """Pictures of this size; see `GridLayout`."""
        self.grid.set_side(side)
        self._on_side()

    def _on_side(self) -> None:
        self.slider.setValue(SIDES.index(self.grid.side) if self.grid.side in SIDES else 0)

    def _search_now(self) -> None:
        self._typing.stop()
        text = self.search.text().strip()
        self._pictures.set_filter(replace(self._pictures.filter, text=text))

    def _on_filter(self, wanted: PictureFilter) -> None:
        self.filters.set_query(wanted)
        self.chips.set_query(wanted)
        if self.search.text().strip() != wanted.text:
            self.search.setText(wanted.text)

    def _want_choices(self) -> None:
        if self.isVisible():
            self._studio.library.want_choices()

    def _on_looking(self, new: int) -> None:
        self._looking = new
        self._show()

    def _on_chosen(self) -> None:
        """Have the files of what is chosen at hand: a drag cannot wait for them."""
        if 1 < self.grid.chosen_count <= MOST_FILES:
            self._pictures.keep(self.grid.chosen_ids())
        self._show_count()
        self.chosen_changed.emit()

    def _show(self, *_: object) -> None:
        """Grid, or why there is nothing in it."""
        self._show_count()
        if self._pictures.rowCount():
            self.stack.setCurrentWidget(self.grid)
            return
        filtered = self._pictures.filter != PictureFilter()
        if filtered:
            self.message.say("search", "Nothing matches.", "Try fewer words or filters.")
        elif self._looking >= 0:
            self.message.say("picture", "The picture folder is being read…", "")
        else:
            self.message.say(
                "picture",
                "No pictures yet.",
                "Every picture you make is kept here, with everything that made it.",
            )
        self.clear.setVisible(filtered)
        self.stack.setCurrentWidget(self.message)

    def _show_count(self) -> None:
        total, chosen = self._pictures.rowCount(), self.grid.chosen_count
        text = words.counted(total, "picture") if total else ""
        if chosen > 1:
            text = f"{words.count(chosen)} of {words.count(total)} chosen"
        if self._looking > 0:
            text = f"Reading… {words.count(self._looking)} new"
        self.count.set_text(text)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._studio.library.want_choices()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.large.hide()
        self.grid.forget_cuts()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.large.setGeometry(self.rect())

    # -- deeds --------------------------------------------------------------------------------

    def look(self) -> None:
        """Show the current picture large."""
        picture = self.grid.current()
        if picture is not None:
            self.large.show_picture(picture, self._pictures.thumbnail(picture))

    def _follow_with_large(self, *_: object) -> None:
        if not self.large.isVisible():
            return
        picture = self.grid.current()
        if picture is None:
            if self.grid.current_row() < 0:
                self.large.close_view()
        elif picture.path != self.large.path:
            self.look()

    def trash(self) -> None:
        """What is chosen goes to the Trash, and the next picture is the current one."""
        ids = self.grid.chosen_ids()
        self._next = self.grid.selection.first_row()
        if ids:
            self._studio.library.with_paths(ids, self._studio.trash.move)

    def _after_trash(self, gone: list[str]) -> None:
        """The picture that takes the place of those that went is the current one."""
        row, self._next = min(self._next, self._pictures.rowCount() - 1), -1
        if gone and row >= 0 and self.isVisible():
            self.grid.choose(row)

    # -- pictures dropped in ------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Pictures from elsewhere; what else is dropped is the window's, and our own come from
        here."""
        files = local_files(event.mimeData())
        if files and event.source() is None and all(map(is_picture_name, files)):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.glow.light_up()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        self._studio.adding.add(local_files(event.mimeData()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """From the search field: Escape empties it, then goes back; Down goes to the pictures."""
        if event.key() == Qt.Key.Key_Escape and self.search.hasFocus() and self.search.text():
            self.search.clear()
            self._search_now()
        elif event.key() == Qt.Key.Key_Escape:
            self.opened.emit(self.grid.current())
        elif event.key() == Qt.Key.Key_Down and self._pictures.rowCount():
            self.grid.setFocus(Qt.FocusReason.TabFocusReason)
            if self.grid.current_row() < 0:
                self.grid.choose(0)
        else:
            super().keyPressEvent(event)

    def close_down(self) -> None:
        self.large.close_loader()
