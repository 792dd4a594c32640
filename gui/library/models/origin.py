"""Where a folder on disk came from, as its `sfumato.json` or its manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gui.coreml import sidecar as sidecars
from gui.coreml.sidecar import Sidecar
from gui.errors import SfumatoError
from gui.files import UnreadableFile, read_json_object
from gui.library.models.records import ModelKind, RemoteFile, Span

MANIFEST = ".sfumato-source.json"
"""In a fetched checkpoint: where it came from, and every file's size."""


def local_path(folder: str, path: str) -> str:
    """A path in the repository, less the folder that all of a variant's files share."""
    prefix = folder.strip("/")
    if prefix in ("", ".") or not path.startswith(prefix + "/"):
        return path
    return path[len(prefix) + 1 :]


@dataclass(frozen=True)
class ModelOrigin:
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
    spans: tuple[Span, ...] = ()
    """Of a part of an archive: the bytes of it that were fetched …"""
    inside: tuple[str, ...] = ()
    """… and the folders and files in it that they are."""
    kind: ModelKind = ModelKind.TEXT_TO_IMAGE

    def local_path(self, file: RemoteFile) -> str:
        """Where a file of the repository lies in the model's folder."""
        return local_path(self.prefix, file.path)


def origin_of(folder: Path) -> ModelOrigin | None:
    """Where the model in `folder` came from; None: not from the Hub, or nothing says so."""
    try:
        sidecar = sidecars.read(folder)
    except SfumatoError:
        return None
    return _origin(sidecar) if sidecar is not None else None


def _origin(sidecar: Sidecar) -> ModelOrigin | None:
    hub = sidecar.noted("hub")
    if not hub or not sidecar.source_repo:
        return None
    try:
        return ModelOrigin(
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
            spans=tuple(Span.from_json(span) for span in hub.get("spans", ())),
            inside=tuple(map(str, hub.get("inside", ()))),
            kind=ModelKind(hub.get("kind", ModelKind.TEXT_TO_IMAGE)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


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
        data = read_json_object(folder / MANIFEST)
        return str(data["repo"]), str(data["revision"])
    except (FileNotFoundError, UnreadableFile, KeyError):
        return None
