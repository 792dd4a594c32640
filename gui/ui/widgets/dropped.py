"""What a drag brings."""

from __future__ import annotations

from PySide6.QtCore import QMimeData


def local_files(data: QMimeData) -> list[str]:
    """Paths of the files on this computer among it."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
