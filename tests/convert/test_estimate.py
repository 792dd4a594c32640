"""Estimates come near what conversions took, and refusals come before any work."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert import estimate
from gui.convert.checkpoint import controlnet
from gui.convert.checkpoint.source import look
from gui.convert.types import Compression, ConvertRequest, ImageSize, Lora, SourceInfo
from gui.coreml.model import Attention, ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import refusal
from tests.support import published_shapes
from tests.support.tiny_checkpoints import controlnet as tiny_controlnet
from tests.support.tiny_checkpoints import save_controlnet
from tests.support.tiny_loras import save_lora

K = ComponentKind
C = Compression
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> SourceInfo:
    """Stable Diffusion 1.5's shapes."""
    return look(published_shapes.save_sparse("sd1", tmp_path_factory.mktemp("a") / "a.safetensors"))


def request_for(info: SourceInfo, folder: Path, **options: Any) -> ConvertRequest:
    return ConvertRequest(source=info.path, output=str(folder / "out"), **options)


# --- estimates ------------------------------------------------------------------------------------


def test_a_full_size_conversion_was_estimated_well(full_size: SourceInfo, tmp_path: Path) -> None:
    """Measured on networks of this size: 318 s, 7.02 GB at most, 2.134 GB on disk."""
    took = estimate.estimate(request_for(full_size, tmp_path), full_size)
    assert took.disk_bytes == pytest.approx(2.134e9, rel=0.02)
    assert 7.0e9 <= took.memory_bytes <= 9.5e9
    assert took.seconds == pytest.approx(318, rel=0.35)


def test_compression_shrinks_what_it_applies_to(full_size: SourceInfo, tmp_path: Path) -> None:
    sizes = {
        form: estimate.estimate(
            request_for(full_size, tmp_path, compression=form), full_size
        ).disk_bytes
        for form in C
    }
    assert sorted(sizes, key=lambda form: sizes[form], reverse=True)[0] is C.NONE
    assert sizes[C.PALETTE_1] < sizes[C.PALETTE_2] < sizes[C.PALETTE_4] < sizes[C.PALETTE_MIXED]
    assert sizes[C.PALETTE_MIXED] < sizes[C.PALETTE_6] < sizes[C.PALETTE_8] == sizes[C.LINEAR_8]
    # 860 million weights at 6 bits, the text encoder's at 8, the VAE's at 16
    assert sizes[C.PALETTE_6] == pytest.approx(0.86e9 * 0.75 + 0.123e9 + 0.167e9, rel=0.02)


def test_only_the_components_asked_for_count(full_size: SourceInfo, tmp_path: Path) -> None:
    only = request_for(full_size, tmp_path, components=(K.VAE_DECODER,))
    assert estimate.estimate(only, full_size).disk_bytes == pytest.approx(2 * 49.5e6, rel=0.05)
    control = request_for(full_size, tmp_path, components=(K.UNET,), control_ready=True)
    # both UNets have the same weights, stored once; halves of them need not be the same
    assert estimate.estimate(control, full_size).disk_bytes == pytest.approx(2 * 0.86e9, rel=0.02)
    halves = dataclasses.replace(control, chunked=True)
    assert estimate.estimate(halves, full_size).disk_bytes == pytest.approx(4 * 0.86e9, rel=0.02)


def test_several_sizes_share_weights_in_the_end(full_size: SourceInfo, tmp_path: Path) -> None:
    one = estimate.estimate(request_for(full_size, tmp_path), full_size)
    sizes = (ImageSize(512, 512), ImageSize(512, 768))
    two = estimate.estimate(request_for(full_size, tmp_path, sizes=sizes), full_size)
    assert two.disk_bytes == one.disk_bytes
    assert two.scratch_bytes > one.scratch_bytes
    assert two.seconds > 1.5 * one.seconds
    compiled = request_for(full_size, tmp_path, sizes=sizes, compiled=True)
    assert estimate.estimate(compiled, full_size).disk_bytes == 3 * one.disk_bytes


