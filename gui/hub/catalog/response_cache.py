"""What the Hub said before, for when it cannot be reached: results, models, file trees, cards.

One SQLite file in the cache folder.  It can be deleted at any time; a damaged one is replaced.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from gui import records
from gui.hub.types import ModelSummary
from gui.private_files import keep_private
from gui.records import Record

R = TypeVar("R", bound=Record)

MAX_MODELS = 20_000
MAX_THINGS = 2_000
"""Remembered pages, and of trees and cards each a quarter as many."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS models (id TEXT PRIMARY KEY, json TEXT NOT NULL, seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS things (
    kind TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (kind, key));
CREATE INDEX IF NOT EXISTS things_seen ON things (kind, seen);
CREATE INDEX IF NOT EXISTS models_seen ON models (seen);
"""


class Memory:
    """The store.  Safe to use from several threads and processes; never raises: what cannot be
    remembered is not, what cannot be recalled is None.

    Args:
        folder: holds the file; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "memory.sqlite"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._writes = 0

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # Models

    def see(self, models: Iterable[ModelSummary]) -> None:
        """Remember results."""
        now = time.time()
        rows = [(m.id, records.dumps(m), now) for m in models]
        self._with(
            lambda base: base.executemany("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", rows)
        )

    def model(self, repo: str) -> tuple[ModelSummary, str] | None:
        """A model, and when it was seen (ISO 8601)."""
        rows = self._rows("SELECT json, seen FROM models WHERE id = ?", repo)
        known = next(_models(rows), None)
        return (known, _iso(rows[0][1])) if known is not None else None

    def models(self) -> tuple[list[ModelSummary], str]:
        """All of them, and when the newest was seen (ISO 8601; empty: there are none)."""
        rows = self._rows("SELECT json, seen FROM models")
        return list(_models(rows)), _iso(max((row[1] for row in rows), default=0))

    # Anything else

    def put(self, kind: str, key: str, value: Any) -> None:
        """Remember a JSON value."""
        row = (kind, key, zlib.compress(records.dumps(value).encode(), 1), time.time())
        self._with(
            lambda base: base.execute("INSERT OR REPLACE INTO things VALUES (?, ?, ?, ?)", row)
        )

    def get(self, kind: str, key: str) -> tuple[Any, str] | None:
        """A value and when it was put (ISO 8601)."""
        rows = self._rows("SELECT data, seen FROM things WHERE kind = ? AND key = ?", kind, key)
        for data, seen in rows:
            with contextlib.suppress(ValueError, zlib.error):
                return records.parse(zlib.decompress(data)), _iso(seen)
        return None

    def record(self, shape: type[R], kind: str, key: str) -> tuple[R, str] | None:
        """As `get`, of a record; None also where another version of Sfumato put something else."""
        known = self.get(kind, key)
        with contextlib.suppress(ValueError):
            return (shape.from_json(known[0]), known[1]) if known is not None else None
        return None

    # The file

    def _rows(self, statement: str, *values: str) -> list[Any]:
        found: list[Any] = []
        self._with(lambda base: found.extend(base.execute(statement, values).fetchall()))
        return found

    def _with(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do something with the file.  Where it is damaged: once more, with a new one."""
        with self._lock:
            for _ in range(2):
                try:
                    work(self._connected())
                    self._commit()
                    return
                except UnicodeEncodeError:  # half a character: no name anyone can ask for again
                    return
                except (sqlite3.Error, OSError) as error:
                    if not self._give_up(error):
                        return

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            keep_private(self._file)
            self._connection = sqlite3.connect(self._file, timeout=5, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(_SCHEMA)
        return self._connection

    def _commit(self) -> None:
        base = self._connected()
        if base.in_transaction:
            self._writes += 1
            if self._writes % 50 == 1:
                self._forget(base)
            base.commit()

    def _forget(self, base: sqlite3.Connection) -> None:
        """Keep the newest of everything."""
        base.execute(
            "DELETE FROM models WHERE id IN "
            "(SELECT id FROM models ORDER BY seen DESC LIMIT -1 OFFSET ?)",
            (MAX_MODELS,),
        )
        for (kind,) in base.execute("SELECT DISTINCT kind FROM things").fetchall():
            keep = MAX_THINGS if kind == "page" else MAX_THINGS // 4
            base.execute(
                "DELETE FROM things WHERE kind = ? AND key IN "
                "(SELECT key FROM things WHERE kind = ? ORDER BY seen DESC LIMIT -1 OFFSET ?)",
                (kind, kind, keep),
            )

    def _give_up(self, error: Exception) -> bool:
        """Let go of the file, and delete a damaged one; whether it is worth trying again."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        busy = isinstance(error, sqlite3.OperationalError)
        if busy or not isinstance(error, sqlite3.DatabaseError):
            return False
        for name in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._file.with_name(self._file.name + name).unlink()
        return True


def _models(rows: Iterable[Any]) -> Iterator[ModelSummary]:
    for row in rows:
        with contextlib.suppress(ValueError):
            yield records.loads(ModelSummary, row[0])


def _iso(seconds: float | None) -> str:
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
