"""Enlarging pictures that exist: the commands, and the strip that shows how far it is."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton

from gui.state.model_entry import default_values
from gui.state.pictures.enlarging import EnlargingStatus
from gui.state.studio import Studio
from gui.ui.menus import Actions
from gui.ui.widgets.controls import ElidedLabel
from gui.ui.widgets.icons import icon

STEPS = 1000

WithPaths = Callable[[Callable[[list[str]], object]], object]


class EnlargeStrip(QFrame):
    """Below the canvas while pictures are enlarged: which, how far, and Stop.

    Args:
        studio: does the work.
        actions: has the commands, which are connected here.
        with_chosen: calls what it is given with the paths of the pictures that they act on.
    """

    said = Signal(str)
    """What was done."""
    made = Signal(str, str)
    """Of a picture that was enlarged alone: its path, and that of the larger one."""

    def __init__(self, studio: Studio, actions: Actions, with_chosen: WithPaths) -> None:
        super().__init__()
        self.setObjectName("taskStrip")
        self._studio = studio
        self._with_chosen = with_chosen
        self._alone = ""
        self.what = ElidedLabel("", "small")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of enlarging")
        self.bar.setFixedWidth(160)
        self.stop = QPushButton("Stop")
        self.stop.setIcon(icon("stop"))
        self.stop.setIconSize(QSize(14, 14))
        self.stop.setToolTip("Stop enlarging; finished pictures stay")
        self.stop.clicked.connect(studio.enlarging.stop)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 12, 6)
        row.setSpacing(12)
        row.addWidget(self.what, 1)
        row.addWidget(self.bar)
        row.addWidget(self.stop)
        self.hide()
        studio.enlarging.changed.connect(self._show)
        studio.enlarging.enlarged.connect(self._on_enlarged)
        actions.enlarge_2.triggered.connect(lambda _checked=False: self.enlarge(2))
        actions.enlarge_4.triggered.connect(lambda _checked=False: self.enlarge(4))

    def enlarge(self, factor: int) -> None:
        """Enlarge the pictures that are chosen, with the upscaler of the panel."""
        draft = self._studio.draft
        entry = self._studio.model
        upscaler = draft.value("upscaler") or str(default_values(entry, None)["upscaler"])
        unit = draft.draft.request.compute_unit

        def enlarge(files: list[str]) -> None:
            alone = len(files) == 1 and not self._studio.enlarging.status.name
            self._alone = files[0] if alone else ""
            self._studio.enlarging.enlarge(files, factor, upscaler, unit)

        self._with_chosen(enlarge)

    def _show(self, status: EnlargingStatus) -> None:
        self.setVisible(bool(status.name) or status.waiting > 0)
        if not status.name:
            return
        behind = f" · {status.waiting} waiting" if status.waiting else ""
        verb = "Stopping" if status.stopping else "Enlarging"
        self.what.set_text(f"{verb} {status.name}{behind}")
        self.stop.setEnabled(not status.stopping)
        self.bar.setRange(0, STEPS if status.total else 0)
        if status.total:
            self.bar.setValue(STEPS * status.done // status.total)

    def _on_enlarged(self, path: str, width: int, height: int) -> None:
        self._studio.library.look_at([path])
        if self._alone:
            self.made.emit(self._alone, path)
            self._alone = ""
        self.said.emit(f"Enlarged to {width} × {height}")
