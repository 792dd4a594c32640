"""What is converted along with a checkpoint: another VAE, and XL's refiner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert import tasks
from gui.convert.checkpoint.source import look, open_source
from gui.convert.estimate import check, estimate
from gui.convert.job import run
from gui.convert.types import ConvertRequest
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind
from gui.errors import SfumatoError
from tests.convert.conftest import edit_json, refusal
from tests.support.converted import request
from tests.support.tiny_checkpoints import save_single

K = ComponentKind
Make = Callable[[str], Path]


def other_vae(source: Path, place: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A VAE with other weights, as a diffusers folder."""
    place.mkdir()
    (place / "config.json").write_bytes((source / "vae" / "config.json").read_bytes())
    edit_json(place / "config.json", scaling_factor=0.5)
    weights = load_file(source / "vae" / "diffusion_pytorch_model.safetensors")
    changed = {name: value + 0.01 for name, value in weights.items()}
    save_file(changed, place / "diffusion_pytorch_model.safetensors")
    return place, changed


def test_another_vae(tiny_folder: Make, tmp_path: Path) -> None:
    """From a VAE's folder, a file in diffusers' layout, and another model's single file."""
    source = tiny_folder("sd1")
    folder, wanted = other_vae(source, tmp_path / "vae")
    opened = open_source(source, vae=str(folder))
    assert opened.scaling_factor == 0.5
    state = opened.component(K.VAE_DECODER).state_dict()
    assert all(torch.equal(state[name], value) for name, value in wanted.items())
    file = folder / "diffusion_pytorch_model.safetensors"
    of_file = open_source(source, vae=str(file))
    assert of_file.scaling_factor == 0.18215  # which a file does not state
    state = of_file.component(K.VAE_DECODER).state_dict()
    assert all(torch.equal(state[name], value) for name, value in wanted.items())
    single = save_single("sd1", tmp_path / "a.safetensors")
    state = open_source(source, vae=str(single)).component(K.VAE_DECODER).state_dict()
    own = open_source(source).component(K.VAE_DECODER).state_dict()
    assert all(torch.equal(state[name], value) for name, value in own.items())


def test_no_vae(tiny_folder: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tiny_folder("sd1") / "unet", tmp_path / "gone"):
        with pytest.raises(SfumatoError) as error:
            open_source(tiny_folder("sd1"), vae=str(place)).component(K.VAE_DECODER)
        refusal(error)


def test_a_refiner_along(tiny_folder: Make, tmp_path: Path) -> None:
    refiner = tiny_folder("sdxl-refiner")
    asked = request(
        tiny_folder("sdxl"), tmp_path / "model", refiner=str(refiner), components=(K.UNET,)
    )
    report = run(asked, lambda _: None, lambda: False)
    info = inspect_model(tmp_path / "model")
    assert {K.UNET, K.REFINER} <= set(info.components)
    assert {p.component for p in report.parities} == {K.UNET, K.REFINER}
    assert all(p.psnr > 50 for p in report.parities)


def test_what_is_no_refiner(tiny_folder: Make, tmp_path: Path) -> None:
    for kind, other, words in (("sdxl", "sd1", "is no refiner"), ("sd1", "sdxl-refiner", "Only")):
        source = tiny_folder(kind)
        asked = request(source, tmp_path / "model", refiner=str(tiny_folder(other)))
        with pytest.raises(SfumatoError) as error:
            check(asked, look(source))
        assert words in refusal(error)


def test_both_count_in_plan_and_estimate(tiny_folder: Make, tmp_path: Path) -> None:
    source = tiny_folder("sdxl")
    plain: ConvertRequest = request(source, tmp_path / "model")
    along = request(source, tmp_path / "model", refiner=str(tiny_folder("sdxl-refiner")))
    info = look(source)
    assert [t.kind for t in tasks.plan(along, info) if t.kind is K.REFINER]
    assert not [t for t in tasks.plan(plain, info) if t.kind is K.REFINER]
    assert estimate(along, info).disk_bytes > estimate(plain, info).disk_bytes
