"""Where a folder on disk came from, as its `sfumato.json` or its manifest says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gui import records
from gui.coreml import sidecar as sidecars
from gui.coreml.sidecar import Sidecar
from gui.errors import SfumatoError
from gui.hub.downloads.plan import Plan, local_path
from gui.hub.types import RemoteFile

MANIFEST = ".sfumato-source.json"
"""In a fetched checkpoint: where it came from, and every file's size."""

_PACKAGES = (".mlpackage", ".mlmodelc")


@dataclass(frozen=True)
class Origin:
    """Where an installed model came from, and what its files should be."""

    repo: str
    revision: str
    variant: str
    title: str
    prefix: str
    """Folder in the repository that was dropped on installing."""
    archive: bool
    remote: tuple[RemoteFile, ...]
    hashes: dict[str, str]
    sizes: dict[str, int]
    installed: str
    base_model: str = ""

    def local_path(self, file: RemoteFile) -> str:
        """Where a file of the repository lies in the model's folder."""
        return local_path(self.prefix, file.path)


def origin_of(folder: Path) -> Origin | None:
    """Where the model in `folder` came from; None: not from the Hub, or nothing says so."""
    try:
        sidecar = sidecars.read(folder)
    except SfumatoError:
        return None
    return _origin(sidecar) if sidecar is not None else None


def _origin(sidecar: Sidecar) -> Origin | None:
    hub = sidecar.extra.get("hub")
    if not isinstance(hub, dict) or not sidecar.source_repo:
        return None
    try:
        return Origin(
            repo=sidecar.source_repo,
            revision=sidecar.source_revision,
            variant=str(hub["variant"]),
            title=str(hub.get("title", "")),
            prefix=str(hub.get("folder", "")),
            archive=bool(hub.get("archive", False)),
            remote=tuple(RemoteFile.from_json(file) for file in hub["remote"]),
            hashes={str(k): str(v) for k, v in sidecar.hashes.items()},
            sizes={str(k): int(v) for k, v in hub.get("sizes", {}).items()},
            installed=str(hub.get("installed", "")),
            base_model=str(hub.get("base_model", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def model_folders(root: Path) -> Iterator[Path]:
    """Folders that hold a model, at most two levels below `root`; hidden ones are none."""
    for pattern in ("*", "*/*"):
        for folder in sorted(root.glob(pattern)):
            # A folder that ends in .partial is a conversion under way.
            parts = folder.relative_to(root).parts
            hidden = any(part.startswith(".") or part.endswith(".partial") for part in parts)
            if not hidden and folder.suffix not in _PACKAGES and _holds_model(folder):
                yield folder


def _holds_model(folder: Path) -> bool:
    try:
        return any(child.suffix in _PACKAGES for child in folder.iterdir())
    except OSError:
        return False


def holds_packages(folder: Path) -> bool:
    """Whether there is a Core ML package in a folder, however deep, or it is one itself."""
    return folder.suffix in _PACKAGES or any(
        name.endswith(_PACKAGES) for _, names, _ in os.walk(folder) for name in names
    )


FINDERS = (".DS_Store", ".localized")
"""What Finder leaves in folders."""


def holds_files(folder: Path) -> bool:
    """Whether there is any file in a folder, however deep, but what Finder leaves there; or it is
    a file itself."""
    return folder.is_file() or any(set(names) - set(FINDERS) for _, _, names in os.walk(folder))


def file_hashes(folder: Path) -> dict[str, tuple[str, ...]]:
    """By path: the hashes under which the Hub may know a file of an installed model."""
    origin = origin_of(folder)
    if origin is None:
        return {}
    found: dict[str, tuple[str, ...]] = {path: (digest,) for path, digest in origin.hashes.items()}
    if not origin.archive:
        for file in origin.remote:
            if file.blob and not file.sha256:
                path = origin.local_path(file)
                found[path] = (*found.get(path, ()), file.blob)
    return found


def fetched_source(folder: Path) -> tuple[str, str] | None:
    """Repository and revision of a checkpoint that was fetched to be converted; None: not ours."""
    try:
        data = records.parse((folder / MANIFEST).read_bytes())
        return str(data["repo"]), str(data["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_source_of(plan: Plan, folder: Path) -> bool:
    """Whether a kept checkpoint is just what a plan would fetch, and its files have their sizes.

    They were verified when they came; reading some gigabytes once more would take long.
    """
    if fetched_source(folder) != (plan.repo, plan.revision):
        return False
    try:
        return all(
            (folder / plan.local_path(file)).stat().st_size == file.size
            for file in plan.variant.files
        )
    except OSError:
        return False
