"""The way from noise to a picture, and where it leaves the way of an earlier one.

A way is made of legs: calls of the network that one scheduler and one conditioning take.  To branch
after a step is to keep the legs up to there and to go on with others:

- with the same scheduler and seed the scheduler simply goes on, history, noise and all; so a branch
  in which nothing is changed is the very same picture, and another prompt works as prompt editing
  does in other programs;
- with another scheduler (or number of steps) the latents are handed over at the noise level where
  they are.  Of the new scheduler's steps those below that level are made; where none of them begins
  at it, one deterministic step of first order (DDIM, Song et al., "Denoising diffusion implicit
  models", eq. 12 with σ = 0) leads to the first of them, which is what a multistep solver's first
  step is anyway;
- with another seed the noise still in the picture is drawn anew: xₜ = √ᾱ·x₀ + √(1−ᾱ)·ε with the
  picture x₀ as it was predicted at that step, its preview, so that every scheduler gives another
  picture of the same composition.

Latents are handed over as the network sees them, of variance ᾱ·x₀² + (1−ᾱ), whatever scale a
scheduler keeps them in.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.denoise import denoise, predicted_x0
from gui.pipeline.noise import NoiseSource, make_noise, slerp
from gui.pipeline.placement import Placement, resize_after
from gui.pipeline.schedulers import Scheduler, alphas_at, step_settings
from gui.request import PictureRequest

Predict = Callable[[Tensor, float], Tensor]
Keep = Callable[[Tensor, Scheduler, Any], Tensor]
"""From latents, the scheduler and the timestep of a call to the latents it begins with."""

SAME_LEVEL = 1e-4
"""Two noise levels are one where their log σ differ by less."""


@dataclass(frozen=True)
class Leg:
    """Calls of the network that one scheduler takes, one after the other."""

    predict: Predict
    scheduler: Scheduler
    timesteps: Tensor
    """Of the calls."""
    steps: int
    """What a person counts: second-order schedulers call more often."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """Keyword arguments for the scheduler's `step`."""
    first: int = 0
    """Place of the first call among all that the scheduler has laid out."""
    begin_step: Callable[[int], None] | None = None
    """Told before each call to which of the picture's steps it belongs, counted from 1."""
    enter: Callable[[Tensor, Tensor], Tensor] | None = None
    """What this leg begins with, given the latents where the one before ended and the picture last
    predicted; None: these latents."""

    def split(self, steps: int) -> tuple[Leg, Leg]:
        """Up to the end of one of its steps but the last, and from there on."""
        calls = math.ceil(steps * len(self.timesteps) / self.steps)
        before = replace(self, timesteps=self.timesteps[:calls], steps=steps)
        after = replace(
            self,
            timesteps=self.timesteps[calls:],
            steps=self.steps - steps,
            first=self.first + calls,
            enter=None,
        )
        return before, after

    @property
    def alpha(self) -> float:
        """ᾱ, the share of the picture in the variance, where it begins."""
        return _alpha(self.scheduler, self.first, self.timesteps[0])


@dataclass(frozen=True)
class Turn:
    """How a picture goes on from its beginning, or from a branch."""

    predict: Predict
    scheduler: Scheduler
    """With its steps laid out; it is copied before it is used."""
    request: PictureRequest
    """With every default filled in; of one picture."""
    begin_step: Callable[[int], None] | None = None
    """As in `Leg`."""

    @property
    def layout(self) -> tuple[str | None, int | None]:
        """What decides a scheduler's steps."""
        return self.request.scheduler, self.request.steps

    @property
    def numbers(self) -> tuple[object, ...]:
        """What decides the noise."""
        request = self.request
        variation = (request.variation_seed, request.variation_strength) if request.varies else ()
        return request.random_source, request.seed, *variation

    def noise(self) -> NoiseSource:
        return make_noise(self.request.random_source, self.request.seed)


@dataclass(frozen=True)
class Stage:
    """What one request does of a picture."""

    turn: Turn
    legs: tuple[Leg, ...]
    """To the end, even where only a beginning is used."""
    noise: NoiseSource
    used: int
    """Steps that are made of them."""

    @property
    def steps(self) -> int:
        return sum(leg.steps for leg in self.legs)

    def made(self) -> tuple[Leg, ...]:
        """The legs, or parts of legs, that are walked."""
        return _split(self.legs, self.used)[0]


