"""Stage "release": the sidecar that goes with the packages: settings, preview, card and hashes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from gui.coreml.model import Family
from gui.coreml.sidecar import ModelCard, Preview, Sidecar, read, write
from gui.request import Composition, Enlargement

from .autoencoder import load_autoencoder, split_moments, to_tensor
from .convert import LICENCE, hash_files
from .data import Sprites, compose
from .denoiser import END_OF_TEXT, LATENT_SIZE, Latents
from .evaluate import SCHEDULER_CONFIG
from .world import BACKGROUNDS, with_article

UPSCALER = "Drawings x4"
"""What its pictures are enlarged with (see `packaging/upscalers`)."""
NAME = "Sfumato Starter"
DESCRIPTION = (
    "A small model trained for Sfumato, to try everything at once and offline. It draws one thing "
    "on a plain background at 128 × 128 pixels, in the manner of a rounded 3D icon. Ask for one of "
    "its subjects and colours, as in the examples; anything else gives a guess."
)
EXAMPLES = (
    ("red apple", "blue"),
    ("cat", "teal"),
    ("rocket", "purple"),
    ("sunflower", "black"),
    ("pizza", "green"),
    ("penguin", "orange"),
    ("house", "yellow"),
    ("butterfly", "pink"),
)


@dataclass(frozen=True)
class Defaults:
    """What the evaluation found best."""

    scheduler: str
    steps: int
    guidance_scale: float


def fit_preview(latents: Tensor, pictures: Tensor) -> Preview:
    """The linear map from scaled latents to colours with the least squared error.

    Args:
        latents: [N, C, 16, 16], in the sampler's space.
        pictures: [N, 3, 128, 128] in -1…1.
    """
    small = functional.interpolate(pictures, size=(LATENT_SIZE, LATENT_SIZE), mode="area")
    colors = small.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
    inputs = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double().numpy()
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    found = np.linalg.lstsq(inputs, colors, rcond=None)[0].round(5)
    rows = [(float(r), float(g), float(b)) for r, g, b in found]
    return Preview(matrix=tuple(rows[:-1]), bias=rows[-1])


@torch.inference_mode()
def preview_of(training: Path, sprites: Sprites, latents: Latents, count: int = 512) -> Preview:
    """``fit_preview`` on fresh compositions."""
    encoder = load_autoencoder(training).encoder
    rng, names = np.random.default_rng(5), list(BACKGROUNDS)
    indices = rng.integers(len(sprites.subjects), size=count).tolist()
    pictures = to_tensor([compose(sprites, i, names[i % len(names)], rng) for i in indices])
    means = torch.cat([split_moments(encoder(part))[0] for part in pictures.split(32)])
    return fit_preview((means - latents.shift) * latents.scale, pictures)


def example_prompts() -> tuple[str, ...]:
    """Prompts that show what the model does well."""
    return tuple(
        f"{with_article(subject)} on {with_article(color)} background"
        for subject, color in EXAMPLES
    )


def renew_hashes(folder: Path) -> Sidecar:
    """After some of the packages were replaced: the sidecar as it was, with their hashes."""
    known = read(folder)
    if known is None:
        raise FileNotFoundError(f"no sidecar in {folder}")
    sidecar = replace(known, hashes=hash_files(folder))
    write(folder, sidecar)
    return sidecar


def write_sidecar(
    folder: Path, training: Path, sprites: Sprites, defaults: Defaults, good: list[str]
) -> Sidecar:
    """Write ``sfumato.json`` beside the packages in ``folder``.

    Args:
        good: Names of the subjects that the card may promise.
    """
    latents = Latents.load(training)
    sidecar = Sidecar(
        family=Family.SD1,
        prediction_type="v_prediction",
        scaling_factor=latents.scale,
        shift_factor=latents.shift,
        scheduler_config={
            "_class_name": "DPMSolverMultistepScheduler",
            **SCHEDULER_CONFIG,
        },
        default_scheduler=defaults.scheduler,
        default_steps=defaults.steps,
        default_guidance_scale=defaults.guidance_scale,
        default_enlargement=Enlargement.X4,
        default_upscaler=UPSCALER,
        default_composition=Composition.VARIED,
        pad_token_ids=(END_OF_TEXT,),
        preview=preview_of(training, sprites, latents),
        name=NAME,
        card=ModelCard(
            description=DESCRIPTION,
            subjects=tuple(good),
            backgrounds=tuple(BACKGROUNDS),
            examples=example_prompts(),
            licence=LICENCE,
        ),
        hashes=hash_files(folder),
    )
    write(folder, sidecar)
    return sidecar