@pytest.mark.parametrize(
    ("kind", "attention", "side", "peak"),
    [
        ("sd1", Attention.ORIGINAL, 640, 5.88e9),
        ("sd1", Attention.SPLIT_EINSUM, 640, 1.45e9),
        ("sdxl", Attention.ORIGINAL, 1024, 1.51e9),
        ("sdxl", Attention.SPLIT_EINSUM, 1024, 1.26e9),
    ],
)
def test_memory_for_attention(
    kind: str, attention: Attention, side: int, peak: float, tiny_folder: Make, tmp_path: Path
) -> None:
    """Peaks measured while the UNets of the tiny checkpoints, all attention, were converted."""
    info = look(tiny_folder(kind))
    asked = request_for(
        info,
        tmp_path,
        components=(K.UNET,),
        attention=attention,
        sizes=(ImageSize(side, side),),
    )
    assert estimate.estimate(asked, info).memory_bytes == pytest.approx(peak, rel=0.25)


def test_xl_at_its_own_size_needs_no_more_than_its_weights(tmp_path: Path) -> None:
    """Its first level attends to nothing, so that scores are small beside 2.6 billion weights,
    which take 7 to 8 bytes each."""
    info = look(published_shapes.save_sparse("sdxl", tmp_path / "a.safetensors"))
    took = estimate.estimate(request_for(info, tmp_path), info)
    assert 7 * 2.57e9 < took.memory_bytes < 8.5 * 2.57e9


def test_larger_pictures_take_longer_and_more(full_size: SourceInfo, tmp_path: Path) -> None:
    small = estimate.estimate(request_for(full_size, tmp_path), full_size)
    large = request_for(
        full_size, tmp_path, sizes=(ImageSize(1024, 1024),), attention=Attention.ORIGINAL
    )
    assert estimate.estimate(large, full_size).memory_bytes > small.memory_bytes
    assert estimate.estimate(large, full_size).seconds > small.seconds
    unchecked = request_for(full_size, tmp_path, check=False)
    assert estimate.estimate(unchecked, full_size).seconds < small.seconds


def test_this_machine_is_compared(
    full_size: SourceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(full_size, tmp_path)
    here = estimate.estimate(request, full_size)
    assert here.free_disk_bytes == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    monkeypatch.setattr(estimate, "machine_memory", lambda: 4 * 2**30)
    monkeypatch.setattr(estimate, "free_bytes", lambda _: 10**9)
    disk, memory = estimate.estimate(request, full_size).warnings
    assert "disk space" in disk
    assert "1.00 GB" in disk
    assert "memory" in memory
    assert "4 GB" in memory


# --- refusals -------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tiny_folder: Make) -> SourceInfo:
    return look(tiny_folder("sd1"))


def refused(request: ConvertRequest, info: SourceInfo) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        estimate.check(request, info)
    refusal(error)
    return error.value


@pytest.mark.parametrize("kind", ["sd1-safety", "sd2-v", "sdxl", "sdxl-refiner"])
def test_what_can_be_converted_passes(kind: str, tiny_folder: Make, tmp_path: Path) -> None:
    info = look(tiny_folder(kind))
    for attention in (Attention.ORIGINAL, Attention.SPLIT_EINSUM, Attention.SPLIT_EINSUM_V2):
        sizes = (ImageSize(64, 64), ImageSize(768, 512))
        estimate.check(request_for(info, tmp_path, attention=attention, sizes=sizes), info)
    for form in C:
        for target in estimate.TARGETS:
            estimate.check(request_for(info, tmp_path, compression=form, target=target), info)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sizes": (ImageSize(500, 512),)}, "multiples of 64 pixels, which 500 is not; choose 512"),
        ({"sizes": (ImageSize(512, 0),)}, "from 64 to 2048"),
        ({"sizes": (ImageSize(512, 512), ImageSize(4096, 512))}, "from 64 to 2048"),
        ({"sizes": (ImageSize(-64, 512),)}, "from 64 to 2048"),
        ({"sizes": tuple(ImageSize(64 * n, 64) for n in range(1, 20))}, "At most 16 sizes"),
        ({"target": "macOS12"}, "no target “macOS12”"),
        ({"unet_batch": 3}, "1 or 2 pictures"),
        ({"attention": Attention.UNKNOWN}, "split_einsum"),
        ({"components": (K.SAFETY_CHECKER,)}, "no safety checker"),
        ({"components": (K.TEXT_ENCODER_2,)}, "no second text encoder"),
        ({"components": (K.REFINER,)}, "no refiner"),
        ({"output": ""}, "Choose a folder"),
    ],
)
def test_options_that_make_no_sense(
    options: dict[str, Any], words: str, tiny: SourceInfo, tmp_path: Path
) -> None:
    request = ConvertRequest(**{"source": tiny.path, "output": str(tmp_path / "out"), **options})
    error = refused(request, tiny)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert words in error.message


