"""A Hub on the loopback interface, speaking what huggingface_hub's client asks.

    with HubServer([Repo("ada/fog", {"README.md": "# Fog"})]) as server:
        HfApi(endpoint=server.endpoint).model_info("ada/fog")

Two ports: the Hub, and the content network (`cdn`) that large files redirect to, a different origin
as in reality, so that a client which forwards its token there is found out (`server.log`).

By hand, with the standard repositories (`--real-sizes`: the large ones as empty phantoms):

    python -m tests.support.hub_server --port 8123
    HF_ENDPOINT=http://127.0.0.1:8123 sfumato

The token ``hf_goodtoken`` signs in ada, who accepted the terms of the gated one.

Sources: the client's own requests (huggingface_hub 2.4), and the headers it reads in answers.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import struct
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.hub_faults import Fault, Faults
from tests.support.hub_repo import Phantom, Repo
from tests.support.hub_routes import TREE_PAGE, Answer, Request, Routes, faulty_answer

GOOD_TOKEN = "hf_goodtoken"
"""Signs in ``ada``."""
STRANGER_TOKEN = "hf_strangertoken"
"""Signs in ``bob``, who was granted nothing."""

_BLOCK = 2**20


class HubServer:
    """The server; a context manager.

    Args:
        tokens: user names by token.
        tree_page: entries of a tree per page (the Hub: 1000).
        send_buffer: the kernel's buffer of each connection in bytes, which bounds how far `sent`
            may run ahead of the client; 0: the system's.
        gzip_text: compress small text files for a client that accepts it, without Content-Length
            and deaf to Range, as the Hub's front does.
        resolve_cache: answer for small files with a relative redirect, as the Hub does lately.
    """

    def __init__(
        self,
        repos: Iterable[Repo] = (),
        *,
        tokens: Mapping[str, str] | None = None,
        tree_page: int = TREE_PAGE,
        send_buffer: int = 0,
        gzip_text: bool = False,
        resolve_cache: bool = False,
        port: int = 0,
    ) -> None:
        self.repos: dict[str, Repo] = {r.id: r for r in repos}
        self.tokens = dict(tokens or {GOOD_TOKEN: "ada", STRANGER_TOKEN: "bob"})
        self.tree_page = tree_page
        self.send_buffer = send_buffer
        self.gzip_text = gzip_text
        self.resolve_cache = resolve_cache
        self.renamed: dict[str, str] = {}
        """New names of repositories by their old ones, which the Hub goes on to know."""
        self.faults = Faults()
        self._lock = threading.Lock()
        self._log: list[Request] = []
        self._servers = [_Listener(self, port, cdn=False), _Listener(self, 0, cdn=True)]
        self.endpoint = f"http://127.0.0.1:{self._servers[0].server_port}"
        self.cdn = f"http://127.0.0.1:{self._servers[1].server_port}"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> HubServer:
        for server in self._servers:
            thread = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            )
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and break every open connection."""
        for server in self._servers:
            if self._threads:
                server.shutdown()
            server.server_close()
            server.hang_up()
            if self._threads:
                self._keep(server.server_port)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _keep(self, port: int) -> None:
        """Let no other server have the port while this object lives: a test that asks a Hub which
        is gone must be refused, not answered by the Hub of another test."""
        with contextlib.suppress(OSError), socket.socket() as keeper:
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of ended connections
            keeper.bind(("127.0.0.1", port))
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            weakref.finalize(self, os.close, keeper.detach())

    # What tests set and read

    def add(self, repo: Repo) -> Repo:
        self.repos[repo.id] = repo
        return repo

    def delete(self, repo_id: str) -> None:
        """The author takes the repository away."""
        self.repos.pop(repo_id, None)

    def delete_after(self, repo_id: str, requests: int) -> Fault:
        """The same, once so many more requests for it were answered."""
        return self.fault(
            f"*{repo_id}/*", skip=requests, times=1, action=lambda: self.delete(repo_id)
        )

    def fault(self, pattern: str = "*", **effects: Any) -> Fault:
        """Let something go wrong; see `Fault`."""
        return self.faults.add(Fault(pattern, **effects))

    @property
    def log(self) -> list[Request]:
        """Every request so far, oldest first."""
        with self._lock:
            return list(self._log)

    def clear_log(self) -> None:
        with self._lock:
            self._log.clear()

    def count(self, pattern: str, method: str = "") -> int:
        """Requests whose path contains `pattern`."""
        return sum(pattern in r.path and method in ("", r.method) for r in self.log)

    def sent(self, file: str = "") -> int:
        """Bytes of file contents sent, of those whose ``owner/name/path`` begins with `file`."""
        return sum(r.sent for r in self.log if r.file and r.file.startswith(file))

    def record(self, request: Request) -> None:
        with self._lock:
            self._log.append(request)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, hub: HubServer, port: int, *, cdn: bool) -> None:
        self.hub = hub
        self.cdn = cdn
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.hub.send_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.hub.send_buffer)
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        hub = self.server.hub
        split = urlsplit(self.path)
        request = Request(
            self.command,
            unquote(split.path),
            parse_qs(split.query),
            self.headers.get("Range", ""),
            self.headers.get("Authorization", ""),
            self.server.cdn,
            {k.lower(): v for k, v in self.headers.items()},
        )
        length = int(self.headers.get("Content-Length") or 0)
        payload = self.rfile.read(length) if length else b""
        faults = hub.faults.strike(self.command, request.path)
        hub.record(request)
        if any(f.hang_up for f in faults):
            return self._break()
        for fault in faults:
            time.sleep(fault.delay)
        answer = faulty_answer(faults)
        if answer is None:
            routes = Routes(hub, request, payload, split.path, faults)
            answer = routes.cdn() if self.server.cdn else routes.hub()
        with contextlib.suppress(OSError):
            self._send(request, answer, faults)
        return None

    def _break(self) -> None:
        """Close as a crashed server does: with a reset."""
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.wfile.flush()
            self.connection.close()
        self.close_connection = True

    def _send(self, request: Request, answer: Answer, faults: list[Fault]) -> None:
        request.status = answer.status
        length = answer.length if answer.blob else len(answer.body)
        for fault in faults:
            if fault.truncate_to is not None:
                length = min(length, fault.truncate_to)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Transfer-Encoding" not in answer.headers:
            # A HEAD of a redirect has no body either, but X-Linked-Size says the file's size.
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.blob is None and "Transfer-Encoding" in answer.headers:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body)
            request.sent = len(answer.body)
            self.wfile.write(body)
            return
        drops = [f.drop_after for f in faults if f.drop_after is not None]
        stop = min([length, *drops])
        speed = max((f.bytes_per_second for f in faults), default=0.0)
        for data, count in _pieces(answer, stop, speed, faults):
            if data is None:
                assert answer.blob is not None and isinstance(answer.blob.content, Path)
                with answer.blob.content.open("rb") as file:
                    request.sent += self.connection.sendfile(file, answer.start, count)
            else:
                # Counted first: a client that has it all may ask for the count at once.
                request.sent += len(data)
                try:
                    self.wfile.write(data)
                except OSError:
                    request.sent -= len(data)
                    raise
            if speed:
                time.sleep(count / speed)
        if stop < length:
            self._break()


