"""Above the prompt while a waiting request's settings are in the panel: save them, or don't."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from gui.state.queue.desk import QueueDesk
from gui.ui.widgets.controls import label


class EditBar(QFrame):
    """Bound to a `QueueDesk`; there only while a request is edited."""

    def __init__(self, desk: QueueDesk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("editBar")
        self._desk = desk
        self.text = label("A waiting request is being edited.", "statement", wrap=True)
        self.save = QPushButton("Save")
        self.save.setObjectName("sheetPrimary")
        self.cancel = QPushButton("Cancel")
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 16, 10)
        column.setSpacing(8)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self.save.clicked.connect(lambda: desk.save_edit())
        self.cancel.clicked.connect(desk.cancel_edit)
        desk.editing_changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.setVisible(self._desk.editing is not None)
