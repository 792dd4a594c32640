"""What is to be converted: open it and take its networks out one by one.

`look` (see `reading`) needs no torch; `open_source` gives the networks as float32 torch modules.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gui import words
from gui.convert.checkpoint import lora, weights
from gui.convert.checkpoint.checkpoint import PREDICTIONS, Checkpoint
from gui.convert.checkpoint.reading import look, read_checkpoint, with_vae
from gui.convert.types import Lora, SourceInfo
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.paths import resource

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PART_OF", "Source", "look", "open_source", "read_checkpoint"]

K = ComponentKind

PART_OF = {
    K.TEXT_ENCODER: "text_encoder",
    K.TEXT_ENCODER_2: "text_encoder_2",
    K.UNET: "unet",
    K.CONTROL_UNET: "unet",
    K.REFINER: "unet",
    K.VAE_DECODER: "vae",
    K.VAE_ENCODER: "vae",
    K.SAFETY_CHECKER: "safety_checker",
}
"""The part of a source that each component is made from."""


class Source:
    """An opened source.  Networks are read from disk at each call of `component`, and belong to
    the caller, who may change them.

    Use as a context manager, or call `close`.
    """

    def __init__(self, checkpoint: Checkpoint, loras: Sequence[Lora] = ()) -> None:
        self._checkpoint = checkpoint
        self._loras = tuple(loras)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def info(self) -> SourceInfo:
        return self._checkpoint.info

    @property
    def checkpoint(self) -> Checkpoint:
        return self._checkpoint

    @property
    def scaling_factor(self) -> float:
        """Latents are (encoder output − shift_factor) × scaling_factor."""
        return float(self._checkpoint.parts["vae"].config.get("scaling_factor") or 0.18215)

    @property
    def shift_factor(self) -> float:
        return float(self._checkpoint.parts["vae"].config.get("shift_factor") or 0.0)

    @property
    def force_zeros_for_empty_prompt(self) -> bool:
        """Whether an empty negative prompt means zeros instead of an encoded empty text."""
        return self._checkpoint.force_zeros_for_empty_prompt

    @property
    def takes_guidance(self) -> bool:
        """Whether the UNet takes the guidance scale as an input (latent consistency models)."""
        return bool(self._checkpoint.parts["unet"].config.get("time_cond_proj_dim"))

    @property
    def pad_token_ids(self) -> tuple[int, ...]:
        """Padding token of each text encoder."""
        return self._checkpoint.pad_token_ids

    def scheduler_config(self) -> dict[str, Any]:
        """diffusers' scheduler settings, `_class_name` and `prediction_type` among them."""
        return dict(self._checkpoint.scheduler_config)

    def tokenizer_files(self) -> tuple[Path, Path]:
        """`vocab.json` and `merges.txt`: CLIP's, which ship with the app (see
        `diffusers_folder`, which refuses any other)."""
        folder = resource("tokenizer")
        return folder / "vocab.json", folder / "merges.txt"

    def check(self) -> None:
        """See that every network can be built and every weight is there in the right shape,
        without reading the weights.

        Raises:
            SfumatoError: BAD_MODEL or UNSUPPORTED.
        """
        for part in self._checkpoint.parts.values():
            weights.check_shapes(part)

    def component(self, kind: ComponentKind) -> nn.Module:
        """The network that a component is made from: float32, evaluation mode, LoRAs fused in.

        Both halves of the VAE come from the same AutoencoderKL; `CONTROL_UNET` and `REFINER` are
        the source's UNet.

        Raises:
            SfumatoError: BAD_REQUEST where the source has no such network; BAD_MODEL; MEMORY.
        """
        name = PART_OF.get(kind, "")
        part = self._checkpoint.parts.get(name)
        if part is None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"“{self.info.name}” has no {words.component(name or kind)}; leave it out of "
                "the conversion.",
                f"{kind} of {self.info.path}",
            )
        network = weights.build(part)
        if self._loras:
            lora.fuse(network, name, self._loras, self._checkpoint)
        return network

    def close(self) -> None:
        """Give back memory that networks left behind."""
        gc.collect()


def open_source(
    path: Path | str, loras: Sequence[Lora] = (), prediction_type: str = "", vae: str = ""
) -> Source:
    """Open a source.

    Args:
        loras: fused into every network they change.
        prediction_type: what the UNet predicts, where a person knows better than the source's
            files; empty: as these say.
        vae: used instead of the source's own, see `reading.with_vae`; empty: none.

    Raises:
        SfumatoError: as `look`; BAD_REQUEST for an unknown prediction type.
    """
    checkpoint = with_vae(read_checkpoint(path), vae)
    if prediction_type:
        checkpoint = with_prediction_type(checkpoint, prediction_type)
    return Source(checkpoint, loras)


def with_prediction_type(checkpoint: Checkpoint, prediction_type: str) -> Checkpoint:
    """The same checkpoint, predicting something else.

    Raises:
        SfumatoError: BAD_REQUEST for an unknown prediction type.
    """
    if prediction_type not in PREDICTIONS:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"There is no prediction type “{prediction_type}”; choose one of "
            f"{', '.join(PREDICTIONS)}.",
        )
    return dataclasses.replace(
        checkpoint,
        info=dataclasses.replace(checkpoint.info, prediction_type=prediction_type),
        scheduler_config={**checkpoint.scheduler_config, "prediction_type": prediction_type},
    )
