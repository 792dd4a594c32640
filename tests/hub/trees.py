"""File lists for tests: a loopback repository's, or made of names alone."""

from __future__ import annotations

import hashlib

from gui.hub.types import RemoteFile, RepoTree
from tests.support.hub_repo import Phantom, Repo


def tree_of(repo: Repo) -> RepoTree:
    """All files of a repository's main branch, as the Hub lists them."""
    files = []
    for path, blob in repo.blobs.items():
        lfs = blob.lfs or isinstance(blob.content, Phantom)
        sha256, oid = (blob.sha256, "") if lfs else ("", blob.oid)
        files.append(RemoteFile(path, blob.size, sha256, oid))
    return RepoTree(repo.id, repo.sha, tuple(files))


def listed(*paths: str, size: int = 1000) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(p, size, blob=hashlib.sha1(p.encode("utf-8", "replace")).hexdigest())
        for p in paths
    )


def package(path: str, weights: int = 1000, *, without: str = "") -> tuple[RemoteFile, ...]:
    """The files of a `.mlpackage`, less those whose path contains `without`."""
    inside = {
        "Manifest.json": 600,
        "Data/com.apple.CoreML/model.mlmodel": 300_000,
        "Data/com.apple.CoreML/weights/weight.bin": weights,
    }
    return _bundle(path, inside, without)


def compiled(path: str, weights: int = 1000, *, without: str = "") -> tuple[RemoteFile, ...]:
    """The files of a `.mlmodelc`, likewise."""
    inside = {
        "model.mil": 300_000,
        "weights/weight.bin": weights,
        "coremldata.bin": 600,
        "analytics/coremldata.bin": 200,
        "metadata.json": 4000,
    }
    return _bundle(path, inside, without)


def _bundle(path: str, inside: dict[str, int], without: str) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(f"{path}/{name}", size, blob=hashlib.sha1(f"{path}/{name}".encode()).hexdigest())
        for name, size in inside.items()
        if not (without and without in name)
    )


def tree(*groups: tuple[RemoteFile, ...], id: str = "someone/something") -> RepoTree:
    return RepoTree(id, "0" * 40, tuple(f for group in groups for f in group))
