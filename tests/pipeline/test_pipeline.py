"""What a person notices of the pipeline: pictures alone reproducible, steps counted as asked,
cancelling at once, records that say everything, errors in one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import torch

from gui.coreml.model import ComponentKind, Family, ModelInfo, TensorSpec
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import (
    Composition,
    ComputeUnit,
    Enlargement,
    PictureRecord,
    PictureRequest,
    RandomSource,
)
from gui.scheduler_names import SCHEDULER_NAMES
from tests.support.torch_runtime import TorchRuntime, torch_pipeline

Pipes = Callable[[str], Any]


@pytest.fixture
def made(diffusers_pipe: Pipes) -> tuple[Pipeline, TorchRuntime]:
    return torch_pipeline("sd1", diffusers_pipe("sd1"))


def asked(**changes: Any) -> PictureRequest:
    base = {"prompt": "a red apple", "model": "m", "steps": 3, "scheduler": "Euler a"}
    return PictureRequest(**{**base, **changes})


def pixels_of(pipeline: Pipeline, request: PictureRequest) -> list[np.ndarray]:
    return [picture.pixels for picture in pipeline.generate(request, Hooks())]


@pytest.mark.parametrize("source", list(RandomSource))
def test_each_picture_is_reproducible_alone(
    made: tuple[Pipeline, TorchRuntime], source: RandomSource
) -> None:
    """Picture k of a batch is the picture of seed + k, whatever was made before it, also with a
    scheduler that draws noise at each step; the seed wraps at 2³²."""
    pipeline, _ = made
    batch = asked(seed=2**32 - 1, count=3, random_source=source)
    together = pixels_of(pipeline, batch)
    for seed, pixels in zip((2**32 - 1, 0, 1), together, strict=True):
        (alone,) = pixels_of(pipeline, asked(seed=seed, random_source=source))
        np.testing.assert_array_equal(alone, pixels)
    assert not np.array_equal(together[0], together[1])


def test_random_sources_make_different_pictures(made: tuple[Pipeline, TorchRuntime]) -> None:
    pictures = [pixels_of(made[0], asked(random_source=s))[0] for s in RandomSource]
    for n, pixels in enumerate(pictures):
        assert not np.array_equal(pixels, pictures[n - 1])


@pytest.mark.parametrize("name", [s.name for s in SCHEDULER_NAMES])
def test_steps_are_counted_as_asked(made: tuple[Pipeline, TorchRuntime], name: str) -> None:
    """Second-order schedulers and PNDM run the UNet more often; the person sees their own steps,
    each once, with a preview; and the network's work is what the list of schedulers says."""
    pipeline, runtime = made
    seen: list[tuple[int, int, int]] = []
    previews: list[np.ndarray] = []

    def on_step(index: int, step: int, steps: int, preview: np.ndarray | None) -> None:
        seen.append((index, step, steps))
        assert preview is not None
        previews.append(preview)

    request = asked(scheduler=name, steps=5, guidance_scale=1.0)
    list(pipeline.generate(request, Hooks(on_step=on_step)))
    assert seen == [(0, n, 5) for n in range(1, 6)]
    assert all(p.shape == (8, 8, 3) and p.dtype == np.uint8 for p in previews)
    entry = next(s for s in SCHEDULER_NAMES if s.name == name)
    assert abs(runtime.loaded[ComponentKind.UNET].calls - 5 * entry.unet_calls_per_step) <= 1


class SoftDecoder:
    """Stands in for a trained decoder, whose colours follow its latents (an untrained one's do
    not): a saturating mix of channels, enlarged."""

    def __init__(self, model: Any) -> None:
        self.inputs, self.outputs = model.inputs, model.outputs
        self.calls = 0
        self._mix = np.random.default_rng(4).normal(size=(4, 3)) * 0.1

    def __call__(self, arrays: Any) -> dict[str, np.ndarray]:
        self.calls += 1
        colours = np.tanh(np.einsum("bchw,cr->brhw", arrays["z"], self._mix) + 0.2)
        return {"image": np.kron(colours, np.ones((1, 1, 8, 8))).astype(np.float32)}

    def close(self) -> None: ...


