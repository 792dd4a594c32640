"""What the tools do, in the person's queue and gallery.  Belongs to the server's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import anyio

from gui import paths, words
from gui.asked import askable, request_asked
from gui.axes import each_alternative
from gui.enlarge.client import EnlargeClient
from gui.enlarge.messages import EnlargePicture, Pieces
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.library import loras
from gui.library.job import ENDED, JobStatus
from gui.library.picture_index import IndexedPicture, PictureFilter, PictureIndex, PictureKind
from gui.library.picture_record import read_record
from gui.mcp_server.runner import QueueRunner
from gui.mcp_server.tools import MAX_CALLS, MAX_FOUND, MAX_PICTURES
from gui.request import MAX_SEED, PictureRequest
from gui.scheduler_names import scheduler_name
from gui.serve.messages import ServiceOptions
from gui.serve.queue_desk import QueueDesk, Ticket
from gui.serve.shelf import Shelf
from gui.serve.uploads import Uploads, decoded, needed_by
from gui.start_image import StartImage
from gui.state.pictures import at_once

Tell = Callable[[float, float, str], Awaitable[None]]
"""Told how much is done, of how much, and in words."""
Given = Mapping[str, Any]
"""A tool's arguments, their names and kinds looked at already."""
_LOOK_SECONDS = 1.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class Shown:
    """A picture of an answer: what there is to say of it."""

    path: str
    facts: dict[str, Any]


