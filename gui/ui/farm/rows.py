"""A Mac of the farm, and a model that one lacks, each in a row."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from gui import words
from gui.state.farm import OfferView, SeatView
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.controls import ElidedLabel, label
from gui.ui.widgets.icons import paint_icon

TILE = 48


class PreviewTile(QWidget):
    """What a Mac draws, small; a symbol where it draws nothing that is to be seen here."""

    def __init__(self) -> None:
        super().__init__()
        self.image: QImage | None = None
        self.setFixedSize(TILE, TILE)

    def sizeHint(self) -> QSize:
        return QSize(TILE, TILE)

    def show_image(self, image: QImage | None) -> None:
        self.image = image
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        palette = current_palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        whole = QRectF(self.rect())
        path = QPainterPath()
        path.addRoundedRect(whole, 8, 8)
        painter.fillPath(path, QColor(palette.pressed))
        if self.image is None or self.image.isNull():
            square = self.rect().adjusted(14, 14, -14, -14)
            paint_icon(painter, "computer", square, palette.secondary)
            return
        side = min(self.image.width(), self.image.height())
        left, top = (self.image.width() - side) / 2, (self.image.height() - side) / 2
        painter.setClipPath(path)
        painter.drawImage(whole, self.image, QRectF(left, top, side, side))


class SeatRow(QWidget):
    """One Mac."""

    remove_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.tile = PreviewTile()
        self.name = ElidedLabel("", "statement")
        self.speed = label("", "secondary")
        self.doing = ElidedLabel("", "secondary")
        first = QHBoxLayout()
        first.setSpacing(8)
        first.addWidget(self.name, 1)
        first.addWidget(self.speed)
        column = QVBoxLayout()
        column.setSpacing(3)
        column.addStretch(1)
        column.addLayout(first)
        column.addWidget(self.doing)
        column.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.tile)
        row.addLayout(column, 1)
        self.remove = QPushButton("Remove…")
        self.remove.setAutoDefault(False)
        self.remove.setVisible(False)
        self.remove.clicked.connect(lambda *_: self.remove_asked.emit())
        row.addWidget(self.remove)

    def show_seat(self, seat: SeatView) -> None:
        self.name.set_text(words.plain(seat.name) + ("  (this one)" if seat.own else ""))
        self.doing.set_text(seat.doing)
        self.speed.setText(seat.speed)
        self.tile.show_image(seat.preview)
        self.remove.setVisible(seat.removable)
        self.remove.setAccessibleName(f"Remove {seat.name} from the farm")
        self.setAccessibleName(f"{seat.name}: {seat.doing} {seat.speed}".strip())


class OfferRow(QWidget):
    """A model that a Mac lacks: nothing is copied before somebody says so."""

    answered = Signal(str)
    """``copy``, ``fetch`` or ``no``."""

    def __init__(self) -> None:
        super().__init__()
        self.told = label("", "secondary", wrap=True)
        self.copy = QPushButton("Copy")
        self.fetch = QPushButton("Get from Hub")
        self.decline = QPushButton("Not Now")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.told)
        column.addLayout(row)
        for button, how in ((self.copy, "copy"), (self.fetch, "fetch"), (self.decline, "no")):
            button.setAutoDefault(False)
            button.clicked.connect(lambda *_, how=how: self.answered.emit(how))
            row.addWidget(button)

    def show_offer(self, offer: OfferView) -> None:
        self.told.setText(offer.text)
        self.copy.setVisible(offer.can_copy)
        self.fetch.setVisible(offer.can_fetch)
        self.decline.setVisible(offer.can_copy or offer.can_fetch)
        name = f"“{offer.model}” to {offer.mac}"
        self.copy.setAccessibleName(f"Copy {name}")
        self.fetch.setAccessibleName(f"Get {name} from the Hub")
        self.decline.setAccessibleName(f"Do not bring {name}")
