"""Memory: one stage's networks at a time where it is short, and encodings that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.runtime import LoadedModel
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource
from tests.support.torch_runtime import torch_pipeline

K = ComponentKind
Pipes = Callable[[str], Any]


class Watched:
    """A runtime that knows which networks are loaded now, and were run."""

    name = "watched"

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self.now: set[ComponentKind] = set()
        self.history: list[ComponentKind] = []
        self.runs: list[ComponentKind] = []
        self.most = 0

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        model = self._runtime.load(component, compute_unit)
        self.now.add(component.kind)
        self.history.append(component.kind)
        self.most = max(self.most, len(self.now))
        run, close = model.__call__, model.close
        kind = component.kind
        watched = self

        class Network:
            inputs, outputs = model.inputs, model.outputs

            def __call__(self, arrays: Any) -> dict[str, np.ndarray]:
                watched.runs.append(kind)
                return run(arrays)

            def close(self) -> None:
                watched.now.discard(kind)
                close()

        return Network()


def opened(kind: str, pipe: Any, *, sparing: bool) -> tuple[Pipeline, Watched]:
    pipeline, runtime = torch_pipeline(kind, pipe)
    watched = Watched(runtime)
    model, sidecar = pipeline.model, pipeline.sidecar
    return (
        Pipeline(model, sidecar, watched, ComputeUnit.ALL, "hash", sparing=sparing),
        watched,
    )


def asked(**changes: Any) -> PictureRequest:
    values: dict[str, Any] = {
        "negative_prompt": "blurry", "steps": 3, "guidance_scale": 5.0, "scheduler": "DDIM",
        "seed": 4, "random_source": RandomSource.TORCH, "previews": False,
    }  # fmt: skip
    return PictureRequest("a red apple", "m", **(values | changes))


def made(pipeline: Pipeline, request: PictureRequest) -> list[np.ndarray]:
    return [picture.pixels for picture in pipeline.generate(request, Hooks())]


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_one_stage_at_a_time_is_in_memory_and_the_pictures_are_the_same(
    diffusers_pipe: Pipes, kind: str
) -> None:
    plain, beside = opened(kind, diffusers_pipe(kind), sparing=False)
    request = asked(count=2)
    expected = made(plain, request)
    sparing, watched = opened(kind, diffusers_pipe(kind), sparing=True)
    sparing.load(request=request)
    assert watched.history == [], "each is loaded when it is run"
    assert all(np.array_equal(a, b) for a, b in zip(expected, made(sparing, request), strict=True))
    texts = [K.TEXT_ENCODER, K.TEXT_ENCODER_2][: 2 if kind == "sdxl" else 1]
    checker = [K.SAFETY_CHECKER] if K.SAFETY_CHECKER in sparing.model.components else []
    picture = [K.UNET, K.VAE_DECODER, *checker]
    assert watched.history == [*texts, *picture, *picture]
    assert watched.most == len(texts) and beside.most == len(texts) + len(picture)
    assert watched.runs == beside.runs
    sparing.close()
    assert watched.now == set()


def test_a_prompt_that_is_known_needs_no_text_encoder(diffusers_pipe: Pipes) -> None:
    pipeline, watched = opened("sdxl", diffusers_pipe("sdxl"), sparing=True)
    first = made(pipeline, asked())
    watched.history.clear()
    assert np.array_equal(made(pipeline, asked())[0], first[0])
    assert K.TEXT_ENCODER not in watched.history and K.UNET in watched.history


def test_encodings_are_kept_between_requests(diffusers_pipe: Pipes) -> None:
    """By prompt, and by clip skip: what another picture needs anew is made anew."""
    pipeline, watched = opened("sd1", diffusers_pipe("sd1"), sparing=False)

    def runs(request: PictureRequest) -> int:
        watched.runs.clear()
        pixels = made(pipeline, request)[0]
        fresh, _ = opened("sd1", diffusers_pipe("sd1"), sparing=False)
        assert np.array_equal(pixels, made(fresh, request)[0])
        return watched.runs.count(K.TEXT_ENCODER)

    assert runs(asked()) == 2
    assert runs(asked(seed=5, steps=2)) == 0
    assert runs(replace(asked(), prompt="a green pear")) == 1
    assert runs(replace(asked(), prompt="a (green:1.3) pear")) == 1
    assert runs(replace(asked(), prompt="a green pear", negative_prompt="a red apple")) == 0
    assert runs(asked(clip_skip=2)) in (0, 2)  # where the encoder offers that layer


def test_only_the_latest_encodings_stay(
    diffusers_pipe: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gui.pipeline.text._KEPT", 2)
    pipeline, watched = opened("sd1", diffusers_pipe("sd1"), sparing=False)
    for prompt in ("one", "two", "one"):
        made(pipeline, replace(asked(), prompt=prompt))
    assert watched.runs.count(K.TEXT_ENCODER) == 4  # the negative prompt's once
