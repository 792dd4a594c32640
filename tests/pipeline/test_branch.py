"""Branching from a step: the same beginning to the last digit, another way from there on.

Judged by loops written here over diffusers' schedulers and networks, and by a network whose
pictures are known beforehand.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gui import records
from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import ComponentKind, Family
from gui.coreml.runtime import default_runtime
from gui.coreml.sidecar import Sidecar
from gui.errors import ErrorKind, SfumatoError
from gui.paths import starter_model
from gui.pipeline.course import Turn, branch_off, walk, way
from gui.pipeline.pipeline import GeneratedPicture, Hooks, Pipeline
from gui.pipeline.schedulers import make_scheduler, set_steps
from gui.request import ComputeUnit, PictureRequest, RandomSource, StartImage
from gui.scheduler_names import SCHEDULER_NAMES
from tests.pipeline.reference import diffusers_scheduler, seeded, sigmas_of
from tests.pipeline.test_parity import LATENT_TOLERANCE, NEGATIVE, PROMPT, SEED, request
from tests.support.tiny_networks import SHAPES
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]
OTHER = "a green pear in the rain"


class Made:
    """A picture with everything that was seen of it."""

    def __init__(self, pipeline: Pipeline, asked: PictureRequest) -> None:
        self.previews: list[np.ndarray] = []
        self.steps: list[tuple[int, int]] = []
        hooks = Hooks(on_step=self._on_step)
        self.picture: GeneratedPicture
        (self.picture,) = pipeline.generate(replace(asked, previews=True), hooks)
        self.pixels = self.picture.pixels
        self.request = self.picture.record.request

    def _on_step(self, _index: int, step: int, steps: int, preview: np.ndarray | None) -> None:
        assert preview is not None
        self.previews.append(preview)
        self.steps.append((step, steps))

    def same_until(self, other: Made) -> int:
        """How many previews from the first one on are the same."""
        pairs = zip(self.previews, other.previews, strict=False)
        return sum(1 for _ in itertools.takewhile(lambda p: (p[0] == p[1]).all(), pairs))


@pytest.fixture
def sd1(diffusers_pipe: Pipes) -> Pipeline:
    return torch_pipeline("sd1", diffusers_pipe("sd1"))[0]


# -- nothing is changed -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [n.name for n in SCHEDULER_NAMES if "Karras" not in n.name])
def test_unchanged_it_is_the_same_picture(sd1: Pipeline, name: str) -> None:
    first = Made(sd1, request(scheduler=name, steps=4))
    again = Made(sd1, first.request.branched(2))
    assert (again.pixels == first.pixels).all()
    assert again.steps == first.steps == [(k, 4) for k in range(1, 5)]
    assert again.same_until(first) == 4
    assert again.picture.record.provenance.sketch == first.picture.record.provenance.sketch


@pytest.mark.parametrize("kind", ["sd2v", "sdxl"])
def test_other_families(diffusers_pipe: Pipes, kind: str) -> None:
    pipeline, _ = torch_pipeline(kind, diffusers_pipe(kind))
    first = Made(pipeline, request(scheduler="DPM++ 2M Karras", steps=4))
    assert (Made(pipeline, first.request.branched(3)).pixels == first.pixels).all()
    other = Made(pipeline, replace(first.request, prompt=OTHER).branched(1))
    assert (other.pixels != first.pixels).any()


@pytest.mark.parametrize("name", ["Euler a", "Heun", "PNDM", "DPM++ 2M SDE"])
def test_from_a_starting_picture(
    diffusers_pipe: Pipes, sd1: Pipeline, tmp_path: Path, name: str
) -> None:
    height, width = (8 * n for n in SHAPES["sd1"].latent)
    Image.new("RGB", (width, height), "#c04020").save(tmp_path / "start.png")
    start = StartImage(str(tmp_path / "start.png"), 0.7)
    first = Made(sd1, request(scheduler=name, steps=6, start_image=start))
    again = Made(sd1, first.request.branched(2))
    assert (again.pixels == first.pixels).all() and again.steps == first.steps
    elsewhere = replace(first.request.branched(2), start_image=None)
    assert Made(sd1, elsewhere).request.start_image == start, "its beginning is what it was"


@pytest.mark.parametrize("tiny", ["tiny_sd1", "starter"])
def test_on_real_packages(request: pytest.FixtureRequest, tiny: str) -> None:
    """Core ML files on the portable runtime: the starter model, and a tiny one."""
    starter = tiny == "starter"
    folder = starter_model() if starter else request.getfixturevalue(tiny).folder
    info = inspect_model(folder)
    pipeline = Pipeline(info, load_sidecar(info), default_runtime(), ComputeUnit.ALL)
    asked = PictureRequest("a red apple on a blue background", "", steps=5, seed=3)
    first = Made(pipeline, asked)
    again = Made(pipeline, first.request.branched(3))
    assert (again.pixels == first.pixels).all()
    other = Made(pipeline, replace(first.request.branched(3), prompt="a boat"))
    assert other.same_until(first) == 3 and (other.pixels != first.pixels).any()


# -- something is changed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": OTHER},
        {"negative_prompt": ""},
        {"guidance_scale": 9.0},
        {"guidance_rescale": 0.7},
        {"seed": 77},
        {"random_source": RandomSource.NUMPY},
        {"variation_seed": 5, "variation_strength": 0.3},
        {"scheduler": "Euler a"},
        {"steps": 9},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_first_steps_are_the_same_and_the_others_not(
    sd1: Pipeline, change: dict[str, Any]
) -> None:
    first = Made(sd1, request(scheduler="DPM++ 2M Karras", steps=6))
    branch = Made(sd1, replace(first.request.branched(3), **change))
    assert branch.same_until(first) >= 3  # a small change may not show in the next one's bytes
    assert (branch.pixels != first.pixels).any()
    assert (Made(sd1, branch.request).pixels == branch.pixels).all(), "and again"
    assert branch.request.branch is not None and branch.request.branch.step == 3


def test_several_pictures_are_variations(sd1: Pipeline) -> None:
    first = Made(sd1, request(scheduler="DDIM", steps=4))
    hooks = Hooks()
    made = list(sd1.generate(replace(first.request.branched(2), count=3), hooks))
    assert (made[0].pixels == first.pixels).all(), "the first one has the seed that was"
    assert len({picture.pixels.tobytes() for picture in made}) == 3
    alone = Made(sd1, made[2].record.request)
    assert (alone.pixels == made[2].pixels).all(), "each is reproducible alone"


def test_a_branch_of_a_branch(sd1: Pipeline) -> None:
    first = Made(sd1, request(scheduler="Euler", steps=8))
    second = Made(sd1, replace(first.request.branched(3), prompt=OTHER, scheduler="Heun"))
    third = Made(sd1, replace(second.request.branched(6), guidance_scale=2.0))
    assert second.same_until(first) == 3 and third.same_until(second) == 6
    assert (Made(sd1, second.request.branched(6)).pixels == second.pixels).all()
    early = Made(sd1, replace(second.request.branched(2), prompt="a boat", scheduler="Euler"))
    expected = Made(sd1, replace(first.request.branched(2), prompt="a boat"))
    assert (early.pixels == expected.pixels).all(), "the branch at step 3 is never reached"
    assert len(third.request.lineage()) == 3


def test_at_the_place_where_another_branch_begins(sd1: Pipeline) -> None:
    first = Made(sd1, request(scheduler="Euler", steps=6))
    second = Made(sd1, replace(first.request.branched(3), scheduler="DPM++ 2M Karras"))
    total = second.steps[-1][1]
    for step in range(3, total):
        again = Made(sd1, second.request.branched(step))
        assert (again.pixels == second.pixels).all() and again.steps == second.steps, step


@pytest.mark.parametrize(("steps", "step"), [(4, 4), (4, 9), (1, 1)])
def test_a_step_that_there_is_not(sd1: Pipeline, steps: int, step: int) -> None:
    asked = request(scheduler="Euler", steps=steps).branched(step)
    with pytest.raises(SfumatoError) as caught:
        list(sd1.generate(asked, Hooks()))
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "; branch " in caught.value.message


# -- against loops written by hand ------------------------------------------------------------


class Reference:
    """diffusers' networks and schedulers, in loops of our own."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.shape = (1, 4, *SHAPES["sd1"].latent)

    @torch.no_grad()
    def embeds(self, prompt: str, negative: str) -> Tensor:
        positive, unwanted = self.pipe.encode_prompt(
            prompt, "cpu", 1, True, negative_prompt=negative
        )
        return torch.cat([unwanted, positive])

    @torch.no_grad()
    def noise_at(self, seen: Tensor, timestep: Any, embeds: Tensor, scale: float = 5.0) -> Tensor:
        rows = torch.cat([seen] * 2)
        out = self.pipe.unet(rows, timestep, encoder_hidden_states=embeds).sample
        unwanted, wanted = out.chunk(2)
        return unwanted + scale * (wanted - unwanted)

    def steps(self, scheduler: Any, latents: Tensor, timesteps: Any, embeds: Tensor, **extra: Any):
        """Run some of a scheduler's timesteps; the last x₀ too."""
        x0 = latents
        for timestep in timesteps:
            seen = scheduler.scale_model_input(latents, timestep)
            noise = self.noise_at(seen, timestep, embeds)
            alpha = alpha_of(float(timestep))
            x0 = (seen - (1 - alpha) ** 0.5 * noise) / alpha**0.5
            latents = scheduler.step(noise, timestep, latents, return_dict=False, **extra)[0]
        return latents, x0