class Desk:
    """Args:
    options: tells what the person has set now; called on the event loop.
    """

    def __init__(self, options: Callable[[], ServiceOptions]) -> None:
        self._read_options = options
        self._options = options()
        self._runner = QueueRunner()
        self._queue = QueueDesk(lambda: None, lambda _waiting: None)
        self._uploads = Uploads()
        self._shelf = Shelf(lambda: self._options)
        self._enlarger = EnlargeClient()
        self._files = ThreadPoolExecutor(1, "files")
        self._enlarging = ThreadPoolExecutor(1, "enlarge")
        self._calls = 0
        self._asked: set[str] = set()  # jobs, of all calls

    async def start(self) -> None:
        """Raises SfumatoError where the queue cannot be used."""
        await self._queue.start()
        await self._file(
            lambda: self._uploads.sweep(needed_by(job.request for job in self._queue.now.jobs))
        )

    async def close(self) -> None:
        """The client is gone: what it still waits for is taken off."""
        await self._file(self._runner.close)  # what it was making goes back in line first
        with contextlib.suppress(SfumatoError):
            await self._queue.stop(self._unfinished())
        await self._queue.close()
        await self._file(self._shelf.close)
        await self._file(self._uploads.close)
        self._enlarging.shutdown(wait=False, cancel_futures=True)
        self._enlarger.close()
        self._files.shutdown(wait=False, cancel_futures=True)

    def _unfinished(self) -> list[str]:
        over = {job.id for job in self._queue.now.jobs if job.status in ENDED}
        return sorted(self._asked - over)

    # -- making -------------------------------------------------------------------------------

    async def generate(self, given: Given, tell: Tell) -> list[Shown]:
        """Have pictures made.

        Raises:
            SfumatoError: in one sentence.
            asyncio.CancelledError: nobody waits any more; what was asked for is taken off.
        """
        with self._one_more():
            self._options = self._read_options()
            requests = await self._file(lambda: self._requests(given))
            await self._queue.touch()  # what it knows may be half a second old
            if self._queue.now.paused:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    "The queue is paused; resume it in Sfumato, or with `sfumato queue resume`.",
                )
            jobs = await self._queue.add(requests)
            ticket = Ticket([job.id for job in jobs], sum(r.count for r in requests))
            self._asked |= {*ticket.jobs}
            making = asyncio.create_task(self._queue.make(ticket))
            teller = asyncio.create_task(self._follow(ticket, tell))
            try:
                await asyncio.wait((making, teller), return_when=asyncio.FIRST_COMPLETED)
                # The teller ends only to say why nobody makes them.
                await (making if making.done() else teller)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._queue.stop(ticket.jobs)
                raise
            finally:
                for task in (making, teller):
                    task.cancel()
                await asyncio.gather(making, teller, return_exceptions=True)
            await self._file(self._runner.worked)
            return await self._file(lambda: self._indexed(ticket.made))

    async def _follow(self, ticket: Ticket, tell: Tell) -> None:
        """Tell how far it is, and see to it that it is made."""
        seen, last = -1, -1.0
        while True:
            await self._file(self._runner.ensure)
            seen = await self._queue.next_step(seen, _LOOK_SECONDS)
            done, text = self._stand(ticket)
            if done > last:
                last = done
                await tell(done, float(ticket.pictures), text)

    def _stand(self, ticket: Ticket) -> tuple[float, str]:
        """Pictures that are made, with the part of the present one; and in words."""
        jobs = [job for job in self._queue.now.jobs if job.id in ticket.jobs]
        made = sum(len(job.pictures) for job in jobs)
        running = next((job for job in jobs if job.status is JobStatus.RUNNING), None)
        state = self._queue.state
        if running is None:
            first = ticket.jobs[0]
            before = 0
            for job in self._queue.now.jobs:
                if job.id == first:
                    break
                before += job.status in (JobStatus.QUEUED, JobStatus.RUNNING)
            return float(made), f"waits in line, {before} before it" if before else "begins"
        if state.job != running.id:
            return float(made), "begins"
        if state.loading:
            return float(made), f"loading {words.component(state.loading)}"
        which = f"picture {made + 1} of {ticket.pictures}, " * (ticket.pictures > 1)
        part = state.step / state.steps if state.steps else 0.0
        return made + part * 0.99, f"{which}step {state.step} of {state.steps}"

    def _requests(self, given: Given) -> list[PictureRequest]:
        values = {name: value for name, value in given.items() if name in askable()}
        model = str(given.get("model") or "")
        known = self._shelf.find_model(model) if model else self._shelf.chosen
        if values.get("seed") is None:
            values["seed"] = secrets.randbelow(MAX_SEED + 1)
        request = request_asked(values, known.folder)
        if request.variation_strength and request.variation_seed is None:
            request = replace(request, variation_seed=secrets.randbelow(MAX_SEED + 1))
        options = self._options
        request = replace(
            request,
            start_image=self._start_image(given),
            compute_unit=options.compute_unit,
            precision=options.precision,
            safety_checker=options.safety_checker,
            output_dir=options.pictures_folder,
            previews=True,
        )
        request.validate()
        requests = each_alternative(request)
        if sum(each.count for each in requests) > MAX_PICTURES:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"These are more than {MAX_PICTURES} pictures, as many as one call may make; ask "
                "for fewer.",
            )
        return requests

    def _start_image(self, given: Given) -> StartImage | None:
        path = self._picture_given(given, "start_picture")
        strength = given.get("strength")
        if path is None:
            if strength is not None:
                raise SfumatoError(
                    ErrorKind.BAD_REQUEST,
                    "“strength” needs a picture to start from; give start_picture, or leave it "
                    "out.",
                )
            return None
        start = StartImage(str(path))
        return start if strength is None else replace(start, strength=float(strength))

    # -- enlarging ----------------------------------------------------------------------------

    async def upscale(self, given: Given, tell: Tell) -> list[Shown]:
        """As `generate`, of one picture that there is."""
        with self._one_more():
            self._options = self._read_options()
            question = await self._file(lambda: self._enlargement(given))
            loop = asyncio.get_running_loop()
            stopped = False

            def on_pieces(pieces: Pieces) -> None:
                text = f"piece {pieces.done} of {pieces.total}"
                asyncio.run_coroutine_threadsafe(_told(tell(pieces.done, pieces.total, text)), loop)

            def work() -> str:
                try:
                    return self._enlarger.enlarge(question, on_pieces, lambda: stopped).path
                except Cancelled:
                    return ""

            try:
                path = await loop.run_in_executor(self._enlarging, work)
            except asyncio.CancelledError:
                stopped = True
                raise
            return await self._file(lambda: self._indexed([path]))

    def _enlargement(self, given: Given) -> EnlargePicture:
        path = self._picture_given(given, "picture")
        if path is None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "There is no picture; give its number in the gallery, or the picture itself.",
            )
        upscaler = str(given.get("upscaler") or "")
        own = path.is_relative_to(self._uploads.folder)
        folder = self._options.pictures_folder or str(paths.pictures_dir())
        return EnlargePicture(
            str(path),
            int(given.get("factor") or 4),
            self._shelf.find_upscaler(upscaler) if upscaler else "",
            folder if own else "",
            self._options.compute_unit,
        )

    # -- looking ------------------------------------------------------------------------------

    async def search(self, given: Given) -> tuple[list[Shown], int]:
        """Pictures that fit, and how many there are in all."""
        return await self._file(lambda: self._found(given))

    def _found(self, given: Given) -> tuple[list[Shown], int]:
        scheduler = str(given.get("scheduler") or "")
        wanted = PictureFilter(
            text=str(given.get("words") or ""),
            model=str(given.get("model") or ""),
            scheduler=scheduler_name(scheduler).name if scheduler else "",
            since=_day(given.get("since")),
            until=_day(given.get("until")),
            favourites=bool(given.get("favourites")),
            kind=PictureKind(given["kind"]) if given.get("kind") else None,
            tag=str(given.get("tag") or ""),
        )
        with self._index() as index:
            ids = index.find(wanted).ids
            limit = int(given.get("limit") or 10)
            return [_shown(each) for each in index.rows(ids[: min(limit, MAX_FOUND)])], len(ids)

    async def picture(self, number: int) -> Shown:
        """A picture of the gallery.

        Raises:
            SfumatoError: NOT_FOUND.
        """

        def look() -> Shown:
            with self._index() as index:
                return _with_notes(_shown(_numbered(index, number)))

        return await self._file(look)

    async def gallery_file(self, path: str) -> Path:
        """A file of the gallery, by its path.

        Raises:
            SfumatoError: NOT_FOUND where it is none, whatever else it is.
        """

        def look() -> Path:
            with self._index() as index:
                found = index.by_path(path)
            if found is None:
                raise SfumatoError(
                    ErrorKind.NOT_FOUND,
                    "This is no picture of the gallery; look for one with search_history.",
                )
            return Path(found.path)

        return await self._file(look)

    async def newest(self, limit: int) -> list[Shown]:
        """The newest pictures of the gallery."""
        return (await self._file(lambda: self._found({"limit": limit})))[0]

    async def installed(self) -> dict[str, Any]:
        """What there is to make pictures with."""

        def look() -> dict[str, Any]:
            chosen = self._shelf.chosen
            return {
                "models": [
                    {"name": each.name, "in_use": each == chosen} for each in self._shelf.models()
                ],
                "loras": [entry.name for entry in loras.entries()],
                "upscalers": [each.name for each in self._shelf.upscalers()],
            }

        self._options = self._read_options()
        return await self._file(look)

    # -- what they share ----------------------------------------------------------------------

    @contextlib.contextmanager
    def _one_more(self):  # type: ignore[no-untyped-def]
        if self._calls >= MAX_CALLS:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"{MAX_CALLS} calls are under way already; wait for one of them.",
            )
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    async def _file(self, work: Callable[[], _T]) -> _T:
        """Have something done that blocks; one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._files, work)

    def _index(self) -> contextlib.AbstractContextManager[PictureIndex]:
        return at_once.opened_index()

    def _picture_given(self, given: Given, name: str) -> Path | None:
        """The file of a picture that is named by its number, or came along."""
        number, data = given.get(name), given.get(f"{name}_data")
        if number is not None and data is not None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"Give {name} or {name}_data, not both of them."
            )
        if number is not None:
            with self._index() as index:
                return Path(_numbered(index, int(number)).path)
        if data is None:
            return None
        what = f"{name}_data"
        return self._uploads.keep(self._uploads.read(decoded(str(data), what), what))

    def _indexed(self, files: list[str]) -> list[Shown]:
        """Pictures that were made just now, with their numbers."""
        with self._index() as index:
            found = [(file, index.by_path(file)) for file in files]
        return [
            _with_notes(_shown(known) if known is not None else Shown(file, {"path": file}))
            for file, known in found
        ]


def _shown(picture: IndexedPicture) -> Shown:
    return Shown(picture.path, at_once.as_json(picture))


def _with_notes(shown: Shown) -> Shown:
    """With what the person should know of it."""
    with contextlib.suppress(SfumatoError):
        record = read_record(Path(shown.path))
        if record is not None:
            return replace(shown, facts={**shown.facts, "notes": list(record.notes)})
    return shown


def _numbered(index: PictureIndex, number: int) -> IndexedPicture:
    found = index.rows([number]) if 0 < number < 2**62 else []
    if not found:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no picture {number} in the gallery; look for one with search_history.",
        )
    return found[0]


def _day(text: object) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{words.quoted(str(text), 40)} is no day; write it like 2026-05-04.",
        ) from error


async def _told(telling: Awaitable[None]) -> None:
    with contextlib.suppress(Exception):  # nobody listens any more
        await telling
