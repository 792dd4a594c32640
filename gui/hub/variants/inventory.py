"""What a list of files holds: Core ML bundles, archives, the small files a model goes with.

The list may be a repository's tree or a zip's directory; either way it was written by a stranger,
so paths are checked before anything else looks at them.  Folder names count for nothing here: a
bundle is known by the files inside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from gui.coreml.model import FileFormat
from gui.coreml.names import EXTENSIONS, FileRole, role_of
from gui.coreml.sidecar import FILE_NAME as SIDECAR
from gui.hub.types import RemoteFile
from gui.names import is_debris, is_safe

COMPANIONS = frozenset(
    {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
     "special_tokens_map.json", "added_tokens.json", "scheduler_config.json",
     "multilingual_vocab.json", "vocabulary.json", SIDECAR}
)  # fmt: skip
"""Small files that belong to a model: Swift's tokenizer, diffusers' settings, and what Sfumato
notes of a model it converted."""

MAX_COMPANION = 16 * 2**20
"""Bytes; a tokenizer of 50,000 words is 2 MB, a multilingual one 9 MB."""

_FOREIGN_ARCHIVES = (".7z", ".rar", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip.001",
                     ".z01", ".aar")  # fmt: skip


@dataclass(frozen=True)
class Bundle:
    """One `.mlpackage` or `.mlmodelc` and the files in it."""

    path: str
    """The bundle's own path in the list."""
    format: FileFormat
    files: tuple[RemoteFile, ...]

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> str:
        """Folder that holds it; empty for the root."""
        return self.path.rpartition("/")[0]

    @cached_property
    def role(self) -> FileRole | None:
        """What its name says it is."""
        return role_of(PurePosixPath(self.path))

    @cached_property
    def inside(self) -> dict[str, RemoteFile]:
        """Files by path inside the bundle."""
        start = len(self.path) + 1
        return {f.path[start:]: f for f in self.files}

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the weight files."""
        return sum(f.size for name, f in self.inside.items() if _is_weights(name))

    @cached_property
    def fault(self) -> str:
        """What keeps it from being a whole ML Program, in words; empty if nothing does."""
        names = self.inside
        if self.format is FileFormat.PACKAGE:
            if "Manifest.json" not in names:
                return "its manifest is missing"
            if self.specification is None:
                return "its description is missing"
        else:
            if not self.programs:
                old = any(".espresso." in n or n == "neural_network_optionals" for n in names)
                return "it is an older kind of Core ML model" if old else "its program is missing"
            if not any(n.rpartition("/")[2] == "coremldata.bin" for n in names):
                return "a part of it is missing"
        # One half of a small network may be without any.
        half = self.role is not None and self.role.chunk
        return "" if self.weight_bytes or half else "its weights are missing"

    @cached_property
    def specification(self) -> RemoteFile | None:
        """A package's `model.mlmodel`."""
        usual = self.inside.get("Data/com.apple.CoreML/model.mlmodel")
        if usual is not None:
            return usual
        found = [
            f for n, f in self.inside.items() if n.startswith("Data/") and n.endswith(".mlmodel")
        ]
        return found[0] if len(found) == 1 else None

    @cached_property
    def programs(self) -> tuple[RemoteFile, ...]:
        """A compiled model's `model.mil`, or those of a pipeline's stages in running order."""
        if "model.mil" in self.inside:
            return (self.inside["model.mil"],)
        stages = {
            int(match.group(1)): file
            for name, file in self.inside.items()
            if (match := re.fullmatch(r"model(\d{1,3})/model\.mil", name))
        }
        return tuple(stages[n] for n in sorted(stages))

    @property
    def metadata(self) -> RemoteFile | None:
        """A compiled model's `metadata.json`."""
        return self.inside.get("metadata.json")


def _is_weights(name: str) -> bool:
    return name.endswith(".bin") and PurePosixPath(name).parent.name == "weights"


@dataclass(frozen=True)
class Inventory:
    bundles: tuple[Bundle, ...] = ()
    archives: tuple[RemoteFile, ...] = ()
    """Zips."""
    companions: dict[str, tuple[RemoteFile, ...]] = field(default_factory=dict)
    """Tokenizer files and the like, by folder."""
    single_models: tuple[RemoteFile, ...] = ()
    """`.mlmodel` files: the format from before packages."""
    foreign_archives: tuple[RemoteFile, ...] = ()
    """Archives of kinds that are not unpacked."""
    unsafe: int = 0
    """Files left aside for their paths."""


def take_inventory(files: Iterable[RemoteFile]) -> Inventory:
    """Sort a list of files; what is of no use (documents, pictures, other weights) is left out."""
    bundles: dict[str, list[RemoteFile]] = {}
    archives, singles, foreign = [], [], []
    companions: dict[str, list[RemoteFile]] = {}
    unsafe = 0
    seen: Counter[str] = Counter()
    for file in files:
        if not is_safe(file.path) or file.size < 0 or seen[file.path]:
            unsafe += 1
            continue
        seen[file.path] += 1
        parts = file.path.split("/")
        if is_debris(file.path):
            continue
        place = next((n for n, part in enumerate(parts[:-1]) if _extension(part)), None)
        folder, name = "/".join(parts[:-1]), parts[-1].lower()
        if place is not None:
            bundles.setdefault("/".join(parts[: place + 1]), []).append(file)
        elif name.endswith(".zip"):
            archives.append(file)
        elif name.endswith(".mlmodel"):
            singles.append(file)
        elif name.endswith(_FOREIGN_ARCHIVES):
            foreign.append(file)
        elif name in COMPANIONS and file.size <= MAX_COMPANION:
            companions.setdefault(folder, []).append(file)
    return Inventory(
        bundles=tuple(
            Bundle(path, EXTENSIONS[_extension(path)], tuple(bundles[path]))
            for path in sorted(bundles)
        ),
        archives=tuple(sorted(archives, key=lambda f: f.path)),
        companions={folder: tuple(found) for folder, found in companions.items()},
        single_models=tuple(singles),
        foreign_archives=tuple(foreign),
        unsafe=unsafe,
    )


def _extension(name: str) -> str:
    """``.mlpackage`` or ``.mlmodelc`` where a name ends so; empty otherwise."""
    return next((e for e in EXTENSIONS if name.lower().endswith(e) and len(name) > len(e)), "")
