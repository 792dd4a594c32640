"""Scheduler names for the window, from the pipeline's list (which needs no torch)."""

from __future__ import annotations

from gui.scheduler_names import SCHEDULER_NAMES, SchedulerName


def scheduler_names() -> tuple[SchedulerName, ...]:
    """Every scheduler in display order, with its one-line description."""
    return SCHEDULER_NAMES