def way(turns: Sequence[Turn], shape: Sequence[int], prediction_type: str) -> list[Stage]:
    """The steps of a picture from its beginning over every branch.

    Args:
        turns: of the picture's lineage, in its order.
        shape, prediction_type: as in `branch_off`.

    Raises:
        SfumatoError: BAD_REQUEST where it branches from a step that there is not.
    """
    stages = [_beginning(turns[0], shape, prediction_type)]
    for turn in turns[1:]:
        branch = turn.request.branch
        assert branch is not None
        stages = branch_off(stages, branch.step, turn, shape, prediction_type)
    return stages


def _beginning(turn: Turn, shape: Sequence[int], prediction_type: str) -> Stage:
    request, noise = turn.request, turn.noise()
    assert request.steps
    scheduler = copy.deepcopy(turn.scheduler)
    settings = step_settings(scheduler, noise, shape)
    steps, first = steps_of(request), 0
    if request.start_image is not None:
        first = (request.steps - steps) * scheduler.order if steps else len(scheduler.timesteps)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)  # type: ignore[attr-defined]
    calls = scheduler.timesteps[first:]
    leg = Leg(turn.predict, scheduler, calls, steps, settings, first, turn.begin_step)
    placement, early = Placement.of(request), resize_after(steps)
    if placement is None or not early:
        return Stage(turn, (leg,), noise, steps)
    legs = _resized(leg, early, placement, turn, noise, shape, prediction_type)
    return Stage(turn, legs, noise, steps)


def _resized(
    leg: Leg,
    early: int,
    placement: Placement,
    turn: Turn,
    noise: NoiseSource,
    shape: Sequence[int],
    prediction_type: str,
) -> tuple[Leg, ...]:
    """A leg, at whose step `early` the picture predicted is resized and noised anew."""
    before, after = leg.split(early)
    settings_of = lambda scheduler: step_settings(scheduler, noise, shape)  # noqa: E731
    fresh = lambda: noise.normal(shape)  # noqa: E731
    first, *rest = _handed_over(before, after, turn, fresh, settings_of, prediction_type)
    enter = first.enter
    assert enter is not None
    resized = replace(first, enter=lambda latents, x0: enter(latents, placement.resized(x0)))
    return before, resized, *rest


def steps_of(request: PictureRequest) -> int:
    """How many steps a picture takes, alone or with those of the requests it branches from: as
    diffusers counts those of one that begins with a picture, but never none, unless that is only
    to be encoded."""
    assert request.steps
    start = request.start_image
    if start is None:
        return request.steps
    return max(1, min(int(request.steps * start.strength), request.steps)) if start.strength else 0


def varied(
    request: PictureRequest, drawn: Tensor, skip: Callable[[NoiseSource], object] | None = None
) -> Tensor:
    """Noise that was drawn, turned towards that of the variation seed where one is asked for.

    Args:
        skip: draws from the other seed's numbers what comes before its noise.
    """
    if not request.varies or request.variation_seed is None:
        return drawn
    other = make_noise(request.random_source, request.variation_seed)
    if skip is not None:
        skip(other)
    return slerp(drawn, other.normal(drawn.shape), request.variation_strength)


def branch_off(
    stages: Sequence[Stage], step: int, turn: Turn, shape: Sequence[int], prediction_type: str
) -> list[Stage]:
    """Go on in another way after so many steps of a picture.

    Args:
        stages: the earlier picture's.
        step: the last one that is shared, from 1.
        turn: how it goes on.
        shape: of the latents.
        prediction_type: what the network predicts, as in `denoise`.

    Raises:
        SfumatoError: BAD_REQUEST where the earlier picture has no step after that one.
    """
    done = 0
    for place in range(len(stages)):
        stage, here = stages[place], step - done
        if here <= stage.used and here < stage.steps:
            break
        done += stage.used
    else:
        raise _no_such_step(sum(stage.used for stage in stages))
    before, after = _split(stage.legs, here)
    kept = [*stages[:place], replace(stage, used=here)]
    same_numbers = turn.numbers == stage.turn.numbers
    noise = stage.noise if same_numbers else turn.noise()
    if same_numbers and turn.layout == stage.turn.layout:
        changed = {"predict": turn.predict, "begin_step": turn.begin_step}
        legs = tuple(replace(leg, **changed) for leg in after)
    else:
        fresh = None if same_numbers else lambda: varied(turn.request, noise.normal(shape))
        settings_of = lambda scheduler: step_settings(scheduler, noise, shape)  # noqa: E731
        legs = _handed_over(before[-1], after[0], turn, fresh, settings_of, prediction_type)
    return [*kept, Stage(turn, legs, noise, sum(leg.steps for leg in legs))]


