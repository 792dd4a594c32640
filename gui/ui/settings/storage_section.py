"""What Sfumato keeps to be quicker the next time: how much it is, and clearing it."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from gui import words
from gui.state.caches import CacheKind, Caches, CacheSize
from gui.ui.widgets.controls import label
from gui.ui.widgets.questions import ask

TITLES = {
    CacheKind.COMPILED: "Models prepared by Core ML",
    CacheKind.VARIANTS: "Models with LoRAs, other sizes",
    CacheKind.STEPS: "Steps of pictures",
}
COST = {
    CacheKind.COMPILED: "Each model is prepared anew when it is used next, which can take minutes.",
    CacheKind.VARIANTS: "Each is made anew when it is asked for next, in seconds.",
    CacheKind.STEPS: "Pictures stay, but how they came about can no longer be played back.",
}


class StorageSection(QWidget):
    """Bound to `Caches`."""

    def __init__(self, caches: Caches) -> None:
        super().__init__()
        self._caches = caches
        self.sizes: dict[CacheKind, QLabel] = {}
        self.buttons: dict[CacheKind, QPushButton] = {}
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(12)
        rows.setVerticalSpacing(6)
        rows.setColumnStretch(0, 1)
        for row, kind in enumerate(CacheKind):
            self.sizes[kind] = size = label("…", "secondary")
            self.buttons[kind] = button = QPushButton("Clear…")
            button.setAutoDefault(False)
            button.setEnabled(False)
            button.setAccessibleName(f"Clear: {TITLES[kind]}")
            button.clicked.connect(lambda _=False, kind=kind: self._ask(kind))
            rows.addWidget(label(TITLES[kind]), row, 0)
            rows.addWidget(size, row, 1)
            rows.addWidget(button, row, 2)
        caches.measured.connect(self._show)

    def measure(self) -> None:
        """Show what there is now."""
        self._caches.measure()

    def _show(self, found: list[CacheSize]) -> None:
        for told in found:
            self.sizes[told.kind].setText(words.size(told.bytes) if told.number else "None")
            self.buttons[told.kind].setEnabled(told.number > 0)

    def _ask(self, kind: CacheKind) -> None:
        title = TITLES[kind]
        question = f"Clear {title[0].lower()}{title[1:]}?"
        ask(self, question, COST[kind], "Clear", lambda: self._clear(kind))

    def _clear(self, kind: CacheKind) -> None:
        self.buttons[kind].setEnabled(False)
        self.sizes[kind].setText("…")
        self._caches.clear(kind)
