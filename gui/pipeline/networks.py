"""The networks of a model: loaded when they are needed, and let go of where memory is short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from gui.coreml.adapted import Settled, settled
from gui.coreml.flexible import for_tiles
from gui.coreml.model import ComponentInfo, ComponentKind, ModelInfo, TensorSpec
from gui.coreml.runtime import LoadedModel, Runtime
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline import safety
from gui.request import ComputeUnit

UNETS = (ComponentKind.UNET, ComponentKind.CONTROL_UNET)
_STAGES = {
    ComponentKind.TEXT_ENCODER_2: ComponentKind.TEXT_ENCODER,
    ComponentKind.VAE_ENCODER: ComponentKind.VAE_DECODER,
}
"""Networks that stay beside another one, as they work on the same thing in turn."""

OnLoading = Callable[[str, int, int], None]
"""Told (component, index from 0, total) before each is loaded."""


class Room:
    """Memory for the networks of one stage at a time."""

    def __init__(self) -> None:
        self._inside: list[Resting] = []

    def enter(self, network: Resting) -> None:
        """One is about to be loaded: those of other stages are let go of."""
        for other in self._inside:
            if other.stage != network.stage:
                other.rest()
        self._inside = [n for n in self._inside if n.stage == network.stage and n is not network]
        self._inside.append(network)

    def clear(self) -> None:
        """Let go of all."""
        for network in self._inside:
            network.rest()
        self._inside = []


class Resting:
    """A network that is loaded when it is run, and let go of while another needs the memory.

    Args:
        component: describes it.
        load: loads it.
        loaded: it, if it is loaded already.
    """

    def __init__(
        self,
        component: ComponentInfo,
        load: Callable[[], LoadedModel],
        loaded: LoadedModel | None = None,
    ) -> None:
        self._load = load
        self._model = loaded
        self._room: Room | None = None
        self.stage = _STAGES.get(component.kind, component.kind)
        self.settle(component)

    def settle(self, component: ComponentInfo) -> None:
        """Be described by other shapes from now on, where it takes several."""
        self.inputs: Mapping[str, TensorSpec] = {t.name: t for t in component.inputs}
        self.outputs: Mapping[str, TensorSpec] = {t.name: t for t in component.outputs}

    def share(self, room: Room | None) -> None:
        """Be loaded in this room from now on; None: beside all others."""
        self._room = room
        if room is not None and self._model is not None:
            room.enter(self)

    def load(self) -> LoadedModel:
        """Load it, if it is not loaded."""
        if self._model is None:
            if self._room is not None:
                self._room.enter(self)
            self._model = self._load()
        return self._model

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.load()(arrays)

    def rest(self) -> None:
        """Free the weights until it is run again."""
        if self._model is not None:
            self._model.close()
            self._model = None

    close = rest


def _with_advice(error: SfumatoError) -> SfumatoError:
    """A network does not fit beside the others."""
    return SfumatoError(
        error.kind,
        f"{error.what.rstrip('.')}; close other programs, use less memory (a switch in Settings, "
        "or --reduce-memory), or choose a smaller model.",
        error.detail,
    )


class Networks:
    """What is loaded of a model.

    Args:
        model: the folder's components.
        runtime: loads and runs the networks.
        compute_unit: processors Core ML may use.
        room: where networks are loaded one after the other, each when it is run; None: all are
            beside one another.
    """

    def __init__(
        self, model: ModelInfo, runtime: Runtime, compute_unit: ComputeUnit, room: Room | None
    ) -> None:
        self._model = model
        self._runtime = runtime
        self._compute_unit = compute_unit
        self.loaded: dict[ComponentKind, LoadedModel] = {}
        """By kind; where there is a room, they rest until they are run."""
        self.on_loading: OnLoading | None = None
        self.room = room

    @property
    def model(self) -> ModelInfo:
        """The folder's components; of a model of several sizes, at the one it was settled on."""
        return self._model

    @property
    def sparing(self) -> bool:
        """Whether they are loaded one after the other, as memory is short."""
        return self.room is not None

    def __getitem__(self, kind: ComponentKind) -> LoadedModel:
        return self.loaded[kind]

    def __contains__(self, kind: ComponentKind) -> bool:
        return kind in self.loaded

    def load(self, kinds: Iterable[ComponentKind]) -> None:
        """Load these, as far as they are not loaded yet, or are loaded only when they are run.

        Raises:
            SfumatoError: as `Runtime.load`.
        """
        wanted = [kind for kind in kinds if kind not in self.loaded]
        for index, kind in enumerate(wanted):
            component = self._component(kind)
            if self.room is not None:
                self.loaded[kind] = self.resting(component)
                continue
            self.loaded[kind] = self._load(component, index, len(wanted))

    def settle(self, model: ModelInfo) -> None:
        """Have the networks of a model of several sizes be described by another size's shapes."""
        self._model = model
        for kind, loaded in self.loaded.items():
            if isinstance(loaded, (Settled, Resting)):
                loaded.settle(self._component(kind))

    def let_go(self, kinds: Iterable[ComponentKind]) -> None:
        """Close these, as far as they are loaded."""
        for kind in kinds:
            if kind in self.loaded:
                self.loaded.pop(kind).close()

    def late(self, component: ComponentInfo) -> LoadedModel:
        """Load a network that a request needs beside those of `load`."""
        return self._load(component, 0, 1)

    def resting(self, component: ComponentInfo) -> Resting:
        """One that is loaded when it is run, in the room where there is one."""
        network = Resting(component, lambda: self.late(component))
        network.share(self.room)
        return network

    def rest_for(self, kind: ComponentKind, other: Resting) -> None:
        """From now on let go of a network and another for one another."""
        loaded, component = self.loaded[kind], self._component(kind)
        if self.room is not None or isinstance(loaded, Resting):
            return
        room = Room()
        resting = Resting(component, lambda: self.late(component), loaded)
        for each in (resting, other):
            each.share(room)
        self.loaded[kind] = resting

    def make_room(self) -> None:
        """Another network is about to be loaded; where memory is short, all others rest."""
        if self.room is not None:
            self.room.clear()

    def close(self) -> None:
        """Free all."""
        self.let_go(list(self.loaded))

    def _component(self, kind: ComponentKind) -> ComponentInfo:
        """As it is to be run."""
        model = self._model
        size = (model.image_width, model.image_height)
        return for_tiles(model.components[kind], size, sparing=self.sparing)

    def _load(self, component: ComponentInfo, index: int, total: int) -> LoadedModel:
        if self.on_loading is not None:
            self.on_loading(component.kind.value, index, total)
        try:
            return settled(self._runtime.load(component, self._compute_unit), component)
        except SfumatoError as error:
            if component.kind is ComponentKind.SAFETY_CHECKER:
                raise safety.with_advice(error) from error
            if error.kind is ErrorKind.MEMORY and self.room is None:
                raise _with_advice(error) from error
            raise
