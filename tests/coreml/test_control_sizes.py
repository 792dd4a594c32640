"""A ControlNet of another size than the model's is none that does not fit: it is resized."""

from __future__ import annotations

from dataclasses import replace

from gui.coreml.control_fit import misfit
from gui.coreml.inspect import inspect_model
from gui.coreml.model import Attention, ComponentInfo
from tests.support import patched


def enlarged(network: ComponentInfo) -> ComponentInfo:
    """The same as a network for pictures of twice the size declares it."""
    inputs = tuple(
        replace(t, shape=(*t.shape[:2], *(2 * (n or 0) for n in t.shape[2:])))
        if t.name in ("sample", "controlnet_cond")
        else t
        for t in network.inputs
    )
    return replace(network, inputs=inputs)


def test_another_size_fits_unless_it_is_fixed() -> None:
    info = inspect_model(patched.model("sd1").folder)
    (network,) = info.controlnets
    assert misfit(network, info.components) == ""
    other = enlarged(network)
    assert misfit(other, info.components) == ""
    fixed = replace(other, attention=Attention.SPLIT_EINSUM_V2)
    assert "made for pictures of 128 × 128 pixels" in misfit(fixed, info.components)
