"""The picture that the one on show was made from, over it: as a whole, or beside a divider."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPainter, QPen, QPixmap

from gui.ui.canvas.resampling import MOST_KEPT, resample
from gui.ui.canvas.tools import PicturePlace
from gui.ui.widgets.appearance import current_palette, sized_font
from gui.ui.widgets.divider import HANDLE, KNOB, paint_divider


class Shown(StrEnum):
    """What of the original is seen."""

    NOTHING = "nothing"
    WHOLE = "whole"
    BESIDE = "beside"
    """It lies left of a divider, and the picture on show right of it."""


class OriginalLayer(QObject):
    """What is painted over the picture on show, below any tool's own."""

    repaint = Signal()
    changed = Signal()
    """Whether there is an original, or what of it is seen, is something else now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.image = QImage()
        self.shown = Shown.NOTHING
        self.share = 0.5
        """Where the divider is in the picture, from 0 at the left to 1."""
        self._rect = QRectF()
        self._before = Shown.NOTHING
        self._held = False
        self._cached = QPixmap()

    @property
    def there(self) -> bool:
        """Whether the picture on show was made from another one."""
        return not self.image.isNull()

    def set_original(self, image: QImage, rect: QRectF) -> None:
        """The picture on show was made from this one.

        Args:
            image: null: from none.
            rect: where it lies in the one on show, in parts of that one's sides.
        """
        self.image, self._rect, self._cached = image, rect, QPixmap()
        if image.isNull():
            self.shown, self._held = Shown.NOTHING, False
        self.changed.emit()
        self.repaint.emit()

    def show(self, shown: Shown) -> None:
        """See so much of it."""
        shown = shown if self.there else Shown.NOTHING
        if shown is not self.shown:
            self.shown = shown
            self.changed.emit()
            self.repaint.emit()

    def hold(self, down: bool) -> None:
        """See all of it as long as a key is held."""
        if down and self.shown is not Shown.WHOLE:
            self._before = self.shown
            self.show(Shown.WHOLE)
        elif not down and self.shown is Shown.WHOLE:
            self.show(self._before)

    # -- the divider --------------------------------------------------------------------------

    def _divider(self, rect: QRectF) -> float:
        return rect.left() + self.share * rect.width()

    def takes(self, at: QPointF, rect: QRectF, knob_alone: bool) -> bool:
        """Whether a press there takes hold of the divider.

        Args:
            rect: of the picture on show, on the surface.
            knob_alone: a tool has the rest of the picture.
        """
        if self.shown is not Shown.BESIDE:
            return False
        away = abs(at.x() - self._divider(rect))
        if knob_alone:
            return away <= KNOB / 2 and abs(at.y() - rect.center().y()) <= KNOB / 2
        return away <= HANDLE and rect.top() <= at.y() <= rect.bottom()

    @property
    def held(self) -> bool:
        return self._held

    def press(self) -> None:
        self._held = True

    def drag(self, at: QPointF, rect: QRectF) -> None:
        """The divider is dragged there."""
        self.share = min(1.0, max(0.0, (at.x() - rect.left()) / max(1.0, rect.width())))
        self.repaint.emit()

    def release(self) -> None:
        self._held = False

    # -- painting -----------------------------------------------------------------------------

    def paint(self, painter: QPainter, place: PicturePlace, exposed: QRectF, ratio: float) -> None:
        """Paint it over the picture on show.

        Args:
            ratio: device pixels per pixel of the surface.
        """
        if self.shown is Shown.NOTHING:
            return
        rect = place.rect
        seen = QRectF(rect)
        if self.shown is Shown.BESIDE:
            seen.setRight(self._divider(rect))
        part = seen.intersected(exposed)
        if not part.isEmpty():
            self._paint_image(painter, rect, part, ratio)
        if self.shown is Shown.BESIDE:
            paint_divider(painter, self._divider(rect), rect)
        self._paint_word(painter, seen)

    def _paint_image(self, painter: QPainter, rect: QRectF, part: QRectF, ratio: float) -> None:
        wanted = (rect.size() * ratio).toSize()
        if wanted.width() * wanted.height() > MOST_KEPT:  # what is seen is scaled each time
            painter.save()
            painter.setClipRect(part, Qt.ClipOperation.IntersectClip)
            self._draw(painter, rect)
            painter.restore()
            return
        if self._cached.size() != wanted:
            self._cached = QPixmap(wanted)
            inner = QPainter(self._cached)
            whole = QRectF(QPointF(0, 0), rect.size() * ratio)
            target = self._target(whole)
            if target.size().toSize() != self.image.size():
                self._draw(inner, whole, resample(self.image, target.size().toSize()))
            else:
                self._draw(inner, whole)
            inner.end()
        source = QRectF((part.topLeft() - rect.topLeft()) * ratio, part.size() * ratio)
        painter.drawPixmap(part, self._cached, source)

    def _target(self, rect: QRectF) -> QRectF:
        """Where all of it lies, within where the picture on show does."""
        mine = self._rect
        return QRectF(
            rect.left() + mine.left() * rect.width(),
            rect.top() + mine.top() * rect.height(),
            max(1.0, mine.width() * rect.width()),
            max(1.0, mine.height() * rect.height()),
        )

    def _draw(self, painter: QPainter, rect: QRectF, image: QImage | None = None) -> None:
        painter.fillRect(rect, QColor(current_palette().hover))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self._target(rect), image if image is not None else self.image)

    def _paint_word(self, painter: QPainter, seen: QRectF) -> None:
        """What it is, in its left upper corner, where there is room for it."""
        font = sized_font(12, bold=True)
        width = QFontMetrics(font).horizontalAdvance("Original") + 18
        pill = QRectF(seen.left() + 10, seen.top() + 10, width, 22)
        if pill.right() > seen.right() - 6:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(255, 255, 255, 40), 1))
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(pill, 11, 11)
        painter.setFont(font)
        painter.setPen(QColor("#FFFFFF"))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, "Original")
