"""What a person keeps of prompts on disk: those asked for, saved ones, styles and presets.

One small SQLite file.  An entry is written alone, so two windows of Sfumato that keep different
things lose nothing of each other's; a file that is damaged is set aside and said once.  Standard
library only.  Every call opens the file for itself, so any thread may make it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gui import locks, paths
from gui.errors import ErrorKind, SfumatoError
from gui.library import database

FILE_NAME = "prompts.sqlite3"
SCHEMA = 1
PATIENCE = 3.0
"""Seconds that another window's writing is waited for."""

log = logging.getLogger(__name__)


class ShelfName(StrEnum):
    """The kinds of things that are kept."""

    HISTORY = "history"
    SAVED = "saved"
    STYLES = "styles"
    PRESETS = "presets"


@dataclass(frozen=True)
class KeptText:
    """One entry as it is on disk."""

    key: str
    text: str
    """JSON."""
    at: float
    """Seconds since 1970: when it was kept, or asked for the last time."""


class _NewerFile(Exception):  # noqa: N818 - nothing is wrong with it
    """A later version of Sfumato wrote the file."""


class PromptStore:
    """The person's prompts.

    Args:
        path: the file; it and its folder are made when something is kept.

    Attributes:
        notice: a sentence for the person where the file could not be used as it was, or "".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice = ""

    @classmethod
    def default(cls) -> PromptStore:
        """The user's."""
        return cls(paths.data_dir() / FILE_NAME)

    def load(self, shelf: ShelfName, most: int) -> list[KeptText]:
        """The newest entries, at most so many, newest first; older ones are forgotten.

        Raises:
            SfumatoError: STORAGE where the file cannot be read.
        """
        if not self.path.exists():
            return []
        with self._opened() as db:
            rows = db.execute(
                "SELECT key, value, at FROM kept WHERE shelf = ? ORDER BY at DESC, rowid DESC"
                " LIMIT ?",
                (shelf, most + 1),
            ).fetchall()
        if len(rows) > most:
            self._forget_older(shelf, most)
        return [KeptText(str(key), str(value), float(at)) for key, value, at in rows[:most]]

    def put(self, shelf: ShelfName, entries: Iterable[KeptText]) -> None:
        """Keep entries, in place of those of the same keys.

        Raises:
            SfumatoError: STORAGE where they cannot be written.
        """
        with self._opened() as opened, database.transaction(opened, self._sentence()) as db:
            db.executemany(
                "INSERT OR REPLACE INTO kept (shelf, key, value, at) VALUES (?, ?, ?, ?)",
                [(shelf, entry.key, entry.text, entry.at) for entry in entries],
            )

    def remove(self, shelf: ShelfName, keys: Iterable[str]) -> None:
        """Forget entries.

        Raises:
            SfumatoError: STORAGE where that cannot be written.
        """
        with self._opened() as opened, database.transaction(opened, self._sentence()) as db:
            db.executemany(
                "DELETE FROM kept WHERE shelf = ? AND key = ?", [(shelf, key) for key in keys]
            )

    def _forget_older(self, shelf: ShelfName, most: int) -> None:
        with (
            contextlib.suppress(SfumatoError),
            self._opened() as opened,
            database.transaction(opened, self._sentence()) as db,
        ):
            db.execute(
                "DELETE FROM kept WHERE shelf = ? AND rowid NOT IN (SELECT rowid FROM kept"
                " WHERE shelf = ? ORDER BY at DESC, rowid DESC LIMIT ?)",
                (shelf, shelf, most),
            )

    # -- the file -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        try:
            yield connection
        except sqlite3.Error as error:  # while it is read
            raise self._unusable(error) from error
        finally:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return _open_sound(self.path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # unwritable, full: not damaged
                    raise
                self._set_aside(error)
                return _open_sound(self.path)
        except _NewerFile as error:
            raise SfumatoError(
                ErrorKind.STORAGE,
                "Prompts and styles were kept by a newer version of Sfumato, so they are neither "
                "shown nor changed here; update Sfumato to use them.",
                repr(error),
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _set_aside(self, damage: Exception) -> None:
        """Put a damaged file out of the way, unless another window has done so already."""
        with self.path.with_suffix(".lock").open("a") as lock:
            if not locks.take(lock.fileno()):
                time.sleep(0.2)  # the other one is at it
                return
            try:
                _open_sound(self.path).close()
                return
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                pass
            stamp = f"{int(time.time())}-{os.getpid()}"
            aside = self.path.with_name(f"{self.path.stem}-damaged-{stamp}{self.path.suffix}")
            log.warning("%s is damaged, kept as %s: %r", self.path, aside, damage)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.rename(aside)
            self.notice = (
                "Saved prompts, styles and presets were damaged and begin anew; the old ones lie "
                f"in {aside}."
            )

    def _unusable(self, error: Exception) -> SfumatoError:
        return SfumatoError(ErrorKind.STORAGE, self._sentence(), repr(error))

    def _sentence(self) -> str:
        return (
            f"Prompts, styles and presets cannot be kept in “{self.path.parent}”; check that the "
            "folder can be written to and the disk is not full."
        )


def _open_sound(path: Path) -> sqlite3.Connection:
    """Open the file, looking at every page: damage behind a good beginning shows now.

    Raises:
        sqlite3.Error: DatabaseError alone means damage.
        _NewerFile: this version must keep away from it.
    """
    connection = database.connect(str(path), PATIENCE)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise _NewerFile(version)
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        if version < SCHEMA:
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kept (shelf TEXT NOT NULL, key TEXT NOT NULL,"
                    " value TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (shelf, key))"
                )
                connection.execute("CREATE INDEX IF NOT EXISTS by_date ON kept (shelf, at)")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection
