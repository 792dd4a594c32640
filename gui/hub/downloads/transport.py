"""Reading a stretch of a file from the Hub, with huggingface_hub's own session.

The session gives proxies, certificates, time limits and offline mode; `gui.hub.session` the token
and the user agent; `hf_hub_url` the address.  The Hub answers large files with a redirect to
another host; httpx drops the token on the way there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.utils import hf_raise_for_status

from gui.errors import ErrorKind, SfumatoError
from gui.hub import errors, session
from gui.hub.types import RemoteFile


class Transient(Exception):  # noqa: N818 - a state of the network, not a mistake
    """Worth another attempt.

    Args:
        error: what to tell the person when the attempts run out.
        wait: seconds the server asked us to wait; 0: it did not say.
    """

    def __init__(self, error: SfumatoError, wait: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


class RangeIgnored(Exception):  # noqa: N818
    """The server sends the whole file where a part was asked for."""


class Stretch:
    """An open response: bytes ``start … end`` of a file.  Made by `Transport.open`."""

    def __init__(self, response: httpx2.Response, start: int, end: int) -> None:
        self._response = response
        self.start = start
        self.end = end

    def blocks(self) -> Iterator[bytes]:
        """The bytes as they arrive, never more than were asked for.

        Raises:
            httpx2.HTTPError: the connection broke.
        """
        left = self.end - self.start
        encoded = _is_encoded(self._response)
        blocks = self._response.iter_bytes() if encoded else self._response.iter_raw()
        # Read to the very end of the answer, or the connection could not be used again.
        for block in blocks:
            if len(block) > left:
                if left:
                    yield block[:left]
                return
            left -= len(block)
            yield block

    def abort(self) -> None:
        """End a read that blocks in another thread."""
        stream = self._response.extensions.get("network_stream")
        raw = stream.get_extra_info("socket") if stream is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)


class Transport:
    """Where one repository's files come from.

    Args:
        repo: ``owner/name``.
        revision: commit hash.
        endpoint: base address of the Hub; None: huggingface_hub's (HF_ENDPOINT).
        token: asked for before every request; may answer None.
    """

    def __init__(
        self, repo: str, revision: str, endpoint: str | None, token: Callable[[], str | None]
    ) -> None:
        self._repo = repo
        self._revision = revision
        self._endpoint = session.endpoint_or_default(endpoint)
        self._token = token

    @property
    def anonymous(self) -> bool:
        """Whether nobody is signed in, or with a token that the Hub does not know."""
        return session.usable(self._token(), self._endpoint) is None

    @contextlib.contextmanager
    def open(
        self, file: RemoteFile, start: int, end: int, whole: bool = False
    ) -> Iterator[Stretch]:
        """Ask for bytes ``start … end`` of `file`.

        Args:
            file: file of the repository.
            start: first byte wanted.
            end: one past the last byte wanted.
            whole: do not ask for a range; the stretch then begins at 0.

        Raises:
            Transient: the server is busy or answers nonsense; try again later.
            RangeIgnored: the server does not do ranges here; ask for the whole file.
            SfumatoError: ACCESS, NOT_FOUND … as `gui.hub.errors.translate` words them, and NETWORK
                where the file is not what it was when the download was planned.
            httpx2.HTTPError: no connection, or it broke.
        """
        url = self._url(file.path)
        span = ""
        ranged = not whole and (start, end) != (0, file.size)
        if ranged:
            span = f"bytes={start}-{end - 1}"
        else:
            start, end = 0, file.size
        session.prepare()
        with contextlib.ExitStack() as stack:
            response = session.with_token(
                self._token(),
                self._endpoint,
                lambda token: stack.enter_context(self._answer(url, span, token)),
            )
            self._check(response, file, start, ranged)
            yield Stretch(response, start, end)

    @contextlib.contextmanager
    def _answer(self, url: str, span: str, token: str | None) -> Iterator[httpx2.Response]:
        headers = session.headers_for(url, self._endpoint, token)
        # Compressed bytes have another length, and cannot be continued.
        headers["Accept-Encoding"] = "identity"
        if span:
            headers["Range"] = span
        with get_session().stream("GET", url, headers=headers) as response:
            if response.status_code == 401 and self._is_hubs(response):
                response.read()
                hf_raise_for_status(response)
            yield response

    def _url(self, path: str) -> str:
        return hf_hub_url(self._repo, path, revision=self._revision, endpoint=self._endpoint)

    def _check(self, response: httpx2.Response, file: RemoteFile, start: int, ranged: bool) -> None:
        status = response.status_code
        if status == 429 or status == 408 or status >= 500:
            seconds = errors.retry_after(response.headers, status)
            raise Transient(_busy(status, seconds, str(response.url)), seconds)
        if status == 416:
            raise changed(file, f"416 from {response.url}")
        if status >= 400:
            if status != 407 and not self._is_hubs(response):
                # The Hub itself let us through: an address that has expired, or a network that
                # lets nobody go there.
                raise Transient(_refused(status, response.url.host))
            response.read()
            hf_raise_for_status(response)
        self._check_identity(response, file)
        if status == 206:
            if _is_encoded(response):
                raise Transient(_nonsense(f"an encoded part of {response.url}"))
            if not ranged or not _is_range(response.headers.get("Content-Range", ""), start, file):
                raise changed(file, f"Content-Range {response.headers.get('Content-Range')!r}")
            return
        if status != 200:
            raise Transient(_nonsense(f"status {status} from {response.url}"))
        length = response.headers.get("Content-Length")
        if _is_encoded(response):
            length = None  # of the encoded bytes
        if length is None or _number(length) != file.size:
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise Transient(errors.captive_portal(str(response.url)))
            if length is not None:
                raise Transient(_nonsense(f"{length} bytes instead of {file.size}: {file.path}"))
        if ranged:
            raise RangeIgnored

    def _is_hubs(self, response: httpx2.Response) -> bool:
        """Whether the Hub itself answered, perhaps behind a mirror, and not the content network
        that it sends us to."""
        ours = session.same_origin(str(response.url), self._endpoint)
        return ours or "X-Error-Code" in response.headers

    def _check_identity(self, response: httpx2.Response, file: RemoteFile) -> None:
        """The Hub itself states commit and hash, in its redirect or in the answer."""
        for answer in (*response.history, response):
            size = answer.headers.get(constants.HUGGINGFACE_HEADER_X_LINKED_SIZE, "")
            if _number(size) not in (None, file.size):
                raise changed(file, f"{size} bytes instead of {file.size}")
            etag = answer.headers.get(constants.HUGGINGFACE_HEADER_X_LINKED_ETAG, "")
            etag = etag.removeprefix("W/").strip('"')
            if etag and file.sha256 and len(etag) == 64 and etag != file.sha256:
                raise changed(file, f"ETag {etag} instead of {file.sha256}")

    def small_file(self, path: str, limit: int) -> bytes:
        """The contents of a small file of the repository; at most `limit` bytes.

        Raises:
            SfumatoError: NETWORK, ACCESS, NOT_FOUND.
        """
        return session.get_bytes(
            self._url(path),
            endpoint=self._endpoint,
            token=self._token(),
            limit=limit,
            what=self._repo,
        )


def changed(file: RemoteFile, detail: str) -> SfumatoError:
    """The file on the Hub is not the one that was planned."""
    return SfumatoError(
        ErrorKind.NETWORK,
        "The model changed on the Hub while it was downloaded; cancel this download and get the "
        "model again.",
        f"{file.path}: {detail}",
    )


def _is_encoded(response: httpx2.Response) -> bool:
    """Whether a proxy compressed the answer although we asked it not to."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() != "identity"


