"""The whole way on real Core ML packages: inspect, sidecar, portable runtime, pipeline, beside
diffusers on the weights the packages were converted from."""

from __future__ import annotations

import copy
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui import words
from gui.coreml.inspect import inspect_component, inspect_model, load_sidecar
from gui.coreml.model import ComponentKind
from gui.coreml.package import describe_package
from gui.coreml.portable import PortableRuntime
from gui.errors import SfumatoError
from gui.pipeline.pipeline import GeneratedPicture, Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource, StartImage
from tests.coreml import editing
from tests.pipeline.reference import diffusers_scheduler
from tests.pipeline.test_image_to_image import image_to_image
from tests.pipeline.test_parity import NEGATIVE, PROMPT, SEED, settings_of, theirs
from tests.support.tiny_models import (
    TinyModel,
    _write_safety_checker,
    _Writer,
    unet_examples,
)
from tests.support.tiny_networks import SHAPES


def generate(folder: Path, **changes: Any) -> GeneratedPicture:
    info = inspect_model(folder)
    assert info.problems == ()
    pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)
    base = {
        "prompt": PROMPT,
        "model": str(folder),
        "negative_prompt": NEGATIVE,
        "steps": 4,
        "guidance_scale": 5.0,
        "scheduler": "DPM++ 2M",
        "seed": SEED,
        "random_source": RandomSource.TORCH,
    }
    (picture,) = pipeline.generate(PictureRequest(**{**base, **changes}), Hooks())
    pipeline.close()
    return picture


def expected(model: TinyModel, pipe: Any = None, **arguments: Any) -> np.ndarray:
    scheduler = diffusers_scheduler("DPM++ 2M", **settings_of(model.kind))
    asked = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_inference_steps": 4,
        "guidance_scale": 5.0,
    }
    return theirs(model.kind, pipe or model.pipe, scheduler, SEED, **(asked | arguments))[0]


