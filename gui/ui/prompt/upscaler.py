"""The upscaler: those that ship, and the person's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gui.state.networks import NetworkFacts
from gui.state.pictures.enlarging import SHIPPED
from gui.ui.widgets.choice import Choice

OWN = "An upscaler of your own"


class UpscalerChoice(Choice):
    """The upscalers that ship, those in the person's folder, and one that a picture's settings
    name; what lies in that folder and is none stands there with the reason."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.show_networks(())

    def show_networks(self, found: Sequence[NetworkFacts]) -> None:
        """Offer the upscalers that are here."""
        chosen = self.currentData()
        own = [each for each in found if each.name not in SHIPPED]
        self.showing = True
        self.clear()
        for name, told in SHIPPED.items():
            self.add(name, name, told)
        for each in own:
            if each.problem:
                self.add_unavailable(each.name, each.problem)
            else:
                self.add(each.name, each.name, each.summary or OWN)
        self.showing = False
        if chosen:
            self.set_value(chosen)

    def set_value(self, data: Any) -> None:
        if data and self.index_of(data) < 0:
            self.showing = True
            self.add(Path(str(data)).stem, data, OWN)
            self.showing = False
        super().set_value(data)
