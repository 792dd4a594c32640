"""SQLite files that tests open and drop."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any


def close_what_is_dropped() -> None:
    """From now on, in this process.

    Tests make catalogues and indexes by the dozen, and drop them.  Since Python 3.13 a database
    that is collected while it is open makes a warning, which fails whatever test runs just then.
    """
    connect = sqlite3.connect

    def closing(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **{"factory": _Connection, **options})

    sqlite3.connect = closing


class _Connection(sqlite3.Connection):
    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it belongs to another thread
            self.close()