def test_the_preview_resembles_the_picture(diffusers_pipe: Pipes) -> None:
    """With no published map one is fitted, once; the last preview then looks like the picture."""
    pipeline, _ = torch_pipeline("sd1", diffusers_pipe("sd1"), scaling_factor=0.9)
    pipeline.load()
    decoder = SoftDecoder(pipeline._networks.loaded[ComponentKind.VAE_DECODER])
    pipeline._networks.loaded[ComponentKind.VAE_DECODER] = decoder
    previews: list[np.ndarray | None] = []
    hooks = Hooks(on_step=lambda *a: previews.append(a[3]))
    (picture,) = pipeline.generate(asked(scheduler="DDIM", steps=4), hooks)
    assert pipeline.preview_was_fitted
    last = previews[-1]
    assert last is not None
    small = picture.pixels[::8, ::8]
    for colour in range(3):
        assert np.corrcoef(last[..., colour].ravel(), small[..., colour].ravel())[0, 1] > 0.85
    fitting = decoder.calls - 1
    list(pipeline.generate(asked(), Hooks()))
    assert decoder.calls == fitting + 2
    # the next start finds it
    again, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), scaling_factor=0.9)
    list(again.generate(asked(), Hooks()))
    assert again.preview == pipeline.preview
    assert runtime.loaded[ComponentKind.VAE_DECODER].calls == 1
    # so does a sidecar's own
    kept, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), preview=pipeline.preview)
    list(kept.generate(asked(), Hooks()))
    assert not kept.preview_was_fitted
    assert runtime.loaded[ComponentKind.VAE_DECODER].calls == 1


def test_no_previews_when_not_wanted(diffusers_pipe: Pipes) -> None:
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), scaling_factor=0.2)
    seen: list[np.ndarray | None] = []
    list(pipeline.generate(asked(previews=False), Hooks(on_step=lambda *a: seen.append(a[3]))))
    assert seen == [None] * 3
    assert runtime.loaded[ComponentKind.VAE_DECODER].calls == 1


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("after", range(8))
def test_cancelling_runs_no_further_network(diffusers_pipe: Pipes, batch: int, after: int) -> None:
    """Whenever it comes, not one network is run after `cancelled` first says yes."""
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), unet_batch=batch)
    pipeline.load()

    def calls() -> int:
        return sum(model.calls for model in runtime.loaded.values())

    hooks = Hooks(cancelled=lambda: calls() >= after)
    with pytest.raises(Cancelled):
        list(pipeline.generate(asked(count=2, steps=2, guidance_scale=5.0), hooks))
    assert calls() == after
    assert len(pixels_of(pipeline, asked())) == 1  # and it works again at once


def test_the_record_says_everything(diffusers_pipe: Pipes) -> None:
    pipeline, _ = torch_pipeline("sd2v", diffusers_pipe("sd2v"))
    request = PictureRequest("a cat", "some/folder", seed=7, count=2)
    _, second = pipeline.generate(request, Hooks())
    record = second.record
    assert record.request == replace(
        request,
        seed=8,
        count=1,
        scheduler="DDIM",
        steps=10,
        guidance_scale=5.0,
        compute_unit=ComputeUnit.CPU_ONLY,
        enlargement=Enlargement.OFF,
        composition=Composition.MODEL,
    )
    assert (record.width, record.height) == (96, 64)
    assert second.pixels.shape == (64, 96, 3)
    assert record.model_name == "Tiny sd2v"
    assert record.safety == "absent"
    assert record.notes == ()
    assert record.seconds > 0
    assert record.program.startswith("Sfumato ")
    assert datetime.fromisoformat(record.created).tzinfo is not None
    assert PictureRecord.from_json(record.to_json()) == record
    again = next(pipeline.generate(record.request, Hooks()))
    np.testing.assert_array_equal(again.pixels, second.pixels)


