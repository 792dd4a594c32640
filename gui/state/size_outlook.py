"""What pictures of a size will take of memory and time, for the list of sizes."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from gui import words
from gui.hub.variants.verdict import memory_of
from gui.library import step_times
from gui.library.step_times import Pace, Size
from gui.state.background import Background
from gui.state.model_entry import ModelEntry, machine


class SizeOutlook(QObject):
    """Says for every size what it takes; what was measured is read off the window's thread."""

    changed = Signal()
    """More is known than before."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entry: ModelEntry | None = None
        self._unit = ""
        self._paces: tuple[Pace, ...] = ()
        self._background = Background(self)

    def set_model(self, entry: ModelEntry, compute_unit: str) -> None:
        """Speak of this model from now on."""
        asked = (entry.identity, compute_unit)
        known = self._entry.identity if self._entry is not None else ""
        if asked != (known, self._unit):
            self._paces = ()
        self._entry, self._unit = entry, compute_unit
        self.refresh()

    def refresh(self) -> None:
        """Read again what was measured; `changed` follows if there is news."""
        if self._entry is None or not self._entry.identity:
            return
        asked = (self._entry.identity, self._unit)

        def then(paces: tuple[Pace, ...]) -> None:
            now = (self._entry.identity if self._entry is not None else "", self._unit)
            if asked == now and paces != self._paces:
                self._paces = paces
                self.changed.emit()

        self._background.run(lambda: step_times.measured(*asked), then, lambda _error: None)

    def close(self) -> None:
        """Wait for what is being read."""
        self._background.close()

    def told(self, size: Size, steps: int, scheduler: str) -> str:
        """``about 40 s · 4.1 GB of memory``; of time, how it compares with the model's own size as
        long as nothing was measured.  Empty where nothing can be told."""
        info = self._entry.info if self._entry is not None else None
        if info is None or min(size) <= 0 or info.image_width <= 0:
            return ""
        xl = info.family.value.startswith("sdxl")
        seconds = step_times.expected(self._paces, size, steps, scheduler, xl=xl)
        own = (info.image_width, info.image_height)
        if seconds is not None:
            time = f"about {words.duration(max(1.0, seconds))}"
        else:
            time = _compared(step_times.work_of(size, xl=xl) / step_times.work_of(own, xl=xl))
        needed = memory_of(replace(info, image_width=size[0], image_height=size[1]), machine())
        memory = f"{words.memory(needed)} of memory"
        if needed > machine().memory_bytes > 0:
            memory = f"{words.memory(needed)} of memory, more than there is"
        return " · ".join(part for part in (time, memory) if part)


def _compared(share: float) -> str:
    """Time beside that of the model's own size."""
    if 0.95 < share < 1.05:
        return ""
    return f"{share:.1f} × the time" if share < 9.95 else f"{share:.0f} × the time"
