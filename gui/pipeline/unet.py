"""The UNet with classifier-free guidance: latents in, one prediction out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gui.coreml.dialect import is_residual
from gui.coreml.model import TensorSpec
from gui.coreml.runtime import LoadedModel
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.controls import ActiveControl, summed
from gui.pipeline.tensors import output
from gui.pipeline.text import Conditioning

Directed = tuple[Conditioning, float]
"""A prompt, and how strongly it leads among others."""


@dataclass(frozen=True)
class _Call:
    """One of the calls that a prediction takes."""

    rows: list[int]
    """What it answers."""
    taken: list[int]
    """The same, the last repeated until the network has as many as it takes."""
    fixed: dict[str, np.ndarray]


class GuidedUNet:
    """Predicts noise (or velocity) for one prompt, or for one that is composed of several.

    With guidance, the network sees two rows, [negative, positive], of a composed prompt
    [negative, one side, the next, …].  A network of batch 2 takes
    them in one call; one of batch 1 is called twice.  Without guidance (`negative` is None) there
    is one row and one call; a network fixed at batch 2 must then be given that row twice, and the
    second answer is dropped.  One that edits pictures as it is told is guided by the picture too,
    and sees three rows: [negative without picture, negative, positive].

    Args:
        unet: the loaded network.
        positive: the prompt, of weight 1; or each side of one that is composed.
        negative: the negative prompt; None: no guidance, and the prompt has one side.
        guidance_scale: w in ε = ε₋ + w·Σ vᵢ·(εᵢ − ε₋), v being weights (Ho and Salimans,
            "Classifier-free diffusion guidance", in the form Stable Diffusion uses; of several
            sides, Liu et al., "Compositional visual generation", eq. 11).
        image_size: height and width in pixels (SDXL's size conditioning).
        controls: networks that lead it by pictures.
        steps: the timesteps of which `controls` count parts.
        image_scale: of a network that edits pictures, w₁ in ε = ε₋₋ + w₁·(ε₋ − ε₋₋) + w·(ε₊ − ε₋)
            (Brooks et al., "InstructPix2Pix", eq. 3); None: it does not.
        rescale: φ, how far the guided prediction is brought back to the spread of ε₊ (of a composed
            prompt, of what w = 1 gives), from 0 (not) to 1 (Lin et al., "Common diffusion noise
            schedules and sample steps are flawed", 3.4).

    Raises:
        SfumatoError: BAD_MODEL where text encoders and UNet do not fit together.
    """

    def __init__(
        self,
        unet: LoadedModel,
        positive: Sequence[Directed],
        negative: Conditioning | None,
        guidance_scale: float,
        image_size: tuple[int, int],
        rescale: float = 0.0,
        controls: Sequence[ActiveControl] = (),
        steps: Sequence[float] = (),
        image_scale: float | None = None,
    ) -> None:
        self._unet = unet
        self._rescale = rescale
        self._scale = guidance_scale
        self._image_scale = image_scale
        prompts = [conditioning for conditioning, _ in positive]
        self._weights = [weight for _, weight in positive]
        self._of_picture = negative is not None and image_scale is not None
        rows = prompts if negative is None else [negative, *prompts]
        if negative is not None and self._of_picture:
            rows = [negative, *rows]
        self._rows = len(rows)
        self._batch = unet.inputs["sample"].shape[0] or len(rows)

        def calls(inputs: Mapping[str, TensorSpec], batch: int) -> list[_Call]:
            made: list[_Call] = []
            for group in _groups(range(len(rows)), batch):
                taken = [*group, *[group[-1]] * (batch - len(group))]
                of_rows = [rows[row] for row in taken]
                fixed = _fixed_inputs(inputs, of_rows, guidance_scale, image_size)
                made.append(_Call(group, taken, fixed))
            return made

        self._calls = calls(unet.inputs, self._batch)
        self._steps = list(steps)
        self._controls = [
            (
                control,
                calls(control.network.inputs, control.batch) if control.runs_each_step else [],
            )
            for control in controls
        ]
        self._shown: np.ndarray | None = None

    def show(self, shown: Tensor | None) -> None:
        """Show the network something beside the latents from now on, [1, channels, h, w]."""
        self._shown = None
        if shown is not None:
            rows = shown.expand(self._rows, -1, -1, -1).clone()
            if self._of_picture:
                rows[0] = 0
            self._shown = rows.numpy()

    def __call__(
        self, sample: Tensor, timestep: float, check: Callable[[], None] = lambda: None
    ) -> Tensor:
        """Predict.

        Args:
            sample: scaled latents, float32 [1, channels, height, width].
            timestep: 0 … 999, may be fractional.
            check: called before every run of the network; may raise to stop.
        """
        batch = sample.expand(self._batch, -1, -1, -1).contiguous().numpy()
        shape = _concrete(self._unet.inputs["timestep"].shape, self._batch)
        time = np.full(shape, timestep, np.float32)
        answers: list[np.ndarray] = []
        led = self._led(sample, timestep, check)
        for call in self._calls:
            check()
            extra = {n: a[call.taken] for n, a in led.items() if n in self._unet.inputs}
            seen = batch
            if self._shown is not None:
                seen = np.concatenate([batch, self._shown[call.taken]], 1)
            outputs = self._unet({"sample": seen, "timestep": time, **call.fixed, **extra})
            answers.append(output(outputs, "noise_pred")[: len(call.rows)])
        prediction = torch.from_numpy(np.concatenate(answers))
        if self._rows == 1:
            return prediction[:1]
        return self._guided(list(prediction.split(1)))

    def _guided(self, answers: list[Tensor]) -> Tensor:
        """What the rows say together."""
        count = len(self._weights)
        *bare, negative = answers[:-count]
        sides = zip(answers[-count:], self._weights, strict=True)
        towards = sum(weight * (side - negative) for side, weight in sides)
        assert isinstance(towards, Tensor)
        guided = negative + self._scale * towards
        if bare and self._image_scale is not None:
            by_picture = bare[0] + self._image_scale * (negative - bare[0])
            guided = by_picture + self._scale * towards
        if self._rescale:
            plain = self._weights == [1.0]
            positive = answers[-1] if plain else negative + towards
            guided = guided * (1 + self._rescale * (positive.std() / guided.std() - 1))
        return guided

    def _led(
        self, sample: Tensor, timestep: float, check: Callable[[], None]
    ) -> dict[str, np.ndarray]:
        """What the controls say at this step, by the UNet's names: [rows, …]."""
        if not self._controls:
            return {}
        index = min(range(len(self._steps)), key=lambda n: abs(self._steps[n] - timestep))
        said: list[dict[str, np.ndarray]] = []
        for control, calls in self._controls:
            if not control.weight or not control.runs_at(index, len(self._steps)):
                continue
            if not control.runs_each_step:
                said.append(control.answers({}, self._negatives(range(self._rows))))
                continue
            batch = sample.expand(control.batch, -1, -1, -1).contiguous().numpy()
            shape = _concrete(control.network.inputs["timestep"].shape, control.batch)
            inputs = {"sample": batch, "timestep": np.full(shape, timestep, np.float32)}
            answers: list[dict[str, np.ndarray]] = []
            for call in calls:
                check()
                answers.append(
                    control.answers({**inputs, **call.fixed}, self._negatives(call.rows))
                )
            said.append({n: np.concatenate([a[n] for a in answers]) for n in answers[0]})
        return summed(said)

    def _negatives(self, rows: Sequence[int]) -> list[bool]:
        """Which of these rows are the negative prompt's: all but the last, the prompt's sides."""
        return [row < self._rows - len(self._weights) for row in rows]


def is_guidance_distilled(unet: LoadedModel) -> bool:
    """Whether the network takes the guidance scale as an input (LCM), and needs no second row."""
    return "timestep_cond" in unet.inputs


def _groups(rows: range, batch: int) -> list[list[int]]:
    """Rows per call: as many as the network takes at once."""
    return [[*rows[at : at + batch]] for at in range(0, len(rows), batch)]


def _fixed_inputs(
    inputs: Mapping[str, TensorSpec],
    rows: list[Conditioning],
    guidance_scale: float,
    image_size: tuple[int, int],
) -> dict[str, np.ndarray]:
    """Every input that stays the same from step to step."""
    fixed: dict[str, np.ndarray] = {}
    for name, spec in inputs.items():
        shape = _concrete(spec.shape, len(rows), rows[0].context.shape[1])
        if name in ("sample", "timestep", "controlnet_cond"):
            continue
        if name == "encoder_hidden_states":
            fixed[name] = _context(rows, shape)
        elif name == "text_embeds":
            fixed[name] = _pooled(rows, shape)
        elif name == "time_ids":
            ids = [_time_ids(row, image_size) for row in rows]
            fixed[name] = _fitted(np.array(ids, np.float32), shape, name)
        elif name == "timestep_cond":
            fixed[name] = np.tile(_guidance_embedding(guidance_scale, shape[-1]), (len(rows), 1))
        elif is_residual(name):  # another network's place, left empty
            fixed[name] = np.zeros(shape, np.float32)
        elif not spec.optional:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"The model's UNet asks for an input this program does not know ({name}); "
                "choose another model.",
                f"{name} {spec.shape}",
            )
    return fixed


def _time_ids(row: Conditioning, image_size: tuple[int, int]) -> list[float]:
    """Original height and width, crop top and left, then target height and width, or in a
    refiner's place of them the aesthetic score."""
    last = image_size if row.score is None else (row.score,)
    return [*image_size, 0, 0, *last]


def _context(rows: list[Conditioning], shape: tuple[int, ...]) -> np.ndarray:
    context = np.concatenate([row.context for row in rows])  # [rows, tokens, channels]
    tokens = shape[3] if len(shape) == 4 else shape[1]
    if 0 < tokens < context.shape[1]:  # a ControlNet that reads less than the UNet
        context = context[:, :tokens]
    if len(shape) == 4:  # Apple's layout: [rows, channels, 1, tokens]
        context = context.transpose(0, 2, 1)[:, :, None, :]
    if context.shape != shape:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model's text encoder and UNet do not belong together: "
            "the text has another width than the UNet reads; choose another model.",
            f"text {context.shape}, UNet {shape}",
        )
    return np.ascontiguousarray(context, np.float32)