def alpha_of(timestep: float) -> float:
    return float(1 / (1 + sigmas_of(np.array([timestep]))[0] ** 2))


@pytest.fixture
def reference(diffusers_pipe: Pipes) -> Reference:
    return Reference(diffusers_pipe("sd1"))


def latents_of(pipe: Any, asked: PictureRequest) -> np.ndarray:
    pipeline, runtime = torch_pipeline("sd1", pipe)
    (_,) = pipeline.generate(asked, Hooks())
    scaling: float = pipe.vae.config.scaling_factor
    return runtime.loaded[ComponentKind.VAE_DECODER].last["z"] * scaling


def assert_near(ours: np.ndarray, theirs: Tensor, tolerance: float = LATENT_TOLERANCE) -> None:
    expected = theirs.numpy()
    assert np.abs(ours - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", ["DPM++ 2M Karras", "Euler a", "DDIM", "UniPC"])
def test_another_prompt_is_prompt_editing(reference: Reference, name: str) -> None:
    """The scheduler goes on with its history, as web UIs do with ``[one:other:step]``."""
    scheduler = diffusers_scheduler(name)
    scheduler.set_timesteps(6)
    generator = seeded(SEED)
    latents = torch.randn(reference.shape, generator=generator) * scheduler.init_noise_sigma
    extra = {"generator": generator} if name == "Euler a" else {}
    ways = reference.embeds(PROMPT, NEGATIVE), reference.embeds(OTHER, NEGATIVE)
    latents, _ = reference.steps(scheduler, latents, scheduler.timesteps[:2], ways[0], **extra)
    latents, _ = reference.steps(scheduler, latents, scheduler.timesteps[2:], ways[1], **extra)
    asked = replace(request(scheduler=name, steps=6).branched(2), prompt=OTHER)
    assert_near(latents_of(reference.pipe, asked), latents)


def half_way(reference: Reference, name: str, steps: int, step: int) -> tuple[Tensor, Any, Tensor]:
    """Latents as the network would see them after a step, the next timestep, and the last x₀."""
    scheduler = diffusers_scheduler(name)
    scheduler.set_timesteps(steps)
    calls = step * scheduler.order + (name == "PNDM")
    latents = torch.randn(reference.shape, generator=seeded(SEED)) * scheduler.init_noise_sigma
    before = reference.embeds(PROMPT, NEGATIVE)
    latents, x0 = reference.steps(scheduler, latents, scheduler.timesteps[:calls], before)
    following = scheduler.timesteps[calls]
    return scheduler.scale_model_input(latents, following), following, x0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (old, new)
        for old in ("DDIM", "Heun", "PNDM", "LMS")
        for new in ("DDIM", "Euler", "DPM2", "PNDM")
        if old != new
    ],
)
def test_schedulers_that_share_their_levels_hand_over_at_them(
    reference: Reference, old: str, new: str
) -> None:
    seen, timestep, _ = half_way(reference, old, 6, 2)
    scheduler = diffusers_scheduler(new)
    scheduler.set_timesteps(6)
    if new == "PNDM":
        unique = torch.unique_consecutive(scheduler.timesteps)[2:]
        calls = torch.cat([unique[:2], unique[1:]])
    else:
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(2 * scheduler.order)
        calls = scheduler.timesteps[2 * scheduler.order :]
    assert float(calls[0]) == float(timestep)
    level = (1 / alpha_of(float(timestep)) - 1) ** 0.5
    latents = seen * (1 + level**2) ** 0.5 if new in ("Euler", "Heun", "DPM2") else seen
    after = reference.embeds(OTHER, "")
    latents, _ = reference.steps(scheduler, latents, calls, after)
    asked = request(scheduler=old, steps=6).branched(2)
    asked = replace(asked, scheduler=new, prompt=OTHER, negative_prompt="")
    assert_near(latents_of(reference.pipe, asked), latents, 1e-4)


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ("DDIM", "Euler Karras", 6),
        ("Euler", "DPM++ 2M", 6),
        ("DPM++ 2M Karras", "Euler", 6),
        ("PNDM", "Heun Karras", 5),
        ("LMS", "UniPC", 9),
        ("Euler", "Euler", 11),
    ],
)
def test_others_are_led_to_their_next_level_by_one_ddim_step(
    reference: Reference, old: str, new: str, steps: int
) -> None:
    seen, timestep, _ = half_way(reference, old, 6, 2)
    alpha = alpha_of(float(timestep))
    if "Karras" in old:  # its timesteps are rounded; the levels are Karras's own
        levels = diffusers_scheduler(old)
        levels.set_timesteps(6)
        alpha = 1 / (1 + float(levels.sigmas[2]) ** 2)
    scheduler = diffusers_scheduler(new)
    scheduler.set_timesteps(steps)
    begin = next(
        k
        for k in range(0, len(scheduler.timesteps), scheduler.order)
        if float(scheduler.sigmas[k]) < (1 / alpha - 1) ** 0.5 * 0.9999
    )
    sigma = float(scheduler.sigmas[begin])
    below = 1 / (1 + sigma**2)
    after = reference.embeds(OTHER, NEGATIVE)
    noise = reference.noise_at(seen, timestep, after)
    x0 = (seen - (1 - alpha) ** 0.5 * noise) / alpha**0.5
    seen = below**0.5 * x0 + (1 - below) ** 0.5 * noise
    scheduler.set_begin_index(begin)
    scaled = new.startswith(("Euler", "Heun"))
    latents = seen * (1 + sigma**2) ** 0.5 if scaled else seen
    latents, _ = reference.steps(scheduler, latents, scheduler.timesteps[begin:], after)
    asked = replace(request(scheduler=old, steps=6).branched(2), scheduler=new)
    asked = replace(asked, prompt=OTHER, steps=steps)
    assert_near(latents_of(reference.pipe, asked), latents, 1e-4)


