"""Where the pictures of the gallery's grid are on the screen, and which of them are chosen."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from gui.state.pictures.gallery import Gallery
from gui.ui.pictures.grid_layout import GridLayout
from gui.ui.pictures.selection import PictureSelection

HEART = 26


class GridSurface(QAbstractScrollArea):
    """What drawing, screen readers and hands all need to know of the grid.

    Args:
        pictures: what is shown.
        layout: where each picture is.
    """

    def __init__(
        self, pictures: Gallery, layout: GridLayout, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.pictures = pictures
        self.selection = PictureSelection(pictures)
        self.layout_ = layout
        self.hover = -1
        """Row under the mouse."""
        self.band: QRect | None = None
        """What is being drawn to choose by, as the layout counts."""

    def visible_rows(self) -> list[int]:
        """Pictures of which at least a part is in view."""
        return self.layout_.rows_in(self.view())

    def view(self) -> QRect:
        """The part of all that is in view."""
        top = self.verticalScrollBar().value()
        return QRect(0, top, self.viewport().width(), self.viewport().height())

    def rect_on_screen(self, row: int) -> QRect:
        """Where a picture is in the viewport."""
        return self.layout_.rect_of(row).translated(0, -self.verticalScrollBar().value())

    def row_at(self, at: QPoint) -> int:
        """The picture at a point of the viewport; -1 between pictures."""
        return self.layout_.row_at(self.mirrored(at) + QPoint(0, self.verticalScrollBar().value()))

    def mirrored(self, at: QPoint) -> QPoint:
        """A point where the layout, which counts from the left, has it."""
        return QPoint(self.viewport().width() - 1 - at.x(), at.y()) if self.isRightToLeft() else at

    def heart_rect(self, row: int) -> QRect:
        """Where a picture's heart is in the viewport."""
        return heart_in(self.placed(self.rect_on_screen(row)))

    def placed(self, rect: QRect) -> QRect:
        """A part of the layout, which counts from the left, where it is drawn."""
        if not self.isRightToLeft():
            return rect
        return QRect(
            self.viewport().width() - rect.right() - 1, rect.y(), rect.width(), rect.height()
        )

    def band_rect(self) -> QRect | None:
        """What is being drawn to choose by, in the layout's pixels; None where nothing is."""
        if self.band is None or self.band.width() + self.band.height() <= 4:
            return None
        return self.placed(self.band)

    def shows_heart(self, row: int) -> bool:
        """Whether a picture has its heart on show: a favourite, or under the mouse."""
        picture = self.pictures.held(self.pictures.id_at(row))
        return row == self.hover or (picture is not None and picture.favourite)


def heart_in(rect: QRect) -> QRect:
    """Where the heart of a cell is."""
    return QRect(rect.left() + 6, rect.bottom() - HEART - 5, HEART, HEART)
