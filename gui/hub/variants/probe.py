"""Read small stretches of a repository's files, without downloading the rest.

A `Probe` is anything that can: `HttpProbe` asks the Hub by byte ranges, tests read folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import RemoteFile

if TYPE_CHECKING:
    import httpx2

MAX_READ = 16 * 2**20
"""Longest stretch that is read at once; a UNet's description is 1 to 10 MB."""

MAX_SECONDS = 25.0
"""How long a stretch may take to come, and how long a repository may be looked into before a last
stretch is asked for: whoever waits on a slow connection is told what names and sizes say."""

CACHE_BYTES = 128 * 2**20
"""Disk that remembered reads may take."""


class Probe(Protocol):
    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        """Bytes `start` to `start + length` of a file, fewer only where it ends sooner.

        Raises:
            SfumatoError: NETWORK, ACCESS or NOT_FOUND where they cannot be had.
        """
        ...


class ProbeLimit(Exception):  # noqa: N818 - not an error: there is enough already
    """So much has been read that the rest is judged from names and sizes."""


class Budget:
    """A probe that allows so many reads and bytes, and so much time (in seconds, from now on), then
    raises `ProbeLimit`."""

    def __init__(
        self, probe: Probe, reads: int, size: int = 96 * 2**20, seconds: float = MAX_SECONDS
    ) -> None:
        self._probe = probe
        self._reads = reads
        self._bytes = size
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self.used = 0
        """Reads so far."""

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        with self._lock:
            late = time.monotonic() > self._end
            if late or self.used >= self._reads or length > self._bytes:
                raise ProbeLimit
            self.used += 1
            self._bytes -= length
        return self._probe.read(file, start, length)


class HttpProbe:
    """Ranged GETs with huggingface_hub's own session and headers, remembered on disk.

    What is remembered is keyed by the file's hash (or by commit and path where the Hub gives
    none), so it never goes stale.  Safe to use from several threads.

    Args:
        repo: ``owner/name``.
        revision: commit hash.
        endpoint: None: huggingface_hub's (HF_ENDPOINT).
        token: None: anonymous.
        cache: folder for what was read; None: the user's cache folder.
    """

    def __init__(
        self,
        repo: str,
        revision: str,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        cache: Path | None = None,
    ) -> None:
        self.repo = repo
        self.revision = revision
        self._endpoint = endpoint
        self._token = token
        self._cache = cache if cache is not None else paths.cache_dir() / "Hub" / "Probes"
        self.requests = 0
        """Reads that went over the network."""

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        if start < 0 or not 0 < length <= MAX_READ:
            raise ValueError(f"cannot read {length} bytes from {start}")
        length = max(0, min(length, file.size - start))
        if length == 0:
            return b""
        entry = self._cache / self._key(file, start, length)
        known = _recall(entry, length)
        if known is not None:
            return known
        data = self._fetch(file, start, length)
        if length == file.size and not _is_genuine(file, data):
            raise _nonsense(file, "its hash is another")
        _remember(entry, data)
        return data

    def _key(self, file: RemoteFile, start: int, length: int) -> str:
        identity = file.sha256 or file.blob or f"{self.repo}@{self.revision}:{file.path}"
        return hashlib.sha256(f"{identity} {start} {length}".encode()).hexdigest()

    def _fetch(self, file: RemoteFile, start: int, length: int) -> bytes:
        from huggingface_hub import hf_hub_url

        from gui.hub import session
        from gui.hub.errors import translate

        endpoint = session.endpoint_or_default(self._endpoint)
        headers = {
            "Range": f"bytes={start}-{start + length - 1}",
            # Compressed on the way, a range would count bytes of the wrong thing.
            "Accept-Encoding": "identity",
        }
        self.requests += 1
        try:
            url = hf_hub_url(self.repo, file.path, revision=self.revision, endpoint=endpoint)
            with session.stream(
                url, endpoint=endpoint, token=self._token, headers=headers
            ) as response:
                return _body(response, file, start, length)
        except Exception as error:
            raise translate(error, self.repo) from error


def _body(response: httpx2.Response, file: RemoteFile, start: int, length: int) -> bytes:
    """The wanted bytes of an answer, which may be the whole file where ranges are ignored."""
    status = response.status_code
    skip = 0 if status == 206 else start
    if skip > MAX_READ:
        raise _nonsense(file, f"status {status} to a range from {start}")
    if status != 206 and "html" in response.headers.get("Content-Type", ""):
        raise _nonsense(file, "a web page")
    if status == 206:
        said = response.headers.get("Content-Range", "")
        if not said.startswith(f"bytes {start}-"):
            raise _nonsense(file, f"Content-Range {said!r}, wanted from {start}")
    data = bytearray()
    end = time.monotonic() + MAX_SECONDS
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) >= skip + length:
            break
        if time.monotonic() > end:
            raise SfumatoError(
                ErrorKind.NETWORK,
                "The connection to the Hub is too slow; try again later.",
                f"{file.path}: {len(data)} of {skip + length} bytes in {MAX_SECONDS:g} s",
            )
    if len(data) < skip + length:
        raise _nonsense(file, f"{len(data)} bytes, {skip + length} wanted")
    return bytes(data[skip : skip + length])


def _is_genuine(file: RemoteFile, data: bytes) -> bool:
    """Whether a whole file has the hash that the Hub lists; true where it lists none."""
    if file.sha256:
        return hashlib.sha256(data).hexdigest() == file.sha256
    if file.blob:  # git's name: the hash of a header and the contents
        header = f"blob {len(data)}\0".encode()
        return hashlib.sha1(header + data, usedforsecurity=False).hexdigest() == file.blob
    return True


def _nonsense(file: RemoteFile, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.NETWORK,
        "The Hub sent something else than was asked for; try again later.",
        f"{file.path}: {detail}",
    )


def _recall(entry: Path, length: int) -> bytes | None:
    try:
        data = zlib.decompressobj().decompress(entry.read_bytes(), length + 1)
        if len(data) != length:
            return None
        os.utime(entry)  # the oldest go first
        return data
    except (OSError, zlib.error):
        return None


def _remember(entry: Path, data: bytes) -> None:
    """Keep what was read; a cache that cannot be written is done without."""
    temporary = entry.with_name(f".{entry.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(zlib.compress(data, 1))
        temporary.replace(entry)
        _trim(entry.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _trim(folder: Path) -> None:
    """Remove what was longest unused until the rest is within `CACHE_BYTES`."""
    entries = []
    for item in os.scandir(folder):
        with contextlib.suppress(OSError):  # another process was faster
            status = item.stat()
            entries.append((status.st_mtime, status.st_size, item.path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= CACHE_BYTES:
            return
        with contextlib.suppress(OSError):
            Path(path).unlink()
        total -= size
