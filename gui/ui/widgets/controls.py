"""Small controls the panels are made of."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QFontMetrics,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.focus import shows_ring
from gui.ui.widgets.icons import icon

LABEL_WIDTH = 74
"""Width of the label column in the prompt panel."""
SPIN_WIDTH = 62


def label(text: str, name: str = "", *, wrap: bool = False) -> QLabel:
    """A label; `name` is its role in the style sheet.  Its text is only text: much of what is shown
    comes from strangers' files."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setObjectName(name)
    made.setWordWrap(wrap)
    if wrap:
        made.setMinimumWidth(1)
    return made


def without_shortcut(text: str) -> str:
    """A text from outside for a button, a menu entry or a tab, where & alone would announce a
    shortcut and not be seen."""
    return text.replace("&", "&&")


def fit_height(dialog: QWidget) -> None:
    """As high as the wrapped texts need at this width, which a layout alone overlooks."""
    layout = dialog.layout()
    assert layout is not None
    layout.activate()
    width = max(dialog.width(), dialog.minimumWidth(), dialog.sizeHint().width())
    height = max(layout.totalHeightForWidth(width), layout.totalMinimumSize().height())
    dialog.resize(width, height)


def mirrored(widget: QWidget, rect: QRect) -> QRect:
    """A part of a widget that is read from left to right, where it is in the widget's layout."""
    return QStyle.visualRect(widget.layoutDirection(), widget.rect(), rect)


def search_field(placeholder: str, name: str = "", tip: str = "") -> QLineEdit:
    """A field to search with; `name` is what it is called to those who do not see it."""
    field = QLineEdit()
    field.setPlaceholderText(placeholder)
    field.setAccessibleName(name or placeholder)
    field.setToolTip(tip)
    field.setClearButtonEnabled(True)
    for button in field.findChildren(QToolButton):
        button.setAccessibleName("Clear the search")
    glass = QAction(icon("search", tone="secondary"), "", field)
    field.addAction(glass, QLineEdit.ActionPosition.LeadingPosition)
    glass.triggered.connect(lambda *_: field.setFocus())
    for button in field.findChildren(QToolButton):
        button.setAccessibleName(button.accessibleName() or field.accessibleName())
    return field


def icon_button(name: str, tip: str, *, on: str = "", checkable: bool = False) -> QToolButton:
    """A flat button with an icon alone; `tip` is its tool tip and its accessible name."""
    button = QToolButton()
    button.setIcon(icon(name, on=on))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button


