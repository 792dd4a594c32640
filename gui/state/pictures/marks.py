"""What the person says of pictures: favourites and tags, each change with a step to undo."""

from __future__ import annotations

from collections.abc import Sequence

from gui.library.picture_index import IndexedPicture
from gui.state.pictures.library import PictureLibrary
from gui.state.undo import UndoStack


class PictureMarks:
    """Marks pictures.

    Args:
        library: keeps the marks.
        undo: gets a step for every change.
    """

    def __init__(self, library: PictureLibrary, undo: UndoStack) -> None:
        self._library = library
        self._undo = undo

    def toggle_favourite(self, pictures: Sequence[IndexedPicture]) -> bool:
        """Make all of them favourites; where all are already, none.

        Returns:
            Whether they are favourites now.
        """
        wanted = not all(picture.favourite for picture in pictures)
        changed = [picture.id for picture in pictures if picture.favourite != wanted]
        if changed:
            self._library.set_favourite(changed, wanted)
            self._undo.did(
                "Add to Favourites" if wanted else "Remove from Favourites",
                lambda: self._library.set_favourite(changed, not wanted),
                lambda: self._library.set_favourite(changed, wanted),
            )
        return wanted

    def set_tags(self, picture: IndexedPicture, tags: Sequence[str]) -> None:
        """Give a picture exactly these tags."""
        before, after = picture.tags, tuple(tags)
        if set(before) != set(after):
            self._library.set_tags(picture.id, after)
            self._undo.did(
                "Change Tags",
                lambda: self._library.set_tags(picture.id, before),
                lambda: self._library.set_tags(picture.id, after),
            )