def decibels(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures."""
    error = ((pixels.astype(float) - reference) ** 2).mean()
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("kind", ["tiny_sd1", "tiny_sd2v", "tiny_sdxl"])
def test_float32_packages(kind: str, request: pytest.FixtureRequest) -> None:
    """Within a rounding step of diffusers' picture."""
    model: TinyModel = request.getfixturevalue(kind)
    picture = generate(model.folder)
    reference = expected(model)
    assert reference.std() > 5
    assert np.abs(picture.pixels.astype(int) - reference).max() <= 1
    assert picture.record.model_hash
    assert picture.record.model_name == f"Tiny {model.kind}"


def test_float16_packages_in_apples_layout(tiny_sd1_fp16: TinyModel) -> None:
    picture = generate(tiny_sd1_fp16.folder)
    assert decibels(picture.pixels, expected(tiny_sd1_fp16)) > 40


@pytest.mark.parametrize(
    ("name", "options"),
    [("sd1_b1_chunked", {"unet_batch": 1, "chunked": True, "precision": "fp32"})],
)
def test_chunks_and_a_unet_of_batch_one(
    tiny_models: Callable[..., TinyModel], name: str, options: dict[str, Any]
) -> None:
    model = tiny_models(name, "sd1", **options)
    picture = generate(model.folder)
    assert np.abs(picture.pixels.astype(int) - expected(model)).max() <= 1


def test_a_controlnet_ready_unet_alone_is_the_plain_one(
    tiny_models: Callable[..., TinyModel], tmp_path: Path
) -> None:
    """What a ControlNet would add is zero without one."""
    model = tiny_models("sd1_controlnet", "sd1", controlnet=True, precision="fp32")
    folder = tmp_path / "model"
    shutil.copytree(model.folder, folder)
    (plain,) = folder.glob("*_unet.mlpackage")
    shutil.rmtree(plain)
    assert ComponentKind.UNET not in inspect_model(folder).components
    picture = generate(folder)
    assert np.abs(picture.pixels.astype(int) - expected(model)).max() <= 1


def test_a_latent_consistency_model(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    """A UNet that takes the guidance scale brings its own scheduler, steps and scale along."""
    from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
        LatentConsistencyModelPipeline,
    )

    pipe = LatentConsistencyModelPipeline(
        **{**tiny_sd1.pipe.components, "unet": consistency_unet(tiny_sd1.pipe.unet)},
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    folder = tmp_path / "model"
    shutil.copytree(tiny_sd1.folder, folder)
    write_consistency_unet(folder, pipe.unet)
    sidecar = folder / "sfumato.json"
    stated = json.loads(sidecar.read_text(encoding="utf-8"))
    silent = {k: v for k, v in stated.items() if "default_" not in k and "scheduler" not in k}
    sidecar.write_text(json.dumps(silent), encoding="utf-8")
    settings = {"scheduler": None, "steps": None, "guidance_scale": None, "negative_prompt": ""}
    picture = generate(folder, **settings)
    assert (picture.record.request.scheduler, picture.record.request.steps) == ("LCM", 4)
    assert picture.record.request.guidance_scale == 8.5
    scheduler = diffusers_scheduler("LCM", **settings_of("sd1"))
    asked = {"prompt": PROMPT, "num_inference_steps": 4, "guidance_scale": 8.5}
    reference = theirs("sd1", pipe, scheduler, SEED, **asked)[0]
    assert reference.std() > 5
    assert np.abs(picture.pixels.astype(int) - reference).max() <= 1


def consistency_unet(plain: Any) -> Any:
    """The same weights in a network that also takes an embedding of the guidance scale."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        config = {k: v for k, v in plain.config.items() if not k.startswith("_")}
        unet = type(plain)(**{**config, "time_cond_proj_dim": 256})
    unet.load_state_dict(plain.state_dict(), strict=False)
    return unet.eval()


def write_consistency_unet(folder: Path, unet: Any) -> None:
    """Convert it, of batch one as such models are, into the place of the plain UNet."""
    (path,) = folder.glob("*_unet.mlpackage")
    shutil.rmtree(path)
    write = _Writer(folder, "lcm", "fp32", "macOS13")

    def call(network: Any, sample: Any, timestep: Any, context: Any, condition: Any) -> Any:
        context = context.squeeze(2).transpose(1, 2)
        return network(sample, timestep, context, timestep_cond=condition, return_dict=False)[0]

    examples = {**unet_examples("sd1", (8, 8), 1), "timestep_cond": torch.randn(1, 256)}
    write(write.package("unet"), unet, call, examples, ("noise_pred",))


def test_image_to_image_on_packages(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (8, 8, 3), np.uint8)
    photo = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "photo.png")
    picture = generate(tiny_sd1.folder, start_image=StartImage(str(tmp_path / "photo.png"), 0.5))
    pipe = image_to_image(tiny_sd1.pipe, "sd1")
    reference = expected(tiny_sd1, pipe, image=photo, strength=0.5)
    assert np.abs(picture.pixels.astype(int) - reference).max() <= 1


def test_the_safety_checker_on_packages(tiny_sd1: TinyModel) -> None:
    assert ComponentKind.SAFETY_CHECKER in inspect_model(tiny_sd1.folder).components
    assert generate(tiny_sd1.folder).record.safety == "passed"
    assert generate(tiny_sd1.folder, safety_checker=False).record.safety == "off"


@pytest.mark.parametrize("objects", [True, False])
def test_the_checker_as_apple_converts_it_judges_as_diffusers_does(
    objects: bool, tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    """It blanks a picture through a mask: by `non_zero` and `scatter_nd`, of a computed shape."""
    pipe = copy.deepcopy(tiny_sd1.pipe)
    checker = pipe.safety_checker
    checker.concept_embeds_weights.data.fill_(-2.0 if objects else 2.0)  # cosines lie between
    editing.copy_of(tiny_sd1.folder, tmp_path / "model")
    shutil.rmtree(editing.package(tmp_path / "model", "safety_checker"))
    write = _Writer(tmp_path / "model", f"tiny_{tiny_sd1.kind}", "fp32", "macOS13")
    _write_safety_checker(write, pipe, SHAPES[tiny_sd1.kind].latent)
    path = editing.package(tmp_path / "model", "safety_checker")
    assert describe_package(path).survey.operations.keys() >= {"non_zero", "scatter_nd"}
    picture = generate(tmp_path / "model")
    assert picture.record.safety == ("blanked" if objects else "passed")

    arrays = {
        "clip_input": np.random.default_rng(5).standard_normal((1, 3, 224, 224)),
        "images": np.random.default_rng(6).random((1, *picture.pixels.shape)),
        "adjustment": np.zeros(1),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    ours = PortableRuntime().load(inspect_component(path), ComputeUnit.CPU_ONLY)(arrays)
    with torch.no_grad():
        images, found = checker(
            clip_input=torch.from_numpy(arrays["clip_input"]), images=arrays["images"].copy()
        )
    assert found == [objects]
    assert ours["has_nsfw_concepts"].reshape(-1).tolist() == [float(objects)]
    np.testing.assert_array_equal(ours["filtered_images"], images)


def test_every_part_of_one_family_in_another(
    tiny_sd1: TinyModel, tiny_sdxl: TinyModel, tmp_path: Path
) -> None:
    """An SDXL text encoder beside an SD1 UNet: one sentence, before any picture."""
    for package in tiny_sd1.folder.iterdir():
        if "text_encoder" not in package.name:
            (tmp_path / package.name).symlink_to(package)
    for package in tiny_sdxl.folder.glob("*text_encoder_2*"):
        (tmp_path / package.name.replace("text_encoder_2", "text_encoder")).symlink_to(package)
    info = inspect_model(tmp_path)
    with pytest.raises(SfumatoError) as caught:
        pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.ALL)
        list(pipeline.generate(PictureRequest(PROMPT, str(tmp_path), steps=2), Hooks()))
    assert caught.value.kind == "bad-model"
    assert len(caught.value.message.split(". ")) <= 2


def test_torch_is_left_as_it_was(tiny_sd1: TinyModel) -> None:
    """A picture does not disturb torch's own random numbers."""
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    generate(tiny_sd1.folder, scheduler="Euler a", random_source=RandomSource.NUMPY)
    assert torch.equal(before, torch.random.get_rng_state())
    assert importlib.import_module("torch").is_grad_enabled()


def _unknown_operation(folder: Path, suffix: str) -> None:
    """Give one operation of a package a name that nothing knows."""
    with editing.edited(editing.package(folder, suffix)) as spec:
        function = spec.mlProgram.functions["main"]
        block = function.block_specializations[function.opset]
        next(o for o in block.operations if o.type == "softmax").type = "hyper_softmax"


def test_a_checker_that_cannot_run_is_told_beforehand_and_can_be_switched_off(
    tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    folder = editing.copy_of(tiny_sd1.folder, tmp_path / "model")
    _unknown_operation(folder, "safety_checker")
    info = inspect_model(folder)
    assert info.usable
    (note,) = (n for n in info.notes if "safety checker" in n)
    assert "hyper_softmax" in note and "switch the safety checker off" in note
    with pytest.raises(SfumatoError) as caught:
        generate(folder, steps=2)
    assert "hyper_softmax" in caught.value.message
    assert "another model" not in caught.value.message
    assert "; switch the safety checker off" in caught.value.message
    assert generate(folder, steps=2, safety_checker=False).record.safety == "off"


@pytest.mark.parametrize("suffix", ["text_encoder", "unet", "vae_decoder"])
def test_a_network_that_cannot_run_is_told_beforehand(
    suffix: str, tiny_sd1: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = editing.copy_of(tiny_sd1.folder, tmp_path / "model")
    _unknown_operation(folder, suffix)
    problems = inspect_model(folder).problems
    assert len(problems) == 1
    assert "hyper_softmax" in problems[0] and words.component(suffix) in problems[0]
    # Core ML itself knows more than this program's own runtime
    monkeypatch.setattr("sys.platform", "darwin")
    assert inspect_model(folder).usable
    monkeypatch.setenv("SFUMATO_RUNTIME", "portable")
    assert not inspect_model(folder).usable
