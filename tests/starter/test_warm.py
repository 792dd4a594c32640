"""Weights taken back from the shipped packages, and what the text encoder is trained on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from starter_model.convert import TENSORS, example_inputs, package_name, stages
from starter_model.rephrase import CrossAttention
from starter_model.warm import restore_shipped

from gui import paths
from gui.coreml.inspect import inspect_component
from gui.coreml.portable import PortableRuntime
from gui.request import ComputeUnit


@pytest.fixture(scope="module")
def networks():  # type: ignore[no-untyped-def]
    return stages(*restore_shipped(paths.starter_model()))


@pytest.mark.parametrize("name", TENSORS)
def test_the_weights_are_those_of_the_package(networks, name: str) -> None:
    inputs = example_inputs(name, seed=3)
    with torch.no_grad():
        outputs = networks[name](*inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    package = inspect_component(paths.starter_model() / package_name(name))
    loaded = PortableRuntime().load(package, ComputeUnit.CPU_ONLY)
    expected = loaded({key: value.numpy() for key, value in inputs.items()})
    for key, output in zip(TENSORS[name][1], outputs, strict=True):
        error = np.square(expected[key] - output.numpy()).mean()
        assert 10 * np.log10(np.square(expected[key]).mean() / error) > 50  # dB


def test_answers_are_those_of_the_unets_own_attention() -> None:
    torch.manual_seed(0)
    attention: Any = Attention(32, cross_attention_dim=24, heads=4, dim_head=8, bias=False)
    hidden, states = torch.randn(1, 6, 32), torch.randn(2, 77, 24)
    queries = attention.to_q(hidden)[0]
    ours = CrossAttention(copy.deepcopy(attention), queries.detach())
    with torch.no_grad():
        answers = ours(states, torch.arange(6))
        joined = answers.transpose(1, 2).flatten(2)
        found = attention.to_out[0](joined)
        expected = attention(hidden.expand(2, -1, -1), encoder_hidden_states=states)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
