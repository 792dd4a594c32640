"""Decibels as documented, and warnings where a package is not what its source is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gui.convert.networks.components import Contract
from gui.convert.package.convert import Credits, convert, save, trace
from gui.convert.package.parity import INFINITE, expected, measure, psnr
from gui.convert.types import Compression
from gui.coreml.model import ComponentKind


@pytest.mark.parametrize(
    ("reference", "result", "decibels"),
    [
        ([1.0, -1.0], [1.1, -0.9], 20.0),  # peak 1, mean squared error 0.01
        ([0.0, -10.0], [0.0, -9.9], 20 * math.log10(10) + 10 * math.log10(1 / 0.005)),
        ([2.0, 2.0], [2.0, 2.0], INFINITE),
        ([0.0, 0.0], [0.0, 1.0], -INFINITE),
        ([1.0, 1.0], [1.0, math.nan], -INFINITE),
        ([1.0, 1.0], [1.0, math.inf], -INFINITE),
    ],
)
def test_peak_signal_to_noise_ratio(
    reference: list[float], result: list[float], decibels: float
) -> None:
    assert psnr(np.array(reference), np.array(result)) == pytest.approx(decibels)


def contract(network: nn.Linear) -> Contract:
    """A text encoder of one layer."""
    example = torch.linspace(-1, 1, 77)[None]
    return Contract(
        kind=ComponentKind.TEXT_ENCODER,
        title="Text encoder",
        description="One layer",
        source=network,
        wrap=lambda: network,
        example={"input_ids": example},
        outputs=("last_hidden_state",),
        checks=({"input_ids": example.numpy()}, {"input_ids": -example.numpy()}),
        reference=lambda arrays: {
            "last_hidden_state": network(torch.from_numpy(arrays["input_ids"])).numpy()
        },
        compared="numbers from -1 to 1",
        float32_inputs=True,
    )


@pytest.fixture(scope="module")
def network() -> nn.Linear:
    torch.manual_seed(4)
    return nn.Linear(77, 64).requires_grad_(False)


@pytest.fixture(scope="module")
def package(network: nn.Linear, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = contract(network)
    path = tmp_path_factory.mktemp("parity") / "tiny_text_encoder.mlpackage"
    save(convert(made, trace(made), "macOS13", Credits("tiny")), path)
    return path


def test_a_faithful_package(network: nn.Linear, package: Path) -> None:
    made = contract(network)
    references = expected(made)
    parity = measure(made, [package], references, name="tiny")
    assert parity.psnr > 60
    assert 0 < parity.max_error < 0.01
    assert parity.warning == ""
    for words in ("last_hidden_state", "numbers from -1 to 1", "source network", "float32"):
        assert words in parity.compared


@pytest.mark.parametrize(
    ("compression", "words"),
    [(Compression.NONE, "more than it should"), (Compression.PALETTE_2, "more bits per weight")],
)
def test_a_package_of_other_weights_is_warned_of(
    network: nn.Linear, package: Path, compression: Compression, words: str
) -> None:
    """As much noise in the weights as lowers it to about 20 dB."""
    made = contract(network)
    references = expected(made)
    noise = torch.randn(1, 64, generator=torch.Generator().manual_seed(1)).numpy()
    scale = 0.1 * np.abs(references[1]["last_hidden_state"]).max()
    references[1] = {"last_hidden_state": references[1]["last_hidden_state"] + scale * noise}
    parity = measure(made, [package], references, name="tiny", compression=compression)
    assert 15 < parity.psnr < 25
    assert words in parity.warning
    assert f"{parity.psnr:.1f} dB" in parity.warning
    assert "below 35 dB" in parity.warning


def test_a_package_that_gives_no_numbers_is_warned_of(network: nn.Linear, package: Path) -> None:
    made = contract(network)
    references = [{"last_hidden_state": np.full((1, 64), np.nan, np.float32)}] * 2
    parity = measure(made, [package], references, name="tiny")
    assert parity.psnr == -INFINITE
    assert parity.max_error == INFINITE
    assert parity.warning


def test_warnings_name_the_component_within_the_sentence(network: nn.Linear, package: Path) -> None:
    made = contract(network)
    references = [{"last_hidden_state": np.full((1, 64), np.nan, np.float32)}] * 2
    made.title = "text encoder"
    assert measure(made, [package], references, name="x").warning.startswith("The text encoder ")
    made.title = "VAE decoder"
    assert measure(made, [package], references, name="x").warning.startswith("The VAE decoder ")
