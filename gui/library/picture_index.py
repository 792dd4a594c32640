"""An index over picture files: what there is, what made it, where it lies.

The files are the truth and the index can be made again from them at any time.  What only the person
knows of a picture is kept beside it (`picture_marks`); the index repeats it, to find by it.

SQLite with full-text search (`picture_tables`).  Several processes may use one index; within a
process one thread makes and uses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from gui.library import picture_marks
from gui.library.picture_facts import (
    EVERYTHING,
    Choices,
    Found,
    IndexedPicture,
    KnownFile,
    PictureFacts,
    PictureFilter,
    PictureKind,
)
from gui.library.picture_marking import IndexedMarks
from gui.library.picture_marks import MarkJournal
from gui.library.picture_query import conditions
from gui.library.picture_tables import COLUMNS, each, open_index, parts, writing

FILE_NAME = "pictures.sqlite3"
MAX_PROMPT = 20_000
"""Characters of a prompt that are searched and shown; the file keeps all of them."""


class PictureIndex:
    """The pictures of one index file.

    Args:
        path: the database; None keeps everything in memory.
        marks: the journal of favourites and tags; None: beside the database.

    Attributes:
        rebuilt: whether the file was missing, damaged or of another version, so that the folders
            must be read again.
        notice: a sentence for the person where something was set aside, or "".
        marks: what the person says of the pictures.
    """

    def __init__(self, path: Path | None, marks: Path | None = None) -> None:
        journal = MarkJournal(marks or (path.with_name(picture_marks.FILE_NAME) if path else None))
        opened = open_index(path)
        self.rebuilt = opened.rebuilt
        self.notice = f"{journal.notice} {opened.notice}".strip()
        self._db = opened.connection
        self._seen = self._version()
        self.marks = IndexedMarks(self._db, journal)

    # -- other processes ----------------------------------------------------------------------

    def changed_elsewhere(self) -> bool:
        """Whether another process has written to the index since this was asked last; what it said
        of pictures is known from then on."""
        before, self._seen = self._seen, self._version()
        changed = self._seen != before
        if changed:
            self.marks.take_over()
        return changed

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self._db.close()

    # -- writing ------------------------------------------------------------------------------

    def put(self, pictures: Iterable[PictureFacts]) -> list[int]:
        """Add pictures, or replace what is known of those paths; their ids."""
        ids: list[int] = []
        with writing(self._db) as db:
            # Within, so that what another copy says meanwhile comes after what is written here.
            self.marks.refresh(db)
            for facts in pictures:
                ids.append(self._put(db, facts))
        return ids

    def _put(self, db: sqlite3.Connection, facts: PictureFacts) -> int:
        folder, _, name = facts.path.rpartition("/")
        db.execute("DELETE FROM refused WHERE path = ?", (facts.path,))
        mark = self.marks.of(facts.fingerprint)
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
                f"UPDATE pictures SET {', '.join(f'{c} = ?' for c in COLUMNS)} WHERE id = ?",
                (*values, number),
            )
        else:
            cursor = db.execute(
                f"INSERT INTO pictures ({', '.join(COLUMNS)}) "
                f"VALUES ({', '.join('?' * len(COLUMNS))})",
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
        with writing(self._db) as db:
            db.executemany("DELETE FROM refused WHERE path = ?", files)
            for file in files:
                gone += self._drop(db, file)
        return gone

    def refuse(self, files: Iterable[tuple[str, int, int]]) -> int:
        """Remember that these are no pictures, by path, size and date; how many were before."""
        gone = 0
        with writing(self._db) as db:
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
        for part in parts(wanted):
            marks = ",".join("?" * len(part))
            tags: dict[int, list[str]] = {}
            for number, tag in self._db.execute(
                f"SELECT picture, tag FROM tags WHERE picture IN ({marks}) ORDER BY tag", part
            ):
                tags.setdefault(number, []).append(tag)
            for row in self._db.execute(
                f"SELECT id, {', '.join(COLUMNS)} FROM pictures WHERE id IN ({marks})", part
            ):
                found[row[0]] = _picture(row, tuple(tags.get(row[0], ())))
        return [found[number] for number in wanted if number in found]

    def paths_of(self, ids: Iterable[int]) -> list[str]:
        """The files of these pictures, in their order; nothing else of them is read."""
        return [path for _, path in each(self._db, ids, "path")]

    def tags_of(self, ids: Iterable[int]) -> list[tuple[str, int]]:
        """Each tag that some of these pictures have, and how many have it."""
        found: dict[str, int] = {}
        for part in parts(list(ids)):
            for tag, number in self._db.execute(
                f"SELECT tag, count(*) FROM tags WHERE picture IN ({','.join('?' * len(part))}) "
                "GROUP BY tag", part,
            ):  # fmt: skip
                found[tag] = found.get(tag, 0) + int(number)
        return sorted(found.items(), key=lambda one: one[0].casefold())

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


def _day(created: float) -> int:
    try:
        return datetime.fromtimestamp(created).toordinal()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0).toordinal()


def _picture(row: tuple[Any, ...], tags: tuple[str, ...]) -> IndexedPicture:
    number, *values = row
    named = dict(zip(COLUMNS, values, strict=True))
    facts = PictureFacts(
        named["path"], named["created"], named["width"], named["height"], named["prompt"],
        named["negative"], named["model"], named["scheduler"], named["seed"], named["steps"],
        named["guidance_scale"], PictureKind(named["kind"]), named["bytes"],
        named["modified_ns"], named["fingerprint"],
    )  # fmt: skip
    return IndexedPicture(number, facts, bool(named["favourite"]), tags)
