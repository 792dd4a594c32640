"""Where each picture of the gallery is: days one below the other, each a heading and a grid.

Numbers alone, so that a hundred thousand pictures cost no more than their days.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from PySide6.QtCore import QPoint, QRect

MARGIN = 18
GAP = 10
HEADING = 40
FOOT = 14
"""Free space below a day."""


@dataclass(frozen=True)
class DaySection:
    """A day's pictures; pixels from the top of all."""

    day: date
    first: int
    count: int
    top: int
    """Of its heading."""
    lines: int


class GridLayout:
    """The places of all pictures.

    Args:
        days: each day with the row it begins at, in order.
        total: the number of pictures.
        width: of the view, in pixels.
        side: wanted side of a picture; the real one fills the width with whole columns.
    """

    def __init__(self, days: Sequence[tuple[date, int]], total: int, width: int, side: int) -> None:
        room = max(1, width - 2 * MARGIN)
        self.columns = max(1, round((room + GAP) / (side + GAP)))
        self.cell = max(16, (room - (self.columns - 1) * GAP) // self.columns)
        self.left = MARGIN
        self.width = width
        self.total = total
        self.sections: list[DaySection] = []
        pitch = self.cell + GAP
        top = 0
        for number, (day, first) in enumerate(days):
            end = days[number + 1][1] if number + 1 < len(days) else total
            lines = -(-(end - first) // self.columns)
            self.sections.append(DaySection(day, first, end - first, top, lines))
            top += HEADING + lines * pitch - GAP + FOOT
        self.height = top + MARGIN if self.sections else 0
        self._firsts = [section.first for section in self.sections]
        self._tops = [section.top for section in self.sections]

    def rect_of(self, row: int) -> QRect:
        """Where a picture is."""
        section = self._section_of(row)
        line, column = divmod(row - section.first, self.columns)
        pitch = self.cell + GAP
        return QRect(
            self.left + column * pitch,
            section.top + HEADING + line * pitch,
            self.cell,
            self.cell,
        )

    def row_at(self, at: QPoint) -> int:
        """The picture at a point; -1 between pictures."""
        rows = self.rows_in(QRect(at, at))
        return rows[0] if rows else -1

    def rows_in(self, rect: QRect) -> list[int]:
        """The pictures that a rectangle touches."""
        pitch = self.cell + GAP
        first = max(0, -(-(rect.left() - self.left - self.cell + 1) // pitch))
        last = min(self.columns - 1, (rect.right() - self.left) // pitch)
        if last < first or rect.right() < self.left:
            return []
        rows: list[int] = []
        for section in self.sections_between(rect.top(), rect.bottom()):
            top = section.top + HEADING
            start = max(0, -(-(rect.top() - top - self.cell + 1) // pitch))
            end = min(section.lines - 1, (rect.bottom() - top) // pitch)
            for line in range(start, end + 1):
                begin = line * self.columns
                rows += [
                    section.first + begin + column
                    for column in range(first, last + 1)
                    if begin + column < section.count
                ]
        return rows

    def sections_between(self, top: int, bottom: int) -> Iterator[DaySection]:
        """The days that a stretch of height touches."""
        number = max(0, bisect_right(self._tops, top) - 1)
        while number < len(self.sections) and self.sections[number].top <= bottom:
            yield self.sections[number]
            number += 1

    def beside(self, row: int, step: int) -> int:
        """The picture one line up (-1) or down (1), in the same column where there is one."""
        number = bisect_right(self._firsts, row) - 1
        section = self.sections[number]
        line, column = divmod(row - section.first, self.columns)
        if 0 <= line + step < section.lines:
            wanted = section.first + (line + step) * self.columns + column
            return min(wanted, section.first + section.count - 1)
        if not 0 <= number + step < len(self.sections):
            return row
        other = self.sections[number + step]
        begin = 0 if step > 0 else (other.lines - 1) * self.columns
        return other.first + min(begin + column, other.count - 1)

    def _section_of(self, row: int) -> DaySection:
        return self.sections[bisect_right(self._firsts, row) - 1]
