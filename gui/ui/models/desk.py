"""What the models panel asks for: a Hub model's sheet, the care of installed ones, leftovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from gui.errors import SfumatoError
from gui.state.hub.types import Family, ModelKind, SearchQuery, Sort
from gui.ui.hub.leftovers import LeftoversDialog, leftovers_text
from gui.ui.models.actions import LibraryActions

if TYPE_CHECKING:
    from gui.state.hub.types import Orphan
    from gui.state.model_entry import ModelEntry
    from gui.state.studio import Studio
    from gui.ui.hub.detail import HubDetail
    from gui.ui.menus import Actions
    from gui.ui.models.panel import ModelsPanel


class ModelsDesk(QObject):
    """Ties models panel, Hub and library together.

    Args:
        studio: the models and the Hub.
        panel: the left column.
        actions: has the commands, which are connected here.
        window: what the sheets lie over.
    """

    failed = Signal(SfumatoError)
    notice = Signal(str)
    lora_wanted = Signal(str)
    """Folder of an installed LoRA that pictures are to be made with."""
    convert_wanted = Signal(str)
    """This repository's checkpoint is to be converted."""

    def __init__(
        self, studio: Studio, panel: ModelsPanel, actions: Actions, window: QWidget
    ) -> None:
        super().__init__(window)
        self._studio = studio
        self._panel = panel
        self._shown = actions.models
        self._window = window
        self._hub = studio.hub
        self._orphans: list[Orphan] = []
        self._asked_for_leftovers = False
        self.sheet: HubDetail | None = None
        self.leftovers: LeftoversDialog | None = None
        self.addons_sheet: QWidget | None = None
        self.library = LibraryActions(studio, window)
        self.library.failed.connect(self.failed)
        panel.actions_of = self.library.of
        panel.model_chosen.connect(studio.using.choose)
        panel.add_requested.connect(self.choose_folder)
        panel.folder_dropped.connect(studio.models.add_folder)
        panel.remove_requested.connect(studio.using.remove)
        panel.trash_requested.connect(self.library.trash)
        panel.repo_opened.connect(self.show_repo)
        panel.updates_requested.connect(self._check_for_updates)
        panel.leftovers_requested.connect(self.show_leftovers)
        panel.addons_requested.connect(self.show_addons)
        panel.hub_made.connect(self._on_hub_made)
        self._hub.orphans_found.connect(self._on_orphans)
        self._hub.orphan_removed.connect(lambda _: self._hub.want_orphans())
        self._hub.updates_changed.connect(self._on_updates)
        self._hub.error_raised.connect(self._on_hub_error)
        self._hub.downloads.refused.connect(self._on_refused)
        self._told_of_updates = True
        # The studio listens to the same signals first and tells the Hub what is installed.
        studio.models.refreshed.connect(self._on_library_read)
        studio.models.trashed.connect(self._on_library_read)
        studio.addons.changed.connect(self._on_library_read)
        self._connect_actions(actions)

    def _connect_actions(self, actions: Actions) -> None:
        details = self._panel.details_section
        actions.models.toggled.connect(self._panel.setVisible)
        actions.details.toggled.connect(details.set_open)
        details.toggled.connect(actions.details.setChecked)
        actions.add_model.triggered.connect(lambda *_: self.choose_folder())
        actions.installed.triggered.connect(lambda *_: self.show_installed())
        actions.hub.triggered.connect(lambda *_: self.show_hub())

    # -- the sides of the panel ---------------------------------------------------------------

    def show_hub(self) -> None:
        """Turn the left column to the Hub, with the search field ready."""
        self._shown.setChecked(True)
        self._panel.show_hub().focus_search()

    def show_real_models(self) -> None:
        """Turn to the Hub's models that make pictures from words and run on this machine."""
        self._shown.setChecked(True)
        self._panel.show_hub().search_for(
            SearchQuery(sort=Sort.DOWNLOADS, kinds=(ModelKind.TEXT_TO_IMAGE,), fits=True)
        )

    def show_control_networks(self) -> None:
        """Turn to the Hub's ControlNets that run on this machine."""
        self._shown.setChecked(True)
        self._panel.show_hub().search_for(
            SearchQuery(sort=Sort.DOWNLOADS, kinds=(ModelKind.CONTROLNET,), fits=True)
        )

    def search_hub(self, text: str) -> None:
        """Turn to the Hub's models that go by these words."""
        self._shown.setChecked(True)
        self._panel.show_hub().search_for(SearchQuery(text=text))

    def show_model(self, entry: ModelEntry) -> None:
        """Show an installed model on its card, chosen."""
        self._studio.select_model(entry)
        self.show_installed()
        self._panel.reveal(entry)

    def show_installed(self) -> None:
        self._shown.setChecked(True)
        self._panel.show_installed()
        self._panel.list.setFocus()

    def _on_hub_made(self) -> None:
        """The Hub process runs from now on, so it may as well look after the library."""
        self._hub.want_orphans()
        self._hub.look_for_updates()

    # -- one model ----------------------------------------------------------------------------

    def show_repo(self, repo: str) -> None:
        """Open the sheet of a repository."""
        if self.sheet is None:
            from gui.ui.hub.detail import HubDetail

            self.sheet = HubDetail(self._hub, self._window)
            self.sheet.use_requested.connect(self._use)
            self.sheet.models = self._usable_models
            self.sheet.trash_requested.connect(self._trash_addon)
            self.sheet.convert_requested.connect(self._convert)
            self.sheet.failed.connect(self.failed)
        self.sheet.show_repo(repo)

    def show_addons(self) -> None:
        """List the ControlNets, LoRAs and upscalers that are installed."""
        from gui.ui.models.addons_sheet import AddonsSheet

        sheet = AddonsSheet(self._studio.addons, self._hub, self._window)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.hub_wanted.connect(self.show_control_networks)
        self.addons_sheet = sheet
        sheet.open()

    def _usable_models(self) -> list[tuple[str, Any]]:
        entries = self._studio.models.entries()
        return [(e.name, e.info) for e in entries if e.usable and e.info is not None]

    def _trash_addon(self, folder: str) -> None:
        """Move a ControlNet, LoRA or upscaler to the Trash, by its folder or its file."""
        if (addon := self._studio.addons.holding(folder)) is not None:
            self._studio.addons.trash(addon)

    def trash_lora(self, path: str) -> None:
        """Move a LoRA to the Trash, with the folder that it came in."""
        self._trash_addon(path)

    def show_loras(self) -> None:
        """Turn to the Hub's LoRAs for models such as the one in use."""
        self._shown.setChecked(True)
        info = self._studio.model.info
        family = info.family if info is not None else Family.UNKNOWN
        families = (family,) if family is not Family.UNKNOWN else ()
        query = SearchQuery(sort=Sort.DOWNLOADS, kinds=(ModelKind.LORA,), families=families)
        self._panel.show_hub().search_for(query)

    def _use(self, folder: str) -> None:
        if (addon := self._studio.addons.entry(folder)) is not None:
            if addon.kind is ModelKind.LORA:
                self.lora_wanted.emit(folder)
            else:
                self._studio.addons.reveal(addon)
            return
        entry = self._studio.models.entry(folder)
        if entry is not None:
            self._studio.using.choose(entry)
            self.show_installed()

    def _convert(self, repo: str) -> None:
        """Hand over to the conversion sheet, which fetches the repository's checkpoint."""
        if self.sheet is not None and self.sheet.isVisible():
            self.sheet.reject()
        self.convert_wanted.emit(repo)

    def _on_library_read(self, *_: object) -> None:
        if self.sheet is not None:
            self.sheet.library_read()

    def _on_refused(self, repo: str, _variant: str, error: SfumatoError) -> None:
        """A download that could not begin; the sheet says so itself where it is open."""
        sheet = self.sheet
        if sheet is None or not sheet.isVisible() or sheet.repo != repo:
            self.failed.emit(error)

    # -- the library --------------------------------------------------------------------------

    def choose_folder(self) -> None:
        """File › Add Model Folder…"""
        folder = QFileDialog.getExistingDirectory(self._window, "Add a Model Folder")
        if folder:
            self._studio.models.add_folder(folder)

    def _check_for_updates(self) -> None:
        self._told_of_updates = False
        self._hub.look_for_updates(quietly=False)

    def _on_updates(self) -> None:
        if self._told_of_updates:
            return
        self._told_of_updates = True
        entries = self._studio.models.entries()
        number = sum(bool(self._hub.update_of(str(entry.folder))) for entry in entries)
        text = {0: "No updates were found.", 1: "One model has an update."}
        self.notice.emit(text.get(number, f"{number} models have updates."))

    def _on_hub_error(self, _error: SfumatoError) -> None:
        """The person has been told of the failure; a later answer, to a question of our own, must
        not come up as theirs."""
        self._told_of_updates = True
        self._asked_for_leftovers = False

    def show_leftovers(self) -> None:
        """List what lies about in the models folder."""
        self._asked_for_leftovers = True
        self._hub.want_orphans()

    def _on_orphans(self, orphans: list[Orphan]) -> None:
        self._orphans = orphans
        self._panel.set_leftovers(leftovers_text(orphans))
        if self._asked_for_leftovers:
            self._asked_for_leftovers = False
            if not orphans:
                self.notice.emit("Nothing is left over in the models folder.")
                return
            dialog = LeftoversDialog(self._hub, orphans, self._window)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self.leftovers = dialog
            dialog.open()
