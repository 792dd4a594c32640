"""Stage "evaluate": how often a prompt yields what it names, judged by an independent classifier.

The classifier sees composed pictures only, never a generated one. It answers which of the world's
subjects it sees; the background is judged by the colour along the picture's edge.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from PIL import Image
from torch import Tensor, nn

from .autoencoder import Autoencoder, psnr, save_checkpoint, split_moments, to_tensor
from .data import Sprites, compose
from .denoiser import (
    BETA_END,
    BETA_START,
    LATENT_CHANNELS,
    LATENT_SIZE,
    TRAIN_TIMESTEPS,
    Captions,
    Denoiser,
)
from .world import BACKGROUNDS, held_out, plain_caption

#: Settings of the noise schedule, as diffusers names them; the sidecar carries them too.
SCHEDULER_CONFIG = {
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}


class Classifier(nn.Module):
    """A small convolutional network: [B, 3, 64, 64] to one score per subject."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths, layers = (3, 32, 64, 128, 192), []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after)]
            layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, classes))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.layers(x)


def disturb(pictures: Tensor) -> Tensor:
    """Half size, sometimes blurred, with noise: robust to texture, attentive to form."""
    small = functional.avg_pool2d(pictures, 2)
    if torch.rand(()) < 0.5:
        small = functional.avg_pool2d(small, 3, stride=1, padding=1, count_include_pad=False)
    return small + 0.1 * torch.rand(()) * torch.randn_like(small)


def train_classifier(sprites: Sprites, folder: Path, steps: int = 900, seed: int = 7) -> Classifier:
    """Train on composed pictures of all pairs, or load ``folder/classifier.pt``."""
    path = folder / "classifier.pt"
    model = Classifier(len(sprites.subjects))
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    torch.manual_seed(seed)
    rng, names = np.random.default_rng(seed), list(BACKGROUNDS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for _ in range(steps):
        index = rng.integers(len(sprites.subjects), size=64)
        background = rng.integers(len(names), size=64)
        pairs = zip(index.tolist(), background.tolist(), strict=True)
        pictures = to_tensor([compose(sprites, i, names[b], rng) for i, b in pairs])
        loss = functional.cross_entropy(model(disturb(pictures)), torch.from_numpy(index))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    save_checkpoint(path, model.state_dict())
    return model.eval()


def edge_background(picture: Tensor) -> str:
    """The named colour nearest to the median of the picture's outermost 6 pixels.

    Args:
        picture: [3, 128, 128] in -1…1.
    """
    edge = torch.cat([picture[:, :6].flatten(1), picture[:, -6:].flatten(1)], dim=1)
    color = (edge.median(dim=1).values + 1) * 127.5
    known = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32)
    return list(BACKGROUNDS)[int((known - color).square().sum(1).argmin())]


@dataclass
class Sampler:
    """Draws pictures in torch, as the app's pipeline does with the packages."""

    denoiser: Denoiser
    autoencoder: Autoencoder
    captions: Captions
    scale: float
    shift: float

    @torch.inference_mode()
    def __call__(
        self, prompts: Sequence[str], seed: int, steps: int, guidance: float, karras: bool = False
    ) -> Tensor:
        """Pictures [B, 3, 128, 128] in -1…1, one per prompt, with DPM-Solver++ (2M)."""
        ids = torch.tensor([self.captions.ids(p) for p in ["", *prompts]])
        states = self.denoiser.text(ids)[0]
        states = torch.cat([states[:1].expand(len(prompts), -1, -1), states[1:]])
        scheduler = DPMSolverMultistepScheduler(**SCHEDULER_CONFIG, use_karras_sigmas=karras)
        scheduler.set_timesteps(steps)
        shape = (len(prompts), LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        for step in scheduler.timesteps:
            both = torch.cat([latents, latents])
            plain, asked = self.denoiser.unet(both, step, states, return_dict=False)[0].chunk(2)
            latents = scheduler.step(plain + guidance * (asked - plain), step, latents)[0]
        decoded = self.autoencoder.decoder(latents / self.scale + self.shift)
        return decoded.clamp(-1, 1)


@dataclass
class Score:
    """Counts of pictures, right subjects and right backgrounds."""

    pictures: int = 0
    subjects: int = 0
    backgrounds: int = 0
    by_subject: dict[str, list[int]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Shares in per cent."""
        share = 100 / max(1, self.pictures)
        subject, background = self.subjects * share, self.backgrounds * share
        return f"subject {subject:.1f} %, background {background:.1f} % ({self.pictures} pictures)"


def pairs_to_judge(
    sprites: Sprites, core: bool, unseen: bool, per_subject: int, seed: int = 3
) -> list[tuple[int, str]]:
    """Subject and background pairs, held-out ones (one per subject) or trained ones."""
    rng, pairs = np.random.default_rng(seed), []
    for index, subject in enumerate(sprites.subjects):
        if subject.core != core:
            continue
        fitting = [b for b in BACKGROUNDS if held_out(subject.name, b) == unseen]
        count = min(per_subject, len(fitting))
        pairs += [(index, str(b)) for b in rng.choice(fitting, count, replace=False)]
    return pairs


@torch.inference_mode()
def judge(
    sampler: Sampler,
    classifier: Classifier,
    sprites: Sprites,
    pairs: Sequence[tuple[int, str]],
    *,
    seed: int = 11,
    steps: int = 20,
    guidance: float = 3.0,
    karras: bool = False,
) -> Score:
    """Draw every pair once and count what is right."""
    score = Score()
    for start in range(0, len(pairs), 16):
        batch = pairs[start : start + 16]
        prompts = [plain_caption(sprites.subjects[i], b) for i, b in batch]
        pictures = sampler(prompts, seed + start, steps, guidance, karras)
        seen = classifier(functional.avg_pool2d(pictures, 2)).argmax(1).tolist()
        for (index, background), guess, picture in zip(batch, seen, pictures, strict=True):
            right = int(guess == index)
            score.pictures += 1
            score.subjects += right
            score.backgrounds += edge_background(picture) == background
            score.by_subject.setdefault(sprites.subjects[index].name, []).append(right)
    return score


@torch.inference_mode()
def reconstruction_quality(autoencoder: Autoencoder, sprites: Sprites, seed: int = 77) -> float:
    """Mean PSNR in dB over one picture of every subject."""
    rng, names, found = np.random.default_rng(seed), list(BACKGROUNDS), []
    for start in range(0, len(sprites.subjects), 8):
        indices = range(start, min(start + 8, len(sprites.subjects)))
        pictures = to_tensor([compose(sprites, i, names[i * 5 % 12], rng) for i in indices])
        means = split_moments(autoencoder.encoder(pictures))[0]
        output = autoencoder.decoder(means)
        found += [psnr(a, b) for a, b in zip(pictures, output, strict=True)]
    return float(np.mean(found))


def contact_sheet(pictures: Tensor, columns: int) -> Image.Image:
    """[N, 3, 128, 128] in -1…1 side by side, row after row."""
    missing = -len(pictures) % columns
    padded = torch.cat([pictures, torch.ones(missing, *pictures.shape[1:])])
    rows = padded.reshape(-1, columns, *pictures.shape[1:]).permute(0, 3, 1, 4, 2)
    array = ((rows.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    height, width = array.shape[0] * array.shape[1], array.shape[2] * array.shape[3]
    return Image.fromarray(array.reshape(height, width, 3))
