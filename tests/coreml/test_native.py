"""The runtime for macOS, up to the coremltools boundary.

Core ML itself is replaced by stand-ins with coremltools' real signatures (autospec): compiling
writes the compiled form for real, predicting computes it with the portable runtime.
"""

from __future__ import annotations

import inspect
import platform
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gui.coreml import native
from gui.coreml.inspect import inspect_component, inspect_model
from gui.coreml.model import ComponentInfo, ComponentKind, FileFormat, TensorSpec
from gui.coreml.native import NativeRuntime
from gui.coreml.native_errors import translate
from gui.coreml.portable import PortableRuntime
from gui.coreml.runtime import LoadedModel, Runtime, default_runtime
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit
from tests.coreml.editing import copy_of, package, replace, weights_file
from tests.support.compiled_writer import compile_package
from tests.support.core_ml import CoreML, put_in_place
from tests.support.flexible import ranged_model
from tests.support.tiny_models import TinyModel, chunk_unet

K = ComponentKind


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch) -> CoreML:
    return put_in_place(monkeypatch)


@pytest.fixture
def runtime(tmp_path: Path) -> NativeRuntime:
    return NativeRuntime(cache=tmp_path / "cache")


@pytest.fixture
def decoder(tiny_sd1: TinyModel) -> ComponentInfo:
    return inspect_component(package(tiny_sd1.folder, "vae_decoder"))


def latents(seed: int = 0) -> dict[str, np.ndarray]:
    return {"z": np.random.default_rng(seed).standard_normal((1, 4, 8, 8)).astype(np.float32)}


def test_it_is_a_runtime_and_its_models_are_loaded_models(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo
) -> None:
    assert isinstance(runtime, Runtime)
    assert runtime.name == "native"
    model = runtime.load(decoder, ComputeUnit.ALL)
    assert isinstance(model, LoadedModel)
    assert list(model.inputs) == ["z"]
    assert list(model.outputs) == ["image"]
    theirs = inspect.signature(PortableRuntime.load)
    assert list(inspect.signature(NativeRuntime.load).parameters) == list(theirs.parameters)


def test_a_package_gives_what_the_network_gives(
    core_ml: CoreML, runtime: NativeRuntime, tiny_sd1: TinyModel, decoder: ComponentInfo
) -> None:
    import torch

    model = runtime.load(decoder, ComputeUnit.CPU_AND_GPU)
    arrays = latents()
    image = model(arrays)["image"]
    with torch.no_grad():
        expected = tiny_sd1.pipe.vae.decode(torch.from_numpy(arrays["z"])).sample.numpy()
    np.testing.assert_allclose(image, expected, atol=1e-4)


def test_a_package_is_compiled_once(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo, tmp_path: Path
) -> None:
    for _ in range(2):
        runtime.load(decoder, ComputeUnit.ALL)
    NativeRuntime(cache=tmp_path / "cache").load(decoder, ComputeUnit.ALL)
    assert core_ml.compiled == [decoder.files[0]]
    (kept,) = (tmp_path / "cache").iterdir()
    assert [load["path"] for load in core_ml.loads] == [kept] * 3
    assert kept.suffix == ".mlmodelc"
    assert (kept / "model.mil").is_file()  # not nested


