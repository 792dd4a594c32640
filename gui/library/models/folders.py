"""Which folders are models: those in the library's folder, and what a path from elsewhere means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gui import files, paths
from gui.coreml.names import (
    CONTROLNET_FOLDER,
    find_variants,
    is_hidden,
    is_package_name,
    model_files,
)
from gui.errors import ErrorKind, SfumatoError
from gui.library.models.origin import origin_of
from gui.library.models.records import InstalledModel

PARTIAL_SUFFIX = ".partial"
"""Of the work folders of conversions."""

_PICKLES = (".ckpt", ".pt", ".pth")
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".aar")


def model_folders(root: Path) -> Iterator[Path]:
    """Installed models: folders with Core ML packages directly in them, at most two levels below
    `root`, by name.  A link to such a folder is one; hidden ones, debris, conversions under way
    and what is inside a model are none."""
    for folder in _candidates(root):
        if holds_model(folder):
            yield folder
        else:
            yield from (inner for inner in _candidates(folder) if holds_model(inner))


def _candidates(folder: Path) -> list[Path]:
    return [child for child in files.children(folder) if _may_be_model(child)]


def _may_be_model(folder: Path) -> bool:
    name = folder.name
    unfit = is_hidden(name) or is_package_name(name) or name.endswith(PARTIAL_SUFFIX)
    return not unfit and name.lower() != CONTROLNET_FOLDER and files.is_folder(folder)


def holds_model(folder: Path) -> bool:
    """Whether Core ML packages lie directly in a folder."""
    try:
        return bool(model_files(folder))
    except OSError:
        return False


def holds_packages(folder: Path) -> bool:
    """Whether there is a Core ML package in a folder, however deep, or it is one itself."""
    return is_package_name(folder.name) or any(
        is_package_name(path.name) for path in files.below(folder)
    )


def holds_files(folder: Path) -> bool:
    """Whether there is any file in a folder, however deep, but what systems left; or it is one."""
    return files.is_file(folder) or any(not path.is_dir() for path in files.below(folder))


def installed(root: Path | None = None) -> tuple[InstalledModel, ...]:
    """Every model below `root` (the library's folder).  Those that came another way than from the
    Hub have an empty `repo`."""
    found = []
    for folder in model_folders(root or paths.models_dir()):
        origin = origin_of(folder)
        known = (origin.repo, origin.revision, origin.variant) if origin else ("", "", "")
        found.append(
            InstalledModel(
                str(folder),
                *known,
                bytes=files.disk_bytes(folder),
                installed=origin.installed if origin else "",
            )
        )
    return tuple(found)


def from_hub(root: Path | None = None) -> tuple[InstalledModel, ...]:
    """`installed` models that came from the Hub."""
    return tuple(model for model in installed(root) if model.repo)


def models_in(path: str | Path) -> list[Path]:
    """The model folders that a path chosen, dropped or opened by a person means.

    A package stands for the folder it is in; a folder with one model up to two levels below for
    itself, as its name is the one that a person knows; one with several, for each of these.

    Raises:
        SfumatoError: BAD_MODEL, saying what the path is instead; and as `gui.files.checked`.
    """
    folder = files.checked(path)
    if is_package_name(folder.name):
        folder = folder.parent
    if not files.is_folder(folder):
        what = "is not a folder, so it cannot be a model" if files.exists(folder) else "is gone"
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{folder.name}” {what}; choose a folder with .mlpackage or .mlmodelc files.",
            str(folder),
        )
    try:
        found = find_variants(folder)
    except OSError as error:
        raise files.path_error(folder, error) from error
    if not found:
        raise SfumatoError(ErrorKind.BAD_MODEL, f"“{folder.name}” {_instead(folder)}.", str(folder))
    return found if len(found) > 1 else [folder]


def _instead(folder: Path) -> str:
    """What a folder without Core ML models holds, and what to do with it."""
    names = [child.name.lower() for child in files.children(folder)]
    if "model_index.json" in names or any(name.endswith(".safetensors") for name in names):
        return (
            "holds a checkpoint, which has to be converted first: choose Convert a Model… and then "
            "this folder"
        )
    if any(name.endswith(_PICKLES) for name in names):
        return (
            "holds a pickled checkpoint, which can run code; look for the model as .safetensors, "
            "and convert that"
        )
    if any(name.endswith(_ARCHIVES) for name in names):
        return "holds an archive; unpack it, and choose the folder that comes out"
    return "holds no Core ML models; choose the folder that their .mlpackage or .mlmodelc are in"
