"""Which pictures of a gallery are chosen.  Kept by their ids, so it stays when rows move."""

from __future__ import annotations

from collections.abc import Iterable

from gui.state.pictures.gallery import Gallery


class PictureSelection:
    """The chosen pictures, the current one, and where a range begins.

    Args:
        pictures: whose rows are meant.  Nothing but their ids is needed, so all of a hundred
            thousand are chosen without one of them being read.
    """

    def __init__(self, pictures: Gallery) -> None:
        self._pictures = pictures
        self._chosen: set[int] = set()
        self.current = -1
        """Id of the picture that keys act on; -1: none."""
        self._anchor = -1

    def __contains__(self, number: int) -> bool:
        return number in self._chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def ids(self) -> list[int]:
        """Ids of all that are chosen, in their order on the screen."""
        if len(self._chosen) <= 1:
            return list(self._chosen)
        return [number for number in self._pictures.ids() if number in self._chosen]

    def current_row(self) -> int:
        return self._pictures.row_of_id(self.current) if self.current >= 0 else -1

    def first_row(self) -> int:
        """Of those that are chosen; -1: none is."""
        rows = enumerate(self._pictures.ids())
        return next((row for row, number in rows if number in self._chosen), -1)

    def choose(self, row: int) -> None:
        """One picture alone; -1: none."""
        number = self._pictures.id_at(row) if row >= 0 else -1
        self._chosen = {number} if row >= 0 else set()
        self._anchor = number

    def choose_all(self) -> None:
        self._chosen = set(self._pictures.ids())

    def extend(self, row: int) -> None:
        """Everything from where the choice began to here."""
        start = self._pictures.row_of_id(self._anchor) if self._anchor >= 0 else row
        low, high = sorted((max(0, start), row))
        self._chosen = set(self._pictures.ids()[low : high + 1])

    def toggle(self, row: int) -> None:
        """Add one picture, or take it away."""
        number = self._pictures.id_at(row)
        self._chosen ^= {number}
        self._anchor = number

    def base(self) -> set[int]:
        """What `band` changes."""
        return set(self._chosen)

    def band(self, base: set[int], rows: Iterable[int]) -> bool:
        """Turn these rows over in what was chosen before; whether that changed anything."""
        chosen = base ^ {self._pictures.id_at(row) for row in rows}
        changed = chosen != self._chosen
        self._chosen = chosen
        return changed

    def drop_missing(self) -> bool:
        """Forget pictures that are there no more; whether the current one is among them."""
        if self._chosen:
            self._chosen &= set(self._pictures.ids())
        if self.current >= 0 and self._pictures.row_of_id(self.current) < 0:
            self.current = self._anchor = -1
            return True
        return False
