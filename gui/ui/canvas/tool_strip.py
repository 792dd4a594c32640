"""The tool strip beside the picture, the bar with the tool's options, and which tool is in hand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from gui.ui.canvas.option_widgets import RoomyOptions
from gui.ui.canvas.tools import BAR_WIDTH, TOOLS, Tool
from gui.ui.widgets.controls import label
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtGui import QAction

    from gui.ui.canvas.picture_view import PictureView

_ORDER = [key for key, _text, _letter in TOOLS]
SPACE = 10
REASON_WIDTH = 360
"""Device-independent pixels that a reason takes at least, where it is that long."""
NO_PICTURE = "There is no picture yet; make one, or drop one here."


def _place(tool: Tool) -> int:
    """Among the buttons."""
    return _ORDER.index(tool.key) if tool.key in _ORDER else len(_ORDER)


class _ToolButton(QToolButton):
    """Leaves the arrow keys to the strip."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            event.ignore()
        else:
            super().keyPressEvent(event)


class ToolStrip(QFrame):
    """A button for each tool, one below the other; one of them is down."""

    chosen = Signal(object)
    """The `Tool` that the person wants."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("toolStrip")
        self.setAccessibleName("Tools")
        self.buttons: dict[Tool, QToolButton] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(4, 4, 4, 4)
        self._column.setSpacing(3)

    def add(self, tool: Tool) -> None:
        button = _ToolButton()
        button.setIcon(icon(tool.symbol, tone="secondary", on_tone="accent"))
        button.setIconSize(QSize(20, 20))
        button.setCheckable(True)
        button.setProperty("tool", True)
        button.setAccessibleName(tool.name)
        button.setToolTip(tool.name)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.clicked.connect(lambda *_: self.chosen.emit(tool))
        self.buttons = dict(
            sorted([*self.buttons.items(), (tool, button)], key=lambda item: _place(item[0]))
        )
        row = list(self.buttons).index(tool)
        self._column.insertWidget(row, button)
        for before, after in pairwise(self.buttons.values()):
            self.setTabOrder(before, after)

    def add_below(self, widget: QWidget) -> None:
        """Something that is no tool, below them."""
        self._column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)

    def name_key(self, tool: Tool, key: str) -> None:
        """The tip tells the key as well."""
        self.buttons[tool].setToolTip(f"{tool.name} ({key})" if key else tool.name)

    def show_state(self, in_hand: Tool, reasons: Mapping[Tool, str]) -> None:
        for tool, button in self.buttons.items():
            button.setChecked(tool is in_hand)
            button.setVisible(tool.present)
            button.setAccessibleDescription(reasons[tool])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from button to button, as along a row of radio buttons."""
        step = (event.key() == Qt.Key.Key_Down) - (event.key() == Qt.Key.Key_Up)
        buttons = [button for button in self.buttons.values() if not button.isHidden()]
        at = next((k for k, button in enumerate(buttons) if button.hasFocus()), None)
        if step and at is not None:
            buttons[(at + step) % len(buttons)].setFocus(Qt.FocusReason.TabFocusReason)
        else:
            super().keyPressEvent(event)