def test_networks_are_loaded_once_and_only_when_needed(diffusers_pipe: Pipes) -> None:
    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), safety=True)
    told: list[tuple[str, int, int]] = []
    pipeline.load(lambda *a: told.append(a), asked(safety_checker=False))
    assert told == [("text_encoder", 0, 3), ("unet", 1, 3), ("vae_decoder", 2, 3)]
    first = dict(runtime.loaded)
    list(pipeline.generate(asked(safety_checker=True), Hooks()))
    assert told[3:] == [("safety_checker", 0, 1)]
    pipeline.load()
    assert told[4:] == [("vae_encoder", 0, 1)]
    assert all(runtime.loaded[kind] is model for kind, model in first.items())
    pipeline.close()
    with pytest.raises(AssertionError, match="called after close"):
        runtime.loaded[ComponentKind.UNET]._network({})
    assert len(pixels_of(pipeline, asked())) == 1  # loads again


class Broken:
    """A network that answers with what float16 makes of numbers too large."""

    def __init__(self, model: Any) -> None:
        self.inputs, self.outputs = model.inputs, model.outputs
        self._model = model

    def __call__(self, arrays: Any) -> dict[str, np.ndarray]:
        return {k: np.full_like(v, np.nan) for k, v in self._model(arrays).items()}

    def close(self) -> None: ...


