"""The networks beside the models, where they are offered: read when they are looked for."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import QObject

from gui.ui.desks.parts import Parts
from gui.ui.prompt.upscaler import UpscalerChoice


class NetworksDesk(QObject):
    """Offers the person's own upscalers in the prompt panel."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        networks = parts.studio.networks
        choice = cast("UpscalerChoice", parts.prompt.controls["upscaler"].input)
        networks.changed.connect(lambda: choice.show_networks(networks.networks.upscalers))
        parts.prompt.advanced_section.toggled.connect(
            lambda is_open: networks.refresh() if is_open else None
        )
