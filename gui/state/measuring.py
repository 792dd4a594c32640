"""Which compute unit is quickest for a model, found out on this computer.

A thread of its own waits for the processes that try the units; the window hears how far they are.
A person may ask for it; otherwise a model is measured once, after its first picture, when nothing
else goes on, and whatever is asked of the engine comes first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from gui import words
from gui.coreml.operations import runs_core_ml
from gui.errors import Cancelled, SfumatoError, as_sfumato_error
from gui.hub.machine import this_computer
from gui.library import unit_times
from gui.library.unit_times import Computer, Measurement
from gui.measure import client, telling
from gui.measure.client import Measurer, Subject
from gui.measure.messages import LoadingPart, StepMade, TryEvent
from gui.measure.telling import UnitRow
from gui.request import ComputeUnit
from gui.state import desktop
from gui.state.background import Background
from gui.state.model_entry import ModelEntry, machine

IDLE_MS = 4000
"""So long nothing must have been asked of the engine before a model is measured unasked."""
_SPARE = 0.75
"""The share of the memory that the engine's model and the one that is measured may take."""
_NEURAL = (ComputeUnit.CPU_AND_NE, ComputeUnit.ALL)


@dataclass(frozen=True)
class MeasuringStatus:
    """What is being measured."""

    folder: str
    """Of the model, as requests have it."""
    name: str
    unasked: bool
    unit: str = ""
    """In words; empty: it begins."""
    number: int = 0
    total: int = 0
    what: str = ""
    """``loading UNet``, ``step 2 of 4``."""
    hint: str = ""
    """What it is that takes long."""
    stopping: bool = False


