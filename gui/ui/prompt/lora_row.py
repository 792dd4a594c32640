"""One LoRA that pictures are made with: cover, facts, weights, and the words it was taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.request import MAX_LORA_WEIGHT, LoraUse
from gui.state.loras import LoraDetails
from gui.ui.widgets.cards import paint_tile
from gui.ui.widgets.controls import (
    ElidedLabel,
    QuietSpinBox,
    icon_button,
    label,
    without_shortcut,
)
from gui.ui.widgets.flow_layout import FlowLayout

COVER = 36
"""Side of a cover in a row."""
_LONGEST = 30
"""Characters of trigger words on a button."""


def told(entry: LoraDetails) -> str:
    """What is known of a LoRA's file: the family it was made for, and its size."""
    parts = [entry.base, words.size(entry.bytes)]
    return " · ".join(part for part in parts if part)


class Cover(QWidget):
    """A LoRA's picture, or soft colours in its place."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setFixedSize(COVER, COVER)
        self._name = name
        self.pixmap: QPixmap | None = None

    def show_picture(self, pixmap: QPixmap | None) -> None:
        if pixmap is not self.pixmap:
            self.pixmap = pixmap
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(1.0 if self.isEnabled() else 0.4)
        if self.pixmap is not None:
            painter.drawPixmap(0, 0, self.pixmap)
        else:
            paint_tile(painter, QRectF(self.rect()), self._name, painter.opacity())


class LoraRow(QWidget):
    """On or off, cover, name, weight, and a way off the list; below, what is known of the file.

    The text encoder's weight is the same unless a person wants another one.
    """

    edited = Signal(object)
    removed = Signal()
    words_wanted = Signal(str)
    """Trigger words to put into the prompt."""
    reveal_wanted = Signal(str)
    """The file's path, to be shown in the file manager."""
    trash_wanted = Signal(str)
    """The file's path; it is to go to the Trash."""

    def __init__(self, use: LoraUse) -> None:
        super().__init__()
        self._use = use
        self.entry: LoraDetails | None = None
        name = Path(use.name).name.removesuffix(".safetensors")
        self.on = QCheckBox()
        self.on.setAccessibleName(f"Use {name}")
        self.cover = Cover(name)
        self.name = ElidedLabel(name)
        self.name.setToolTip(words.plain_tip(use.name))
        self.facts = ElidedLabel("", "small")
        self.weight = self._spin(f"Weight of {name}")
        self.more = icon_button("more", f"More about {name}")
        self.remove = icon_button("close", f"Take {name} off the list")
        self.text_label = label("Text encoder", "small")
        self.text_weight = self._spin(f"Text encoder’s weight of {name}")
        self.taught = QWidget()
        self._flow = FlowLayout(4, centred=False)
        self.taught.setLayout(self._flow)
        self.taught.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.taught.hide()
        self._lay_out()
        self.show_use(use)
        self.on.toggled.connect(lambda on: self._change(on=on))
        self.weight.valueChanged.connect(lambda value: self._change(weight=round(value, 2)))
        self.text_weight.valueChanged.connect(
            lambda value: self._change(text_encoder_weight=round(value, 2))
        )
        self.remove.clicked.connect(self.removed)
        self.more.clicked.connect(self._show_menu)

    @staticmethod
    def _spin(name: str) -> QuietSpinBox:
        made = QuietSpinBox(2)
        made.setRange(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT)
        made.setSingleStep(0.05)
        made.setKeyboardTracking(False)
        made.setAccessibleName(name)
        return made

    def _lay_out(self) -> None:
        text = QVBoxLayout()
        text.setSpacing(0)
        text.addWidget(self.name)
        text.addWidget(self.facts)
        buttons = QVBoxLayout()
        buttons.setSpacing(0)
        for button in (self.remove, self.more):
            button.setIconSize(QSize(14, 14))
            button.setFixedSize(24, 22)
            button.setStyleSheet("QToolButton { padding: 2px; }")
            buttons.addWidget(button)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.on, 0, 0)
        grid.addWidget(self.cover, 0, 1)
        grid.addLayout(text, 0, 2, Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(self.weight, 0, 3)
        grid.addLayout(buttons, 0, 4)
        grid.addWidget(self.text_label, 1, 2, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.text_weight, 1, 3)
        grid.addWidget(self.taught, 2, 1, 1, 4)
        grid.setColumnStretch(2, 1)

    # -- what it shows ------------------------------------------------------------------------

    @property
    def use(self) -> LoraUse:
        return self._use

    def show_use(self, use: LoraUse) -> None:
        """Show a value without an `edited` signal."""
        self._use = use
        separate = use.text_encoder_weight is not None
        for widget in (self.on, self.weight, self.text_weight):
            widget.blockSignals(True)
        self.on.setChecked(use.on)
        self.weight.setValue(use.weight)
        self.text_weight.setValue(use.text_encoder_weight if separate else use.weight)  # type: ignore[arg-type]
        for widget in (self.on, self.weight, self.text_weight):
            widget.blockSignals(False)
        for widget in (self.text_label, self.text_weight):
            widget.setVisible(separate)
        for widget in (
            self.cover, self.name, self.facts, self.weight, self.text_label, self.text_weight,
        ):  # fmt: skip
            widget.setEnabled(use.on)

    def show_entry(self, entry: LoraDetails | None) -> None:
        """Show what is known of the file; None: it is not in the library."""
        if entry == self.entry:
            return
        self.entry = entry
        self.facts.set_text(told(entry) if entry is not None else "")
        while (item := self._flow.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for text in entry.triggers if entry is not None else ():
            self._flow.addWidget(self._word(text))
        self.taught.setVisible(self._flow.count() > 0)
        self.updateGeometry()

    def show_missing(self) -> None:
        """Say that the library has no such file."""
        self.show_entry(None)
        is_path = "/" in self._use.name
        self.facts.set_text("" if is_path else "Not in the library")

    def chips(self) -> list[QPushButton]:
        """A button for each of the words it was taught."""
        items = (self._flow.itemAt(k) for k in range(self._flow.count()))
        found = [item.widget() for item in items if item is not None]
        return [one for one in found if isinstance(one, QPushButton)]

    def _word(self, text: str) -> QPushButton:
        made = QPushButton(without_shortcut(words.shortened(words.plain(text), _LONGEST)))
        made.setObjectName("styleAdd")
        made.setAccessibleName(f"Put “{words.plain(text)}” into the prompt")
        made.setToolTip(words.plain_tip(f"Put “{text}” into the prompt"))
        made.clicked.connect(lambda: self.words_wanted.emit(text))
        return made

    # -- what can be done with it -------------------------------------------------------------

    def menu(self) -> QMenu:
        """What a person seldom wants."""
        menu = QMenu(self)
        own = menu.addAction("Own Weight for the Text Encoder")
        own.setCheckable(True)
        own.setChecked(self._use.text_encoder_weight is not None)
        own.toggled.connect(self._separate)
        entry = self.entry
        if entry is not None:
            menu.addSeparator()
            menu.addAction("Show in Folder", lambda: self.reveal_wanted.emit(entry.path))
            menu.addAction("Move to Trash", lambda: self.trash_wanted.emit(entry.path))
        return menu

    def _show_menu(self) -> None:
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    def _separate(self, on: bool) -> None:
        self._change(text_encoder_weight=self._use.weight if on else None)

    def _change(self, **values: object) -> None:
        self.edited.emit(replace(self._use, **values))  # type: ignore[arg-type]