def _is_range(value: str, start: int, file: RemoteFile) -> bool:
    """Whether a Content-Range (RFC 9110, 14.4) begins where it was asked to, of that size."""
    unit, _, rest = value.strip().partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    sizes = (str(file.size), "*")
    # Names of units are the same in any case (14.1).
    return unit.lower() == "bytes" and _number(first) == start and total.strip() in sizes


def _number(text: str) -> int | None:
    """What a header states, if that is a number."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _busy(status: int, seconds: float, url: str) -> SfumatoError:
    detail = f"status {status} from {url}"
    if status == 429:
        return errors.too_many_requests(seconds, detail)
    return SfumatoError(
        ErrorKind.NETWORK,
        "The Hub has trouble answering at the moment; resume the download later.",
        detail,
    )


def _refused(status: int, host: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK,
        f"The Hub keeps this model's files at {host}, which refused them; check that your network "
        "lets you go there, then resume the download.",
        f"status {status} from {host}",
    )


def _nonsense(detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK, "The Hub answered with nonsense; resume the download later.", detail
    )


def transient(error: BaseException) -> Transient | None:
    """`error` as something worth another attempt, or None where it is not."""
    if isinstance(error, Transient):
        return error
    if isinstance(error, (httpx2.TransportError, httpx2.StreamError)):
        sentence = (
            "The connection to the Hub broke off; check the network, then resume the download."
        )
        return Transient(SfumatoError(ErrorKind.NETWORK, sentence, repr(error)))
    return None


class Aborts:
    """The open stretches of one run, so that pausing can end their reads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Stretch] = set()
        self._closed = False

    @contextlib.contextmanager
    def watch(self, stretch: Stretch) -> Iterator[Any]:
        with self._lock:
            self._open.add(stretch)
            closed = self._closed
        try:
            if closed:
                stretch.abort()
            yield
        finally:
            with self._lock:
                self._open.discard(stretch)

    def abort_all(self) -> None:
        with self._lock:
            self._closed = True
            for stretch in self._open:
                stretch.abort()
