"""What this Mac has to draw with: models and networks, known by their contents.

Blocking: for a thread of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from gui import paths
from gui.coreml.control_networks import control_networks
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.map_network import map_networks
from gui.coreml.model import Family, ModelInfo
from gui.coreml.picture_network import upscalers
from gui.coreml.sidecar import Sidecar
from gui.errors import SfumatoError
from gui.farm.wire import ModelHere, Network
from gui.files import content_bytes, everything, is_folder
from gui.library import loras, step_times
from gui.library.models.folders import model_folders
from gui.library.models.origin import origin_of
from gui.request import ComputeUnit

_SAMPLE = 64 * 1024

log = logging.getLogger(__name__)


class Stock:
    """Models and networks on this disk, read again where something has changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[object, str, ModelHere]] = {}
        self._folders: dict[str, Path] = {}
        self._networks: dict[tuple[object, ...], Network] = {}
        self._tops: dict[str, Path] = {}
        self._also: set[Path] = set()

    def add(self, folder: Path) -> None:
        """Look at a model that lies elsewhere, too."""
        self._also.add(folder)

    def folder(self, model: str) -> Path | None:
        """Where the model with this hash lies, as `look` saw it."""
        return self._folders.get(model)

    def network(self, sha256: str) -> Path | None:
        """The file or package of the network with this hash, as `look` saw it; None where there is
        none, or it is in several pieces."""
        return self._tops.get(sha256)

    def look(self) -> tuple[tuple[ModelHere, ...], tuple[Network, ...]]:
        """All that is here.  Never raises."""
        found: dict[str, ModelHere] = {}
        folders: dict[str, Path] = {}
        for folder in (paths.starter_model(), *model_folders(paths.models_dir()), *self._also):
            read = self._model(folder)
            if read is not None:
                found.setdefault(read.hash, read)
                folders.setdefault(read.hash, folder)
        self._folders = folders
        return tuple(found.values()), tuple(self._look_for_networks())

    def _model(self, folder: Path) -> ModelHere | None:
        state = _state(folder)
        if state is None:
            return None
        known = self._read.get(folder)
        if known is None or known[0] != state:
            try:
                info = inspect_model(folder)
                if not info.usable:
                    return None
                sidecar = load_sidecar(info)
                read = _described(info, sidecar, model_hash(info))
            except SfumatoError as error:
                log.info("%s cannot be offered: %s", folder, error.message)
                return None
            self._read[folder] = known = (state, info.family, read)
        _, family, read = known
        return ModelHere(**{**vars(read), "pace": pace_of(read.hash, family == Family.SDXL)})

    def _look_for_networks(self) -> Iterator[Network]:
        for entry in loras.entries():
            yield from self._network("lora", entry.name, (Path(entry.path),))
        for component in control_networks():
            yield from self._network("control", component.name, component.files)
        for network in upscalers():
            yield from self._network("upscaler", network.name, network.component.files)
        for network in map_networks():
            yield from self._network("map", network.name, network.component.files)

    def _network(self, kind: str, name: str, files: tuple[Path, ...]) -> Iterator[Network]:
        key = (kind, name, *((str(f), _state(f)) for f in files))
        if key not in self._networks:
            try:
                size = sum(content_bytes(file) for file in files)
                self._networks[key] = Network(kind, name, digest(files), size)
            except OSError as error:
                log.info("%s cannot be read: %r", name, error)
                return
        found = self._networks[key]
        if len(files) == 1:
            self._tops[found.sha256] = files[0]
        yield found


def _described(info: ModelInfo, sidecar: Sidecar, found: str) -> ModelHere:
    origin = origin_of(info.folder)
    repo, revision, variant = (
        (origin.repo, origin.revision, origin.variant) if origin else ("", "", "")
    )
    name = sidecar.name or info.name
    return ModelHere(found, name, info.size_bytes, 0.0, repo, revision, variant)


def _state(path: Path) -> object:
    """Changes where the folder's own entries or its sidecar do; None: it is gone."""
    try:
        own = path.stat()
        state: list[object] = [own.st_mtime_ns, own.st_size]
        with contextlib.suppress(OSError):
            state.append((path / "sfumato.json").stat().st_mtime_ns)
        return tuple(state)
    except OSError:
        return None


def pace_of(model: str, xl: bool) -> float:
    """Seconds for one unit of work, as it was measured here last; 0: never."""
    for unit in ComputeUnit:
        for pace in reversed(step_times.measured(model, unit)):
            return pace.call / step_times.work_of((pace.width, pace.height), xl=xl)
    return 0.0


def digest(files: Iterable[Path]) -> str:
    """Tells a network's files from any others, wherever they lie: names within a package, sizes,
    small files whole, of large ones three samples.

    Raises:
        OSError: one cannot be read.
    """
    told = hashlib.sha256()
    for top in files:
        inner = sorted(p for p in everything(top) if p.is_file()) if is_folder(top) else [top]
        for file in inner:
            size = file.stat().st_size
            name = str(file.relative_to(top)) if file != top else ""
            told.update(f"{name}\0{size}\0".encode())
            with file.open("rb") as stream:
                for start in sorted({0, max(0, (size - _SAMPLE) // 2), max(0, size - _SAMPLE)}):
                    stream.seek(start)
                    told.update(stream.read(_SAMPLE))
    return told.hexdigest()
