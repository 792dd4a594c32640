"""An index over picture files: what there is, what made it, where it lies.

The files are the truth and the index can be made again from them at any time.  What only the person
knows of a picture (favourite, tags) is kept in a journal beside it, by the picture's fingerprint,
so that it survives both the loss of the index and a file that was moved by another program.

SQLite with full-text search; standard library only.  Not thread-safe: one thread makes and uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import keep_private

FILE_NAME = "pictures.sqlite3"
MARKS_NAME = "picture-marks.jsonl"
SCHEMA = 1
FINGERPRINT_BYTES = 64 * 1024
"""A picture's beginning: header, settings and the first pixels tell any two pictures apart."""
MAX_PROMPT = 20_000
"""Characters of a prompt that are searched and shown; the file keeps all of them."""

log = logging.getLogger(__name__)


class PictureKind(StrEnum):
    MADE = "made"
    """Made by Sfumato."""
    IMPORTED = "imported"
    """Any other picture."""


@dataclass(frozen=True)
class PictureFacts:
    """What an index knows of one picture file."""

    path: str
    created: float
    """Seconds since 1970; the file's own date where the picture does not say."""
    width: int
    height: int
    prompt: str = ""
    negative_prompt: str = ""
    model: str = ""
    scheduler: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    kind: PictureKind = PictureKind.IMPORTED
    bytes: int = 0
    modified_ns: int = 0
    fingerprint: str = ""
    words: str = ""
    """Everything else worth finding: notes, start picture's name, parameters as text."""


@dataclass(frozen=True)
class IndexedPicture:
    """One row: the facts, and what the person said of it."""

    id: int
    facts: PictureFacts
    favourite: bool = False
    tags: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self.facts.path


@dataclass(frozen=True)
class PictureFilter:
    """Which pictures are wanted.  Empty fields want everything."""

    text: str = ""
    """Words that all occur (or begin) in prompt, negative prompt or parameters; ``"…"`` keeps words
    together, ``-word`` leaves pictures out."""
    model: str = ""
    scheduler: str = ""
    size: tuple[int, int] | None = None
    since: date | None = None
    until: date | None = None
    """The last day that counts."""
    favourites: bool = False
    kind: PictureKind | None = None
    tag: str = ""


@dataclass(frozen=True)
class Choices:
    """What can be filtered by, with the number of pictures for each, the most frequent first."""

    models: tuple[tuple[str, int], ...] = ()
    schedulers: tuple[tuple[str, int], ...] = ()
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    tags: tuple[tuple[str, int], ...] = ()
    total: int = 0


@dataclass
class _Mark:
    favourite: bool = False
    tags: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.favourite and not self.tags


@dataclass(frozen=True)
class KnownFile:
    """How a file was when it was indexed; another size or date means: read it again."""

    id: int
    bytes: int
    modified_ns: int


