"""The menu bar: every command, its shortcut and its place, as Mac users expect them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

from gui.state.desktop import REVEAL_LABEL
from gui.ui.widgets.icons import icon

if TYPE_CHECKING:
    from gui.ui.workspace import Workspace

Key = QKeySequence.StandardKey
Role = QAction.MenuRole


class Actions:
    """The commands of the main window, by name.  Ctrl is ⌘ on macOS."""

    def __init__(self, window: Workspace) -> None:
        self._window = window
        self.menus: list[QMenu] = []
        w = window
        self.add_model = self._make(
            "Add Model Folder…", w.choose_model_folder, Key.Open, "folder-plus"
        )
        self.convert = self._make("Convert a Model…", w.show_convert, "Ctrl+Shift+O")
        self.save_as = self._make("Save Picture As…", w.save_picture_as, "Ctrl+S", "save")
        self.reveal = self._make(REVEAL_LABEL, w.reveal_picture, "Ctrl+Shift+R", "reveal")
        self.trash = self._make("Move to Trash", w.trash_pictures, "Ctrl+Backspace", "trash")
        self.close = self._make("Close Window", w.main_window.close, "Ctrl+W")
        self.quit = self._make("Quit Sfumato", w.main_window.close, Key.Quit, role=Role.QuitRole)
        self.copy_picture = self._make("Copy Picture", w.copy_picture, "Ctrl+Shift+C", "copy")
        self.settings = self._make(
            "Settings…", w.show_settings, "Ctrl+,", role=Role.PreferencesRole
        )
        self.generate = self._make("Generate", w.generate, "Ctrl+Return", "sparkle")
        self.stop = self._make("Stop", w.studio.stop, "Ctrl+.", "stop")
        self.clear_queue = self._make("Clear Waiting Pictures", w.studio.clear_waiting)
        self.new_seed = self._make("New Random Seed", w.prompt_panel.seed.roll, "Ctrl+R", "dice")
        self.use_settings = self._make(
            "Use These Settings", w.use_settings, "Ctrl+U", "settings-use"
        )
        self.use_as_start = self._make(
            "Use as Starting Picture", w.use_as_start, "Ctrl+Shift+U", "image-add"
        )
        self.focus_prompt = self._make("Edit Prompt", w.prompt_panel.focus_prompt, "Ctrl+L")
        self.models = self._toggle("Models", "Ctrl+Alt+1", "sidebar-left")
        desk = w.hub_desk
        self.installed = self._make("Installed Models", desk.show_installed, "Ctrl+Shift+1")
        self.hub = self._make("Find Models on the Hub", desk.show_hub, "Ctrl+Shift+2", "search")
        # The first is what people try; the second goes with that of the installed models.
        self.hub.setShortcuts([QKeySequence(Key.Find), QKeySequence("Ctrl+Shift+2")])
        self.options = self._toggle("Prompt and Options", "Ctrl+Alt+2", "sidebar-right")
        self.filmstrip = self._toggle("Filmstrip", "Ctrl+Alt+3", "")
        self.details = self._toggle("Model Details", "Ctrl+I", "info", checked=False)
        self.fit = self._toggle("Zoom to Fit", "Ctrl+0", "fit")
        self.true_size = self._toggle("Actual Size", "Ctrl+1", "actual-size", checked=False)
        self.full_screen = self._make("Enter Full Screen", w.toggle_full_screen, Key.FullScreen)
        self.minimise = self._make("Minimize", w.main_window.showMinimized, "Ctrl+M")
        self.shortcuts = self._make("Keyboard Shortcuts", w.show_shortcuts, "Ctrl+/", "help")
        self.about = self._make("About Sfumato", w.show_about, role=Role.AboutRole)

    def _make(
        self,
        text: str,
        slot: Callable[[], object],
        key: str | Key | None = None,
        symbol: str = "",
        role: Role = Role.NoRole,
    ) -> QAction:
        action = QAction(text, self._window)
        action.triggered.connect(lambda *_: slot())
        action.setMenuRole(role)
        if key is not None:
            action.setShortcut(QKeySequence(key))
        if symbol:
            action.setIcon(icon(symbol))
            action.setIconVisibleInMenu(False)
        return action

    def _toggle(self, text: str, key: str, symbol: str, *, checked: bool = True) -> QAction:
        action = self._make(text, lambda: None, key, symbol)
        action.setCheckable(True)
        action.setChecked(checked)
        if symbol:
            action.setIcon(icon(symbol, tone="secondary", on_tone="accent"))
        return action

    def of_picture(self) -> list[QAction]:
        """Commands that need a finished picture."""
        return [
            self.save_as,
            self.copy_picture,
            self.reveal,
            self.use_settings,
            self.use_as_start,
            self.trash,
        ]

    def everything(self) -> list[QAction]:
        return [value for value in vars(self).values() if isinstance(value, QAction)]

    def fill_menu_bar(self, bar: QMenuBar) -> None:
        names = ("&File", "&Edit", "&View", "&Generate", "&Window", "&Help")
        self.menus = [bar.addMenu(name) for name in names]
        file, edit, view, generate, window, help_ = self.menus
        _fill(file, self.add_model, self.convert, None, self.save_as, self.reveal, None, self.trash)
        _fill(file, None, self.close, self.quit)
        for text, key, method in (
            ("Undo", Key.Undo, "undo"),
            ("Redo", Key.Redo, "redo"),
            (None, None, None),
            ("Cut", Key.Cut, "cut"),
            ("Copy", Key.Copy, "copy"),
            ("Paste", Key.Paste, "paste"),
            ("Select All", Key.SelectAll, "selectAll"),
        ):
            if text is None or key is None or method is None:
                edit.addSeparator()
                continue
            edit.addAction(
                self._make(text, lambda name=method: self._window.edit_command(name), key)
            )
        _fill(edit, None, self.copy_picture, None, self.settings)
        _fill(view, self.installed, self.hub, None)
        _fill(view, self.models, self.options, self.filmstrip, self.details, None)
        _fill(view, self.fit, self.true_size, None, self.full_screen)
        _fill(generate, self.generate, self.stop, self.clear_queue, None, self.focus_prompt)
        _fill(generate, self.new_seed, None, self.use_settings, self.use_as_start)
        _fill(window, self.minimise)
        _fill(help_, self.shortcuts, self.about)


def _fill(menu: QMenu, *actions: QAction | None) -> None:
    for action in actions:
        if action is None:
            menu.addSeparator()
        else:
            menu.addAction(action)
