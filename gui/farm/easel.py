"""What a member draws for whoever asks, one picture after the other, and what it has finished and
keeps until the one who asked has it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from gui import paths
from gui.engine import messages
from gui.engine.runner import EngineRunner, OutcomeStatus
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error
from gui.farm import wire
from gui.farm.config import folder
from gui.farm.drawing import Done, Drawing, Work
from gui.farm.packing import input_file, unpack
from gui.farm.stock import Stock
from gui.farm.transfers import Transfers, sha256_of
from gui.farm.wire import Unit
from gui.library.temporaries import move_whole
from gui.process.messages import Event


class Easel:
    """All of it belongs to one event loop.

    Args:
        send: says something to the scheduler, if there is one.
        transfers: fetches the pictures that go into one.
        stock: what there is to draw with.
        make_runner: builds the engine's runner.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        transfers: Transfers,
        stock: Stock,
        make_runner: Callable[[], EngineRunner] = EngineRunner,
    ) -> None:
        self._send = send
        self._transfers = transfers
        self._stock = stock
        self._make_runner = make_runner
        self._drawing: Drawing | None = None
        self._links = 0
        """Counts connections that ended: what was given out by an earlier one is given out anew."""
        self._line: asyncio.Queue[wire.Draw] = asyncio.Queue()
        self._unwanted: set[Unit] = set()
        self._ended: asyncio.Future[Done] | None = None
        self._preparing: Unit | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = folder() / "Held"

    @property
    def current(self) -> Unit | None:
        """What is drawn."""
        return self._drawing.current if self._drawing is not None else None

    @property
    def runtime(self) -> str:
        """Of the engine; empty: it has not told yet."""
        ready = self._drawing.ready if self._drawing is not None else None
        return ready.runtime if ready is not None else ""

    def draw(self, draw: wire.Draw) -> None:
        """Draw a picture after those that wait."""
        self._line.put_nowait(draw)

    def hung_up(self) -> None:
        """The connection is no more: what waits is given out anew."""
        self._links += 1
        while not self._line.empty():
            self._line.get_nowait()

    async def close(self) -> None:
        """End the engine."""
        for task in self._tasks:
            task.cancel()
        if self._drawing is not None:
            await asyncio.to_thread(self._drawing.close)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Draw what is given out, until cancelled."""
        loop = asyncio.get_running_loop()
        self._drawing = Drawing(loop, self._on_event, self._on_done, self._make_runner)
        while True:
            draw = await self._line.get()
            links = self._links
            try:
                await self._draw(draw)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if links == self._links:  # else it is given out anew, perhaps to another one
                    self._send(wire.Unmade(draw.unit, as_sfumato_error(error)))
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
            await self._tell(unit)
            return
        if unit in self._unwanted:
            self._send(wire.Unmade(unit))
            return
        self._preparing = unit
        request = await self._unpacked(draw)
        if unit in self._unwanted:
            self._send(wire.Unmade(unit))
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
            self._send(told)
        elif isinstance(event, messages.Loading):
            self._send(wire.Drawn(unit, "loading", event.index, event.total))
        elif isinstance(event, messages.Prepared):
            self._send(wire.Drawn(unit, "drawing"))
        elif isinstance(event, messages.Enlarging):
            self._send(wire.Drawn(unit, "enlarging", event.done, event.total))

    def _on_done(self, done: Done) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(done)

    async def _settle(self, done: Done) -> None:
        unit, outcome = done.unit, done.outcome
        output = folder() / "Drawing" / str(unit)
        if done.path and Path(done.path).exists() and unit not in self._unwanted:
            # An engine that died right after it had saved the picture has done its work.
            made = await asyncio.to_thread(_keep, Path(done.path), self._file(unit))
            self._send(wire.Finished(unit, *made, done.seconds, done.loading))
            self._start(asyncio.to_thread(shutil.rmtree, output, True))
            return
        # First, as it may be asked for again at once.
        await asyncio.to_thread(shutil.rmtree, output, True)
        if outcome.status is OutcomeStatus.CANCELLED or unit in self._unwanted:
            self._send(wire.Unmade(unit))
            return
        crashed = outcome.status is OutcomeStatus.LOST and not outcome.by_request
        error = outcome.error or SfumatoError(
            ErrorKind.INTERNAL, "The picture could not be made; try again."
        )
        self._send(wire.Unmade(unit, error, crashed))

    def stop(self, unit: Unit) -> None:
        """A picture is not wanted, or not any more."""
        self.let_go(unit)
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
                    self._send(wire.Unmade(unit))

    # -- what is finished ---------------------------------------------------------------------

    def _file(self, unit: Unit) -> Path:
        return self._held / f"{unit}.png"

    def held(self) -> tuple[Unit, ...]:
        """Pictures that are finished and have not been fetched."""
        found = []
        for file in sorted(self._held.glob("*-*.png")):
            job, _, number = file.stem.rpartition("-")
            if number.isdigit() and not file.name.startswith("."):
                found.append(Unit(job, int(number)))
        return tuple(found)

    async def tell_held(self) -> None:
        """Say to a scheduler that is new what is finished here."""
        for unit in self.held():
            await self._tell(unit)

    def find(self, name: str) -> Path | None:
        """The file of a finished picture, by its unit."""
        held = self._held / f"{Path(name).name}.png"
        return held if held.exists() else None

    async def _tell(self, unit: Unit) -> None:
        file = self._file(unit)
        with contextlib.suppress(OSError):
            size = file.stat().st_size
            told = await asyncio.to_thread(sha256_of, file)
            self._send(wire.Finished(unit, size, told, 0.0))

    def let_go(self, unit: Unit) -> None:
        """Who asked for a finished picture has it, or wants it no more."""
        with contextlib.suppress(OSError):
            self._file(unit).unlink(missing_ok=True)


def _keep(made: Path, target: Path) -> tuple[int, str]:
    """Put a finished picture where it is kept.  Returns its bytes and their hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    move_whole(made, target)
    return target.stat().st_size, sha256_of(target)
