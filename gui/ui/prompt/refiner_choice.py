"""Which refiner makes a picture's last steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gui.request import OWN_REFINER
from gui.ui.widgets.choice import Choice


class RefinerChoice(Choice):
    """No refiner, the model's own, and the refiners that are installed."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.offer(own=False, others=())

    def offer(self, *, own: bool, others: Sequence[tuple[str, str]]) -> None:
        """What there is to choose from; what is chosen stays.

        Args:
            own: whether the model has one beside it.
            others: names and folders.
        """
        chosen = self.currentData()
        self.showing = True
        self.clear()
        self.add("None", "", "The model makes every step.")
        if own:
            self.add("The model’s own", OWN_REFINER, "The refiner that lies beside the model.")
        for name, folder in others:
            self.add(name, folder, "An installed refiner")
        self._choose(chosen or "")
        self.showing = False

    def set_value(self, data: object) -> None:
        self.showing = True
        self._choose(data)
        self.showing = False

    def _choose(self, folder: object) -> None:
        if folder and self.index_of(folder) < 0:
            self.add(Path(str(folder)).name, folder, "The refiner that was chosen")
        self.setCurrentIndex(max(0, self.index_of(folder)))
