"""ControlNets of other kinds are named before they are taken for what they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert.checkpoint import weights
from gui.convert.checkpoint.controlnet import look_controlnet
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import refusal
from tests.support.original_names import Tensors
from tests.support.tiny_checkpoints import save_controlnet


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str, Callable[[Tensors], Tensors]], Path]:
    """A tiny ControlNet's file or folder with other tensors."""

    def change(kind: str, layout: str, edit: Callable[[Tensors], Tensors]) -> Path:
        suffix = "" if layout == "folder" else ".safetensors"
        path = save_controlnet(kind, tmp_path / f"canny{suffix}", layout=layout)
        file = path / "diffusion_pytorch_model.safetensors" if layout == "folder" else path
        save_file(edit(load_file(file)), file)
        return path

    return change


Changed = Callable[[str, str, Callable[[Tensors], Tensors]], Path]


def refused(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        weights.check_shapes(look_controlnet(path).part)
    refusal(error)
    return error.value


@pytest.mark.parametrize("whole", [True, False])
def test_a_control_lora(whole: bool, changed: Changed) -> None:
    """Its large weights are products of two small ones, added to the model's own."""

    def edit(tensors: Tensors) -> Tensors:
        found: Tensors = {"lora_controlnet": torch.zeros(0)}
        for name, value in tensors.items():
            name = name.removeprefix("control_model.")
            stem, _, leaf = name.rpartition(".")
            if leaf == "weight" and name.startswith(("input_blocks.", "middle_block.")):
                found[f"{stem}.up"] = torch.zeros(value.shape[0], 2)
                found[f"{stem}.down"] = torch.zeros(2, value[0].numel())
            if whole or leaf != "weight":
                found[name] = value
        return found

    error = refused(changed("sdxl", "original", edit))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "Control-LoRA" in error.message


def test_a_union_of_controlnets(changed: Changed) -> None:
    """A ControlNet's weights to the last, and more that tell it what kind of picture it sees."""
    more = {"task_embedding": torch.zeros(6, 64), "spatial_ch_projs.weight": torch.zeros(64, 64)}
    error = refused(changed("sdxl", "diffusers", lambda tensors: {**tensors, **more}))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "Union" in error.message


@pytest.mark.parametrize("layout", ["diffusers", "folder"])
def test_a_controlnet_with_a_layer_more(layout: str, changed: Changed) -> None:
    more = {"extra_projection.weight": torch.zeros(8, 8)}
    error = refused(changed("sd1", layout, lambda tensors: {**tensors, **more}))
    assert "has more weights than its configuration says" in error.message


def test_a_controlnet_for_another_family(changed: Changed) -> None:
    more = {"single_transformer_blocks.0.attn.norm_q.weight": torch.zeros(8)}
    error = refused(changed("sd1", "diffusers", lambda tensors: {**tensors, **more}))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "for FLUX.1" in error.message
