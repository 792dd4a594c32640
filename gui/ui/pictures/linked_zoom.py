"""One zoom for several pictures: how much of each is seen, and which part, whatever their sizes."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, QSizeF, Signal

MARGIN = 10
"""Around a fitted picture."""
MAX_ENLARGEMENT = 4.0
"""Fitting enlarges no further than this."""
MAX_PIXEL = 16.0
"""Screen pixels that one pixel of a picture takes at most."""
STEP = 1.25
"""By which a key zooms."""


@dataclass(frozen=True)
class PanePlace:
    """A picture in its pane.

    Args:
        room: the pane's size, in device-independent pixels.
        picture: the picture's size in pixels.
        ratio: device pixel ratio.
    """

    room: QSizeF
    picture: QSize
    ratio: float = 1.0

    @property
    def fit_scale(self) -> float:
        """Device-independent pixels per pixel of the picture at which all of it is seen."""
        width = max(16.0, self.room.width() - 2 * MARGIN)
        height = max(16.0, self.room.height() - 2 * MARGIN)
        scale = min(width / self.picture.width(), height / self.picture.height())
        return min(scale, MAX_ENLARGEMENT)

    @property
    def true_zoom(self) -> float:
        """The zoom at which one pixel of the picture is one of the screen."""
        return 1 / (self.fit_scale * self.ratio)

    @property
    def limits(self) -> tuple[float, float]:
        return min(1.0, self.true_zoom), max(1.0, self.true_zoom * MAX_PIXEL)

    def shown_size(self, zoom: float) -> QSizeF:
        return QSizeF(self.picture) * (self.fit_scale * zoom)

    def kept(self, zoom: float, centre: QPointF) -> QPointF:
        """The nearest centre at which the pane is filled as far as the picture can."""
        size = self.shown_size(zoom)
        return QPointF(
            _kept(centre.x(), self.room.width(), size.width()),
            _kept(centre.y(), self.room.height(), size.height()),
        )

    def rect(self, zoom: float, centre: QPointF) -> QRectF:
        """Where the whole picture lies, in the pane's coordinates."""
        size = self.shown_size(zoom)
        kept = self.kept(zoom, centre)
        left = self.room.width() / 2 - kept.x() * size.width()
        top = self.room.height() / 2 - kept.y() * size.height()
        return QRectF(QPointF(left, top), size)


def _kept(centre: float, room: float, shown: float) -> float:
    if shown <= room:
        return 0.5
    half = room / shown / 2
    return min(1 - half, max(half, centre))


class LinkedZoom(QObject):
    """What all panes go by: a zoom, 1 where a picture is fitted, and the part in the middle, from
    0 to 1 across the picture.  In these every picture shows the same part, whatever its size."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.zoom = 1.0
        self.centre = QPointF(0.5, 0.5)

    @property
    def fitted(self) -> bool:
        return abs(self.zoom - 1) < 1e-6

    def fit(self) -> None:
        self._set(1.0, QPointF(0.5, 0.5))

    def zoom_at(self, place: PanePlace, pointer: QPointF, factor: float) -> None:
        """Zoom by a factor so that what is under the pointer stays there.

        Args:
            place: the pane the pointer is in.
            pointer: in its coordinates.
        """
        self.zoom_to(place, pointer, self.zoom * factor)

    def zoom_to(self, place: PanePlace, pointer: QPointF, zoom: float) -> None:
        """As `zoom_at`, to a zoom."""
        low, high = place.limits
        zoom = min(high, max(low, zoom))
        before = place.rect(self.zoom, self.centre)
        at = QPointF(
            (pointer.x() - before.left()) / before.width(),
            (pointer.y() - before.top()) / before.height(),
        )
        size = place.shown_size(zoom)
        centre = QPointF(
            at.x() - (pointer.x() - place.room.width() / 2) / size.width(),
            at.y() - (pointer.y() - place.room.height() / 2) / size.height(),
        )
        self._set(zoom, place.kept(zoom, centre))

    def pan(self, place: PanePlace, by: QPointF) -> None:
        """Move the picture by device-independent pixels."""
        size = place.shown_size(self.zoom)
        start = place.kept(self.zoom, self.centre)
        centre = QPointF(start.x() - by.x() / size.width(), start.y() - by.y() / size.height())
        self._set(self.zoom, place.kept(self.zoom, centre))

    def _set(self, zoom: float, centre: QPointF) -> None:
        if (zoom, centre) != (self.zoom, self.centre):
            self.zoom, self.centre = zoom, centre
            self.changed.emit()