@dataclass
class Found:
    """Rows of a query: ids in order, and where each day begins."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    days: list[tuple[date, int]] = field(default_factory=list)
    """Each day with the row it begins at, in order."""


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
        self.notice = ""
        self.rebuilt = False
        self._marks_file = marks or (path.with_name(MARKS_NAME) if path else None)
        self._marks: dict[str, _Mark] = {}
        self._load_marks()
        self._db = self._open(path)

    # -- opening ------------------------------------------------------------------------------

    def _open(self, path: Path | None) -> sqlite3.Connection:
        if path is None:
            self.rebuilt = True
            return _connect(":memory:")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.rebuilt = not path.exists()
            connection = _connect(str(path))
        except (sqlite3.Error, OSError) as error:
            return self._start_anew(path, error)
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
                # Every page of the table is looked at: damage behind a good beginning shows now.
                connection.execute("SELECT sum(length(prompt)) FROM pictures").fetchone()
                return connection
            error = None
        except sqlite3.DatabaseError as damage:
            error = damage
        connection.close()
        return self._start_anew(path, error)

    def _start_anew(self, path: Path, error: Exception | None) -> sqlite3.Connection:
        """An index is made from files, so a damaged one is simply made again."""
        log.warning("picture index %s is made anew: %r", path, error)
        self.rebuilt = True
        try:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            return _connect(str(path))
        except (sqlite3.Error, OSError) as second:
            self.notice = (
                f"The list of pictures cannot be kept in “{path.parent}”, so it is read anew at "
                "every start; check that the folder is writable."
            )
            log.warning("picture index in memory: %r", second)
            return _connect(":memory:")

    def close(self) -> None:
        self._db.close()

    # -- writing ------------------------------------------------------------------------------

    def put(self, pictures: Iterable[PictureFacts]) -> list[int]:
        """Add pictures, or replace what is known of those paths; their ids."""
        ids: list[int] = []
        with self._transaction() as db:
            for facts in pictures:
                ids.append(self._put(db, facts))
        return ids

    def _put(self, db: sqlite3.Connection, facts: PictureFacts) -> int:
        folder, _, name = facts.path.rpartition("/")
        mark = self._marks.get(facts.fingerprint, _Mark())
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
        gone = 0
        with self._transaction() as db:
            for path in paths:
                row = db.execute("SELECT id FROM pictures WHERE path = ?", (path,)).fetchone()
                if row is None:
                    continue
                db.execute("DELETE FROM tags WHERE picture = ?", row)
                db.execute("DELETE FROM words WHERE rowid = ?", row)
                db.execute("DELETE FROM pictures WHERE id = ?", row)
                gone += 1
        return gone

    def known_files(self, folder: str) -> dict[str, KnownFile]:
        """The indexed files directly in a folder, by name."""
        rows = self._db.execute(
            "SELECT path, id, bytes, modified_ns FROM pictures WHERE folder = ?", (folder,)
        )
        return {path.rpartition("/")[2]: KnownFile(*rest) for path, *rest in rows}

    def folders(self) -> list[str]:
        """Every folder that holds an indexed file."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT folder FROM pictures")]

    # -- what the person says -----------------------------------------------------------------

    def set_favourite(self, ids: Iterable[int], on: bool) -> None:
        def change(mark: _Mark) -> None:
            mark.favourite = on

        self._mark(ids, change)

    def set_tags(self, number: int, tags: Iterable[str]) -> None:
        """Give a picture exactly these tags; blank ones and repeats are left out."""
        wanted = tuple(dict.fromkeys(t for t in (" ".join(tag.split()) for tag in tags) if t))

        def change(mark: _Mark) -> None:
            mark.tags = wanted

        self._mark([number], change)

    def _mark(self, ids: Iterable[int], change: Callable[[_Mark], None]) -> None:
        lines: list[str] = []
        with self._transaction() as db:
            for number in ids:
                row = db.execute(
                    "SELECT fingerprint FROM pictures WHERE id = ?", (number,)
                ).fetchone()
                if row is None:
                    continue
                mark = self._marks.setdefault(row[0], _Mark())
                change(mark)
                lines.append(_mark_line(row[0], mark))
                db.execute(
                    "UPDATE pictures SET favourite = ? WHERE id = ?", (int(mark.favourite), number)
                )
                db.execute("DELETE FROM tags WHERE picture = ?", (number,))
                db.executemany(
                    "INSERT INTO tags (picture, tag) VALUES (?, ?)",
                    [(number, tag) for tag in mark.tags],
                )
        self._append_marks(lines)

    def _append_marks(self, lines: list[str]) -> None:
        if self._marks_file is None or not lines:
            return
        try:
            self._marks_file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._marks_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                # A line that was cut by a crash ends here at the latest.
                file.write("\n" + "\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(
                error, f"The mark could not be kept in “{self._marks_file.parent}”"
            ) from error

    def _load_marks(self) -> None:
        """Read the journal; a line that cannot be read costs that mark alone."""
        if self._marks_file is None:
            return
        try:
            text = self._marks_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("marks cannot be read: %r", error)
            self.notice = (
                f"Favourites and tags in “{self._marks_file}” cannot be read; "
                "check who may read that file."
            )
            return
        lines = [line for line in text.splitlines() if line.strip()]
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    continue
                tags = tuple(str(tag) for tag in entry.get("tags", ()))
                self._marks[str(entry["picture"])] = _Mark(bool(entry.get("favourite")), tags)
        if len(lines) > 2 * len(self._marks) + 1000:
            self._compact_marks()

    def _compact_marks(self) -> None:
        """Write the journal anew with one line for each mark that still says something."""
        assert self._marks_file is not None
        temporary = self._marks_file.with_name(f".{self._marks_file.name}.part")
        kept = [_mark_line(k, m) + "\n" for k, m in self._marks.items() if not m.empty]
        try:
            temporary.write_text("".join(kept), encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(self._marks_file)
        except OSError as error:
            log.warning("marks could not be compacted: %r", error)
            temporary.unlink(missing_ok=True)

    # -- reading ------------------------------------------------------------------------------

    def find(self, wanted: PictureFilter = PictureFilter()) -> Found:
        """Ids of the pictures that fit, newest first, and the days they fall into."""
        where, values = _conditions(wanted)
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
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
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

    def by_path(self, path: str) -> IndexedPicture | None:
        row = self._db.execute("SELECT id FROM pictures WHERE path = ?", (path,)).fetchone()
        return next(iter(self.rows([row[0]])), None) if row is not None else None

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

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.Error as error:
            raise SfumatoError(
                ErrorKind.STORAGE,
                "The list of pictures could not be written; check that the disk is not full.",
                repr(error),
            ) from error


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
CREATE INDEX IF NOT EXISTS by_model ON pictures (model);
CREATE INDEX IF NOT EXISTS by_favourite ON pictures (favourite) WHERE favourite;
CREATE TABLE IF NOT EXISTS tags (
  picture INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (picture, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_tag ON tags (tag);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
  prompt, negative, other, tokenize="unicode61 remove_diacritics 2", prefix='2 3');
"""


def _connect(name: str) -> sqlite3.Connection:
    if name != ":memory:":
        keep_private(Path(name))
    connection = sqlite3.connect(name, timeout=5.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection


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


def _conditions(wanted: PictureFilter) -> tuple[str, list[object]]:
    """A WHERE clause and its values."""
    parts: list[str] = []
    values: list[object] = []

    def want(part: str, *given: object) -> None:
        parts.append(part)
        values.extend(given)

    match, without = match_of(wanted.text)
    if match:
        want("p.id IN (SELECT rowid FROM words WHERE words MATCH ?)", match)
    if without:
        want("p.id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)", without)
    if wanted.model:
        want("p.model = ?", wanted.model)
    if wanted.scheduler:
        want("p.scheduler = ?", wanted.scheduler)
    if wanted.size is not None:
        want("p.width = ? AND p.height = ?", *wanted.size)
    if wanted.since is not None:
        want("p.day >= ?", wanted.since.toordinal())
    if wanted.until is not None:
        want("p.day <= ?", wanted.until.toordinal())
    if wanted.favourites:
        want("p.favourite")
    if wanted.kind is not None:
        want("p.kind = ?", wanted.kind.value)
    if wanted.tag:
        want("p.id IN (SELECT picture FROM tags WHERE tag = ?)", wanted.tag)
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


_TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


def match_of(text: str) -> tuple[str, str]:
    """What a person typed as two FTS5 queries: what must occur, and what must not.

    Every word is quoted, so nothing typed is read as FTS5's own language; a word matches where
    another begins with it.
    """
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, word in _TERM.findall(text):
        words = re.findall(r"\w+", phrase or word)
        if not words:
            continue
        quoted = '"' + " ".join(words) + '"'
        term = quoted if phrase else f"{quoted} *"
        (unwanted if minus else wanted).append(term)
    return " AND ".join(wanted), " OR ".join(unwanted)


def _mark_line(picture: str, mark: _Mark) -> str:
    entry: dict[str, object] = {"picture": picture, "at": round(time.time())}
    if mark.favourite:
        entry["favourite"] = True
    if mark.tags:
        entry["tags"] = list(mark.tags)
    return json.dumps(entry, ensure_ascii=False)
