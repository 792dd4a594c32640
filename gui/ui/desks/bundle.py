"""One calm line where the app runs from a place in which it cannot stay."""

from __future__ import annotations

from PySide6.QtCore import QObject

from gui.state.bundle import PlaceKind
from gui.ui.desks.parts import Parts

SENTENCES = {
    PlaceKind.IMAGE: "Sfumato runs from its disk image. Move it to Applications to keep it.",
    PlaceKind.TRANSLOCATED: "macOS runs Sfumato from a passing place until it is moved to "
    "Applications.",
}


class BundleDesk(QObject):
    """Ties the bundle, the banner and the window's end together."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._bundle = parts.studio.bundle
        self._studio = parts.studio
        self._banner = parts.canvas.banner
        self._bundle.misplaced.connect(self._on_misplaced)
        self._bundle.moved.connect(parts.main_window.close)

    def _on_misplaced(self, kind: PlaceKind) -> None:
        self._banner.show_offer(SENTENCES[kind], "Move to Applications", self._move)

    def _move(self) -> None:
        self._studio.notice.emit("Sfumato is being copied, and opens again from Applications.")
        self._bundle.move()
