"""Stages "latents" and "denoiser": the text encoder and the conditional UNet, trained together."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .autoencoder import (
    LATENT_CHANNELS,
    load_autoencoder,
    save_checkpoint,
    split_moments,
    to_tensor,
)
from .data import Sprites, compose
from .optim import Muon, split_parameters
from .parallel import Workers, channels_last
from .world import (
    BACKGROUND_SYNONYMS,
    BACKGROUNDS,
    WORDINGS,
    WORDINGS_WITHOUT_BACKGROUND,
    Subject,
    caption,
    held_out,
    spoken_names,
    with_article,
)

#: Noisy latents [B, C, 16, 16], velocities alike, timesteps [B] and token ids [B, 77].
Batch = tuple[Tensor, Tensor, Tensor, Tensor]

TOKENS = 77
END_OF_TEXT = 49407
HIDDEN_SIZE = 192
LATENT_SIZE = 16
TRAIN_TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
#: Compositions encoded per subject and background.
VIEWS_OF_CORE, VIEWS_OF_OTHERS = 8, 2


def signal_levels() -> Tensor:
    """ᾱ of Stable Diffusion's "scaled linear" schedule for t = 0…999."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_TIMESTEPS, dtype=torch.float64)
    return (1 - betas.square()).cumprod(0).float()


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer from ``vocab.json`` and ``merges.txt``."""
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        model_max_length=TOKENS,
    )


def tokens_in_use(tokenizer: CLIPTokenizer, subjects: list[Subject]) -> list[int]:
    """Sorted ids of every token that a caption of this world can hold."""
    texts = [name for subject in subjects for name in spoken_names(subject)]
    texts += [with_article(name) for name in texts]
    texts += [*BACKGROUNDS, *(s for names in BACKGROUND_SYNONYMS.values() for s in names)]
    texts += [w.format(a="a", s="", b="", ab="an") for w in WORDINGS + WORDINGS_WITHOUT_BACKGROUND]
    used = {token for text in texts for token in tokenizer(text)["input_ids"]}
    return sorted(used)


class CompactText(nn.Module):
    """CLIP's text encoder that stores embeddings only for tokens it was trained on.

    Token ids are CLIP's 49,408; a table sends each to a row of a small embedding, and all tokens
    unknown to this world share row 0.
    """

    rows: Tensor

    def __init__(self, used: list[int], vocabulary: int = 49408) -> None:
        super().__init__()
        config = CLIPTextConfig(
            vocab_size=len(used) + 1,
            hidden_size=HIDDEN_SIZE,
            intermediate_size=3 * HIDDEN_SIZE,
            num_hidden_layers=2,
            num_attention_heads=6,
            max_position_embeddings=TOKENS,
            eos_token_id=used.index(END_OF_TEXT) + 1,
            bos_token_id=used.index(END_OF_TEXT - 1) + 1,
            pad_token_id=used.index(END_OF_TEXT) + 1,
        )
        self.clip = CLIPTextModel(config)
        rows = torch.zeros(vocabulary, dtype=torch.long)
        rows[torch.tensor(used)] = torch.arange(1, len(used) + 1)
        self.register_buffer("rows", rows)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [B, 77] to hidden states [B, 77, H] after the last norm, and pooled [B, H]."""
        output = self.clip(input_ids=self.rows[ids])
        return output.last_hidden_state, output.pooler_output


def build_unet() -> UNet2DConditionModel:
    """The conditional UNet: narrow at 16x16, its capacity and the text at 8x8 and 4x4."""
    heads: Any = (2, 6, 8)  # by diffusers' history, heads per level go by this name
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 192, 256),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=HIDDEN_SIZE,
        attention_head_dim=heads,
        norm_num_groups=16,
    )


class Denoiser(nn.Module):
    """Text encoder and UNet, trained as one."""

    def __init__(self, used: list[int]) -> None:
        super().__init__()
        self.text = CompactText(used)
        self.unet = build_unet()


