"""The sign on the canvas that says the picture is live, with the button that keeps it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeySequence, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui.state.live import LivePhase
from gui.ui.widgets.controls import label

INSET = 160
"""The longer side of the picture shown in the sign itself, in device-independent pixels."""
MARGIN = 14
_SAYS = {
    LivePhase.EMPTY: "type a prompt",
    LivePhase.WAITING: "waits for the engine",
    LivePhase.LOADING: "loading the model…",
    LivePhase.DRAWING: "drawing…",
}


class LiveSign(QFrame):
    """Lies over the lower right corner of the canvas.  It has the picture in it where the canvas
    shows the one that a tool works on.

    Args:
        over: what it lies over.
    """

    keep_wanted = Signal()

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setObjectName("hud")
        self.setAccessibleName("Live")
        self.picture = QLabel()
        self.picture.setAccessibleName("Live picture")
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.hide()
        self.says = label("", "small")
        self.keep = QPushButton("Keep")
        keys = QKeySequence("Ctrl+Return").toString(QKeySequence.SequenceFormat.NativeText)
        self.keep.setToolTip(f"Make this picture and save it ({keys})")
        self.keep.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.keep.clicked.connect(self.keep_wanted)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label("Live", "statement"))
        row.addWidget(self.says, 1)
        row.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 8, 9, 8)
        column.setSpacing(7)
        column.addWidget(self.picture)
        column.addLayout(row)
        over.installEventFilter(self)
        self.hide()

    def show_state(self, phase: LivePhase, inset: QImage | None) -> None:
        """What Live is at; the picture, where it has no other place."""
        self.says.setText(_SAYS.get(phase, ""))
        self.says.setVisible(phase in _SAYS)
        self.keep.setVisible(phase in (LivePhase.DRAWING, LivePhase.DONE))
        self.picture.setVisible(inset is not None)
        if inset is not None:
            ratio = self.devicePixelRatioF()
            side = round(INSET * ratio)
            pixels = QPixmap.fromImage(inset).scaled(
                QSize(side, side),
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            pixels.setDevicePixelRatio(ratio)
            self.picture.setPixmap(pixels)
        self.place()

    def place(self) -> None:
        """Back into the corner."""
        self.adjustSize()
        self.move(
            max(0, self._over.width() - self.width() - MARGIN),
            max(0, self._over.height() - self.height() - MARGIN),
        )
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.place()
        return super().eventFilter(watched, event)
