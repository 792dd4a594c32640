"""What inspection says of sound models, against coremltools and the conversion's own settings."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.coreml.inspect import inspect_component, inspect_model, model_hash
from gui.coreml.model import Attention, ComponentKind, Family, FileFormat, Flexibility
from gui.errors import SfumatoError
from tests.coreml.editing import (
    copy_of,
    edited,
    package,
    replace,
    set_shapes,
    spec_file,
    weights_file,
)
from tests.support import tiny_models as builder
from tests.support.apple_layout import ATTENTION
from tests.support.compiled_writer import compile_folder, compile_package
from tests.support.mil_programs import save_program
from tests.support.tiny_models import TinyModel, chunk_unet
from tests.support.tiny_networks import SHAPES, tiny_controlnet

K = ComponentKind
ARRAY_TYPES = {65552: "fp16", 65568: "fp32", 131104: "int32"}


def coremltools() -> Any:
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import coremltools as ct

    return ct


@pytest.fixture(scope="module")
def compiled_sd1(tiny_sd1: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    compile_folder(tiny_sd1.folder, folder)
    shutil.copy(tiny_sd1.folder / "sfumato.json", folder)
    return folder


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl"])
def test_a_sound_model_has_no_problems(kind: str, request: pytest.FixtureRequest) -> None:
    model: TinyModel = request.getfixturevalue(f"tiny_{kind}")
    info = inspect_model(model.folder)
    shape = SHAPES[kind]
    assert info.problems == ()
    assert info.family is shape.family
    assert (info.latent_channels, info.latent_height, info.latent_width) == (4, *shape.latent)
    assert (info.image_height, info.image_width) == tuple(8 * s for s in shape.latent)
    assert (info.unet_batch, info.context_channels) == (2, shape.context)
    assert info.attention is Attention.ORIGINAL
    assert info.minimum_macos == "13"
    assert info.compression == ""
    expected = {K.TEXT_ENCODER, K.UNET, K.VAE_DECODER, K.VAE_ENCODER}
    expected |= {K.TEXT_ENCODER_2} if kind == "sdxl" else set()
    expected |= {K.SAFETY_CHECKER} if kind == "sd1" else set()
    assert set(info.components) == expected
    assert info.has_image_to_image
    files = (f for f in model.folder.rglob("*") if f.is_file() and f.name != "sfumato.json")
    assert info.size_bytes == sum(f.stat().st_size for f in files)


def test_interfaces_are_those_coremltools_reads(tiny_sd1_fp16: TinyModel) -> None:
    ct = coremltools()
    for component in inspect_model(tiny_sd1_fp16.folder).components.values():
        description = ct.utils.load_spec(str(component.files[0])).description
        for ours, theirs in (
            (component.inputs, description.input),
            (component.outputs, description.output),
        ):
            assert [(t.name, t.dtype) for t in ours] == [
                (f.name, ARRAY_TYPES[f.type.multiArrayType.dataType]) for f in theirs
            ]
        inputs = [tuple(f.type.multiArrayType.shape) for f in description.input]
        assert [t.shape for t in component.inputs] == inputs
    info = inspect_model(tiny_sd1_fp16.folder)
    assert info.attention is Attention.SPLIT_EINSUM
    unet = info.components[K.UNET]
    assert unet.outputs[0].shape == (2, 4, 8, 8)  # from the program: the description has none
    assert unet.input("sample") is not None
    assert {t.dtype for t in unet.inputs} == {"fp16"}


def test_swift_names_and_compiled_files_read_alike(tiny_sd1: TinyModel, compiled_sd1: Path) -> None:
    packages = inspect_model(tiny_sd1.folder)
    compiled = inspect_model(compiled_sd1)
    assert (compiled_sd1 / "Unet.mlmodelc").is_dir()
    assert compiled.problems == ()
    assert set(compiled.components) == set(packages.components)
    for kind, theirs in packages.components.items():
        ours = compiled.components[kind]
        assert ours.format is FileFormat.COMPILED
        for name in ("inputs", "outputs", "attention", "compression", "spec_version"):
            assert getattr(ours, name) == getattr(theirs, name), (kind, name)


@pytest.mark.parametrize("metadata", ["missing", "no shapes", "foreign", "broken", "executable"])
def test_compiled_files_need_no_metadata(
    tiny_sd1: TinyModel, tmp_path: Path, metadata: str
) -> None:
    source = package(tiny_sd1.folder, "unet")
    path = tmp_path / "Unet.mlmodelc"
    compile_package(source, path, metadata=metadata != "missing", shapes=False)
    marker = tmp_path / "ran"
    content = {
        "foreign": b'{"inputSchema": [3, {"name": []}], "specificationVersion": "7"}',
        "broken": b"[{",
        "executable": json.dumps(
            [{"inputSchema": [{"name": "sample", "shape": f"open({str(marker)!r}, 'w')"}]}]
        ).encode(),
    }.get(metadata)
    if content is not None:
        (path / "metadata.json").write_bytes(content)
    info = inspect_component(path)
    assert (info.inputs, info.outputs) == (
        inspect_component(source).inputs,
        inspect_component(source).outputs,
    )
    assert info.spec_version == 7
    assert not marker.exists()


def test_a_folder_is_followed_down_to_its_only_variant(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    place = tmp_path / "my-model" / "split_einsum" / "packages"
    copy_of(tiny_sd1.folder, place)
    (tmp_path / "my-model" / "README.md").write_text("hello")
    info = inspect_model(tmp_path / "my-model")
    assert info.problems == ()
    assert info.folder == place


def test_a_relative_path_will_do(
    tiny_sd1: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "Inks" / "packages")
    (folder / "sfumato.json").unlink()
    for path in folder.glob("*.mlpackage"):  # names without the model's
        path.rename(folder / path.name.removeprefix("Stable_Diffusion_version_tiny_sd1_"))
    monkeypatch.chdir(folder)
    info = inspect_model(Path())
    assert (info.problems, info.folder, info.name) == ((), folder, "Inks")


def test_several_variants_must_be_told_apart(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    copy_of(tiny_sd1.folder, tmp_path / "original" / "packages")
    copy_of(tiny_sd1.folder, tmp_path / "split_einsum" / "packages")
    info = inspect_model(tmp_path)
    assert info.problems == (
        "This folder holds several variants (original/packages, split_einsum/packages); "
        "choose one of them.",
    )


def test_the_source_repository_or_the_folder_names_a_model(
    tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "Paintings" / "original" / "compiled")
    (folder / "sfumato.json").unlink()
    assert inspect_model(folder).name == "tiny_sd1"  # from the packages' names
    with edited(package(folder, "unet")) as spec:
        spec.description.metadata.versionString = "someone/watercolours-v2"
    assert inspect_model(folder).name == "watercolours-v2"
    compiled = compile_folder(tiny_sd1.folder, tmp_path / "Etchings" / "original" / "compiled")
    assert inspect_model(compiled).name == "Etchings"


# Chunks, pipelines, functions


def test_chunks_are_one_network(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    whole = inspect_model(tiny_sd1.folder)
    folder = copy_of(tiny_sd1.folder, tmp_path / "chunked")
    chunk_unet(package(folder, "unet"))
    chunked = inspect_model(folder)
    assert chunked.problems == ()
    unet = chunked.components[K.UNET]
    assert [f.name.rsplit("_", 1)[1] for f in unet.files] == [
        "chunk1.mlpackage",
        "chunk2.mlpackage",
    ]
    assert sorted(t.name for t in unet.inputs) == sorted(
        t.name for t in whole.components[K.UNET].inputs
    )
    assert unet.outputs == whole.components[K.UNET].outputs
    assert chunked.attention is Attention.ORIGINAL

    both = copy_of(folder, tmp_path / "both")
    copy_of(package(tiny_sd1.folder, "unet"), both / package(tiny_sd1.folder, "unet").name)
    info = inspect_model(both)
    assert info.problems == ()
    assert len(info.components[K.UNET].files) == 1
    assert "The whole UNet is used, not its chunks." in info.notes

    shutil.rmtree(package(folder, "unet_chunk2"))
    assert "The UNet is in two chunks, and chunk 2 is missing." in inspect_model(folder).problems

    stranger = copy_of(package(both, "unet_chunk1"), folder / "x_unet_chunk2.mlpackage")
    problems = inspect_model(folder).problems
    assert any(stranger.name in p and "not two halves of one network" in p for p in problems)


def test_a_pipeline_package_is_one_network(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    ct = coremltools()
    source = package(tiny_sd1.folder, "unet")
    ct.models.utils.bisect_model(
        str(source),
        str(tmp_path),
        merge_chunks_to_pipeline=True,
        check_output_correctness=False,
    )
    (made,) = tmp_path.glob("*.mlpackage")
    path = made.rename(tmp_path / "x_unet.mlpackage")
    whole, pipeline = inspect_component(source), inspect_component(path)
    assert [t.name for t in pipeline.inputs] == [t.name for t in whole.inputs]
    assert pipeline.outputs == whole.outputs
    assert pipeline.attention is Attention.ORIGINAL

    (weights,) = path.rglob("*-weight.bin")
    replace(weights, weights.read_bytes()[:-1])
    with pytest.raises(SfumatoError, match="cut short"):
        inspect_component(path)


def test_a_multifunction_package_shows_its_default_function(tmp_path: Path) -> None:
    ct = coremltools()

    def build(mb: Any, z: Any) -> Any:
        weight = np.random.default_rng(0).standard_normal((3, 4, 1, 1)).astype(np.float32)
        return mb.conv(x=z, weight=weight, name="image")

    shapes = {"small": (1, 4, 8, 8), "large": (1, 4, 16, 16)}
    descriptor = ct.utils.MultiFunctionDescriptor()
    for name, shape in shapes.items():
        path = save_program(tmp_path / f"{name}.mlpackage", build, {"z": shape}, target="macOS15")
        descriptor.add_function(str(path), "main", name)
    descriptor.default_function_name = "large"
    ct.utils.save_multifunction(descriptor, str(tmp_path / "x_vae_decoder.mlpackage"))
    info = inspect_component(tmp_path / "x_vae_decoder.mlpackage")
    assert (info.function, sorted(info.functions)) == ("large", ["large", "small"])
    assert info.inputs[0].shape == (1, 4, 16, 16)
    assert info.outputs[0].shape == (1, 3, 16, 16)
    assert info.spec_version == 9


def test_controlnets_are_found_under_both_names(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "model")
    add_controlnet(folder, "sd1", tiny_sd1.pipe)
    info = inspect_model(folder)
    assert info.problems == ()
    assert [c.name for c in info.controlnets] == ["tiny_edges"]
    control = info.components[K.CONTROL_UNET]
    given = {t.name: t.shape for t in info.controlnets[0].outputs}
    assert given == {t.name: t.shape for t in control.inputs if "residual" in t.name}
    swift = compile_folder(folder, tmp_path / "swift")
    assert (swift / "controlnet" / "Tiny_Edges.mlmodelc").is_dir()
    shutil.copy(folder / "sfumato.json", swift)
    assert [c.name for c in inspect_model(swift).controlnets] == ["Tiny_Edges"]


def add_controlnet(folder: Path, kind: str, pipe: Any) -> None:
    """Write a ControlNet and the UNet that takes its residuals into a model's folder."""
    writer = builder._Writer(folder, f"tiny_{kind}", "fp32", "macOS13")
    control = tiny_controlnet(kind, pipe)
    builder._write_controlnet(writer, kind, pipe, control, SHAPES[kind].latent, "none", 2)