class QuietSlider(QSlider):
    """A slider the wheel moves only when it has the focus: scrolling a panel changes nothing."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class QuietSpinBox(QDoubleSpinBox):
    """A number field without arrows; keys move it, the wheel only with the focus."""

    def __init__(self, decimals: int) -> None:
        super().__init__()
        self.setDecimals(decimals)
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedWidth(SPIN_WIDTH)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class SliderRow(QWidget):
    """A label, a slider and a number field that hold one value.

    The number field may reach beyond the slider: the slider spans the useful range, the field the
    allowed one.

    Args:
        text: the label.
        low, high: range of the slider.
        limit: largest value of the field; None: `high`.
        decimals: digits after the point.
        step: by which keys move the number.
    """

    value_changed = Signal(float)
    edited = Signal(object)
    """The value (an int where there are no decimals), changed by the person, not by `set_value`."""

    def __init__(
        self,
        text: str,
        low: float,
        high: float,
        *,
        limit: float | None = None,
        decimals: int = 0,
        step: float = 1.0,
    ) -> None:
        super().__init__()
        self._scale = 10**decimals
        self._setting = False
        self.label = label(text)
        self.label.setFixedWidth(LABEL_WIDTH)
        self.slider = QuietSlider()
        self.slider.setRange(round(low * self._scale), round(high * self._scale))
        self.slider.setPageStep(max(1, round((high - low) * self._scale / 10)))
        self.slider.setAccessibleName(text)
        self.spin = QuietSpinBox(decimals)
        self.spin.setRange(low, limit if limit is not None else high)
        self.spin.setSingleStep(step)
        self.spin.setAccessibleName(f"{text}, value")
        self.label.setBuddy(self.spin)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.addWidget(self.label, 0, 0)
        layout.addWidget(self.slider, 0, 1)
        layout.addWidget(self.spin, 0, 2)
        self.slider.valueChanged.connect(self._on_slider)
        self.spin.valueChanged.connect(self._on_spin)

    def value(self) -> float:
        return self.spin.value()

    def set_value(self, value: float) -> None:
        """Set both without an `edited` signal."""
        self._setting = True
        self.spin.setValue(value)
        self._setting = False

    def set_tool_tip(self, text: str) -> None:
        for widget in (self.label, self.slider, self.spin):
            widget.setToolTip(text)

    def _on_slider(self, value: int) -> None:
        # A slider at its end must not pull a larger typed value back.
        if value != self._as_slider(self.spin.value()):
            self.spin.setValue(value / self._scale)

    def _on_spin(self, value: float) -> None:
        self.slider.setValue(self._as_slider(value))
        self.value_changed.emit(value)
        if not self._setting:
            self.edited.emit(round(value) if self._scale == 1 else value)

    def _as_slider(self, value: float) -> int:
        return min(self.slider.maximum(), max(self.slider.minimum(), round(value * self._scale)))


class Switch(QCheckBox):
    """A check box drawn as a switch, its text on the left."""

    TRACK = QSize(34, 20)

    def sizeHint(self) -> QSize:
        text = QFontMetrics(self.font()).size(0, self.text())
        return QSize(text.width() + 12 + self.TRACK.width(), max(24, text.height()))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.TRACK.width() + 40, 24)

    def hitButton(self, pos: QPoint) -> bool:
        return self.rect().contains(pos)

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        room = QRect(
            self.width() - self.TRACK.width() - 2,
            (self.height() - self.TRACK.height()) // 2,
            self.TRACK.width(),
            self.TRACK.height(),
        )
        track = QRectF(mirrored(self, room)).adjusted(1, 1, -1, -1)
        on = self.isChecked() and self.isEnabled()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(palette.accent if on else palette.groove))
        painter.drawRoundedRect(track, track.height() / 2, track.height() / 2)
        side = track.height() - 4
        at_right = self.isChecked() != self.isRightToLeft()
        x = track.right() - side - 2 if at_right else track.left() + 2
        painter.setBrush(
            QColor(palette.on_accent if on and palette.knob != "#FFFFFF" else palette.knob)
        )
        painter.drawEllipse(QRectF(x, track.top() + 2, side, side))
        if shows_ring(self):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(palette.accent), 2))
            ring = track.adjusted(-1.5, -1.5, 1.5, 1.5)
            painter.drawRoundedRect(ring, ring.height() / 2, ring.height() / 2)
        painter.setPen(QColor(palette.text if self.isEnabled() else palette.disabled))
        text_rect = mirrored(self, self.rect().adjusted(0, 0, -self.TRACK.width() - 10, 0))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        text = QFontMetrics(self.font()).elidedText(
            self.text(), Qt.TextElideMode.ElideRight, text_rect.width()
        )
        painter.drawText(text_rect, flags, text)


class Section(QWidget):
    """A heading that opens and closes what is below it."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, *, open_: bool = False) -> None:
        super().__init__()
        self.button = QPushButton(title)
        self.button.setObjectName("section")
        self.button.setCheckable(True)
        self.button.setChecked(open_)
        self.button.setIcon(icon("chevron-right", on="chevron-down", tone="secondary"))
        self.button.setIconSize(QSize(14, 14))
        self.button.setAccessibleName(title)
        self.content = content
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.button)
        layout.addWidget(content)
        content.setVisible(open_)
        self.button.toggled.connect(content.setVisible)
        self.button.toggled.connect(self.toggled)

    def set_open(self, is_open: bool) -> None:
        self.button.setChecked(is_open)


class Segments(QFrame):
    """A segmented control: exactly one of a few buttons is on."""

    chosen = Signal(int)
    """By the person or by `choose`; also when that one was on already."""

    def __init__(self, name: str, texts: tuple[str, ...]) -> None:
        super().__init__()
        self.setObjectName("segments")
        self.setAccessibleName(name)
        self.buttons: list[QPushButton] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(2)
        for number, text in enumerate(texts):
            button = QPushButton(text)
            button.setObjectName("segment")
            button.setCheckable(True)
            button.setChecked(number == 0)
            # Not an exclusive group of Qt's: there Tab would reach the chosen one alone.
            button.clicked.connect(lambda *_, number=number: self.choose(number))
            row.addWidget(button, 1)
            self.buttons.append(button)

    def current(self) -> int:
        return next(k for k, button in enumerate(self.buttons) if button.isChecked())

    def choose(self, number: int) -> None:
        for k, button in enumerate(self.buttons):
            button.setChecked(k == number)
        self.chosen.emit(number)


class ElidedLabel(QLabel):
    """One line: the longest of its texts that there is room for, the shortest of them ending in …
    where there is room for none.  The whole text is its tool tip."""

    def __init__(self, text: str = "", name: str = "") -> None:
        super().__init__()
        self.setObjectName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._whole = text
        self._shorter: tuple[str, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.set_text(text)

    def set_text(self, text: str, *shorter: str) -> None:
        """Show a text.

        Args:
            shorter: what to show instead where there is no room, the longest first.
        """
        self._whole = " ".join(text.split())
        self._shorter = shorter
        self.setAccessibleName(self._whole)
        self._elide()

    def whole_text(self) -> str:
        return self._whole

    def _elide(self) -> None:
        room = self.contentsRect().width()
        metrics = self.fontMetrics()
        texts = (self._whole, *self._shorter)
        fitting = (text for text in texts if metrics.horizontalAdvance(text) <= room)
        shown = next(fitting, "") or metrics.elidedText(
            texts[-1], Qt.TextElideMode.ElideRight, room
        )
        self.setText(shown)
        self.setToolTip(words.plain_tip(self._whole) if shown != self._whole else "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:  # the style sheet's, which comes late
            self._elide()


def is_appearance_change(event: QEvent) -> bool:
    """Whether a widget that paints itself should paint again."""
    return event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