@pytest.mark.parametrize("kind", [ComponentKind.UNET, ComponentKind.VAE_DECODER])
def test_overflow_is_an_error_not_a_black_picture(
    made: tuple[Pipeline, TorchRuntime], kind: ComponentKind
) -> None:
    pipeline, _ = made
    pipeline.load()
    pipeline._networks.loaded[kind] = Broken(pipeline._networks.loaded[kind])
    with pytest.raises(SfumatoError, match="out of range") as caught:
        list(pipeline.generate(asked(), Hooks()))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scheduler": "Eulr"}, "no scheduler called “Eulr”. Did you mean Euler"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295"),
        ({"seed": -1}, "seed"),
        ({"steps": 0}, "steps"),
        ({"count": 0}, "number of pictures"),
        ({"guidance_scale": float("nan")}, "guidance scale"),
        ({"scheduler": "LCM", "steps": 60}, "LCM cannot make a picture in 60 steps; try fewer"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_loaded(
    made: tuple[Pipeline, TorchRuntime], changes: dict[str, Any], sentence: str
) -> None:
    pipeline, runtime = made
    with pytest.raises(SfumatoError, match=sentence) as caught:
        list(pipeline.generate(asked(**changes), Hooks()))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert runtime.loaded == {}


def rebuilt(pipeline: Pipeline, model: ModelInfo, **sidecar: Any) -> Pipeline:
    described = replace(pipeline.sidecar, **sidecar)
    return Pipeline(model, described, pipeline._runtime, ComputeUnit.ALL, "hash")


def without(model: ModelInfo, kind: ComponentKind) -> ModelInfo:
    return replace(model, components={k: c for k, c in model.components.items() if k is not kind})


def reshaped(model: ModelInfo, kind: ComponentKind, name: str, shape: tuple[int, ...]) -> ModelInfo:
    """`model` with one input of one component described otherwise."""
    component = model.components[kind]
    inputs = tuple(
        TensorSpec(name, t.dtype, shape) if t.name == name else t for t in component.inputs
    )
    changed = dataclasses.replace(component, inputs=inputs)
    return replace(model, components={**model.components, kind: changed})


@pytest.mark.parametrize(
    ("damage", "kind", "sentence"),
    [
        (lambda m: replace(m, problems=("The UNet is cut off.",)), "bad-model", "is cut off"),
        (lambda m: replace(m, family=Family.SD3), "unsupported", "cannot be run yet"),
        (lambda m: without(m, ComponentKind.UNET), "bad-model", "has no UNet"),
        (lambda m: without(m, ComponentKind.TEXT_ENCODER), "bad-model", "no text encoder"),
        (lambda m: without(m, ComponentKind.VAE_DECODER), "bad-model", "no VAE decoder"),
        (
            lambda m: reshaped(m, ComponentKind.VAE_DECODER, "z", (1, 4, 64, 64)),
            "bad-model",
            "do not belong together",
        ),
    ],
)
def test_models_that_cannot_be_used(
    made: tuple[Pipeline, TorchRuntime],
    damage: Callable[[ModelInfo], ModelInfo],
    kind: str,
    sentence: str,
) -> None:
    with pytest.raises(SfumatoError, match=sentence) as caught:
        rebuilt(made[0], damage(made[0].model))
    assert caught.value.kind == kind


def test_a_text_encoder_of_another_family(made: tuple[Pipeline, TorchRuntime]) -> None:
    shape = (2, 2048, 1, 77)
    model = reshaped(made[0].model, ComponentKind.UNET, "encoder_hidden_states", shape)
    with pytest.raises(SfumatoError, match="do not belong together") as caught:
        list(rebuilt(made[0], model).generate(asked(), Hooks()))
    assert caught.value.kind is ErrorKind.BAD_MODEL


def test_an_input_nobody_knows(made: tuple[Pipeline, TorchRuntime]) -> None:
    unet = made[0].model.components[ComponentKind.UNET]
    odd = replace(unet, inputs=(*unet.inputs, TensorSpec("ip_hidden_states", "fp16", (2, 4))))
    components = {**made[0].model.components, ComponentKind.UNET: odd}
    with pytest.raises(SfumatoError, match="ip_hidden_states") as caught:
        pipeline = rebuilt(made[0], replace(made[0].model, components=components))
        list(pipeline.generate(asked(), Hooks()))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_flow_models_are_not_run_as_something_else(made: tuple[Pipeline, TorchRuntime]) -> None:
    with pytest.raises(SfumatoError, match="cannot be run yet"):
        rebuilt(made[0], made[0].model, prediction_type="flow_prediction")


def test_wide_latents_with_shift(diffusers_pipe: Pipes) -> None:
    """A model of another autoencoder: scale and shift come from the sidecar alone."""
    pipe = diffusers_pipe("sd1")
    pipeline, runtime = torch_pipeline("sd1", pipe, scaling_factor=0.5, shift_factor=0.25)
    list(pipeline.generate(asked(previews=False, scheduler="DDIM"), Hooks()))
    shifted = runtime.loaded[ComponentKind.VAE_DECODER].last["z"]
    pipeline, runtime = torch_pipeline("sd1", pipe, scaling_factor=1.0)
    list(pipeline.generate(asked(previews=False, scheduler="DDIM"), Hooks()))
    plain = runtime.loaded[ComponentKind.VAE_DECODER].last["z"]
    np.testing.assert_allclose(shifted, plain / 0.5 + 0.25, rtol=1e-5, atol=1e-5)


def test_guidance_distilled_models_are_told_the_scale(diffusers_pipe: Pipes) -> None:
    """LCM's `timestep_cond`: diffusers' embedding of w − 1, one row, no negative prompt."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

    pipe = diffusers_pipe("sd1")
    pipeline, runtime = torch_pipeline("sd1", pipe, unet_batch=1)
    unet = pipeline.model.components[ComponentKind.UNET]
    taught = replace(unet, inputs=(*unet.inputs, TensorSpec("timestep_cond", "fp32", (1, 256))))
    components = {**pipeline.model.components, ComponentKind.UNET: taught}
    pipeline = rebuilt(pipeline, replace(pipeline.model, components=components))
    request = asked(scheduler="LCM", guidance_scale=8.0, negative_prompt="blurry")
    (picture,) = pipeline.generate(request, Hooks())
    model = runtime.loaded[ComponentKind.UNET]
    assert model.calls == 3
    expected = StableDiffusionPipeline.get_guidance_scale_embedding(
        pipe, torch.tensor([7.0]), embedding_dim=256
    )
    np.testing.assert_allclose(model.last["timestep_cond"], expected, atol=1e-3)
    assert picture.record.notes == ("The negative prompt had no effect: this model takes none.",)
