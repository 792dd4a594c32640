"""A model resized is the model converted at that size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.convert.patch.resizing import resized_files
from gui.convert.patch.sizes import NotResizable, regroup
from gui.convert.patch.variant import make_variant
from gui.convert.types import ImageSize, Lora
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind as K
from gui.coreml.portable import PortableRuntime
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit
from tests.convert.conftest import refusal
from tests.support import patched
from tests.support.cached_models import cached_tiny_model
from tests.support.compiled_writer import compile_folder, compile_package
from tests.support.resized import SIZES as SIZES_OF_ALL
from tests.support.resized import inputs_of, outputs, program, resized, weights
from tests.support.tiny_checkpoints import pipeline
from tests.support.tiny_models import TinyModel

SIZES = {"sd1": (192, 128), "xl": (64, 128)}


@pytest.fixture(scope="module", params=SIZES)
def pair(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A model, the same resized, and the same converted at that size."""
    source = patched.model(request.param).folder
    made = tmp_path_factory.mktemp("sizes") / "made"
    make_variant(source, made, size=ImageSize(*SIZES[request.param]))
    return source, made, patched.at_size(request.param, *SIZES[request.param]).folder


def test_the_programs_are_equal_to_the_byte(pair: tuple[Path, Path, Path]) -> None:
    _, made, wanted = pair
    packages = sorted(p.name for p in wanted.glob("*.mlpackage"))
    assert len(packages) >= 2
    for name in packages:
        assert program(made / name) == program(wanted / name), name
        assert weights(made / name) == weights(wanted / name), name


def test_the_model_is_whole(pair: tuple[Path, Path, Path]) -> None:
    source, made, _ = pair
    old, new, other = (inspect_model(folder) for folder in pair)
    assert new.problems == ()
    assert (new.image_width, new.image_height) == (other.image_width, other.image_height)
    assert new.components.keys() == old.components.keys()
    assert len(new.controlnets) == len(old.controlnets)
    assert {p.name for p in made.iterdir()} >= {p.name for p in source.glob("*.txt")}


def test_outputs_are_equal_bit_for_bit(pair: tuple[Path, Path, Path]) -> None:
    """Also of what is no file of the other: ControlNets, safety checker, the UNet that takes
    residuals run."""
    _, made, wanted = pair
    mine, other = inspect_model(made), inspect_model(wanted)
    rng = np.random.default_rng(5)
    for kind, component in mine.components.items():
        arrays = {
            t.name: rng.standard_normal(tuple(d or 1 for d in t.shape)).astype(np.float32)
            for t in component.inputs
        }
        if kind in (K.TEXT_ENCODER, K.TEXT_ENCODER_2):
            continue
        got = PortableRuntime().load(component, ComputeUnit.CPU_ONLY)(arrays)
        if kind in other.components:
            want = PortableRuntime().load(other.components[kind], ComputeUnit.CPU_ONLY)(arrays)
            assert all(np.array_equal(got[name], value) for name, value in want.items())
        assert all(np.isfinite(value).all() for value in got.values())