def test_another_seed_draws_the_noise_that_is_left_anew(reference: Reference) -> None:
    _, timestep, x0 = half_way(reference, "DDIM", 6, 2)
    alpha = alpha_of(float(timestep))
    fresh = torch.randn(reference.shape, generator=seeded(99))
    latents = alpha**0.5 * x0 + (1 - alpha) ** 0.5 * fresh
    scheduler = diffusers_scheduler("DDIM")
    scheduler.set_timesteps(6)
    embeds = reference.embeds(PROMPT, NEGATIVE)
    latents, _ = reference.steps(scheduler, latents, scheduler.timesteps[2:], embeds)
    asked = replace(request(scheduler="DDIM", steps=6).branched(2), seed=99)
    assert_near(latents_of(reference.pipe, asked), latents, 1e-4)


# -- a network whose picture is known ---------------------------------------------------------

SETTLED = [n.name for n in SCHEDULER_NAMES if not n.draws_noise and n.name not in ("LCM", "TCD")]
"""Schedulers that add no noise of their own."""
SHAPE = (1, 4, 4, 4)
PICTURE, NOISE = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(0))


def known_way(old: str, new: str, step: int, steps: int) -> None:
    """A network that always predicts the same noise has one way: √ᾱ·picture + √(1−ᾱ)·noise, which
    every solver of any order walks exactly.  So each call must see exactly this, at its level."""
    seen: list[tuple[float, Tensor]] = []

    def predict(sample: Tensor, timestep: float) -> Tensor:
        seen.append((timestep, sample.clone()))
        return NOISE

    def turn(name: str, count: int) -> Turn:
        scheduler = make_scheduler(name, Sidecar(Family.SD1))
        set_steps(scheduler, name, count)
        return Turn(predict, scheduler, PictureRequest("", "", scheduler=name, steps=count))

    first = turn(old, 8)
    stages = way([first], SHAPE, "epsilon")
    (leg,) = stages[0].legs
    scale = copy.deepcopy(leg.scheduler).scale_model_input(torch.ones(1), leg.timesteps[0])
    start = (leg.alpha**0.5 * PICTURE + (1 - leg.alpha) ** 0.5 * NOISE) / scale
    stages = branch_off(stages, step, turn(new, steps), SHAPE, "epsilon")
    told: list[int] = []
    result = walk(stages, start, "epsilon", lambda _: None, lambda done, _: told.append(done))
    what = f"{old} → {new} after {step}"
    for timestep, sample in seen:
        basis = torch.stack([PICTURE.flatten(), NOISE.flatten()], 1)
        parts = torch.linalg.lstsq(basis, sample.flatten()[:, None]).solution
        assert torch.allclose(basis @ parts, sample.flatten()[:, None], atol=1e-3), what
        signal, level = float(parts[0]), float(parts[1])
        assert signal**2 + level**2 == pytest.approx(1, abs=1e-3), what
        sigma = sigmas_of(np.array([timestep]))[0]
        assert math.log(level / signal / sigma) == pytest.approx(0, abs=0.05), what
    floor = float(sigmas_of(np.array([0.0]))[0])  # where DDIM and its kin end
    assert float((result - PICTURE).abs().max()) < 1.01 * floor * float(NOISE.abs().max()), what
    assert told == list(range(1, len(told) + 1)) and told[:step] == list(range(1, step + 1))