class ModelMeasuring(QObject):
    """Measures one model at a time.

    Args:
        queue: the `JobQueue`, which always comes first.
        model: gives the model in use.
        unit: gives the compute unit that the person has chosen for pictures.
        background: reads what was measured before.
        make_measurer: on the thread that measures.
        ask_power: tells whether energy is to be saved; called on another thread.
    """

    changed = Signal()
    """`status` says something else now."""
    measured = Signal(str, Measurement)
    """Folder of a model, and what is known of it now."""
    failed = Signal(SfumatoError)
    notice = Signal(str)

    _told = Signal(object)

    def __init__(
        self,
        queue: Any,
        model: Callable[[], ModelEntry],
        unit: Callable[[], ComputeUnit],
        background: Background,
        parent: QObject | None = None,
        make_measurer: Callable[[], Measurer] = Measurer,
        ask_power: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(parent)
        self.status: MeasuringStatus | None = None
        self._queue = queue
        self._model = model
        self._unit = unit
        self._background = background
        self._make = make_measurer
        self._ask_power = ask_power or _saves_energy
        self._measurer: Measurer | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._closed = False
        self._done: set[str] = set()  # identities that need no more looking at
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self._measure_unasked)
        self._told.connect(self._on_told)
        queue.picture_ready.connect(self._on_picture)
        for signal in (queue.job_added, queue.jobs_reset, queue.job_changed):
            signal.connect(self._give_way)
        for signal in (queue.live.loading, queue.live.step):
            signal.connect(self._on_live)

    @property
    def engine_is_busy(self) -> bool:
        """Whether pictures are made; a measurement would have to share the processors with them."""
        return not self._queue.is_free

    @property
    def has_choice(self) -> bool:
        """Whether there is more than one compute unit here."""
        return runs_core_ml()

    @staticmethod
    def unit(name: str) -> ComputeUnit:
        return ComputeUnit(name)

    def look_up(self, entry: ModelEntry, then: Callable[[Measurement | None], object]) -> None:
        """What is known of a model, if anything is."""
        self._background.run(
            lambda: unit_times.find(entry.identity, this_computer()), then, lambda _error: None
        )

    def measure(self, entry: ModelEntry) -> None:
        """Try every compute unit there is, as a person asked for it."""
        if entry.info is None or self.status is not None:
            return
        self._begin(entry, unasked=False)

    def stop(self) -> None:
        """Give it up; what was measured stays."""
        if self.status is not None and not self.status.stopping:
            self._stop.set()
            self._set(self.status, stopping=True)

    def close(self) -> None:
        """End thread and process."""
        self._closed = True
        self._idle.stop()
        self._stop.set()
        measurer = self._measurer
        if measurer is not None:
            measurer.abandon()
        if self._thread is not None:
            self._thread.join()

    def give_way(self, *_: object) -> None:
        """Another model is in use, and may be wanted at once: what nobody asked for ends."""
        self._idle.stop()
        if self.status is not None and self.status.unasked:
            self.stop()

    # -- unasked ------------------------------------------------------------------------------

    def _on_picture(self, *_: object) -> None:
        self._idle.start()

    def _measure_unasked(self) -> None:
        entry = self._model()
        if self.engine_is_busy or self.status is not None or self._closed:
            return  # the next picture begins anew
        if self._unit() is not ComputeUnit.ALL or entry.info is None:
            return  # what the person has chosen is used in any case
        if entry.identity and entry.identity not in self._done:
            self._background.run(
                lambda: self._worth_measuring(entry),
                lambda worth: self._on_worth(entry, worth=worth),
                lambda _error: None,
            )

    def _worth_measuring(self, entry: ModelEntry) -> bool | None:
        """Whether to measure now; None: never in this session.  On another thread."""
        assert entry.info is not None
        computer = this_computer()
        units = client.units_unasked(
            computer, entry.info.attention.value, apple_silicon=machine().apple_silicon
        )
        memory = machine().memory_bytes
        if not units or 2 * entry.memory > _SPARE * memory > 0:
            return None
        known = unit_times.find(entry.identity, computer)
        if known is not None and all(known.of(unit) for unit in units):
            return None
        return not self._ask_power()

    def _on_worth(self, entry: ModelEntry, *, worth: bool | None) -> None:
        if worth is None:
            self._done.add(entry.identity)
        elif worth and not self.engine_is_busy and self.status is None:
            self.notice.emit(
                f"Finding out which processor is quickest for “{entry.name}”; whatever you do "
                "comes first."
            )
            self._begin(entry, unasked=True)

    def _give_way(self, *_: object) -> None:
        """Jobs came or went."""
        if self.engine_is_busy:
            self._on_live()

    def _on_live(self, *_: object) -> None:
        """The engine is asked for something."""
        self._idle.stop()
        status = self.status
        if status is not None and not status.stopping:
            self.stop()
            if not status.unasked:
                self.notice.emit(
                    "Measuring has stopped, for a picture is being made. Measure again when it is "
                    "finished."
                )

    # -- the thread ---------------------------------------------------------------------------

    def _begin(self, entry: ModelEntry, *, unasked: bool) -> None:
        assert entry.info is not None
        subject = client.subject_of(entry.info, str(entry.folder), entry.name, entry.identity)
        self._stop.clear()
        folder = entry.request_folder
        self.status = MeasuringStatus(folder, entry.name, unasked)
        self._thread = threading.Thread(
            target=self._work, args=(subject, self.status), name="measuring", daemon=True
        )
        self._thread.start()
        self.changed.emit()

    def _work(self, subject: Subject, status: MeasuringStatus) -> None:
        try:
            measurer = self._measurer = self._make()
            found = self._measured(measurer, subject, status)
            self._told.emit((status, found))
        except Cancelled:
            self._told.emit((status, None))
        except Exception as error:
            self._told.emit((status, as_sfumato_error(error)))
        finally:
            self._measurer = None

    def _measured(
        self, measurer: Measurer, subject: Subject, status: MeasuringStatus
    ) -> Measurement:
        computer = measurer.computer
        silicon = machine().apple_silicon
        units = client.all_units(computer, apple_silicon=silicon)
        if status.unasked:
            units = client.units_unasked(computer, subject.attention, apple_silicon=silicon)
        at = dict[str, Any]()

        def on_unit(unit: ComputeUnit, number: int, total: int) -> None:
            at.update(unit=telling.unit_name(unit, computer), number=number, total=total)
            at["hint"] = words.PREPARING if unit in _NEURAL and computer.runtime == "native" else ""
            self._told.emit({**at, "what": "starting"})

        def on_event(event: TryEvent) -> None:
            if isinstance(event, LoadingPart):
                self._told.emit({**at, "what": f"loading {words.component(event.component)}"})
            elif isinstance(event, StepMade):
                what = f"step {event.step} of {event.steps}"
                self._told.emit({**at, "what": what, "hint": ""})

        return measurer.measure(
            subject,
            units,
            limit=client.LIMIT_SECONDS if status.unasked else client.PATIENT_SECONDS,
            only_missing=status.unasked,
            on_unit=on_unit,
            on_event=on_event,
            on_result=lambda found: self._told.emit((None, found)),
            cancelled=self._stop.is_set,
        )

    # -- the window's thread ------------------------------------------------------------------

    def _set(self, status: MeasuringStatus, **changes: Any) -> None:
        self.status = MeasuringStatus(**{**vars(status), **changes})
        self.changed.emit()

    def _on_told(self, what: Any) -> None:
        if self._closed or self.status is None:
            return
        if isinstance(what, dict):
            self._set(self.status, **what)
            return
        ended, found = what
        status = self.status
        if isinstance(found, Measurement):
            self.measured.emit(status.folder, found)
        if ended is None:
            return
        self.status = None
        self.changed.emit()
        if isinstance(found, SfumatoError):
            if not status.unasked:
                self.failed.emit(found)
        elif isinstance(found, Measurement) and status.unasked:
            sentence = telling.choice_sentence(found)
            self.notice.emit(f"“{status.name}” was measured. {sentence}".strip())


def _saves_energy() -> bool:
    services = desktop.services()
    return services.on_battery() or services.saves_energy()


__all__ = ["Computer", "Measurement", "MeasuringStatus", "ModelMeasuring", "UnitRow", "telling"]
