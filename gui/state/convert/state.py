"""Conversions, as the window sees them.

Threading: two threads, each with a converter process of its own, do the waiting, and a third looks
at files; every signal and method of `ConvertState` belongs to the thread that made it (the
window's).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from gui import paths
from gui.convert.client import ConvertClient, Outlook, Unfinished, remove_partial, unfinished
from gui.convert.types import (
    Compression,
    ConvertReport,
    ConvertRequest,
    Ended,
    Estimate,
    ImageSize,
    Lora,
    Parity,
    Progress,
    SourceInfo,
    Step,
)
from gui.coreml.model import Attention, ComponentKind, Family
from gui.errors import SfumatoError
from gui.hub.types import Machine
from gui.names import parse_repository
from gui.state.background import Background
from gui.state.convert.fetch import SourceFetch
from gui.state.convert.options import existing_path, taken_names
from gui.state.convert.status import (
    STEP_WORDS,
    ComponentRow,
    ConvertPhase,
    ConvertStatus,
    with_progress,
)

ESTIMATE_DELAY_MS = 200
"""An estimate is asked for when the person has stopped changing things for this long."""

TICK_MS = 1000
MIN_INTERVAL = 0.1
"""Seconds between two reports of how far a step is."""
LOG_LINES = 2000

_TRUSTED = 0.05
"""Part of the work after which the time left is measured rather than estimated."""


class _Look(QThread):
    """Answers questions about sources and requests, the newest of each kind only."""

    looked = Signal(int, object)  # ticket, SourceInfo or SfumatoError
    estimated = Signal(int, object)  # ticket, Outlook or SfumatoError
    machine_known = Signal(Machine)
    library_seen = Signal(frozenset)  # before the answer of a look or an outlook

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.setObjectName("convert-look")
        self._questions: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._newest: dict[str, int] = {}
        self._client = ConvertClient()
        self._closing = False

    def ask(self, what: str, ticket: int, subject: Any = None) -> None:
        """`what`: look, outlook, machine or rest."""
        self._newest[what] = ticket
        self._questions.put((what, ticket, subject))
        if not self.isRunning():
            self.start()

    def close(self) -> None:
        self._closing = True
        self._client.abandon()
        self._questions.put(("rest", 0, None))
        self.wait()

    def run(self) -> None:
        while not self._closing:
            what, ticket, subject = self._questions.get()
            if what == "machine":
                self.machine_known.emit(_this_machine())
            elif what == "rest":
                self._client.stop()
            elif ticket == self._newest[what]:
                self._answer(what, ticket, subject)
        self._client.close()

    def _answer(self, what: str, ticket: int, subject: Any) -> None:
        _make_models_folder()
        self.library_seen.emit(taken_names())
        try:
            if what == "look":
                answer: object = self._client.look(subject)
            else:
                estimate = self._client.estimate(subject)
                self.estimated.emit(ticket, Outlook(estimate, checked=False))
                answer = Outlook(estimate, self._client.refusal(subject))
        except SfumatoError as error:
            answer = error
        if not self._closing:
            (self.looked if what == "look" else self.estimated).emit(ticket, answer)


def _this_machine() -> Machine:
    from gui.hub.machine import this_machine

    return this_machine()


def _make_models_folder() -> None:
    # Where it cannot be made, the converter's check says so in a sentence.
    with contextlib.suppress(OSError):
        paths.models_dir().mkdir(parents=True, exist_ok=True)


class _Work(QThread):
    """Runs one conversion."""

    progressed = Signal(Progress)
    ended = Signal(Ended)

    def __init__(self, request: ConvertRequest, estimate: Estimate | None, parent: QObject) -> None:
        super().__init__(parent)
        self.setObjectName("convert")
        self._request = request
        self._estimate = estimate
        self._client = ConvertClient()
        self._cancel = threading.Event()
        self._stage: tuple[str, Step, int] | None = None
        self._said = 0.0

    def cancel(self) -> None:
        self._cancel.set()

    def abandon(self) -> None:
        self._client.abandon()

    def run(self) -> None:
        _make_models_folder()
        ended = self._client.convert(
            self._request, self._on_progress, self._cancel.is_set, self._estimate
        )
        self._client.close()
        self.ended.emit(ended)

    def _on_progress(self, progress: Progress) -> None:
        """Pass it on, unless it says only how far a step is and comes too soon after the last."""
        now = time.monotonic()
        stage = (progress.component, progress.step, progress.index)
        plain = not (progress.message or progress.parity or progress.resumed)
        if plain and stage == self._stage and now - self._said < MIN_INTERVAL:
            return
        self._stage, self._said = stage, now
        self.progressed.emit(progress)


class ConvertState(QObject):
    """What the Convert sheet binds to.  One conversion runs at a time."""

    looked = Signal(SourceInfo)
    """Of the path asked for last."""
    look_failed = Signal(SfumatoError)
    estimated = Signal(Outlook)
    """Of the request asked for last; often twice, unchecked and checked."""
    estimate_failed = Signal(SfumatoError)
    machine_known = Signal(Machine)
    status_changed = Signal(ConvertStatus)
    log_added = Signal(str)
    finished = Signal(ConvertReport)
    """The model is in the library's folder."""
    failed = Signal(SfumatoError)
    unfinished_changed = Signal()
    found = Signal(str, str)
    """A text that `find` was asked for last, and the path of the file or folder it means; an empty
    path: there is none."""
    library_seen = Signal(frozenset)
    """The names in the library's folder, `taken`, have been read again."""
    source_progress = Signal(str)
    """Where the download of a source stands, in words."""
    source_failed = Signal(SfumatoError)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._files = Background(self)
        self.sources = SourceFetch(self._files, self)
        self.sources.progressed.connect(self.source_progress)
        self.sources.failed.connect(self.source_failed)
        self.sources.fetched.connect(self.look)
        self.status = ConvertStatus()
        self.machine: Machine | None = None
        self.log: list[str] = []
        self.unfinished: list[Unfinished] = []
        self.taken: frozenset[str] = frozenset()
        self._estimate: Estimate | None = None
        self._expected: Estimate | None = None
        self._ticket = 0
        self._look_ticket = 0
        self._pausing = False
        self._work: _Work | None = None
        self._begun = 0.0
        self._measured_from: tuple[float, float] | None = None
        self._to_estimate: ConvertRequest | None = None
        self._look = _Look(self)
        self._look.looked.connect(self._on_looked)
        self._look.estimated.connect(self._on_estimated)
        self._look.machine_known.connect(self._on_machine)
        self._look.library_seen.connect(self._on_library)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(ESTIMATE_DELAY_MS)
        self._delay.timeout.connect(self._ask_estimate)
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self._on_tick)

    # -- before ---------------------------------------------------------------------------------

    def find(self, text: str) -> None:
        """Find out whether a text is the path of something; `found` follows.  What was looked at
        before is no longer wanted."""
        self.leave(parse_repository(text) or "")
        ticket = self._ticket

        def answer(path: str) -> None:
            if ticket == self._ticket:
                self.found.emit(text, path)

        self._files.run(lambda: existing_path(text), answer, lambda _: answer(""))

    def look(self, path: str) -> None:
        """Find out what a source is; `looked` or `look_failed` follows."""
        self.sources.let_go()
        if self.machine is None:
            self._look.ask("machine", 0)
        self._ask_no_more()
        self._look.ask("look", self._ticket, path)

    def leave(self, repo: str = "") -> None:
        """Something else than what was asked for last is to be the source: no answer about that
        comes any more.  A download of `repo` is watched on."""
        self._ask_no_more()
        if self.sources.repo != repo:
            self.sources.let_go()

    def _ask_no_more(self) -> None:
        self._delay.stop()
        self._ticket += 1
        self._look_ticket = self._ticket

    @property
    def can_fetch(self) -> bool:
        """Whether sources can be downloaded from the Hub."""
        return self.sources.available

    @property
    def fetching(self) -> bool:
        return bool(self.sources.repo)

    def fetch(self, repo: str) -> None:
        """Download a checkpoint from the Hub, then look at it."""
        self.sources.fetch(repo)

    def with_origin(self, request: ConvertRequest) -> ConvertRequest:
        """The request, saying where on the Hub its source came from, if it did."""
        repo, revision = self.sources.origin(request.source)
        return replace(request, source_repo=repo, source_revision=revision)

    def estimate(self, request: ConvertRequest) -> None:
        """Find out what a conversion would take, once nothing has changed for a moment."""
        self._to_estimate = request
        self._delay.start()

    def rest(self) -> None:
        """Nothing more will be asked for a while."""
        self._delay.stop()
        if self._look.isRunning():
            self._look.ask("rest", 0)

    def _ask_estimate(self) -> None:
        self._ticket += 1
        self._look.ask("outlook", self._ticket, self._to_estimate)

    def _on_looked(self, ticket: int, answer: object) -> None:
        if ticket != self._look_ticket:
            return
        if isinstance(answer, SfumatoError):
            self.look_failed.emit(answer)
        else:
            self.looked.emit(answer)

    def _on_estimated(self, ticket: int, answer: object) -> None:
        if ticket != self._ticket:
            return
        if isinstance(answer, SfumatoError):
            self.estimate_failed.emit(answer)
        elif isinstance(answer, Outlook):
            self._estimate = answer.estimate
            self.estimated.emit(answer)

    def _on_library(self, names: frozenset[str]) -> None:
        if names != self.taken:
            self.taken = names
            self.library_seen.emit(names)

    def _on_machine(self, machine: Machine) -> None:
        self.machine = machine
        self.machine_known.emit(machine)

    # -- the conversion -------------------------------------------------------------------------

    def start(self, request: ConvertRequest) -> None:
        """Convert; does nothing while another conversion runs."""
        if self.status.busy:
            return
        # Of this request, or of one that differs by where its source came from.
        known = self._to_estimate is not None and self._to_estimate.output == request.output
        self._expected = self._estimate if known else None
        self.log.clear()
        self._pausing = False
        self._measured_from = None
        self._begun = time.monotonic()
        self.rest()
        self._work = _Work(request, self._expected, self)
        self._work.progressed.connect(self._on_progress)
        self._work.ended.connect(self._on_ended)
        self._set(ConvertStatus(ConvertPhase.RUNNING, request))
        self._say(f"Source: {request.source}")
        self._tick.start()
        self._work.start()
        self._drop_unfinished(request)

    def cancel(self) -> None:
        """Stop, and take away what has been made; within a few seconds."""
        if self._work is not None and self.status.busy:
            self._set(replace(self.status, phase=ConvertPhase.STOPPING))
            self._work.cancel()

    def pause(self) -> None:
        """Stop now and keep the finished components."""
        if self._work is not None and self.status.phase is ConvertPhase.RUNNING:
            self._pausing = True
            self._set(replace(self.status, phase=ConvertPhase.STOPPING))
            self._work.abandon()

    def resume(self) -> None:
        """Go on with the conversion that failed or was paused last."""
        if self.status.request is not None and not self.status.busy:
            self.start(self.status.request)

    def forget(self) -> None:
        """Put a conversion that has ended out of sight."""
        if not self.status.busy:
            self._set(ConvertStatus())

    def dismiss(self) -> None:
        """Take what has ended, and what is unfinished, out of sight until the next start."""
        self.forget()
        if self.unfinished:
            self.unfinished = []
            self.unfinished_changed.emit()

    def _on_progress(self, progress: Progress) -> None:
        if not self.status.busy:
            return
        if progress.message:
            self._say(progress.message)
        if not progress.resumed and self._measured_from is None:
            self._measured_from = (time.monotonic(), progress.fraction)
        self._set(self._timed(with_progress(self.status, progress)))

    def _on_tick(self) -> None:
        self._set(self._timed(self.status))

    def _timed(self, status: ConvertStatus) -> ConvertStatus:
        now = time.monotonic()
        left = 0.0
        if self._expected is not None:
            left = self._expected.seconds * (1 - status.fraction)
        if self._measured_from is not None:
            began, before = self._measured_from
            done = status.fraction - before
            if done >= _TRUSTED:
                left = (now - began) / done * (1 - status.fraction)
        return replace(status, elapsed=now - self._begun, left=left)

    def _on_ended(self, ended: Ended) -> None:
        self._tick.stop()
        work, self._work = self._work, None
        if work is not None:
            work.wait()
            work.deleteLater()
        status = replace(self._timed(self.status), left=0.0)
        if self._pausing and ended.report is None:
            self._set(replace(status, phase=ConvertPhase.PAUSED))
        elif ended.report is not None:
            rows = tuple(replace(row, done=True) for row in status.rows)
            self._say("Finished.")
            self._set(
                replace(
                    status, phase=ConvertPhase.DONE, fraction=1.0, report=ended.report, rows=rows
                )
            )
            self.finished.emit(ended.report)
        elif ended.error is not None:
            self._say(ended.error.message)
            self._set(replace(status, phase=ConvertPhase.FAILED, error=ended.error))
            self.failed.emit(ended.error)
        else:
            self._set(ConvertStatus(ConvertPhase.CANCELLED, status.request))
        self.find_unfinished()

    def _set(self, status: ConvertStatus) -> None:
        self.status = status
        self.status_changed.emit(status)

    def _say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')}  {text}"
        self.log.append(line)
        del self.log[:-LOG_LINES]
        self.log_added.emit(line)

    # -- conversions of earlier days --------------------------------------------------------------

    def find_unfinished(self) -> None:
        """Look for conversions that can go on, the running one left out; `unfinished_changed`
        follows where there are others than before."""

        def look() -> tuple[list[Unfinished], frozenset[str]]:
            return unfinished(paths.models_dir()), taken_names()

        def looked(answer: tuple[list[Unfinished], frozenset[str]]) -> None:
            self._on_library(answer[1])
            running = self.status.request if self.status.busy else None
            found = [each for each in answer[0] if each.request != running]
            if found != self.unfinished:
                self.unfinished = found
                self.unfinished_changed.emit()

        self._files.run(look, looked, self.failed.emit)

    def discard(self, each: Unfinished) -> None:
        """Throw away what an unfinished conversion has made."""
        self._files.run(
            lambda: remove_partial(each.request, later=True), lambda _: None, self.failed.emit
        )
        self._drop_unfinished(each.request)
        if self.status.request == each.request and not self.status.busy:
            self._set(ConvertStatus())
        self.find_unfinished()

    def _drop_unfinished(self, request: ConvertRequest) -> None:
        left = [each for each in self.unfinished if each.request != request]
        if left != self.unfinished:
            self.unfinished = left
            self.unfinished_changed.emit()

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything now.  A running conversion can go on at the next start."""
        self._delay.stop()
        self._tick.stop()
        self._look.close()
        self._files.close()
        if self._work is not None:
            self._work.ended.disconnect(self._on_ended)
            self._work.abandon()
            self._work.wait()
            self._work = None


__all__ = [
    "STEP_WORDS",
    "Attention",
    "ComponentKind",
    "ComponentRow",
    "Compression",
    "ConvertPhase",
    "ConvertReport",
    "ConvertRequest",
    "ConvertState",
    "ConvertStatus",
    "Estimate",
    "Family",
    "ImageSize",
    "Lora",
    "Machine",
    "Outlook",
    "Parity",
    "Progress",
    "SourceInfo",
    "Step",
    "Unfinished",
    "with_progress",
]
