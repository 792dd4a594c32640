"""A farm from a terminal: each function is one command's work."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from gui.errors import ErrorKind, SfumatoError
from gui.farm import agent, wire
from gui.farm import config as farm_config
from gui.farm.agent import Agent, AgentLock
from gui.farm.comm import refuse_pickles
from gui.farm.config import Config
from gui.farm.member import unreachable
from gui.files import UnreadableFile, path_error, read_text
from gui.library.temporaries import write_whole
from gui.process.messages import Event

STOPPED = 130
_ANSWER_SECONDS = 10.0
_END_SECONDS = 15.0
_LOOK_SECONDS = 0.5
"""Between two looks at what other processes have set."""

T = TypeVar("T")


def present() -> Config:
    """This Mac's part in its farm.

    Raises:
        SfumatoError: NOT_FOUND where it has none.
    """
    config = farm_config.load()
    if config is None:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            "This Mac is in no farm; start one with `sfumato farm start`, or join one with "
            "`sfumato farm join`.",
        )
    return config


def started(name: str, **values: Any) -> Config:
    """As `agent.start_farm`."""
    return agent.start_farm(name, **values)


def joined(code: str, name: str, **values: Any) -> Config:
    """As `agent.join_farm`."""
    return asyncio.run(agent.join_farm(code, name, **values))


def read_code(file: Path) -> str:
    """Raises SfumatoError, STORAGE or BAD_REQUEST."""
    try:
        return read_text(file, 100_000)
    except (OSError, UnreadableFile) as error:
        problem = error if isinstance(error, OSError) else OSError(str(error))
        raise path_error(file, problem) from error


def write_code(config: Config, file: Path) -> None:
    """Write a new join code into a file that nobody else may read.

    Raises:
        SfumatoError: STORAGE.
    """
    from gui.errors import disk_error

    try:
        file = file.absolute()
        written = write_whole(file.parent, file.name, new_code(config).encode(), overwrite=True)
        written.chmod(0o600)
    except OSError as error:
        raise disk_error(error, f"The join code cannot be saved as {file}") from error


def new_code(config: Config) -> str:
    """A join code for one more Mac.

    Raises:
        SfumatoError: NETWORK where the farm cannot be reached.
    """
    if config.starts and not farm_config.is_run():
        from gui.farm.authority import Authority
        from gui.farm.scheduler import Scheduler

        return asyncio.run(_of_new_scheduler(Scheduler, config, Authority()))
    answer = _ask(config, wire.Invite(), wire.Invitation)
    return answer.code


async def _of_new_scheduler(make: Any, config: Config, authority: Any) -> str:
    return make(config, authority).invite()


def state_of(config: Config) -> wire.State:
    """Who is here and does what.

    Raises:
        SfumatoError: NETWORK where the farm cannot be reached; it says what this Mac does
            meanwhile.
    """
    try:
        return _ask(config, None, wire.State)
    except SfumatoError as error:
        runs = farm_config.is_run() and not config.starts
        if error.kind is ErrorKind.NETWORK and runs:
            meanwhile = farm_config.meanwhile(config.draws)
            raise SfumatoError(error.kind, f"{error.message} {meanwhile}", error.detail) from error
        raise


def allow(config: Config, model: str, mac: str, how: str) -> wire.Offer:
    """Say yes to an offer.

    Raises:
        SfumatoError: NOT_FOUND where there is none; NETWORK.
    """
    state = state_of(config)
    for offer in state.offers:
        named = model.casefold() in (offer.model_name.casefold(), offer.model)
        if named and mac.casefold() == offer.member_name.casefold():
            _ask(config, wire.Allow(offer.member, offer.model, how), wire.State)
            return offer
    raise SfumatoError(
        ErrorKind.NOT_FOUND,
        f"No Mac called “{mac}” lacks a model called “{model}” that is wanted; see which with "
        "`sfumato farm status`.",
    )


def stop(config: Config) -> bool:
    """Have the farm on this Mac end until it is started again, whichever process it is.

    Returns:
        Whether it ran.

    Raises:
        SfumatoError: STORAGE; INTERNAL where that process does not end.
    """
    ran = farm_config.is_run()
    farm_config.save(replace(config, stopped=True))
    end = time.monotonic() + _END_SECONDS
    while farm_config.is_run():
        if time.monotonic() > end:
            raise SfumatoError(
                ErrorKind.INTERNAL,
                "The farm’s process on this Mac does not end; quit the window or the terminal that "
                "it runs in.",
            )
        time.sleep(0.05)
    return ran


def go_on(config: Config, brings: int | None = None) -> Config:
    """Take back `stop`; with `Config.brings` as it is, or changed.

    Raises:
        SfumatoError: STORAGE.
    """
    changed = replace(config, stopped=False, brings=config.brings if brings is None else brings)
    if changed != config:
        farm_config.save(changed)
    return changed


def remove(config: Config, mac: str) -> str:
    """Let another Mac in no more.  Returns its name.

    Args:
        mac: its name or id.

    Raises:
        SfumatoError: NOT_FOUND where there is none of that name; BAD_REQUEST where several are
            called so, or the farm was started elsewhere; NETWORK, STORAGE.
    """
    if not config.starts:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The farm “{config.farm_name}” was started on another Mac; remove it there.",
        )
    if farm_config.is_run():
        macs = {seat.id: seat.name for seat in state_of(config).seats}
        chosen = _chosen(macs, mac, config)
        _ask(
            config,
            wire.Remove(chosen),
            wire.State,
            lambda state: all(seat.id != chosen for seat in state.seats),
        )
        return macs[chosen]
    from gui.farm.authority import Authority

    authority = Authority()
    macs = {serial: known.name for serial, known in authority.known().items() if not known.until}
    chosen = _chosen(macs, mac, config)
    authority.forget(chosen)
    return macs[chosen]


def _chosen(macs: dict[str, str], mac: str, config: Config) -> str:
    """The id of the Mac that is meant, which is another one than this."""
    found = [i for i, name in macs.items() if mac == i or mac.casefold() == name.casefold()]
    others = [i for i in found if i != config.member]
    if len(others) == 1:
        return others[0]
    if others:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{len(others)} Macs are called “{mac}”; give the id of the one that is meant, as "
            "`sfumato farm status --json` tells it.",
        )
    if found:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The farm was started on this Mac; end it with `sfumato farm leave` instead.",
        )
    raise SfumatoError(
        ErrorKind.NOT_FOUND,
        f"No Mac of the farm is called “{mac}”; see their names with `sfumato farm status`.",
    )


def leave(config: Config) -> str:
    """Leave for good.  Returns the farm's name.

    Raises:
        SfumatoError: BAD_REQUEST where some process is the farm here.
    """
    lock = AgentLock()
    if not lock.take():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The farm runs on this Mac at present, in the window or in another terminal; leave it "
            "in the window’s settings, or press Ctrl-C there first.",
        )
    try:
        if not config.starts:
            try:
                asyncio.run(_say_goodbye(config))
            except SfumatoError as error:  # it goes all the same
                logging.getLogger(__name__).info("%s", error.message)
        farm_config.forget()
    finally:
        lock.free()
    return config.farm_name


async def _say_goodbye(config: Config) -> None:
    async with _onlooker(config, lambda _event: None) as watching:
        await watching.leave()


def be(config: Config, say: Callable[[str], None]) -> int:
    """Be the farm on this Mac until Ctrl-C; what is under way here goes back in line then.

    Returns:
        The exit code.

    Raises:
        SfumatoError: BAD_REQUEST where another process is it; NETWORK, ACCESS, UNSUPPORTED.
    """
    lock = AgentLock()
    if not lock.take():
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "The farm runs on this Mac already, in the window or in another terminal; see how it "
            "does with `sfumato farm status`.",
        )
    refuse_pickles()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    farm_config.turn_on()
    try:
        return asyncio.run(_be(config, say))
    except SfumatoError as error:
        if error.kind is ErrorKind.ACCESS:
            farm_config.forget()
        raise
    finally:
        farm_config.turn_off()
        lock.free()


async def _be(config: Config, say: Callable[[str], None]) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    told: list[object] = []

    def on_link(there: bool, why: SfumatoError | None) -> None:
        said = there or (why.message if why else "")
        if told[-1:] != [said]:
            told.append(said)
            say("connected." if there else str(said))

    alone: list[bool] = [False]

    def on_told(event: Event) -> None:
        if isinstance(event, wire.State) and event.alone != alone[0]:
            alone[0] = event.alone
            if event.alone:
                say(farm_config.meanwhile(config.draws))

    own = Agent(config, on_link=on_link, on_told=on_told)
    running = asyncio.create_task(own.run())
    waiting = asyncio.create_task(stopped.wait())
    watching = asyncio.create_task(_until_stopped(own))
    tasks = {running, waiting, watching}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        for task in tasks:
            task.cancel()
        running.result()
        return 0
    by_signal = waiting.done()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    say("stopped; what is left stays in this Mac’s queue.")
    return STOPPED if by_signal else 0


async def _until_stopped(agent: Agent) -> None:
    """Until a person stops the farm from another process; what else one sets there is heeded."""
    while (now := farm_config.load()) is not None and not now.stopped:
        agent.member.set_brings(now.brings)
        await asyncio.sleep(_LOOK_SECONDS)


class _onlooker:  # noqa: N801 - used as a function
    """A connection that asks and draws nothing."""

    def __init__(self, config: Config, on_told: Callable[[Event], None]) -> None:
        self._linked = asyncio.Event()
        self._problem: SfumatoError | None = None
        self._config = config

        def on_link(there: bool, why: SfumatoError | None) -> None:
            if self._linked.is_set() and why is not None:
                on_told(wire.Refused(why))  # what was asked will not be answered any more
            self._problem = why
            self._linked.set()

        self._agent = Agent(config, asks=False, on_told=on_told, on_link=on_link)

    async def __aenter__(self) -> Any:
        self._task = asyncio.create_task(self._agent.run())
        linked = asyncio.create_task(self._linked.wait())
        await asyncio.wait(
            {self._task, linked}, timeout=_ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        linked.cancel()
        if self._task.done():
            self._task.result()
        if self._problem is not None or not self._linked.is_set():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            raise self._problem or unreachable(self._config)
        return self._agent.member

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _ask(
    config: Config,
    question: Event | None,
    kind: type[T],
    fits: Callable[[T], bool] = lambda _answer: True,
) -> T:
    """Ask the scheduler something.

    Args:
        fits: whether this is the answer.

    Raises:
        SfumatoError: NETWORK where it cannot be reached; what it refuses with.
    """

    async def ask() -> T:
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def on_told(event: Event) -> None:
            if answered.done():
                return
            if isinstance(event, wire.Refused):
                answered.set_exception(event.error)
            elif isinstance(event, kind) and fits(event):
                answered.set_result(event)

        async with _onlooker(config, on_told) as member:
            if question is not None:
                member.send(question)
            try:
                return await asyncio.wait_for(answered, _ANSWER_SECONDS)
            except TimeoutError as error:
                raise unreachable(config, "no answer") from error

    work: Coroutine[Any, Any, T] = ask()
    return asyncio.run(work)
