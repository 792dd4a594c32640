"""Files from one member to another, a piece at a time: asked for from where the last one ended, so
that a transfer goes on after whatever interrupted it, and nobody is sent more than was asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.farm import wire
from gui.process.messages import Event

PIECE = 2**20
PATIENCE = 60.0
"""Seconds that a piece may take."""
_MODEL_PIECE = wire.MAX_PIECE


class Transfers:
    """This member's ends of all transfers.

    Args:
        send: says something to the scheduler.
        find: the file that somebody wants, by kind and name; None: there is none to be had.
    """

    def __init__(
        self, send: Callable[[Event], None], find: Callable[[str, str], Path | bytes | None]
    ) -> None:
        self._send = send
        self._find = find
        self._asked: dict[tuple[str, str], asyncio.Future[wire.Piece]] = {}
        self._serving: set[asyncio.Task[None]] = set()

    # -- giving -------------------------------------------------------------------------------

    def wanted(self, want: wire.Want) -> None:
        """Somebody wants a piece."""
        task = asyncio.create_task(self._serve(want))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, want: wire.Want) -> None:
        size = _MODEL_PIECE if want.kind in ("model", "network") else PIECE
        try:
            total, data = await asyncio.to_thread(self._read, want, size)
            piece = wire.Piece(want.to, want.kind, want.name, want.offset, total, None, data)
        except (OSError, SfumatoError) as error:
            gone = error if isinstance(error, SfumatoError) else _gone(repr(error))
            piece = wire.Piece(want.to, want.kind, want.name, want.offset, 0, gone)
        self._send(piece)

    def _read(self, want: wire.Want, size: int) -> tuple[int, bytes]:
        found = self._find(want.kind, want.name)
        if found is None:
            raise _gone(want.name)
        if isinstance(found, bytes):
            return len(found), found[want.offset : want.offset + size]
        with found.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            file.seek(want.offset)
            return total, file.read(size)

    # -- taking -------------------------------------------------------------------------------

    def arrived(self, piece: wire.Piece) -> None:
        """A piece that was asked for."""
        future = self._asked.pop((piece.kind, piece.name), None)
        if future is not None and not future.done():
            future.set_result(piece)

    def hung_up(self) -> None:
        """The connection is no more, and so is every answer that was waited for."""
        asked, self._asked = self._asked, {}
        for future in asked.values():
            future.cancel()

    async def piece(self, member: str, kind: str, name: str, offset: int) -> wire.Piece:
        """A piece of a file that a member has.

        Raises:
            SfumatoError: NETWORK where it does not come, or there is none.
        """
        future = asyncio.get_running_loop().create_future()
        self._asked[kind, name] = future
        self._send(wire.Want(member, kind, name, offset))
        try:
            piece = await asyncio.wait_for(asyncio.shield(future), PATIENCE)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not future.cancelled():
                raise  # this task's own end
            raise SfumatoError(
                ErrorKind.NETWORK,
                "The connection to the other Mac was lost; wait until both are there again.",
            ) from error
        if piece.error is not None:
            raise piece.error
        if piece.offset != offset or (not piece.data and offset < piece.total):
            raise _gone("a piece of another place")
        return piece

    async def fetch(
        self,
        member: str,
        kind: str,
        name: str,
        target: Path,
        sha256: str,
        on_progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        """Bring a file here; what is there of it already is not asked for again.

        Args:
            target: gets its name only when it is whole and its hash is right.

        Raises:
            SfumatoError: NETWORK; STORAGE.
        """
        partial = target.with_name(f".{target.name}.part")
        try:
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            offset = partial.stat().st_size if partial.exists() else 0
            while True:
                piece = await self.piece(member, kind, name, offset)
                await asyncio.to_thread(_append, partial, piece.data, offset)
                offset += len(piece.data)
                on_progress(offset)
                if offset >= piece.total:
                    break
            if await asyncio.to_thread(sha256_of, partial) != sha256:
                partial.unlink()
                raise SfumatoError(
                    ErrorKind.NETWORK,
                    f"{target.name} arrived damaged and was thrown away; try again.",
                    sha256,
                )
            await asyncio.to_thread(_settle, partial, target)
        except OSError as error:
            raise disk_error(
                error, f"What the farm sends cannot be kept in {target.parent}"
            ) from error


def _gone(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NOT_FOUND,
        "The other Mac does not have that file any more; ask for the picture again.",
        detail,
    )


def _append(file: Path, data: bytes, offset: int) -> None:
    with file.open("r+b" if file.exists() else "wb") as stream:
        stream.seek(offset)
        stream.write(data)
        stream.truncate()


def _settle(partial: Path, target: Path) -> None:
    """Give a file its name once its bytes are on the disk."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(target)


def sha256_of(file: Path) -> str:
    """Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
