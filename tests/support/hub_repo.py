"""A repository as the loopback Hub keeps it: files, commits and what the Hub says of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_LFS_SUFFIXES = (
    ".7z", ".arrow", ".bin", ".bz2", ".ckpt", ".gz", ".h5", ".mlmodel", ".model", ".msgpack",
    ".npy", ".npz", ".onnx", ".pb", ".pickle", ".pkl", ".pt", ".pth", ".rar", ".safetensors",
    ".tar", ".tflite", ".tgz", ".xz", ".zip", ".zst", ".png", ".jpg",
)  # fmt: skip
"""What the Hub's default .gitattributes puts into LFS, and pictures, which most authors add."""
_LFS_BYTES = 10 * 2**20
"""Above this the Hub takes files into LFS only."""

_hashes: dict[tuple[str, int, int], tuple[str, str]] = {}


@dataclass(frozen=True)
class Phantom:
    """A file of any size that takes no room: zeros, with a hash that fits no contents.

    For trees of real proportions; it can be listed, and fetched, but never verified.  `head` is
    what it begins with.
    """

    size: int
    name: str = ""
    head: bytes = b""


Content = bytes | str | Path | Phantom


class Blob:
    """The contents of one file, hashed when first asked."""

    def __init__(self, path: str, content: Content) -> None:
        self.path = path
        self.content = content.encode() if isinstance(content, str) else content
        if isinstance(self.content, Path):
            self.size = self.content.stat().st_size
        elif isinstance(self.content, Phantom):
            self.size = self.content.size
        else:
            self.size = len(self.content)
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a path on the Hub, any text
        self.lfs = suffix in _LFS_SUFFIXES or self.size > _LFS_BYTES

    @property
    def sha256(self) -> str:
        return self._both[0]

    @cached_property
    def oid(self) -> str:
        """git's name of the blob: of the file, or of its LFS pointer."""
        if not self.lfs:
            return self._both[1]
        pointer = (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\nsize {self.size}\n"
        ).encode()
        return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()

    @cached_property
    def _both(self) -> tuple[str, str]:
        """SHA-256, and git's SHA-1."""
        start = b"blob %d\0" % self.size
        if isinstance(self.content, bytes):
            return (
                hashlib.sha256(self.content).hexdigest(),
                hashlib.sha1(start + self.content).hexdigest(),
            )
        if isinstance(self.content, Phantom):
            text = f"{self.content.name or self.path} {self.size}".encode()
            return hashlib.sha256(text).hexdigest(), hashlib.sha1(text).hexdigest()
        assert isinstance(self.content, Path)
        stat = self.content.stat()
        key = (str(self.content), stat.st_mtime_ns, stat.st_size)
        if key not in _hashes:
            sha256, sha1 = hashlib.sha256(), hashlib.sha1(start)
            with self.content.open("rb") as file:
                while block := file.read(2**20):
                    sha256.update(block)
                    sha1.update(block)
            _hashes[key] = (sha256.hexdigest(), sha1.hexdigest())
        return _hashes[key]

    def read(self, start: int = 0, length: int | None = None) -> bytes:
        length = self.size - start if length is None else length
        if isinstance(self.content, bytes):
            return self.content[start : start + length]
        if isinstance(self.content, Phantom):
            length = max(0, min(length, self.size - start))
            return self.content.head[start : start + length].ljust(length, b"\0")
        assert isinstance(self.content, Path)
        with self.content.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def tree_entry(self) -> dict[str, Any]:
        """As ``/api/models/…/tree`` lists it."""
        entry: dict[str, Any] = {
            "type": "file", "oid": self.oid, "size": self.size, "path": self.path,
        }  # fmt: skip
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return entry

    def sibling(self, blobs: bool) -> dict[str, Any]:
        """As ``/api/models/…`` lists it."""
        if not blobs:
            return {"rfilename": self.path}
        entry: dict[str, Any] = {
            "rfilename": self.path, "size": self.size, "blobId": self.oid,
        }  # fmt: skip
        if self.lfs:
            entry["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": 134}
        return entry


