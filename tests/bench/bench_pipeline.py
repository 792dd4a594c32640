"""The pipeline's own time per step: everything but the networks.

Networks that answer at once with constant arrays of Stable Diffusion 1's shapes (64 × 64 latents,
batch 2) stand in for the model; guidance and previews are on.  The least loop there can be
(guidance and the scheduler's step alone) is measured beside it.  One thread; processor time, so
that other loads on the machine do not count.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gui.coreml.model import (
    Attention,
    ComponentInfo,
    ComponentKind,
    Family,
    FileFormat,
    ModelInfo,
    TensorSpec,
)
from gui.coreml.sidecar import Sidecar
from gui.pipeline.pipeline import Hooks, Pipeline
from gui.request import ComputeUnit, PictureRequest, RandomSource

BUDGET_MS = 3.0
STEPS = 30
ROUNDS = 5
LATENT = 64
SCHEDULERS = ("DPM++ 2M Karras", "Euler a", "PNDM", "UniPC")
_SHAPES: dict[ComponentKind, tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = {
    ComponentKind.TEXT_ENCODER: (
        {"input_ids": (1, 77)},
        {"last_hidden_state": (1, 77, 768), "pooled_outputs": (1, 768)},
    ),
    ComponentKind.UNET: (
        {
            "sample": (2, 4, LATENT, LATENT),
            "timestep": (2,),
            "encoder_hidden_states": (2, 768, 1, 77),
        },
        {"noise_pred": (2, 4, LATENT, LATENT)},
    ),
    ComponentKind.VAE_DECODER: (
        {"z": (1, 4, LATENT, LATENT)},
        {"image": (1, 3, 8 * LATENT, 8 * LATENT)},
    ),
}


class _Constant:
    """A network that costs nothing."""

    def __init__(self, component: ComponentInfo, outputs: dict[str, tuple[int, ...]]) -> None:
        rng = np.random.default_rng(0)
        self.inputs: Mapping[str, TensorSpec] = {t.name: t for t in component.inputs}
        self.outputs: Mapping[str, TensorSpec] = {t.name: t for t in component.outputs}
        self._answers = {n: rng.normal(size=s).astype(np.float32) for n, s in outputs.items()}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(self._answers)

    def close(self) -> None: ...


class _Runtime:
    name = "constant"

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> _Constant:
        return _Constant(component, _SHAPES[component.kind][1])


def _pipeline() -> Pipeline:
    components = {
        kind: ComponentInfo(
            kind=kind,
            files=(Path(kind.value),),
            format=FileFormat.PACKAGE,
            inputs=tuple(TensorSpec(n, "fp32", s) for n, s in inputs.items()),
            outputs=tuple(TensorSpec(n, "fp32", s) for n, s in outputs.items()),
        )
        for kind, (inputs, outputs) in _SHAPES.items()
    }
    model = ModelInfo(
        folder=Path("constant"),
        name="constant",
        components=components,
        controlnets=(),
        family=Family.SD1,
        attention=Attention.ORIGINAL,
        compression="",
        latent_channels=4,
        latent_height=LATENT,
        latent_width=LATENT,
        image_height=8 * LATENT,
        image_width=8 * LATENT,
        unet_batch=2,
        context_channels=768,
        minimum_macos="13",
        size_bytes=0,
    )
    return Pipeline(model, Sidecar(Family.SD1), _Runtime(), ComputeUnit.ALL, "0" * 10)


def _per_step(pipeline: Pipeline, scheduler: str) -> float:
    """Milliseconds per step, between the first step reported and the last."""
    times: list[float] = []
    hooks = Hooks(on_step=lambda *_: times.append(time.process_time()))
    request = PictureRequest(
        "a cat",
        "m",
        steps=STEPS,
        guidance_scale=7.5,
        scheduler=scheduler,
        random_source=RandomSource.TORCH,
    )
    list(pipeline.generate(request, hooks))
    return (times[-1] - times[0]) / (len(times) - 1) * 1000


def _least_per_step(scheduler: Any) -> float:
    """The same steps in a bare loop over diffusers' scheduler, without previews."""
    answer = torch.randn(2, 4, LATENT, LATENT)
    times: list[float] = []
    scheduler.set_timesteps(STEPS)
    latents = torch.randn(1, 4, LATENT, LATENT) * scheduler.init_noise_sigma
    with torch.no_grad():
        for t in scheduler.timesteps:
            scheduler.scale_model_input(torch.cat([latents] * 2), t)
            without, with_ = answer.chunk(2)
            guided = without + 7.5 * (with_ - without)
            latents = scheduler.step(guided, t, latents, return_dict=False)[0]
            times.append(time.process_time())
    return (times[-1] - times[0]) / (len(times) - 1) * 1000


def _import_seconds(code: str) -> float:
    """Best of three fresh processes."""
    program = f"import torch, time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    command = [sys.executable, "-W", "ignore", "-c", program]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def run() -> list[dict[str, Any]]:
    from gui.pipeline.schedulers import make_scheduler

    torch.set_num_threads(1)
    pipeline = _pipeline()
    pipeline.load()
    rows: list[dict[str, Any]] = []
    for name in SCHEDULERS:
        own, rival = [], []
        _per_step(pipeline, name)  # warm up
        for _ in range(ROUNDS):
            own.append(_per_step(pipeline, name))
            rival.append(_least_per_step(make_scheduler(name, Sidecar(Family.SD1))))
        least = statistics.median(rival)
        rows.append(
            {
                "name": f"pipeline's own time per step, {name}",
                "value": round(statistics.median(own), 3),
                "unit": "ms",
                "budget": BUDGET_MS,
                "note": f"median of {ROUNDS}; the scheduler in a bare loop: {least:.2f} ms",
            }
        )
    lean = _import_seconds(
        "from gui.pipeline.schedulers import make_scheduler as m;"
        " from gui.coreml.sidecar import Sidecar as S; m('Euler', S('sd1'))"
    )
    plain = _import_seconds("from diffusers import EulerDiscreteScheduler")
    rows.append(
        {
            "name": "import of a scheduler ÷ diffusers' own import of it",
            "value": round(lean / plain, 3),
            "unit": "×",
            "budget": 1.0,
            "note": f"{lean:.2f} s beside {plain:.2f} s, torch already imported",
        }
    )
    return rows
