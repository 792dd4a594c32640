"""The farm's process of a window: it is the farm on this Mac while the window is open, or looks on
where a terminal's process is it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.farm import agent, session, wire
from gui.farm import config as farm_config
from gui.farm.agent import Agent, AgentLock
from gui.farm.comm import refuse_pickles
from gui.farm.config import Config
from gui.farm.messages import (
    FARM,
    AnswerOffer,
    FarmPreview,
    FarmTold,
    Follow,
    GoOn,
    InviteMac,
    JoinFarm,
    LeaveFarm,
    RemoveMac,
    SetBrings,
    StartFarm,
    StopFarm,
    StopJob,
)
from gui.process.messages import Event
from gui.process.serve import Call, Server, run_child

_LOOK_SECONDS = 1.0
"""Between two looks whether another process is still the farm here."""
_REST_SECONDS = 5.0
"""After a failure, before it is tried again."""
_ANSWER_SECONDS = 30.0
_END_SECONDS = 1.2

T = TypeVar("T")

log = logging.getLogger(__name__)


class Service:
    """Answers the window.  Everything of the farm is on an event loop on a thread of its own.

    Args:
        connection: to the window.
    """

    def __init__(self, connection: Connection) -> None:
        self._server = Server(
            connection,
            FARM,
            {
                Follow: self._follow,
                StartFarm: self._start,
                JoinFarm: self._join,
                LeaveFarm: self._leave,
                StopFarm: self._stop,
                GoOn: self._go_on,
                SetBrings: self._set_brings,
                RemoveMac: self._remove,
                InviteMac: self._invite,
                StopJob: self._stop_job,
                AnswerOffer: self._answer,
            },
        )
        self._loop = asyncio.new_event_loop()
        self._lock = AgentLock()
        self._agent: Agent | None = None
        self._following: asyncio.Task[None] | None = None
        self._told = FarmTold(False)
        threading.Thread(target=self._loop.run_forever, name="farm", daemon=True).start()

    def run(self) -> None:
        """Serve until the window hangs up; the queue is let go then."""
        try:
            self._server.run()
        finally:
            done = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            try:
                done.result(_END_SECONDS)
            except TimeoutError:
                log.warning("the farm does not end in time")
            if self._lock.taken:
                farm_config.turn_off()

    # -- questions, on the main thread ---------------------------------------------------------

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(_ANSWER_SECONDS)

    def _follow(self, _ask: Follow, _call: Call) -> None:
        self._await(self._begin())

    def _start(self, ask: StartFarm, _call: Call) -> None:
        agent.start_farm(ask.name, draws=ask.draws)
        self._await(self._begin())

    def _join(self, ask: JoinFarm, _call: Call) -> None:
        self._await(agent.join_farm(ask.code, ask.name, draws=ask.draws))
        self._await(self._begin())

    def _leave(self, _ask: LeaveFarm, _call: Call) -> None:
        self._await(self._go())

    def _stop(self, _ask: StopFarm, _call: Call) -> None:
        session.stop(session.present())

    def _go_on(self, _ask: GoOn, _call: Call) -> None:
        session.go_on(session.present())
        self._await(self._begin())

    def _set_brings(self, ask: SetBrings, _call: Call) -> None:
        farm_config.save(replace(session.present(), brings=ask.most))

        async def set_it() -> None:
            if self._agent is not None:
                self._agent.member.set_brings(ask.most)
            self._tell(replace(self._told, brings=ask.most))

        self._await(set_it())

    def _remove(self, ask: RemoveMac, _call: Call) -> None:
        current = self._agent
        if current is not None and current.scheduler is not None:
            scheduler = current.scheduler

            async def remove() -> None:
                scheduler.remove(ask.member)

            self._await(remove())
        else:
            session.remove(session.present(), ask.member)

    def _invite(self, _ask: InviteMac, _call: Call) -> str:
        current = self._agent
        if current is not None and current.scheduler is not None:
            scheduler = current.scheduler

            async def invite() -> str:
                return scheduler.invite()

            return self._await(invite())
        return session.new_code(session.present())

    def _stop_job(self, ask: StopJob, _call: Call) -> None:
        current = self._agent
        origin = current.member.origin if current is not None else None
        if origin is None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "The farm runs on this Mac in a terminal; press Ctrl-C there to stop its picture.",
            )
        self._loop.call_soon_threadsafe(origin.stop, ask.job)

    def _answer(self, ask: AnswerOffer, _call: Call) -> None:
        current = self._agent
        if current is not None:
            allow = wire.Allow(ask.member, ask.model, ask.how)
            self._loop.call_soon_threadsafe(current.member.send, allow)

    # -- the loop ------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Follow the farm that this Mac is in, if it is in one."""
        config = farm_config.load()
        if config is None:
            self._tell(FarmTold(False))
            return
        await self._end()
        self._following = asyncio.create_task(self._be(config))

    async def _be(self, config: Config) -> None:
        """Be the farm here for as long as nobody else is; look on meanwhile."""
        while True:
            if farm_config.is_stopped() and not await self._rest(config):
                return
            farm_config.turn_on()
            if not self._told.within or self._told.stopped:
                self._tell(_at_first(config))
            own = self._lock.take()
            current = self._agent = Agent(
                config, asks=own, on_told=self._on_told, on_link=self._on_link
            )
            running = asyncio.create_task(current.run())
            try:
                while not running.done():
                    await asyncio.wait({running}, timeout=_LOOK_SECONDS)
                    if farm_config.is_stopped() or (not own and not farm_config.is_run()):
                        break
                if running.done():
                    running.result()
            except SfumatoError as error:
                if error.kind is ErrorKind.ACCESS:  # nothing changes that but a new code
                    farm_config.forget()
                    self._lock.free()
                    self._tell(FarmTold(False, problem=error))
                    return
                self._tell_problem(error)
                await asyncio.sleep(_REST_SECONDS)
            except Exception as error:
                log.exception("the farm failed")
                self._tell_problem(as_sfumato_error(error))
                await asyncio.sleep(_REST_SECONDS)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _rest(self, config: Config) -> bool:
        """Be no farm here until it is started again; whether it is.  False: it was left."""
        self._agent = None
        if self._lock.taken:
            farm_config.turn_off()
            self._lock.free()
        self._tell(replace(_at_first(config), stopped=True))
        while farm_config.is_stopped():
            if farm_config.load() is None:
                self._tell(FarmTold(False))
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _end(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        self._agent = None

    async def _go(self) -> None:
        """Leave for good.

        Raises:
            SfumatoError: BAD_REQUEST where a terminal's process is the farm here.
        """
        if not self._lock.take():
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "The farm runs on this Mac in a terminal; press Ctrl-C there first, then leave it.",
            )
        if self._agent is not None and not self._agent.config.starts:
            await self._agent.member.leave()
        await self._end()
        farm_config.forget()
        self._lock.free()
        self._tell(FarmTold(False))

    def _on_told(self, event: Event) -> None:
        if isinstance(event, wire.State) and event.alone:
            self._tell(replace(self._told, state=event, linked=False))
        elif isinstance(event, wire.State):
            self._tell(replace(self._told, state=event, linked=True, problem=None))
        elif isinstance(event, wire.Preview):
            self._server.tell(FarmPreview(event.member, event.drawn))

    def _on_link(self, there: bool, why: SfumatoError | None) -> None:
        state = None if there else self._told.state
        self._tell(replace(self._told, linked=there, problem=why, state=state))

    def _tell_problem(self, error: SfumatoError) -> None:
        self._tell(replace(self._told, linked=False, problem=error))

    def _tell(self, told: FarmTold) -> None:
        self._told = told
        self._server.tell(told)


def _at_first(config: Config) -> FarmTold:
    where = f"{config.addresses[0]}:{config.port}" if config.addresses else ""
    return FarmTold(
        True, config.farm_name, config.member, config.starts, where, brings=config.brings
    )


def _serve(connection: Connection) -> None:
    refuse_pickles()
    Service(connection).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("farm", _serve, arguments)
