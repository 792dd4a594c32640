"""Why nothing of the queue is begun: a pause, the battery, or others who run it."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import QObject, Signal

from gui.library.queue import PAUSED, PLUGGED_IN_ONLY, JobStore
from gui.state.power import Power


class Waits(StrEnum):
    """Why nothing that waits is begun."""

    NO = ""
    PAUSED = "paused"
    BATTERY = "battery"
    """It runs while plugged in only, and the computer is not, or may not be."""
    ELSEWHERE = "elsewhere"
    """Another process owns the running of the queue."""
    FARM = "farm"
    """The Macs of a farm run it, this one among them."""

    @property
    def elsewhere(self) -> bool:
        """Whether it is another process's affair."""
        return self in (Waits.ELSEWHERE, Waits.FARM)


class QueueWaits(QObject):
    """What hinders the queue, where it is not the engine.

    Args:
        power: tells of the battery; None: this computer's.
    """

    power_changed = Signal()
    """Whether the computer is on its battery is another thing now."""

    def __init__(self, power: Power | None, parent: QObject) -> None:
        super().__init__(parent)
        self.paused = False
        self.plugged_in_only = False
        """Whether jobs are run only while the computer is plugged in."""
        self.farmed = False
        """Whether a farm runs the queue."""
        self._power = power or Power(self)
        self._power.changed.connect(self.power_changed)

    def now(self, store: JobStore | None) -> Waits:
        """Why nothing that waits is begun.

        Args:
            store: the queue on disk; None: not opened yet.
        """
        if store is not None and self.farmed:
            return Waits.FARM
        if store is not None and not store.is_owner:
            return Waits.ELSEWHERE
        if self.paused:
            return Waits.PAUSED
        if self.plugged_in_only and self._power.on_battery is not False:
            return Waits.BATTERY
        return Waits.NO

    def read_switches(self, store: JobStore) -> None:
        """Take over what is switched on disk."""
        self.paused = store.option(PAUSED)
        self.plugged_in_only = store.option(PLUGGED_IN_ONLY)

    def watch_power(self, on: bool) -> None:
        """Ask for the battery from now on where it matters; False: no more."""
        self._power.watch(on and self.plugged_in_only)

    def close(self) -> None:
        self._power.close()