@pytest.mark.parametrize("name", SETTLED)
def test_every_scheduler_hands_over_and_takes_over_at_the_right_level(name: str) -> None:
    for other, step, steps in (("DDIM", 3, 8), ("DPM2 Karras", 7, 5)):
        if name != other:
            known_way(name, other, step, steps)
            known_way(other, name, step, steps)


# -- as a record ------------------------------------------------------------------------------


def test_a_branch_survives_the_disk(tmp_path: Path) -> None:
    asked = request(scheduler="Euler", steps=8).branched(3)
    asked = replace(asked, prompt=OTHER).branched(5)
    assert PictureRequest.from_json(records.parse(records.dumps(asked))) == asked
    assert [each.prompt for each in asked.lineage()] == [PROMPT, OTHER, OTHER]


def test_what_cannot_be_a_branch_is_refused() -> None:
    asked = request(scheduler="Euler", steps=8)
    with pytest.raises(SfumatoError, match="another model"):
        replace(asked.branched(3), model="other").validate()
    deep = asked
    for _ in range(13):
        deep = deep.branched(3)
    with pytest.raises(SfumatoError, match="can branch 12 times"):
        deep.validate()
    with pytest.raises(SfumatoError, match="step"):
        PictureRequest.from_json({"prompt": "", "model": "", "branch": {"step": 0, "earlier": {}}})
