"""A LoRA added to a finished model gives what converting with the LoRA gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert.patch.base import base_of
from gui.convert.patch.variant import make_variant
from gui.convert.types import Lora
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.coreml.portable import read_stages
from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import constant_value
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import refusal
from tests.support import patched
from tests.support.compiled_writer import compile_folder
from tests.support.converted import chunks
from tests.support.tiny_checkpoints import kept_folder
from tests.support.tiny_loras import lora_factors, save_lora

LORA = str(patched.lora_file("sd1-safety"))
WEIGHTS = "*/Data/com.apple.CoreML/weights/weight.bin"


def weight_files(folder: Path) -> dict[str, bytes]:
    """Of text encoders and UNets, by package."""
    found = {p.parents[3].name: p.read_bytes() for p in folder.glob(WEIGHTS)}
    return {n: d for n, d in found.items() if "_unet" in n or "-unet" in n or "_text_" in n}


def constants(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for package in folder.glob("*.mlpackage"):
        for op in read_stages(package)[0].function.ops:
            value = constant_value(op) if op.type == "const" else None
            if isinstance(value, Blob):
                found[f"{package.name} {op.name}"] = value.numpy().astype(np.float32)
    return found


@pytest.mark.parametrize("name", patched.MODELS)
def test_patched_is_reconverted_byte_for_byte(name: str, tmp_path: Path) -> None:
    kind = patched.MODELS[name]["kind"]
    lora = Lora(str(patched.lora_file(kind)), 0.7)
    source = patched.model(name).folder
    before = weight_files(source)
    report = make_variant(source, tmp_path / "made", [lora], base=base_of(kept_folder(kind)))
    got, wanted = weight_files(tmp_path / "made"), weight_files(patched.with_lora(name).folder)
    assert got.keys() == before.keys()
    for package, data in wanted.items():
        assert got[package] == data, package
        assert got[package] != before[package]
    assert weight_files(source) == before
    assert report.layers[0] == len(load_file(lora.path)) // 3
    assert report.notes == ()


@pytest.mark.parametrize("name", ["sd1", "xl"])
def test_from_float16_it_is_so_within_rounding(name: str, tmp_path: Path) -> None:
    lora = Lora(str(patched.lora_file(patched.MODELS[name]["kind"])), 0.7)
    make_variant(patched.model(name).folder, tmp_path / "made", [lora])
    before = constants(patched.model(name).folder)
    got, wanted = constants(tmp_path / "made"), constants(patched.with_lora(name).folder)
    changed = 0
    for key, value in wanted.items():
        largest = np.maximum(np.abs(value), np.abs(before[key])).astype(np.float16)
        step = np.spacing(largest).astype(np.float32)
        assert (np.abs(got[key] - value) <= 1.01 * step).all(), key
        changed += not np.array_equal(got[key], before[key])
    assert changed > 20


def test_of_a_compiled_model(tmp_path: Path) -> None:
    lora = Lora(LORA, 0.7)
    source = patched.model("sd1").folder
    make_variant(source, tmp_path / "packages", [lora])
    compiled = compile_folder(source, tmp_path / "compiled")
    make_variant(compiled, tmp_path / "made", [lora])
    for package, part in (("unet", "Unet"), ("text_encoder", "TextEncoder")):
        (wanted,) = (tmp_path / "packages").glob(f"*_{package}.mlpackage")
        got = tmp_path / "made" / f"{part}.mlmodelc"
        data = (wanted / "Data/com.apple.CoreML/weights/weight.bin").read_bytes()
        assert (got / "weights" / "weight.bin").read_bytes() == data
        own = compiled / f"{part}.mlmodelc"
        assert (got / "model.mil").read_bytes() == (own / "model.mil").read_bytes()


def test_a_weight_of_zero_changes_nothing_and_text_encoders_have_their_own(tmp_path: Path) -> None:
    source = patched.model("sd1").folder
    path = LORA
    make_variant(source, tmp_path / "none", [Lora(path, 0.0)])
    assert weight_files(tmp_path / "none") == weight_files(source)
    make_variant(source, tmp_path / "unet", [Lora(path, 0.7, text_scale=0.0)])
    make_variant(source, tmp_path / "both", [Lora(path, 0.7)])
    for package, data in weight_files(tmp_path / "unet").items():
        same_as = source if "text_encoder" in package else tmp_path / "both"
        assert data == weight_files(same_as)[package]


def test_norms(tmp_path: Path) -> None:
    """Which bear no name in a UNet's program: what reads them tells which they are."""
    names = ["down_blocks_0_resnets_0_norm2", "mid_block_attentions_0_transformer_blocks_0_norm3",
             "conv_norm_out", "up_blocks_0_resnets_1_norm1"]  # fmt: skip
    widths = [32, 64, 32, 96]
    tensors = {}
    for name, width in zip(names, widths, strict=True):
        tensors[f"lora_unet_{name}.w_norm"] = torch.randn(width)
        tensors[f"lora_unet_{name}.b_norm"] = torch.randn(width)
    path = tmp_path / "norms.safetensors"
    save_file(tensors, path)
    source = patched.model("sd1").folder
    report = make_variant(source, tmp_path / "made", [Lora(str(path), 0.5)])
    before, after = constants(source), constants(tmp_path / "made")
    changed = [key for key in before if not np.array_equal(before[key], after[key])]
    shifts = [0.5 * t.numpy() for t in tensors.values()]
    for key in changed:
        shift = after[key] - before[key]
        assert any(s.shape == shift.shape and np.allclose(s, shift, atol=4e-3) for s in shifts)
    assert len(changed) == 2 * len(tensors)  # of the plain UNet, and of the one for ControlNets
    assert report.layers == (4,)


