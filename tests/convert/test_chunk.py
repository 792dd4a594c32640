"""A UNet in two halves computes what the whole one does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from gui.convert import job
from gui.convert.package.chunk import chunk
from gui.coreml.inspect import inspect_component, inspect_model
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.portable import PortableRuntime
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit
from tests.support import tiny_checkpoints
from tests.support.converted import chunks, everything, request


@pytest.fixture(scope="module")
def whole() -> Path:
    return next(everything().folder.glob("*_tiny_unet.mlpackage"))


@pytest.fixture(scope="module")
def halves(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return chunk(whole, tmp_path_factory.mktemp("chunks") / "cut")


def run(component: ComponentInfo, inputs: dict[str, np.ndarray]) -> np.ndarray:
    model = PortableRuntime().load(component, ComputeUnit.CPU_ONLY)
    return model(inputs)["noise_pred"]


def test_both_halves_together_are_the_network(halves: tuple[Path, Path]) -> None:
    """Chained by name, beside diffusers' own network."""
    unet = tiny_checkpoints.pipeline("sd1-safety").unet
    generator = torch.Generator().manual_seed(9)
    sample = torch.randn(2, 4, 8, 8, generator=generator).half().float()
    states = torch.randn(2, 77, 64, generator=generator).half().float()
    with torch.no_grad():
        expected = unet(sample, 981, states, return_dict=False)[0].numpy()
    first, second = (inspect_component(path) for path in halves)
    component = dataclasses.replace(first, files=halves, outputs=second.outputs)
    inputs = {
        "sample": sample.numpy(),
        "timestep": np.full(2, 981, np.float32),
        "encoder_hidden_states": states.numpy().transpose(0, 2, 1)[:, :, None],
    }
    error = ((run(component, inputs) - expected) ** 2).mean()
    assert 10 * np.log10(np.abs(expected).max() ** 2 / error) > 60


def test_each_half_has_about_half_of_the_weights(whole: Path, halves: tuple[Path, Path]) -> None:
    def weights(path: Path) -> int:
        return (path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size

    for half in halves:
        assert 0.35 < weights(half) / weights(whole) < 0.65


def test_a_chunked_model_is_recognised() -> None:
    info = inspect_model(chunks().folder)
    unet = info.components[ComponentKind.UNET]
    assert [f.stem[-6:] for f in unet.files] == ["chunk1", "chunk2"]
    assert unet.compression == "6-bit palette"
    assert unet.metadata["versionString"] == "acme/tiny"


def test_a_network_without_weights_cannot_be_cut(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coremltools as ct

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("Not able to find the bisect point in the model.")

    monkeypatch.setattr(ct.models.utils, "bisect_model", refuse)
    with pytest.raises(SfumatoError, match="as a whole instead") as caught:
        chunk(whole, tmp_path / "cut")
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_the_whole_network_beside_its_halves(tmp_path: Path) -> None:
    """As Apple's converter leaves them; both are compared, and the whole one is used."""
    asked = request(
        tiny_checkpoints.kept_folder("sd1"),
        tmp_path / "model",
        chunked=True,
        keep_whole=True,
        components=(ComponentKind.UNET,),
    )
    report = job.run(asked, lambda _: None, lambda: False)
    names = sorted(p.name.rpartition("_version_")[2] for p in tmp_path.glob("model/*.mlpackage"))
    assert names == [
        "acme_tiny_unet.mlpackage",
        "acme_tiny_unet_chunk1.mlpackage",
        "acme_tiny_unet_chunk2.mlpackage",
    ]
    (parity,) = report.parities
    assert parity.psnr > 55
    info = inspect_model(tmp_path / "model")
    assert [f.name for f in info.components[ComponentKind.UNET].files] == [
        "Stable_Diffusion_version_acme_tiny_unet.mlpackage"
    ]
