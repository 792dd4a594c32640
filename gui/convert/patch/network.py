"""A network that is no part of a model, such as a ControlNet of the library, for another picture
size."""

from __future__ import annotations

import os
from pathlib import Path

from gui.convert.patch.cloning import copy_tree, sync_tree
from gui.convert.patch.resizing import check_size, resized_files
from gui.convert.patch.work import work_folder
from gui.convert.types import ImageSize
from gui.coreml.model import ComponentInfo
from gui.errors import disk_error


def make_network(network: ComponentInfo, folder: Path, old: ImageSize, size: ImageSize) -> None:
    """Write a network for another picture size.

    Args:
        old: the size it is for.
        folder: to make, with the network's files below their own names; its weights may be second
            names of the original's.

    Raises:
        SfumatoError: UNSUPPORTED with the reason where it cannot be resized; BAD_MODEL where it is
            damaged; STORAGE where the folder cannot be written.
    """
    check_size(size)
    replaced = resized_files(network, old, size)
    try:
        with work_folder(folder.parent) as work:
            made = work / folder.name
            made.mkdir()
            for path in network.files:
                copy_tree(path, made / path.name, linked=True)
                for file, data in replaced.items():
                    if path in file.parents:
                        place = made / path.name / file.relative_to(path)
                        place.unlink()  # a second name: the original must stay as it is
                        place.write_bytes(data)
            sync_tree(made)
            os.rename(made, folder)  # noqa: PTH104 - fails where something is there by now
    except OSError as error:
        raise disk_error(error, f"“{network.files[0].name}” could not be copied") from error
