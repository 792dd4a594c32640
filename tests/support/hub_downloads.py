"""What the download tests share: variants of loopback repositories, and reading folders."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from gui.coreml.model import Family, FileFormat
from gui.hub.downloads import Backoff
from gui.hub.types import RemoteFile, RepoTree, Variant
from tests.support.hub_repo import Repo

HASTY = Backoff(first=0.02, longest=0.1, attempts=3)
"""Gives up after a quarter of a second."""


def remote_files(repo: Repo, folder: str = "") -> tuple[RemoteFile, ...]:
    """The repository's files as the Hub's tree lists them."""
    return tuple(
        RemoteFile(b.path, b.size, b.sha256 if b.lfs else "", "" if b.lfs else b.oid)
        for b in repo.blobs.values()
        if b.path.startswith(folder + "/" if folder else "")
    )


def tree_of(repo: Repo) -> RepoTree:
    return RepoTree(repo.id, repo.sha, remote_files(repo))


def variant_of(repo: Repo, folder: str = "", **values: object) -> Variant:
    """A variant of all files below `folder`."""
    files = remote_files(repo, folder)
    size = sum(file.size for file in files)
    known = {"family": Family.SD1, "format": FileFormat.PACKAGE, "title": "Packages"} | values
    return Variant(
        id=folder or ".",
        files=files,
        folder=folder,
        download_bytes=size,
        disk_bytes=size,
        **known,  # type: ignore[arg-type]
    )


def archive_of(repo: Repo, path: str, disk_bytes: int = 0) -> Variant:
    """A variant that is one zip of the repository."""
    files = tuple(file for file in remote_files(repo) if file.path == path)
    return Variant(
        id=path,
        title="Archive",
        files=files,
        archive=True,
        family=Family.SD1,
        download_bytes=files[0].size,
        disk_bytes=disk_bytes or 2 * files[0].size,
    )


def random_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 by path of every file in a folder, the sidecar left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "sfumato.json"
    }


def expected(repo: Repo, folder: str = "") -> dict[str, str]:
    """The same of a repository, straight from what the server serves."""
    prefix = folder + "/" if folder else ""
    return {
        path.removeprefix(prefix): hashlib.sha256(blob.read()).hexdigest()
        for path, blob in repo.blobs.items()
        if path.startswith(prefix)
    }