def test_places_that_cannot_be_written(tiny: SourceInfo, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert "already" in refused(request_for(tiny, tmp_path), tiny).message
    missing = refused(request_for(tiny, tmp_path / "none"), tiny)
    assert missing.kind is ErrorKind.STORAGE
    assert "does not exist" in missing.message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 248, "is too long; choose a shorter one"),
        ("é" * 128, "is too long; choose a shorter one"),
        ("Fog.partial", "cannot end in “.partial”"),
        ("Fog.mlpackage", "cannot end in “.mlpackage”"),
        ("pointer", "something called “pointer” already"),
    ],
)
def test_names_that_will_not_do(name: str, words: str, tiny: SourceInfo, tmp_path: Path) -> None:
    (tmp_path / "pointer").symlink_to("nowhere")
    error = refused(ConvertRequest(tiny.path, str(tmp_path / name)), tiny)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert words in error.message
    estimate.check(ConvertRequest(tiny.path, str(tmp_path / ("n" * 247))), tiny)


def test_a_folder_without_permission(
    tiny: SourceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate.os, "access", lambda *_: False)  # root may write anywhere
    error = refused(request_for(tiny, tmp_path), tiny)
    assert error.kind is ErrorKind.STORAGE
    assert "cannot be written" in error.message


def test_a_full_disk(
    full_size: SourceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "free_bytes", lambda _: 3 * 10**9)
    error = refused(request_for(full_size, tmp_path), full_size)
    assert error.kind is ErrorKind.STORAGE
    assert "3.00 GB are free" in error.message


