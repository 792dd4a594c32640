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

from gui import __version__, paths
from gui.engine import messages
from gui.engine.runner import EngineRunner, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.farm import wire
from gui.farm.alone import ALONE_AFTER, Alone
from gui.farm.authority import Credentials
from gui.farm.comm import Channel, open_channel, security
from gui.farm.config import Config, folder, patience
from gui.farm.drawing import Done, Drawing, Work
from gui.farm.models_copied import Shelf, copy_model
from gui.farm.networks_copied import copy_network
from gui.farm.origin import Origin
from gui.farm.packing import input_file, unpack
from gui.farm.stock import Stock
from gui.farm.transfers import Transfers, sha256_of
from gui.farm.wire import TO_MEMBER, Unit
from gui.library.temporaries import move_whole
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
        self._make_runner = make_runner
        self._find_scheduler = find
        self._stock = Stock()
        self._shelf = Shelf(self._stock)
        self._told_stock: tuple[tuple[wire.ModelHere, ...], tuple[wire.Network, ...]] = ((), ())
        self._transfers = Transfers(self.send, self._find)
        self.origin = Origin(self.send, self._transfers) if asks else None
        self._draws = draws and asks
        self._drawing: Drawing | None = None
        self._channel: Channel | Alone | None = None
        self._alone: Alone | None = None
        self._going_alone: asyncio.TimerHandle | None = None
        self._last_state: wire.State | None = None
        self._links = 0
        """Counts connections that ended: what was given out by an earlier one is given out anew."""
        self._line: asyncio.Queue[wire.Draw] = asyncio.Queue()
        self._unwanted: set[Unit] = set()
        self._ended: asyncio.Future[Done] | None = None
        self._preparing: Unit | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = folder() / "Held"
        self._closing = False

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Be a member until cancelled, or refused for good.

        Raises:
            SfumatoError: ACCESS: the farm does not let this Mac in; STORAGE: its queue cannot be
                used; UNSUPPORTED, where it looks on only: it is of another version.
        """
        self._sweep()
        if self._draws:
            loop = asyncio.get_running_loop()
            self._drawing = Drawing(loop, self._on_event, self._on_done, self._make_runner)
        jobs = [asyncio.create_task(self._connect_always())]
        if self.origin is not None:
            jobs.append(asyncio.create_task(self.origin.run()))
        if self._draws:
            jobs.append(asyncio.create_task(self._draw_always()))
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
        if self._drawing is not None:
            await asyncio.to_thread(self._drawing.close)
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

    def _sweep(self) -> None:
        """Throw away what nobody will ask for any more."""
        limit = time.time() - _KEPT_DAYS * 86400
        for place in (self._held, folder() / "Drawing", folder() / "Inputs"):
            for stale in place.glob("*"):
                with contextlib.suppress(OSError):
                    if stale.stat().st_mtime < limit:
                        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()

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
        for unit in self._held_units():
            await self._tell_held(unit)
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
                    host, config.port, self._credentials, TO_MEMBER, patience(_CONNECT_SECONDS)
                )
            except (OSError, TimeoutError) as error:
                last = error if isinstance(error, OSError) else OSError(repr(error))
        if self._find_scheduler is not None:
            found = await asyncio.to_thread(self._find_scheduler)
            if found is not None:
                host, port = found
                return await open_channel(
                    host, port, self._credentials, TO_MEMBER, patience(_CONNECT_SECONDS)
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
                for unit in self._held_units():
                    await self._tell_held(unit)
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
        self._links += 1
        self._transfers.hung_up()
        while not self._line.empty():
            self._line.get_nowait()
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
        ready = self._drawing.ready if self._drawing else None
        return wire.Hello(
            wire.PROTOCOL,
            __version__,
            self._config.name,
            system(),
            ready.runtime if ready else "",
            self._draws,
            self.origin is None,
            models,
            networks,
            self._held_units() if self.origin is not None else (),
            self._drawing.current if self._drawing else None,
            self._config.brings,
        )

    def _take(self, event: Event) -> None:
        origin = self.origin
        match event:
            case wire.Draw() if self._draws:
                self._line.put_nowait(event)
            case wire.Stop():
                self._stop(event.unit)
            case wire.Got():
                self._drop_held(event.unit)
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
            held = self._held / f"{Path(name).name}.png"
            return held if held.exists() else None
        if kind == "input" and self.origin is not None:
            return self.origin.file_of(name)
        if kind == "model":
            return self._shelf.find(name)
        if kind == "network":
            return self._shelf.find_network(name)
        return None

    # -- drawing ------------------------------------------------------------------------------

    async def _draw_always(self) -> None:
        while True:
            draw = await self._line.get()
            links = self._links
            try:
                await self._draw(draw)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if links == self._links:  # else it is given out anew, perhaps to another one
                    self.send(wire.Unmade(draw.unit, as_sfumato_error(error)))
            finally:
                self._preparing = None
                self._unwanted.discard(draw.unit)

    async def _draw(self, draw: wire.Draw) -> None:
        """Draw a picture, unless it is here already.

        Raises:
            SfumatoError: it cannot be drawn here.
        """
        unit = draw.unit
        if self._file(unit).exists():
            await self._tell_held(unit)
            return
        if unit in self._unwanted:
            self.send(wire.Unmade(unit))
            return
        self._preparing = unit
        request = await self._unpacked(draw)
        if unit in self._unwanted:
            self.send(wire.Unmade(unit))
            return
        assert self._drawing is not None
        self._ended = asyncio.get_running_loop().create_future()
        self._drawing.draw(Work(unit, request))
        done = await self._ended
        self._preparing = None
        await self._settle(done)

    async def _unpacked(self, draw: wire.Draw) -> messages.PictureRequest:
        """The request as the engine here takes it, its inputs fetched.

        Raises:
            SfumatoError: what it needs is not here.
        """
        place = self._stock.folder(draw.model)
        if place is None:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                "The model is not on the Mac that was to draw with it; copy it there, or get it "
                "from the Hub.",
                draw.model,
            )
        inputs: dict[str, Path] = {}
        for told in draw.inputs:
            target = input_file(folder() / "Inputs", told)
            if not target.exists():
                await self._transfers.fetch(draw.origin, "input", told.sha256, target, told.sha256)
            inputs[told.sha256] = target
        refiners = {
            n.name: found
            for n in draw.networks
            if n.kind == "refiner" and (found := self._stock.folder(n.sha256)) is not None
        }
        model = self._named(place, draw.request.model)
        output = folder() / "Drawing" / str(draw.unit)
        return unpack(draw.request, draw.unit, model, inputs, refiners, output)

    @staticmethod
    def _named(place: Path, name: str) -> str:
        """A path of the model here that ends in the name which it has on the Mac that asked, as the
        picture's record tells it; empty for the starter model, by both."""
        if place == paths.starter_model() and not name:
            return ""
        if not name or place.name == name or "/" in name or name in (".", ".."):
            return str(place)
        link = folder() / "Models" / name
        with contextlib.suppress(OSError):
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink() or link.readlink() != place:
                link.unlink(missing_ok=True)
                link.symlink_to(place)
            return str(link)
        return str(place)

    def _on_event(self, unit: Unit, event: messages.JobEvent) -> None:
        if isinstance(event, messages.Step):
            shown = event.preview
            told = wire.Drawn(unit, "drawing", event.step, event.steps, event.seconds_per_step)
            if shown is not None:
                told = replace(told, width=shown.width, height=shown.height, rgb=shown.rgb)
            self.send(told)
        elif isinstance(event, messages.Loading):
            self.send(wire.Drawn(unit, "loading", event.index, event.total))
        elif isinstance(event, messages.Prepared):
            self.send(wire.Drawn(unit, "drawing"))
        elif isinstance(event, messages.Enlarging):
            self.send(wire.Drawn(unit, "enlarging", event.done, event.total))

    def _on_done(self, done: Done) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(done)

    async def _settle(self, done: Done) -> None:
        unit, outcome = done.unit, done.outcome
        output = folder() / "Drawing" / str(unit)
        if done.path and Path(done.path).exists() and unit not in self._unwanted:
            # An engine that died right after it had saved the picture has done its work.
            made = await asyncio.to_thread(_keep, Path(done.path), self._file(unit))
            self.send(wire.Finished(unit, *made, done.seconds, done.loading))
            self._start(asyncio.to_thread(shutil.rmtree, output, True))
            return
        # First, as it may be asked for again at once.
        await asyncio.to_thread(shutil.rmtree, output, True)
        if outcome.status is OutcomeStatus.CANCELLED or unit in self._unwanted:
            self.send(wire.Unmade(unit))
            return
        crashed = outcome.status is OutcomeStatus.LOST and not outcome.by_request
        error = outcome.error or SfumatoError(
            ErrorKind.INTERNAL, "The picture could not be made; try again."
        )
        self.send(wire.Unmade(unit, error, crashed))

    def _stop(self, unit: Unit) -> None:
        """A picture is not wanted, or not any more."""
        self._drop_held(unit)
        drawing = self._drawing
        if drawing is not None and drawing.current == unit:
            self._unwanted.add(unit)
            drawing.stop(unit)
        elif self._preparing == unit:
            self._unwanted.add(unit)
        else:
            waiting = [self._line.get_nowait() for _ in range(self._line.qsize())]
            for draw in waiting:
                if draw.unit != unit:
                    self._line.put_nowait(draw)
                else:
                    self.send(wire.Unmade(unit))

    # -- what is finished ---------------------------------------------------------------------

    def _file(self, unit: Unit) -> Path:
        return self._held / f"{unit}.png"

    def _held_units(self) -> tuple[Unit, ...]:
        found = []
        for file in sorted(self._held.glob("*-*.png")):
            job, _, number = file.stem.rpartition("-")
            if number.isdigit() and not file.name.startswith("."):
                found.append(Unit(job, int(number)))
        return tuple(found)

    async def _tell_held(self, unit: Unit) -> None:
        file = self._file(unit)
        with contextlib.suppress(OSError):
            size = file.stat().st_size
            told = await asyncio.to_thread(sha256_of, file)
            self.send(wire.Finished(unit, size, told, 0.0))

    def _drop_held(self, unit: Unit) -> None:
        with contextlib.suppress(OSError):
            self._file(unit).unlink(missing_ok=True)

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
        self._config = replace(self._config, brings=most)
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


def _keep(made: Path, target: Path) -> tuple[int, str]:
    """Put a finished picture where it is kept.  Returns its bytes and their hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    move_whole(made, target)
    return target.stat().st_size, sha256_of(target)


def unreachable(config: Config, detail: str = "") -> SfumatoError:
    """Nobody answers where the scheduler was."""
    return SfumatoError(
        ErrorKind.NETWORK,
        f"The farm “{config.farm_name}” cannot be reached; see that the Mac that started it is "
        "awake and on the same network.",
        detail,
    )