def _pooled(rows: list[Conditioning], shape: tuple[int, ...]) -> np.ndarray:
    parts = [row.pooled for row in rows if row.pooled is not None]
    if len(parts) != len(rows):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model's text encoder lacks the output SDXL needs; choose another model.",
        )
    return _fitted(np.concatenate(parts), shape, "text_embeds")


def _fitted(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """`array` in the described shape: older conversions flatten `time_ids` to one row."""
    if array.size != math.prod(shape):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            "The model's text encoder and UNet do not belong together; choose another model.",
            f"{name}: {array.shape}, UNet {shape}",
        )
    return np.ascontiguousarray(array.reshape(shape), np.float32)


def _guidance_embedding(guidance_scale: float, width: int) -> np.ndarray:
    """Sinusoidal embedding of w − 1 (LCM; Meng et al., "On distillation of guided diffusion
    models"), float32 [1, width]."""
    half = width // 2
    frequencies = np.exp(np.arange(half) * -(np.log(10000.0) / (half - 1)))
    angles = (guidance_scale - 1.0) * 1000.0 * frequencies
    row = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width - 2 * half)])
    return row.astype(np.float32)[None]


def _concrete(shape: tuple[int | None, ...], batch: int, tokens: int = 77) -> tuple[int, ...]:
    """`shape` with flexible sizes filled in: the batch comes first, tokens last."""
    return tuple(
        size if size is not None else (batch if axis == 0 else tokens)
        for axis, size in enumerate(shape)
    )