def test_compiled_texts(pair: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """What a compiler writes of the resized package is the compiled text, resized."""
    source, made, _ = pair
    compiled = compile_folder(source, tmp_path / "compiled")
    info = inspect_model(made)
    make_variant(compiled, tmp_path / "made", size=ImageSize(info.image_width, info.image_height))
    for package, part in (("_unet", "Unet"), ("_vae_decoder", "VAEDecoder")):
        (one,) = made.glob(f"*{package}.mlpackage")
        wanted = compile_package(one, tmp_path / f"{part}.mlmodelc")
        got = tmp_path / "made" / f"{part}.mlmodelc"
        assert (got / "model.mil").read_text() == (wanted / "model.mil").read_text()
        # The order of what users state is any: it comes from a map.
        told, expected = (json.loads((f / "metadata.json").read_text()) for f in (got, wanted))
        assert told == expected


def test_chunks(tmp_path: Path) -> None:
    source = patched.model("chunked").folder
    make_variant(source, tmp_path / "made", size=ImageSize(192, 128))
    chunked, whole = (
        inspect_model(tmp_path / "made"),
        inspect_model(patched.at_size("sd1", 192, 128).folder),
    )
    assert len(chunked.components[K.UNET].files) == 2
    rng = np.random.default_rng(6)
    arrays = {
        t.name: rng.standard_normal(tuple(d or 1 for d in t.shape)).astype(np.float32)
        for t in chunked.components[K.UNET].inputs
    }
    load = PortableRuntime().load
    got = load(chunked.components[K.UNET], ComputeUnit.CPU_ONLY)(arrays)
    want = load(whole.components[K.UNET], ComputeUnit.CPU_ONLY)(arrays)
    np.testing.assert_allclose(got["noise_pred"], want["noise_pred"], atol=1e-3)


@pytest.mark.parametrize("size", SIZES_OF_ALL[::5], ids=str)
@pytest.mark.parametrize("name", ["sd1", "xl"])
def test_outputs_are_diffusers_at_that_size(name: str, size: ImageSize, tmp_path: Path) -> None:
    """Of the same checkpoint, which knows nothing of Core ML.  At twenty sizes, and against
    conversions to the byte: ``make bench ONLY=sizes``."""
    model = patched.model(name).folder
    (package,) = model.glob("*_unet.mlpackage")
    made = resized(package, tmp_path, ImageSize(64, 64), size)
    arrays = inputs_of(made)
    arrays["timestep"][:] = 481.0
    given = {key: torch.from_numpy(value) for key, value in arrays.items()}
    added = {key: given[key] for key in ("text_embeds", "time_ids") if key in given}
    context = given["encoder_hidden_states"].squeeze(2).transpose(1, 2)
    with torch.no_grad():
        wanted = pipeline(patched.MODELS[name]["kind"]).unet(
            given["sample"], given["timestep"], context, added_cond_kwargs=added
        ).sample.numpy()  # fmt: skip
    got = outputs(made, arrays)["noise_pred"]
    assert got.shape == wanted.shape == (2, 4, size.height // 8, size.width // 8)
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("kind", [K.UNET, K.VAE_DECODER])
def test_there_and_back(kind: K, tmp_path: Path) -> None:
    """Through sizes of every proportion, and back to the first: the same program to the byte."""
    source = patched.model("xl").folder
    (package,) = source.glob(f"*_{kind}.mlpackage")
    info = inspect_model(source)
    for width, height in ((128, 192), (256, 64), (64, 64)):
        component = info.components[kind]
        old = ImageSize(info.image_width, info.image_height)
        (file, data), *more = resized_files(component, old, ImageSize(width, height)).items()
        assert not more
        folder = tmp_path / f"{width}x{height}"
        (folder / package.name).mkdir(parents=True)
        place = folder / package.name / file.relative_to(component.files[0])
        for path in sorted(component.files[0].rglob("*")):
            target = folder / package.name / path.relative_to(component.files[0])
            target.mkdir(exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())
        place.write_bytes(data)
        import dataclasses

        from gui.coreml.inspect import inspect_component

        info = dataclasses.replace(
            info,
            image_width=width,
            image_height=height,
            components={kind: inspect_component(folder / package.name)},
        )
    assert program(tmp_path / "64x64" / package.name) == program(package)


def test_in_apples_layout(tiny_sd1: TinyModel, tiny_sd1_fp16: TinyModel) -> None:
    """Of every form of attention, but for slices of a fixed width."""
    for model in (tiny_sd1, tiny_sd1_fp16):
        info = inspect_model(model.folder)
        old = ImageSize(info.image_width, info.image_height)
        files = resized_files(info.components[K.UNET], old, ImageSize(192, 64))
        assert len(files) == 1


def test_slices_of_a_fixed_width_are_refused(tmp_path: Path) -> None:
    model = cached_tiny_model("sd1-v2", "sd1", attention="split_einsum_v2")
    with pytest.raises(SfumatoError) as error:
        make_variant(model.folder, tmp_path / "made", size=ImageSize(512, 256))
    assert error.value.kind is ErrorKind.UNSUPPORTED
    assert "SPLIT_EINSUM_V2" in refusal(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(100, 64), (64, 0), (4096, 64)])
def test_sizes_that_make_no_sense(size: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(SfumatoError) as error:
        make_variant(patched.model("sd1").folder, tmp_path / "made", size=ImageSize(*size))
    assert "multiples of 64" in refusal(error)


def test_lora_and_size_together(tmp_path: Path) -> None:
    lora = Lora(str(patched.lora_file("sd1-safety")), 0.7)
    source = patched.model("sd1").folder
    make_variant(source, tmp_path / "both", [lora], ImageSize(192, 128))
    make_variant(source, tmp_path / "size", size=ImageSize(192, 128))
    make_variant(source, tmp_path / "lora", [lora])
    for package in source.glob("*_unet.mlpackage"):
        name = package.name
        assert program(tmp_path / "both" / name) == program(tmp_path / "size" / name)
        assert weights(tmp_path / "both" / name) == weights(tmp_path / "lora" / name)


def test_channels_that_were_groups_are_cut_into_heads() -> None:
    """16 groups of 12 channels, and then 6 heads of 32: they are 192 channels in between."""
    groups = (((2, 2),), ((16, 16),), ((12, 12),), ((8, 8),), ((8, 12),))
    whole = regroup(groups, (2, 192, 8, 8), "x")
    assert regroup(whole, (2, 6, 32, 64), "x")[1:3] == (((6, 6),), ((32, 32),))


def test_axes_are_followed_through_reshapes() -> None:
    height, width = (64, 96), (64, 80)
    channels = (320, 320)
    flat = regroup((((2, 2),), (channels,), (height,), (width,)), (2, 320, 1, 4096), "x")
    assert flat[3] == (height, width)
    heads = regroup(flat, (2, 8, 40, 4096), "x")
    assert heads[1:3] == (((8, 8),), ((40, 40),))
    assert regroup(heads, (2, 320, 64, 64), "x")[2:] == ((height,), (width,))
    with pytest.raises(NotResizable):
        regroup(flat, (2, 320, 8, 512), "x")
