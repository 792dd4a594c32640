"""Grids in the queue's database: what became of their cells, so that the contact sheet can be made
once all are over, whatever happened in between.

A cell's outcome is written together with its job's, and outlives the job's place on the list.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from gui import records
from gui.grid import Grid
from gui.records import RecordError
from gui.request import PictureRequest

STOPPED = "Stopped"


@dataclass(frozen=True)
class CellOutcome:
    """What became of a cell; both empty: it was taken off the queue."""

    picture: str = ""
    """The file."""
    problem: str = ""
    """A sentence."""


@dataclass(frozen=True)
class FinishedGrid:
    """A grid none of whose cells is to be waited for any more, and whose sheet is to be made."""

    grid: Grid
    base: PictureRequest
    """What its cells have in common."""
    outcomes: dict[tuple[int, int], CellOutcome]
    """By column and row."""
    revision: int
    """How many sheets of it were made before: cells may be tried again."""


def create_tables(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE IF NOT EXISTS grids (id TEXT PRIMARY KEY, grid TEXT NOT NULL,"
        " base TEXT NOT NULL, made INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 1)"
    )
    db.execute(
        "CREATE TABLE IF NOT EXISTS cells (grid TEXT NOT NULL, place_x INTEGER NOT NULL,"
        " place_y INTEGER NOT NULL, job TEXT NOT NULL, picture TEXT NOT NULL DEFAULT '',"
        " problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (grid, place_x, place_y))"
    )
    db.execute("CREATE INDEX IF NOT EXISTS cells_by_job ON cells (job)")


def enter(
    db: sqlite3.Connection, grid: Grid, base: PictureRequest, cells: Sequence[tuple[int, int, str]]
) -> None:
    """Remember a grid.

    Args:
        cells: column, row and job of each.
    """
    db.execute(
        "INSERT INTO grids (id, grid, base) VALUES (?, ?, ?)",
        (grid.id, records.dumps(grid), records.dumps(base)),
    )
    db.executemany(
        "INSERT INTO cells (grid, place_x, place_y, job) VALUES (?, ?, ?, ?)",
        [(grid.id, *cell) for cell in cells],
    )


def note(db: sqlite3.Connection, job: str, outcome: CellOutcome | None) -> None:
    """Write what became of a job, if it is a cell's; None: it is in line again."""
    found = outcome or CellOutcome()
    changed = db.execute(
        "UPDATE cells SET picture = ?, problem = ? WHERE job = ?",
        (found.picture, found.problem, job),
    )
    if changed.rowcount and outcome is None:
        db.execute(
            "UPDATE grids SET open = 1 WHERE id IN (SELECT grid FROM cells WHERE job = ?)", (job,)
        )


def finished(db: sqlite3.Connection, pending: Sequence[str]) -> list[FinishedGrid]:
    """Grids whose sheet can be made now.

    Args:
        pending: statuses of jobs that are still to be waited for.
    """
    marks = ", ".join("?" * len(pending))
    rows = db.execute(
        "SELECT id, grid, base, made FROM grids WHERE open AND NOT EXISTS ("
        " SELECT 1 FROM cells JOIN jobs ON jobs.id = cells.job"
        f" WHERE cells.grid = grids.id AND jobs.status IN ({marks}))",
        tuple(pending),
    ).fetchall()
    found: list[FinishedGrid] = []
    for number, grid, base, made in rows:
        try:
            read = records.loads(Grid, grid), records.loads(PictureRequest, base)
        except RecordError:  # a row that nobody wrote: no sheet, and no stop at every start
            db.execute("UPDATE grids SET open = 0 WHERE id = ?", (number,))
            continue
        cells = db.execute(
            "SELECT place_x, place_y, picture, problem FROM cells WHERE grid = ?", (number,)
        ).fetchall()
        outcomes = {(x, y): CellOutcome(picture, problem) for x, y, picture, problem in cells}
        found.append(FinishedGrid(*read, outcomes, made))
    return found


def close(db: sqlite3.Connection, grid: str, made: int) -> None:
    """The sheet was made, or there is nothing to be seen on it.

    Args:
        made: 1 where there is one more.
    """
    db.execute("UPDATE grids SET open = 0, made = made + ? WHERE id = ?", (made, grid))


def forget(db: sqlite3.Connection) -> None:
    """Drop grids that are over and whose jobs are all off the list."""
    db.execute(
        "DELETE FROM grids WHERE NOT open AND NOT EXISTS ("
        " SELECT 1 FROM cells JOIN jobs ON jobs.id = cells.job WHERE cells.grid = grids.id)"
    )
    db.execute("DELETE FROM cells WHERE grid NOT IN (SELECT id FROM grids)")
