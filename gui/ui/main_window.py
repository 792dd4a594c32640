"""The main window: shown at once as an empty house, furnished right after its first paint.

Making every control takes longer than showing a window.  So the window first paints its columns in
their final places and colours, with nothing but this module loaded, and `furnish` then puts the
workspace in: what a person sees is a window that is there at once and complete a blink later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QMainWindow

from gui.ui.widgets.measures import FIRST_SIZE, HEAD_HEIGHT, LEFT_WIDTH, MINIMUM, RIGHT_WIDTH
from gui.ui.widgets.palette import DARK, LIGHT, Palette

if TYPE_CHECKING:
    from PySide6.QtGui import QCloseEvent, QPaintEvent

    from gui.state.settings import Settings
    from gui.state.studio import Studio
    from gui.ui.widgets.appearance import Appearance
    from gui.ui.workspace import Workspace


class MainWindow(QMainWindow):
    """The window a person works in.

    Args:
        settings: where its last place on the screen is kept.
    """

    first_painted = Signal()
    """Once, when the window was on the screen for the first time."""
    furnished = Signal()
    """Once, when every control is in its place."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.workspace: Workspace | None = None
        self.settings = settings
        self._painted = False
        self._closed = False
        self._early: list[str] = []
        self.setWindowTitle("Sfumato")
        self.setMinimumSize(*MINIMUM)
        self.setUnifiedTitleAndToolBarOnMac(True)
        self.resize(*FIRST_SIZE)
        geometry = settings.layout("geometry")
        if geometry is not None:
            self.restoreGeometry(geometry)

    def furnish(self, studio: Studio, appearance: Appearance) -> Workspace:
        """Put the workspace in; files that were handed over before are opened now."""
        from gui.ui.workspace import Workspace

        workspace = Workspace(self, studio, appearance)
        self._move_in(workspace)
        return workspace

    def furnish_in_parts(self, studio: Studio, appearance: Appearance) -> None:
        """As `furnish`, a part at a time between which the window reacts; `furnished` follows."""
        from gui.ui.workspace import Workspace

        workspace = Workspace(self, studio, appearance, at_once=False)

        def go_on() -> None:
            if self._closed:
                return
            if workspace.build_next():
                QTimer.singleShot(0, go_on)
            else:
                self._move_in(workspace)

        go_on()

    def _move_in(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.setCentralWidget(workspace)
        workspace.take_focus()
        for path in self._early:
            workspace.open_path(path)
        self._early.clear()
        self.furnished.emit()

    def open_path(self, path: str) -> None:
        """A file, a folder or an address handed over by Finder; one that comes early waits."""
        if self.workspace is None:
            self._early.append(path)
        else:
            self.workspace.open_path(path)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._closed = True
        self.settings.save_layout("geometry", self.saveGeometry())
        if self.workspace is not None:
            self.workspace.close_down()
        super().closeEvent(event)
        QApplication.quit()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.workspace is None:
            self._paint_empty_house()
        else:
            super().paintEvent(event)
        if not self._painted:
            self._painted = True
            self.first_painted.emit()

    def _paint_empty_house(self) -> None:
        palette = self._palette()
        width, height = self.width(), self.height()
        middle = width - LEFT_WIDTH - RIGHT_WIDTH
        painter = QPainter(self)
        for colour, x, y, wide, high in (
            (palette.panel, 0, 0, width, height),
            (palette.canvas, LEFT_WIDTH, HEAD_HEIGHT, middle, height),
            (palette.border, 0, HEAD_HEIGHT - 1, width, 1),
            (palette.border, LEFT_WIDTH, HEAD_HEIGHT, 1, height),
            (palette.border, width - RIGHT_WIDTH - 1, HEAD_HEIGHT, 1, height),
        ):
            # With a brush or a pen PySide would first build its whole namespace Qt: 12 ms, an
            # eighth of what a bare window takes to be there.
            dot = QPixmap(1, 1)
            dot.fill(QColor(colour))
            painter.drawPixmap(x, y, wide, high, dot)

    def _palette(self) -> Palette:
        choice = self.settings.appearance
        if choice == "system":
            dark = self.palette().window().color().lightness() < 128
        else:
            dark = choice == "dark"
        return DARK if dark else LIGHT
