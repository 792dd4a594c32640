"""The main window's three columns: models, what is looked at, prompt and options."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from gui.ui.widgets.measures import LEFT_WIDTH, RIGHT_WIDTH

MIDDLE_WIDTH = 380
"""The middle column's least, in pixels."""


class Columns(QSplitter):
    """Left, middle and right, of which the middle one takes what width there is.

    Args:
        left, right: the panels.
        middle: one below the other; the first takes what height there is.
        width: of the window, in pixels.
    """

    def __init__(self, left: QWidget, middle: list[QWidget], right: QWidget, width: int) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for number, widget in enumerate(middle):
            column.addWidget(widget, 1 if number == 0 else 0)
        centre.setMinimumWidth(MIDDLE_WIDTH)
        left.setMinimumWidth(220)
        right.setMinimumWidth(288)
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)
        for widget in (left, centre, right):
            self.addWidget(widget)
        self.setStretchFactor(1, 1)
        free = width - LEFT_WIDTH - RIGHT_WIDTH
        self.setSizes([LEFT_WIDTH, max(MIDDLE_WIDTH, free), RIGHT_WIDTH])
