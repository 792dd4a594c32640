"""Live: the picture follows the draft as it changes.

Each change asks for the picture that the draft stands for.  While the hand moves, pictures come as
quickly as the engine makes them: one that was begun goes on to its first step, or to its end where
that is near, and then gives way to the newest draft.  Once the hand rests the newest is made at
once.  A picture never follows one of a newer draft.  Nothing is listed or saved until it is kept;
jobs of the queue go first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QImage

from gui.engine import messages
from gui.engine.runner import Outcome, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError
from gui.request import Enlargement, PictureRequest
from gui.state.draft import Draft, DraftState, random_seed
from gui.state.pipeline_thread import StepUpdate

SOON_MS = 40
"""After a change, before its picture is asked for: what changes at once is one wish."""
REST_MS = 150
"""After the last change, before what is being made of an earlier draft is given up."""
NEARLY_SECONDS = 0.6
"""What is left of a picture of an earlier draft that is made to its end."""
_BY_CHANGES = (ErrorKind.BAD_REQUEST, ErrorKind.BAD_IMAGE, ErrorKind.NOT_FOUND, ErrorKind.STORAGE)
"""Errors that another change of the draft can mend; any other switches Live off."""


class LivePhase(StrEnum):
    """What Live is at."""

    OFF = "off"
    EMPTY = "empty"
    """The draft says nothing that could be drawn."""
    WAITING = "waiting"
    """The engine is the queue's for now, or another window's."""
    LOADING = "loading"
    DRAWING = "drawing"
    DONE = "done"
    """The picture is the draft's, or there is none as it failed."""


