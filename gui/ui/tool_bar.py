"""The tool bar: the commands of every day, and which model is in use."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolBar, QWidget

from gui.ui.menus import Actions
from gui.ui.widgets.controls import ElidedLabel
from gui.words import plain_tip

_ENGINE_WORDS = {
    "off": "",
    "starting": "Starting engine…",
    "ready": "Ready",
    "loading": "Loading model…",
    "busy": "Generating…",
    "stopping": "Stopping…",
    "lost": "Engine is being restarted…",
}


class WindowToolBar(QToolBar):
    """Shows commands, the model's name and what the engine does.

    Args:
        actions: the window's commands.
    """

    def __init__(self, actions: Actions) -> None:
        super().__init__("Toolbar")
        self.setObjectName("toolbar")
        self.setMovable(False)
        self.setFloatable(False)
        self.setIconSize(QSize(18, 18))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        a = actions
        self.addAction(a.models)
        self.model_title = ElidedLabel("", "heading")
        self._engine = QLabel("")
        self._engine.setObjectName("small")
        self.service = QLabel("")
        self.service.setObjectName("small")
        self.service.setTextFormat(Qt.TextFormat.PlainText)
        self.service.hide()
        title = QWidget()
        title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(title)
        row.setContentsMargins(10, 0, 10, 0)
        row.setSpacing(10)
        row.addWidget(self.model_title, 1)
        row.addWidget(self.service)
        row.addWidget(self._engine)
        self.addWidget(title)
        of_picture = (a.fit, a.true_size, None, a.save_as, a.copy_picture, a.reveal)
        for action in (a.gallery, None, *of_picture, None):
            if action is None:
                spacer = QWidget()
                spacer.setFixedWidth(10)
                self.addWidget(spacer)
            else:
                self.addAction(action)
        self.addAction(a.queue)
        self.addAction(a.options)
        self._name_buttons()

    def _name_buttons(self) -> None:
        for action in self.actions():
            button = self.widgetForAction(action)
            if button is not None and action.text():
                button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                button.setAccessibleName(action.text())
                keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                button.setToolTip(f"{action.text()} ({keys})" if keys else action.text())

    def show_service(self, text: str, tip: str) -> None:
        """What other programs may do or wait for; empty: they may not ask."""
        self.service.setText(text)
        self.service.setToolTip(plain_tip(tip))
        self.service.setVisible(bool(text))

    def show_engine(self, state: str) -> None:
        """What the engine does, by the name of its state."""
        self._engine.setText(_ENGINE_WORDS.get(state, ""))
