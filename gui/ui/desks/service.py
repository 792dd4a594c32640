"""What other programs do here, seen in the window."""

from __future__ import annotations

from PySide6.QtCore import QObject

from gui import words
from gui.state.service import ServiceState
from gui.ui.desks.parts import Parts
from gui.ui.tool_bar import WindowToolBar


class ServiceDesk(QObject):
    """Says in the tool bar that other programs may ask, and how many wait."""

    def __init__(self, parts: Parts, bar: WindowToolBar) -> None:
        super().__init__(parts.window)
        self._bar = bar
        service = parts.studio.service
        service.changed.connect(self._show)
        self._show(service.state)

    def _show(self, state: ServiceState) -> None:
        if not state.on:
            self._bar.show_service("", "")
        elif state.problem:
            self._bar.show_service("Other programs: not heard", state.problem)
        elif state.waiting:
            said = f"Other programs: {words.plural(state.waiting, 'request')}"
            self._bar.show_service(said, f"Asked for at {state.url}")
        else:
            self._bar.show_service("Other programs may ask", f"At {state.url}" if state.url else "")
