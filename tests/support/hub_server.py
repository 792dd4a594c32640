"""A Hub on the loopback interface, speaking what huggingface_hub's client asks.

    with HubServer([Repo("ada/fog", {"README.md": "# Fog"})]) as server:
        HfApi(endpoint=server.endpoint).model_info("ada/fog")

Two ports: the Hub, and the content network (`cdn`) that large files redirect to, a different origin
as in reality, so that a client which forwards its token there is found out (`server.log`).

By hand, with the standard repositories (`--real-sizes`: the large ones as empty phantoms):

    python -m tests.support.hub_server --port 8123
    HF_ENDPOINT=http://127.0.0.1:8123 sfumato

Sources: the client's own requests (huggingface_hub 2.4), and the headers it reads in answers.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from tests.support.hub_faults import CAPTIVE_PORTAL, Fault, Faults
from tests.support.hub_repo import Blob, Phantom, Repo

GOOD_TOKEN = "hf_goodtoken"
"""Signs in ``ada``."""
STRANGER_TOKEN = "hf_strangertoken"
"""Signs in ``bob``, who was granted nothing."""

_BLOCK = 2**20
_TREE_PAGE = 1000
_LIST_PAGE = 1000
_SORTS = {
    "likes": "likes", "downloads": "downloads", "lastModified": "lastModified",
    "createdAt": "createdAt", "trendingScore": "trendingScore",
}  # fmt: skip
_LISTED = ("_id", "id", "modelId", "likes", "private", "downloads", "tags", "pipeline_tag",
           "library_name", "createdAt", "trendingScore")  # fmt: skip
_TEXT = (".json", ".md", ".txt", ".mil")


@dataclass
class Request:
    """One request, as it was answered."""

    method: str
    path: str
    """Unquoted, without the query."""
    query: dict[str, list[str]]
    range: str
    authorization: str
    cdn: bool
    """Whether it came to the content network's port."""
    headers: dict[str, str]
    file: str = ""
    """``owner/name/path`` where a file's contents were asked."""
    status: int = 0
    sent: int = 0
    """Bytes of body handed to the socket.  A client that was killed has read less: up to the
    socket's buffers (see `HubServer(send_buffer=)`)."""


@dataclass
class _Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    blob: Blob | None = None
    start: int = 0
    length: int = 0


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
        tree_page: int = _TREE_PAGE,
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
        for thread in self._threads:
            thread.join()
        self._threads.clear()

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
        answer = _faulty_answer(faults)
        if answer is None:
            routes = _Routes(hub, request, payload, split.path, faults)
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

    def _send(self, request: Request, answer: _Answer, faults: list[Fault]) -> None:
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
            self.wfile.write(body)
            request.sent = len(answer.body)
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
                self.wfile.write(data)
                request.sent += len(data)
            if speed:
                time.sleep(count / speed)
        if stop < length:
            self._break()


