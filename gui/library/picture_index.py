"""An index over picture files: what there is, what made it, where it lies.

The files are the truth and the index can be made again from them at any time.  What only the person
knows of a picture is kept beside it (`picture_marks`); the index repeats it, to find by it.

SQLite with full-text search; standard library only.  Several processes may use one index; within a
process one thread makes and uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from gui import locks
from gui.errors import SfumatoError
from gui.library import database, picture_marks
from gui.library.database import MEMORY
from gui.library.picture_facts import (
    EVERYTHING,
    Choices,
    Found,
    IndexedPicture,
    KnownFile,
    PictureFacts,
    PictureFilter,
    PictureKind,
    TagChange,
)
from gui.library.picture_marks import Changes, Mark, MarkJournal
from gui.library.picture_query import conditions

FILE_NAME = "pictures.sqlite3"
SCHEMA = 3
PATIENCE = 10.0
"""Seconds to wait for another copy of Sfumato that is writing."""
AT_ONCE = 500
"""Values in one statement."""
FINGERPRINT_BYTES = 64 * 1024
"""A picture's beginning: header, settings and the first pixels tell any two pictures apart."""
MAX_PROMPT = 20_000
"""Characters of a prompt that are searched and shown; the file keeps all of them."""

log = logging.getLogger(__name__)


