"""ControlNets: networks that lead a UNet by a second picture.

Each is run at every step of its range on what the UNet is given, and its answers are added to the
UNet's own (Zhang et al., "Adding conditional control to text-to-image diffusion models").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gui.coreml.control_networks import find_control_network
from gui.coreml.dialect import RESIDUAL
from gui.coreml.loaded import LoadedModel, Runtime
from gui.coreml.model import Attention, ComponentInfo
from gui.errors import ErrorKind, SfumatoError
from gui.files import expanded
from gui.pipeline.preprocess import control_picture
from gui.request import ComputeUnit, Control, ControlBalance

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

    def runs_at(self, index: int, steps: int) -> bool:
        """Whether it is run at the step `index` of `steps`; as diffusers counts."""
        return index / steps >= self.start and (index + 1) / steps <= self.end

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


def takes_controls(unet: ComponentInfo) -> bool:
    """Whether a UNet has places for what a ControlNet says."""
    return any(t.name.startswith(RESIDUAL) for t in unet.inputs)


def check_fit(control: ComponentInfo, unet: ComponentInfo) -> None:
    """Make sure that a ControlNet belongs to a UNet.

    Raises:
        SfumatoError: UNSUPPORTED, saying what differs.
    """
    name = control.name or control.files[0].stem
    places = {t.name: t.shape for t in unet.inputs if t.name.startswith(RESIDUAL)}
    if not places:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This model's UNet takes no ControlNet; choose a model with a ControlNet-ready UNet "
            "(its files are called ControlledUnet or control-unet), or remove the control.",
        )
    mine, theirs = control.input("encoder_hidden_states"), unet.input("encoder_hidden_states")
    if mine and theirs and _differ(mine.shape[1:2], theirs.shape[1:2]):
        raise _misfit(name, "it was made for another family of models")
    mine, theirs = control.input("sample"), unet.input("sample")
    if mine and theirs and _differ(mine.shape[2:], theirs.shape[2:]):
        size = " × ".join(str(8 * n) for n in reversed(mine.shape[2:]) if n)
        raise _misfit(name, f"it was made for pictures of {size} pixels")
    gives = {t.name for t in control.outputs if t.name.startswith(RESIDUAL)}
    if gives != places.keys():
        raise _misfit(name, f"it gives {len(gives)} answers where the UNet takes {len(places)}")
    kinds = {control.attention, unet.attention} - {Attention.UNKNOWN}
    shapes = {len(t.shape) for t in (mine, theirs) if t}
    if len(shapes) > 1 and len(kinds) > 1:
        raise _misfit(name, "its attention is of another kind")


def _misfit(name: str, why: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"The ControlNet “{name}” does not fit this model: {why}; choose another.",
    )


def _differ(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    pairs = zip(one, other, strict=False)
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _number(name: str) -> int:
    return int(name[len(RESIDUAL) :]) if name.startswith(RESIDUAL) else 0


FitControl = Callable[[ComponentInfo, ComponentInfo], ComponentInfo]
"""(ControlNet, UNet) → the ControlNet for the UNet's size of pictures: itself, or one resized."""


def as_it_is(network: ComponentInfo, _unet: ComponentInfo) -> ComponentInfo:
    """A `FitControl` that resizes nothing."""
    return network


class ControlShelf:
    """The ControlNets that are loaded; those that the next picture does not need are let go.

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

    def find(self, controls: Sequence[Control], unet: ComponentInfo) -> list[ComponentInfo]:
        """The network of each control.

        Raises:
            SfumatoError: BAD_REQUEST, BAD_MODEL or UNSUPPORTED where one is not there, or does not
                fit the UNet.
        """
        found = [
            self._fit(find_control_network(control.network, self._own), unet)
            for control in controls
        ]
        for network in found:
            check_fit(network, unet)
        return found

    def take(
        self, controls: Sequence[Control], unet: ComponentInfo, width: int, height: int
    ) -> list[ActiveControl]:
        """Load what is not loaded yet, and prepare the pictures.

        Raises:
            SfumatoError: as `find`, `Runtime.load` and `control_picture`.
        """
        networks = self.find(controls, unet)
        for files in self._loaded.keys() - {network.files for network in networks}:
            self._loaded.pop(files).close()
        active: list[ActiveControl] = []
        for control, network in zip(controls, networks, strict=True):
            loaded = self._loaded.get(network.files)
            if loaded is None:
                loaded = self._runtime.load(network, self._compute_unit)
                self._loaded[network.files] = loaded
            shape = loaded.inputs["controlnet_cond"].shape
            size = (shape[3] or width, shape[2] or height)
            picture = control_picture(expanded(control.picture), *size, control.preprocessor)
            pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255
            active.append(
                ActiveControl(
                    loaded,
                    np.ascontiguousarray(pixels),
                    control.weight,
                    control.start,
                    control.end,
                    control.balance,
                )
            )
        return active

    def close(self) -> None:
        """Free the networks."""
        for network in self._loaded.values():
            network.close()
        self._loaded.clear()
