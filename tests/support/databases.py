"""SQLite files that a test has opened, closed at its end."""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what was opened within and is still open.

    Tests make catalogues and indexes by the dozen, and drop them.  Since Python 3.13 a database
    that is collected while it is open makes a warning, which fails whatever test runs just then.
    """
    opened: list[weakref.ref[sqlite3.Connection]] = []
    connect = sqlite3.connect

    def noticed(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **{"factory": _Connection, **options})
        opened.append(weakref.ref(connection))
        return connection

    monkeypatch.setattr(sqlite3, "connect", noticed)
    yield
    for reference in opened:
        if (connection := reference()) is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it belongs to another thread
                connection.close()


class _Connection(sqlite3.Connection):
    """One that can be referred to weakly, and closes when it is dropped."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):
            self.close()
