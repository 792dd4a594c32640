"""Which compute unit each network of a model gets where the person leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gui.coreml.model import ComponentInfo
from gui.hub.machine import this_computer
from gui.library import prepared, unit_times
from gui.library.unit_times import Computer
from gui.request import ComputeUnit

if TYPE_CHECKING:
    from gui.coreml.loaded import LoadedModel, Runtime


def measured_choice(
    model_hash: str, asked: ComputeUnit, computer: Computer | None
) -> dict[str, ComputeUnit]:
    """What was measured to be the quickest, by the kind of component; empty where the person has
    chosen, or nothing was measured.

    Args:
        computer: this one; None: there is nothing to choose here.
    """
    if computer is None or asked is not ComputeUnit.ALL:
        return {}
    return unit_times.choice(unit_times.find(model_hash, computer))


def computer_with_units(runtime: str) -> Computer | None:
    """What measurements hold for here; None where there is one compute unit alone."""
    return this_computer() if runtime == "native" else None


class ByMeasurement:
    """A runtime that gives each network its own unit.

    Args:
        runtime: loads them.
        chosen: as `measured_choice` gives it.
        model_hash: whose networks they are.
        computer: as `computer_with_units` gives it.
    """

    def __init__(
        self,
        runtime: Runtime,
        chosen: Mapping[str, ComputeUnit],
        model_hash: str = "",
        computer: Computer | None = None,
    ) -> None:
        self._runtime = runtime
        self._chosen = chosen
        self._hash = model_hash
        self._computer = computer

    @property
    def name(self) -> str:
        return self._runtime.name

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        """As `Runtime.load`."""
        unit = self._unit(component.kind.value, compute_unit)
        loaded = self._runtime.load(component, unit)
        prepared.note(self._key(component.kind.value, unit))
        return loaded

    def prepares(self, component: str, asked: ComputeUnit) -> bool:
        """Whether Core ML has yet to prepare a kind of component for the Neural Engine, which it
        does at the first load."""
        return prepared.is_new(self._key(component, self._unit(component, asked)))

    def _unit(self, component: str, asked: ComputeUnit) -> ComputeUnit:
        if self._chosen and asked is ComputeUnit.ALL:
            return unit_times.unit_for(self._chosen, component)
        return asked

    def _key(self, component: str, unit: ComputeUnit) -> str:
        if self._computer is None:
            return ""
        return prepared.key(self._hash, component, unit, self._computer)
