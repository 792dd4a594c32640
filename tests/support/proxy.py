"""A forward proxy for tests: plain requests and CONNECT tunnels, every one of them noted."""

from __future__ import annotations

import http.client
import shutil
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Proxy:
    """A context manager; `log` has method, ``host:port`` and headers (names in lower case) of each
    request.

    Args:
        hosts: where hosts that do not exist really are: address by ``host:port``.  Tunnels are
            refused with 502, as nothing here speaks TLS.
    """

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self.log: list[tuple[str, str, dict[str, str]]] = []
        self.hosts = dict(hosts)
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def _note(self, host: str) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.log.append((self.command, host, headers))

    def do_CONNECT(self) -> None:
        self._note(self.path)
        self.send_error(502)

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        host = split.netloc if split.port else f"{split.netloc}:80"
        self._note(host)
        place = urlsplit(self.owner.hosts.get(host, f"http://{host}")).netloc
        path = f"{split.path}?{split.query}" if split.query else split.path
        upstream = http.client.HTTPConnection(place, timeout=30)
        upstream.request("GET", path, headers={**dict(self.headers), "Connection": "close"})
        answer = upstream.getresponse()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        shutil.copyfileobj(answer, self.wfile)
        upstream.close()
