"""The pictures' vocabulary, for widgets: they know the library only through the window's state."""

from __future__ import annotations

from gui.library.picture_facts import (
    Choices,
    IndexedPicture,
    PictureFacts,
    PictureFilter,
    PictureKind,
)

__all__ = ["Choices", "IndexedPicture", "PictureFacts", "PictureFilter", "PictureKind"]
