"""Words of the macOS application menu that Qt still gets wrong."""

from __future__ import annotations

from PySide6.QtCore import QTranslator


class MenuTexts(QTranslator):
    """Qt calls the settings “Preferences…”; macOS has called them Settings since version 13."""

    def translate(
        self, context: str, source: str, disambiguation: str | None = None, n: int = -1
    ) -> str:
        if context == "MAC_APPLICATION_MENU" and source == "Preferences…":
            return "Settings…"
        return ""

    def isEmpty(self) -> bool:
        return False
