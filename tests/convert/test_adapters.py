"""T2I-Adapters converted along with a model: packages beside diffusers' own networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.convert.checkpoint.controlnet import check_controlnet
from gui.convert.checkpoint.reading import read_checkpoint
from gui.convert.networks.components import adapter_shapes
from gui.convert.types import ConvertReport
from gui.coreml.inspect import inspect_component, inspect_model
from gui.coreml.model import Attention, ComponentKind
from gui.coreml.portable import PortableRuntime
from gui.errors import SfumatoError
from gui.request import ComputeUnit
from tests.support import tiny_checkpoints
from tests.support.converted import request

K = ComponentKind


def adapter(channels: list[int], folder: Path) -> Any:
    """A seeded T2I-Adapter, saved."""
    from diffusers import T2IAdapter  # type: ignore[attr-defined]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        made = T2IAdapter(in_channels=3, channels=channels, num_res_blocks=1, downscale_factor=8)
    made.eval().save_pretrained(folder)
    return made


def test_an_adapter_steers_the_unet_made_for_it(tmp_path: Path) -> None:
    from gui.convert.job import run

    source = tiny_checkpoints.kept_folder("sd1-safety")
    unet = tiny_checkpoints.pipeline("sd1-safety").unet
    folder = tmp_path / "tiny-sketch"
    made = adapter(list(unet.config.block_out_channels), folder)
    asked = request(
        source, tmp_path / "model", controlnets=(str(folder),), attention=Attention.ORIGINAL,
        components=(K.UNET,),
    )  # fmt: skip
    report = run(asked, lambda _event: None, lambda: False)
    assert isinstance(report, ConvertReport)
    model = tmp_path / "model"
    told = json.loads((model / "conversion.json").read_text())
    assert min(each["psnr"] for each in told["parities"]) > 40
    info = inspect_model(model)
    assert [each.name for each in info.controlnets] == ["tiny-sketch"]
    (ready,) = model.glob("*_control-unet.mlpackage")
    places = [t.name for t in inspect_component(ready).inputs if t.name.startswith("adapter_")]
    shapes = adapter_shapes(unet.config, (8, 8), len(places))
    assert [f"adapter_res_samples_{n:02}" for n in range(len(shapes))] == places

    generator = torch.Generator().manual_seed(3)
    sample = torch.randn(2, 4, 8, 8, generator=generator).half().float()
    states = torch.randn(2, 77, 64, generator=generator).half().float()
    drawing = torch.rand(1, 3, 64, 64, generator=generator).half().float()
    with torch.no_grad():
        features = made(drawing)
        assert [tuple(f.shape[1:]) for f in features] == shapes
        both = [f.repeat(2, 1, 1, 1) for f in features]
        want = unet(
            sample, 501, states, down_intrablock_additional_residuals=both, return_dict=False
        )[0].numpy()
        without = unet(sample, 501, states, return_dict=False)[0].numpy()

    def computed(file: Path, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return PortableRuntime().load(inspect_component(file), ComputeUnit.CPU_ONLY)(given)

    said = computed(next(model.glob("T2IAdapter_*")), {"input": drawing.numpy()})
    component = inspect_component(ready)
    zeros = {
        t.name: np.zeros([n or 1 for n in t.shape], np.float32)
        for t in component.inputs
        if t.name.startswith("additional_")
    }
    result = computed(
        ready,
        {
            "sample": sample.numpy(),
            "timestep": np.full(2, 501, np.float32),
            "encoder_hidden_states": states.numpy().transpose(0, 2, 1)[:, :, None],
            **zeros,
            **{name: np.repeat(value, 2, axis=0) for name, value in said.items()},
        },
    )["noise_pred"]
    peak = np.abs(want).max()
    assert 10 * np.log10(peak**2 / ((result - want) ** 2).mean()) > 50
    assert 10 * np.log10(peak**2 / ((without - want) ** 2).mean()) < 40  # it does steer


def test_one_of_other_widths_is_refused(tmp_path: Path) -> None:
    source = tiny_checkpoints.kept_folder("sd1-safety")
    adapter([16, 48], tmp_path / "other")
    with pytest.raises(SfumatoError) as error:
        check_controlnet(tmp_path / "other", read_checkpoint(source).info)
    assert error.value.message == (
        "The T2I-Adapter “other” is built for another UNet; choose one made for Stable Diffusion 1."
    )


def test_features_are_where_xls_unet_adds_them() -> None:
    """Published XL: 320 and 640 at half the size, 1280 at a quarter and in the middle."""

    class Config:
        block_out_channels = (320, 640, 1280)
        down_block_types = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")

    assert adapter_shapes(Config, (128, 128), 4) == [
        (320, 64, 64), (640, 64, 64), (1280, 32, 32), (1280, 32, 32),
    ]  # fmt: skip