@pytest.mark.parametrize("bits", [6, 8])
def test_palettes_are_made_anew(bits: int, tmp_path: Path) -> None:
    from gui.convert.types import Compression
    from gui.coreml.model import ComponentKind as K

    form = Compression.PALETTE_6 if bits == 6 else Compression.LINEAR_8
    source = patched.variant_of(
        f"patch-packed-{bits}", "sd1", compression=form,
        components=(K.TEXT_ENCODER, K.UNET, K.VAE_DECODER),
    ).folder  # fmt: skip
    report = make_variant(source, tmp_path / "made", [Lora(LORA, 0.7)])
    assert report.repacked > 3
    assert report.noise_db is not None
    assert report.noise_db > (29 if bits == 6 else 36)
    assert inspect_model(tmp_path / "made").compression == inspect_model(source).compression
    got = unpacked(tmp_path / "made")
    plain = make_variant(
        patched.model("sd1").folder,
        tmp_path / "plain",
        [Lora(LORA, 0.7)],
    )
    wanted = constants(Path(plain.folder))
    compared = 0
    for key, value in got.items():
        other = wanted[key.replace("_palettized", "").replace("_quantized", "")]
        error = np.square(value - other).sum() / np.square(other).sum()
        assert error < 10 ** (-2.7 if bits == 6 else -3.3), key
        compared += 1
    assert compared == report.repacked or compared > 3


def unpacked(folder: Path) -> dict[str, np.ndarray]:
    """Compressed weights as they are computed with."""
    from gui.convert.patch.constants import weights_of
    from gui.convert.patch.packing import unpacked as values

    return {
        f"{package.name} {weight.op.outputs[-1][0]}": values(weight)
        for package in folder.glob("*.mlpackage")
        for weight in weights_of(package, [read_stages(package)[0].function])
        if weight.is_packed
    }


def test_what_was_done_stands_in_the_sidecar(tmp_path: Path) -> None:
    source = patched.model("sd1").folder
    make_variant(source, tmp_path / "made", [Lora(LORA, 0.7)])
    old, new = load_sidecar(inspect_model(source)), load_sidecar(inspect_model(tmp_path / "made"))
    done = new.extra["patch"]
    assert done["loras"][0]["scale"] == 0.7
    assert done["model"] == old.name
    assert (new.family, new.prediction_type) == (old.family, old.prediction_type)
    assert new.name != old.name
    assert model_hash(inspect_model(tmp_path / "made")) != model_hash(inspect_model(source))
    assert inspect_model(tmp_path / "made").usable


# --- refusals -------------------------------------------------------------------------------------


def refused(source: Path, folder: Path, *loras: Lora, **options: object) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        make_variant(source, folder / "made", loras, **options)  # type: ignore[arg-type]
    refusal(error)
    assert not [p for p in folder.iterdir() if p.name == "made" or p.name.startswith(".sfumato")]
    return error.value