def _pieces(
    answer: Answer, stop: int, speed: float, faults: list[Fault]
) -> Iterable[tuple[bytes | None, int]]:
    """The body in pieces; None: `stop` bytes straight from the file."""
    blob = answer.blob
    if blob is None:
        yield answer.body[:stop], stop
        return
    corrupt = [f.corrupt_at for f in faults if f.corrupt_at is not None]
    if isinstance(blob.content, Path) and not speed and not corrupt:
        yield None, stop
        return
    block = max(1024, min(_BLOCK, int(speed / 20))) if speed else _BLOCK
    wrong = {c if c >= 0 else blob.size + c for c in corrupt}
    for position in range(answer.start, answer.start + stop, block):
        count = min(block, answer.start + stop - position)
        data = blob.read(position, count)
        for offset in wrong:
            if position <= offset < position + count:
                spoilt = bytearray(data)
                spoilt[offset - position] ^= 0xFF
                data = bytes(spoilt)
        yield data, count


def main() -> None:
    """Serve the standard repositories until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A Hub on the loopback interface.")
    parser.add_argument("--port", type=int, default=8123, help="0: any")
    parser.add_argument("--real-sizes", action="store_true", help="layouts of the true sizes")
    parser.add_argument("--bytes-per-second", type=float, default=0.0, help="of each connection")
    options = parser.parse_args()
    from tests.support.hub_repos import standard_repos

    repos = standard_repos(real_sizes=options.real_sizes)
    with HubServer(repos, port=options.port) as server:
        if options.bytes_per_second:
            server.fault("/*", bytes_per_second=options.bytes_per_second)
        print(f"HF_ENDPOINT={server.endpoint}  ({len(repos)} repositories)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

__all__ = ["GOOD_TOKEN", "STRANGER_TOKEN", "Fault", "HubServer", "Phantom", "Repo", "Request"]
