"""The studio: everything the main window binds to, in one place.

It joins settings, models, this session's pictures and the job queue, and is the single channel
through which errors and notices reach the person.  Widgets call its methods and listen to its
signals; they know neither engine nor files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.shortcomings import Shortcoming, shortcomings
from gui.library.picture_facts import IndexedPicture
from gui.library.picture_places import is_given_away
from gui.library.picture_record import read_record
from gui.request import PictureRecord
from gui.state import desktop
from gui.state.activity import Activity, ActivityWatch
from gui.state.addons import AddonLibrary
from gui.state.background import Background
from gui.state.bundle import Bundle
from gui.state.caches import Caches
from gui.state.controls import ControlDesk
from gui.state.convert.state import ConvertReport, ConvertState
from gui.state.crash_reports import CrashReports
from gui.state.draft import DraftState, random_seed
from gui.state.draft_requests import DraftRequests
from gui.state.farm import Farm
from gui.state.hub.state import HubState
from gui.state.live import LivePictures
from gui.state.measuring import ModelMeasuring
from gui.state.model_entry import ModelEntry, machine
from gui.state.model_in_use import ModelInUse
from gui.state.models import ModelLibrary
from gui.state.networks import NetworkLibrary
from gui.state.pictures.adding import PictureAdding
from gui.state.pictures.enlarging import PictureEnlarging
from gui.state.pictures.export import PictureExport
from gui.state.pictures.gallery import Gallery
from gui.state.pictures.imported import PictureImports
from gui.state.pictures.library import PictureLibrary
from gui.state.pictures.marks import PictureMarks
from gui.state.pictures.thumbnails import Thumbnails
from gui.state.pictures.trash import PictureTrash
from gui.state.pictures_again import PicturesAgain
from gui.state.preparing import ModelPreparing
from gui.state.prompts.library import MOST, PromptLibrary
from gui.state.queue.desk import QueueDesk
from gui.state.queue.grids import GridPlan
from gui.state.queue.rows import QueueList
from gui.state.queue.sheets import ContactSheets
from gui.state.service import LocalService
from gui.state.undo import UndoStack
from gui.state.updates import UpdateCheck
from gui.syntax.remarks import remark_on_marks

if TYPE_CHECKING:
    from gui.state.hub.thread import Hub
    from gui.state.settings import Settings

_PASSING = (ErrorKind.ENGINE, ErrorKind.MEMORY, ErrorKind.STORAGE, ErrorKind.INTERNAL)


class Studio(QObject):
    """State of the main window.

    Args:
        settings: the person's settings.
        queue: the `JobQueue`, or anything with its signals and methods.
        hub: stands in for the Hub process (tests).
    """

    activity_changed = Signal(Activity)
    picture_finished = Signal(IndexedPicture)
    """An `IndexedPicture` was made."""
    model_selected = Signal(ModelEntry)
    """Another model is in use from now on, this `ModelEntry`; it may not have been read yet."""
    model_read = Signal(ModelEntry)
    """The model in use stays, and has been read (again): its `ModelEntry` with the facts."""
    error_raised = Signal(SfumatoError)
    """A `SfumatoError` for the person to see."""
    job_failed = Signal(SfumatoError, bool)
    """A job ended with this `SfumatoError`; true where `retry_failed` may bring better luck."""
    notice = Signal(str)
    undoable = Signal(str)
    """Something was done that `undo` takes back: one sentence."""
    engine_state_changed = Signal(str)

    def __init__(
        self,
        settings: Settings,
        queue: Any,
        parent: QObject | None = None,
        hub: Hub | None = None,
    ) -> None:
        super().__init__(parent)
        self.settings = settings
        self.queue = queue
        self.models = ModelLibrary(settings, self)
        self.hub = HubState(hub, self)
        self.convert = ConvertState(self)
        self.library = PictureLibrary(self._picture_folders, self)
        self.thumbnails = Thumbnails(self)
        self.pictures = Gallery(self.library, self.thumbnails, self)
        """Every picture, newest first: what the strip shows."""
        self.gallery = Gallery(self.library, self.thumbnails, self)
        """The pictures that fit what is looked for: what the gallery shows."""
        self.undo = UndoStack(self)
        self.addons = AddonLibrary(self.undo, self)
        self.marks = PictureMarks(self.library, self.undo)
        self.draft = DraftState(self.undo, self)
        self.networks = NetworkLibrary(self)
        self.prompts = PromptLibrary(self.draft, self.undo, self)
        self.prompts.failed.connect(self.error_raised)
        self.prompts.notice.connect(self.notice)
        self.prompts.undoable.connect(self.undoable)
        self.using = ModelInUse(settings, self.models, self.hub, self.undo, self)
        self.using.selected.connect(self.model_selected)
        self.using.read.connect(self.model_read)
        self.using.chosen.connect(self.prompts.presets.chosen)
        self.using.notice.connect(self.notice)
        self.using.undoable.connect(self.undoable)
        self.jobs = QueueDesk(
            queue,
            self.draft,
            self.undo,
            lambda: self.model.request_folder,
            self.using.select_folder,
            self,
        )
        self.jobs.undoable.connect(self.undoable)
        self.jobs.failed.connect(self.error_raised)
        self.requests = DraftRequests(settings, self.draft, lambda: self.model, self.models)
        self.live = LivePictures(
            self.draft, queue, lambda: self.requests.has_prompt, self.requests.requests_for, self
        )
        for signal in (self.model_selected, self.model_read):
            signal.connect(self.live.look)
        self.preparing = ModelPreparing(
            queue,
            lambda: self.model,
            lambda entry: self.requests.asked_of(entry, self.draft.draft),
            self,
        )
        self.using.chosen.connect(self.preparing.chosen)
        self.model_read.connect(self.preparing.look)
        self.live.failed.connect(self.error_raised)
        self.live.notice.connect(self.notice)
        self.sheets = ContactSheets(queue, self)
        self.sheets.made.connect(self._on_sheet)
        self.sheets.failed.connect(self.error_raised)
        self.background = Background(self)
        self.job_list = QueueList(
            queue, self.jobs, self.library, self.thumbnails, self.using.name_of, self
        )
        self.export = PictureExport(settings, self)
        self.bundle = Bundle(self)
        self.bundle.failed.connect(self.error_raised)
        self.caches = Caches(self)
        self.caches.failed.connect(self.error_raised)
        self.service = LocalService(settings, queue, lambda: self.model.request_folder, self)
        self.model_selected.connect(self.service.look_again)
        self.farm = Farm(parent=self)
        self.farm.failed.connect(self.error_raised)
        self.farm.notice.connect(self.notice)
        self.farm.changed.connect(lambda: self.job_list.show_farm(self.farm))
        self.updates = UpdateCheck(settings, self)
        self.reports = CrashReports(self.background, self)
        self.trash = PictureTrash(self.library, self.background, self.undo, self)
        self.measuring = ModelMeasuring(
            queue,
            lambda: self.model,
            lambda: self.draft.draft.request.compute_unit,
            self.background,
            self,
        )
        self.measuring.failed.connect(self.error_raised)
        self.measuring.notice.connect(self.notice)
        self.model_selected.connect(self.measuring.give_way)
        self.enlarging = PictureEnlarging(self)
        self.enlarging.failed.connect(self.error_raised)
        self.adding = PictureAdding(
            self.library,
            lambda: self._picture_folders()[0],
            self.background,
            self.trash,
            self.undo,
            self,
        )
        self.adding.failed.connect(self.error_raised)
        self.adding.done.connect(self.undoable)
        self.adding.notice.connect(self.notice)
        self.imports = PictureImports(
            self.draft,
            self.models,
            lambda: self.model,
            self.select_model,
            self.background,
            self.undo,
            self,
        )
        self.again = PicturesAgain(
            self.library, self.imports, self.requests, self.jobs, lambda: self.model, self
        )
        self.again.failed.connect(self.error_raised)
        self.again.notice.connect(self.notice)
        self.again.undoable.connect(self.undoable)
        self.trash.went.connect(self.pictures.drop)
        self.trash.went.connect(self.gallery.drop)
        self.trash.failed.connect(self.error_raised)
        self.trash.began.connect(self.notice)
        self.trash.done.connect(self.undoable)
        self._failed = ""
        self.controls = ControlDesk(self.draft, self.networks, lambda: self.model, self)
        for signal in (self.model_selected, self.model_read):
            signal.connect(self.controls.look_again)
        self.models.add_failed.connect(self.error_raised)
        self.models.trash_failed.connect(self._on_trash_failed)
        self.watch = ActivityWatch(queue, self)
        self.watch.changed.connect(self.activity_changed)
        self.watch.engine_state_changed.connect(self.engine_state_changed)
        self._connect_hub()
        self._connect_queue()
        self.settings.changed.connect(self._on_setting)
        self.library.added.connect(self.picture_finished)
        self.library.failed.connect(self.error_raised)
        self.library.looking.connect(self._on_looking)
        self.library.notice.connect(self.notice)

    def _connect_hub(self) -> None:
        hub = self.hub
        hub.error_raised.connect(self.error_raised)
        hub.addon_installed.connect(self._on_addon)
        self.addons.changed.connect(lambda: hub.set_addons(self.addons.folders()))
        self.addons.changed.connect(self.networks.refresh_if_listed)
        self.addons.failed.connect(self.error_raised)
        self.addons.done.connect(self.undoable)
        self.convert.sources.use(hub.downloads)
        self.convert.finished.connect(self._on_converted)

    def _on_converted(self, report: ConvertReport) -> None:
        self.using.greet(report.folders[0], use=False)

    def _on_trash_failed(self, _entry: ModelEntry, error: SfumatoError) -> None:
        self.error_raised.emit(error)

    def _on_addon(self, folder: str) -> None:
        self.addons.refresh()
        self.notice.emit(f"“{Path(folder).name}” is installed.")

    def _connect_queue(self) -> None:
        queue = self.queue
        queue.picture_ready.connect(self._on_picture)
        queue.made_elsewhere.connect(self._on_made_elsewhere)
        queue.job_failed.connect(self._on_job_failed)
        queue.notice.connect(self.notice)

    def _on_looking(self, files: int) -> None:
        """Once, when every picture is known, the history of prompts begins with theirs."""
        if files < 0 and not self.settings.history_begun:
            self.settings.history_begun = True
            self.library.with_prompts(MOST, self.prompts.begin_history)

    def _on_setting(self, key: str) -> None:
        settings = type(self.settings)
        if key == settings.pictures_folder.key:
            self.library.follow()
        served = (settings.pictures_folder, settings.compute_unit, settings.precision,
                  settings.safety_checker)  # fmt: skip
        if key in [each.key for each in served]:
            self.service.look_again()

    def _picture_folders(self) -> list[Path]:
        """Where finished pictures go, and so where they are looked for."""
        folder = self.settings.pictures_folder
        return [Path(folder) if folder else paths.pictures_dir()]

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring up the engine and read the models; called right after the first paint."""
        if self.settings.notice:
            self.notice.emit(self.settings.notice)
        self.farm.start()
        self.queue.start()
        self.models.refresh()
        self.addons.refresh()
        self.hub.start()
        self.library.start()
        self.prompts.start()
        self.bundle.start()
        self.caches.start()
        self.service.start()
        self.updates.start()
        self.reports.start()
        desktop.sweep_in_background(self._picture_folders())
        self.convert.find_unfinished()
        self.look_at_machine()

    def look_at_machine(self) -> None:
        """Tell what this machine lacks to make pictures well, or at all."""
        self.background.run(lambda: shortcomings(machine()), self._on_shortcomings, lambda _: None)

    def _on_shortcomings(self, found: list[Shortcoming]) -> None:
        """What hinders pictures is said at every start, what slows them once."""
        hinders = [each.text for each in found if not each.can_run]
        if hinders:
            self.error_raised.emit(SfumatoError(ErrorKind.UNSUPPORTED, hinders[0]))
        told = " ".join(each.text for each in found if each.can_run)
        if told != self.settings.machine_told:
            self.settings.machine_told = told
            if told:
                self.notice.emit(told)

    def close(self) -> None:
        self.service.close()
        self.live.close()
        self.preparing.close()
        self.convert.close()
        self.hub.close()
        self.addons.close()
        self.measuring.close()
        self.enlarging.close()
        self.controls.close()
        self.networks.close()
        self.models.close()
        self.library.close()
        self.thumbnails.close()
        self.prompts.close()
        self.export.close()
        self.background.close()
        self.sheets.close()
        self.bundle.close()
        self.caches.close()
        self.updates.close()
        self.farm.close()
        self.queue.shutdown()
        self.settings.sync()

    # -- the model ----------------------------------------------------------------------------

    @property
    def model(self) -> ModelEntry:
        """The model in use."""
        return self.using.entry

    def select_model(self, entry: ModelEntry) -> None:
        """Use this model from now on."""
        self.using.select(entry)

    # -- jobs ---------------------------------------------------------------------------------

    @property
    def activity(self) -> Activity:
        return self.watch.now

    @property
    def engine_state(self) -> str:
        return self.watch.engine_state

    def generate(self) -> bool:
        """Put the draft in line, with a seed drawn for it where none is kept; while Live is on, the
        picture that is live.

        Returns:
            Whether it is in line; what hinders it has been raised as a signal.
        """
        draft = self.draft.draft
        if not draft.seed_locked and not self.live.on:
            draft = replace(draft, request=replace(draft.request, seed=random_seed()))
        try:
            requests = [self.live.kept()] if self.live.on else self.requests.requests_for(draft)
        except SfumatoError as error:
            self.error_raised.emit(error)
            return False
        if not self.jobs.submit(requests, "Generate"):
            return False
        if len(requests) > 1:
            self.undoable.emit(f"{len(requests)} requests are in line, one for each alternative.")
        self.draft.put(draft)
        self.prompts.asked_for()
        return True

    def make_grid(self, plan: GridPlan) -> bool:
        """Put a grid's cells in line; whether they are."""
        made = self.jobs.submit(plan.requests, "Make a Grid", plan)
        if made:
            self.prompts.asked_for()
        return made

    def stop(self) -> None:
        """As `ActivityWatch.stop`."""
        self.watch.stop()

    def stop_job(self, job_id: str) -> None:
        """Stop this job, which runs here or on a Mac of the farm."""
        if self.farm.within:
            self.farm.stop_job(job_id)
        else:
            self.stop()

    def retry_failed(self) -> None:
        """Put the job that failed last in line again."""
        if self._failed:
            self.queue.retry(self._failed)
            self._failed = ""

    # -- what the queue says ------------------------------------------------------------------

    def _on_picture(self, picture: Any) -> None:
        if is_given_away(picture.path):
            return
        self.library.add(picture.path, picture.record)
        asked = picture.record.request
        prompts = (asked.prompt, asked.negative_prompt)
        said = [remark_on_marks(text, asked.prompt_syntax) for text in prompts]
        for note in picture.record.notes:
            if note not in said:  # it stands below the prompt
                self.notice.emit(note)

    def _on_made_elsewhere(self, path: str) -> None:
        """Another window has finished a picture of the queue."""
        if is_given_away(path):
            return

        def then(record: PictureRecord | None) -> None:
            if record is not None:
                self.library.add(path, record)

        self.background.run(lambda: read_record(Path(path)), then, lambda _error: None)

    def _on_sheet(self, path: str, record: PictureRecord) -> None:
        self.library.add(path, record)
        self.notice.emit("The grid is finished, and its contact sheet is among your pictures.")

    def _on_job_failed(self, job: Any, error: SfumatoError) -> None:
        # a request, model or starting picture that was refused would be refused again
        can_retry = error.kind in _PASSING
        self._failed = job.id if can_retry else ""
        self.job_failed.emit(error, can_retry)
