"""The head of a repository's sheet: picture, name, maker, popularity, description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui import words
from gui.errors import SfumatoError
from gui.state import describe
from gui.state.hub.types import ModelKind
from gui.state.pictures.images import read_image
from gui.ui.hub.card import shade_of
from gui.ui.widgets.card_pictures import square_pixmap
from gui.ui.widgets.cards import paint_tile
from gui.ui.widgets.controls import ElidedLabel, label
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from gui.state.hub.types import ModelSummary, RepoDetails

PICTURE = 116
DESCRIPTION_LINES = 3


class ModelPicture(QWidget):
    """The model card's picture, or soft colours in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(PICTURE, PICTURE))
        self._name = ""
        self._pixmap: QPixmap | None = None

    def set_picture(self, name: str, path: str) -> None:
        """Show the picture in `path`, a small file of ours; empty: none."""
        self._name, self._pixmap = name, None
        if path:
            try:
                image = read_image(path, QSize(400, 400))
                self._pixmap = square_pixmap(image, PICTURE, self.devicePixelRatioF(), 12)
            except SfumatoError:  # the colours do as well
                self._pixmap = None
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._pixmap is not None:
            painter.drawPixmap(0, 0, self._pixmap)
        else:
            paint_tile(painter, QRectF(self.rect()), str(shade_of(self._name)))


class HubHeader(QWidget):
    """What there is to say of a repository as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = ModelPicture()
        self.name = ElidedLabel("", "sheetTitle")
        self.facts = ElidedLabel("", "small")
        self.popularity = ElidedLabel("", "small")
        self.description = label("", "", wrap=True)
        self.description.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.description.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line = self.description.fontMetrics().lineSpacing()
        self.description.setFixedHeight(DESCRIPTION_LINES * line + 2)
        self.open_page = QPushButton("Open on the Hub")
        self.open_page.setObjectName("flat")
        self.open_page.setIcon(icon("open", tone="accent"))
        self.open_page.setAutoDefault(False)
        self._whole = ""
        top = QHBoxLayout()
        top.addWidget(self.name, 1)
        top.addWidget(self.open_page)
        text = QVBoxLayout()
        text.setSpacing(3)
        text.addLayout(top)
        text.addWidget(self.facts)
        text.addWidget(self.popularity)
        text.addSpacing(4)
        text.addWidget(self.description)
        text.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(20, 18, 20, 12)
        row.setSpacing(16)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(text, 1)

    def set_summary(self, summary: ModelSummary | None, repo: str, picture: str) -> None:
        name = repo.partition("/")[2] or repo
        self.name.set_text(name)
        self.picture.set_picture(name, picture)
        self.open_page.setAccessibleName(f"Open {name} on the Hub")
        if summary is None:
            self.facts.set_text(repo.partition("/")[0])
            self.popularity.set_text("")
            return
        licence = words.licence(summary.licence)
        updated = words.ago(summary.updated)
        parts = (
            summary.author,
            describe.repository_kind(summary),
            licence or "No licence stated",
            f"updated {updated}" if updated else "",
        )
        self.facts.set_text(" · ".join(part for part in parts if part))
        counts = [
            words.counted(summary.likes, "like"),
            words.counted(summary.downloads, "download"),
        ]
        self.popularity.set_text(" · ".join(counts))

    def set_details(self, details: RepoDetails | None) -> None:
        """Description and origin; None while they are on their way."""
        if details is None:
            self._show_description("")
            return
        parts = []
        if details.description:
            parts.append(details.description)
        if details.triggers:
            parts.append(f"Words it was taught: {', '.join(details.triggers)}.")
        if details.base_model:
            lora = details.summary.kind is ModelKind.LORA
            parts.append(f"{'Made for' if lora else 'Converted from'} {details.base_model}.")
        self._show_description(" ".join(parts) or "The model’s page says nothing about it.")

    def _show_description(self, text: str) -> None:
        self._whole = " ".join(text.split())
        shown = cut_to_lines(self.description, self._whole, DESCRIPTION_LINES)
        self.description.setText(shown)
        self.description.setToolTip(words.plain_tip(self._whole) if shown != self._whole else "")

    def resizeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().resizeEvent(event)
        self._show_description(self._whole)


def cut_to_lines(widget: QLabel, text: str, lines: int) -> str:
    """As many whole words of `text` as fit the label's width in so many lines, then …"""
    metrics, width = widget.fontMetrics(), widget.width()
    flags = Qt.TextFlag.TextWordWrap
    limit = lines * metrics.lineSpacing()

    def fits(candidate: str) -> bool:
        return metrics.boundingRect(0, 0, width, 10000, flags, candidate).height() <= limit

    if width <= 0 or fits(text):
        return text
    words = text.split()
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(" ".join(words[:middle]) + " …"):
            low = middle
        else:
            high = middle - 1
    return " ".join(words[:low]) + " …"
