"""What the loopback Hub answers: listings, trees, contents, and who may read them."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from tests.support.hub_faults import CAPTIVE_PORTAL, Fault
from tests.support.hub_repo import Blob, Repo

if TYPE_CHECKING:
    from tests.support.hub_server import HubServer

TREE_PAGE = 1000
_LIST_PAGE = 1000
_SORTS: dict[str, Callable[[Repo], Any]] = {
    "likes": lambda r: r.likes,
    "downloads": lambda r: r.downloads,
    "lastModified": lambda r: r.modified,
    "createdAt": lambda r: r.created,
    "trendingScore": lambda r: r.trending,
}
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
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    blob: Blob | None = None
    start: int = 0
    length: int = 0


def faulty_answer(faults: list[Fault]) -> Answer | None:
    for fault in faults:
        if fault.html:
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, CAPTIVE_PORTAL)
        if fault.redirect:
            return Answer(302, {"Location": fault.redirect})
        if fault.body is not None:
            return Answer(200, {"Content-Type": "application/json"}, fault.body)
        if fault.status:
            answer = _error(fault.status, fault.error_code, fault.error_message or "Out of order")
            if fault.retry_after is not None:
                answer.headers["Retry-After"] = f"{fault.retry_after:g}"
            if fault.rate_limit:
                answer.headers["RateLimit"] = fault.rate_limit
            return answer
    return None


def _json(data: Any, **headers: str) -> Answer:
    body = json.dumps(data).encode()
    return Answer(200, {"Content-Type": "application/json; charset=utf-8", **headers}, body)


def _error(status: int, code: str, message: str) -> Answer:
    headers = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    return Answer(status, headers, json.dumps({"error": message}).encode())


class Routes:
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

    def hub(self) -> Answer:
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

    def cdn(self) -> Answer:
        """An answer of the content network: anyone with the address may read."""
        match self.raw.strip("/").split("/"):
            case ["cdn", owner, name, sha, *path]:
                repo = self.server.repos.get(unquote(f"{owner}/{name}"))
                blob = repo and repo.commits.get(sha, {}).get(unquote("/".join(path)))
                if repo and blob:
                    return self._contents(repo, sha, blob)
        return _error(403, "", "AccessDenied")

    # Who may

    def _with_repo(self, repo_id: str, then: Callable[[Repo], Answer]) -> Answer:
        if (new := self.server.renamed.get(unquote(repo_id))) is not None:
            place = self.raw.replace(repo_id, quote(new), 1)
            query = urlencode(self.request.query, doseq=True)
            return Answer(307, {"Location": f"{place}?{query}" if query else place})
        repo = self.server.repos.get(unquote(repo_id))
        if repo is None or (repo.private and self.user not in repo.granted):
            # To a stranger the Hub does not say whether a repository exists.
            if not self.user:
                return _error(401, "RepoNotFound", "Invalid username or password.")
            return _error(404, "RepoNotFound", "Repository not found")
        return then(repo)

    def _with_file(
        self, repo_id: str, revision: str, path: list[str],
        then: Callable[[Repo, str, Blob], Answer],
    ) -> Answer:  # fmt: skip
        def find(repo: Repo) -> Answer:
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

    def _whoami(self) -> Answer:
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

    def _list(self) -> Answer:
        found = [r for r in list(self.server.repos.values()) if self._listed(r)]
        key = _SORTS.get(self._one("sort"), _SORTS["trendingScore"])
        found.sort(key=key, reverse=self._one("direction", "-1") == "-1")
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
            {k: v for k, v in repo.describe(repo.sha).items() if k in keys}
            for repo in found[start : start + limit]
        ]
        headers = {}
        if start + limit < len(found):
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

    def _repo_api(self, repo: Repo, rest: list[str]) -> Answer:
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

    def _info(self, repo: Repo, sha: str) -> Answer:
        data = repo.describe(sha, blobs=self._flag("blobs"))
        expand = self.request.query.get("expand", []) + self.request.query.get("expand[]", [])
        if expand:
            data = {k: v for k, v in data.items() if k in {"_id", "id", *expand}}
        return _json(data)

    def _tree(self, repo: Repo, sha: str, folder: str) -> Answer:
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

    def _resolve(self, repo: Repo, sha: str, blob: Blob) -> Answer:
        path = quote(blob.path)
        if blob.lfs:
            headers = {
                "X-Repo-Commit": sha,
                "X-Linked-Size": str(blob.size),
                "X-Linked-Etag": f'"{blob.sha256}"',
                "Location": f"{self.server.cdn}/cdn/{quote(repo.id)}/{sha}/{path}?Signature=ok",
            }
            return Answer(302, headers)
        if self.server.resolve_cache:
            location = f"/api/resolve-cache/models/{quote(repo.id)}/{sha}/{path}"
            return Answer(307, {"X-Repo-Commit": sha, "Location": location})
        return self._contents(repo, sha, blob)

    def _contents(self, repo: Repo, sha: str, blob: Blob) -> Answer:
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
            return Answer(200, headers, gzip.compress(blob.read()))
        wanted = "" if self.ignore_range else self.request.range
        if not wanted:
            return Answer(200, headers, blob=blob, start=0, length=blob.size)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        if match is None or match.groups() == ("", ""):
            return Answer(200, headers, blob=blob, start=0, length=blob.size)
        first, last = match.groups()
        start = int(first) if first else max(0, blob.size - int(last))
        stop = min(int(last) + 1 if first and last else blob.size, blob.size)
        if start >= blob.size or stop <= start:
            headers["Content-Range"] = f"bytes */{blob.size}"
            return Answer(416, headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
        return Answer(206, headers, blob=blob, start=start, length=stop - start)