class PictureIndex:
    """The pictures of one index file.

    Args:
        path: the database; None keeps everything in memory.
        marks: the journal of favourites and tags; None: beside the database.

    Attributes:
        rebuilt: whether the file was missing, damaged or of another version, so that the folders
            must be read again.
        notice: a sentence for the person where something was set aside, or "".
    """

    def __init__(self, path: Path | None, marks: Path | None = None) -> None:
        self.rebuilt = False
        self._marks = MarkJournal(
            marks or (path.with_name(picture_marks.FILE_NAME) if path else None)
        )
        self.notice = self._marks.notice
        self._db = self._open(path)
        self._seen = self._version()
        self._compare_marks()

    # -- opening ------------------------------------------------------------------------------

    def _open(self, path: Path | None) -> sqlite3.Connection:
        if path is None:
            self.rebuilt = True
            return _connect(MEMORY)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _opening(path):
                return self._open_file(path)
        except (sqlite3.Error, OSError) as error:
            return self._do_without(path, error)

    def _open_file(self, path: Path) -> sqlite3.Connection:
        self.rebuilt = not path.exists()
        try:
            connection = _connect(str(path))
        except sqlite3.OperationalError:  # unwritable, full: not damaged
            raise
        except sqlite3.DatabaseError as damage:
            return self._start_anew(path, damage)
        error = None
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
                # Every page of the table is looked at: damage behind a good beginning shows now.
                connection.execute("SELECT sum(length(prompt)) FROM pictures").fetchone()
                return connection
        except sqlite3.DatabaseError as damage:
            error = damage
        connection.close()
        return self._start_anew(path, error)

    def _start_anew(self, path: Path, error: Exception | None) -> sqlite3.Connection:
        """An index is made from files, so a damaged one is simply made again."""
        log.warning("picture index %s is made anew: %r", path, error)
        self.rebuilt = True
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(str(path))

    def _do_without(self, path: Path, error: Exception) -> sqlite3.Connection:
        log.warning("picture index in memory: %r", error)
        self.rebuilt = True
        sentence = (
            f"The list of pictures cannot be kept in “{path.parent}”, so it is read anew at "
            "every start; check that the folder is writable and the disk is not full."
        )
        self.notice = f"{self.notice} {sentence}".strip()
        return _connect(MEMORY)

    # -- other processes ----------------------------------------------------------------------

    def changed_elsewhere(self) -> bool:
        """Whether another process has written to the index since this was asked last; what it said
        of pictures is known from then on."""
        before, self._seen = self._seen, self._version()
        changed = self._seen != before
        if changed and self._marks.is_stale():
            with self._transaction() as db:
                self._write_marks(db, self._marks.refresh())
        return changed

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self._db.close()

    # -- writing ------------------------------------------------------------------------------

    def put(self, pictures: Iterable[PictureFacts]) -> list[int]:
        """Add pictures, or replace what is known of those paths; their ids."""
        ids: list[int] = []
        with self._transaction() as db:
            # Within, so that what another copy says meanwhile comes after what is written here.
            self._write_marks(db, self._marks.refresh())
            for facts in pictures:
                ids.append(self._put(db, facts))
        return ids

    def _put(self, db: sqlite3.Connection, facts: PictureFacts) -> int:
        folder, _, name = facts.path.rpartition("/")
        db.execute("DELETE FROM refused WHERE path = ?", (facts.path,))
        mark = self._marks[facts.fingerprint]
        values = (
            facts.path, folder, facts.created, _day(facts.created),
            facts.width, facts.height, facts.prompt[:MAX_PROMPT],
            facts.negative_prompt[:MAX_PROMPT], facts.model, facts.scheduler, facts.seed,
            facts.steps, facts.guidance_scale, facts.kind.value, facts.bytes, facts.modified_ns,
            facts.fingerprint, int(mark.favourite),
        )  # fmt: skip
        known = db.execute("SELECT id FROM pictures WHERE path = ?", (facts.path,)).fetchone()
        if known is not None:
            number = int(known[0])
            db.execute("DELETE FROM tags WHERE picture = ?", (number,))
            db.execute("DELETE FROM words WHERE rowid = ?", (number,))
            db.execute(
                f"UPDATE pictures SET {', '.join(f'{c} = ?' for c in _COLUMNS)} WHERE id = ?",
                (*values, number),
            )
        else:
            cursor = db.execute(
                f"INSERT INTO pictures ({', '.join(_COLUMNS)}) "
                f"VALUES ({', '.join('?' * len(_COLUMNS))})",
                values,
            )
            number = int(cursor.lastrowid or 0)
        text = " ".join(t for t in (facts.model, facts.scheduler, facts.words, name) if t)
        db.execute(
            "INSERT INTO words (rowid, prompt, negative, other) VALUES (?, ?, ?, ?)",
            (number, facts.prompt[:MAX_PROMPT], facts.negative_prompt[:MAX_PROMPT], text),
        )
        db.executemany(
            "INSERT OR IGNORE INTO tags (picture, tag) VALUES (?, ?)",
            [(number, tag) for tag in mark.tags],
        )
        return number

    def drop(self, paths: Iterable[str]) -> int:
        """Forget files that are gone; their number.  Their marks stay, should they come back."""
        gone, files = 0, [(path,) for path in paths]
        if not files:
            return 0
        with self._transaction() as db:
            db.executemany("DELETE FROM refused WHERE path = ?", files)
            for file in files:
                gone += self._drop(db, file)
        return gone

    def refuse(self, files: Iterable[tuple[str, int, int]]) -> int:
        """Remember that these are no pictures, by path, size and date; how many were before."""
        gone = 0
        with self._transaction() as db:
            for path, size, modified_ns in files:
                gone += self._drop(db, (path,))
                db.execute(
                    "INSERT OR REPLACE INTO refused (path, folder, bytes, modified_ns) "
                    "VALUES (?, ?, ?, ?)",
                    (path, path.rpartition("/")[0], size, modified_ns),
                )
        return gone

    @staticmethod
    def _drop(db: sqlite3.Connection, file: tuple[str]) -> int:
        row = db.execute("SELECT id FROM pictures WHERE path = ?", file).fetchone()
        if row is None:
            return 0
        db.execute("DELETE FROM tags WHERE picture = ?", row)
        db.execute("DELETE FROM words WHERE rowid = ?", row)
        db.execute("DELETE FROM pictures WHERE id = ?", row)
        return 1

    def known_files(self, folder: str) -> dict[str, KnownFile]:
        """The files directly in a folder that have been read, by name."""
        rows = self._db.execute(
            "SELECT path, id, bytes, modified_ns FROM pictures WHERE folder = ? "
            "UNION ALL SELECT path, 0, bytes, modified_ns FROM refused WHERE folder = ?",
            (folder, folder),
        )
        return {path.rpartition("/")[2]: KnownFile(*rest) for path, *rest in rows}

    def holds(self, root: str) -> bool:
        """Whether there are pictures in this folder or below it."""
        row = self._db.execute(
            "SELECT 1 FROM pictures WHERE folder = ? OR substr(folder, 1, ?) = ? LIMIT 1",
            (root, len(root) + 1, f"{root}/"),
        ).fetchone()
        return row is not None

    def known(self, paths: Iterable[str]) -> dict[str, KnownFile]:
        """Those of these files that have been read."""
        found: dict[str, KnownFile] = {}
        for path in paths:
            for table, number in (("pictures", "id"), ("refused", "0")):
                row = self._db.execute(
                    f"SELECT {number}, bytes, modified_ns FROM {table} WHERE path = ?", (path,)
                ).fetchone()
                if row is not None:
                    found[path] = KnownFile(*row)
        return found

    def folders(self) -> list[str]:
        """Every folder that holds a file that has been read."""
        rows = self._db.execute("SELECT folder FROM pictures UNION SELECT folder FROM refused")
        return [row[0] for row in rows]

    def known_fingerprints(self, some: Iterable[str]) -> set[str]:
        """Those of these fingerprints that are an indexed file's."""
        wanted = set(some)
        rows = self._db.execute("SELECT fingerprint FROM pictures") if wanted else ()
        return {name for (name,) in rows if name in wanted}

    # -- what the person says -----------------------------------------------------------------

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
        with self._marks.changing() as others:
            for number, picture in self._each(ids, "fingerprint"):
                before = after.get(picture, self._marks[picture])
                mark = change(number, before)
                if mark != before:
                    changed.append(number)
                    after[picture] = mark
            changes = {picture: (self._marks[picture], mark) for picture, mark in after.items()}
            self._marks.add(after)
            # Another copy may have been killed between its line and the index.
            self._apply_marks({**others, **changes})
        return changed

    def _apply_marks(self, changes: Changes) -> None:
        if changes:
            with self._transaction() as db:
                self._write_marks(db, changes)

    def _write_marks(self, db: sqlite3.Connection, changes: Changes) -> None:
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

    def _compare_marks(self) -> None:
        """The journal is right: a process can be killed between its line and the index.  Where the
        journal is gone, the index brings it back."""
        if self._marks.notice:
            return
        said: dict[str, Mark] = {
            picture: Mark(True)
            for (picture,) in self._db.execute("SELECT fingerprint FROM pictures WHERE favourite")
        }
        for picture, tag in self._db.execute(
            "SELECT p.fingerprint, t.tag FROM tags t JOIN pictures p ON p.id = t.picture "
            "ORDER BY p.id, t.tag"
        ):
            before = said.get(picture, picture_marks.UNMARKED)
            said[picture] = replace(before, tags=_clean((*before.tags, tag)))
        try:
            with self._marks.changing():
                if self._marks.missing and said:
                    self._marks.add(said)
                    return
                both = {p: (said.get(p, picture_marks.UNMARKED), self._marks[p])
                        for p in {*said, *self._marks.marked()}}  # fmt: skip
                self._apply_marks({
                    p: (old, new) for p, (old, new) in both.items()
                    if old.favourite != new.favourite or sorted(old.tags) != sorted(new.tags)
                })  # fmt: skip
        except SfumatoError as error:
            log.warning("marks could not be compared: %s", error.detail or error.message)

    # -- reading ------------------------------------------------------------------------------

    def find(self, wanted: PictureFilter = EVERYTHING) -> Found:
        """Ids of the pictures that fit, newest first, and the days they fall into."""
        where, values = conditions(wanted)
        found = Found()
        last = None
        rows = self._db.execute(
            f"SELECT id, day FROM pictures p{where} ORDER BY created DESC, id DESC", values
        )
        for row, (number, day) in enumerate(rows):
            found.ids.append(number)
            if day != last:
                last = day
                found.days.append((date.fromordinal(day), row))
        return found

    def rows(self, ids: Iterable[int]) -> list[IndexedPicture]:
        """The pictures of these ids, in their order; those that are gone are left out."""
        wanted = list(ids)
        found: dict[int, IndexedPicture] = {}
        for part in _parts(wanted):
            marks = ",".join("?" * len(part))
            tags: dict[int, list[str]] = {}
            for number, tag in self._db.execute(
                f"SELECT picture, tag FROM tags WHERE picture IN ({marks}) ORDER BY tag", part
            ):
                tags.setdefault(number, []).append(tag)
            for row in self._db.execute(
                f"SELECT id, {', '.join(_COLUMNS)} FROM pictures WHERE id IN ({marks})", part
            ):
                found[row[0]] = _picture(row, tuple(tags.get(row[0], ())))
        return [found[number] for number in wanted if number in found]

    def paths_of(self, ids: Iterable[int]) -> list[str]:
        """The files of these pictures, in their order; nothing else of them is read."""
        return [path for _, path in self._each(ids, "path")]

    def tags_of(self, ids: Iterable[int]) -> list[tuple[str, int]]:
        """Each tag that some of these pictures have, and how many have it."""
        found: dict[str, int] = {}
        for part in _parts(list(ids)):
            for tag, number in self._db.execute(
                f"SELECT tag, count(*) FROM tags WHERE picture IN ({','.join('?' * len(part))}) "
                "GROUP BY tag", part,
            ):  # fmt: skip
                found[tag] = found.get(tag, 0) + int(number)
        return sorted(found.items(), key=lambda one: one[0].casefold())

    def _each(self, ids: Iterable[int], column: str) -> Iterator[tuple[int, str]]:
        """One column of these pictures, in their order."""
        for part in _parts(list(ids)):
            marks = ",".join("?" * len(part))
            found = dict(
                self._db.execute(f"SELECT id, {column} FROM pictures WHERE id IN ({marks})", part)
            )
            yield from ((number, found[number]) for number in part if number in found)

    def _count(self, ids: Sequence[int], condition: str) -> int:
        return sum(
            self._db.execute(
                f"SELECT count(*) FROM pictures WHERE {condition} AND id IN "
                f"({','.join('?' * len(part))})", part,
            ).fetchone()[0]
            for part in _parts(list(ids))
        )  # fmt: skip

    def by_path(self, path: str) -> IndexedPicture | None:
        row = self._db.execute("SELECT id FROM pictures WHERE path = ?", (path,)).fetchone()
        return next(iter(self.rows([row[0]])), None) if row is not None else None

    def prompts(self, most: int) -> list[tuple[str, str, float]]:
        """The newest prompts of pictures made here, each once: prompt, negative prompt, and when it
        was used last, in seconds since 1970."""
        rows = self._db.execute(
            "SELECT prompt, negative, max(created) AS at FROM pictures WHERE kind = ?"
            " AND prompt <> '' GROUP BY prompt, negative ORDER BY at DESC LIMIT ?",
            (PictureKind.MADE, most),
        )
        return [(str(prompt), str(negative), float(at)) for prompt, negative, at in rows]

    def choices(self) -> Choices:
        """What there is to filter by."""
        db = self._db

        def counted(column: str) -> tuple[tuple[str, int], ...]:
            rows = db.execute(
                f"SELECT {column}, count(*) AS n FROM pictures WHERE {column} <> '' "
                f"GROUP BY {column} ORDER BY n DESC, {column}"
            )
            return tuple((str(value), int(n)) for value, n in rows)

        sizes = db.execute(
            "SELECT width, height, count(*) AS n FROM pictures GROUP BY width, height "
            "ORDER BY n DESC"
        )
        tags = db.execute("SELECT tag, count(*) AS n FROM tags GROUP BY tag ORDER BY n DESC, tag")
        total = db.execute("SELECT count(*) FROM pictures").fetchone()[0]
        return Choices(
            counted("model"),
            counted("scheduler"),
            tuple(((int(w), int(h)), int(n)) for w, h, n in sizes),
            tuple((str(tag), int(n)) for tag, n in tags),
            int(total),
        )

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return database.transaction(
            self._db,
            "The list of pictures could not be written; see that the disk is not full, and try "
            "again.",
        )


