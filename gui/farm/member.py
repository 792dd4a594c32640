"""A member of a farm: asks for what this Mac's queue has, and draws for whoever asks.

It connects to the scheduler, again and again, and tells all anew each time.  What it draws
meanwhile goes on; what it has finished is kept until the one who asked has it.  While there is no
scheduler it draws its own queue (`alone`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from gui import __version__
from gui.engine.runner import EngineRunner
from gui.errors import ErrorKind, SfumatoError
from gui.farm import wire
from gui.farm.alone import ALONE_AFTER, Alone
from gui.farm.authority import Credentials
from gui.farm.comm import Channel, open_channel, security
from gui.farm.config import Config, folder, patience
from gui.farm.easel import Easel
from gui.farm.models_copied import Shelf, copy_model
from gui.farm.networks_copied import copy_network
from gui.farm.origin import Origin
from gui.farm.stock import Stock
from gui.farm.transfers import Transfers
from gui.farm.wire import TO_MEMBER
from gui.process.messages import Event, ProtocolError
from gui.versions import system

BEAT_SECONDS = 2.0
SILENCE = 15.0
"""Seconds after which a scheduler that says nothing counts as gone."""
STOCK_SECONDS = 10.0
"""Between two looks at which models are here."""
_CONNECT_SECONDS = 5.0
_WAITS = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0)
"""Seconds between two attempts to connect; the last one from then on."""
_KEPT_DAYS = 14
"""So long a finished picture waits for who asked for it."""

log = logging.getLogger(__name__)


class Member:
    """This Mac's part in a farm; everything on one event loop.

    Args:
        config: what it knows of the farm.
        credentials: its certificate and key.
        origin: whether this process owns the Mac's queue.
        on_told: hears what the scheduler tells of the farm: `wire.State`, `wire.Preview`,
            `wire.Invitation` and `wire.Refused`.
        on_link: hears whether there is a connection, and why not.
        make_runner: builds the engine's runner.
        find: looks where the scheduler is, when it is not where it was: its host and port.
    """

    def __init__(
        self,
        config: Config,
        credentials: Credentials,
        *,
        asks: bool = True,
        draws: bool = True,
        on_told: Callable[[Event], None] = lambda _event: None,
        on_link: Callable[[bool, SfumatoError | None], None] = lambda _there, _why: None,
        make_runner: Callable[[], EngineRunner] = EngineRunner,
        find: Callable[[], tuple[str, int] | None] | None = None,
    ) -> None:
        self._config = config
        self._credentials = security(
            credentials.authority, credentials.certificate, credentials.key
        )
        self._on_told = on_told
        self._on_link = on_link
        self._find_scheduler = find
        self._stock = Stock()
        self._shelf = Shelf(self._stock)
        self._told_stock: tuple[tuple[wire.ModelHere, ...], tuple[wire.Network, ...]] = ((), ())
        self._transfers = Transfers(self.send, self._find)
        self.origin = Origin(self.send, self._transfers) if asks else None
        self._draws = draws and asks
        self._easel = Easel(self.send, self._transfers, self._stock, make_runner)
        self._channel: Channel | Alone | None = None
        self._alone: Alone | None = None
        self._going_alone: asyncio.TimerHandle | None = None
        self._last_state: wire.State | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Be a member until cancelled, or refused for good.

        Raises:
            SfumatoError: ACCESS: the farm does not let this Mac in; STORAGE: its queue cannot be
                used; UNSUPPORTED, where it looks on only: it is of another version.
        """
        _sweep()
        jobs = [asyncio.create_task(self._connect_always())]
        if self.origin is not None:
            jobs.append(asyncio.create_task(self.origin.run()))
        if self._draws:
            jobs.append(asyncio.create_task(self._easel.run()))
        if self.origin is not None:
            jobs.append(asyncio.create_task(self._watch_stock()))
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """End the engine, hang up, and let the queue go."""
        if self._closing:
            return
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._going_alone is not None:
            self._going_alone.cancel()
        if self._alone is not None:
            self._alone.abort()
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        await self._easel.close()
        if self.origin is not None:
            self.origin.close()

    async def leave(self) -> None:
        """Tell the farm that this Mac goes for good."""
        channel, self._channel = self._channel, None
        if isinstance(channel, Channel):
            await channel.close(wire.Leave())

    def send(self, event: Event) -> None:
        """Say something to the scheduler; lost where there is none, as all is told anew then."""
        if self._channel is not None:
            self._channel.send(event, droppable=isinstance(event, wire.Drawn))

    # -- the connection -----------------------------------------------------------------------

    async def _connect_always(self) -> None:
        failures = 0
        self._go_alone_soon()
        while True:
            try:
                channel = await self._connect()
                try:
                    await self._greet(channel)
                    failures = 0
                    await self._talk(channel)
                finally:
                    channel.abort()
            except SfumatoError as error:
                looks_on = self.origin is None and error.kind is ErrorKind.UNSUPPORTED
                if error.kind is ErrorKind.ACCESS or looks_on:
                    raise
                self._on_link(False, error)
            except (OSError, TimeoutError, ProtocolError) as error:
                self._on_link(False, unreachable(self._config, repr(error)))
            self._go_alone_soon()
            if self._alone is not None:
                self._alone.pause(False)
            wait = _WAITS[min(failures, len(_WAITS) - 1)]
            failures += 1
            await asyncio.sleep(patience(wait))

    def _go_alone_soon(self) -> None:
        """After a while without a scheduler this Mac draws its own queue."""
        if self.origin is not None and self._alone is None and self._going_alone is None:
            loop = asyncio.get_running_loop()
            self._going_alone = loop.call_later(
                patience(ALONE_AFTER), lambda: self._start(self._go_alone())
            )

    async def _go_alone(self) -> None:
        hello = await self._hello()
        if self._going_alone is None or self._channel is not None or self._closing:
            return  # there is a scheduler meanwhile
        self._going_alone = None
        log.info("the scheduler is away; this Mac goes on alone")
        own, origin = self._config.member, self.origin
        assert origin is not None
        self._alone = self._channel = Alone(
            own, hello, self._config.farm_name, self._last_state, origin.elsewhere(own), self._take
        )
        await self._easel.tell_held()
        if self._channel is self._alone:
            origin.connected()

    async def _connect(self) -> Channel:
        """A connection to the scheduler, wherever it is now.

        Raises:
            OSError: nobody is there.
        """
        config = self._config
        last: OSError = OSError("no address")
        for host in dict.fromkeys(config.addresses):
            try:
                return await open_channel(
                    host, config.port, self._credentials, TO_MEMBER, patience(_CONNECT_SECONDS, 2.0)
                )
            except (OSError, TimeoutError) as error:
                last = error if isinstance(error, OSError) else OSError(repr(error))
        if self._find_scheduler is not None:
            found = await asyncio.to_thread(self._find_scheduler)
            if found is not None:
                host, port = found
                return await open_channel(
                    host, port, self._credentials, TO_MEMBER, patience(_CONNECT_SECONDS, 2.0)
                )
        raise last

    async def _greet(self, channel: Channel) -> None:
        """Come in.

        Raises:
            SfumatoError: this Mac may not.
            OSError: the other side is gone.
        """
        if self._alone is not None:
            self._alone.pause(True)  # what is begun from now on would not be told
        channel.send(await self._hello())
        async with asyncio.timeout(patience(SILENCE)):
            first = await channel.receive()
        if isinstance(first, wire.Refused):
            raise first.error
        if not isinstance(first, wire.Welcome):
            raise ProtocolError("no welcome")
        if self._going_alone is not None:
            self._going_alone.cancel()
            self._going_alone = None
        if self._alone is not None:
            alone, self._alone = self._alone, None
            alone.abort()
            self._hung_up(alone)

    async def _talk(self, channel: Channel) -> None:
        """Be connected, until it ends."""
        beat = None
        try:
            self._channel = channel
            self._on_link(True, None)
            if self.origin is not None:
                await self._easel.tell_held()
                self.origin.connected()
            beat = asyncio.create_task(self._beat())
            while True:
                async with asyncio.timeout(patience(SILENCE)):
                    event = await channel.receive()
                if isinstance(event, wire.Refused):
                    raise event.error
                self._take(event)
        finally:
            if beat is not None:
                beat.cancel()
            self._hung_up(channel)

    def _hung_up(self, channel: Channel | Alone) -> None:
        """A connection is no more: all that hung on it is told, asked for or given out anew."""
        if self._channel is channel:
            self._channel = None
        self._transfers.hung_up()
        self._easel.hung_up()
        if self.origin is not None:
            self.origin.hung_up()

    async def _beat(self) -> None:
        while True:
            self.send(wire.Beat())
            await asyncio.sleep(patience(BEAT_SECONDS))

    async def _hello(self) -> wire.Hello:
        models, networks = (
            await asyncio.to_thread(self._stock.look) if self.origin is not None else ((), ())
        )
        self._told_stock = (models, networks)
        return wire.Hello(
            wire.PROTOCOL,
            __version__,
            self._config.name,
            system(),
            self._easel.runtime,
            self._draws,
            self.origin is None,
            models,
            networks,
            self._easel.held() if self.origin is not None else (),
            self._easel.current,
            self._config.brings,
        )

    def _take(self, event: Event) -> None:
        origin = self.origin
        match event:
            case wire.Draw() if self._draws:
                self._easel.draw(event)
            case wire.Stop():
                self._easel.stop(event.unit)
            case wire.Got():
                self._easel.let_go(event.unit)
            case wire.Begun() if origin:
                origin.begun(event)
            case wire.Made() if origin:
                origin.made(event)
            case wire.Failed() if origin:
                origin.failed(event)
            case wire.Want():
                self._transfers.wanted(event)
            case wire.Piece():
                self._transfers.arrived(event)
            case wire.FetchModel() if origin:
                self._start(self._fetch_model(event))
            case wire.State():
                if not event.alone:
                    self._last_state = event
                self._on_told(event)
            case wire.Preview():
                if origin is not None:
                    origin.preview(event)
                self._on_told(event)
            case wire.Invitation() | wire.Refused():
                self._on_told(event)
            case _:
                pass

    def _find(self, kind: str, name: str) -> Path | bytes | None:
        """What others may have of this Mac's files; on another thread."""
        if kind == "picture":
            return self._easel.find(name)
        if kind == "input" and self.origin is not None:
            return self.origin.file_of(name)
        if kind == "model":
            return self._shelf.find(name)
        if kind == "network":
            return self._shelf.find_network(name)
        return None

    # -- models -------------------------------------------------------------------------------

    async def _watch_stock(self) -> None:
        """Tell of models that come and go."""
        while True:
            await asyncio.sleep(STOCK_SECONDS)
            await self._look_at_stock()

    async def _look_at_stock(self) -> None:
        found = await asyncio.to_thread(self._stock.look)
        if found != self._told_stock and self._channel is not None:
            self._told_stock = found
            self.send(wire.Stock(*found, self._config.brings))

    def set_brings(self, most: int) -> None:
        """From now on this may be brought here without asking (`Config.brings`)."""
        if most != self._config.brings:
            self._config = replace(self._config, brings=most)
            if self.origin is not None:  # who looks on has nothing
                self.send(wire.Stock(*self._told_stock, most))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch_model(self, event: wire.FetchModel) -> None:
        """Get a model as a person has said."""
        last = 0.0

        def on_progress(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last > 0.5 or done >= total:
                last = time.monotonic()
                self.send(wire.Received(event.model, done, total))

        limit = self._config.brings if event.by_itself else 0
        try:
            if event.by_itself and (not event.source or event.bytes > limit):
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    f"“{event.name}” is larger than this Mac brings by itself; allow it.",
                )
            if event.kind not in ("model", "refiner"):
                most = min((n for n in (event.bytes, limit) if n), default=1)
                await copy_network(self._transfers, event, on_progress, most)
            elif event.source:
                await copy_model(
                    self._transfers, event.source, event.model, event.name, on_progress, limit
                )
            else:
                from gui.farm.models_fetched import fetch_model

                await fetch_model(event, on_progress)
            await self._look_at_stock()
        except SfumatoError as error:
            log.warning("%s %s", error.message, error.detail)
            self.send(wire.Received(event.model, 0, 0, error))


def _sweep() -> None:
    """Throw away what nobody will ask for any more."""
    limit = time.time() - _KEPT_DAYS * 86400
    for name in ("Held", "Drawing", "Inputs", "Copies"):
        for stale in (folder() / name).glob("*"):
            with contextlib.suppress(OSError):
                if stale.stat().st_mtime < limit:
                    shutil.rmtree(stale) if stale.is_dir() else stale.unlink()


def unreachable(config: Config, detail: str = "") -> SfumatoError:
    """Nobody answers where the scheduler was."""
    return SfumatoError(
        ErrorKind.NETWORK,
        f"The farm “{config.farm_name}” cannot be reached; see that the Mac that started it is "
        "awake and on the same network.",
        detail,
    )
