"""From a checkpoint to a picture: converted, run by the pipeline, beside diffusers."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.convert.types import ImageSize, Lora
from gui.coreml.inspect import inspect_component, inspect_model, load_sidecar
from gui.coreml.model import Attention, ComponentKind, Family
from gui.coreml.portable import PortableRuntime
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource
from tests.pipeline.reference import diffusers_scheduler
from tests.support import tiny_checkpoints
from tests.support.converted import Converted, chunks, converted, everything, xl
from tests.support.tiny_loras import lora_factors, save_lora

K = ComponentKind
PROMPT = "a red apple on a blue table, 'studio' light"
NEGATIVE = "blurry, ugly!!"
SEED = 4321
STEPS = 4
GUIDANCE = 5.0


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def picture(folder: Path) -> np.ndarray:
    """What Sfumato makes, uint8 [H, W, 3], with the scheduler's settings from the sidecar."""
    info = inspect_model(folder)
    assert info.problems == ()
    pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)
    request = PictureRequest(
        prompt=PROMPT,
        model=str(folder),
        negative_prompt=NEGATIVE,
        steps=STEPS,
        guidance_scale=GUIDANCE,
        scheduler="DPM++ 2M",
        seed=SEED,
        random_source=RandomSource.TORCH,
        previews=False,
        safety_checker=False,
    )
    (made,) = pipeline.generate(request, Hooks())
    pipeline.close()
    return made.pixels


def expected(kind: str, size: int = 64, unet: Any = None, text_encoder: Any = None) -> np.ndarray:
    """diffusers' picture from the source networks, in float32."""
    pipe = tiny_checkpoints.pipeline(kind)
    config = {k: v for k, v in pipe.scheduler.config.items() if not k.startswith("_")}
    before = pipe.scheduler, pipe.unet, pipe.text_encoder
    shared = ("beta_start", "beta_end", "beta_schedule", "prediction_type", "steps_offset")
    settings = {name: config[name] for name in shared}
    pipe.scheduler = diffusers_scheduler(
        "DPM++ 2M", **settings, timestep_spacing=config["timestep_spacing"]
    )
    pipe.unet = unet or pipe.unet
    pipe.text_encoder = text_encoder or pipe.text_encoder
    try:
        latents = pipe(
            PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            height=size,
            width=size,
            generator=torch.Generator("cpu").manual_seed(SEED),
            output_type="latent",
        ).images
    finally:
        pipe.scheduler, pipe.unet, pipe.text_encoder = before
    with torch.no_grad():
        image = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    pixels = pipe.image_processor.postprocess(image, output_type="np")[0]
    return (pixels * 255).round().astype(np.uint8)


