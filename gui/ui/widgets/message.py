"""What is shown in place of a list that is empty."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from gui.ui.widgets.controls import label
from gui.ui.widgets.icons import icon


class Message(QWidget):
    """A symbol, a statement, a sentence on what to do next, and buttons that do it."""

    def __init__(self) -> None:
        super().__init__()
        self.mark = QLabel()
        self.mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = label("", "heading", wrap=True)
        self.text = label("", "secondary", wrap=True)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(20, 12, 20, 12)
        self._column.setSpacing(8)
        self._column.addStretch(2)
        self._column.addWidget(self.mark)
        for one in (self.title, self.text):
            one.setAlignment(Qt.AlignmentFlag.AlignCenter)
            self._column.addWidget(one)
        self._column.addSpacing(4)
        self._column.addStretch(3)

    def add_button(self, text: str, *, flat: bool = False) -> QPushButton:
        """A button below the sentence."""
        button = QPushButton(text)
        if flat:
            button.setObjectName("flat")
        self._column.insertWidget(
            self._column.count() - 1, button, 0, Qt.AlignmentFlag.AlignHCenter
        )
        return button

    def say(self, symbol: str, title: str, text: str) -> None:
        self.mark.setPixmap(icon(symbol, tone="secondary").pixmap(36, 36))
        self.title.setText(title)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.setAccessibleName(f"{title} {text}".strip())