def _pieces(
    answer: _Answer, stop: int, speed: float, faults: list[Fault]
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


def _faulty_answer(faults: list[Fault]) -> _Answer | None:
    for fault in faults:
        if fault.html:
            return _Answer(200, {"Content-Type": "text/html; charset=utf-8"}, CAPTIVE_PORTAL)
        if fault.redirect:
            return _Answer(302, {"Location": fault.redirect})
        if fault.body is not None:
            return _Answer(200, {"Content-Type": "application/json"}, fault.body)
        if fault.status:
            answer = _error(fault.status, fault.error_code, fault.error_message or "Out of order")
            if fault.retry_after is not None:
                answer.headers["Retry-After"] = f"{fault.retry_after:g}"
            return answer
    return None


def _json(data: Any, **headers: str) -> _Answer:
    body = json.dumps(data).encode()
    return _Answer(200, {"Content-Type": "application/json; charset=utf-8", **headers}, body)


def _error(status: int, code: str, message: str) -> _Answer:
    headers = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    return _Answer(status, headers, json.dumps({"error": message}).encode())


class _Routes:
    """Answers one request."""

    def __init__(
        self, hub: HubServer, request: Request, payload: bytes, raw_path: str, faults: list[Fault]
    ) -> None:
        self.server = hub
        self.request = request
        self.payload = payload
        self.raw = raw_path
        self.ignore_range = any(f.ignore_range for f in faults)
        token = request.authorization.removeprefix("Bearer ")
        self.user = hub.tokens.get(token, "") if token else ""
        self.bad_token = bool(token) and not self.user

    def hub(self) -> _Answer:
        """An answer of the Hub itself."""
        parts = self.raw.strip("/").split("/")
        if self.bad_token:
            return _error(401, "", "Invalid credentials in Authorization header")
        match parts:
            case ["api", "whoami-v2"]:
                return self._whoami()
            case ["api", "models"]:
                return self._list()
            case ["api", "models", owner, name, *rest]:
                return self._with_repo(f"{owner}/{name}", lambda r: self._repo_api(r, rest))
            case ["api", "resolve-cache", "models", owner, name, sha, *path]:
                return self._with_file(f"{owner}/{name}", sha, path, self._contents)
            case [owner, name, "resolve", revision, *path]:
                return self._with_file(f"{owner}/{name}", revision, path, self._resolve)
            case [owner, name, "raw", revision, *path]:
                return self._with_file(f"{owner}/{name}", revision, path, self._contents)
        return _error(404, "", "Sorry, we can't find the page you are looking for.")

    def cdn(self) -> _Answer:
        """An answer of the content network: anyone with the address may read."""
        match self.raw.strip("/").split("/"):
            case ["cdn", owner, name, sha, *path]:
                repo = self.server.repos.get(f"{owner}/{name}")
                blob = repo and repo.commits.get(sha, {}).get(unquote("/".join(path)))
                if repo and blob:
                    return self._contents(repo, sha, blob)
        return _error(403, "", "AccessDenied")

    # Who may

    def _with_repo(self, repo_id: str, then: Callable[[Repo], _Answer]) -> _Answer:
        repo = self.server.repos.get(unquote(repo_id))
        if repo is None or (repo.private and self.user not in repo.granted):
            # To a stranger the Hub does not say whether a repository exists.
            if not self.user:
                return _error(401, "RepoNotFound", "Invalid username or password.")
            return _error(404, "RepoNotFound", "Repository not found")
        return then(repo)

    def _with_file(
        self, repo_id: str, revision: str, path: list[str],
        then: Callable[[Repo, str, Blob], _Answer],
    ) -> _Answer:  # fmt: skip
        def find(repo: Repo) -> _Answer:
            if repo.gated and self.user not in repo.granted:
                if not self.user:
                    return _error(
                        401, "GatedRepo",
                        f"Access to model {repo.id} is restricted. You must have access to it and "
                        "be authenticated to access it. Please log in.",
                    )  # fmt: skip
                return _error(
                    403, "GatedRepo",
                    f"Access to model {repo.id} is restricted and you are not in the authorized "
                    "list. Visit the model's page to ask for access.",
                )  # fmt: skip
            sha = repo.resolve(unquote(revision))
            if sha is None:
                return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            blob = repo.commits[sha].get(unquote("/".join(path)))
            if blob is None:
                answer = _error(404, "EntryNotFound", "Entry not found")
                answer.headers["X-Repo-Commit"] = sha
                return answer
            return then(repo, sha, blob)

        return self._with_repo(repo_id, find)

    def _whoami(self) -> _Answer:
        if not self.user:
            return _error(401, "", "Invalid username or password.")
        return _json(
            {
                "type": "user",
                "id": hashlib.md5(self.user.encode()).hexdigest()[:24],
                "name": self.user,
                "fullname": self.user.title(),
                "auth": {
                    "type": "access_token",
                    "accessToken": {"displayName": "sfumato", "role": "read"},
                },
            }
        )

    # Listings

    def _one(self, name: str, default: str = "") -> str:
        return self.request.query.get(name, [default])[-1]

    def _flag(self, name: str) -> bool:
        return self._one(name).lower() in ("true", "1")

    def _list(self) -> _Answer:
        found = [r for r in list(self.server.repos.values()) if self._listed(r)]
        key = _SORTS.get(self._one("sort"), "trendingScore")
        rows = [(r.describe(r.sha), r) for r in found]
        rows.sort(key=lambda row: row[0][key], reverse=self._one("direction", "-1") == "-1")
        start = 0
        if cursor := self._one("cursor"):
            start = int(base64.urlsafe_b64decode(cursor))
        limit = min(int(self._one("limit") or _LIST_PAGE), _LIST_PAGE)
        expand = self.request.query.get("expand", []) + self.request.query.get("expand[]", [])
        if expand:
            keys = {"_id", "id", *expand}
        elif self._flag("full"):
            keys = {*_LISTED, "author", "sha", "lastModified", "gated", "disabled", "siblings"}
        else:
            keys = {*_LISTED, *(["cardData"] if self._flag("cardData") else [])}
        page = [
            {k: v for k, v in data.items() if k in keys} for data, _ in rows[start : start + limit]
        ]
        headers = {}
        if start + limit < len(rows):
            headers["Link"] = self._next(base64.urlsafe_b64encode(b"%d" % (start + limit)).decode())
        return _json(page, **headers)

    def _next(self, cursor: str) -> str:
        query = [(k, v) for k, vs in self.request.query.items() if k != "cursor" for v in vs]
        query.append(("cursor", cursor))
        return f'<{self.server.endpoint}{self.raw}?{urlencode(query)}>; rel="next"'

    def _listed(self, repo: Repo) -> bool:
        tags = {t.lower() for t in repo.all_tags()}
        wanted = [
            v.lower() for name in ("filter", "other") for v in self.request.query.get(name, [])
        ]
        task, author = self._one("pipeline_tag"), self._one("author")
        gated = self._one("gated")
        return (
            not (repo.private and self.user not in repo.granted)
            and all(w in tags for w in wanted)
            and task in ("", repo.pipeline_tag)
            and author.lower() in ("", repo.id.partition("/")[0].lower())
            and self._one("search").lower() in repo.id.lower()
            and (not gated or (gated.lower() == "true") == bool(repo.gated))
        )

    def _repo_api(self, repo: Repo, rest: list[str]) -> _Answer:
        revision = unquote(rest[1]) if len(rest) > 1 else "main"
        sha = repo.resolve(revision)
        if sha is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        match rest:
            case [] | ["revision", _]:
                return self._info(repo, sha)
            case ["tree", _, *path]:
                return self._tree(repo, sha, unquote("/".join(path)))
            case ["paths-info", _]:
                wanted = parse_qs(self.payload.decode())
                with contextlib.suppress(ValueError):
                    wanted = json.loads(self.payload)
                blobs = (repo.commits[sha].get(p) for p in wanted.get("paths", []))
                return _json([b.tree_entry() for b in blobs if b])
            case ["refs"]:
                branches = [
                    {"name": n, "ref": f"refs/heads/{n}", "targetCommit": s}
                    for n, s in repo.references.items()
                ]
                return _json({"branches": branches, "tags": [], "converts": []})
        return _error(404, "", "Sorry, we can't find the page you are looking for.")

    def _info(self, repo: Repo, sha: str) -> _Answer:
        data = repo.describe(sha, blobs=self._flag("blobs"))
        expand = self.request.query.get("expand", []) + self.request.query.get("expand[]", [])
        if expand:
            data = {k: v for k, v in data.items() if k in {"_id", "id", *expand}}
        return _json(data)

    def _tree(self, repo: Repo, sha: str, folder: str) -> _Answer:
        entries = list(repo.tree(sha, folder, self._flag("recursive")))
        if not entries and folder:
            return _error(404, "EntryNotFound", f"{folder} does not exist on {sha}")
        start = int(base64.urlsafe_b64decode(self._one("cursor") or b"MA=="))
        stop = start + self.server.tree_page
        headers = {"X-Repo-Commit": sha}
        if stop < len(entries):
            headers["Link"] = self._next(base64.urlsafe_b64encode(b"%d" % stop).decode())
        return _json(entries[start:stop], **headers)

    # Contents

    def _resolve(self, repo: Repo, sha: str, blob: Blob) -> _Answer:
        path = quote(blob.path)
        if blob.lfs:
            headers = {
                "X-Repo-Commit": sha,
                "X-Linked-Size": str(blob.size),
                "X-Linked-Etag": f'"{blob.sha256}"',
                "Location": f"{self.server.cdn}/cdn/{repo.id}/{sha}/{path}?Signature=ok",
            }
            return _Answer(302, headers)
        if self.server.resolve_cache:
            location = f"/api/resolve-cache/models/{repo.id}/{sha}/{path}"
            return _Answer(307, {"X-Repo-Commit": sha, "Location": location})
        return self._contents(repo, sha, blob)

    def _contents(self, repo: Repo, sha: str, blob: Blob) -> _Answer:
        self.request.file = f"{repo.id}/{blob.path}"
        headers = {
            "ETag": f'"{blob.sha256 if blob.lfs else blob.oid}"',
            "X-Repo-Commit": sha,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream" if blob.lfs else "text/plain; charset=utf-8",
        }
        accepts = self.request.headers.get("accept-encoding", "")
        if self.server.gzip_text and "gzip" in accepts and blob.path.endswith(_TEXT):
            headers["ETag"] = f'W/"{blob.oid}"'
            headers |= {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
            return _Answer(200, headers, gzip.compress(blob.read()))
        wanted = "" if self.ignore_range else self.request.range
        if not wanted:
            return _Answer(200, headers, blob=blob, start=0, length=blob.size)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        if match is None or match.groups() == ("", ""):
            return _Answer(200, headers, blob=blob, start=0, length=blob.size)
        first, last = match.groups()
        start = int(first) if first else max(0, blob.size - int(last))
        stop = min(int(last) + 1 if first and last else blob.size, blob.size)
        if start >= blob.size or stop <= start:
            headers["Content-Range"] = f"bytes */{blob.size}"
            return _Answer(416, headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
        return _Answer(206, headers, blob=blob, start=start, length=stop - start)


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
