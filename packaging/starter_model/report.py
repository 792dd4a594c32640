"""Stage "evaluate" as a command: a table of scores, contact sheets, and which subjects came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional

from .autoencoder import load_autoencoder, to_tensor
from .data import Sprites, compose
from .denoiser import Captions, Latents, load_denoiser, load_tokenizer
from .evaluate import (
    Classifier,
    Sampler,
    Score,
    contact_sheet,
    judge,
    pairs_to_judge,
    reconstruction_quality,
    train_classifier,
)
from .world import BACKGROUNDS, plain_caption


@dataclass(frozen=True)
class Settings:
    """How to draw and how much to judge.

    Attributes:
        seen, unseen: Pairs per core subject out of training, and held out of it.
        others: Pairs per other subject, seen ones and held-out ones each.
        good: Share of right pictures from which a subject may be promised on the model's card.
    """

    steps: int = 12
    guidance: float = 3.0
    karras: bool = False
    seen: int = 2
    unseen: int = 1
    others: int = 1
    good: float = 0.75


def build_sampler(work: Path, tokenizer_folder: Path, sprites: Sprites) -> Sampler:
    """The trained networks, ready to draw."""
    latents = Latents.load(work)
    captions = Captions(load_tokenizer(tokenizer_folder), sprites.subjects, 0)
    networks = load_denoiser(work), load_autoencoder(work)
    return Sampler(*networks, captions, latents.scale, latents.shift)


@torch.inference_mode()
def classifier_accuracy(classifier: Classifier, sprites: Sprites, seed: int = 99) -> float:
    """Share of composed pictures, one per subject, that the classifier names rightly."""
    import numpy as np

    rng, names, right = np.random.default_rng(seed), list(BACKGROUNDS), 0
    for start in range(0, len(sprites.subjects), 32):
        indices = list(range(start, min(start + 32, len(sprites.subjects))))
        pictures = to_tensor([compose(sprites, i, names[i % 12], rng) for i in indices])
        guesses = classifier(functional.avg_pool2d(pictures, 2)).argmax(1).tolist()
        right += sum(guess == index for guess, index in zip(guesses, indices, strict=True))
    return right / len(sprites.subjects)


def draw_core(sampler: Sampler, sprites: Sprites, settings: Settings, path: Path) -> None:
    """A contact sheet with every core subject once."""
    names = list(BACKGROUNDS)
    core = [s for s in sprites.subjects if s.core]
    prompts = [plain_caption(s, names[i * 7 % len(names)]) for i, s in enumerate(core)]
    parts = [
        sampler(prompts[i : i + 16], i, settings.steps, settings.guidance, settings.karras)
        for i in range(0, len(prompts), 16)
    ]
    contact_sheet(torch.cat(parts), 13).save(path, quality=88)


def evaluate(work: Path, tokenizer_folder: Path, chosen: dict) -> None:
    """Print all scores; write ``contact-sheet.jpg`` and ``good-subjects.json`` into ``work``."""
    settings = Settings(**chosen)
    sprites = Sprites.load(work / "data")
    sampler = build_sampler(work, tokenizer_folder, sprites)
    classifier = train_classifier(sprites, work)
    accuracy = classifier_accuracy(classifier, sprites)
    print(f"classifier on composed pictures: {100 * accuracy:.1f} %")
    print(f"autoencoder: {reconstruction_quality(sampler.autoencoder, sprites):.1f} dB", flush=True)
    draw_core(sampler, sprites, settings, work / "contact-sheet.jpg")
    parts = {
        "core, seen pairs": (True, False, settings.seen),
        "core, held-out pairs": (True, True, settings.unseen),
        "others, seen pairs": (False, False, settings.others),
        "others, held-out pairs": (False, True, settings.others),
    }
    right: dict[str, list[int]] = {}
    for title, (core, unseen, count) in parts.items():
        if count == 0:
            continue
        score: Score = judge(
            sampler,
            classifier,
            sprites,
            pairs_to_judge(sprites, core, unseen, count),
            steps=settings.steps,
            guidance=settings.guidance,
            karras=settings.karras,
        )
        print(f"{title}: {score}", flush=True)
        for name, answers in score.by_subject.items():
            right.setdefault(name, []).extend(answers)
    good = [name for name, answers in right.items() if sum(answers) / len(answers) >= settings.good]
    (work / "good-subjects.json").write_text(json.dumps(good, indent=1), encoding="utf-8")
    print(f"{len(good)} subjects are right at least {100 * settings.good:.0f} % of the time")
