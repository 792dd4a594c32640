"""The studio: everything the main window binds to, in one place.

It joins settings, models, this session's pictures and the job queue, keeps what is going on as one
observable value (`Activity`), and is the single channel through which errors and notices reach the
person.  Widgets call its methods and listen to its signals; they know neither engine nor files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Signal

from gui import paths
from gui.errors import ErrorKind, SfumatoError, unusable
from gui.library.picture_facts import IndexedPicture
from gui.library.picture_record import read_record
from gui.request import PictureRecord
from gui.state import desktop
from gui.state.addons import AddonLibrary
from gui.state.background import Background
from gui.state.convert.state import ConvertState
from gui.state.crash_reports import CrashReports
from gui.state.draft import DraftState, random_seed
from gui.state.hub.state import HubState, library_of
from gui.state.job_queue import Waits
from gui.state.models import ModelEntry, ModelLibrary
from gui.state.pictures.adding import PictureAdding
from gui.state.pictures.enlarging import Enlarging
from gui.state.pictures.export import PictureExport
from gui.state.pictures.gallery import Gallery
from gui.state.pictures.imported import PictureImports
from gui.state.pictures.library import PictureLibrary
from gui.state.pictures.marks import PictureMarks
from gui.state.pictures.thumbnails import Thumbnails
from gui.state.pictures.trash import PictureTrash
from gui.state.pictures.variations import variations_of
from gui.state.prompts.library import MOST, PromptLibrary
from gui.state.queue.desk import QueueDesk
from gui.state.queue.grids import GridPlan, Side, plan_grid
from gui.state.queue.rows import QueueList
from gui.state.queue.sheets import ContactSheets
from gui.state.undo import UndoStack
from gui.state.updates import UpdateCheck

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

    from gui.state.hub.thread import Hub
    from gui.state.pictures.origin import Origin
    from gui.state.settings import Settings

_PASSING = (ErrorKind.ENGINE, ErrorKind.MEMORY, ErrorKind.STORAGE, ErrorKind.INTERNAL)

LOADING_TICK_MS = 500
"""How often the elapsed time moves while a network loads."""


class Phase(StrEnum):
    """What the engine is doing for the person."""

    IDLE = "idle"
    STARTING = "starting"
    """A job waits for the engine to come up, or for its first word."""
    LOADING = "loading"
    DENOISING = "denoising"
    ENLARGING = "enlarging"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Activity:
    """What is going on now.  Only the fields of the phase mean anything."""

    phase: Phase = Phase.IDLE
    prompt: str = ""
    engine_up: bool = False
    """While starting: the engine is there, and the job is on its way to it."""
    component: str = ""
    index: int = 0
    total: int = 0
    elapsed: float = 0.0
    """Seconds the component has been loading."""
    picture_index: int = 0
    count: int = 1
    step: int = 0
    steps: int = 0
    seconds_per_step: float = 0.0
    seconds_left: float = 0.0
    preview: QImage | None = None
    waiting: int = 0
    """Jobs in line behind this one."""
    waits: Waits = Waits.NO
    """Why none of them is begun, or will be once this one is finished."""

    @property
    def busy(self) -> bool:
        return self.phase is not Phase.IDLE

    @property
    def halted(self) -> bool:
        """Whether there are jobs, and none is worked on until something changes."""
        return not self.busy and self.waiting > 0 and self.waits in (Waits.PAUSED, Waits.BATTERY)


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
        self.prompts = PromptLibrary(self.draft, self.undo, self)
        self.prompts.failed.connect(self.error_raised)
        self.prompts.notice.connect(self.notice)
        self.prompts.undoable.connect(self.undoable)
        self.jobs = QueueDesk(
            queue, self.draft, self.undo, lambda: self.model.request_folder, self._use_model, self
        )
        self.jobs.undoable.connect(self.undoable)
        self.jobs.failed.connect(self.error_raised)
        self.sheets = ContactSheets(queue, self)
        self.sheets.made.connect(self._on_sheet)
        self.sheets.failed.connect(self.error_raised)
        self.background = Background(self)
        self.job_list = QueueList(
            queue, self.jobs, self.library, self.thumbnails, self.model_name, self
        )
        self.export = PictureExport(settings, self)
        self.updates = UpdateCheck(settings, self)
        self.reports = CrashReports(self.background, self)
        self.trash = PictureTrash(self.library, self.background, self.undo, self)
        self.enlarging = Enlarging(self)
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
        self.trash.went.connect(self.pictures.drop)
        self.trash.went.connect(self.gallery.drop)
        self.trash.failed.connect(self.error_raised)
        self.trash.began.connect(self.notice)
        self.trash.done.connect(self.undoable)
        self.engine_state = "off"
        self._activity = Activity()
        self._running: Any = None
        self._failed = ""
        self._selected = settings.selected_model
        self._in_use = self.model.folder  # what `model_selected` said last
        self._new: dict[str, bool] = {}  # folder just installed → whether to use it
        self._loading_since = QElapsedTimer()
        self._loading_base = 0.0
        self._loading_tick = QTimer(self)
        self._loading_tick.setInterval(LOADING_TICK_MS)
        self._loading_tick.timeout.connect(self._on_loading_tick)
        self.models.modelReset.connect(self._tell_of_another_model)
        self.models.entry_changed.connect(self._on_entry_changed)
        self.models.refreshed.connect(self._on_refreshed)
        self.models.added.connect(self._on_added)
        self.models.add_failed.connect(self.error_raised)
        self.models.trashed.connect(self._on_trashed)
        self.models.trash_failed.connect(lambda _entry, error: self.error_raised.emit(error))
        self._connect_hub()
        self._connect_queue()
        self.settings.changed.connect(self._on_setting)
        self.library.added.connect(self.picture_finished)
        self.library.failed.connect(self.error_raised)
        self.library.looking.connect(self._on_looking)
        self.library.notice.connect(self.notice)

    def _connect_hub(self) -> None:
        hub = self.hub
        hub.installed.connect(self._on_installed)
        hub.updated.connect(self._on_updated)
        hub.installed_changed.connect(self.models.refresh)
        hub.updates_changed.connect(self._on_updates)
        hub.error_raised.connect(self.error_raised)
        hub.addon_installed.connect(self._on_addon)
        self.addons.changed.connect(lambda: hub.set_addons(self.addons.folders()))
        self.addons.failed.connect(self.error_raised)
        self.addons.done.connect(self.undoable)
        self.convert.sources.use(hub.downloads)
        self.convert.finished.connect(lambda report: self.use_folder(report.folders[0], use=False))

    def _connect_queue(self) -> None:
        queue = self.queue
        for signal in (
            queue.job_added, queue.job_changed, queue.job_removed, queue.jobs_reset,
            queue.waits_changed,
        ):  # fmt: skip
            signal.connect(self._on_jobs)
        queue.engine_state_changed.connect(self._on_engine_state)
        queue.loading_changed.connect(self._on_loading)
        queue.step_changed.connect(self._on_step)
        queue.enlarging_changed.connect(self._on_enlarging)
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
        if key == type(self.settings).pictures_folder.key:
            self.library.follow()

    def _picture_folders(self) -> list[Path]:
        """Where finished pictures go, and so where they are looked for."""
        folder = self.settings.pictures_folder
        return [Path(folder) if folder else paths.pictures_dir()]

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring up the engine and read the models; called right after the first paint."""
        if self.settings.notice:
            self.notice.emit(self.settings.notice)
        self.queue.start()
        self.models.refresh()
        self.addons.refresh()
        self.hub.start()
        self.library.start()
        self.prompts.start()
        self.updates.start()
        self.reports.start()
        desktop.sweep_in_background(self._picture_folders())
        self.convert.find_unfinished()

    def close(self) -> None:
        self.convert.close()
        self.hub.close()
        self.addons.close()
        self.enlarging.close()
        self.models.close()
        self.library.close()
        self.thumbnails.close()
        self.prompts.close()
        self.export.close()
        self.background.close()
        self.sheets.close()
        self.updates.close()
        self.queue.shutdown()
        self.settings.sync()

    # -- the model ----------------------------------------------------------------------------

    @property
    def model(self) -> ModelEntry:
        """The selected model; the starter when the chosen one is gone."""
        return self.models.entry(self._selected) or self.models.entries()[0]

    def model_name(self, folder: str) -> str:
        """What the model of a request is called, whether it is here or not."""
        entry = self.models.entry(folder) if folder else self.models.entries()[0]
        return entry.name if entry is not None else Path(folder).name

    def select_model(self, entry: ModelEntry) -> None:
        self._selected = entry.request_folder
        self.settings.selected_model = self._selected
        self._tell_of_another_model()

    def _use_model(self, folder: str) -> None:
        """Select a model by its folder as requests have it, where it is here."""
        entry = self.models.entry(folder) if folder else self.models.entries()[0]
        if entry is not None:
            self.select_model(entry)

    def choose_model(self, entry: ModelEntry) -> None:
        """The person chose a model: unless it is in use already, its default preset is used."""
        other = entry.folder != self.model.folder
        self.select_model(entry)
        if other:
            self.prompts.presets.chosen(entry.request_folder)

    def _tell_of_another_model(self) -> None:
        """Also when the folders were listed: only then is a remembered model there."""
        entry = self.model
        if entry.folder != self._in_use:
            self._in_use = entry.folder
            self.model_selected.emit(entry)

    def add_model_folder(self, path: str) -> None:
        """Add what models there are at a path by reference and select the first; where there are
        none, `error_raised` says what is there instead."""
        self.models.add_folder(path)

    def _on_added(self, entries: list[ModelEntry]) -> None:
        if len(entries) > 1:
            self.notice.emit(f"{len(entries)} models were found in this folder and added.")
        self.select_model(entries[0])

    def remove_model(self, entry: ModelEntry) -> None:
        """Take a folder added by reference off the list; its files stay, and undo puts it back."""
        row = self.models.row_of(entry.folder)
        if row < 0 or not entry.added:
            return
        was_selected = entry.folder == self.model.folder

        def undo() -> None:
            self.models.put_back(entry, row)
            if was_selected:
                self.select_model(entry)

        def redo() -> None:
            self.models.remove(entry.folder)
            if was_selected:
                self.select_model(self.models.entries()[0])

        redo()
        self.undo.did("Remove from List", undo, redo)
        self.undoable.emit(f"“{entry.name}” was taken off the list; its files stay where they are.")

    def _on_trashed(self, entry: ModelEntry) -> None:
        self.hub.set_library(library_of(self.models.entries()))
        if entry.request_folder == self._selected:
            self.select_model(self.models.entries()[0])
        self.notice.emit(f"“{entry.name}” is in the Trash.")

    def _on_installed(self, folder: str, use: bool) -> None:
        """A model came from the Hub.  It is selected, once it has been read, if the person asked
        for that or has only the starter model so far."""
        self._new[folder] = use or not self._selected

    def _on_addon(self, folder: str) -> None:
        self.addons.refresh()
        self.notice.emit(f"“{Path(folder).name}” is installed.")

    def use_folder(self, folder: str, use: bool = True) -> None:
        """Greet a model that has just come into the library, and select it if `use`."""
        self._on_installed(folder, use)
        self.models.refresh()

    def _greet_new_models(self) -> None:
        for folder in list(self._new):
            entry = self.models.entry(folder)
            if entry is None or entry.reading:
                continue  # this was an earlier look at the folders
            use = self._new.pop(folder)
            if not entry.usable:
                continue
            if use:
                self.select_model(entry)
            then = "type a prompt to try it" if use else "choose it among your models to use it"
            self.notice.emit(f"“{entry.name}” is ready; {then}.")

    def _on_updates(self) -> None:
        revisions = {str(e.folder): self.hub.update_of(str(e.folder)) for e in self._hub_models()}
        self.models.set_updates(revisions)

    def _on_updated(self, folder: str) -> None:
        entry = self.models.entry(folder)
        if entry is not None:
            self.notice.emit(f"“{entry.name}” is up to date now.")

    def _hub_models(self) -> list[ModelEntry]:
        return [entry for entry in self.models.entries() if entry.repo]

    def _on_entry_changed(self, entry: ModelEntry) -> None:
        if entry.folder == self.model.folder:
            self.model_read.emit(entry)

    def _on_refreshed(self) -> None:
        """A remembered model that is no longer there gives way to the starter, and says so."""
        self.hub.set_library(library_of(self.models.entries()))
        self._greet_new_models()
        if self._selected and self.models.entry(self._selected) is None:
            name = Path(self._selected).name
            self.select_model(self.models.entries()[0])
            self.notice.emit(f"The model “{name}” is no longer there; the starter model is used.")

    # -- jobs ---------------------------------------------------------------------------------

    @property
    def activity(self) -> Activity:
        return self._activity

    @property
    def has_prompt(self) -> bool:
        """Whether the draft says what to make: in words or with a starting picture."""
        request = self.draft.draft.request
        start = request.start_image
        return bool(request.prompt.strip() or (start is not None and start.path))

    def generate(self) -> bool:
        """Put the draft in line, with a seed drawn for it where none is kept.

        Returns:
            Whether it is in line; what hinders it has been raised as a signal.
        """
        entry = self.model
        draft = self.draft.draft
        try:
            if entry.problem:
                raise unusable(entry.problem, str(entry.folder))
            if not self.has_prompt:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST, "Type a prompt first: what should be seen?"
                )
            if not draft.seed_locked:
                draft = replace(draft, request=replace(draft.request, seed=random_seed()))
            sent = draft if entry.has_encoder else draft.with_value("start_image.path", "")
            requests = sent.requests_for(entry.request_folder, **self._how())
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

    def _how(self) -> dict[str, Any]:
        """How pictures are made by the person's settings, beside what the draft says."""
        settings = self.settings
        return {
            "output_dir": settings.pictures_folder,
            "previews": settings.previews,
            "keep_previews": settings.previews and settings.keep_steps,
        }

    def plan_grid(self, columns: Side, rows: Side) -> GridPlan:
        """The grid that the draft and two sides make.

        Raises:
            SfumatoError: BAD_REQUEST, saying what is wrong.
        """
        draft = self.draft.draft
        if not draft.seed_locked:
            draft = replace(draft, request=replace(draft.request, seed=random_seed()))
        if not self.model.has_encoder:
            draft = draft.with_value("start_image.path", "")
        draft = draft.with_variation_seed()
        if not self.has_prompt and "prompt" not in (columns.field, rows.field):
            raise SfumatoError(ErrorKind.BAD_REQUEST, "Type a prompt first: what should be seen?")
        model = self.model.request_folder
        return plan_grid(draft, (columns, rows), model, self.models.named, **self._how())

    def make_grid(self, plan: GridPlan) -> bool:
        """Put a grid's cells in line; whether they are."""
        made = self.jobs.submit(plan.requests, "Make a Grid", plan)
        if made:
            self.prompts.asked_for()
        return made

    def vary(self, path: str) -> None:
        """Put variations of a picture in line, each towards another seed."""
        self.library.with_origin(path, self._vary)

    def _vary(self, origin: Origin) -> None:
        drafts = variations_of(origin)
        if not drafts:
            self.notice.emit("This picture does not say its seed, so there is nothing to vary.")
            return
        match = self.imports.match(origin)
        entry = match.entry if match.entry is not None and match.sure else self.model
        try:
            model = entry.request_folder
            requests = [draft.request_for(model, **self._how()) for draft in drafts]
        except SfumatoError as error:
            self.error_raised.emit(error)
            return
        told = f"{len(requests)} variations of this picture are in line."
        if not match.sure and origin.model:
            told = f"{told} Its model “{origin.model}” is not here, so “{entry.name}” makes them."
        if self.jobs.submit(requests, "Make Variations"):
            self.undoable.emit(told)

    def stop(self) -> None:
        """Stop the running job; asked a second time, the engine is ended and started again."""
        if not self._activity.busy:
            return
        if self.queue.stop_current():
            self._set_activity(replace(self._activity, phase=Phase.STOPPING))
        else:
            self._set_activity(Activity(waiting=len(self.jobs.waiting()), waits=self.queue.waits))

    def retry_failed(self) -> None:
        """Put the job that failed last in line again."""
        if self._failed:
            self.queue.retry(self._failed)
            self._failed = ""

    # -- what the queue says ------------------------------------------------------------------

    def _set_activity(self, activity: Activity) -> None:
        if activity.phase is Phase.LOADING:
            self._loading_tick.start()
        else:
            self._loading_tick.stop()
        self._activity = activity
        self.activity_changed.emit(activity)

    def _on_engine_state(self, state: str) -> None:
        self.engine_state = state
        self.engine_state_changed.emit(state)
        if self._activity.phase is Phase.STARTING:
            self._set_activity(replace(self._activity, engine_up=self._engine_is_up()))

    def _on_jobs(self, *_: object) -> None:
        """Jobs came, went or changed, or what hinders them did."""
        queue, waiting = self.queue, len(self.jobs.waiting())
        running = next((job for job in queue.jobs() if job.status == "running"), None)
        before, self._running = self._running, running
        if running is not None:
            if before is None or before.id != running.id:
                self._set_activity(self._fresh(running, waiting))
            else:
                self._set_activity(replace(self._activity, waiting=waiting, waits=queue.waits))
            return
        following = queue.next_waiting()
        # Held: no engine can be started.
        if following is None or queue.is_held or queue.waits in (Waits.PAUSED, Waits.BATTERY):
            self._set_activity(Activity(waiting=waiting, waits=queue.waits))
        else:
            self._set_activity(self._fresh(following, waiting - 1))

    def _fresh(self, job: Any, waiting: int) -> Activity:
        request = job.request
        return Activity(
            Phase.STARTING,
            request.prompt,
            engine_up=self._engine_is_up(),
            count=request.count,
            waiting=waiting,
            waits=self.queue.waits,
        )

    def _engine_is_up(self) -> bool:
        return self.engine_state not in ("off", "starting", "lost")

    def _on_loading(self, loading: Any) -> None:
        if self._activity.phase in (Phase.IDLE, Phase.STOPPING):
            return
        self._loading_base = float(loading.elapsed)
        self._loading_since.start()
        self._set_activity(
            replace(
                self._activity,
                phase=Phase.LOADING,
                component=loading.component,
                index=loading.index,
                total=loading.total,
                elapsed=self._loading_base,
            )
        )

    def _on_loading_tick(self) -> None:
        elapsed = self._loading_base + self._loading_since.elapsed() / 1000
        self._set_activity(replace(self._activity, elapsed=elapsed))

    def _on_step(self, update: Any) -> None:
        if self._activity.phase is Phase.IDLE:
            return
        stopping = self._activity.phase is Phase.STOPPING
        self._set_activity(
            replace(
                self._activity,
                phase=Phase.STOPPING if stopping else Phase.DENOISING,
                picture_index=update.picture_index,
                count=update.count,
                step=update.step,
                steps=update.steps,
                seconds_per_step=update.seconds_per_step or 0.0,
                seconds_left=update.seconds_left or 0.0,
                preview=update.preview if update.preview is not None else self._activity.preview,
            )
        )

    def _on_enlarging(self, done: int, total: int) -> None:
        if self._activity.phase in (Phase.DENOISING, Phase.ENLARGING):
            self._set_activity(
                replace(self._activity, phase=Phase.ENLARGING, index=done, total=total)
            )

    def _on_picture(self, picture: Any) -> None:
        self.library.add(picture.path, picture.record)
        for note in picture.record.notes:
            self.notice.emit(note)

    def _on_made_elsewhere(self, path: str) -> None:
        """Another window has finished a picture of the queue."""

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