class LivePictures(QObject):
    """Asks for the draft's picture whenever it changes, while it is on.

    Args:
        draft: what is followed.
        queue: the `JobQueue`, or anything with its signals and methods.
        has_prompt: whether the draft says what to make.
        requests: what a draft asks for with the model in use; raises `SfumatoError`.
    """

    switched = Signal(bool)
    changed = Signal()
    """`phase` or `image` is another."""
    failed = Signal(SfumatoError)
    notice = Signal(str)

    def __init__(
        self,
        draft: DraftState,
        queue: Any,
        has_prompt: Callable[[], bool],
        requests: Callable[[Draft], list[PictureRequest]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._draft = draft
        self._queue = queue
        self._has_prompt = has_prompt
        self._requests = requests
        self.phase = LivePhase.OFF
        self.image: QImage | None = None
        """The newest step, or the finished picture; an older draft's until there is one of this."""
        self.request: PictureRequest | None = None
        """What `image` is of."""
        self.size: tuple[int, int] | None = None
        """Of the finished picture, where `image` is a step of it."""
        self.overlay: Callable[[Draft], Draft] = lambda draft: draft
        """The draft as the hand that is painting on it has it already."""
        self._wanted: PictureRequest | None = None
        self._asked = ""  # the id of what is being made
        self._making: PictureRequest | None = None  # that is it
        self._done = False  # with what is wanted
        self._told = ""
        self._number = 0
        self._step_size: tuple[int, int] | None = None
        self._variation_seed = 0
        self._soon, self._rest = QTimer(self), QTimer(self)
        for timer, pause in ((self._soon, SOON_MS), (self._rest, REST_MS)):
            timer.setSingleShot(True)
            timer.setInterval(pause)
        self._soon.timeout.connect(self._ask)
        self._rest.timeout.connect(self._on_rest)
        draft.changed.connect(self.look)
        for signal in (
            queue.job_added, queue.job_changed, queue.job_removed, queue.jobs_reset,
            queue.waits_changed,
        ):  # fmt: skip
            signal.connect(self._on_queue)
        queue.live.loading.connect(self._on_loading)
        queue.live.prepared.connect(self._on_prepared)
        queue.live.step.connect(self._on_step)
        queue.live.frame.connect(self._on_frame)
        queue.live.ended.connect(self._on_ended)

    # -- the switch ---------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        return self.phase is not LivePhase.OFF

    def switch(self, on: bool) -> None:
        """Follow the draft, or no longer; what hinders it is told, and it is off then."""
        if on == self.on:
            return
        self._told = ""
        if on:
            self.phase = LivePhase.EMPTY
            self._fix_seeds()
            self.switched.emit(True)
            self.look()
        else:
            self._forget()
            self.phase, self._wanted, self.image, self.request = LivePhase.OFF, None, None, None
            self.switched.emit(False)
        self.changed.emit()

    def close(self) -> None:
        """The window closes; nothing more is told."""
        self._forget()
        self.phase = LivePhase.OFF

    def _fix_seeds(self) -> None:
        """Pictures that follow each other have one seed: the person's, or the one used last."""
        self._variation_seed = random_seed()
        draft = self._draft.draft
        if not draft.seed_locked and not draft.request.seed:
            self._draft.put(replace(draft, request=replace(draft.request, seed=random_seed())))

    # -- what is wanted -----------------------------------------------------------------------

    def now(self) -> Draft:
        """The draft with every seed in it."""
        return self._with_seeds(self._draft.draft)

    def _with_seeds(self, draft: Draft) -> Draft:
        if draft.request.variation_seed is None:
            draft = draft.with_value("variation_seed", self._variation_seed)
        return draft

    def kept(self) -> PictureRequest:
        """The request for a picture to be saved of what the draft says now.

        Raises:
            SfumatoError: as `requests`.
        """
        request = replace(self._requests(self.now())[0], count=1)
        self.look()
        self._forget()
        self._done = True  # it is made by the queue
        self._set(LivePhase.DONE)
        return request

    @Slot()
    def look(self) -> None:
        """The draft or the model may be another."""
        if not self.on:
            return
        wanted = self._wish()
        if not self.on or wanted == self._wanted:
            return
        self._wanted, self._done = wanted, False
        if wanted is None:
            self._forget()
            self.image, self.request = None, None
            self._set(LivePhase.EMPTY)
            return
        self._rest.start()
        if not self._asked and not self._soon.isActive():
            self._soon.start()

    def _wish(self) -> PictureRequest | None:
        if not self._has_prompt():
            return None
        try:
            request = self._requests(self._with_seeds(self.overlay(self._draft.draft)))[0]
        except SfumatoError as error:
            self._tell(error)
            return None
        return replace(
            request,
            count=1,
            enlargement=Enlargement.OFF,
            previews=True,
            keep_previews=False,
            output_dir="",
        )

    def _tell(self, error: SfumatoError) -> None:
        """One sentence, once; where no change of the draft would help, Live is off."""
        told, self._told = self._told, error.message
        if error.kind not in _BY_CHANGES:
            self.switch(False)
        if told != error.message:
            self.failed.emit(error)

    def _forget(self) -> None:
        """Nothing that was asked for is wanted any more."""
        self._soon.stop()
        self._rest.stop()
        if self._asked:
            self._asked = ""
            self._queue.live.stop()

    # -- asking -------------------------------------------------------------------------------

    @property
    def _outdated(self) -> bool:
        """Whether an earlier draft's picture is being made."""
        return bool(self._asked) and self._making != self._wanted

    @Slot()
    def _on_rest(self) -> None:
        """Nothing has changed for a moment."""
        if self._outdated:
            self._ask()

    @Slot()
    def _ask(self) -> None:
        """Have the newest made, in place of what is being made of an earlier draft."""
        if self._wanted is None or self._done or (self._asked and not self._outdated):
            return
        if not self._queue.is_free:
            self._set(LivePhase.WAITING)
            return
        self._number += 1
        self._asked, self._making = f"live-{self._number}", self._wanted
        self._set(LivePhase.DRAWING)
        self._queue.live.show(self._asked, self._wanted)

    def _on_queue(self, *_: object) -> None:
        """Jobs came, went or changed, or what hinders them did."""
        if not self.on or self._wanted is None:
            return
        if not self._queue.is_free:
            if self._asked:
                self._forget()
                self._set(LivePhase.WAITING)
        elif not self._asked and not self._soon.isActive():
            self._ask()

    def _set(self, phase: LivePhase) -> None:
        self.phase = phase
        self.changed.emit()

    # -- what comes of it ---------------------------------------------------------------------

    @Slot(str, messages.Loading)
    def _on_loading(self, live_id: str, _event: messages.Loading) -> None:
        if live_id == self._asked and self.phase is not LivePhase.LOADING:
            self._set(LivePhase.LOADING)

    @Slot(str, messages.Prepared)
    def _on_prepared(self, live_id: str, event: messages.Prepared) -> None:
        if live_id == self._asked:
            self._step_size = (event.width, event.height)

    @Slot(str, StepUpdate)
    def _on_step(self, live_id: str, update: StepUpdate) -> None:
        if live_id != self._asked:
            return
        if update.preview is not None:
            self._show(update.preview, LivePhase.DRAWING, self._step_size)
        if self._outdated and update.seconds_left > NEARLY_SECONDS:
            self._ask()

    @Slot(str, QImage)
    def _on_frame(self, live_id: str, image: QImage) -> None:
        if live_id == self._asked:
            self._show(image, LivePhase.DRAWING if self._outdated else LivePhase.DONE, None)

    def _show(self, image: QImage, phase: LivePhase, size: tuple[int, int] | None) -> None:
        self.image, self.request, self.size = image, self._making, size
        self._set(phase)

    @Slot(str, Outcome)
    def _on_ended(self, live_id: str, outcome: Outcome) -> None:
        if not live_id or live_id != self._asked:
            return
        outdated, self._asked = self._outdated, ""
        self._done = not outdated
        if outcome.status in (OutcomeStatus.LOST, OutcomeStatus.NOT_STARTED):
            self.switch(False)
            self.notice.emit("Live is off because the engine ended; switch it on again to go on.")
        elif outcome.error is not None and not outdated:
            self._tell(outcome.error)
        if outdated and self.on:
            self._ask()
        elif self.on and self.phase is not LivePhase.DONE:
            self._set(LivePhase.DONE)
