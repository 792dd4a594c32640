"""Cards read from right to left where the language does."""

from __future__ import annotations

from collections import Counter

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage

from tests.support.hub_window import open_sheet

RTL = Qt.LayoutDirection.RightToLeft


def ink(image: QImage, rect: QRect) -> list[int]:
    """How many pixels of each fourth of a card, from left to right, are not its ground."""
    ratio = image.devicePixelRatio()
    part = image.copy(
        round(rect.x() * ratio), round(rect.y() * ratio),
        round(rect.width() * ratio), round(rect.height() * ratio),
    )  # fmt: skip
    columns = [[part.pixel(x, y) for y in range(part.height())] for x in range(part.width())]
    [(ground, _)] = Counter(pixel for column in columns for pixel in column).most_common(1)
    edge = part.width() // 8  # the margins and round corners of a chosen card are no ink
    count = [0, 0, 0, 0]
    for x, column in enumerate(columns[edge // 2 : -(edge // 2)]):
        middle = column[len(column) // 5 : -(len(column) // 5)]
        count[4 * x // (part.width() - edge + 1)] += sum(pixel != ground for pixel in middle)
    return count


def of_row(view, row: int) -> list[int]:
    image = view.viewport().grab().toImage()
    return ink(image, view.visualRect(view.model().index(row, 0)))


def both_ways(view, row: int) -> tuple[list[int], list[int]]:
    plain = of_row(view, row)
    view.setLayoutDirection(RTL)
    return plain, of_row(view, row)


def test_result_cards_are_mirrored(panel, hub, qtbot):
    plain, mirrored = both_ways(panel.list, 1)
    assert plain[0] == max(plain), "the picture is where reading begins"
    assert mirrored[3] == max(mirrored)


def test_installed_cards_are_mirrored(workspace):
    plain, mirrored = both_ways(workspace.models_panel.list, 0)
    assert plain[0] == max(plain) and mirrored[3] == max(mirrored)


def test_variants_are_mirrored(workspace, panel, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    plain, mirrored = both_ways(sheet.variants, 2)
    assert plain[0] > plain[3] and mirrored[3] > mirrored[0]


@pytest.mark.parametrize("direction", list(Qt.LayoutDirection)[:2])
def test_the_shapes_in_the_places_of_cards_too(workspace, hub, direction):
    hub.silent.add("search")
    found = workspace.models_panel.show_hub()
    found.skeleton.setLayoutDirection(direction)
    count = ink(found.skeleton.grab().toImage(), QRect(0, 0, found.skeleton.width(), 70))
    assert (count[0] > count[3]) == (direction is Qt.LayoutDirection.LeftToRight)