@dataclass
class Repo:
    """A repository.  `commit` gives it new contents.

    Args:
        id: ``owner/name``.
        files: by path in the repository.
        gated: False, ``auto`` or ``manual``; the contents are for `granted` users only.
        card_data: front matter of the README, as the Hub repeats it in its listings.
    """

    id: str
    files: Mapping[str, Content] = field(default_factory=dict)
    likes: int = 0
    downloads: int = 0
    trending: int = 0
    modified: str = "2024-01-01T00:00:00.000Z"
    created: str = "2023-01-01T00:00:00.000Z"
    tags: tuple[str, ...] = ()
    pipeline_tag: str = ""
    library: str = ""
    gated: bool | str = False
    granted: tuple[str, ...] = ()
    private: bool = False
    licence: str = ""
    card_data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commits: dict[str, dict[str, Blob]] = {}
        self.references: dict[str, str] = {}
        self.commit(self.files)

    def commit(self, files: Mapping[str, Content]) -> str:
        """Give the main branch these files and no others.

        Returns:
            The commit's hash.
        """
        blobs = {path: Blob(path, content) for path, content in files.items()}
        listing = json.dumps(
            [len(self.commits), self.id, [[b.path, b.size] for b in blobs.values()]]
        )
        sha = hashlib.sha1(listing.encode()).hexdigest()
        self.commits[sha] = blobs
        self.references["main"] = sha
        return sha

    @property
    def sha(self) -> str:
        """The main branch's commit."""
        return self.references["main"]

    @property
    def blobs(self) -> dict[str, Blob]:
        return self.commits[self.sha]

    def resolve(self, revision: str) -> str | None:
        """The commit a branch, tag or (short) hash means."""
        if revision in self.references:
            return self.references[revision]
        whole = [sha for sha in self.commits if len(revision) >= 7 and sha.startswith(revision)]
        return whole[0] if len(whole) == 1 else None

    def all_tags(self) -> list[str]:
        """Tags as the Hub computes them: the card's, library, base model with what was made of it,
        task, licence, region."""
        tags = list(self.tags)
        if base := self.card_data.get("base_model"):
            relation = "adapter" if "lora" in tags else "finetune"
            tags += [f"base_model:{base}", f"base_model:{relation}:{base}"]
        for tag in (self.library, self.pipeline_tag, self.licence and f"license:{self.licence}"):
            if tag and tag not in tags:
                tags.append(tag)
        return [*tags, "region:us"]

    def describe(self, sha: str, blobs: bool = False) -> dict[str, Any]:
        """Everything ``/api/models`` can say of it."""
        card = dict(self.card_data)
        if self.licence:
            card["license"] = self.licence
        if self.tags:
            card["tags"] = list(self.tags)
        return {
            "_id": hashlib.md5(self.id.encode()).hexdigest()[:24],
            "id": self.id,
            "modelId": self.id,
            "author": self.id.partition("/")[0],
            "sha": sha,
            "lastModified": self.modified,
            "createdAt": self.created,
            "private": self.private,
            "gated": self.gated,
            "disabled": False,
            "likes": self.likes,
            "downloads": self.downloads,
            "trendingScore": self.trending,
            "tags": self.all_tags(),
            **({"pipeline_tag": self.pipeline_tag} if self.pipeline_tag else {}),
            **({"library_name": self.library} if self.library else {}),
            "cardData": card,
            "usedStorage": sum(b.size for b in self.commits[sha].values()),
            "siblings": [b.sibling(blobs) for b in self.commits[sha].values()],
        }

    def tree(self, sha: str, folder: str, recursive: bool) -> Iterator[dict[str, Any]]:
        """Entries below `folder`, folders included, as the Hub's tree lists them."""
        prefix = f"{folder}/" if folder else ""
        folders: set[str] = set()
        for path, blob in sorted(self.commits[sha].items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            for n in range(1, len(parts) if recursive else min(len(parts), 2)):
                name = prefix + "/".join(parts[:n])
                if name not in folders:
                    folders.add(name)
                    oid = hashlib.sha1(name.encode()).hexdigest()
                    yield {"type": "directory", "oid": oid, "size": 0, "path": name}
            if recursive or len(parts) == 1:
                yield blob.tree_entry()


def files_below(folder: Path, prefix: str = "") -> dict[str, Content]:
    """The files of a folder, by path in a repository under `prefix`."""
    return {
        prefix + path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