@dataclass
class Latents:
    """Encoded compositions.

    Attributes:
        values: float32 [N, C, 16, 16], already (mean − shift) · scale.
        subject: int64 [N], index of the subject.
        background: int64 [N], index of the background.
        scale: The sidecar's scaling factor, 1 / standard deviation.
        shift: The sidecar's shift factor, the mean.
    """

    values: Tensor
    subject: Tensor
    background: Tensor
    scale: float
    shift: float

    @classmethod
    def load(cls, folder: Path) -> Latents:
        """Read what ``encode_world`` wrote."""
        state = torch.load(folder / "latents.pt", weights_only=True)
        return cls(**{**state, "values": state["values"].float()})


@torch.inference_mode()
def encode_world(sprites: Sprites, folder: Path, seed: int = 1) -> None:
    """Compose and encode several views of every pair that is not held out: ``latents.pt``."""
    encoder = load_autoencoder(folder).encoder
    channels_last(encoder)
    rng = np.random.default_rng(seed)
    pairs = [
        (index, number)
        for index, subject in enumerate(sprites.subjects)
        for number, background in enumerate(BACKGROUNDS)
        if not held_out(subject.name, background)
        for _ in range(VIEWS_OF_CORE if subject.core else VIEWS_OF_OTHERS)
    ]
    names, means = list(BACKGROUNDS), []
    for start in range(0, len(pairs), 64):
        batch = pairs[start : start + 64]
        pictures = to_tensor([compose(sprites, i, names[b], rng) for i, b in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            moments = encoder(pictures)
        means.append(split_moments(moments)[0])
    values = torch.cat(means)
    shift, scale = values.mean().item(), 1 / values.std().item()
    state = {
        "values": ((values - shift) * scale).half(),
        "subject": torch.tensor([i for i, _ in pairs]),
        "background": torch.tensor([b for _, b in pairs]),
        "scale": scale,
        "shift": shift,
    }
    save_checkpoint(folder / "latents.pt", state)


class Captions:
    """Random captions as token ids, each distinct text tokenized once."""

    def __init__(self, tokenizer: CLIPTokenizer, subjects: list[Subject], seed: int) -> None:
        self.tokenizer = tokenizer
        self.subjects = subjects
        self.rng = random.Random(seed)
        self.known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """77 ids, padded with the end-of-text token."""
        if text not in self.known:
            found = self.tokenizer(text, padding="max_length", truncation=True)["input_ids"]
            self.known[text] = list(found)
        return self.known[text]

    def draw(self, subject: int, background: int, dropout: float) -> list[int]:
        """A caption for this pair, or with probability ``dropout`` the empty one."""
        if self.rng.random() < dropout:
            return self.ids("")
        name = list(BACKGROUNDS)[background]
        return self.ids(caption(self.subjects[subject], name, self.rng))


@dataclass
class DenoiserPlan:
    """How long and how to train.

    Attributes:
        minutes: In all, over every resumption; the learning rate falls to zero at their end.
        emphasis: How often a subject is drawn, relative to others, by ``Subject.tier``.
        snr_limit: Timesteps with a signal-to-noise ratio above it are drawn more rarely, in
            proportion to limit / ratio, since the latents show there what to draw.
        freeze_text: Whether the text encoder stays as it is.
    """

    minutes: float = 90.0
    batch: int = 64
    muon_lr: float = 0.02
    adam_lr: float = 1e-3
    embedding_lr: float = 3e-3
    weight_decay: float = 0.01
    ema_decay: float = 0.995
    caption_dropout: float = 0.1
    emphasis: tuple[float, float, float] = (1.5, 2.0, 0.8)
    snr_limit: float = 5.0
    save_seconds: float = 150.0
    seed: int = 0
    device: str = "cpu"
    workers: int = 2
    freeze_text: bool = False


def draw_timesteps(count: int, snr_limit: float) -> Tensor:
    """Stratified: one draw from each of ``count`` equal slices of the plan's distribution."""
    levels = signal_levels()
    density = (snr_limit * (1 - levels) / levels).clamp(max=1.0)
    cumulative = (density / density.sum()).cumsum(0)
    uniform = (torch.arange(count) + torch.rand(count)) / count
    found = torch.searchsorted(cumulative, uniform).clamp(max=TRAIN_TIMESTEPS - 1)
    return found[torch.randperm(count)]


def noisy_batch(clean: Tensor, snr_limit: float) -> tuple[Tensor, Tensor, Tensor]:
    """Noise for latents [B, C, 16, 16], and what to predict.

    Returns:
        Noisy latents and velocities, shaped like ``clean``, and timesteps [B]. Velocity is
        √ᾱ·noise − √(1−ᾱ)·latents (Salimans and Ho 2022).
    """
    noise, steps = torch.randn_like(clean), draw_timesteps(len(clean), snr_limit)
    level = signal_levels()[steps][:, None, None, None]
    noisy = level.sqrt() * clean + (1 - level).sqrt() * noise
    return noisy, level.sqrt() * noise - (1 - level).sqrt() * clean, steps


class Batches:
    """Draws noisy latents, what to predict, timesteps and captions."""

    def __init__(self, latents: Latents, captions: Captions, plan: DenoiserPlan) -> None:
        self.latents, self.captions, self.plan = latents, captions, plan
        wanted = torch.tensor([plan.emphasis[s.tier] for s in captions.subjects])
        views = torch.bincount(latents.subject, minlength=len(wanted)).clamp(min=1)
        self.weights = (wanted / views)[latents.subject]

    def draw(self) -> Batch:
        """The next batch."""
        count = self.plan.batch
        chosen = torch.multinomial(self.weights, count, replacement=True)
        clean = self.latents.values[chosen]
        noisy, velocity, steps = noisy_batch(clean, self.plan.snr_limit)
        subjects, backgrounds = self.latents.subject[chosen], self.latents.background[chosen]
        pairs = zip(subjects.tolist(), backgrounds.tolist(), strict=True)
        ids = [self.captions.draw(s, b, self.plan.caption_dropout) for s, b in pairs]
        return noisy, velocity, steps, torch.tensor(ids)


def build_optimizers(
    model: Denoiser, plan: DenoiserPlan, workers: Workers
) -> list[torch.optim.Optimizer]:
    """Muon for matrices; AdamW for the rest, embeddings of tokens at their own, higher rate."""
    matrices, others = split_parameters(model)
    words = model.text.clip.get_input_embeddings().weight
    rest = [p for p in others if p is not words]
    groups = [{"params": rest, "lr": plan.adam_lr}]
    if words.requires_grad:
        groups.append({"params": [words], "lr": plan.embedding_lr})
    each, decay = workers.pool.map, plan.weight_decay
    return [
        Muon(matrices, lr=plan.muon_lr, momentum=0.95, weight_decay=decay, map=each),
        torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def predict(model: Denoiser, noisy: Tensor, steps: Tensor, ids: Tensor) -> Tensor:
    """The predicted velocity in float32, computed in bfloat16."""
    with torch.autocast(noisy.device.type, dtype=torch.bfloat16):
        states, _ = model.text(ids)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        return model.unet(noisy, steps, states, return_dict=False)[0].float()


class Training:
    """A model, its moving average and its optimizers, saved and resumed together."""

    def __init__(self, used: list[int], plan: DenoiserPlan, path: Path) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.path, self.used = plan, path, used
        self.model = Denoiser(used).to(plan.device)
        channels_last(self.model)
        # Written-out attention: PyTorch's fused one is slow backwards on CPUs for so few tokens.
        self.model.unet.set_attn_processor(AttnProcessor())
        self.model.text.clip.set_attn_implementation("eager")
        self.model.text.requires_grad_(not plan.freeze_text)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.workers = Workers(plan.workers)
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        self.pairs = [(mean, now) for mean, now in pairs if now.requires_grad]
        self.parameters = [now for _, now in self.pairs]
        self.optimizers = build_optimizers(self.model, plan, self.workers)
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.step, self.seconds = 0, 0.0
        if path.exists():
            self._resume(torch.load(path, map_location=plan.device, weights_only=True))

    def _resume(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        # Weights taken from packages (see ``warm.py``) come without.
        for optimizer, saved in zip(self.optimizers, state.get("optimizers", ()), strict=False):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write everything needed to go on."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "used": self.used,
        }
        save_checkpoint(self.path, state)

    def set_rates(self) -> None:
        """Warm up over 50 steps, then fall linearly to zero at the end of the plan."""
        left = 1 - self.seconds / (self.plan.minutes * 60)
        factor = min(1.0, (self.step + 1) / 50) * max(0.01, left)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def learn(self, batch: Batch) -> float:
        """One step; returns the loss, the mean squared error of the velocity."""
        self.set_rates()
        chunks = [part.to(self.plan.device).chunk(self.plan.workers) for part in batch]
        parts = list(zip(*chunks, strict=True))
        loss = self.workers.gradients(self._loss, parts, self.parameters)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(self.plan.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, now in self.pairs:
                mean.lerp_(now, 1 - decay)
        return loss

    def _loss(self, noisy: Tensor, velocity: Tensor, steps: Tensor, ids: Tensor) -> Tensor:
        return functional.mse_loss(predict(self.model, noisy, steps, ids), velocity)


def practise(
    training: Training, draw: Callable[[], Batch], smooth: float = 0.98, every: int = 25
) -> None:
    """Learn from what ``draw`` gives until the plan's time is over, saving now and then.

    The next batch is drawn in a thread while the last one is learnt from, so only ``draw`` may use
    PyTorch's global random numbers. A run that was ended anywhere goes on from the last save.

    Args:
        smooth: How much of the mean loss so far stays at a step; for the printed line only.
        every: Steps between two printed lines.
    """
    plan, mean, learnt = training.plan, None, 0
    begun, before = time.monotonic(), training.seconds
    saved_at, limit = begun, plan.minutes * 60
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        following = pool.submit(draw)
        while training.seconds < limit:
            batch = following.result()
            following = pool.submit(draw)
            loss = training.learn(batch)
            mean = loss if mean is None else smooth * mean + (1 - smooth) * loss
            learnt += len(batch[0])
            now = time.monotonic()
            training.seconds = before + now - begun
            if training.step % every == 0:
                rate = learnt / (now - begun)
                spent = f"{training.step} {training.seconds:.0f}s {rate:.1f} samples/s"
                print(f"{spent} loss {mean:.4f}", flush=True)
            if now - saved_at > plan.save_seconds or training.seconds >= limit:
                saved_at = now
                training.save()


def _tokens(path: Path, needed: list[int]) -> list[int]:
    """The tokens of the checkpoint at ``path``, if there is one; it must know all ``needed``."""
    if not path.exists():
        return needed
    known = torch.load(path, map_location="cpu", weights_only=True)["used"]
    if not set(needed) <= set(known):
        raise ValueError("the checkpoint lacks words of these subjects: train from the start")
    return known


def train(folder: Path, data: Path, tokenizer_folder: Path, plan: DenoiserPlan) -> None:
    """Train for ``plan.minutes`` in all, going on from ``folder/denoiser.pt`` if it is there."""
    subjects = Sprites.load(data).subjects
    tokenizer = load_tokenizer(tokenizer_folder)
    path = folder / "denoiser.pt"
    training = Training(_tokens(path, tokens_in_use(tokenizer, subjects)), plan, path)
    captions = Captions(tokenizer, subjects, plan.seed + training.step)
    torch.manual_seed(plan.seed + training.step)
    batches = Batches(Latents.load(folder), captions, plan)
    practise(training, batches.draw)


def load_denoiser(folder: Path, name: str = "denoiser.pt") -> Denoiser:
    """The averaged weights of the last checkpoint, in evaluation mode, on the CPU."""
    state = torch.load(folder / name, map_location="cpu", weights_only=True)
    model = Denoiser(state["used"])
    model.load_state_dict(state["average"])
    return model.eval()