def fingerprint(data: bytes, size: int) -> str:
    """Tells a picture from any other, wherever it lies.

    Args:
        data: the file's first `FINGERPRINT_BYTES` bytes.
        size: the whole file's size in bytes.
    """
    return hashlib.blake2b(data + size.to_bytes(8, "big"), digest_size=16).hexdigest()


# -- the database -----------------------------------------------------------------------------

_COLUMNS = (
    "path", "folder", "created", "day", "width", "height", "prompt", "negative", "model",
    "scheduler", "seed", "steps", "guidance_scale", "kind", "bytes", "modified_ns", "fingerprint",
    "favourite",
)  # fmt: skip

_TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
  created REAL NOT NULL, day INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  prompt TEXT NOT NULL, negative TEXT NOT NULL, model TEXT NOT NULL, scheduler TEXT NOT NULL,
  seed INTEGER, steps INTEGER, guidance_scale REAL, kind TEXT NOT NULL, bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL, favourite INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_date ON pictures (created DESC, id DESC, day);
CREATE INDEX IF NOT EXISTS by_folder ON pictures (folder);
CREATE INDEX IF NOT EXISTS by_fingerprint ON pictures (fingerprint);
CREATE INDEX IF NOT EXISTS by_model ON pictures (model);
CREATE INDEX IF NOT EXISTS by_favourite ON pictures (favourite) WHERE favourite;
CREATE TABLE IF NOT EXISTS refused (
  path TEXT PRIMARY KEY, folder TEXT NOT NULL, bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refused_in ON refused (folder);
CREATE TABLE IF NOT EXISTS tags (
  picture INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (picture, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_tag ON tags (tag);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
  prompt, negative, other, tokenize="unicode61 remove_diacritics 2", prefix='2 3');
"""


def _connect(name: str) -> sqlite3.Connection:
    connection = database.connect(name, PATIENCE)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[None]:
    """One process at a time looks whether an index is whole, and makes another in its place."""
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + PATIENCE
    try:
        with contextlib.suppress(OSError):  # a disk that knows no locks
            while not locks.take(descriptor) and time.monotonic() < end:
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _parts(values: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]


def _clean(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags with single spaces, without blank ones and repeats."""
    return tuple(dict.fromkeys(t for t in (" ".join(tag.split()) for tag in tags) if t))


def _day(created: float) -> int:
    try:
        return datetime.fromtimestamp(created).toordinal()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0).toordinal()


def _picture(row: tuple[Any, ...], tags: tuple[str, ...]) -> IndexedPicture:
    number, *values = row
    named = dict(zip(_COLUMNS, values, strict=True))
    facts = PictureFacts(
        named["path"], named["created"], named["width"], named["height"], named["prompt"],
        named["negative"], named["model"], named["scheduler"], named["seed"], named["steps"],
        named["guidance_scale"], PictureKind(named["kind"]), named["bytes"],
        named["modified_ns"], named["fingerprint"],
    )  # fmt: skip
    return IndexedPicture(number, facts, bool(named["favourite"]), tags)
