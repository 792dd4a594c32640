"""Connections between the Macs of a farm: Dask's TLS transport with a dialect of ours on it.

`distributed.comm` opens, accepts and closes the connections, over TLS with certificates on both
sides.  Only what is written and read is ours: frames of `gui.process.messages`, JSON with bytes
behind it.  Dask's own frames would be unpickled, or have what they name imported, by whoever
reads them, before anyone could refuse; here nobody reads them.  As a second wall a farm's process
refuses to unpickle anything at all (`refuse_pickles`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from gui import paths

# Dask writes a folder of examples into the person's home where it is not told otherwise.
os.environ.setdefault("DASK_CONFIG", str(paths.data_dir() / "Farm" / "dask"))

from distributed.comm.core import CommClosedError, Listener, connect, listen
from distributed.comm.registry import backends
from distributed.comm.tcp import TLS, TLSBackend, TLSConnector, TLSListener
from distributed.security import Security
from tornado.iostream import StreamClosedError

from gui.errors import ErrorKind, SfumatoError
from gui.process import messages
from gui.process.messages import Event, Header, Interface, ProtocolError

SCHEME = "sfumato"
MAX_FRAME = 8 * 2**20
"""Longest frame that is read, in bytes: a piece of a file with its header, or a list of jobs."""
_LENGTH = struct.Struct(">Q")
_QUEUED = 256
"""Messages that wait to be sent, after which previews are left out."""
_HANDSHAKE = {"dialect": "sfumato-farm"}

log = logging.getLogger(__name__)

Hung = CommClosedError
"""The other side is gone."""


class Frames(TLS):
    """A TLS connection of Dask's that carries frames of ours, and never Dask's."""

    async def read_frame(self) -> bytes:
        """The next frame.

        Raises:
            Hung: the other side is gone.
            ProtocolError: it speaks another dialect; the connection is closed.
        """
        stream = self.stream
        if stream is None:
            raise Hung
        try:
            (length,) = _LENGTH.unpack(await stream.read_bytes(_LENGTH.size))
            if length > MAX_FRAME:
                self.abort()
                raise ProtocolError(f"a frame of {length} bytes")
            return await stream.read_bytes(length)
        except (StreamClosedError, OSError) as error:
            self.abort()
            raise Hung(str(error)) from error
        except asyncio.CancelledError:
            self.abort()  # half a frame may be read
            raise

    async def write_frame(self, frame: bytes) -> None:
        """Raises Hung where the other side is gone."""
        stream = self.stream
        if stream is None:
            raise Hung
        try:
            await stream.write(_LENGTH.pack(len(frame)) + frame)
        except (StreamClosedError, OSError) as error:
            self.abort()
            raise Hung(str(error)) from error

    # What Dask says and reads itself is its handshake alone, which is ours here.

    async def read(self, deserializers: Any = None) -> Header:
        try:
            return messages.unpack(await self.read_frame())[0]
        except ProtocolError as error:
            self.abort()
            raise Hung(str(error)) from error

    async def write(self, msg: Any, serializers: Any = None, on_error: Any = None) -> int:
        frame = messages.pack(msg)
        await self.write_frame(frame)
        return len(frame)

    def handshake_info(self) -> dict[str, Any]:
        return dict(_HANDSHAKE)

    @staticmethod
    def handshake_configuration(local: dict[str, Any], remote: dict[str, Any]) -> dict[str, Any]:
        if remote.get("dialect") != local["dialect"]:
            raise Hung("another dialect")
        return {}

    @property
    def peer_id(self) -> str:
        """Serial number of the other side's certificate, which its authority signed."""
        return str((self.extra_info.get("peercert") or {}).get("serialNumber", "")).lower()

    @property
    def peer_name(self) -> str:
        """Common name in that certificate."""
        subject = (self.extra_info.get("peercert") or {}).get("subject", ())
        return next((v for part in subject for k, v in part if k == "commonName"), "")