def test_what_is_finished_is_not_charged_again(
    full_size: SourceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash, with just enough room for what is left to make."""
    asked = request_for(full_size, tmp_path)
    needed = estimate.estimate(asked, full_size)
    made = 10_000_000
    free = int(1.05 * (needed.disk_bytes + needed.scratch_bytes)) - made
    monkeypatch.setattr(estimate, "free_bytes", lambda _: free)
    assert "make room" in refused(asked, full_size).message
    package = tmp_path / "out.partial" / "model" / "a.mlpackage"
    package.mkdir(parents=True)
    (package / "weight.bin").write_bytes(bytes(made))
    estimate.check(asked, full_size)


def test_an_unknown_prediction_type(tiny: SourceInfo, tmp_path: Path) -> None:
    error = refused(request_for(tiny, tmp_path, prediction_type="noise"), tiny)
    assert "epsilon" in error.message


def test_compiling_needs_a_mac(
    tiny: SourceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    error = refused(request_for(tiny, tmp_path, compiled=True), tiny)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "Mac" in error.message


def test_loras_are_checked(tiny: SourceInfo, tmp_path: Path) -> None:
    good = Lora(str(save_lora("sd1", tmp_path / "good.safetensors")))
    estimate.check(request_for(tiny, tmp_path, loras=(good,)), tiny)
    other = Lora(str(save_lora("sdxl", tmp_path / "other.safetensors")))
    assert "Stable Diffusion XL" in refused(
        request_for(tiny, tmp_path, loras=(good, other)), tiny
    ).message  # fmt: skip


def test_damaged_weights_are_found_once_per_state_of_the_files(
    tiny_folder: Make, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder("sd1"), tmp_path / "sd1"))
    info = look(folder)
    estimate.check(request_for(info, tmp_path), info)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["conv_out.bias"]
    save_file(tensors, file)
    assert "lacks some of its weights" in refused(request_for(info, tmp_path), info).message


# --- ControlNets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["folder", "diffusers", "original"])
@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_controlnets_compute_what_diffusers_do(
    kind: str, layout: str, tiny_folder: Make, tmp_path: Path
) -> None:
    suffix = "" if layout == "folder" else ".safetensors"
    path = save_controlnet(kind, tmp_path / f"canny{suffix}", layout=layout)
    info = look(tiny_folder(kind))
    found = controlnet.check_controlnet(path, info)
    assert found.family is info.family
    assert found.name == "canny"
    wanted, got = tiny_controlnet(kind), found.network()
    state: Any = got.state_dict()
    assert state.keys() == wanted.state_dict().keys()
    generator = torch.Generator().manual_seed(3)
    inputs = [
        torch.randn(1, 4, 8, 8, generator=generator),
        500,
        torch.randn(1, 77, wanted.config.cross_attention_dim, generator=generator),
        torch.rand(1, 3, 64, 64, generator=generator),
    ]
    added = None
    if kind == "sdxl":
        added = {"time_ids": torch.full((1, 6), 64.0), "text_embeds": torch.ones(1, 48)}
    with torch.no_grad():
        one, two = (
            net(*inputs, added_cond_kwargs=added, return_dict=False) for net in (wanted, got)
        )
    for a, b in zip((*one[0], one[1]), (*two[0], two[1]), strict=True):
        assert torch.equal(a, b)


def test_controlnets_are_checked(
    tiny: SourceInfo, tiny_folder: Make, tiny_single: Make, tmp_path: Path
) -> None:
    good = save_controlnet("sd1", tmp_path / "canny")
    estimate.check(request_for(tiny, tmp_path, controlnets=(str(good),)), tiny)

    def problem(path: Path, info: SourceInfo = tiny) -> str:
        return refused(request_for(info, tmp_path, controlnets=(str(path),)), info).message

    other = save_controlnet("sdxl", tmp_path / "xl.safetensors", layout="original")
    assert "a ControlNet for Stable Diffusion XL, but the model is Stable Diffusion 1" in problem(
        other
    )
    assert "not a ControlNet" in problem(tiny_single("sd1"))
    assert "of the kind “UNet2DConditionModel”" in problem(tiny_folder("sd1") / "unet")
    assert "holds no ControlNet" in problem(tiny_folder("sd1"))
    refiner = look(tiny_folder("sdxl-refiner"))
    assert "takes no ControlNets" in problem(good, refiner)
    (tmp_path / "b").mkdir()
    same = Path(shutil.copytree(good, tmp_path / "b" / "canny"))
    both = request_for(tiny, tmp_path, controlnets=(str(good), str(same)))
    assert "Two ControlNets are called “canny”" in refused(both, tiny).message
    pickled = tmp_path / "pickled.pth"
    pickled.write_bytes(b"PK\x03\x04" + b"\0" * 50)
    assert "pickle" in problem(pickled)


def test_a_damaged_controlnet_is_found_before_the_work(tiny: SourceInfo, tmp_path: Path) -> None:
    folder = save_controlnet("sd1", tmp_path / "canny")
    request = request_for(tiny, tmp_path, controlnets=(str(folder),))
    estimate.check(request, tiny)
    file = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["controlnet_mid_block.bias"]
    save_file(tensors, file)
    assert "The ControlNet lacks some of its weights" in refused(request, tiny).message
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stated, "cross_attention_dim": [1, 2]}))
    assert "makes no sense" in refused(request, tiny).message


def test_a_controlnet_for_another_unet(tiny: SourceInfo, tmp_path: Path) -> None:
    diffusers_controlnet = type(tiny_controlnet("sd1"))
    narrow = diffusers_controlnet.from_config(
        {**tiny_controlnet("sd1").config, "block_out_channels": (32, 32)}
    )
    narrow.save_pretrained(tmp_path / "narrow")
    request = request_for(tiny, tmp_path, controlnets=(str(tmp_path / "narrow"),))
    assert "built for another UNet" in refused(request, tiny).message
    assert tiny.family is Family.SD1
