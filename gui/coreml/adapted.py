"""Loaded networks as the pipeline knows them: called by Apple's names, whatever their files call
inputs and outputs (see `gui.coreml.dialect`), with pictures in RGB, and with the shapes of one size
where they take several (see `gui.coreml.flexible`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gui.coreml.dialect import own_names
from gui.coreml.model import ComponentInfo, TensorSpec

if TYPE_CHECKING:
    import numpy as np

    from gui.coreml.loaded import LoadedModel


def adapted(component: ComponentInfo, load: Callable[[ComponentInfo], LoadedModel]) -> LoadedModel:
    """A component loaded so that it is called by Apple's names.

    Args:
        component: what to load.
        load: loads a component by its files' own names.
    """
    if not component.names:
        return load(component)
    return _Renamed(component, load(own_names(component)))


class _Renamed:
    """A loaded network under other names (see `gui.coreml.loaded.LoadedModel`)."""

    def __init__(self, component: ComponentInfo, model: Any) -> None:
        self._model = model
        self._own = dict(component.names)
        self._ours: dict[str, str] = {own: name for name, own in component.names.items()}
        self.inputs: Mapping[str, TensorSpec] = self._by_our_names(model.inputs)
        self.outputs: Mapping[str, TensorSpec] = self._by_our_names(model.outputs)

    def _by_our_names(self, tensors: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
        ours = ((self._ours.get(own, own), spec) for own, spec in tensors.items())
        return {name: dataclasses.replace(spec, name=name) for name, spec in ours}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        results: dict[str, np.ndarray] = self._model(
            {self._own.get(name, name): a for name, a in arrays.items()}
        )
        return {self._ours.get(own, own): array for own, array in results.items()}

    def close(self) -> None:
        self._model.close()


BGR = "image-bgr"


def with_pictures(component: ComponentInfo, model: Any) -> LoadedModel:
    """A loaded program that takes and gives pictures in RGB, whatever order it has them in.

    Core ML turns them itself; a runtime that has the program alone does not.
    """
    turned = [t.name for t in (*component.inputs, *component.outputs) if t.dtype == BGR]
    return _Turned(model, frozenset(turned)) if turned else model


class _Turned:
    """A loaded program some of whose pictures are BGR."""

    def __init__(self, model: Any, turned: frozenset[str]) -> None:
        self._model = model
        self._turned = turned
        self.inputs: Mapping[str, TensorSpec] = model.inputs
        self.outputs: Mapping[str, TensorSpec] = model.outputs

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._each(self._model(self._each(arrays)))

    def _each(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n: a[:, ::-1].copy() if n in self._turned else a for n, a in arrays.items()}

    def close(self) -> None:
        self._model.close()


class Settled:
    """A loaded network that takes several shapes, described by those of one size."""

    def __init__(self, model: LoadedModel, component: ComponentInfo) -> None:
        self._model = model
        self.settle(component)

    def settle(self, component: ComponentInfo) -> None:
        """Be described by other shapes from now on."""
        self.inputs: Mapping[str, TensorSpec] = {t.name: t for t in component.inputs}
        self.outputs: Mapping[str, TensorSpec] = {t.name: t for t in component.outputs}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._model(arrays)

    def close(self) -> None:
        self._model.close()


def settled(model: LoadedModel, component: ComponentInfo) -> LoadedModel:
    """A loaded network, described by a component's shapes if it takes several."""
    if not component.is_flexible:
        return model
    if isinstance(model, Settled):
        model.settle(component)
        return model
    return Settled(model, component)
