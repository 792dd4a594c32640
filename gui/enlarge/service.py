"""The process that enlarges pictures.

Apart from the engine, so that an old picture can be enlarged while a new one is being made, and so
that neither takes the other's memory for longer than it works: the window ends it when it has
nothing more to do.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import NoReturn

import numpy as np

from gui.coreml.picture_network import find_upscaler, upscalers
from gui.coreml.runtime import default_runtime
from gui.enlarge.messages import (
    ENLARGER,
    Enlarged,
    EnlargePicture,
    ListUpscalers,
    Pieces,
    Upscaler,
)
from gui.enlarge.saving import save_enlarged
from gui.files import expanded
from gui.library.picture_reader import read_picture, size_of
from gui.pipeline.enlarge import Enlarger, check_size
from gui.process.serve import Call, Server, run_child
from gui.request import ComputeUnit


class Service:
    """What the process answers; keeps the last network loaded."""

    def __init__(self) -> None:
        self._enlarger: Enlarger | None = None
        self._unit = ComputeUnit.ALL

    def list(self, _ask: ListUpscalers, _call: Call) -> tuple[Upscaler, ...]:
        return tuple(
            Upscaler(network.name, network.summary, network.component.size_bytes)
            for network in upscalers()
        )

    def enlarge(self, ask: EnlargePicture, call: Call) -> Enlarged:
        file = expanded(ask.file)
        check_size(*size_of(file), ask.factor)  # before anything is loaded
        enlarger = self._loaded(ask.upscaler, ask.compute_unit)
        picture = read_picture(file)
        has_alpha = "A" in picture.getbands() or "transparency" in picture.info
        pixels = np.asarray(picture.convert("RGBA" if has_alpha else "RGB"))

        def on_piece(done: int, total: int) -> None:
            call.tell(Pieces(done, total))

        enlarged = enlarger.enlarge(pixels, ask.factor, on_piece, call.cancelled)
        folder = expanded(ask.folder) if ask.folder else file.parent
        path = save_enlarged(file, enlarged, ask.factor, enlarger.network.name, folder)
        return Enlarged(str(path), enlarged.shape[1], enlarged.shape[0])

    def _loaded(self, name: str, unit: ComputeUnit) -> Enlarger:
        network = find_upscaler(name)
        if self._enlarger is None or (self._enlarger.network, self._unit) != (network, unit):
            if self._enlarger is not None:
                self._enlarger.close()
                self._enlarger = None
            self._enlarger, self._unit = Enlarger(network, default_runtime(), unit), unit
        return self._enlarger


def _serve(connection: Connection) -> None:
    service = Service()
    answers = {ListUpscalers: service.list, EnlargePicture: service.enlarge}
    Server(connection, ENLARGER, answers).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the process."""
    run_child("enlarge", _serve, arguments)
