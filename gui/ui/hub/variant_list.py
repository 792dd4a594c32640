"""What a repository offers: its variants as rows, and every fact of the chosen one."""

from __future__ import annotations

from html import escape
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QFrame,
    QListView,
    QScrollArea,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.state import describe
from gui.state.hub.types import Level, Variant
from gui.ui.hub.card import LEVEL_MARKS, draw_line, text_width
from gui.ui.widgets.appearance import current_palette
from gui.ui.widgets.cards import lay_as_cards, paint_ground, placing
from gui.ui.widgets.facts import TechnicalDetails, facts_html, facts_label
from gui.ui.widgets.icons import icon_pixmap
from gui.ui.widgets.palette import Palette

ROW_HEIGHT = 56
MARK = 18

_Index = QModelIndex | QPersistentModelIndex


def summary_line(variant: Variant) -> str:
    """Second line of a row: what it costs, or why it will not run."""
    if variant.verdict.level is Level.NO and variant.verdict.reasons:
        return variant.verdict.reasons[0]
    parts = [words.size(variant.download_bytes)]
    if variant.distilled is not None:
        parts.append(words.few_steps(variant.distilled.steps, variant.distilled.method))
    if variant.minimum_macos:
        parts.append(f"macOS {variant.minimum_macos}")
    if variant.memory_bytes:
        parts.append(f"{words.memory(variant.memory_bytes)} memory")
    return " · ".join(parts)


class VariantModel(QAbstractListModel):
    """Rows carry `Variant` as UserRole, best first as the verdicts put them."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._variants: tuple[Variant, ...] = ()
        self.installed: frozenset[str] = frozenset()

    def set_variants(self, variants: tuple[Variant, ...]) -> None:
        self.beginResetModel()
        self._variants = variants
        self.endResetModel()

    def set_installed(self, ids: frozenset[str]) -> None:
        self.installed = ids
        if self._variants:
            self.dataChanged.emit(self.index(0), self.index(len(self._variants) - 1))

    def row_of(self, variant_id: str) -> int:
        return next((k for k, v in enumerate(self._variants) if v.id == variant_id), -1)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._variants)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        variant = self._variants[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return variant.title
        if role == Qt.ItemDataRole.UserRole:
            return variant
        if role == Qt.ItemDataRole.ToolTipRole:
            return words.plain_tip(variant.title)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            parts = [
                variant.title,
                "Recommended" if variant.recommended else "",
                "Installed" if variant.id in self.installed else "",
                words.LEVELS[variant.verdict.level],
                summary_line(variant),
            ]
            return ". ".join(part for part in parts if part)
        return None


class VariantDelegate(QStyledItemDelegate):
    """Verdict sign, title, and what the variant costs."""

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(120, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        variant: Variant = index.data(Qt.ItemDataRole.UserRole)
        model = index.model()
        installed = isinstance(model, VariantModel) and variant.id in model.installed
        palette = current_palette()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        card = rect.adjusted(2, 2, -4, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_ground(painter, QRectF(card), option.state, palette)  # type: ignore[attr-defined]
        level = variant.verdict.level
        ratio = painter.device().devicePixelRatioF()
        colour = getattr(palette, LEVEL_MARKS[level][1])
        pixmap = icon_pixmap(LEVEL_MARKS[level][0], MARK, colour, ratio)
        place = placing(painter, option)
        sign = QRect(card.left() + 9, card.top() + 8, MARK, MARK)
        painter.drawPixmap(place(sign).topLeft(), pixmap)
        line = QRect(card.left() + 36, card.top() + 7, card.width() - 46, 19)
        title = QRect(line)
        if installed:
            title.setRight(title.right() - 20)
            check = icon_pixmap("check", 16, palette.accent, ratio)
            sign = QRect(line.right() - 16, line.top() + 1, 16, 16)
            painter.drawPixmap(place(sign).topLeft(), check)
        dim = level is Level.NO
        draw_line(
            painter, place(title), variant.title, palette.secondary if dim else palette.text,
            pixels=13, bold=True,
        )  # fmt: skip
        line.translate(0, 20)
        if variant.recommended:
            word = "Recommended"
            draw_line(painter, place(line), word, palette.accent)
            line.setLeft(line.left() + text_width(word) + 8)
        draw_line(painter, place(line), summary_line(variant), palette.secondary)
        painter.restore()


class VariantList(QListView):
    """The rows; the arrow keys and a click choose."""

    def __init__(self) -> None:
        super().__init__()
        self.variants = VariantModel(self)
        self.setModel(self.variants)
        self.setItemDelegate(VariantDelegate(self))
        self.setAccessibleName("Variants")
        self.setUniformItemSizes(True)
        lay_as_cards(self)

    def chosen(self) -> Variant | None:
        variant = self.currentIndex().data(Qt.ItemDataRole.UserRole)
        return variant if isinstance(variant, Variant) else None


class VariantFacts(QScrollArea):
    """The verdict with its reasons, what a person wants to know, and the technical facts."""

    def __init__(self) -> None:
        super().__init__()
        self._variant: Variant | None = None
        self._fits = ""
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Facts of the variant")
        self.text = facts_label()
        self.technical = TechnicalDetails()
        self.technical.hide()
        inner = QWidget()
        inner.setObjectName("scrolled")
        column = QVBoxLayout(inner)
        column.setContentsMargins(14, 6, 12, 6)
        column.addWidget(self.text)
        column.addWidget(self.technical)
        column.addStretch(1)
        self.setWidget(inner)

    def set_variant(self, variant: Variant | None, fits: str = "") -> None:
        """Show a variant, or nothing.

        Args:
            fits: which of the installed models it is for, where that makes sense.
        """
        self._variant, self._fits = variant, fits
        text = ""
        if variant is not None:
            rows = describe.variant_rows(variant)
            facts = facts_html([*rows[:2], ("Fits", fits), *rows[2:]] if fits else rows)
            # Qt leaves no room between a paragraph and a table.
            text = f"{verdict_html(variant, current_palette())}<p style='font-size:3px'></p>{facts}"
        self.text.setText(text)
        technical = describe.variant_technical_rows(variant) if variant is not None else []
        self.technical.show_facts(technical)
        self.technical.setVisible(bool(technical))
        self.verticalScrollBar().setValue(0)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._variant is not None:
            self.set_variant(self._variant, self._fits)


def verdict_html(variant: Variant, palette: Palette) -> str:
    """The verdict with its reasons, as rich text.  What came from the Hub is escaped."""
    level = variant.verdict.level
    colour = getattr(palette, LEVEL_MARKS[level][1])
    parts = [
        f'<p style="margin-bottom:4px"><span style="color:{colour}; font-weight:600">'
        f"{escape(words.LEVELS[level])}</span></p>"
    ]
    parts += [
        f'<p style="margin-top:0; margin-bottom:8px">{escape(reason)}</p>'
        for reason in variant.verdict.reasons
    ]
    return "".join(parts)
