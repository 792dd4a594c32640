"""A repository whose model can be caught in the middle of its download."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.hub_repo import Content, Repo, files_below
from tests.support.hub_shelf import STARTER

PREFIX = "packages/"


def long_model(repo: str = "slow/model", megabytes: int = 6) -> Repo:
    """The starter model, with ballast behind its largest weights: Core ML reads them by offset, so
    the model still works."""
    files: dict[str, Content] = {
        path: content
        for path, content in files_below(STARTER, PREFIX).items()
        if ".mlpackage/" in path
    }
    largest = max(files, key=lambda path: Path(str(files[path])).stat().st_size)
    files[largest] = Path(str(files[largest])).read_bytes() + os.urandom(megabytes * 2**20)
    return Repo(
        repo, files, likes=1, tags=("coreml", "text-to-image"), pipeline_tag="text-to-image"
    )


def offered(repo: Repo, prefix: str = PREFIX) -> dict[str, bytes]:
    """What a repository holds below a folder, by path in it."""
    return {
        path.removeprefix(prefix): blob.read()
        for path, blob in repo.blobs.items()
        if path.startswith(prefix)
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of an installed model but the note about it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "sfumato.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