class _Connector(TLSConnector):
    prefix = f"{SCHEME}://"
    comm_class = Frames


class _Listener(TLSListener):
    prefix = f"{SCHEME}://"
    comm_class = Frames


class _Backend(TLSBackend):
    _connector_class = _Connector
    _listener_class = _Listener


backends[SCHEME] = _Backend()


class Channel:
    """Records to and from one other process.

    Args:
        comm: the connection.
        interface: what it may say.
    """

    def __init__(self, comm: Frames, interface: Interface) -> None:
        self.comm = comm
        self._interface = interface
        self._out: asyncio.Queue[Event | None] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write())

    def send(self, event: Event, *, droppable: bool = False) -> None:
        """Say something, in order; it is left out where it is `droppable` and much waits."""
        if not (droppable and self._out.qsize() > _QUEUED):
            self._out.put_nowait(event)

    async def receive(self) -> Event:
        """What is said next.

        Raises:
            Hung: the other side is gone.
            ProtocolError: what it said makes no sense here.
        """
        header, block = messages.unpack(await self.comm.read_frame())
        return messages.read_event(self._interface, header, block).event

    async def close(self, last: Event | None = None) -> None:
        """Send what waits, and hang up."""
        if last is not None:
            self._out.put_nowait(last)
        self._out.put_nowait(None)
        with contextlib.suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(asyncio.shield(self._writer), 2.0)
        self._writer.cancel()
        with contextlib.suppress(OSError):
            await self.comm.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._writer.cancel()
        self.comm.abort()

    async def _write(self) -> None:
        try:
            while (event := await self._out.get()) is not None:
                await self.comm.write_frame(messages.tell(0, event))
        except OSError:
            pass  # the reader hears of it too
        except ProtocolError:
            log.exception("a message that cannot be sent")
            self.comm.abort()


def security(authority: str, certificate: str, key: str) -> Security:
    """Mutual TLS 1.3 with these PEM texts or files for every role."""
    import ssl

    roles = {f"tls_{role}_cert": certificate for role in ("scheduler", "worker", "client")}
    roles |= {f"tls_{role}_key": key for role in ("scheduler", "worker", "client")}
    return Security(
        require_encryption=True,
        tls_ca_file=authority,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        **roles,
    )


async def open_channel(
    host: str, port: int, credentials: Security, interface: Interface, seconds: float
) -> Channel:
    """Connect to a scheduler.

    Raises:
        Hung: the certificates do not fit, or another program answers there.
        OSError: nobody answers there within `seconds`.
    """
    address = f"{SCHEME}://{_bracketed(host)}:{port}"
    arguments = credentials.get_connection_args("client")
    async with asyncio.timeout(seconds + 5):
        try:
            comm = await connect(address, timeout=seconds, **arguments)
        except ValueError as error:  # of tornado's, where the other side hangs up at once
            raise ConnectionError(str(error)) from error
    assert isinstance(comm, Frames)
    return Channel(comm, interface)


async def start_listening(
    host: str, port: int, credentials: Security, handle: Callable[[Frames], Awaitable[None]]
) -> Listener:
    """Accept members.

    Raises:
        SfumatoError: NETWORK where the port is taken.
    """

    async def accept(comm: Frames) -> None:
        comm.allow_offload = False
        await handle(comm)

    arguments = credentials.get_listen_args("scheduler")
    listener: Any = listen(f"{SCHEME}://{_bracketed(host)}:{port}", accept, **arguments)
    try:
        await listener.start()
    except OSError as error:
        raise SfumatoError(
            ErrorKind.NETWORK,
            f"Port {port} is used by another program; choose another one with --port.",
            str(error),
        ) from error
    return listener


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def refuse_pickles() -> None:
    """Let nothing be unpickled in this process that names a class or a function, for good.

    Nothing here does; were a way ever found to have it done, it would end here.
    """

    def hook(event: str, _arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class":
            raise RuntimeError("a farm's process takes no pickles")

    sys.addaudithook(hook)
