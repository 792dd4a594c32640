"""A person's hands in the gallery, and the pictures in it."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from gui.ui.pictures.grid import PictureGrid

TODAY = datetime.now().replace(hour=12, minute=0, second=0, microsecond=0)
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
PROMPTS = ("a lighthouse in fog", "a red fox", "fog over a fox", "apples")
COLOURS = ("#c03020", "#20a040", "#3040c0", "#c0a020", "#208090", "#802080", "#606060")


def write(folder: Path, number: int, days_ago: int, **parameters: object) -> Path:
    """A picture as the web UI leaves it, of so many days ago; picture 0 is the newest of a day."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"Steps": 20 + number, "Sampler": "Euler a", "CFG scale": 7, "Seed": 100 + number,
              "Size": "96x64", "Model": "dream", **parameters}  # fmt: skip
    prompt = values.pop("prompt", PROMPTS[number % len(PROMPTS)])
    info = PngInfo()
    info.add_text("parameters", f"{prompt}\n" + ", ".join(f"{k}: {v}" for k, v in values.items()))
    file = folder / f"{number:03}.png"
    Image.new("RGB", (96, 64), COLOURS[number % len(COLOURS)]).save(file, pnginfo=info)
    when = (TODAY - timedelta(days=days_ago, minutes=number)).timestamp()
    os.utime(file, (when, when))
    return file


def name(picture) -> str:
    return Path(picture.path).stem


def chosen(gallery) -> str:
    held = (gallery.grid.pictures.held(number) for number in gallery.chosen_ids())
    return " ".join(name(picture)[-1] for picture in held)


def click(grid: PictureGrid, row: int, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    at = grid.rect_on_screen(row).center()
    QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifiers, at)


def press(grid: PictureGrid, key: Qt.Key, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(grid, key, modifiers)


def drag_mouse(grid: PictureGrid, start: QPoint, end: QPoint, *, release: bool = True) -> None:
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mousePress(grid.viewport(), left, none, start)
    middle = QPoint((start.x() + end.x()) // 2, (start.y() + end.y()) // 2)
    for at in (middle, end):
        globally = QPointF(grid.viewport().mapToGlobal(at))
        event = QMouseEvent(QMouseEvent.Type.MouseMove, QPointF(at), globally, left, left, none)
        QApplication.sendEvent(grid.viewport(), event)
    if release:
        QTest.mouseRelease(grid.viewport(), left, none, end)
