"""How a model goes: all of it, or it stays as it was; and never more than it."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path

from gui import names, paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library import variants
from gui.library.models.folders import model_folders


def what_goes(folder: Path, root: Path | None = None) -> Path:
    """The file or folder to take away for a model to be gone.

    With the last model of a repository its folder goes too, whose name says what it is, unless
    there is something else in it.  Of a model behind a link only the link goes, never what it
    leads to.

    Args:
        folder: the model.
        root: the library's folder; None: this person's.

    Raises:
        SfumatoError: BAD_REQUEST where the link leads to other models as well.
    """
    root = root or paths.models_dir()
    if folder.is_symlink() or root not in folder.parents:
        return folder
    parent = folder.parent
    if parent == root:
        return folder
    if parent.is_symlink():
        if [one for one in model_folders(root) if one.parent == parent] != [folder]:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"“{parent.name}” is a link to a folder elsewhere with several models in it; "
                "delete the model there, or the link.",
                str(folder),
            )
        return parent
    with contextlib.suppress(OSError):
        if all(child == folder or names.is_systems(child.name) for child in parent.iterdir()):
            return parent
    return folder


def delete_model(folder: Path, root: Path | None = None) -> None:
    """Delete a model, or a checkpoint kept for conversion.

    Raises:
        SfumatoError: STORAGE where it cannot be deleted; as `what_goes`.
    """
    going = what_goes(folder, root)
    try:
        if going.is_symlink() or going.is_file():
            going.unlink()
            return
        # Under a hidden name first: what is deleted half-way must not look like a model.
        doomed = going.with_name(f".removed-{uuid.uuid4().hex[:8]}")
        going.rename(doomed)
        variants.clear([folder])
        shutil.rmtree(doomed)
    except OSError as error:
        raise disk_error(error, f"{folder} could not be deleted") from error


def delete(path: Path) -> None:
    """Delete a leftover: a file, a folder, or a link but not what it leads to.

    Raises:
        SfumatoError: STORAGE where it cannot be deleted.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise undeletable(path, error) from error


def undeletable(path: Path, error: OSError) -> SfumatoError:
    """A leftover that stays."""
    return disk_error(error, f"“{path.name}” could not be deleted", detail=f"{path}: {error!r}")
