"""The menu bar: every command, its shortcut and its place, as Mac users expect them.

Only what a command is called lives here; what it does is connected by the workspace.
"""

from __future__ import annotations

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from gui import words
from gui.state.desktop import REVEAL_LABEL
from gui.ui.canvas.tools import TOOLS
from gui.ui.widgets.icons import icon

Key = QKeySequence.StandardKey
Role = QAction.MenuRole

EDITING = (
    ("Cut", Key.Cut, "cut"),
    ("Copy", Key.Copy, "copy"),
    ("Paste", Key.Paste, "paste"),
    ("Select All", Key.SelectAll, "selectAll"),
)
"""Text, key and the method of a text field."""


class Actions:
    """The commands of the main window, by name.  Ctrl is ⌘ on macOS.

    Args:
        parent: the widget within which the shortcuts work.
    """

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent
        self.menus: list[QMenu] = []
        make, toggle = self._make, self._toggle
        self.add_model = make("Add Model Folder…", Key.Open, "folder-plus")
        self.convert = make("Convert a Model…", "Ctrl+Shift+O")
        self.measure = make("Measure This Model…")
        self.import_settings = make("Import Settings…", "Ctrl+Shift+I")
        self.save_as = make("Save Picture As…", "Ctrl+S", "save")
        self.export = make("Export…", "Ctrl+E")
        self.share = make("Share…")
        self.open_with = make("Open With")
        self.open_with_menu = QMenu("Open With", parent)
        self.open_with.setMenu(self.open_with_menu)
        self.wallpaper = make("Set as Desktop Picture")
        self.print = make("Print…", Key.Print)
        self.reveal = make(REVEAL_LABEL, "Ctrl+Shift+R", "reveal")
        self.trash = make("Move to Trash", "Ctrl+Backspace", "trash")
        self.close = make("Close Window", "Ctrl+W")
        self.quit = make("Quit Sfumato", Key.Quit, role=Role.QuitRole)
        self.undo = make("Undo", Key.Undo)
        self.redo = make("Redo", Key.Redo)
        self.editing = {method: make(text, key) for text, key, method in EDITING}
        self.copy_picture = make("Copy Picture", "Ctrl+Shift+C", "copy")
        self.settings = make("Settings…", "Ctrl+,", role=Role.PreferencesRole)
        self.generate = make("Generate", "Ctrl+Return", "sparkle")
        self.live = toggle("Live", "Ctrl+Alt+L", checked=False)
        self.stop = make("Stop", "Ctrl+.", "stop")
        self.make_grid = make("Make a Grid…", "Ctrl+Shift+G")
        self.queue = toggle("Queue", "Ctrl+Alt+4", "queue", checked=False)
        self.pause_queue = make("Pause Queue", "Ctrl+Shift+P")
        self.plugged_in_only = toggle("Run Only While Plugged In", "", checked=False)
        self.clear_queue = make("Remove Waiting Pictures")
        self.new_seed = make("New Random Seed", "Ctrl+R", "dice")
        self.use_settings = make("Use These Settings", "Ctrl+U", "settings-use")
        self.favourite = make("Add to Favourites")
        self.tags = make("Tags…", "Ctrl+T")
        self.show_model = make("Show the Model")
        self.use_as_start = make("Use as Starting Picture", "Ctrl+Shift+U", "image-add")
        self.use_as_control = make("Use as Control Picture")
        self.enlarge_2 = make("Enlarge 2 ×")
        self.enlarge_4 = make("Enlarge 4 ×", "Ctrl+Shift+E")
        self.refine = make("Refine 2 ×", "Ctrl+Alt+E")
        self.vary = make("Variations of This Picture", "Ctrl+Alt+V")
        self.focus_prompt = make("Edit Prompt", "Ctrl+L")
        self.earlier_prompts = make("Earlier and Saved Prompts…", "Ctrl+Shift+H")
        self.styles = make("Styles…", "Ctrl+Shift+Y")
        self.save_preset = make("Save Settings as Preset…")
        self.models = toggle("Models", "Ctrl+Alt+1", "sidebar-left")
        self.installed = make("Installed Models", "Ctrl+Shift+1")
        self.hub = make("Find Models on the Hub", "Ctrl+Shift+2", "search")
        self.find = make("Find…", Key.Find)
        self.options = toggle("Prompt and Options", "Ctrl+Alt+2", "sidebar-right")
        self.filmstrip = toggle("Filmstrip", "Ctrl+Alt+3")
        self.gallery = toggle("Gallery", "Ctrl+G", "grid", checked=False)
        self.compare = make("Compare Pictures", "Ctrl+K")
        self.original = toggle("Compare with Original", "Ctrl+\\", "before-after", checked=False)
        self.info = make("Picture Info", "Ctrl+Alt+I")
        self.larger = make("Larger Thumbnails", Key.ZoomIn)
        self.smaller = make("Smaller Thumbnails", Key.ZoomOut)
        self.details = toggle("Model Details", "Ctrl+I", "info", checked=False)
        self.fit = toggle("Zoom to Fit", "Ctrl+0", "fit")
        self.true_size = toggle("Actual Size", "Ctrl+1", "actual-size", checked=False)
        self.full_screen = make("Enter Full Screen", Key.FullScreen)
        self.minimise = make("Minimize", "Ctrl+M")
        self.edit_mask = make("Edit with Mask", "Ctrl+Shift+M", "tool-mask")
        self.invert_mask = make("Invert Mask")
        self.clear_mask = make("Clear Mask")
        self.show_mask = toggle("Show Mask", "")
        self.tools = {key: toggle(text, letter, checked=False) for key, text, letter in TOOLS}
        self.farm = make("Other Macs…")
        self.shortcuts = make("Keyboard Shortcuts", "Ctrl+/", "help")
        self.about = make("About Sfumato", role=Role.AboutRole)
        self.reports = make("Crash Reports…")
        self.updates = make("Check for Updates…", role=Role.ApplicationSpecificRole)

    def _make(
        self,
        text: str,
        key: str | Key | None = None,
        symbol: str = "",
        role: Role = Role.NoRole,
    ) -> QAction:
        action = QAction(text, self._parent)
        action.setMenuRole(role)
        if key is not None:
            action.setShortcut(QKeySequence(key))
        if symbol:
            action.setIcon(icon(symbol))
            action.setIconVisibleInMenu(False)
        return action

    def _toggle(self, text: str, key: str, symbol: str = "", *, checked: bool = True) -> QAction:
        action = self._make(text, key, symbol)
        action.setCheckable(True)
        action.setChecked(checked)
        if symbol:
            action.setIcon(icon(symbol, tone="secondary", on_tone="accent"))
        return action

    def say_chosen(self, number: int) -> None:
        """Name what acts on all that are chosen by their number."""
        many = number > 1
        pictures = words.plural(number, "Picture") if many else "Picture"
        self.copy_picture.setText(f"Copy {pictures}")
        self.export.setText(f"Export {pictures}…" if many else "Export…")
        self.print.setText(f"Print {pictures}…" if many else "Print…")
        self.share.setText(f"Share {pictures}…" if many else "Share…")
        self.trash.setText(f"Move {pictures} to Trash" if many else "Move to Trash")
        self.tags.setText(f"Tags of {pictures}…" if many else "Tags…")

    def of_picture(self) -> list[QAction]:
        """Commands that need a finished picture."""
        return [
            self.save_as,
            self.export,
            self.share,
            self.open_with,
            self.wallpaper,
            self.print,
            self.copy_picture,
            self.reveal,
            self.use_settings,
            self.show_model,
            self.use_as_start,
            self.use_as_control,
            self.edit_mask,
            self.refine,
            self.vary,
            self.enlarge_2,
            self.enlarge_4,
            self.favourite,
            self.tags,
            self.info,
            self.trash,
        ]

    def everything(self) -> list[QAction]:
        single = [value for value in vars(self).values() if isinstance(value, QAction)]
        return [*single, *self.tools.values(), *self.editing.values()]

    def fill_menu_bar(self, bar: QMenuBar) -> None:
        names = ("&File", "&Edit", "&View", "&Tools", "&Generate", "&Window", "&Help")
        self.menus = [bar.addMenu(name) for name in names]
        file, edit, view, tools, generate, window, help_ = self.menus
        _fill(file, self.add_model, self.convert, self.measure, self.import_settings, None)
        _fill(file, self.save_as, self.export, self.share, self.reveal, self.open_with)
        _fill(file, self.wallpaper, None, self.print, None, self.trash)
        _fill(file, None, self.close, self.quit)
        _fill(edit, self.undo, self.redo, None, *self.editing.values())
        _fill(edit, None, self.find)
        _fill(edit, None, self.copy_picture, self.favourite, self.tags, None, self.settings)
        _fill(view, self.installed, self.hub, None)
        _fill(view, self.models, self.options, self.filmstrip, self.details, None)
        _fill(
            view,
            self.gallery,
            self.compare,
            self.original,
            self.info,
            self.larger,
            self.smaller,
            None,
        )
        _fill(view, self.fit, self.true_size, None, self.full_screen)
        _fill(tools, *self.tools.values(), None, self.edit_mask)
        _fill(tools, self.invert_mask, self.clear_mask, self.show_mask)
        _fill(generate, self.generate, self.live, self.make_grid, self.stop, None)
        _fill(generate, self.queue, self.pause_queue)
        _fill(generate, self.plugged_in_only, self.clear_queue, None, self.focus_prompt)
        _fill(generate, self.earlier_prompts, self.styles, self.save_preset)
        _fill(generate, self.new_seed, None, self.use_settings, self.use_as_start)
        _fill(generate, self.use_as_control, self.vary)
        _fill(generate, self.show_model)
        _fill(generate, None, self.enlarge_2, self.enlarge_4, self.refine)
        _fill(window, self.minimise, None, self.farm)
        _fill(help_, self.shortcuts, self.reports, None, self.updates, self.about)


def _fill(menu: QMenu, *actions: QAction | None) -> None:
    for action in actions:
        if action is None:
            menu.addSeparator()
        else:
            menu.addAction(action)
