"""What the process of the service does: uvicorn on a thread, the parent's questions on the main
one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import socket
import threading
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import IO

import uvicorn

from gui import paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.process.serve import Call, Server
from gui.serve import limits, tls
from gui.serve.addresses import is_loopback, reached_at
from gui.serve.app import make_app
from gui.serve.hall import Hall
from gui.serve.messages import SERVE, Listen, Listening, ServiceOptions
from gui.serve.patience import PatientProtocol

_STOP_SECONDS = 5.0


class Service:
    """What the process answers: one server at a time."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self._heard: Heard | None = None
        self._lock: IO[bytes] | None = None

    def listen(self, ask: Listen, _call: Call) -> Listening:
        """Raises SfumatoError: STORAGE, BAD_REQUEST."""
        assert self.server is not None
        self._be_the_only_one()
        options = ask.options
        before = self._heard
        if before is not None and _place(before.options) == _place(options):
            before.change(options)
            return before.listening
        if before is not None:
            before.close()
            self._heard = None
        self._heard = Heard(options, self.server)
        return self._heard.listening

    def _be_the_only_one(self) -> None:
        """Raises SfumatoError where another process of the person's serves already."""
        if self._lock is not None:
            return
        folder = paths.data_dir() / "Service"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (folder / "lock").open("ab")
        except OSError as error:
            raise disk_error(error, "The service cannot be started") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "The service is on already, in Sfumato's window or by `sfumato serve`; use that "
                "one, or switch it off first.",
                repr(error),
            ) from error
        self._lock = lock


def _place(options: ServiceOptions) -> tuple[object, ...]:
    return options.host, options.port, options.names


class Heard:
    """One server, from when it is heard until it is closed."""

    def __init__(self, options: ServiceOptions, server: Server) -> None:
        self.options = options
        self._hall: Hall | None = None
        secured = None if is_loopback(options.host) else tls.certificate(options)
        self._socket = bound(options.host, options.port)
        port = self._socket.getsockname()[1]
        scheme = "http" if secured is None else "https"
        self.listening = Listening(
            f"{scheme}://{reached_at(options.host)}:{port}",
            secured.fingerprint if secured is not None else "",
        )
        self._loop = asyncio.new_event_loop()
        self._server: uvicorn.Server | None = None
        began: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(server, secured, began), name="http", daemon=True
        )
        self._thread.start()
        began.result()

    def change(self, options: ServiceOptions) -> None:
        """Whom it answers, and what with, from now on."""
        self.options = options
        if self._hall is not None:
            self._hall.options = options

    def close(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)

    def _run(self, server: Server, secured: tls.Certificate | None, began: Future[None]) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve(server, secured, began))

    async def _serve(
        self, server: Server, secured: tls.Certificate | None, began: Future[None]
    ) -> None:
        try:
            hall = Hall(self.options, server.tell)
            await hall.start()
            config = uvicorn.Config(
                make_app(hall),  # type: ignore[arg-type]
                http=PatientProtocol,
                loop="none",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=limits.MAX_CONNECTIONS,
                timeout_graceful_shutdown=2,
                ssl_certfile=secured.certificate if secured is not None else None,
                ssl_keyfile=secured.key if secured is not None else None,
            )
            self._server = uvicorn.Server(config)
            self._hall = hall
        except BaseException as error:
            self._socket.close()
            began.set_exception(error)
            return
        began.set_result(None)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            await hall.close()


def bound(host: str, port: int) -> socket.socket:
    """Raises SfumatoError: BAD_REQUEST where the port is in use, or the address is not here."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"The service cannot be heard at {host}, port {port}: {_why(error)}; choose "
            "another one.",
            repr(error),
        ) from error


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program uses that port"
    if error.errno == errno.EACCES:
        return "ports below 1024 are the system's"
    return "it is no address of this computer"


def serve(connection: Connection) -> None:
    """Serve one parent, until it hangs up."""
    service = Service()
    service.server = Server(connection, SERVE, {Listen: service.listen})
    service.server.run()
