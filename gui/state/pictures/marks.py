"""What the person says of pictures: favourites and tags, each change with a step to undo."""

from __future__ import annotations

from collections.abc import Sequence

from gui.library.picture_facts import TagChange
from gui.state.pictures.library import PictureLibrary
from gui.state.undo import UndoStack


class PictureMarks:
    """Marks pictures, one or many, by their ids.  None of them has to be at hand.

    Args:
        library: keeps the marks.
        undo: gets a step for every change.
    """

    def __init__(self, library: PictureLibrary, undo: UndoStack) -> None:
        self._library = library
        self._undo = undo

    def toggle_favourite(self, ids: Sequence[int]) -> None:
        """Make all of them favourites; where all are already, none."""

        def marked(changed: list[int], on: bool) -> None:
            if changed:
                self._undo.did(
                    "Add to Favourites" if on else "Remove from Favourites",
                    lambda: self._library.set_favourite(changed, not on),
                    lambda: self._library.set_favourite(changed, on),
                )

        if ids:
            self._library.toggle_favourite(ids, marked)

    def set_tags(self, number: int, tags: Sequence[str]) -> None:
        """Give a picture exactly these tags."""
        self._library.set_tags(number, tags, self._tagged)

    def tag(self, ids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> None:
        """Give pictures tags, and take others away."""
        if ids and (add or remove):
            self._library.tag(ids, add, remove, self._tagged)

    def _tagged(self, changes: list[TagChange]) -> None:
        if changes:
            self._undo.did(
                "Change Tags",
                lambda: self._library.change_tags(change.reversed for change in changes),
                lambda: self._library.change_tags(changes),
            )
