"""Favourites and tags of indexed pictures: written to the person's journal first, then to the
index, which repeats them to find by them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gui.errors import SfumatoError
from gui.library.picture_facts import TagChange
from gui.library.picture_marks import UNMARKED, Changes, Mark, MarkJournal
from gui.library.picture_tables import each, parts, writing

log = logging.getLogger(__name__)


class IndexedMarks:
    """What the person says of the pictures of one index.

    Args:
        db: the index.
        journal: the truth.
    """

    def __init__(self, db: sqlite3.Connection, journal: MarkJournal) -> None:
        self._db = db
        self._journal = journal
        self._compare()

    def of(self, fingerprint: str) -> Mark:
        """What is said of a picture."""
        return self._journal[fingerprint]

    def set_favourite(self, ids: Iterable[int], on: bool) -> list[int]:
        """Make pictures favourites, or not; ids of those that were not so before."""
        return self._mark(ids, lambda _, mark: replace(mark, favourite=on))

    def toggle_favourite(self, ids: Sequence[int]) -> tuple[list[int], bool]:
        """Make all of them favourites; where all are already, none.

        Returns:
            Ids of those that changed, and whether they are favourites now.
        """
        missing = self._count(ids, "NOT favourite")
        return self.set_favourite(ids, missing > 0), missing > 0

    def set_tags(self, number: int, tags: Iterable[str]) -> list[TagChange]:
        """Give a picture exactly these tags; blank ones and repeats are left out."""
        wanted = _clean(tags)
        return self._tag([number], lambda _, __: wanted)

    def tag(self, ids: Iterable[int], add: Iterable[str], remove: Iterable[str]) -> list[TagChange]:
        """Give pictures tags and take others away; what that changed."""
        more, less = _clean(add), set(_clean(remove))

        def change(_: int, tags: tuple[str, ...]) -> tuple[str, ...]:
            return _clean([tag for tag in (*tags, *more) if tag not in less])

        return self._tag(ids, change)

    def apply(self, changes: Sequence[TagChange]) -> list[TagChange]:
        """Do these changes of tags (again); what that changed."""
        by_id = {change.id: change for change in changes}

        def change(number: int, tags: tuple[str, ...]) -> tuple[str, ...]:
            wanted = by_id[number]
            return _clean([t for t in (*tags, *wanted.gained) if t not in wanted.lost])

        return self._tag(list(by_id), change)

    def _tag(
        self, ids: Iterable[int], change: Callable[[int, tuple[str, ...]], tuple[str, ...]]
    ) -> list[TagChange]:
        changes: list[TagChange] = []

        def marked(number: int, mark: Mark) -> Mark:
            tags = change(number, mark.tags)
            gained = tuple(tag for tag in tags if tag not in mark.tags)
            lost = tuple(tag for tag in mark.tags if tag not in tags)
            if gained or lost:
                changes.append(TagChange(number, gained, lost))
                return replace(mark, tags=tags)
            return mark

        self._mark(ids, marked)
        return changes

    def _mark(self, ids: Iterable[int], change: Callable[[int, Mark], Mark]) -> list[int]:
        """Write what is said of pictures to the journal, then to the index; ids of those whose mark
        is another now.  A copy of a picture has the picture's mark."""
        changed: list[int] = []
        after: dict[str, Mark] = {}
        with self._journal.changing() as others:
            for number, picture in each(self._db, ids, "fingerprint"):
                before = after.get(picture, self._journal[picture])
                mark = change(number, before)
                if mark != before:
                    changed.append(number)
                    after[picture] = mark
            changes = {picture: (self._journal[picture], mark) for picture, mark in after.items()}
            self._journal.add(after)
            # Another copy may have been killed between its line and the index.
            self._apply({**others, **changes})
        return changed

    def _apply(self, changes: Changes) -> None:
        if changes:
            with writing(self._db) as db:
                self._write(db, changes)

    def _write(self, db: sqlite3.Connection, changes: Changes) -> None:
        """Have the index say what the journal says of these pictures; nothing is written where it
        does already, so that other copies do not take it for news."""
        loved: list[tuple[bool, str]] = []
        tagged: list[tuple[str, tuple[str, ...]]] = []
        for picture, (_, mark) in changes.items():
            told = "SELECT DISTINCT favourite FROM pictures WHERE fingerprint = ?"
            if any(bool(row[0]) != mark.favourite for row in db.execute(told, (picture,))):
                loved.append((mark.favourite, picture))
            told = "SELECT id FROM pictures WHERE fingerprint = ?"
            for (number,) in db.execute(told, (picture,)).fetchall():
                rows = db.execute("SELECT tag FROM tags WHERE picture = ?", (number,))
                if {row[0] for row in rows} != {*mark.tags}:
                    tagged.append((picture, mark.tags))
                    break
        db.executemany("UPDATE pictures SET favourite = ? WHERE fingerprint = ?", loved)
        whose = "(SELECT id FROM pictures WHERE fingerprint = ?)"
        db.executemany(f"DELETE FROM tags WHERE picture IN {whose}", [(p,) for p, _ in tagged])
        db.executemany(
            "INSERT INTO tags (picture, tag) SELECT id, ? FROM pictures WHERE fingerprint = ?",
            [(tag, picture) for picture, tags in tagged for tag in tags],
        )

    def refresh(self, db: sqlite3.Connection) -> None:
        """Within a transaction, take over what other copies of Sfumato have said."""
        self._write(db, self._journal.refresh())

    def take_over(self) -> None:
        """Take over what other copies of Sfumato have said, if they have said anything."""
        if self._journal.is_stale():
            with writing(self._db) as db:
                self.refresh(db)

    def _compare(self) -> None:
        """The journal is right: a process can be killed between its line and the index.  Where the
        journal is gone, the index brings it back."""
        if self._journal.notice:
            return
        said: dict[str, Mark] = {
            picture: Mark(True)
            for (picture,) in self._db.execute("SELECT fingerprint FROM pictures WHERE favourite")
        }
        for picture, tag in self._db.execute(
            "SELECT p.fingerprint, t.tag FROM tags t JOIN pictures p ON p.id = t.picture "
            "ORDER BY p.id, t.tag"
        ):
            before = said.get(picture, UNMARKED)
            said[picture] = replace(before, tags=_clean((*before.tags, tag)))
        try:
            with self._journal.changing():
                if self._journal.missing and said:
                    self._journal.add(said)
                    return
                both = {p: (said.get(p, UNMARKED), self._journal[p])
                        for p in {*said, *self._journal.marked()}}  # fmt: skip
                self._apply({
                    p: (old, new) for p, (old, new) in both.items()
                    if old.favourite != new.favourite or sorted(old.tags) != sorted(new.tags)
                })  # fmt: skip
        except SfumatoError as error:
            log.warning("marks could not be compared: %s", error.detail or error.message)

    def _count(self, ids: Sequence[int], condition: str) -> int:
        return sum(
            self._db.execute(
                f"SELECT count(*) FROM pictures WHERE {condition} AND id IN "
                f"({','.join('?' * len(part))})", part,
            ).fetchone()[0]
            for part in parts(list(ids))
        )  # fmt: skip


def _clean(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags with single spaces, without blank ones and repeats."""
    return tuple(dict.fromkeys(t for t in (" ".join(tag.split()) for tag in tags) if t))
