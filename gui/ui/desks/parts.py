"""What every desk of the window works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMainWindow, QWidget

from gui.state.studio import Studio
from gui.ui.canvas.canvas import Canvas
from gui.ui.menus import Actions
from gui.ui.models.panel import ModelsPanel
from gui.ui.pictures.filmstrip import Filmstrip
from gui.ui.prompt.panel import PromptPanel


@dataclass(frozen=True, slots=True)
class Parts:
    """The main window's parts, and the studio behind them.

    What goes wrong is told by `studio.error_raised`, a remark by `studio.notice`; a short word of
    what was done by `canvas.say_briefly`.
    """

    studio: Studio
    window: QWidget
    """What sheets and menus lie over."""
    main_window: QMainWindow
    actions: Actions
    models: ModelsPanel
    prompt: PromptPanel
    canvas: Canvas
    filmstrip: Filmstrip


def connect_commands(*pairs: tuple[QAction, Callable[[], object]]) -> None:
    """Have each command do its deed when it is given."""
    for action, deed in pairs:
        action.triggered.connect(lambda _checked=False, deed=deed: deed())
