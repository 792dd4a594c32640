"""What the main window holds: three columns, tool bar, menu bar, and the desks that tie them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow, QVBoxLayout, QWidget

from gui.errors import SfumatoError
from gui.state.activity import Activity
from gui.state.model_entry import ModelEntry
from gui.state.studio import Studio
from gui.ui.canvas.canvas import Canvas
from gui.ui.columns import Columns
from gui.ui.controls.room import ControlRoom
from gui.ui.desks.asking import AskingDesk
from gui.ui.desks.banner import BannerDesk
from gui.ui.desks.bundle import BundleDesk
from gui.ui.desks.convert import ConvertDesk
from gui.ui.desks.editing import EditingDesk
from gui.ui.desks.farm import FarmDesk
from gui.ui.desks.generate import GenerateDesk
from gui.ui.desks.live import LiveDesk
from gui.ui.desks.measuring import MeasuringDesk
from gui.ui.desks.middle import MiddleDesk
from gui.ui.desks.networks import NetworksDesk
from gui.ui.desks.opening import OpeningDesk
from gui.ui.desks.original import OriginalDesk
from gui.ui.desks.parts import Parts
from gui.ui.desks.picking import PickingDesk
from gui.ui.desks.pictures import PicturesDesk
from gui.ui.desks.reports import ReportsDesk
from gui.ui.desks.service import ServiceDesk
from gui.ui.desks.session import SessionKeeper
from gui.ui.desks.tools import ToolsDesk
from gui.ui.desks.updates import UpdatesDesk
from gui.ui.desks.window import WindowDesk
from gui.ui.menus import Actions
from gui.ui.models.desk import ModelsDesk
from gui.ui.models.panel import ModelsPanel
from gui.ui.pictures.filmstrip import Filmstrip
from gui.ui.prompt.controls import make_controls
from gui.ui.prompt.panel import PromptPanel
from gui.ui.queue.room import QueueRoom
from gui.ui.tool_bar import WindowToolBar
from gui.ui.widgets.appearance import Appearance
from gui.ui.widgets.dropped import local_files

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture
    from gui.ui.pictures.gallery import GalleryView


class Workspace(QWidget):
    """The main window's contents and commands.

    It only composes: a feature is a desk of its own (`gui/ui/desks/`), opened in `_open_desks` and,
    where it asks something of another one, connected in `_connect_desks`.

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
        self.setAcceptDrops(True)
        self._building = self._build()
        while at_once and self.build_next():
            pass

    # -- construction -------------------------------------------------------------------------

    def build_next(self) -> bool:
        """Build the next part; False when there is none left."""
        return next(self._building, False)

    def _build(self) -> Iterator[bool]:
        studio = self.studio
        self.models_panel = ModelsPanel(studio.models, studio.hub)
        yield True
        made = make_controls()
        yield True
        self.prompt_panel = PromptPanel(studio.draft, studio.undo, studio.prompts, made)
        yield True
        self.canvas = Canvas()
        self.filmstrip = Filmstrip(studio.pictures)
        yield True
        self.actions_ = Actions(self)
        yield from self._open_desks()
        self._furnish()
        yield True
        self._connect_desks()
        self.session.restore()
        self.generate_desk.show_activity(Activity())
        self._on_model(studio.model)
        self.middle.show_all()

    def _open_desks(self) -> Iterator[bool]:
        parts = self.parts = Parts(
            self.studio,
            self,
            self.main_window,
            self.actions_,
            self.models_panel,
            self.prompt_panel,
            self.canvas,
            self.filmstrip,
        )
        self.models_desk = ModelsDesk(self.studio, self.models_panel, self.actions_, self)
        self.middle = MiddleDesk(parts)
        self.pictures_desk = PicturesDesk(parts, self.middle, self.models_desk)
        self.queue_room = QueueRoom(
            self.studio, self.canvas, self.prompt_panel, self.actions_, self.main_window
        )
        yield True
        self.generate_desk = GenerateDesk(parts)
        self.convert_desk = ConvertDesk(parts)
        self.opening = OpeningDesk(parts)
        self.asking = AskingDesk(parts)
        self.editing = EditingDesk(parts)
        self.window_desk = WindowDesk(parts, self.appearance)
        self.banner_desk = BannerDesk(parts)
        self.farm_desk = FarmDesk(parts)
        self.updates_desk = UpdatesDesk(parts)
        self.bundle_desk = BundleDesk(parts)
        self.reports_desk = ReportsDesk(parts)
        self.networks_desk = NetworksDesk(parts)
        self.measuring_desk = MeasuringDesk(parts)
        yield True
        self.control_room = ControlRoom(parts, self.middle.shown_picture)
        self.picking_desk = PickingDesk(parts)
        self.tools_desk = ToolsDesk(parts)
        self.live_desk = LiveDesk(parts)
        self.original_desk = OriginalDesk(parts)
        yield True
        middle: list[QWidget] = [self.canvas, self.pictures_desk.enlarge_strip, self.filmstrip]
        width = self.main_window.width()
        self.columns = Columns(self.models_panel, middle, self.prompt_panel, width)
        self.session = SessionKeeper(parts, self.columns, self.middle)
        yield True

    def _furnish(self) -> None:
        """Put everything in its place."""
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.columns)
        left = self.models_panel.layout()
        assert left is not None
        left.addWidget(self.convert_desk.strip)
        self.tool_bar = WindowToolBar(self.actions_)
        self.main_window.addToolBar(self.tool_bar)
        self.service_desk = ServiceDesk(self.parts, self.tool_bar)
        self.canvas.tools.offer(self.actions_.tools)
        self.actions_.fill_menu_bar(self.main_window.menuBar())

    def _connect_desks(self) -> None:
        """What the desks ask of one another."""
        studio, models, pictures = self.studio, self.models_desk, self.pictures_desk
        studio.model_selected.connect(self._on_model)
        studio.model_read.connect(self._show_facts)
        studio.engine_state_changed.connect(self.tool_bar.show_engine)
        models.failed.connect(studio.error_raised)
        models.notice.connect(studio.notice)
        models.convert_wanted.connect(self.convert_desk.show)
        models.library.measure_wanted.connect(self.measuring_desk.show)
        loras = self.prompt_panel.loras
        models.lora_wanted.connect(loras.use_folder)
        loras.hub_wanted.connect(models.show_loras)
        loras.trash_wanted.connect(models.trash_lora)
        studio.addons.changed.connect(loras.library_changed)
        self.models_panel.reveal_requested.connect(pictures.commands.reveal_path)
        self.prompt_panel.known_words.hub_requested.connect(models.show_real_models)
        self.middle.search_wanted.connect(models.show_hub)
        self.control_room.bar.gallery_wanted.connect(self.picking_desk.pick_control)
        self.control_room.hub_wanted.connect(models.show_control_networks)
        self.control_room.model_wanted.connect(models.show_real_models)
        self.queue_room.picture_wanted.connect(self.middle.open_picture)
        self.generate_desk.asked.connect(self.session.save_draft)
        self.convert_desk.reveal_wanted.connect(pictures.commands.reveal_path)
        self.opening.pictures_wanted.connect(pictures.imports.open_pictures)
        self.opening.convert_wanted.connect(self.convert_desk.show)
        self.opening.address_wanted.connect(self.asking.open_address)
        self.asking.generate_wanted.connect(self.generate_desk.generate)
        self.live_desk.keep_wanted.connect(self.generate_desk.generate)
        self.tools_desk.picture_wanted.connect(self.middle.open_picture)
        self.generate_desk.ready = self.tools_desk.mask.when_kept
        self.actions_.edit_mask.triggered.connect(
            lambda: self.tools_desk.edit_with_mask(self.middle.shown_picture())
        )
        self.editing.copy_wanted.connect(pictures.commands.copy)

    def close_down(self) -> None:
        """Save the state and end what runs in the background."""
        self.studio.live.switch(False)
        self.studio.jobs.cancel_edit()
        self.tools_desk.close_down()
        self.original_desk.close_down()
        self.session.save()
        self.middle.close_down()
        self.pictures_desk.imports.close_down()
        self.prompt_panel.close_down()
        self.control_room.close_down()
        self.models_panel.close_down()
        self.studio.close()

    # -- what others ask of the window --------------------------------------------------------

    @property
    def gallery(self) -> GalleryView | None:
        """The gallery; None until it was first wanted."""
        return self.middle.gallery

    def shown_picture(self) -> IndexedPicture | None:
        """The picture that commands act on."""
        return self.middle.shown_picture()

    def generate(self) -> None:
        """As `GenerateDesk.generate`."""
        self.generate_desk.generate()

    def show_error(self, error: SfumatoError) -> None:
        """Tell of an error in the banner."""
        self.banner_desk.show_error(error)

    def open_path(self, path: str) -> None:
        """A file or folder handed over by Finder or dropped on the window."""
        self.opening.open_path(path)

    def take_focus(self) -> None:
        """As `MiddleDesk.take_focus`."""
        self.middle.take_focus()

    # -- the model in use ---------------------------------------------------------------------

    def _on_model(self, entry: ModelEntry) -> None:
        self.models_panel.set_current(entry)
        self._show_facts(entry)

    def _show_facts(self, entry: ModelEntry) -> None:
        """Of the model in use, as far as they have been read."""
        self.models_panel.details.set_entry(entry)
        self.prompt_panel.set_model(entry)
        self.prompt_panel.set_refiners(self.studio.models.entries())
        self.canvas.set_model(entry)
        self.tool_bar.model_title.set_text(entry.name)

    # -- dropped on the window ----------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if local_files(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        event.accept()
        self.opening.open_paths(local_files(event.mimeData()))
