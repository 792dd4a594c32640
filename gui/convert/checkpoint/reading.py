"""Look at a source quickly: headers and configurations only, without torch.

Nothing is ever downloaded, unpickled or executed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gui.convert.checkpoint.checkpoint import Checkpoint
from gui.convert.checkpoint.diffusers_folder import check_vae, read_folder, read_part
from gui.convert.checkpoint.single_file import VAE_PREFIX, original_vae, read_single_file
from gui.convert.checkpoint.weights import Part, stored
from gui.convert.types import SourceInfo
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.safetensors_header import read_header


def look(path: Path | str) -> SourceInfo:
    """What `path` holds.

    Args:
        path: a diffusers folder, or a `.safetensors` checkpoint in the original layout.

    Raises:
        SfumatoError: one sentence on why it cannot be converted.
    """
    return read_checkpoint(path).info


def read_checkpoint(path: Path | str) -> Checkpoint:
    """`look`, with everything that was read on the way."""
    path = Path(path)
    try:
        return read_folder(path) if path.is_dir() else read_single_file(path)
    except OSError as error:
        raise disk_error(
            error, f"“{path.name}” cannot be read", detail=f"{path}: {error}"
        ) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A setting of a kind that nobody would write: text for a number, a list for a name …
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"A configuration file of “{path.name}” makes no sense; get the checkpoint again.",
            f"{path}: {error!r}",
        ) from error


def with_vae(checkpoint: Checkpoint, path: str) -> Checkpoint:
    """The same checkpoint with another VAE.

    Args:
        path: a diffusers folder of a VAE or of a whole model, or a `.safetensors` file of either,
            in diffusers' layout or the original one; empty: the checkpoint's own.

    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED where there is no VAE that could be used.
    """
    if not path:
        return checkpoint
    own = checkpoint.parts["vae"]
    try:
        vae = _vae(Path(path), own)
    except OSError as error:
        raise SfumatoError(
            ErrorKind.STORAGE,
            f"The VAE “{Path(path).name}” cannot be read; choose another file.",
            f"{path}: {error}",
        ) from error
    check_vae(vae.config, Path(path))
    if len(vae.config["block_out_channels"]) != len(own.config["block_out_channels"]):
        raise _no_vae(Path(path), "another number of levels")
    config = {"scaling_factor": own.config.get("scaling_factor"), **vae.config}
    parts = {**checkpoint.parts, "vae": dataclasses.replace(vae, config=config)}
    return dataclasses.replace(checkpoint, parts=parts)


def _vae(path: Path, own: Part) -> Part:
    if path.is_dir():
        folder = path / "vae" if (path / "vae" / "config.json").is_file() else path
        if not (folder / "config.json").is_file():
            raise _no_vae(path, "no config.json")
        return read_part("vae", "AutoencoderKL", folder)
    every = stored(read_header(path))
    for prefix in (VAE_PREFIX, "vae.", ""):
        tensors = {n.removeprefix(prefix): t for n, t in every.items() if n.startswith(prefix)}
        if "encoder.down_blocks.0.resnets.0.conv1.weight" in tensors:  # diffusers' names
            return Part("vae", own.network, own.config, tensors, str(path))
        if "encoder.down.0.block.0.conv1.weight" in tensors:
            return original_vae(tensors, float(own.config.get("scaling_factor") or 0.18215), path)
    raise _no_vae(path, ", ".join(list(every)[:5]))


def _no_vae(path: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"“{path.name}” holds no VAE that this model could use; choose a VAE's folder or "
        "“.safetensors” file made for its family.",
        f"{path}: {detail}",
    )
