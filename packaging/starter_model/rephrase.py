"""Stage "rephrase": the text encoder learns to hear what people say as what the UNet understands.

Text reaches the UNet through its cross attention only. So a prompt that gives the same answers to
the UNet's questions as "a cat on a blue background" draws the same picture, whatever its words:
the text encoder alone is trained until "photo of a cute kitten at the sea, blue backdrop" does.
The UNet stays as it is, and with it all that it draws well; no picture is needed, only words.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .autoencoder import save_checkpoint
from .data import Sprites
from .denoiser import (
    LATENT_CHANNELS,
    LATENT_SIZE,
    TRAIN_TIMESTEPS,
    Captions,
    CompactText,
    Denoiser,
    load_denoiser,
    load_tokenizer,
)
from .finetune import Wardrobe
from .world import BACKGROUNDS, free_caption, usual_caption

TEACHER = "teacher.pt"


@dataclass
class RephrasePlan:
    """How long and how to train.

    Attributes:
        minutes: The learning rate falls linearly to zero at their end.
        plain: Share of prompts in the usual wording, which must go on meaning what they meant.
        silent: Share of prompts that name no ground.
        colored: Share of prompts with a colour said of the subject.
        questions: How many of the UNet's questions are asked per step and layer.
    """

    minutes: float = 20.0
    batch: int = 48
    lr: float = 1e-3
    embedding_lr: float = 3e-3
    plain: float = 0.15
    silent: float = 0.35
    colored: float = 0.55
    questions: int = 48
    seed: int = 0


class CrossAttention(nn.Module):
    """The answers of one of the UNet's cross attentions, for questions that it really asks.

    Attributes:
        queries: [N, heads, width], collected while the UNet ran.
    """

    queries: Tensor

    def __init__(self, attention: Any, queries: Tensor) -> None:
        super().__init__()
        self.to_k: nn.Module = attention.to_k
        self.to_v: nn.Module = attention.to_v
        self.heads: int = attention.heads
        count, width = queries.shape
        self.register_buffer("queries", queries.view(count, self.heads, width // self.heads))

    def forward(self, states: Tensor, chosen: Tensor) -> Tensor:
        """Text states [B, 77, H] and indices of questions [n] to answers [B, heads, n, width]."""
        shape = (*states.shape[:2], self.heads, -1)
        keys = self.to_k(states).view(shape).transpose(1, 2)
        values = self.to_v(states).view(shape).transpose(1, 2)
        queries = self.queries[chosen].transpose(0, 1)
        scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
        return scores.softmax(-1) @ values


@torch.no_grad()
def collect(model: Denoiser, ids: Tensor, per_layer: int = 2048) -> list[CrossAttention]:
    """Run the UNet on noise under different prompts and keep what its cross attentions ask."""
    asked: dict[str, list[Tensor]] = {}
    layers = {n: m for n, m in model.unet.named_modules() if n.endswith("attn2")}
    hooks = []
    for name, layer in layers.items():

        def keep(module, arguments, name=name):  # type: ignore[no-untyped-def]
            asked.setdefault(name, []).append(module.to_q(arguments[0]).flatten(0, 1))

        hooks.append(layer.register_forward_pre_hook(keep))
    states = model.text(ids)[0]
    latents = torch.randn(len(ids), LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE)
    # As in sampling: what is asked late depends on what was answered before.
    for step in range(TRAIN_TIMESTEPS - 1, 0, -111):
        level = torch.tensor(step)
        velocity = model.unet(latents, level, states, return_dict=False)[0]
        latents = _one_step(latents, velocity, step)
    for hook in hooks:
        hook.remove()
    found = []
    for name, layer in layers.items():
        queries = torch.cat(asked[name])
        found.append(CrossAttention(layer, queries[torch.randperm(len(queries))[:per_layer]]))
    return found


def _one_step(latents: Tensor, velocity: Tensor, step: int) -> Tensor:
    """A coarse deterministic step (DDIM) from ``step`` to the next lower one of ``collect``."""
    from .denoiser import signal_levels

    levels = signal_levels()
    now, after = levels[step], levels[max(0, step - 111)]
    clean = now.sqrt() * latents - (1 - now).sqrt() * velocity
    noise = now.sqrt() * velocity + (1 - now).sqrt() * latents
    return after.sqrt() * clean + (1 - after).sqrt() * noise


class Meanings:
    """States of the usual wording for every subject, on every ground and on none."""

    def __init__(self, text: CompactText, captions: Captions) -> None:
        self.grounds: list[str | None] = [None, *BACKGROUNDS]
        prompts = [""]
        for subject in captions.subjects:
            prompts += [usual_caption(subject, ground) for ground in self.grounds]
        parts = []
        with torch.no_grad():
            for start in range(0, len(prompts), 128):
                ids = torch.tensor([captions.ids(p) for p in prompts[start : start + 128]])
                parts.append(text(ids)[0].half())
        self.states = torch.cat(parts)

    def index(self, subject: int | None, ground: str | None) -> int:
        """The row of ``states``; that of the empty prompt without a subject."""
        if subject is None:
            return 0
        return 1 + subject * len(self.grounds) + self.grounds.index(ground)


class Prompts:
    """Draws prompts and the rows of ``Meanings`` that they are to mean."""

    def __init__(self, captions: Captions, wardrobe: Wardrobe, meanings: Meanings) -> None:
        self.captions, self.wardrobe, self.meanings = captions, wardrobe, meanings

    def draw(self, plan: RephrasePlan) -> tuple[str, int]:
        """One prompt and the row of its meaning."""
        rng = self.captions.rng
        if rng.random() < 0.02:
            return "", 0
        index = rng.randrange(len(self.captions.subjects))
        subject = self.captions.subjects[index]
        ground = None if rng.random() < plan.silent else rng.choice(list(BACKGROUNDS))
        row = self.meanings.index(index, ground)
        if rng.random() < plan.plain:
            return usual_caption(subject, ground), row
        color = None
        if rng.random() < plan.colored:
            fitting = [c for c in self.wardrobe.sayable[index] if c != ground]
            color = rng.choice(fitting)
        return free_caption(subject, ground, color, rng), row


def rephrase(folder: Path, data: Path, tokenizer_folder: Path, plan: RephrasePlan) -> None:
    """Train the text encoder of ``folder/denoiser.pt``, which is replaced as training goes on.

    What the usual wordings mean is kept in ``folder/teacher.pt``, the checkpoint that the first run
    found: later runs go on towards the same meanings.
    """
    torch.manual_seed(plan.seed)
    sprites = Sprites.load(data)
    captions = Captions(load_tokenizer(tokenizer_folder), sprites.subjects, plan.seed)
    if not (folder / TEACHER).exists():
        shutil.copy(folder / "denoiser.pt", folder / TEACHER)
    model = load_denoiser(folder, TEACHER).requires_grad_(False)
    meanings = Meanings(model.text, captions)
    some = captions.rng.sample(sprites.subjects, 24)
    asked = [usual_caption(s, captions.rng.choice(meanings.grounds)) for s in some]
    layers = collect(model, torch.tensor([captions.ids(p) for p in asked]))
    prompts = Prompts(captions, Wardrobe(sprites), meanings)
    student = load_denoiser(folder).text.train()
    words = student.clip.get_input_embeddings().weight
    rest = [p for p in student.parameters() if p is not words]
    optimizer = torch.optim.AdamW(
        [{"params": rest, "lr": plan.lr}, {"params": [words], "lr": plan.embedding_lr}],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    with torch.no_grad():  # answers differ in scale from layer to layer
        every = torch.arange(plan.questions)
        sample = meanings.states[torch.randperm(len(meanings.states))[:64]].float()
        scales = [layer(sample, every).var(0).mean() for layer in layers]
    start, mean, step = time.monotonic(), 0.0, 0
    while (spent := time.monotonic() - start) < plan.minutes * 60:
        left = max(0.01, 1 - spent / (plan.minutes * 60))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * left * min(1.0, (step + 1) / 20)
        drawn = [prompts.draw(plan) for _ in range(plan.batch)]
        ids = torch.tensor([captions.ids(text) for text, _ in drawn])
        target = meanings.states[torch.tensor([row for _, row in drawn])].float()
        states = student(ids)[0]
        loss = torch.zeros(())
        for layer, scale in zip(layers, scales, strict=True):
            chosen = torch.randint(len(layer.queries), (plan.questions,))
            with torch.no_grad():
                wanted = layer(target, chosen)
            loss = loss + functional.mse_loss(layer(states, chosen), wanted) / scale
        loss = loss / len(layers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        step += 1
        if step % 25 == 0:
            print(f"{step} {spent:.0f}s share of variance missed {mean:.4f}", flush=True)
            if step % 100 == 0:
                save(folder, model, student)
    save(folder, model, student)


def save(folder: Path, model: Denoiser, text: CompactText) -> None:
    """Write ``denoiser.pt`` anew with this text encoder, without optimizers."""
    path = folder / "denoiser.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    average = dict(model.state_dict())
    average |= {f"text.{name}": value for name, value in text.state_dict().items()}
    kept = {name: state[name] for name in ("step", "seconds", "used")}
    save_checkpoint(path, {"model": average, "average": average, **kept})
