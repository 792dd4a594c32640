"""Widgets in rows, like words in a paragraph."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize
from PySide6.QtWidgets import QApplication, QLayout, QLayoutItem


class FlowLayout(QLayout):
    """Lays widgets out in rows, like words in a paragraph.

    Args:
        spacing: between widgets and between rows.
        centred: rows stand in the middle; else where reading begins.
    """

    def __init__(self, spacing: int = 8, *, centred: bool = True) -> None:
        super().__init__()
        self._centred = centred
        self._items: list[QLayoutItem] = []
        self.setSpacing(spacing)
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)
        self.invalidate()

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override]
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override]
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        rows = self._rows(width)
        heights = [max(i.sizeHint().height() for i in row) for row in rows]
        return sum(heights) + self.spacing() * max(0, len(rows) - 1)

    def sizeHint(self) -> QSize:
        width = sum(i.sizeHint().width() + self.spacing() for i in self._items if not i.isEmpty())
        return QSize(width, self.heightForWidth(max(1, width)))

    def minimumSize(self) -> QSize:
        return QSize(min((i.minimumSize().width() for i in self._items), default=0), 0)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        y = rect.y()
        for row in self._rows(rect.width()):
            sizes = [item.sizeHint() for item in row]
            widths = [min(size.width(), rect.width()) for size in sizes]
            free = rect.width() - sum(widths) - self.spacing() * (len(row) - 1)
            x = rect.x() + (max(0, free // 2) if self._centred else 0)
            if not self._centred and QApplication.isRightToLeft():
                x += max(0, free)
            for item, size, width in zip(row, sizes, widths, strict=True):
                item.setGeometry(QRect(x, y, width, size.height()))
                x += width + self.spacing()
            y += max(size.height() for size in sizes) + self.spacing()

    def _rows(self, width: int) -> list[list[QLayoutItem]]:
        rows: list[list[QLayoutItem]] = []
        used = 0
        for item in self._items:
            if item.isEmpty():
                continue  # hidden
            needed = item.sizeHint().width()
            if rows and used + self.spacing() + needed <= width:
                rows[-1].append(item)
                used += self.spacing() + needed
            else:
                rows.append([item])
                used = needed
        return rows