class OptionsBar(QFrame):
    """Above the picture: what is set of the tool in hand, or why it cannot be used."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("toolOptions")
        self.reason = label("", "secondary", wrap=True)
        self.reason.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(10, 5, 10, 5)
        self._column.addWidget(self.reason)
        self._shown: QWidget | None = None
        self._room = BAR_WIDTH
        self.setMaximumWidth(BAR_WIDTH)
        self.hide()

    @property
    def shown(self) -> QWidget | None:
        """The options on show."""
        return self._shown

    def set_room(self, width: int) -> None:
        """So wide it can be at most."""
        margins = self._column.contentsMargins()
        self._room = min(width, BAR_WIDTH) - margins.left() - margins.right()
        self._fit()

    def _fit(self) -> None:
        if isinstance(self._shown, RoomyOptions):
            self._shown.fit(self._room)

    def show_tool(self, tool: Tool, reason: str) -> None:
        wanted = None if reason else tool.options
        if wanted is not self._shown:
            if self._shown is not None:
                self._shown.hide()
            if wanted is not None:
                if self._column.indexOf(wanted) < 0:
                    self._column.addWidget(wanted)
                wanted.show()
            self._shown = wanted
            self._fit()
        self.setAccessibleName(f"{tool.name} options")
        self.reason.setText(reason)
        # one line where there is room: a wrapped text alone would ask for a narrow column
        needed = self.reason.fontMetrics().horizontalAdvance(reason) + 4
        self.reason.setMinimumWidth(min(needed, REASON_WIDTH))
        self.reason.setVisible(bool(reason))
        self.setVisible(bool(reason) or wanted is not None)


class CanvasTools(QObject):
    """The tools there are, and the one in hand.

    Args:
        view: shows the picture that they work on.
    """

    changed = Signal(Tool)
    """This tool is in hand now."""

    def __init__(self, view: PictureView) -> None:
        super().__init__(view)
        self._view = view
        self._has_picture = False
        self._shown = True
        self._actions: Mapping[str, QAction] = {}
        self.strip = ToolStrip()
        self.side = QWidget()
        """The strip with room before it, where lines begin."""
        beside = QHBoxLayout(self.side)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(0)
        beside.addSpacing(SPACE)
        beside.addWidget(self.strip, 0, Qt.AlignmentFlag.AlignVCenter)
        self.bar = OptionsBar()
        self.strip.chosen.connect(self.take)
        self.look = Tool("look", "Look", "tool-look")
        self.in_hand: Tool = self.look
        self.tools: dict[str, Tool] = {}
        self.add(self.look)

    def add(self, tool: Tool) -> None:
        """Give a tool its button, below those that are there."""
        self.tools[tool.key] = tool
        tool.setParent(self)
        if tool.options is not None:
            tool.options.setParent(self.bar)  # goes with the window, shown or not
            tool.options.hide()
        self.strip.add(tool)
        tool.changed.connect(self._on_changed)
        self._tie(tool)
        self._on_changed()

    def offer(self, actions: Mapping[str, QAction]) -> None:
        """Tie the menu's entries, by the tools' keys, to them."""
        self._actions = actions
        for key, action in actions.items():
            action.triggered.connect(lambda *_, key=key: self.take_by_key(key))
        for tool in self.tools.values():
            self._tie(tool)
        self._on_changed()

    def _tie(self, tool: Tool) -> None:
        action = self._actions.get(tool.key)
        if action is not None:
            keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            self.strip.name_key(tool, keys)

    def take_by_key(self, key: str) -> None:
        if key in self.tools:
            self.take(self.tools[key])
            self._view.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def take(self, tool: Tool) -> None:
        """Take a tool in hand."""
        if not tool.present:
            return
        if tool is not self.in_hand:
            self._view.set_tool(None)
            self.in_hand.lay_down()
            self.in_hand = tool
            tool.take()
            self._view.set_tool(tool)
            self.changed.emit(tool)
        self._on_changed()

    def set_place(self, *, shown: bool, has_picture: bool) -> None:
        """Whether strip and bar are to be seen, and whether there is a picture to work on."""
        self._shown, self._has_picture = shown, has_picture
        self._on_changed()

    def reason(self, tool: Tool) -> str:
        """Why a tool cannot be used now; empty: it can."""
        if tool.works_on_picture and not self._has_picture:
            return NO_PICTURE
        return tool.reason

    def _on_changed(self) -> None:
        if not self.in_hand.present:
            self.take(self.look)
            return
        present = [tool for tool in self.tools.values() if tool.present]
        reasons = {tool: self.reason(tool) for tool in self.tools.values()}
        self.strip.show_state(self.in_hand, reasons)
        self.side.setVisible(self._shown and len(present) > 1)
        self.bar.show_tool(self.in_hand, reasons[self.in_hand])
        if not self._shown:
            self.bar.hide()
        self._view.surface.show_cursor()
        for key, action in self._actions.items():
            tool = self.tools.get(key)
            there = tool is not None and tool.present
            action.setVisible(there)
            action.setEnabled(there and self._shown)
            action.setChecked(tool is self.in_hand)