def test_changed_weights_or_another_system_are_compiled_anew(
    core_ml: CoreML,
    runtime: NativeRuntime,
    decoder: ComponentInfo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    runtime.load(decoder, ComputeUnit.ALL)
    path = copy_of(decoder.files[0], tmp_path / decoder.files[0].name)
    assert native.package_key(path) == native.package_key(decoder.files[0])
    before = weights_file(path).stat()
    data = bytearray(weights_file(path).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 6000] = bytes(6000)
    replace(weights_file(path), bytes(data))
    # an archive may give every file one date
    os.utime(weights_file(path), ns=(before.st_atime_ns, before.st_mtime_ns))
    runtime.load(inspect_component(path), ComputeUnit.ALL)
    assert len(core_ml.compiled) == 2

    key = native.package_key(path)
    os.utime(weights_file(path), ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert native.package_key(path) != key
    key = native.package_key(path)
    monkeypatch.setattr(platform, "mac_ver", lambda: ("27.1", ("", "", ""), "arm64"))
    assert native.package_key(path) != key


def test_a_compiled_model_is_loaded_where_it_lies(
    core_ml: CoreML, runtime: NativeRuntime, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    path = compile_package(package(tiny_sd1.folder, "unet"), tmp_path / "Unet.mlmodelc")
    runtime.load(inspect_component(path), ComputeUnit.ALL)
    assert core_ml.compiled == []
    assert core_ml.loads[0]["path"] == path
    assert not (tmp_path / "cache").exists()


def linked(folder: Path, place: Path) -> Path:
    """A folder all of whose files are links, as Hugging Face's cache keeps one."""
    for number, file in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        blob = place.parent / "blobs" / str(number)
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, blob)
        (place / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        (place / file.relative_to(folder)).symlink_to(blob)
    return place


@pytest.mark.parametrize("form", ["package", "compiled"])
def test_core_ml_is_never_given_links(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo, tmp_path: Path, form: str
) -> None:
    plain = decoder.files[0]
    if form == "compiled":
        plain = compile_package(plain, tmp_path / "VAEDecoder.mlmodelc")
    place = tmp_path / "snapshots" / plain.name
    for file in (linked(plain, place), tmp_path / f"linked-{plain.name}"):
        if file != place:
            file.symlink_to(place)
        loaded = runtime.load(inspect_component(file), ComputeUnit.ALL)
        expected = PortableRuntime().load(decoder, ComputeUnit.ALL)(latents())
        np.testing.assert_array_equal(loaded(latents())["image"], expected["image"])
    assert len({load["path"] for load in core_ml.loads}) == 1, "made once"


def test_compute_units_are_the_persons_unless_overridden(
    core_ml: CoreML, decoder: ComponentInfo, tmp_path: Path
) -> None:
    import coremltools as ct

    plain = NativeRuntime(cache=tmp_path / "cache")
    for unit in ComputeUnit:
        plain.load(decoder, unit)
        assert core_ml.loads[-1]["compute_units"] is ct.ComputeUnit[unit.value]
    careful = NativeRuntime({K.VAE_DECODER: ComputeUnit.CPU_ONLY}, cache=tmp_path / "cache")
    careful.load(decoder, ComputeUnit.ALL)
    assert core_ml.loads[-1]["compute_units"] is ct.ComputeUnit.CPU_ONLY


def test_a_machine_that_runs_tests_says_which_unit_it_has(
    core_ml: CoreML, decoder: ComponentInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coremltools as ct

    monkeypatch.setenv("SFUMATO_COMPUTE_UNIT", "CPU_ONLY")
    NativeRuntime(cache=tmp_path / "cache").load(decoder, ComputeUnit.ALL)
    assert core_ml.loads[-1]["compute_units"] is ct.ComputeUnit.CPU_ONLY


@pytest.mark.parametrize(
    ("version", "hinted"), [("14.6", False), ("15.0", True), ("26.1", True), ("", False)]
)
def test_fast_prediction_is_asked_of_the_unet_where_macos_knows_it(
    core_ml: CoreML,
    runtime: NativeRuntime,
    tiny_sd1: TinyModel,
    decoder: ComponentInfo,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    hinted: bool,
) -> None:
    import coremltools as ct

    monkeypatch.setattr(platform, "mac_ver", lambda: (version, ("", "", ""), "arm64"))
    runtime.load(inspect_component(package(tiny_sd1.folder, "unet")), ComputeUnit.ALL)
    hints = core_ml.loads[-1].get("optimization_hints")
    fast = ct.SpecializationStrategy.FastPrediction
    assert hints == ({"specializationStrategy": fast} if hinted else None)
    runtime.load(decoder, ComputeUnit.ALL)
    assert "optimization_hints" not in core_ml.loads[-1]
    monkeypatch.delattr(ct, "SpecializationStrategy")  # an older library
    runtime.load(inspect_component(package(tiny_sd1.folder, "unet")), ComputeUnit.ALL)
    assert "optimization_hints" not in core_ml.loads[-1]


def test_the_hint_and_units_are_what_coremltools_itself_accepts() -> None:
    import coremltools as ct
    from coremltools.models import model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "mac_ver", lambda: ("15.0", ("", "", ""), "arm64"))
        hints = native._Hints(fast=True, flexible=True).options(ct)
        assert set(hints) == {"specializationStrategy", "reshapeFrequency"}
        patch.setattr(model, "_macos_version", lambda: (15, 0))
        model._verify_optimization_hint_input(hints)
    assert {u.value for u in ComputeUnit} <= {u.name for u in ct.ComputeUnit}


@pytest.mark.parametrize(
    ("version", "hinted"), [("14.3", False), ("14.4", True), ("26.1", True), ("", False)]
)
def test_networks_of_several_sizes(
    core_ml: CoreML,
    runtime: NativeRuntime,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    hinted: bool,
) -> None:
    """They are handed every shape that they allow, and no other; Core ML is told that it seldom
    changes."""
    import coremltools as ct

    monkeypatch.setattr(platform, "mac_ver", lambda: (version, ("", "", ""), "arm64"))
    decoder = inspect_component(package(ranged_model(), "vae_decoder"))
    model = runtime.load(decoder, ComputeUnit.ALL)
    told = core_ml.loads[-1].get("optimization_hints", {})
    assert told == ({"reshapeFrequency": ct.ReshapeFrequency.Infrequent} if hinted else {})
    portable = PortableRuntime().load(decoder, ComputeUnit.ALL)
    for height, width in ((8, 8), (16, 9), (8, 8)):
        z = {"z": np.random.default_rng(1).standard_normal((1, 4, height, width)).astype("f4")}
        assert np.array_equal(model(z)["image"], portable(z)["image"])
    with pytest.raises(SfumatoError) as error:
        model({"z": np.zeros((1, 4, 17, 8), np.float32)})
    assert error.value.kind is ErrorKind.BAD_REQUEST


def test_chunks_run_one_after_the_other(
    core_ml: CoreML, runtime: NativeRuntime, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    folder = copy_of(tiny_sd1.folder, tmp_path / "chunked")
    whole = inspect_component(package(folder, "unet"))
    rng = np.random.default_rng(3)
    arrays = {
        t.name: rng.standard_normal([d or 1 for d in t.shape]).astype("f4") for t in whole.inputs
    }
    expected = PortableRuntime().load(
        inspect_component(package(tiny_sd1.folder, "unet")), ComputeUnit.ALL
    )(arrays)
    chunk_unet(package(folder, "unet"))
    component = inspect_model(folder).components[K.UNET]
    model = runtime.load(component, ComputeUnit.ALL)
    result = model(arrays)
    assert len(core_ml.inputs) == 2
    assert list(result) == ["noise_pred"]
    np.testing.assert_allclose(result["noise_pred"], expected["noise_pred"], atol=1e-4)


def test_inputs_travel_in_buffers_that_stay(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo
) -> None:
    model = runtime.load(decoder, ComputeUnit.ALL)
    half = {"z": latents(1)["z"].astype(np.float16)}
    first = model(half)["image"].copy()
    model(latents(2))
    one, two = (given["z"] for given in core_ml.inputs)
    assert one is two
    assert one.dtype == np.float32
    address = one.ctypes.data
    model.close()
    again = runtime.load(decoder, ComputeUnit.ALL)
    np.testing.assert_array_equal(again(half)["image"], first)
    # freed nowhere: the next model of this shape was given the same memory
    assert core_ml.inputs[-1]["z"].ctypes.data == address


def test_two_models_do_not_share_a_buffer(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo
) -> None:
    models = [runtime.load(decoder, ComputeUnit.ALL) for _ in range(2)]
    for model in models:
        model(latents())
    a, b = (given["z"] for given in core_ml.inputs)
    assert not np.shares_memory(a, b)


def test_outputs_are_the_callers_own(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo
) -> None:
    image = runtime.load(decoder, ComputeUnit.ALL)(latents())["image"]
    assert image.dtype == np.float32
    assert image.flags.owndata
    assert not np.shares_memory(image, core_ml.results[0]["image"])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "needs an input called 'z'"),
        ({"z": np.zeros((1, 4, 8, 9))}, r"takes 'z' as \[1, 4, 8, 8\], not \[1, 4, 8, 9\]"),
        ({"z": np.zeros((4, 8, 8))}, "takes 'z' as"),
        ({"z": np.zeros((1, 4, 8, 8)), "y": np.zeros(1)}, "takes no input called 'y'"),
    ],
)
def test_wrong_inputs_never_reach_core_ml(
    core_ml: CoreML,
    runtime: NativeRuntime,
    decoder: ComponentInfo,
    arrays: dict[str, np.ndarray],
    says: str,
) -> None:
    model = runtime.load(decoder, ComputeUnit.ALL)
    with pytest.raises(SfumatoError, match=says) as caught:
        model(arrays)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert core_ml.inputs == []


def test_an_optional_input_may_be_left_out() -> None:
    seen = []
    given = SimpleNamespace(predict=lambda data: seen.append(sorted(data)) or {"y": np.ones(1)})
    component = ComponentInfo(
        K.UNET,
        (Path("Unet.mlmodelc"),),
        FileFormat.COMPILED,
        (TensorSpec("x", "fp16", (1,)), TensorSpec("r", "fp16", (1,), optional=True)),
        (TensorSpec("y", "fp32", (1,)),),
    )
    model = native.NativeModel(component, [native._Part(component, given)])
    model({"x": np.ones(1)})
    model({"x": np.ones(1), "r": np.ones(1)})
    assert seen == [["x"], ["r", "x"]]


def test_a_spoilt_cached_copy_is_made_again(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo
) -> None:
    runtime.load(decoder, ComputeUnit.ALL)
    core_ml.load_errors = [RuntimeError("Unable to load model: not a valid .mlmodelc file")]
    runtime.load(decoder, ComputeUnit.ALL)
    assert len(core_ml.compiled) == 2
    core_ml.load_errors = [RuntimeError("not a valid .mlmodelc file")] * 2
    with pytest.raises(SfumatoError) as caught:
        runtime.load(decoder, ComputeUnit.ALL)
    assert caught.value.kind is ErrorKind.BAD_MODEL
    assert decoder.files[0].name in caught.value.message  # the person's file, not the cache's


def test_a_failed_compilation_leaves_nothing(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo, monkeypatch: Any
) -> None:
    import coremltools as ct

    def fail(model: Any, destination_path: str | None = None) -> str:
        Path(str(destination_path)).mkdir()
        raise RuntimeError("Error compiling model: No space left on device")

    monkeypatch.setattr(ct.models.utils, "compile_model", fail)
    with pytest.raises(SfumatoError, match="disk is full") as caught:
        runtime.load(decoder, ComputeUnit.ALL)
    assert caught.value.kind is ErrorKind.STORAGE
    assert list(runtime.cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(
    core_ml: CoreML, decoder: ComponentInfo, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SfumatoError, match="cannot be written") as caught:
        NativeRuntime(cache=tmp_path / "file" / "cache").load(decoder, ComputeUnit.ALL)
    assert caught.value.kind is ErrorKind.STORAGE


def test_a_file_that_went_away(
    core_ml: CoreML, runtime: NativeRuntime, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    path = copy_of(package(tiny_sd1.folder, "vae_decoder"), tmp_path / "x_vae_decoder.mlpackage")
    component = inspect_component(path)
    shutil.rmtree(path)
    with pytest.raises(SfumatoError, match="not there any more") as caught:
        runtime.load(component, ComputeUnit.ALL)
    assert caught.value.kind is ErrorKind.BAD_MODEL


def test_a_failed_prediction_is_a_sentence(
    core_ml: CoreML, runtime: NativeRuntime, decoder: ComponentInfo
) -> None:
    model = runtime.load(decoder, ComputeUnit.ALL)
    core_ml.predict_error = RuntimeError(
        '{ NSLocalizedDescription = "Error computing NN outputs." }'
    )
    with pytest.raises(SfumatoError, match="Core ML could not run") as caught:
        model(latents())
    assert caught.value.kind is ErrorKind.INTERNAL
    assert "Error computing NN outputs" in caught.value.detail
    model.close()
    with pytest.raises(SfumatoError, match="has been closed"):
        model(latents())


@pytest.mark.parametrize(
    ("text", "action", "kind"),
    [
        ("Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)", "predict",
         ErrorKind.MEMORY),
        ("Cannot allocate memory", "load", ErrorKind.MEMORY),
        ("Unable to load model: specification version 10 is not supported", "load",
         ErrorKind.UNSUPPORTED),
        ("MIL program uses unknown opset ios26", "compile", ErrorKind.UNSUPPORTED),
        ("ANECCompile() FAILED", "load", ErrorKind.UNSUPPORTED),
        ("Program load failure: Neural Engine is busy", "load", ErrorKind.UNSUPPORTED),
        ("The file “weight.bin” couldn’t be opened because there is no such file.", "load",
         ErrorKind.BAD_MODEL),
        ("Unable to compute the prediction using a neural network model.", "predict",
         ErrorKind.INTERNAL),
        ("something quite new", "load", ErrorKind.BAD_MODEL),
        ("something quite new", "predict", ErrorKind.INTERNAL),
    ],
)  # fmt: skip
def test_core_mls_errors_become_sentences(text: str, action: str, kind: ErrorKind) -> None:
    error = translate(RuntimeError(text), "Unet.mlmodelc", action)
    assert error.kind is kind
    assert "Unet.mlmodelc" in error.message
    assert error.message.endswith(".")
    assert text not in error.message
    assert text in error.detail


def test_without_core_ml_it_says_so(
    tiny_sd1: TinyModel, tmp_path: Path, decoder: ComponentInfo
) -> None:
    """coremltools as it really is off macOS."""
    if platform.system() == "Darwin":
        assert default_runtime().name == "native"
        return
    path = compile_package(decoder.files[0], tmp_path / "VAEDecoder.mlmodelc")
    for file in (decoder.files[0], path):
        with pytest.raises(SfumatoError) as caught:
            NativeRuntime(cache=tmp_path / "cache").load(inspect_component(file), ComputeUnit.ALL)
        assert caught.value.kind is ErrorKind.UNSUPPORTED
        assert caught.value.message == (
            "Core ML cannot be used on this computer; install Sfumato again."
        )
    assert default_runtime().name == "portable"
