"""What is installed beside models: ControlNets, upscalers and LoRAs, with where they came from.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gui import files, paths
from gui.coreml.names import is_hidden, is_package_name
from gui.library import loras
from gui.library.models.folders import holds_model
from gui.library.models.origin import origin_of
from gui.library.models.records import InstalledModel, ModelKind

K = ModelKind
KINDS = (K.CONTROLNET, K.LORA, K.UPSCALER)


def home_of(kind: ModelKind) -> Path | None:
    """Where what is installed of this kind lies; None: among the models."""
    homes = {
        K.CONTROLNET: paths.controlnets_dir,
        K.UPSCALER: paths.upscalers_dir,
        K.LORA: paths.loras_dir,
    }
    return homes[kind]() if kind in homes else None


def addons(*kinds: ModelKind) -> tuple[InstalledModel, ...]:
    """Everything of these kinds (all of `KINDS` for none), by kind and name: folders that came
    from the Hub as a whole, and single packages and files that a person put there, whose `repo` is
    empty.  Never raises.  Blocking."""
    found: list[InstalledModel] = []
    for kind in kinds or KINDS:
        places = _loras() if kind is K.LORA else _networks(home_of(kind))
        rows = {str(place): _installed(place, kind) for place in places}
        found += sorted(rows.values(), key=lambda one: Path(one.folder).name.casefold())
    return tuple(found)


def from_hub() -> tuple[InstalledModel, ...]:
    """`addons` that came from the Hub."""
    return tuple(one for one in addons() if one.repo)


def _networks(home: Path | None) -> Iterator[Path]:
    for path in files.children(home) if home is not None else ():
        if is_package_name(path.name) or (not is_hidden(path.name) and holds_model(path)):
            yield path


def _loras() -> Iterator[Path]:
    home = paths.loras_dir()
    for entry in loras.entries():
        path = Path(entry.path)
        whole = path.parent != home and origin_of(path.parent) is not None
        yield path.parent if whole else path


def _installed(path: Path, kind: ModelKind) -> InstalledModel:
    origin = None if files.is_file(path) else origin_of(path)
    known = (origin.repo, origin.revision, origin.variant) if origin else ("", "", "")
    return InstalledModel(
        str(path),
        *known,
        bytes=files.disk_bytes(path),
        installed=origin.installed if origin else "",
        kind=kind,
    )