def test_of_another_family(tmp_path: Path) -> None:
    error = refused(patched.model("sd1").folder, tmp_path, Lora(str(patched.lora_file("sdxl"))))
    assert "is a LoRA for Stable Diffusion XL" in error.message


def test_numbers_that_are_none_or_too_large(tmp_path: Path) -> None:
    factors = lora_factors("sd1-safety")
    next(iter(factors.values()))[0][0] = float("nan")
    path = save_lora("sd1-safety", tmp_path / "nan.safetensors", factors=factors)
    assert "is damaged" in refused(patched.model("sd1").folder, tmp_path, Lora(str(path))).message
    factors = {n: (d * 1e4, u * 1e4) for n, (d, u) in lora_factors("sd1-safety").items()}
    path = save_lora("sd1-safety", tmp_path / "huge.safetensors", factors=factors)
    assert (
        "use a lower weight"
        in refused(patched.model("sd1").folder, tmp_path, Lora(str(path))).message
    )


def test_a_checkpoint_that_it_was_not_made_from(tmp_path: Path) -> None:
    lora = Lora(LORA)
    base = base_of(kept_folder("sd1"))
    error = refused(patched.model("sd1").folder, tmp_path, lora, base=base)
    assert "not made from this checkpoint" in error.message


def test_few_bits(tmp_path: Path) -> None:
    from gui.convert.types import Compression
    from gui.coreml.model import ComponentKind as K

    source = patched.variant_of(
        "patch-packed-2", "sd1", compression=Compression.PALETTE_2,
        components=(K.TEXT_ENCODER, K.UNET, K.VAE_DECODER),
    ).folder  # fmt: skip
    error = refused(source, tmp_path, Lora(LORA))
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "2 bits" in error.message


def test_what_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(SfumatoError, match="there already"):
        make_variant(patched.model("sd1").folder, tmp_path / "made")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gui.convert.patch import variant

    def full(source: Path, target: Path) -> bool:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(variant, "clone_file", full)
    error = refused(patched.model("sd1").folder, tmp_path, Lora(LORA))
    assert error.kind is ErrorKind.STORAGE
    assert "the disk is full" in error.message


KILLED = """
import os, sys
from pathlib import Path
from gui.convert.patch.variant import make_variant
from gui.convert.types import Lora

def tick(fraction):
    if fraction > float(sys.argv[4]):
        os.kill(os.getpid(), 9)

make_variant(Path(sys.argv[1]), Path(sys.argv[2]), [Lora(sys.argv[3])], tick=tick)
"""


def test_a_kill_leaves_nothing_that_is_listed(tmp_path: Path) -> None:
    import subprocess
    import sys

    from gui.library.models.folders import model_folders

    source = patched.model("sd1").folder
    before = weight_files(source)
    for moment in ("0.3", "0.94"):
        arguments = [
            str(source),
            str(tmp_path / "made"),
            LORA,
            moment,
        ]
        done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
        assert done.returncode == -9
        assert list(model_folders(tmp_path)) == []
        assert list(tmp_path.glob(".sfumato-patch-*"))
    assert weight_files(source) == before
    make_variant(source, tmp_path / "made", [Lora(arguments[2])])
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_from_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(patched.model("sd1").folder, source)
    for path in (source, *source.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    report = make_variant(source, tmp_path / "made", [Lora(LORA, 0.7)])
    assert inspect_model(Path(report.folder)).usable
    shutil.rmtree(report.folder)
    for path in (source, *source.rglob("*")):
        path.chmod(0o755)


def test_chunks_with_palettes(tmp_path: Path) -> None:
    """Both halves are changed."""
    source = tmp_path / "source"
    source.mkdir()
    for package in chunks().folder.glob("*.mlpackage"):
        shutil.copytree(package, source / package.name)
    for package in patched.model("sd1").folder.glob("*.mlpackage"):
        if "unet" not in package.name:
            shutil.copytree(package, source / package.name)
    make_variant(source, tmp_path / "made", [Lora(LORA, 0.7)])
    got, before = weight_files(tmp_path / "made"), weight_files(source)
    assert all(got[name] != before[name] for name in got if "chunk" in name)
