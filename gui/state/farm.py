"""The farm as the window sees it: which Macs are in it, who draws what, and what is asked of a
person.

Where this Mac is in no farm, nothing of it is loaded or started: the file that says so is looked
for once, after the first paint.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.farm import config as farm_config
from gui.process.messages import Event, Question
from gui.state.hub.thread import Hub, HubThread

if TYPE_CHECKING:
    # Its vocabulary is loaded by who has a farm.
    from gui.farm.messages import FarmTold
    from gui.farm.wire import Offer, Seat

_STATES = {
    "idle": "Waits for something to draw",
    "asks": "Asks for pictures, and draws none",
    "away": "Away",
    "busy": "Begins…",
    "loading": "Loads the model…",
    "enlarging": "Enlarges",
}


@dataclass(frozen=True)
class SeatView:
    """A Mac in words."""

    id: str
    name: str
    own: bool
    """Whether it is this one."""
    doing: str
    speed: str
    preview: QImage | None
    removable: bool = False
    """Whether this Mac may remove it from the farm."""


@dataclass(frozen=True)
class OfferView:
    """A model that a Mac lacks, in words."""

    member: str
    hash: str
    mac: str
    model: str
    text: str
    can_copy: bool
    can_fetch: bool


_AGAIN_MS = 2000
"""After its process has died, it is started again."""


class Farm(QObject):
    """This Mac's part in a farm.

    Args:
        process: stands in for the farm's process (tests).
    """

    changed = Signal()
    """`told`, or a preview, says something else now."""
    failed = Signal(SfumatoError)
    notice = Signal(str)
    """A sentence the person should know: the other Macs cannot be reached, or can be again."""
    invited = Signal(str)
    """A join code for one more Mac."""

    def __init__(self, process: Hub | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process = process
        self._listening = False
        self.told: FarmTold | None = None
        """None until its process has said something."""
        self.busy = False
        """Whether starting, joining or leaving is under way."""
        self._previews: dict[str, tuple[object, QImage]] = {}
        self._closed = False
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(_AGAIN_MS)
        self._again.timeout.connect(self._follow)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on in the farm that this Mac is in, if it is in one.  Before the queue is opened."""
        config = farm_config.load()
        if config is None:
            return
        if not self.is_possible:
            farm_config.turn_off()
            return
        try:
            if not config.stopped:
                farm_config.turn_on()
        except SfumatoError as error:  # nothing may keep the window from opening
            self.failed.emit(error)
            return
        self._follow()

    def close(self) -> None:
        """Hang up; what is under way here is in line again."""
        self._closed = True
        self._again.stop()
        if self._process is not None:
            self._process.close()

    @property
    def is_possible(self) -> bool:
        """Whether the packages that a farm needs are installed."""
        return importlib.util.find_spec("distributed") is not None

    # -- looking ------------------------------------------------------------------------------

    @property
    def within(self) -> bool:
        """Whether this Mac is in a farm."""
        return self.told is not None and self.told.within

    @property
    def mac_name(self) -> str:
        """What this machine calls itself."""
        return farm_config.mac_name()

    @property
    def name(self) -> str:
        """The farm's."""
        return self.told.name if self.told is not None else ""

    @property
    def where(self) -> str:
        """Where it is and how it does, in a line."""
        told = self.told
        if told is None or not told.within:
            return ""
        if told.stopped:
            return "Stopped on this Mac, which makes its own queue by itself."
        if not told.linked:
            return _away(told)
        where = f"Started on this Mac, at {told.address}" if told.starts else "Joined"
        state = told.state
        waiting = words.plural(state.waiting, "picture") if state is not None else ""
        line = f"{where}.  {waiting} in line." if waiting else f"{where}."
        return "\n".join([line, *(state.remarks if state is not None else ())])

    def seat_views(self) -> list[SeatView]:
        """The Macs in words, this one first."""
        told = self.told
        return [
            SeatView(
                seat.id,
                seat.name,
                told is not None and seat.id == told.member,
                _doing(seat),
                f"{seat.minutely:.1f} a minute" if seat.minutely else "",
                self.preview(seat),
                told is not None and told.linked and told.starts and seat.id != told.member,
            )
            for seat in self.seats()
        ]

    def offer_views(self) -> list[OfferView]:
        """What a person is asked, in words."""
        return [
            OfferView(
                offer.member,
                offer.model,
                offer.member_name,
                offer.model_name,
                _offered(offer),
                bool(offer.source) and offer.state != "copying",
                bool(offer.repo) and offer.state != "copying",
            )
            for offer in self.offers()
        ]

    def seats(self) -> tuple[Seat, ...]:
        """The Macs, this one first."""
        told = self.told
        if told is None or told.state is None:
            return ()
        return tuple(
            sorted(told.state.seats, key=lambda s: (s.id != told.member, s.name.casefold()))
        )

    def offers(self) -> tuple[Offer, ...]:
        """Models that are missing somewhere, and that a person is asked about."""
        told = self.told
        return told.state.offers if told is not None and told.state is not None else ()

    def preview(self, seat: Seat) -> QImage | None:
        """What a Mac draws at present, for this one."""
        unit, image = self._previews.get(seat.id, (None, None))
        return image if image is not None and unit == seat.unit else None

    def drawing(self, job_id: str) -> list[Seat]:
        """The Macs that draw a job."""
        return [seat for seat in self.seats() if seat.unit is not None and seat.unit.job == job_id]

    # -- asking -------------------------------------------------------------------------------

    def found(self, name: str = "", *, draws: bool = True) -> None:
        """Start a farm on this Mac."""
        from gui.farm.messages import StartFarm

        self._ask_busy(StartFarm(name, draws))

    def join(self, code: str, name: str = "", *, draws: bool = True) -> None:
        """Join one with a code."""
        from gui.farm.messages import JoinFarm

        self._ask_busy(JoinFarm(code, name, draws))

    def leave(self) -> None:
        """Leave it for good."""
        from gui.farm.messages import LeaveFarm

        self._ask_busy(LeaveFarm())

    @property
    def brings(self) -> bool:
        """Whether what this Mac lacks is brought from the others without asking."""
        return self.told is not None and self.told.brings > 0

    @property
    def brings_most(self) -> str:
        """How large that may be, in words."""
        return words.size(farm_config.BRINGS)

    def bring(self, on: bool) -> None:
        """Bring it without asking, or ask."""
        from gui.farm.messages import SetBrings

        self._ask(SetBrings(farm_config.BRINGS if on else 0))

    @property
    def stopped(self) -> bool:
        """Whether a person has stopped the farm on this Mac, for now."""
        return self.told is not None and self.told.stopped

    def stop(self) -> None:
        """Be no farm here for now; `go_on` takes it back."""
        from gui.farm.messages import StopFarm

        self._ask_busy(StopFarm())

    def go_on(self) -> None:
        """Be it again."""
        from gui.farm.messages import GoOn

        self._ask_busy(GoOn())

    def remove(self, member: str) -> None:
        """Let another Mac in no more."""
        from gui.farm.messages import RemoveMac

        self._ask(RemoveMac(member))

    def invite(self) -> None:
        """Make a join code; `invited` tells it."""
        from gui.farm.messages import InviteMac

        self._ask(InviteMac(), self.invited.emit)

    def stop_job(self, job_id: str) -> None:
        """Stop a job of this Mac's that runs somewhere."""
        from gui.farm.messages import StopJob

        self._ask(StopJob(job_id))

    def answer(self, member: str, model: str, how: str) -> None:
        """Say ``copy``, ``fetch`` or ``no`` to the offer of a model to a member."""
        from gui.farm.messages import AnswerOffer

        self._ask(AnswerOffer(member, model, how))

    # -- the process --------------------------------------------------------------------------

    def _follow(self) -> None:
        from gui.farm.messages import Follow

        self._ask(Follow())

    def _ask_busy(self, question: Question[None]) -> None:
        if not self.is_possible:
            self.failed.emit(
                SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    "A farm needs packages that are not installed; install them with "
                    "pip install 'sfumato[farm]'.",
                )
            )
            return

        def over(_answer: object = None) -> None:
            self.busy = False
            self.changed.emit()

        def failed(error: SfumatoError) -> None:
            over()
            self.failed.emit(error)

        self.busy = True
        self.changed.emit()
        self._ask(question, over, failed)

    def _ask(
        self,
        question: Question[Any],
        on_result: Callable[[Any], None] | None = None,
        on_error: Callable[[SfumatoError], None] | None = None,
    ) -> None:
        if self._closed:
            return
        if self._process is None:
            from gui.farm.messages import CLOSE_SECONDS, FARM

            self._process = HubThread(None, CLOSE_SECONDS, self, interface=FARM)
        if not self._listening:
            self._listening = True
            self._process.event_received.connect(self._on_event)
            self._process.lost.connect(self._on_lost)
        self._process.ask(question, on_result, on_error or self.failed.emit)

    def _on_event(self, event: Event) -> None:
        from gui.farm.messages import FarmPreview, FarmTold

        if isinstance(event, FarmTold):
            before, self.told = self.told, event
            self._tell(before, event)
            here = {seat.id for seat in self.seats()}
            self._previews = {k: v for k, v in self._previews.items() if k in here}
            self.changed.emit()
        elif isinstance(event, FarmPreview):
            drawn = event.drawn
            view = QImage(
                drawn.rgb, drawn.width, drawn.height, 3 * drawn.width,
                QImage.Format.Format_RGB888,
            )  # fmt: skip
            self._previews[event.member] = (drawn.unit, view.copy())
            self.changed.emit()

    def _tell(self, before: FarmTold | None, now: FarmTold) -> None:
        """Say what a person should know who does not look at the farm, once."""
        was_alone, is_alone = _is_alone(before), _is_alone(now)
        if is_alone and not was_alone:
            self.notice.emit(_away(now))
        elif was_alone and now.linked:
            self.notice.emit(f"The farm “{words.plain(now.name)}” is there again.")
        if not now.within and now.problem is not None:
            self.failed.emit(now.problem)

    def _on_lost(self, _error: SfumatoError, _often: bool) -> None:
        if self.within and not self._closed:
            self._again.start()


