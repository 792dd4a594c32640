"""The window's own dialogs: settings, about, keyboard shortcuts; and the window as such."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMenu, QWidget

from gui.ui.desks.parts import Parts, connect_commands
from gui.ui.widgets.appearance import Appearance


class WindowDesk(QObject):
    """Shows dialogs, each made when it is first wanted; light or dark; full screen; closing.

    Args:
        appearance: light and dark.
    """

    def __init__(self, parts: Parts, appearance: Appearance) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._appearance = appearance
        self.dialogs: dict[str, QWidget] = {}
        """Those that have been shown, by name."""
        parts.studio.settings.changed.connect(self._on_setting)
        self._fill_dock_menu()
        a, window = parts.actions, parts.main_window
        connect_commands(
            (a.settings, self.show_settings),
            (a.shortcuts, self.show_shortcuts),
            (a.about, self.show_about),
            (a.full_screen, self.toggle_full_screen),
            (a.minimise, window.showMinimized),
            (a.close, window.close),
            (a.quit, window.close),
        )

    def _fill_dock_menu(self) -> None:
        """Of the app's icon in the Dock; Qt has it on a Mac alone."""
        if not hasattr(QMenu, "setAsDockMenu"):
            return
        a = self._parts.actions
        self._dock_menu = QMenu(self._parts.window)
        self._dock_menu.addActions([a.generate, a.stop, a.pause_queue, a.gallery])
        self._dock_menu.setAsDockMenu()  # type: ignore[attr-defined]

    def show_settings(self) -> None:
        from gui.ui.settings.dialog import SettingsDialog

        studio = self._parts.studio
        self._show(
            "settings",
            lambda: SettingsDialog(
                studio.settings,
                self._parts.window,
                studio.hub.account,
                studio.caches,
                studio.bundle,
                studio.service,
            ),
        )

    def show_about(self) -> None:
        from gui.ui.about import AboutDialog

        self._show("about", lambda: AboutDialog(self._parts.window))

    def show_shortcuts(self) -> None:
        from gui.ui.about import ShortcutsDialog

        actions = self._parts.actions.everything()
        self._show("shortcuts", lambda: ShortcutsDialog(actions, self._parts.window))

    def toggle_full_screen(self) -> None:
        window = self._parts.main_window
        window.setWindowState(window.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _show(self, name: str, make: Callable[[], QWidget]) -> None:
        if name not in self.dialogs:
            self.dialogs[name] = make()
        self.dialogs[name].show()
        self.dialogs[name].raise_()

    def _on_setting(self, key: str) -> None:
        if key == "window/appearance":
            self._appearance.set_choice(self._parts.studio.settings.appearance)