def decibels(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures."""
    assert pixels.shape == reference.shape
    assert reference.std() > 5  # a picture, not a flat field
    error = ((pixels.astype(float) - reference) ** 2).mean()
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def seen(model: Converted) -> tuple[Family, Attention, str]:
    info = inspect_model(model.folder)
    return info.family, info.attention, info.compression


def test_stable_diffusion_1_with_split_einsum() -> None:
    model = everything()
    assert seen(model) == (Family.SD1, Attention.SPLIT_EINSUM, "")
    assert decibels(picture(model.folder), expected("sd1-safety")) > 40


def test_stable_diffusion_2_with_v_prediction_and_split_einsum_v2() -> None:
    """24 × 24 latents: 576 queries, of which slices of 512 would lose the last 64."""
    kinds = (K.TEXT_ENCODER, K.UNET, K.VAE_DECODER)
    sizes = (ImageSize(192, 192),)
    v2 = Attention.SPLIT_EINSUM_V2
    model = converted("sd2v", "sd2-v", components=kinds, sizes=sizes, attention=v2)
    assert seen(model) == (Family.SD2, Attention.SPLIT_EINSUM_V2, "")
    assert load_sidecar(inspect_model(model.folder)).prediction_type == "v_prediction"
    assert min(model.psnr().values()) > 60
    assert decibels(picture(model.folder), expected("sd2-v", 192)) > 40


def test_stable_diffusion_xl_with_original_attention() -> None:
    model = xl()
    assert seen(model) == (Family.SDXL, Attention.ORIGINAL, "")
    assert decibels(picture(model.folder), expected("sdxl")) > 40


@pytest.mark.parametrize(
    ("kind", "attention", "latent"),
    [
        ("sd1", Attention.SPLIT_EINSUM_V2, 24),  # 576 queries again
        ("sd2", Attention.ORIGINAL, 8),
        ("sdxl", Attention.SPLIT_EINSUM, 8),
        ("sdxl", Attention.SPLIT_EINSUM_V2, 48),  # and here, at the second level
        ("sdxl-refiner", Attention.ORIGINAL, 8),
    ],
)
def test_other_forms_of_attention_of_each_family(
    kind: str, attention: Attention, latent: int
) -> None:
    """The UNet's package beside diffusers' network, where no other test has the pair."""
    unet = K.REFINER if kind == "sdxl-refiner" else K.UNET
    model = converted(
        f"{kind}-{attention}",
        kind,
        components=(unet,),
        sizes=(ImageSize(8 * latent, 8 * latent),),
        attention=attention,
        unet_batch=1,
    )
    assert seen(model)[1] is attention
    network = tiny_checkpoints.pipeline(kind).unet
    generator = torch.Generator().manual_seed(SEED)

    def half(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).half().float()

    sample, states = half(1, 4, latent, latent), half(1, 77, network.config.cross_attention_dim)
    inputs = {
        "sample": sample,
        "timestep": torch.full((1,), 741.0),
        "encoder_hidden_states": states.transpose(1, 2)[:, :, None],
    }
    added = {}
    if kind.startswith("sdxl"):
        sizes = [192.0, 160.0, 8.0, 16.0, *([2.5] if unet is K.REFINER else [128.0, 192.0])]
        added = {"time_ids": torch.tensor([sizes]), "text_embeds": half(1, 48)}
    with torch.no_grad():
        want = network(sample, 741, states, added_cond_kwargs=added, return_dict=False)[0].numpy()
    arrays = {name: value.numpy() for name, value in {**inputs, **added}.items()}
    result = run(model, "*.mlpackage", arrays)["noise_pred"]
    assert want.std() > 0.1
    assert 10 * np.log10(np.abs(want).max() ** 2 / ((result - want) ** 2).mean()) > 60


def completed(model: Converted, folder: Path) -> Path:
    """The packages of `model`, and what it lacks from the complete conversion."""
    shutil.copytree(model.folder, folder)
    made = {kind for kind, part in inspect_model(folder).components.items() if part.files}
    for kind, part in inspect_model(everything().folder).components.items():
        if kind not in made and kind is not K.CONTROL_UNET:
            (package,) = part.files
            shutil.copytree(package, folder / package.name)
    return folder


def test_a_compressed_unet_in_two_chunks(tmp_path: Path) -> None:
    """The picture is another one's near relative: palettes of 6 bits cost something."""
    halves = chunks()
    folder = completed(halves, tmp_path / "model")
    info = inspect_model(folder)
    assert (info.attention, info.compression) == (Attention.SPLIT_EINSUM, "6-bit palette")
    assert len(info.components[K.UNET].files) == 2
    (parity,) = halves.report.parities
    assert 35 < parity.psnr < 60
    assert parity.warning == ""
    assert decibels(picture(folder), expected("sd1-safety")) > 22


def test_a_lora_is_fused_in(tmp_path: Path) -> None:
    """diffusers' own network with up · down · scale added to each weight, as LoRA defines it."""
    scale = 0.7
    factors = lora_factors("sd1-safety", conv=False)
    path = save_lora("sd1-safety", tmp_path / "ink.safetensors", factors=factors)
    model = converted(
        "sd1-lora",
        "sd1-safety",
        components=(K.TEXT_ENCODER, K.UNET),
        attention=Attention.ORIGINAL,
        loras=(Lora(str(path), scale),),
    )
    pipe = tiny_checkpoints.pipeline("sd1-safety")
    changed = {part: copy.deepcopy(getattr(pipe, part)) for part in ("unet", "text_encoder")}
    for name, (down, up) in factors.items():
        part, _, module = name.partition(".")
        layer = changed[part].get_submodule(module)
        added = scale * (up.flatten(1) @ down.flatten(1))
        layer.weight.data += added.reshape(layer.weight.shape)
    reference = expected("sd1-safety", **changed)
    assert decibels(picture(completed(model, tmp_path / "model")), reference) > 40
    assert decibels(expected("sd1-safety"), reference) < 35  # it does change the picture
    assert load_sidecar(inspect_model(model.folder)).extra["conversion"]["loras"] == [
        {"name": "ink", "scale": scale}
    ]


def test_a_controlnet_steers_the_unet_made_for_it() -> None:
    """Both packages one after the other, beside diffusers' two networks."""
    model = everything()
    pipe = tiny_checkpoints.pipeline("sd1-safety")
    control = tiny_checkpoints.controlnet("sd1-safety")
    generator = torch.Generator().manual_seed(SEED)

    def half(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).half().float()

    sample, states = half(2, 4, 8, 8), half(2, 77, 64)
    edges = torch.rand(2, 3, 64, 64, generator=generator).half().float()
    with torch.no_grad():
        down, middle = control(sample, 501, states, controlnet_cond=edges, return_dict=False)
        want = pipe.unet(
            sample,
            501,
            states,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0].numpy()
        without = pipe.unet(sample, 501, states, return_dict=False)[0].numpy()
    common = {
        "sample": sample.numpy(),
        "timestep": np.full(2, 501, np.float32),
        "encoder_hidden_states": states.numpy().transpose(0, 2, 1)[:, :, None],
    }
    residuals = run(model, "ControlNet_*", {**common, "controlnet_cond": edges.numpy()})
    result = run(model, "*_control-unet.mlpackage", {**common, **residuals})["noise_pred"]
    peak = np.abs(want).max()
    assert 10 * np.log10(peak**2 / ((result - want) ** 2).mean()) > 55
    assert 10 * np.log10(peak**2 / ((without - want) ** 2).mean()) < 40  # it does steer


def run(model: Converted, pattern: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    (package,) = model.folder.glob(pattern)
    component = inspect_component(package)
    return PortableRuntime().load(component, ComputeUnit.CPU_ONLY)(inputs)
