"""What is done with finished pictures in the window: commands, their menu, information on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Qt
from PySide6.QtWidgets import QApplication, QMenu

from gui.ui.desks.middle import MiddleDesk
from gui.ui.desks.parts import Parts, connect_commands
from gui.ui.models.desk import ModelsDesk
from gui.ui.pictures.commands import PictureCommands
from gui.ui.pictures.enlarge import EnlargeStrip
from gui.ui.pictures.import_desk import ImportDesk
from gui.ui.pictures.out import WaysOut

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.ui.pictures.info import PictureInfo


class PicturesDesk(QObject):
    """Ties the picture commands to the pictures that are shown and chosen.

    Args:
        middle: says which those are.
        models: shows the model that made one.
    """

    def __init__(self, parts: Parts, middle: MiddleDesk, models: ModelsDesk) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._middle = middle
        studio, window = parts.studio, parts.window
        self.commands = PictureCommands(studio, middle.shown_picture, middle.chosen_ids, window)
        self.ways_out = WaysOut(studio, self.commands, window)
        self.ways_out.offer(parts.actions)
        self.imports = ImportDesk(studio, models, middle.shown_picture, window)
        self.enlarge_strip = EnlargeStrip(studio, parts.actions, self.commands.with_paths)
        self._larger: tuple[str, str] | None = None  # enlarged, and not in the index yet
        self.info: PictureInfo | None = None
        """Made when it is first wanted."""
        self._connect()
        self._connect_commands()

    def _connect(self) -> None:
        parts, middle, commands = self._parts, self._middle, self.commands
        studio, canvas, strip = parts.studio, parts.canvas, parts.filmstrip
        commands.failed.connect(studio.error_raised)
        commands.said.connect(canvas.say_briefly)
        commands.settings_wanted.connect(self.imports.use_settings_of)
        commands.start_wanted.connect(parts.prompt.start.set_path)
        self.enlarge_strip.said.connect(canvas.say_briefly)
        self.enlarge_strip.made.connect(self._on_larger)
        studio.library.changed.connect(self._show_larger)
        self.imports.failed.connect(studio.error_raised)
        self.imports.start_wanted.connect(parts.prompt.start.set_path)
        self.imports.branched.connect(parts.prompt.focus_prompt)
        canvas.scrubber.branch_requested.connect(self.imports.branch)
        studio.pictures.dataChanged.connect(self._show_info_of_shown)
        studio.gallery.dataChanged.connect(self._show_info_of_shown)
        strip.delete_requested.connect(commands.trash)
        strip.favourite_requested.connect(commands.toggle_favourite)
        middle.shown.connect(self._on_shown)
        middle.drag_refused.connect(commands.refuse_drag)
        middle.menu_requested.connect(self._pop_up)
        middle.trash_requested.connect(self.trash)

    def _connect_commands(self) -> None:
        a, commands, out = self._parts.actions, self.commands, self.ways_out
        connect_commands(
            (a.import_settings, self.imports.choose),
            (a.save_as, out.save_as),
            (a.export, out.export),
            (a.share, out.share),
            (a.wallpaper, out.set_wallpaper),
            (a.print, out.print_pictures),
            (a.reveal, commands.reveal),
            (a.trash, self.trash),
            (a.copy_picture, commands.copy),
            (a.use_settings, commands.use_settings),
            (a.use_as_start, commands.use_as_start),
            (a.show_model, self.imports.show_model),
            (a.vary, commands.vary),
            (a.refine, commands.refine),
            (a.favourite, commands.toggle_favourite),
            (a.tags, commands.edit_tags),
            (a.info, self.show_info),
        )

    def trash(self) -> None:
        """What is chosen goes to the Trash, where the keys do not mean text."""
        # In a text field the same keys delete text; no picture may go by mistake.
        if not hasattr(QApplication.focusWidget(), "cut"):
            if (gallery := self._middle.open_gallery()) is not None:
                gallery.trash()
            else:
                self.commands.trash()

    def _on_larger(self, path: str, larger: str) -> None:
        self._larger = path, larger
        self._show_larger()

    def _show_larger(self) -> None:
        """Put what was asked for in the place of its smaller one, as soon as the index has it; who
        looks at another picture by now, or works on this one, is left alone."""
        if self._larger is None:
            return
        path, larger = self._larger
        canvas = self._parts.canvas

        def then(picture: IndexedPicture) -> None:
            on_show = canvas.picture is not None and canvas.picture.path == path
            awaited, self._larger = self._larger == (path, larger), None
            at_work = canvas.browsing or canvas.tools.in_hand.works_on_picture
            if awaited and on_show and not at_work:
                self._middle.open_picture(picture)

        self._parts.studio.library.with_picture(larger, then)

    def show_info(self) -> None:
        """What made the picture on show, in a window that follows it."""
        from gui.ui.pictures.info import PictureInfo

        if self.info is None:
            self.info = PictureInfo(self._parts.studio, self._parts.window)
            self.info.use_requested.connect(self.imports.use)
            self.info.model_wanted.connect(self.imports.show_model_of)
        self.info.show()
        self.info.raise_()
        self._show_info_of_shown()

    def menu(self) -> QMenu:
        """The context menu of the picture on show."""
        menu = QMenu(self._parts.window)
        a = self._parts.actions
        out = (a.copy_picture, a.save_as, a.export, a.share, a.reveal, a.open_with)
        again = (a.use_settings, a.use_as_start, a.use_as_control, a.edit_mask, a.vary, a.refine)
        for action in (*out, None, *again):
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

    def _pop_up(self, at: QPoint) -> None:
        picture = self._middle.shown_picture()
        if picture is not None:
            word = "Remove from" if picture.favourite else "Add to"
            self._parts.actions.favourite.setText(f"{word} Favourites")
            menu = self.menu()
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(at)

    def _on_shown(self) -> None:
        self._show_info_of_shown()
        there = self._middle.shown_picture() is not None
        for action in self._parts.actions.of_picture():
            action.setEnabled(there)
        self._parts.actions.say_chosen(len(self.commands.ids()))

    def _show_info_of_shown(self, *_: object) -> None:
        if self.info is not None and self.info.isVisible():
            self.info.set_picture(self._middle.shown_picture())
