"""ControlNets and T2I-Adapters: networks that lead a UNet by a second picture.

A ControlNet is run at every step of its range on what the UNet is given, and its answers are added
to the UNet's own (Zhang et al., "Adding conditional control to text-to-image diffusion models").  A
T2I-Adapter sees the picture alone, so it is run once, and its answers are the same at every step
(Mou et al., "T2I-Adapter: Learning adapters to dig out more controllable ability").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image as PillowImage

from gui.control_use import Control, ControlBalance, Preprocessor
from gui.coreml.adapted import settled
from gui.coreml.control_fit import check_fit
from gui.coreml.control_networks import find_control_network
from gui.coreml.dialect import ADAPTER, RESIDUAL, is_adapter
from gui.coreml.flexible import matched
from gui.coreml.loaded import LoadedModel, Runtime
from gui.coreml.model import ComponentInfo
from gui.files import expanded
from gui.pipeline.preprocess import Preprocessing, condition
from gui.request import ComputeUnit

SOFTENING = 0.825
"""By which each answer further from the middle is weakened where the prompt or the control is to
matter more (Stable Diffusion web UIs' ControlNet extension, "soft weighting")."""


@dataclass(frozen=True)
class ActiveControl:
    """One ControlNet with its picture.

    Args:
        network: loaded; its inputs as the UNet's, and `controlnet_cond`.
        picture: float32 [1, 3, height, width] in 0…1, as the network takes it.
        weight: by which its answers are multiplied.
        start, end: the part of the steps in which it is run, in 0…1.
    """

    network: LoadedModel
    picture: np.ndarray
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    balance: ControlBalance = ControlBalance.BALANCED
    said: Mapping[str, np.ndarray] | None = None
    """Of a T2I-Adapter: what it said of the picture, float32 [1, …] by the UNet's names."""

    def runs_at(self, index: int, steps: int) -> bool:
        """Whether it is run at the step `index` of `steps`; as diffusers counts."""
        return index / steps >= self.start and (index + 1) / steps <= self.end

    @property
    def runs_each_step(self) -> bool:
        return self.said is None

    @property
    def batch(self) -> int:
        return self.network.inputs["sample"].shape[0] or 2

    def answers(
        self, inputs: Mapping[str, np.ndarray], unconditional: Sequence[bool]
    ) -> dict[str, np.ndarray]:
        """Run it, and weigh what it says.

        Args:
            inputs: the UNet's, by name: as many rows as the network takes.
            unconditional: of each row that is wanted back, whether it is the negative prompt's.

        Returns:
            float32 [rows, …] by the UNet's names.
        """
        if self.said is not None:
            count = len(unconditional)
            outputs = {n: np.repeat(a[:1], count, axis=0) for n, a in self.said.items()}
        else:
            wanted = {name: inputs[name] for name in self.network.inputs if name in inputs}
            rows = (self.batch,) + (1,) * (self.picture.ndim - 1)
            outputs = self.network({**wanted, "controlnet_cond": np.tile(self.picture, rows)})
        last = max(map(_number, outputs))
        weighed: dict[str, np.ndarray] = {}
        for name, answer in outputs.items():
            factor = self.weight
            if self.balance is not ControlBalance.BALANCED:
                factor *= SOFTENING ** (last - _number(name))
            scaled = answer[: len(unconditional)] * np.float32(factor)
            if self.balance is ControlBalance.CONTROL:
                scaled[[row for row, is_one in enumerate(unconditional) if is_one]] = 0
            weighed[name] = scaled
        return weighed


def summed(answers: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What several say together, in float32: halves would overflow."""
    total: dict[str, np.ndarray] = {}
    for each in answers:
        for name, array in each.items():
            total[name] = total[name] + array if name in total else array
    return total


def _number(name: str) -> int:
    return int(name.removeprefix(RESIDUAL).removeprefix(ADAPTER))


FitControl = Callable[[ComponentInfo, ComponentInfo], ComponentInfo]
"""(ControlNet, UNet) → the ControlNet for the UNet's size of pictures: itself, or one resized."""


def as_it_is(network: ComponentInfo, _unet: ComponentInfo) -> ComponentInfo:
    """A `FitControl` that resizes nothing."""
    return network


class ControlShelf:
    """The networks that are loaded; those that the next picture does not need are let go.

    Args:
        runtime, compute_unit: what runs them.
        own: the networks in the model's folder.
        fit: gives networks the UNet's size.
    """

    def __init__(
        self,
        runtime: Runtime,
        compute_unit: ComputeUnit,
        own: tuple[ComponentInfo, ...],
        fit: FitControl = as_it_is,
    ) -> None:
        self._runtime = runtime
        self._compute_unit = compute_unit
        self._own = own
        self._fit = fit
        self._loaded: dict[tuple[Path, ...], LoadedModel] = {}
        self._preprocessing: Preprocessing | None = None

    def find(self, controls: Sequence[Control], unet: ComponentInfo) -> list[ComponentInfo]:
        """The network of each control.

        Raises:
            SfumatoError: BAD_REQUEST, BAD_MODEL or UNSUPPORTED where one is not there, or does not
                fit the UNet.
        """
        found = [
            self._fit(matched(find_control_network(control.network, self._own), unet), unet)
            for control in controls
        ]
        for network in found:
            check_fit(network, unet)
        return found

    def take(
        self,
        controls: Sequence[Control],
        unet: ComponentInfo,
        width: int,
        height: int,
        cleared: PillowImage | None = None,
    ) -> list[ActiveControl]:
        """Load what is not loaded yet, and prepare the pictures.

        Args:
            cleared: the starting picture where a part of it is masked, RGBA, transparent there;
                what fills clear parts is shown it in place of its own picture.

        Raises:
            SfumatoError: as `find`, `Runtime.load` and `Preprocessing.picture`.
        """
        networks = self.find(controls, unet)
        for files in self._loaded.keys() - {network.files for network in networks}:
            self._loaded.pop(files).close()
        if not any(control.preprocessor_network for control in controls):
            self._let_preprocessing_go()
        return [
            self._active(control, network, (width, height), cleared)
            for control, network in zip(controls, networks, strict=True)
        ]

    def _active(
        self,
        control: Control,
        network: ComponentInfo,
        size: tuple[int, int],
        cleared: PillowImage | None,
    ) -> ActiveControl:
        loaded = self._loaded.get(network.files)
        if loaded is None:
            loaded = self._runtime.load(network, self._compute_unit)
        self._loaded[network.files] = loaded = settled(loaded, network)
        if self._preprocessing is None:
            self._preprocessing = Preprocessing(lambda: self._runtime, self._compute_unit)
        adapter = is_adapter(network)
        name = next(iter(loaded.inputs)) if adapter else "controlnet_cond"
        _, channels, height, width = loaded.inputs[name].shape
        fills = control.preprocessor is Preprocessor.INPAINT
        picture = cleared if fills else None
        picture = picture or self._preprocessing.picture(
            expanded(control.picture),
            width or size[0],
            height or size[1],
            control.preprocessor,
            control.preprocessor_network,
            control.settings,
        )
        pixels = condition(picture, channels or 3)
        said = loaded({name: pixels}) if adapter else None
        return ActiveControl(
            loaded, pixels, control.weight, control.start, control.end, control.balance, said
        )

    def _let_preprocessing_go(self) -> None:
        if self._preprocessing is not None:
            self._preprocessing.close()
            self._preprocessing = None

    def close(self) -> None:
        """Free the networks."""
        for network in self._loaded.values():
            network.close()
        self._loaded.clear()
        self._let_preprocessing_go()
