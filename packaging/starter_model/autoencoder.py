"""Stage "autoencoder": pictures of 128x128 to latents of 16x16, and back.

It keeps the contract of a KL autoencoder (moments out of the encoder, scale and shift in the
sidecar) but does no work at full resolution: the encoder begins with patches of 4x4 pixels and the
decoder ends with them, which makes it several times cheaper than the usual one on a CPU.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .data import Sprites, compose_on, paint_background
from .optim import Muon, split_parameters
from .parallel import Workers, channels_last
from .world import BACKGROUNDS

LATENT_CHANNELS = 8
LOG_VARIANCE_RANGE = (-20.0, 4.0)
#: Noise that the decoder learns to live with, as a share of the latents' standard deviation: it
#: smooths the latent space and forgives the denoiser's small errors.
LATENT_NOISE = 0.1


class Residual(nn.Module):
    """Two 3x3 convolutions, each after group norm and SiLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, h, w] to the same."""
        hidden = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(hidden)))


class Encoder(nn.Module):
    """Picture [B, 3, 128, 128] in -1…1 to moments [B, 16, 16, 16]: means, then log-variances."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 4, stride=4),
            Residual(64),
            Residual(64),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            Residual(128),
            Residual(128),
            nn.GroupNorm(8, 128),
            nn.SiLU(),
            nn.Conv2d(128, 2 * LATENT_CHANNELS, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.layers(x)


class Decoder(nn.Module):
    """Latents [B, 8, 16, 16] (unscaled) to pictures [B, 3, 128, 128], about -1…1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, 192, 3, padding=1),
            Residual(192),
            Residual(192),
            Residual(192),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            nn.Conv2d(192, 96, 3, padding=1),
            Residual(96),
            Residual(96),
            nn.GroupNorm(8, 96),
            nn.SiLU(),
            nn.Conv2d(96, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def forward(self, z: Tensor) -> Tensor:
        """See the class."""
        return self.layers(z)


class Autoencoder(nn.Module):
    """Encoder and decoder together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()


def split_moments(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Means and clamped log-variances, each half of the channels."""
    mean, log_variance = moments.float().chunk(2, dim=1)
    return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8 [128, 128, 3] pictures to [B, 3, 128, 128] in -1…1, channels last."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return (stacked.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def varied_picture(sprites: Sprites, rng: np.random.Generator) -> np.ndarray:
    """Any subject, mirrored or not, on any colour: the autoencoder is not to know only twelve."""
    named = rng.random() < 0.6
    colors = list(BACKGROUNDS.values())
    color = colors[rng.integers(len(colors))] if named else tuple(rng.uniform(0, 255, 3))
    index = int(rng.integers(len(sprites.subjects)))
    return compose_on(sprites, index, paint_background(color, rng), rng, rng.random() < 0.5)


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(target: Tensor, output: Tensor) -> Tensor:
    """Absolute and squared error, and absolute error of neighbouring pixels' differences."""
    error = output - target
    loss = error.abs().mean() + 4 * error.square().mean()
    return loss + 0.5 * sum(d.abs().mean() for d in _differences(error))


def psnr(target: Tensor, output: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in -1…1 (peak to peak 2)."""
    return 10 * math.log10(4 / (target - output.clamp(-1, 1)).square().mean().item())


@dataclass
class AutoencoderPlan:
    """How long and how to train."""

    minutes: float = 20.0
    batch: int = 16
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    kl_weight: float = 1e-3
    seed: int = 0
    device: str = "cpu"
    workers: int = 2


def _optimizers(
    model: nn.Module, plan: AutoencoderPlan, workers: Workers
) -> list[torch.optim.Optimizer]:
    matrices, others = split_parameters(model)
    each = workers.pool.map
    return [
        Muon(matrices, lr=plan.muon_lr, momentum=0.95, weight_decay=0.0, map=each),
        torch.optim.AdamW(others, lr=plan.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def save_checkpoint(path: Path, state: dict) -> None:
    """Write through a temporary name, so that an interruption never leaves half a file."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def train(sprites: Sprites, folder: Path, plan: AutoencoderPlan) -> None:
    """Train for ``plan.minutes`` in all, going on from ``folder/autoencoder.pt`` if it is there."""
    torch.manual_seed(plan.seed)
    path = folder / "autoencoder.pt"
    model = Autoencoder().to(plan.device)
    channels_last(model)
    workers = Workers(plan.workers)
    optimizers = _optimizers(model, plan, workers)
    parameters = list(model.parameters())
    rates = [o.param_groups[0]["lr"] for o in optimizers]
    step, spent = 0, 0.0
    if path.exists():
        state = torch.load(path, map_location=plan.device, weights_only=True)
        model.load_state_dict(state["model"])
        step, spent = state["step"], state["seconds"]
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    rng = np.random.default_rng(plan.seed + step)
    limit, saved_at, start = plan.minutes * 60, time.monotonic(), time.monotonic() - spent
    mean = None
    while (elapsed := time.monotonic() - start) < limit:
        for optimizer, rate in zip(optimizers, rates, strict=True):
            factor = min(1.0, (step + 1) / 50) * max(0.01, 1 - elapsed / limit)
            optimizer.param_groups[0]["lr"] = rate * factor
        parts = [(model, rng.spawn(1)[0], sprites, plan) for _ in range(plan.workers)]
        loss = workers.gradients(_loss, parts, parameters)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        mean = loss if mean is None else 0.98 * mean + 0.02 * loss
        if step % 50 == 0:
            print(f"{step} {elapsed:.0f}s loss {mean:.4f}", flush=True)
        finished = time.monotonic() - start >= limit
        if finished or time.monotonic() - saved_at > 90:
            saved_at = time.monotonic()
            state = {"model": model.state_dict(), "step": step, "seconds": saved_at - start}
            state["optimizers"] = [o.state_dict() for o in optimizers]
            save_checkpoint(path, state)


def _loss(
    model: Autoencoder, rng: np.random.Generator, sprites: Sprites, plan: AutoencoderPlan
) -> Tensor:
    count = plan.batch // plan.workers
    batch = to_tensor([varied_picture(sprites, rng) for _ in range(count)]).to(plan.device)
    with torch.autocast(plan.device, dtype=torch.bfloat16):
        mean, log_variance = split_moments(model.encoder(batch))
        extra = LATENT_NOISE * mean.detach().std()
        latents = mean + torch.randn_like(mean) * ((0.5 * log_variance).exp() + extra)
        output = model.decoder(latents).float()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    return reconstruction_loss(batch, output) + plan.kl_weight * divergence


def load_autoencoder(folder: Path) -> Autoencoder:
    """The trained autoencoder, in evaluation mode, on the CPU."""
    state = torch.load(folder / "autoencoder.pt", map_location="cpu", weights_only=True)
    model = Autoencoder()
    model.load_state_dict(state["model"])
    return model.eval()