def walk(
    stages: Sequence[Stage],
    latents: Tensor,
    prediction_type: str,
    before_call: Callable[[Tensor], None],
    on_step: Callable[[int, Callable[[], Tensor]], None],
    keep: Keep | None = None,
) -> Tensor:
    """Make a picture's latents.

    Args:
        stages: its way.
        latents: what it begins with, as in `denoise`.
        prediction_type: as in `denoise`.
        before_call: told what the network is about to see.  May raise to stop.
        on_step: told after each step a person counts, exactly once: its number from 1, and a
            function that computes the picture predicted then.
        keep: puts back what is not to change: asked before every call but the first, which begins
            with it.

    Returns:
        The finished latents.

    Raises:
        SfumatoError: UNSUPPORTED where the numbers overflow.
    """
    done = 0
    begun = False
    seen: Callable[[], Tensor] = lambda: latents  # noqa: E731

    for leg in (leg for stage in stages for leg in stage.made()):
        if leg.enter is not None:
            latents = leg.enter(latents, seen())

        calls = 0

        def predict(sample: Tensor, timestep: float, leg: Leg = leg, start: int = done) -> Tensor:
            nonlocal calls
            before_call(sample)
            if leg.begin_step is not None:
                leg.begin_step(start + calls * leg.steps // len(leg.timesteps) + 1)
            calls += 1
            return leg.predict(sample, timestep)

        def report(call: int, x0: Callable[[], Tensor], leg: Leg = leg, start: int = done) -> None:
            nonlocal seen
            seen = x0
            # second-order schedulers and PNDM call more often than the person has steps
            after, before = ((call + n) * leg.steps // len(leg.timesteps) for n in (1, 0))
            if after > before:
                on_step(start + after, x0)

        def kept(latents: Tensor, timestep: Any, leg: Leg = leg) -> Tensor:
            nonlocal begun
            first, begun = not begun, True
            return latents if first or keep is None else keep(latents, leg.scheduler, timestep)

        latents = denoise(
            latents,
            leg.timesteps,
            leg.scheduler,
            leg.settings,
            predict,
            prediction_type,
            report,
            kept,
        )
        done += leg.steps
    return latents


def _split(legs: Sequence[Leg], steps: int) -> tuple[tuple[Leg, ...], tuple[Leg, ...]]:
    before: list[Leg] = []
    for place, leg in enumerate(legs):
        if steps >= leg.steps:
            before.append(leg)
            steps -= leg.steps
        elif steps == 0:
            return tuple(before), tuple(legs[place:])
        else:
            first, second = leg.split(steps)
            return (*before, first), (second, *legs[place + 1 :])
    return tuple(before), ()


def _no_such_step(steps: int) -> SfumatoError:
    first = (
        f"The picture to branch from has {steps} steps; branch after one of the first {steps - 1}."
        if steps > 1
        else "The picture to branch from has a single step; branch from one with more steps."
    )
    return SfumatoError(ErrorKind.BAD_REQUEST, first)


# Handing over to another scheduler


def _handed_over(
    before: Leg,
    after: Leg,
    turn: Turn,
    fresh: Callable[[], Tensor] | None,
    settings_of: Callable[[Scheduler], dict[str, Any]],
    prediction_type: str,
) -> tuple[Leg, ...]:
    """The legs of another scheduler from where one leg ends and the next would begin.

    Args:
        fresh: draws the noise that takes the place of what is still there; None: it stays.
        settings_of: the step settings of the new scheduler.
    """
    alpha, timestep = after.alpha, after.timesteps[0]

    def leave(latents: Tensor, x0: Tensor) -> Tensor:
        """As the network would see them."""
        if fresh is None:
            return before.scheduler.scale_model_input(latents, timestep)
        return alpha**0.5 * x0 + (1 - alpha) ** 0.5 * fresh()

    scheduler = copy.deepcopy(turn.scheduler)
    settings = settings_of(scheduler)
    places, timesteps = _beginnings(scheduler)
    levels = [_alpha(scheduler, place, timesteps[place]) for place in places]
    below = next(
        (k for k, level in enumerate(levels) if _log_sigma(level) < _log_sigma(alpha) + SAME_LEVEL),
        None,
    )
    if below is None:  # so late that the new scheduler has no step of its own left
        bridge = _Bridge(scheduler, alpha, 1.0, timestep, prediction_type)
        return (_bridging(bridge, turn, leave),)
    rest, first = _calls_from(scheduler, timesteps, places, below)
    scale = _begin_at(scheduler, first, rest[0])
    steps = len(places) - below
    main = Leg(turn.predict, scheduler, rest, steps, settings, first, turn.begin_step)
    if abs(_log_sigma(levels[below]) - _log_sigma(alpha)) < SAME_LEVEL:
        return (replace(main, enter=lambda latents, x0: leave(latents, x0) / scale),)
    bridge = _Bridge(scheduler, alpha, levels[below], timestep, prediction_type)
    return _bridging(bridge, turn, leave), replace(main, enter=lambda latents, _x0: latents / scale)


def _bridging(bridge: _Bridge, turn: Turn, enter: Callable[[Tensor, Tensor], Tensor]) -> Leg:
    return Leg(turn.predict, bridge, bridge.timesteps, 1, begin_step=turn.begin_step, enter=enter)


class _Bridge:
    """One deterministic step of first order between two noise levels (DDIM)."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(
        self, scheduler: Scheduler, alpha: float, alpha_next: float, timestep: Any, kind: str
    ) -> None:
        self.config = scheduler.config
        self.alphas_cumprod = scheduler.alphas_cumprod
        self.timesteps = torch.as_tensor(timestep).reshape(1)
        self.sigmas = [((1 - alpha) / alpha) ** 0.5]
        self._alpha = alpha
        self._alpha_next = alpha_next
        self._kind = kind

    def set_timesteps(self, num_inference_steps: int) -> None:
        raise NotImplementedError  # its one step is laid out

    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor:
        return sample

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, **_settings: Any
    ) -> tuple[Tensor, ...]:
        x0 = predicted_x0(sample, model_output, self._alpha, self._kind)
        noise = (sample - self._alpha**0.5 * x0) / (1 - self._alpha) ** 0.5
        return (self._alpha_next**0.5 * x0 + (1 - self._alpha_next) ** 0.5 * noise,)

    def add_noise(self, original: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self._alpha**0.5 * original + (1 - self._alpha) ** 0.5 * noise


def _beginnings(scheduler: Scheduler) -> tuple[list[int], Tensor]:
    """Where the steps begin among the scheduler's timesteps, and these."""
    if _is_pndm(scheduler):  # it repeats its second timestep to warm up
        timesteps = torch.unique_consecutive(scheduler.timesteps)
        return list(range(len(timesteps))), timesteps
    return list(range(0, len(scheduler.timesteps), scheduler.order)), scheduler.timesteps


def _calls_from(
    scheduler: Scheduler, timesteps: Tensor, places: list[int], below: int
) -> tuple[Tensor, int]:
    """The timesteps of the calls from a step on, and the place of the first."""
    rest = timesteps[places[below] :]
    if _is_pndm(scheduler) and len(rest) > 1:
        rest = torch.cat([rest[:2], rest[1:]])
    return rest, places[below]


def _begin_at(scheduler: Any, first: int, timestep: Tensor) -> float:
    """Have a scheduler begin in the middle; how it scales latents there for the network."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    if hasattr(scheduler, "get_lms_coefficient"):
        _warm_up(scheduler)
    return float(scheduler.scale_model_input(torch.ones(1), timestep)[0])


def _warm_up(scheduler: Any) -> None:
    """LMS takes its order from the place of the step, as if it had been there from the first; at
    the beginning of the second half it has seen one derivative only."""
    step = scheduler.step

    def warmed(*arguments: Any, **settings: Any) -> Any:
        order = min(4, len(scheduler.derivatives) + 1)
        return step(*arguments, order=order, **settings)

    scheduler.step = warmed


def _is_pndm(scheduler: Any) -> bool:
    return hasattr(scheduler, "plms_timesteps")


def _alpha(scheduler: Any, place: int, timestep: Tensor) -> float:
    """ᾱ at a call; from σ where the scheduler has it, which timesteps may only round."""
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None:
        return 1 / (1 + float(sigmas[place]) ** 2)
    return alphas_at(scheduler, torch.as_tensor(timestep).reshape(1))[0]


def _log_sigma(alpha: float) -> float:
    return 0.5 * math.log((1 - alpha) / alpha) if alpha < 1 else -math.inf