def _is_alone(told: FarmTold | None) -> bool:
    return told is not None and not told.linked and told.state is not None and told.state.alone


def _away(told: FarmTold) -> str:
    """That the scheduler is away, and what becomes of the queue here meanwhile."""
    away = told.problem.message if told.problem else "Looking for the Mac that started it…"
    if not _is_alone(told) or told.state is None:
        return away
    draws = any(seat.draws for seat in told.state.seats if seat.id == told.member)
    return f"{away} {farm_config.meanwhile(draws)}"


def _doing(seat: Seat) -> str:
    """What a Mac does, in a line."""
    if seat.state == "drawing":
        step = f"Step {seat.step} of {seat.steps}" if seat.steps else "Draws"
        prompt = words.quoted(words.plain(seat.prompt), 60) if seat.prompt else ""
        return "  ·  ".join(part for part in (step, prompt) if part)
    made = f"  ·  {words.plural(seat.pictures, 'picture')} made" if seat.pictures else ""
    return _STATES.get(seat.state, "") + (made if seat.state in ("idle", "away") else "")


def _offered(offer: Offer) -> str:
    from gui.farm.wire import named

    model, mac = named(offer.kind, words.plain(offer.model_name)), words.plain(offer.member_name)
    if offer.state == "copying":
        how = words.progress(offer.done, offer.bytes)
        return f"{words.capital(model)} is on its way to {mac}: {how}."
    if offer.error:
        return offer.error
    size = words.size(offer.bytes)
    if not offer.source and not offer.repo:
        return f"{mac} lacks {model}, and no Mac that is here can give it."
    return f"{mac} lacks {model} ({size}). Bring it there, so that it can help?"