# Attention and storage


@pytest.mark.parametrize(
    ("form", "queries", "expected"),
    [
        ("original", 1024, Attention.ORIGINAL),
        ("split_einsum", 1024, Attention.SPLIT_EINSUM),
        ("split_einsum", 64, Attention.SPLIT_EINSUM),
        ("split_einsum_v2", 1024, Attention.SPLIT_EINSUM_V2),
    ],
)
@pytest.mark.parametrize("suffix", [".mlpackage", ".mlmodelc"])
def test_attention_is_told_from_operations(
    form: str, queries: int, expected: Attention, suffix: str, tmp_path: Path
) -> None:
    ct = coremltools()
    attend = ATTENTION[form]

    class Self(torch.nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
            own = attend(x, x * 2, x * 3, 2)
            return attend(own, e, e, 2) + t

    shapes = {
        "sample": (1, 8, 1, queries),
        "timestep": (1,),
        "encoder_hidden_states": (1, 8, 1, 77),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Self(), tuple(torch.ones(s) for s in shapes.values()))
        model = ct.convert(
            traced,
            inputs=[ct.TensorType(n, s) for n, s in shapes.items()],
            outputs=[ct.TensorType("noise_pred")],
            minimum_deployment_target=ct.target.macOS13,
            skip_model_load=True,
        )
    path = tmp_path / "x_unet.mlpackage"
    model.save(str(path))  # type: ignore[union-attr]
    if suffix == ".mlmodelc":
        path = compile_package(path, tmp_path / "Unet.mlmodelc")
    assert inspect_component(path).attention is expected


def compressed(form: str, folder: Path, target: str) -> Path:
    """A decoder whose weights coremltools has stored in another form."""
    ct = coremltools()
    rng = np.random.default_rng(0)

    def build(mb: Any, z: Any) -> Any:
        x = mb.conv(x=z, weight=rng.standard_normal((64, 4, 3, 3)).astype(np.float32), name="a")
        weight = rng.standard_normal((64, 64, 3, 3)).astype(np.float32)
        x = mb.conv(x=x, weight=weight, name="b")
        weight = rng.standard_normal((3, 64, 3, 3)).astype(np.float32)
        return mb.conv(x=x, weight=weight, name="image")

    plain = save_program(
        folder / "plain.mlpackage", build, {"z": (1, 4, 16, 16)}, target=target, passes=True
    )
    model = ct.models.MLModel(str(plain), skip_model_load=True)
    opt = ct.optimize.coreml

    def palette(bits: int) -> Any:
        return opt.OpPalettizerConfig(mode="uniform", nbits=bits, weight_threshold=1)

    if form.startswith("palette"):
        bits = [int(b) for b in form.split()[1:]]
        config = opt.OptimizationConfig(
            global_config=palette(bits[0]), op_name_configs={"b": palette(bits[-1])}
        )
        model = opt.palettize_weights(model, config)
    elif form.startswith("linear"):
        config = opt.OpLinearQuantizerConfig(
            mode="linear_symmetric", weight_threshold=1, dtype=form.split()[1]
        )
        model = opt.linear_quantize_weights(model, opt.OptimizationConfig(global_config=config))
    elif form == "sparse":
        config = opt.OpThresholdPrunerConfig(
            threshold=0.5, minimum_sparsity_percentile=0.1, weight_threshold=1
        )
        model = opt.prune_weights(model, opt.OptimizationConfig(global_config=config))
    path = folder / "x_vae_decoder.mlpackage"
    model.save(str(path))
    return path


@pytest.mark.parametrize(
    ("form", "target", "says"),
    [
        ("plain", "macOS13", ""),
        ("palette 6", "macOS13", "6-bit palette"),
        ("palette 4", "macOS15", "4-bit palette"),
        # 36,864 weights of 2 bits among 40,896: (36864·2 + 4032·8) / 40896
        ("palette 8 2", "macOS13", "mixed palette (2.6 bits)"),
        ("linear int8", "macOS13", "8-bit linear"),
        ("linear int4", "macOS15", "4-bit linear"),
        ("sparse", "macOS13", "sparse"),
    ],
)
def test_storage_forms(form: str, target: str, says: str, tmp_path: Path) -> None:
    path = compressed(form, tmp_path, target)
    assert inspect_component(path).compression == says
    if form != "linear int4" and target == "macOS13":
        compiled = compile_package(path, tmp_path / "VAEDecoder.mlmodelc")
        assert inspect_component(compiled).compression == says


# Cost and identity


def test_inspection_imports_nothing_heavy_and_opens_no_weights(tiny_sd1: TinyModel) -> None:
    code = """
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from gui.coreml.inspect import inspect_model, load_sidecar
info = inspect_model(Path(sys.argv[1]))
load_sidecar(info)
assert info.usable, info.problems
assert not [f for f in opened if f.endswith("weight.bin")]
assert any(f.endswith("model.mlmodel") for f in opened)
heavy = {"numpy", "torch", "coremltools", "diffusers", "transformers", "PySide6"}
assert not heavy & {name.partition(".")[0] for name in sys.modules}
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_sd1.folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_hash_follows_content_not_place(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    here = model_hash(inspect_model(tiny_sd1.folder))
    assert len(here) == 10 and int(here, 16) >= 0
    copy = copy_of(tiny_sd1.folder, tmp_path / "copy")
    assert model_hash(inspect_model(copy)) == here
    weights = weights_file(package(copy, "unet"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    replace(weights, bytes(data))
    assert model_hash(inspect_model(copy)) != here


@pytest.mark.parametrize(
    ("context", "extra", "latent", "family"),
    [
        (768, {}, 64, Family.SD1),
        (1024, {}, 96, Family.SD2),
        (2048, {"time_ids": (2, 6), "text_embeds": (2, 1280)}, 128, Family.SDXL),
        (1280, {"time_ids": (2, 5), "text_embeds": (2, 1280)}, 128, Family.SDXL_REFINER),
    ],
)
def test_published_widths_tell_the_family(
    tiny_sdxl: TinyModel,
    tiny_sd1: TinyModel,
    tmp_path: Path,
    context: int,
    extra: dict[str, tuple[int, ...]],
    latent: int,
    family: Family,
) -> None:
    folder = copy_of((tiny_sdxl if extra else tiny_sd1).folder, tmp_path / "model")
    (folder / "sfumato.json").unlink()
    set_shapes(
        package(folder, "unet"),
        sample=(2, 4, latent, latent),
        encoder_hidden_states=(2, context, 1, 77),
        **extra,
    )
    info = inspect_model(folder)
    assert info.family is family
    assert (info.latent_height, info.context_channels) == (latent, context)


def test_flexible_sizes_are_told_beside_the_default(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    path = copy_of(package(tiny_sd1.folder, "unet"), tmp_path / "unet.mlpackage")
    with edited(path) as spec:
        sample = spec.description.input[0].type.multiArrayType
        for low, high in ((2, 2), (4, 4), (8, 64), (8, 64)):
            size = sample.shapeRange.sizeRanges.add()
            size.lowerBound, size.upperBound = low, high
        context = spec.description.input[2].type.multiArrayType
        for tokens in (77, 154):
            context.enumeratedShapes.shapes.add().shape[:] = (2, 32, 1, tokens)
    info = inspect_component(path)
    sample, _, context = info.inputs
    assert (sample.shape, context.shape) == ((2, 4, 8, 8), (2, 32, 1, 77))
    assert sample.flexible == Flexibility(ranges=((2, 2), (4, 4), (8, 64), (8, 64)))
    assert context.flexible == Flexibility(shapes=((2, 32, 1, 77), (2, 32, 1, 154)))


@pytest.mark.parametrize(("spec_version", "macos"), [(6, "12"), (8, "14"), (9, "15"), (10, "26")])
def test_the_oldest_macos_is_that_of_the_newest_file(
    tiny_sd1: TinyModel, tmp_path: Path, spec_version: int, macos: str
) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "model")
    others = 6 if spec_version == 6 else 7
    for path in folder.glob("*.mlpackage"):
        with edited(path) as spec:
            spec.specificationVersion = others
    with edited(package(folder, "vae_decoder")) as spec:
        spec.specificationVersion = spec_version
    assert inspect_model(folder).minimum_macos == macos
    assert spec_file(package(folder, "unet")).is_file()
