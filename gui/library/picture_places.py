"""When a picture is finished, and in which folder it belongs then."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gui import paths
from gui.files import expanded
from gui.request import PictureRequest


def now() -> str:
    """The present local time as ISO 8601 with offset, whole seconds."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def is_given_away(path: str) -> bool:
    """Whether a picture was made for another program alone, and stays nowhere."""
    return Path(path).parent == paths.answers_dir()


def picture_folder(request: PictureRequest, moment: datetime) -> Path:
    """Where a request's pictures go that are finished at a moment: its own folder, or the day's."""
    if request.output_dir:
        return expanded(request.output_dir)
    return paths.pictures_dir() / moment.strftime("%Y-%m-%d")
