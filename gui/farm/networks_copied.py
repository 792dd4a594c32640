"""A LoRA, ControlNet, upscaler or map network from another Mac.

Its files are checked one by one, then looked at as if a person had brought them, and what is no
such network is thrown away; nothing of it is run.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from gui import names, paths
from gui.coreml.control_networks import GENERIC, inspect_control_network
from gui.coreml.map_network import inspect_map_network
from gui.coreml.names import EXTENSIONS
from gui.coreml.picture_network import inspect_picture_network
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.farm import wire
from gui.farm.models_copied import bring, refused
from gui.farm.stock import digest
from gui.farm.transfers import Transfers
from gui.library import loras
from gui.library.lora_files.kinds import read_lora

_HOMES: dict[str, Callable[[], Path]] = {
    "lora": paths.loras_dir,
    "control": paths.controlnets_dir,
    "upscaler": paths.upscalers_dir,
    "map": paths.preprocessors_dir,
}


async def copy_network(
    transfers: Transfers,
    event: wire.FetchModel,
    on_progress: Callable[[int, int], None],
    most: int,
) -> Path:
    """Bring a network here from the member that has it.

    Args:
        most: bytes that it may have.

    Returns:
        The installed file or package.

    Raises:
        SfumatoError: NETWORK; STORAGE where there is no room; BAD_MODEL where what arrived is not
            what was offered; BAD_REQUEST where another one of the name is here; what its being
            looked at says.
    """
    if event.kind not in _HOMES:
        raise refused(event.kind)
    work = await bring(
        transfers, "network", event.source, event.model, event.name, most, on_progress
    )
    try:
        return await asyncio.to_thread(_install, work, event)
    finally:
        await asyncio.to_thread(shutil.rmtree, work, True)


def _install(work: Path, event: wire.FetchModel) -> Path:
    tops = list(work.iterdir())
    if len(tops) != 1 or digest(tops) != event.model:
        raise refused("another hash")
    (top,) = tops
    if event.kind == "lora":
        read_lora(top)
        fits = top.suffix.lower() == loras.ENDING
        home = top.name if top.stem not in loras.GENERIC else f"{event.name}/{top.name}"
    else:
        found = _looked_at(event.kind, top)
        fits = top.suffix.lower() in EXTENSIONS and found in ("", event.name)
        home = top.name if top.stem.lower() not in GENERIC else f"{event.name}/{top.name}"
    if not fits or not names.is_safe(home):
        raise refused(top.name)
    folder = _HOMES[event.kind]()
    target = folder / home
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"Another “{event.name}” is on that Mac already; rename one of the two.",
                str(target),
            )
        top.rename(target)
    except OSError as error:
        raise disk_error(error, f"“{event.name}” cannot be kept in {folder}") from error
    return target


def _looked_at(kind: str, top: Path) -> str:
    """The name of a network as it is known by; empty where its folder says it."""
    if kind == "control":
        component = inspect_control_network(top)
        return "" if top.stem.lower() in GENERIC else component.name
    return (
        inspect_picture_network(top).name if kind == "upscaler" else inspect_map_network(top).name
    )
