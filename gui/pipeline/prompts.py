"""A request's prompts as the UNet reads them, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from gui.pipeline.text import Conditioning, TextEncoders
from gui.pipeline.unet import Directed, GuidedUNet
from gui.request import PictureRequest
from gui.syntax.compose import sides_of
from gui.syntax.reading import note_of_weights, read_phases, read_sides
from gui.syntax.remarks import remark_on_marks
from gui.syntax.types import Reading, Side


@dataclass(frozen=True)
class PromptPhase:
    """What conditions the UNet up to a step."""

    until: int
    """The last step that it holds for, counted from 1."""
    positive: tuple[Directed, ...]
    """The prompt; of one that is composed, each side."""
    negative: Conditioning | None
    """None: no guidance."""


def guidance(request: PictureRequest, distilled: bool) -> tuple[bool, float]:
    """Whether there is a row for the negative prompt, and the scale.

    Args:
        distilled: whether the network is told the scale, and needs no second row.
    """
    assert request.guidance_scale is not None
    if len(sides_of(request.prompt, request.prompt_syntax)) > 1:
        # the sides are directions away from the negative prompt
        return not distilled, max(1.0, request.guidance_scale)
    return request.guidance_scale > 1 and not distilled, request.guidance_scale


class Prompts:
    """The prompts of one request.

    Args:
        text: the model's text encoders.
        request: with every default filled in.
        steps: how many its way has.
        most: chunks of text that the UNet reads; None: any number.
    """

    def __init__(
        self, text: TextEncoders, request: PictureRequest, steps: int, most: int | None
    ) -> None:
        self._text = text
        self._skipped = text.skip(request.clip_skip)
        self._request = request
        self._most = most
        syntax, steps = request.prompt_syntax, max(1, steps)
        self._positive = read_sides(request.prompt, syntax, steps)
        # what is to be avoided is one prompt, as in the web UI
        self._negative = Side(tuple(read_phases(request.negative_prompt, syntax, steps)))

    def encode(
        self, guided: bool, zero_empty: bool, check: Callable[[], None]
    ) -> list[PromptPhase]:
        """Every phase, in order.

        Args:
            guided: whether there is a negative prompt too.
            zero_empty: an empty negative prompt is all zeros.
            check: called before every prompt that is encoded; may raise to stop.
        """
        used = [*self._positive, *([self._negative] if guided else [])]
        readings = {id(p.reading): p.reading for side in used for p in side.phases}
        needed = [self._text.chunks(reading, self._most) for reading in readings.values()]
        chunks = self._most or max(needed)
        known: dict[Reading, Conditioning] = {}

        def encoded(reading: Reading) -> Conditioning:
            plain = Reading(reading.sections, reading.syntax)
            if plain not in known:
                check()
                known[plain] = self._text.encode(reading, chunks, self._most)
            return known[plain]

        made: list[PromptPhase] = []
        for until in sorted({p.until for side in (*used, self._negative) for p in side.phases}):
            positive = tuple((encoded(_at(side, until)), side.weight) for side in self._positive)
            negative: Conditioning | None = None
            if guided and zero_empty and not self._request.negative_prompt:
                negative = positive[0][0].zeroed()
            elif guided:
                negative = encoded(_at(self._negative, until))
            made.append(PromptPhase(until, positive, negative))
        return made

    def notes(self, guided: bool) -> list[str]:
        """Sentences about what had not the effect that was meant."""
        request, syntax = self._request, self._request.prompt_syntax
        read = [("prompt", request.prompt, self._positive)]
        if guided:
            read.append(("negative prompt", request.negative_prompt, [self._negative]))
        found: list[str] = []
        if not self._skipped:
            found.append(
                f"Clip skip {request.clip_skip} had no effect: the model’s text encoder gives "
                "another layer alone."
            )
        for what, prompt, sides in read:
            found.append(self._text.note_of_cut(prompt, syntax, what, self._most))
            readings = [phase.reading for side in sides for phase in side.phases]
            found.append(note_of_weights(readings, what))
            found.append(remark_on_marks(prompt, syntax))
        return [note for note in found if note]


def _at(side: Side, step: int) -> Reading:
    return next(phase.reading for phase in side.phases if step <= phase.until)


class PhasedUNet:
    """The UNet under the prompt of the step that is made.

    Args:
        phases: (last step, UNet with its prompts), in order.
    """

    def __init__(self, phases: Sequence[tuple[int, GuidedUNet]]) -> None:
        self._phases = tuple(phases)
        self._step = 1

    def show(self, shown: Tensor | None) -> None:
        """As `GuidedUNet.show`."""
        for _, unet in self._phases:
            unet.show(shown)

    def begin_step(self, step: int) -> None:
        """The next calls belong to this step, counted from 1."""
        self._step = step

    def __call__(
        self, sample: Tensor, timestep: float, check: Callable[[], None] = lambda: None
    ) -> Tensor:
        unets = (unet for until, unet in self._phases if self._step <= until)
        unet = next(unets, self._phases[-1][1])
        return unet(sample, timestep, check)
