"""What stands under a compared picture: its prompt, and only what sets it apart."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import QApplication, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from gui import words
from gui.state.pictures.differences import Difference
from gui.ui.pictures.compare_surface import ComparedPicture, start_drag
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import ElidedLabel, icon_button, label
from gui.ui.widgets.flow_layout import FlowLayout

LINES = 2
"""Of a prompt that are shown; the whole is its tool tip."""
CHIP_PADDING = 18
CHIP_WIDTH = 260
"""Of one setting at most; the whole is its tool tip."""


class FewLines(QWidget):
    """A text on a few lines, the last of which ends in … where there is more."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self.strong = False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_text(self, text: str, tip: str) -> None:
        self._text = text
        self.setToolTip(words.plain_tip(tip))
        self.setAccessibleName(tip)
        self.update()

    def text(self) -> str:
        return self._text

    def sizeHint(self) -> QSize:
        return QSize(120, self.fontMetrics().lineSpacing() * LINES + 2)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        palette = current_palette()
        painter.setPen(QColor(palette.text if self.strong else palette.secondary))
        metrics = self.fontMetrics()
        layout = QTextLayout(self._text, self.font())
        layout.setTextOption(QTextOption(Qt.AlignmentFlag.AlignHCenter))
        layout.beginLayout()
        for number in range(LINES):
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(self.width())
            top = number * metrics.lineSpacing()
            rest = self._text[line.textStart() :]
            if number == LINES - 1 and line.textLength() < len(rest):
                shown = metrics.elidedText(rest, Qt.TextElideMode.ElideRight, self.width())
                flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
                painter.drawText(0, top, self.width(), metrics.height(), flags, shown)
            else:
                line.draw(painter, QPointF(0, top))
        layout.endLayout()


class _Chip(ElidedLabel):
    """As wide as its text where there is room."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "difference")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        size = super().sizeHint()
        wide = self.fontMetrics().horizontalAdvance(self.whole_text()) + CHIP_PADDING
        return QSize(min(wide, CHIP_WIDTH), size.height())

    def minimumSizeHint(self) -> QSize:
        """A long setting makes no pane wider than the others."""
        return QSize(CHIP_PADDING * 2, super().minimumSizeHint().height())


class CompareFoot(QWidget):
    """The prompt, the settings that differ, and the heart; it can be dragged out as the picture."""

    pressed = Signal()
    favourite_requested = Signal()

    def __init__(self, shown: ComparedPicture) -> None:
        super().__init__()
        self._shown = shown
        self._pressed_at = QPointF()
        self._chosen = False
        self.prompt = FewLines()
        self.heart = icon_button("heart", "Add to Favourites", on="heart-on", checkable=True)
        self.heart.clicked.connect(lambda _: self.favourite_requested.emit())
        self.differences = QWidget()
        self._flow = FlowLayout(5)
        self.differences.setLayout(self._flow)
        line = QHBoxLayout()
        line.setSpacing(4)
        line.addSpacing(30)  # as wide as the heart: the prompt stands in the middle
        line.addWidget(self.prompt, 1)
        line.addWidget(self.heart, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 5, 8, 8)
        column.setSpacing(4)
        column.addLayout(line)
        column.addWidget(self.differences)
        column.addStretch(1)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.heart.setCursor(Qt.CursorShape.ArrowCursor)
        self.set_favourite(shown.picture.favourite)

    def set_chosen(self, on: bool) -> None:
        """Whether commands act on this picture."""
        self._chosen = on
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._chosen:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(current_palette().hover))
            painter.drawRoundedRect(self.rect().adjusted(0, 0, 0, -2), 8, 8)

    def set_favourite(self, on: bool) -> None:
        self.heart.setChecked(on)
        tip = "Remove from Favourites" if on else "Add to Favourites"
        self.heart.setToolTip(tip)
        self.heart.setAccessibleName(tip)

    def tell(self, prompt: str, differs: bool, found: Sequence[Difference], note: str) -> None:
        """Say what sets the picture apart.

        Args:
            prompt: as much of it as tells it from the others.
            differs: whether the prompts differ.
            found: settings that differ.
            note: said where there are none.
        """
        whole = self._shown.picture.facts.prompt or prompt
        self.prompt.strong = differs
        self.prompt.set_text(prompt, whole)
        while (item := self._flow.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for one in found:
            self._flow.addWidget(_Chip(f"{one.label}: {one.text}"))
        if not found and note:
            self._flow.addWidget(label(note, "small"))
        self.updateGeometry()

    def texts(self) -> list[str]:
        """What is said besides the prompt."""
        found = [self._flow.itemAt(k) for k in range(self._flow.count())]
        widgets = [item.widget() for item in found if item is not None]
        return [w.whole_text() if isinstance(w, _Chip) else w.text() for w in widgets]  # type: ignore[attr-defined]

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = event.position()
        self.pressed.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        moved = (event.position() - self._pressed_at).manhattanLength()
        held = event.buttons() & Qt.MouseButton.LeftButton
        if held and moved >= QApplication.startDragDistance():
            start_drag(self, self._shown)
