"""What the main window holds: three columns, tool bar, menu bar, and their ties to the studio."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QPoint, QSize, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QSplitter,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit
from gui.state.convert.options import is_checkpoint
from gui.state.draft import Draft
from gui.state.models import ModelEntry
from gui.state.pictures.images import is_picture_name
from gui.state.prompts.styles import is_style_file
from gui.state.studio import Activity, Studio
from gui.ui.canvas.canvas import Canvas
from gui.ui.convert.progress import ConvertStrip
from gui.ui.menus import Actions
from gui.ui.models.desk import ModelsDesk
from gui.ui.models.panel import ModelsPanel
from gui.ui.pictures.commands import PictureCommands
from gui.ui.pictures.compare_desk import CompareDesk
from gui.ui.pictures.enlarge import EnlargeStrip
from gui.ui.pictures.filmstrip import Filmstrip
from gui.ui.pictures.import_desk import ImportDesk
from gui.ui.pictures.out import WaysOut
from gui.ui.pictures.place import PlaceKeeper
from gui.ui.prompt.panel import PromptPanel
from gui.ui.queue.room import QueueRoom
from gui.ui.settled import settle_errors
from gui.ui.widgets.appearance import Appearance
from gui.ui.widgets.banner import Subject
from gui.ui.widgets.controls import ElidedLabel, without_shortcut
from gui.ui.widgets.dropped import local_files
from gui.ui.widgets.measures import LEFT_WIDTH, RIGHT_WIDTH

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.ui.convert.sheet import ConvertSheet
    from gui.ui.pictures.gallery import GalleryView

log = logging.getLogger(__name__)

_ENGINE_WORDS = {
    "off": "",
    "starting": "Starting engine…",
    "ready": "Ready",
    "loading": "Loading model…",
    "busy": "Generating…",
    "stopping": "Stopping…",
    "lost": "Engine is being restarted…",
}


class Workspace(QWidget):
    """The main window's contents and commands.

    Args:
        window: the window to fill; it gets tool bar and menu bar too.
        studio: everything that is shown and done here.
        appearance: light and dark.
        at_once: whether it is complete at the end of this call; else `build_next` goes on, a part
            at a time, so that the window can react in between.
    """

    def __init__(
        self,
        window: QMainWindow,
        studio: Studio,
        appearance: Appearance,
        *,
        at_once: bool = True,
    ) -> None:
        super().__init__(window)
        self.main_window = window
        self.studio = studio
        self.appearance = appearance
        self._dialogs: dict[str, QWidget] = {}
        self._convert_sheet: ConvertSheet | None = None
        self.gallery: GalleryView | None = None
        self.setAcceptDrops(True)
        self._parts = self._build()
        while at_once and self.build_next():
            pass

    # -- construction -------------------------------------------------------------------------

    def build_next(self) -> bool:
        """Build the next part; False when there is none left."""
        return next(self._parts, False)

    def _build(self) -> Iterator[bool]:
        studio = self.studio
        self.models_panel = ModelsPanel(studio.models, studio.hub)
        yield True
        self.prompt_panel = PromptPanel(studio.draft, studio.undo, studio.prompts)
        yield True
        self.canvas = Canvas()
        self.filmstrip = Filmstrip(studio.pictures)
        yield True
        self.models_desk = ModelsDesk(studio, self.models_panel, self)
        self.picture_commands = PictureCommands(studio, self.shown_picture, self.chosen_ids, self)
        self.ways_out = WaysOut(studio, self.picture_commands, self)
        self.import_desk = ImportDesk(studio, self.models_desk, self.shown_picture, self)
        self.actions_ = Actions(self)
        self.ways_out.offer(self.actions_)
        self.queue_room = QueueRoom(
            studio, self.canvas, self.prompt_panel, self.actions_, self.main_window
        )
        self.enlarge_strip = EnlargeStrip(studio, self.actions_, self.picture_commands.with_paths)
        self.comparison = CompareDesk(
            studio, self.canvas, self.filmstrip, self.actions_.compare, self._open_gallery, self
        )
        self._make_columns()
        self._make_tool_bar()
        self.canvas.tools.offer(self.actions_.tools)
        self.actions_.fill_menu_bar(self.main_window.menuBar())
        yield True
        self._connect_studio()
        self._connect_widgets()
        self._connect_actions()
        self.place = PlaceKeeper(
            studio, self.canvas, self.filmstrip, lambda: self.gallery, self.show_gallery
        )
        self._restore()

    def _make_columns(self) -> None:
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.enlarge_strip)
        column.addWidget(self.filmstrip)
        middle.setMinimumWidth(380)
        self.models_panel.setMinimumWidth(220)
        self.prompt_panel.setMinimumWidth(288)
        self.convert_strip = ConvertStrip()
        left = self.models_panel.layout()
        if left is not None:
            left.addWidget(self.convert_strip)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setHandleWidth(1)
        self.splitter.setChildrenCollapsible(False)
        for widget in (self.models_panel, middle, self.prompt_panel):
            self.splitter.addWidget(widget)
        self.splitter.setStretchFactor(1, 1)
        middle_width = self.main_window.width() - LEFT_WIDTH - RIGHT_WIDTH
        self.splitter.setSizes([LEFT_WIDTH, max(380, middle_width), RIGHT_WIDTH])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.splitter)

    def _make_tool_bar(self) -> None:
        bar = QToolBar("Toolbar")
        bar.setObjectName("toolbar")
        bar.setMovable(False)
        bar.setFloatable(False)
        bar.setIconSize(QSize(18, 18))
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        a = self.actions_
        bar.addAction(a.models)
        self.model_title = ElidedLabel("", "heading")
        self.model_state = QLabel("")
        self.model_state.setObjectName("small")
        title = QWidget()
        title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(title)
        row.setContentsMargins(10, 0, 10, 0)
        row.setSpacing(10)
        row.addWidget(self.model_title, 1)
        row.addWidget(self.model_state)
        bar.addWidget(title)
        of_picture = (a.fit, a.true_size, None, a.save_as, a.copy_picture, a.reveal)
        for action in (a.gallery, None, *of_picture, None):
            if action is None:
                spacer = QWidget()
                spacer.setFixedWidth(10)
                bar.addWidget(spacer)
            else:
                bar.addAction(action)
        bar.addAction(a.queue)
        bar.addAction(a.options)
        for action in bar.actions():
            button = bar.widgetForAction(action)
            if button is not None and action.text():
                button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                button.setAccessibleName(action.text())
                keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                button.setToolTip(f"{action.text()} ({keys})" if keys else action.text())
        self.main_window.addToolBar(bar)

    def _connect_studio(self) -> None:
        studio = self.studio
        studio.activity_changed.connect(self._on_activity)
        studio.picture_finished.connect(self._on_picture)
        studio.model_selected.connect(self._on_model)
        studio.model_read.connect(self._show_facts)
        studio.error_raised.connect(self.show_error)
        studio.job_failed.connect(self._on_job_failed)
        settle_errors(self.canvas.banner, studio)
        self.canvas.banner.retry_asked.connect(studio.retry_failed)
        studio.notice.connect(self.canvas.banner.show_notice)
        studio.undoable.connect(self._on_undoable)
        self.canvas.banner.undo_asked.connect(studio.undo.undo)
        studio.undo.changed.connect(self._on_undo_changed)
        studio.engine_state_changed.connect(self._on_engine_state)
        studio.pictures.removed.connect(self._on_picture_removed)
        studio.settings.changed.connect(self._on_setting)
        studio.convert.status_changed.connect(self._show_strip)
        studio.convert.unfinished_changed.connect(self._show_strip)
        self.convert_strip.opened.connect(self.show_convert)
        self.convert_strip.dismissed.connect(studio.convert.dismiss)

    def _connect_widgets(self) -> None:
        panel, canvas, strip, a = self.prompt_panel, self.canvas, self.filmstrip, self.actions_
        self.models_panel.model_chosen.connect(self.studio.choose_model)
        self.models_panel.add_requested.connect(self.choose_model_folder)
        self.models_panel.convert_requested.connect(self.show_convert)
        self.models_panel.folder_dropped.connect(self.studio.add_model_folder)
        self.models_panel.remove_requested.connect(self.studio.remove_model)
        self.models_panel.reveal_requested.connect(self.picture_commands.reveal_path)
        desk = self.models_desk
        desk.failed.connect(self.show_error)
        desk.notice.connect(canvas.banner.show_notice)
        desk.panel_wanted.connect(lambda: a.models.setChecked(True))
        desk.convert_wanted.connect(self.show_convert)
        self.models_panel.unreachable_said.connect(lambda: canvas.banner.settle(Subject.NETWORK))
        commands = self.picture_commands
        commands.failed.connect(self.show_error)
        commands.said.connect(canvas.say_briefly)
        self.enlarge_strip.said.connect(canvas.say_briefly)
        commands.settings_wanted.connect(self.import_desk.use_settings_of)
        self.import_desk.failed.connect(self.show_error)
        self.import_desk.start_wanted.connect(panel.start.set_path)
        canvas.scrubber.branch_requested.connect(self.import_desk.branch)
        self.import_desk.branched.connect(panel.focus_prompt)
        self.studio.pictures.dataChanged.connect(self._show_info_of_shown)
        self.studio.gallery.dataChanged.connect(self._show_info_of_shown)
        commands.start_wanted.connect(panel.start.set_path)
        panel.generate_requested.connect(self.generate)
        self.studio.draft.settled.connect(self._save_draft)
        # At the change itself: what is said of it afterwards, as of a picture that was no picture,
        # must stay.
        self.studio.draft.changed.connect(lambda _name: canvas.banner.settle(Subject.PROMPT))
        panel.failed.connect(self.show_error)
        panel.panel_wanted.connect(lambda: a.options.setChecked(True))
        panel.known_words.hub_requested.connect(desk.show_real_models)
        canvas.empty.example_chosen.connect(self._use_example)
        canvas.strip.stop_requested.connect(self.studio.stop)
        self.queue_room.picture_wanted.connect(self._open_from_gallery)
        canvas.failed.connect(self.show_error)
        canvas.picture_shown.connect(self._on_shown)
        canvas.menu_requested.connect(self._show_picture_menu)
        canvas.pixels_shown.connect(self.studio.pictures.keep_pixels)
        canvas.following_changed.connect(strip.set_following)
        strip.set_following(canvas.following)
        strip.chosen.connect(canvas.look_at)
        strip.follow_requested.connect(canvas.follow)
        strip.delete_requested.connect(commands.trash)
        strip.favourite_requested.connect(commands.toggle_favourite)
        strip.chosen_changed.connect(self._on_shown)
        strip.drag_refused.connect(commands.refuse_drag)
        strip.menu_requested.connect(self._show_picture_menu)
        a.models.toggled.connect(self.models_panel.setVisible)
        a.options.toggled.connect(self.prompt_panel.setVisible)
        a.filmstrip.toggled.connect(lambda _: self._show_filmstrip())
        a.gallery.toggled.connect(self.show_gallery)
        canvas.browsing_changed.connect(self._on_browsing)
        comparison = self.comparison
        comparison.changed.connect(self._show_commands)
        comparison.current_changed.connect(self._on_shown)
        comparison.menu_requested.connect(self._show_picture_menu)
        comparison.trash_requested.connect(self.trash_pictures)
        comparison.zoom_changed.connect(self._on_zoom)
        a.details.toggled.connect(self.models_panel.details_section.set_open)
        self.models_panel.details_section.toggled.connect(a.details.setChecked)
        canvas.view.zoom_changed.connect(self._on_zoom)

    def _connect_actions(self) -> None:
        a, commands, desk = self.actions_, self.picture_commands, self.models_desk
        for action, deed in (
            (a.add_model, self.choose_model_folder),
            (a.convert, self.show_convert),
            (a.import_settings, self.import_desk.choose),
            (a.save_as, self.ways_out.save_as),
            (a.export, self.ways_out.export),
            (a.share, self.ways_out.share),
            (a.wallpaper, self.ways_out.set_wallpaper),
            (a.print, self.ways_out.print_pictures),
            (a.reveal, commands.reveal),
            (a.trash, self.trash_pictures),
            (a.copy_picture, commands.copy),
            (a.use_settings, commands.use_settings),
            (a.use_as_start, commands.use_as_start),
            (a.show_model, self.import_desk.show_model),
            (a.vary, commands.vary),
            (a.favourite, commands.toggle_favourite),
            (a.tags, commands.edit_tags),
            (a.info, self.show_info),
            (a.larger, lambda: self._zoom_gallery(1)),
            (a.smaller, lambda: self._zoom_gallery(-1)),
            (a.close, self.main_window.close),
            (a.quit, self.main_window.close),
            (a.undo, lambda: self.undo_or_redo("undo")),
            (a.redo, lambda: self.undo_or_redo("redo")),
            (a.settings, self.show_settings),
            (a.generate, self.generate),
            (a.stop, self.studio.stop),
            (a.new_seed, self.prompt_panel.seed.roll),
            (a.focus_prompt, self.prompt_panel.focus_prompt),
            (a.earlier_prompts, self.prompt_panel.show_prompts),
            (a.styles, self.prompt_panel.show_styles),
            (a.save_preset, self.prompt_panel.presets.show_sheet),
            (a.installed, desk.show_installed),
            (a.hub, desk.show_hub),
            (a.find, self.find),
            (a.fit, lambda: self._set_fit(True)),
            (a.true_size, lambda: self._set_fit(False)),
            (a.full_screen, self.toggle_full_screen),
            (a.minimise, self.main_window.showMinimized),
            (a.shortcuts, self.show_shortcuts),
            (a.about, self.show_about),
            *((act, partial(self.edit_command, name)) for name, act in a.editing.items()),
        ):
            action.triggered.connect(lambda _checked=False, deed=deed: deed())

    # -- state that lasts ---------------------------------------------------------------------

    def _restore(self) -> None:
        """Bring back the last session, each piece on its own: nothing that was kept on the disk may
        stop the window from being furnished."""
        lost: list[str] = []
        for name, piece in (
            ("the columns", self._restore_columns),
            ("the panels that were open", self._restore_toggles),
            ("the prompt and its options", self._restore_draft),
            ("the pictures that were looked at", self.place.restore),
        ):
            try:
                piece()
            except Exception:
                log.exception("%s could not be restored", name)
                lost.append(name)
        self._on_activity(Activity())
        self._on_model(self.studio.model)
        self._on_shown()
        self._on_browsing(self.canvas.browsing)
        if lost:
            what = words.listed(lost)
            sentence = f"{words.capital(what)} could not be restored and are as at the first start."
            self.studio.settings.notice = f"{self.studio.settings.notice} {sentence}".strip()

    def _restore_columns(self) -> None:
        if (columns := self.studio.settings.layout("columns")) is not None:
            self.splitter.restoreState(columns)

    def _restore_toggles(self) -> None:
        shown = self.studio.settings.layout("shown")
        flags = bytes(shown.data()).decode("ascii", "replace") if shown is not None else ""
        if len(flags) != len(self._kept_toggles()) or set(flags) - {"0", "1"}:
            flags = "110"
        for action, flag in zip(self._kept_toggles(), flags, strict=False):
            action.setChecked(flag == "1")

    def _restore_draft(self) -> None:
        settings = self.studio.settings
        saved: dict[str, Any] = settings.draft
        draft = Draft.from_json(saved)
        if not saved:
            draft = draft.with_value("compute_unit", ComputeUnit(settings.compute_unit))
            draft = draft.with_value("safety_checker", settings.safety_checker)
        self.studio.draft.put(draft)
        self.prompt_panel.forget_edits()

    def _kept_toggles(self) -> list[Any]:
        return [self.actions_.models, self.actions_.options, self.actions_.details]

    def save_state(self) -> None:
        """Keep columns and draft for the next start."""
        settings = self.studio.settings
        settings.save_layout("columns", self.splitter.saveState())
        flags = "".join("1" if t.isChecked() else "0" for t in self._kept_toggles())
        settings.save_layout("shown", QByteArray(flags.encode()))
        self._save_draft()

    def _save_draft(self) -> None:
        draft = self.studio.jobs.kept_draft or self.studio.draft.draft
        self.studio.settings.draft = draft.to_json()
        self.place.save()

    def close_down(self) -> None:
        """Save the state and end what runs in the background."""
        self.studio.jobs.cancel_edit()
        self.save_state()
        self.canvas.close_loader()
        self.comparison.close_down()
        if self.gallery is not None:
            self.gallery.close_down()
        self.import_desk.close_down()
        self.prompt_panel.close_down()
        self.models_panel.close_down()
        self.studio.close()

    # -- commands -----------------------------------------------------------------------------

    def generate(self) -> None:
        if not self.prompt_panel.generate.isEnabled():
            self.show_error_of_model()
            return
        if not self.studio.has_prompt:
            self.prompt_panel.ask_for_prompt()
        elif self.studio.jobs.editing is not None:
            self.studio.jobs.save_edit()
        elif self.studio.generate():
            self.canvas.follow()
            self._save_draft()

    def show_error_of_model(self) -> None:
        """Say why the chosen model cannot be used."""
        self.studio.generate()

    def choose_model_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Add a Model Folder")
        if folder:
            self.studio.add_model_folder(folder)

    def open_path(self, path: str) -> None:
        """A file or folder handed over by Finder or dropped on the window."""
        if is_picture_name(path):
            self.import_desk.open_pictures([path])
            return
        if is_style_file(path):
            self.studio.prompts.import_styles(path)
            return

        def act(convert: bool) -> None:
            (self.show_convert if convert else self.studio.add_model_folder)(path)

        self.studio.background.run(lambda: is_checkpoint(path), act, self.show_error)

    def edit_command(self, name: str) -> None:
        """Cut, copy … of the text field in use; Copy elsewhere copies the picture."""
        focus = QApplication.focusWidget()
        method = getattr(focus, name, None)
        if callable(method):
            method()
        elif name == "copy":
            self.picture_commands.copy()

    def undo_or_redo(self, name: str) -> None:
        self.prompt_panel.field_undo.undo_or_redo(name)

    def _on_undo_changed(self) -> None:
        undo = self.studio.undo
        self.actions_.undo.setText(without_shortcut(f"Undo {undo.undo_text}".strip()))
        self.actions_.redo.setText(without_shortcut(f"Redo {undo.redo_text}".strip()))

    def _on_undoable(self, text: str) -> None:
        self.canvas.banner.show_notice(text, can_undo=True)

    def trash_pictures(self) -> None:
        # In a text field the same keys delete text; no picture may go by mistake.
        if not hasattr(QApplication.focusWidget(), "cut"):
            if (gallery := self._open_gallery()) is not None:
                gallery.trash()
            else:
                self.picture_commands.trash()

    # -- the gallery --------------------------------------------------------------------------

    def take_focus(self) -> None:
        """Where the person goes on: at the prompt, or among the pictures."""
        gallery = self._open_gallery()
        (self.prompt_panel.prompt.edit if gallery is None else gallery.grid).setFocus()

    def shown_picture(self) -> IndexedPicture | None:
        """The picture that commands act on: the gallery's current one, that of the pane with the
        focus where some are compared, or that on the canvas."""
        if self.comparison.on:
            return self.comparison.current()
        if (gallery := self._open_gallery()) is not None:
            return gallery.current()
        picture = self.canvas.picture
        return picture and (self.studio.pictures.held(picture.id) or picture)

    def _open_gallery(self) -> GalleryView | None:
        """The gallery while it is on show."""
        return self.gallery if self.canvas.browsing and self.canvas.cover is None else None

    def find(self) -> None:
        """Look for pictures where they are looked at, else for models."""
        if (gallery := self._open_gallery()) is not None:
            gallery.focus_search()
        else:
            self.models_desk.show_hub()

    def chosen_ids(self) -> list[int]:
        """The pictures that are chosen where the person is, none of which need be at hand."""
        if self.comparison.on:
            return []
        if (gallery := self._open_gallery()) is not None:
            return gallery.chosen_ids()
        picture, ids = self.canvas.picture, self.filmstrip.chosen_ids()
        return ids if picture is not None and picture.id in ids else []

    def show_gallery(self, on: bool = True) -> None:
        """Put the gallery in the canvas's place, or take it away."""
        if on and self.gallery is None:
            # Made when it is first wanted: the window is complete without it.
            from gui.ui.pictures.gallery import GalleryView

            self.gallery = GalleryView(self.studio)
            self.gallery.opened.connect(self._open_from_gallery)
            self.gallery.menu_requested.connect(self._show_picture_menu)
            self.gallery.current_changed.connect(self._on_shown)
            self.gallery.grid.chosen_changed.connect(self.comparison.update_action)
            self.gallery.chosen_changed.connect(self._on_shown)
            self.gallery.drag_refused.connect(self.picture_commands.refuse_drag)
            self.canvas.set_gallery(self.gallery)
        self.canvas.browse(on)

    def _open_from_gallery(self, picture: IndexedPicture | None) -> None:
        if picture is None:
            self.canvas.browse(False)
        else:
            self.canvas.look_at(picture)
            self.filmstrip.select(picture.path)

    def _on_browsing(self, on: bool) -> None:
        self._show_commands()
        if on and self.gallery is not None:
            self.gallery.select(self.canvas.picture)
            self.gallery.grid.setFocus()
        self._on_shown()

    def _show_commands(self, *_: object) -> None:
        """Those that go with what is in the middle of the window."""
        browsing, comparing = self.canvas.browsing, self.comparison.on
        self.actions_.gallery.setChecked(browsing)
        for action in (self.actions_.larger, self.actions_.smaller):
            action.setEnabled(browsing or comparing)
        for action in (self.actions_.fit, self.actions_.true_size):
            action.setEnabled(comparing or not browsing)
        self._on_zoom(comparing or self.canvas.view.fitted)
        self._show_filmstrip()
        self.comparison.update_action()

    def _zoom_gallery(self, step: int) -> None:
        if self.comparison.view is not None and self.comparison.on:
            self.comparison.view.zoom(step)
        elif self.gallery is not None:
            self.gallery.zoom(step)

    def show_info(self) -> None:
        """What made the picture on show, in a window that follows it."""
        from gui.ui.pictures.info import PictureInfo

        def make() -> PictureInfo:
            info = PictureInfo(self.studio, self)
            info.use_requested.connect(self.import_desk.use)
            info.model_wanted.connect(self.import_desk.show_model_of)
            return info

        self._show_dialog("info", make)
        self._show_info_of_shown()

    def _show_info_of_shown(self, *_: object) -> None:
        info = self._dialogs.get("info")
        if info is not None and info.isVisible():
            info.set_picture(self.shown_picture())  # type: ignore[attr-defined]

    def toggle_full_screen(self) -> None:
        window = self.main_window
        window.setWindowState(window.windowState() ^ Qt.WindowState.WindowFullScreen)

    def show_settings(self) -> None:
        from gui.ui.settings.dialog import SettingsDialog

        self._show_dialog(
            "settings", lambda: SettingsDialog(self.studio.settings, self, self.studio.hub.account)
        )

    def show_convert(self, path: str = "") -> None:
        """The Convert sheet, with a source where one was handed over."""
        from gui.ui.convert.sheet import ConvertSheet

        if self._convert_sheet is None:
            sheet = ConvertSheet(self.studio.convert, self.main_window)
            sheet.model_wanted.connect(self.studio.use_folder)
            sheet.reveal_wanted.connect(self.picture_commands.reveal_path)
            self._convert_sheet = sheet
        if path and self.studio.convert.status.busy:
            self.studio.notice.emit(
                f"One model is converted at a time; choose “{Path(path).name}” after this one."
            )
        self._convert_sheet.open_with(path)

    def _show_strip(self, *_: object) -> None:
        convert = self.studio.convert
        self.convert_strip.show_status(convert.status, len(convert.unfinished))

    def show_about(self) -> None:
        from gui.ui.about import AboutDialog

        self._show_dialog("about", lambda: AboutDialog(self))

    def show_shortcuts(self) -> None:
        from gui.ui.about import ShortcutsDialog

        self._show_dialog("shortcuts", lambda: ShortcutsDialog(self.actions_.everything(), self))

    def _show_dialog(self, name: str, make: Any) -> None:
        if name not in self._dialogs:
            self._dialogs[name] = make()
        self._dialogs[name].show()
        self._dialogs[name].raise_()

    # -- what the studio says -----------------------------------------------------------------

    def show_error(self, error: SfumatoError) -> None:
        # The Hub's side may say already that there is no connection.
        if error.kind is not ErrorKind.NETWORK or not self.models_panel.says_unreachable:
            self.canvas.banner.show_error(error)

    def _on_job_failed(self, error: SfumatoError, can_retry: bool) -> None:
        self.canvas.banner.show_error(error, can_retry, Subject.JOB)

    def _on_activity(self, activity: Activity) -> None:
        self.canvas.set_activity(activity)
        self.filmstrip.set_activity(activity)
        self.actions_.stop.setEnabled(activity.busy)

    def _on_picture(self, picture: IndexedPicture) -> None:
        """A finished picture is shown to who was waiting for it, and to nobody else."""
        if self.canvas.following or self.canvas.picture is None:
            self.canvas.show_picture(picture)
            self.filmstrip.select(picture.path)
        self.canvas.announce("The picture is finished")

    def _on_picture_removed(self, path: str, row: int) -> None:
        shown = self.canvas.picture
        if shown is None or shown.path != path:
            return
        pictures = self.studio.pictures
        beside = pictures.picture(min(row, pictures.rowCount() - 1))
        self.canvas.show_picture(beside)
        if beside is not None:
            self.filmstrip.select(beside.path)

    def _on_model(self, entry: ModelEntry) -> None:
        self.models_panel.set_current(entry)
        self._show_facts(entry)

    def _show_facts(self, entry: ModelEntry) -> None:
        """Of the model in use, as far as they have been read."""
        self.models_panel.details.set_entry(entry)
        self.prompt_panel.set_model(entry)
        self.canvas.set_model(entry)
        self.model_title.set_text(entry.name)

    def _on_engine_state(self, state: str) -> None:
        self.model_state.setText(_ENGINE_WORDS.get(state, ""))

    def _on_setting(self, key: str) -> None:
        if key == "window/appearance":
            self.appearance.set_choice(self.studio.settings.appearance)
        elif key == "generate/compute_unit":
            unit = ComputeUnit(self.studio.settings.compute_unit)
            self.studio.draft.set("compute_unit", unit)
        elif key == "generate/safety_checker":
            self.studio.draft.set("safety_checker", self.studio.settings.safety_checker)

    # -- small things -------------------------------------------------------------------------

    def _use_example(self, text: str) -> None:
        """One click makes the picture; the prompt stands in its field to go on from."""
        self.prompt_panel.use_example(text)
        self.prompt_panel.prompt.edit.setFocus()
        self.generate()

    def _show_filmstrip(self) -> None:
        free = not self.canvas.browsing and self.canvas.cover is None
        self.filmstrip.set_wanted(self.actions_.filmstrip.isChecked() and free)

    def _set_fit(self, fitted: bool) -> None:
        if self.comparison.view is not None and self.comparison.on:
            view = self.comparison.view
            (view.fit if fitted else view.true_size)()
            fitted = view.linked.fitted
        else:
            self.canvas.view.set_fitted(fitted)
        self._on_zoom(fitted)

    def _on_zoom(self, fitted: bool) -> None:
        self.actions_.fit.setChecked(fitted)
        self.actions_.true_size.setChecked(not fitted)

    def _on_shown(self, *_: object) -> None:
        self._show_info_of_shown()
        there = self.shown_picture() is not None
        for action in self.actions_.of_picture():
            action.setEnabled(there)
        self.actions_.say_chosen(len(self.picture_commands.ids()))

    def picture_menu(self) -> QMenu:
        """The context menu of the picture on show."""
        menu = QMenu(self)
        a = self.actions_
        out = (a.copy_picture, a.save_as, a.export, a.share, a.reveal, a.open_with)
        for action in (*out, None, a.use_settings, a.use_as_start, a.vary):
            if action is None:
                menu.addSeparator()
            else:
                menu.addAction(action)
        menu.addAction(a.show_model)
        menu.addAction(a.enlarge_2)
        menu.addAction(a.enlarge_4)
        menu.addSeparator()
        menu.addAction(a.favourite)
        menu.addAction(a.tags)
        menu.addAction(a.info)
        if a.compare.isEnabled():
            menu.addAction(a.compare)
        menu.addSeparator()
        menu.addAction(a.trash)
        return menu

    def _show_picture_menu(self, at: QPoint) -> None:
        picture = self.shown_picture()
        if picture is not None:
            word = "Remove from" if picture.favourite else "Add to"
            self.actions_.favourite.setText(f"{word} Favourites")
            menu = self.picture_menu()
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(at)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if local_files(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        event.accept()
        files = local_files(event.mimeData())
        self.import_desk.open_pictures([file for file in files if is_picture_name(file)])
        for file in files:
            if not is_picture_name(file):
                self.open_path(file)
