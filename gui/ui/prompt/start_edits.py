"""Below the starting picture: that a mask is painted on it or its frame moved, and the way back."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from gui.start_image import Outpaint
from gui.state.draft import DraftState
from gui.ui.widgets.controls import ElidedLabel, icon_button

PATH, MASK, FRAME = "start_image.path", "start_image.mask", "start_image.outpaint"
MASKED = "Painted anew where it is masked"
WIDENED = "Painted on beyond its edges"
CROPPED = "Cropped by its frame"
BOTH = "Cropped, and painted on beyond its edges"


class StartEdits(QFrame):
    """Says what of the canvas's tools the next picture is made with; nothing is seen without.

    Args:
        state: the draft.
    """

    def __init__(self, state: DraftState) -> None:
        super().__init__()
        self.setObjectName("branch")
        self._state = state
        self.masked, self.mask_words, self.remove_mask = self._line(MASKED, "Remove the mask")
        self.widened, self.frame_words, self.remove_frame = self._line(
            WIDENED, "Back to the picture’s own frame"
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 3, 4, 3)
        column.setSpacing(0)
        column.addWidget(self.masked)
        column.addWidget(self.widened)
        self.remove_mask.clicked.connect(lambda: self._remove(MASK, "", "Remove Mask"))
        self.remove_frame.clicked.connect(lambda: self._remove(FRAME, Outpaint(), "Reset Frame"))
        state.changed.connect(self._on_changed)
        self._on_changed(PATH)

    def _line(self, text: str, remove: str) -> tuple[QWidget, ElidedLabel, QToolButton]:
        button = icon_button("close", remove)
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        words = ElidedLabel(text, "small")
        row.addWidget(words, 1)
        row.addWidget(button)
        return made, words, button

    def _remove(self, name: str, value: object, what: str) -> None:
        self._state.replace(self._state.draft.with_value(name, value), what)

    def _on_changed(self, name: str) -> None:
        if name in (PATH, MASK, FRAME):
            there = bool(self._state.value(PATH))
            self.masked.setVisible(there and bool(self._state.value(MASK)))
            frame = self._state.value(FRAME) or Outpaint()
            told = BOTH if frame.inwards else WIDENED
            self.frame_words.set_text(told if frame.outwards else CROPPED)
            self.widened.setVisible(there and bool(frame))
            self.setVisible(not (self.masked.isHidden() and self.widened.isHidden()))
