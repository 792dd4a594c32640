"""The app's pop-up list: every choice among a few is made with it.

Rows are whole, the present choice has a tick, what a choice is for stands below its name, and
headings part long lists.
"""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QHelpEvent,
    QPainter,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QStylePainter,
    QWidget,
)

from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.icons import paint_icon

HELP_ROLE = Qt.ItemDataRole.UserRole + 1
HEADING_ROLE = Qt.ItemDataRole.UserRole + 2
_FLAGS = Qt.ItemDataRole.UserRole - 1
"""Where Qt's items keep their flags.  An item asked for through Python would be remembered beyond
its end, and what comes to lie at its place taken for it."""

TEXT_MARGINS = 40
"""Pixels beside the closed list's text: its padding and the chevron."""
MAX_ROWS = 12
"""On show at a time; the rest is scrolled to."""
_MAX_WIDTH = 560
_ROW, _ROW_WITH_HELP = 28, 44
_TICK = 16
_LEFT = 8 + _TICK + 6
_RIGHT = 12

_Index = QModelIndex | QPersistentModelIndex


class _Row(QStyledItemDelegate):
    """Paints the rows; all of one list are of one height, so that none is ever cut."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(choice)
        self._choice = choice

    @property
    def height(self) -> int:
        model = self._choice.model()
        helped = any(model.index(row, 0).data(HELP_ROLE) for row in range(model.rowCount()))
        return _ROW_WITH_HELP if helped else _ROW

    def sizeHint(self, _option: QStyleOptionViewItem, index: _Index) -> QSize:
        texts = (
            QFontMetrics(sized_font(13)).horizontalAdvance(str(index.data() or "")),
            QFontMetrics(sized_font(12)).horizontalAdvance(str(index.data(HELP_ROLE) or "")),
        )
        return QSize(_LEFT + max(texts) + _RIGHT + 2, self.height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        direction: Qt.LayoutDirection = option.direction  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setLayoutDirection(direction)
        text = str(index.data() or "")
        if index.data(HEADING_ROLE):
            painter.setPen(QColor(palette.secondary))
            painter.setFont(sized_font(12, bold=True))
            room = QStyle.visualRect(direction, rect, rect.adjusted(10, 0, -_RIGHT, -5))
            flags = Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft
            painter.drawText(room, flags, text)
            painter.restore()
            return
        free = bool(index.flags() & Qt.ItemFlag.ItemIsEnabled)
        over = QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver
        lit = free and bool(state & over)
        if lit:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(palette.accent))
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 5, 5)
        ink = palette.on_accent if lit else palette.text if free else palette.secondary
        if index.row() == self._choice.currentIndex():
            tick = QRect(rect.left() + 8, rect.center().y() - _TICK // 2 + 1, _TICK, _TICK)
            paint_icon(painter, "check", QStyle.visualRect(direction, rect, tick), ink)
        self._write(painter, rect, direction, text, str(index.data(HELP_ROLE) or ""), ink)
        painter.restore()

    def _write(
        self,
        painter: QPainter,
        rect: QRect,
        direction: Qt.LayoutDirection,
        text: str,
        below: str,
        ink: str,
    ) -> None:
        palette = current_palette()
        room = QStyle.visualRect(direction, rect, rect.adjusted(_LEFT, 0, -_RIGHT, 0))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        lit = ink == palette.on_accent
        lines = [(text, 13, ink)] + ([(below, 12, palette.secondary)] if below else [])
        height = 18
        top = room.center().y() - height * len(lines) // 2 + 1
        for number, (line, size, tone) in enumerate(lines):
            font = sized_font(size)
            painter.setFont(font)
            painter.setPen(QColor(palette.on_accent if lit else tone))
            place = QRect(room.left(), top + number * height, room.width(), height)
            shown = QFontMetrics(font).elidedText(line, Qt.TextElideMode.ElideRight, place.width())
            painter.drawText(place, flags, shown)

    def helpEvent(
        self, event: QHelpEvent, view: QAbstractItemView, option: QStyleOptionViewItem,
        index: _Index,
    ) -> bool:  # fmt: skip
        return False  # what a tool tip would say stands in the row


class Choice(QComboBox):
    """A pop-up list with a chevron of ours; the wheel changes it only with the focus."""

    edited = Signal(object)
    """The data of another choice, made by the person and not by `set_value`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.showing = False
        """While true, what changes is not the person's doing."""
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setMaxVisibleItems(MAX_ROWS)
        view = QListView()
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        view.setUniformItemSizes(True)
        view.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.setView(view)
        self._rows = _Row(self)
        self.setItemDelegate(self._rows)
        self.currentIndexChanged.connect(self._on_index)

    # -- its contents -------------------------------------------------------------------------

    def add(self, text: str, data: object, below: str = "") -> None:
        """Add a choice; `below` says in a sentence what it is for."""
        self.addItem(text, data)
        if below:
            self.describe(self.count() - 1, below)

    def describe(self, index: int, below: str) -> None:
        """Say in a sentence what a choice is for."""
        self.setItemData(index, below, HELP_ROLE)
        self.setItemData(index, below, Qt.ItemDataRole.AccessibleDescriptionRole)

    def add_heading(self, text: str) -> None:
        """Add a line that cannot be chosen, above the choices of one kind."""
        self.addItem(text)
        index = self.count() - 1
        self.setItemData(index, True, HEADING_ROLE)
        self.setItemData(index, 0, _FLAGS)

    def add_unavailable(self, text: str, why: str) -> None:
        """Add what cannot be chosen, with the reason below it."""
        self.add(text, None, why)
        self.setItemData(self.count() - 1, 0, _FLAGS)

    def select_data(self, data: object) -> None:
        """Choose the item that carries `data`, as a person would; nothing happens when there is
        none."""
        index = self.index_of(data)
        if index >= 0:
            self.setCurrentIndex(index)

    def set_value(self, data: object) -> None:
        """Show the item that carries `data`, without an `edited` signal."""
        self.showing = True
        self.select_data(data)
        self.showing = False

    def index_of(self, data: object) -> int:
        """Index of the item that carries `data`; -1 where there is none."""
        return next(
            (
                row
                for row in range(self.count())
                if not self.itemData(row, HEADING_ROLE) and self.itemData(row) == data
            ),
            -1,
        )

    def _on_index(self, index: int) -> None:
        if not self.showing and index >= 0:
            self.edited.emit(self.itemData(index))

    # -- the list -----------------------------------------------------------------------------

    def showPopup(self) -> None:
        """Open the list: only whole rows, as many as there is room for, on the better side."""
        super().showPopup()
        view, box = self.view(), self.view().window()
        if box is self.window():
            return
        row = self._rows.height
        option = QStyleOptionViewItem()
        model: QAbstractItemModel = self.model()
        wide = max(
            (self._rows.sizeHint(option, model.index(k, 0)).width() for k in range(self.count())),
            default=0,
        )
        room = self.screen().availableGeometry()
        top = self.mapToGlobal(self.rect().topLeft()).y()
        bottom = self.mapToGlobal(self.rect().bottomLeft()).y() + 2
        frame = 2 * 5
        wanted = min(self.count(), MAX_ROWS)
        below, above = (
            (space - frame) // row for space in (room.bottom() - bottom, top - room.top())
        )
        rows = max(1, min(wanted, max(below, above)))
        scrolls = self.count() > rows
        width = max(self.width(), min(_MAX_WIDTH, wide + frame + (12 if scrolls else 0)))
        width = min(width, room.width())
        height = rows * row + frame
        left = self.mapToGlobal(self.rect().topLeft()).x()
        if self.isRightToLeft() or left + width > room.right():
            left = self.mapToGlobal(self.rect().topRight()).x() + 1 - width
        left = max(room.left(), min(left, room.right() + 1 - width))
        upwards = below < wanted and above > below
        box.setGeometry(left, top - height - 2 if upwards else bottom, width, height)
        _fit_rows(box, view, rows * row)
        view.scrollTo(view.currentIndex(), QAbstractItemView.ScrollHint.PositionAtCenter)

    # -- the field ----------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter = QStylePainter(self)
        # As QComboBox paints itself, but for a text that is too long: it ends in … and is not cut.
        option.currentText = self.fontMetrics().elidedText(  # type: ignore[attr-defined]
            self.currentText(), Qt.TextElideMode.ElideRight, self.width() - TEXT_MARGINS
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        palette = current_palette()
        place = QRect(self.width() - 23, (self.height() - 16) // 2, 16, 16)
        rect = QStyle.visualRect(self.layoutDirection(), self.rect(), place)
        colour = palette.secondary if self.isEnabled() else palette.disabled
        paint_icon(painter, "chevron-down", rect, colour)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and not self.toolTip():
            return False
        return super().event(event)


def _fit_rows(box: QWidget, view: QAbstractItemView, height: int) -> None:
    """Correct the box's height by what its frames take, so that the rows fill the list exactly."""
    for arrow in box.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
        if arrow is not view:  # Qt's own arrows above and below, which would cut a row
            arrow.setFixedHeight(0)
    layout = box.layout()
    if layout is not None:
        layout.activate()
    missing = height - view.viewport().height()
    if missing:
        box.resize(box.width(), box.height() + missing)
