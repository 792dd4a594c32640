"""Look at a source quickly: headers and configurations only, without torch.

Nothing is ever downloaded, unpickled or executed.
"""

from __future__ import annotations

from pathlib import Path

from gui.convert.checkpoint.checkpoint import Checkpoint
from gui.convert.checkpoint.diffusers_folder import read_folder
from gui.convert.checkpoint.single_file import read_single_file
from gui.convert.types import SourceInfo
from gui.errors import ErrorKind, SfumatoError, disk_error


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
