"""Every picture there is, for programs without a window; the window may be open beside them.

Blocking: for commands, and for threads of services.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any

from gui import paths
from gui.library.picture_index import FILE_NAME, IndexedPicture, PictureIndex
from gui.library.picture_scan import scan


def picture_folders() -> list[Path]:
    """Where the window keeps its pictures."""
    from gui.state.settings import Settings  # Qt, which `--help` is quicker without

    chosen = Settings().pictures_folder
    return [Path(chosen) if chosen else paths.pictures_dir()]


@contextlib.contextmanager
def opened_index(on_read: Callable[[int], None] = lambda _read: None) -> Generator[PictureIndex]:
    """The index, in line with the folders.

    Args:
        on_read: told now and then how many pictures were read.
    """
    index = PictureIndex(paths.data_dir() / FILE_NAME)
    try:
        scan(index, picture_folders(), on_progress=on_read)
        yield index
    finally:
        index.close()


def as_json(picture: IndexedPicture) -> dict[str, Any]:
    """What the index knows of a picture, for programs."""
    facts = picture.facts
    return {
        "number": picture.id,
        "path": facts.path,
        "created": datetime.fromtimestamp(facts.created).astimezone().isoformat(timespec="seconds"),
        "width": facts.width,
        "height": facts.height,
        "prompt": facts.prompt,
        "negative_prompt": facts.negative_prompt,
        "model": facts.model,
        "scheduler": facts.scheduler,
        "seed": facts.seed,
        "steps": facts.steps,
        "guidance_scale": facts.guidance_scale,
        "kind": facts.kind.value,
        "favourite": picture.favourite,
        "tags": list(picture.tags),
    }
