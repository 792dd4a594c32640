"""Stage "measure": colours of subjects, free phrasing, and how much two seeds differ.

The judge is a classifier with two answers, which subject and which paint, that has seen composed
pictures only. Its accuracy on composed pictures is printed first: nothing can score above it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .autoencoder import save_checkpoint, to_tensor
from .data import Sprites
from .evaluate import Classifier, Sampler, contact_sheet, disturb, edge_background
from .finetune import Scene, Wardrobe
from .report import Settings, build_sampler
from .world import BACKGROUNDS, colored, held_out, held_out_color, with_article

COLORS = tuple(BACKGROUNDS)
#: Ways of asking that name the subject among other words; ``{a}`` has its article, ``{s}`` not.
PHRASINGS = (
    "photo of {a}",
    "{s}",
    "{a} on a beach",
    "an astronaut riding {a}",
    "a cute little {s} sleeping in the forest, 4k, masterpiece",
    "I want to see the {s} please",
    "oil painting of {a} at sunset",
    "{a} wearing boots",
)


class Judge(nn.Module):
    """Names the subject and its paint: [B, 3, 64, 64] to [B, subjects] and [B, colours]."""

    def __init__(self, subjects: int) -> None:
        super().__init__()
        self.subjects = subjects
        self.network = Classifier(subjects + len(COLORS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        scores = self.network(x)
        return scores[:, : self.subjects], scores[:, self.subjects :]


def any_scene(wardrobe: Wardrobe, rng: np.random.Generator, paint: float = 0.6) -> Scene:
    """Any subject on any ground, painted with probability ``paint`` where that can be."""
    index, ground = int(rng.integers(len(wardrobe.subjects))), str(rng.choice(COLORS))
    fitting = [c for c in wardrobe.colors[index] if c != ground]
    painted = bool(fitting) and rng.random() < paint
    return Scene(index, ground, str(rng.choice(fitting)) if painted else None)


def train_judge(
    wardrobe: Wardrobe, folder: Path, steps: int = 2000, batch: int = 48, seed: int = 7
) -> Judge:
    """Train on composed pictures, or load ``folder/judge.pt``."""
    path, model = folder / "judge.pt", Judge(len(wardrobe.subjects))
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for step in range(steps):
        scenes = [any_scene(wardrobe, rng) for _ in range(batch)]
        pictures = to_tensor([wardrobe.picture(s, rng) for s in scenes])
        subjects, paints = model(disturb(pictures))
        # What has its own colours teaches nothing about paint.
        wanted = torch.tensor([COLORS.index(s.color) if s.color else -1 for s in scenes])
        loss = functional.cross_entropy(subjects, torch.tensor([s.subject for s in scenes]))
        loss = loss + functional.cross_entropy(paints, wanted, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        if step % 100 == 0:
            print(f"judge {step} loss {loss.item():.3f}", flush=True)
    save_checkpoint(path, model.state_dict())
    return model.eval()


@dataclass
class Tally:
    """Pictures and what was right in them."""

    pictures: int = 0
    subject: int = 0
    color: int = 0
    ground: int = 0
    all: int = 0
    leaked: int = 0  # the subject's colour was found behind it

    def __str__(self) -> str:
        """Shares in per cent."""
        share = 100 / max(1, self.pictures)
        return (
            f"subject {self.subject * share:.1f} %, its colour {self.color * share:.1f} %, "
            f"ground {self.ground * share:.1f} %, all {self.all * share:.1f} %, "
            f"colour leaked to the ground {self.leaked * share:.1f} % ({self.pictures} pictures)"
        )


@dataclass(frozen=True)
class Asked:
    """A prompt and what its picture must show; None where anything will do."""

    prompt: str
    subject: int
    color: str | None = None
    ground: str | None = None


@torch.inference_mode()
def tally(judge: Judge, pictures: Tensor, asked: Sequence[Asked]) -> Tally:
    """Judge pictures [B, 3, 128, 128] in -1…1."""
    subjects, paints = judge(functional.avg_pool2d(pictures, 2))
    result = Tally()
    guesses = zip(subjects.argmax(1).tolist(), paints.argmax(1).tolist(), strict=True)
    for one, picture, (subject, paint) in zip(asked, pictures, guesses, strict=True):
        ground = edge_background(picture)
        right = (
            subject == one.subject,
            one.color is None or COLORS[paint] == one.color,
            one.ground is None or ground == one.ground,
        )
        result.pictures += 1
        result.subject += right[0]
        result.color += right[1]
        result.ground += right[2]
        result.all += all(right)
        result.leaked += one.ground is None and ground == one.color
    return result


def composed(wardrobe: Wardrobe, judge: Judge, count: int = 600, seed: int = 99) -> Tally:
    """What the judge says of composed pictures: the best that a model could reach."""
    rng, total = np.random.default_rng(seed), []
    for _ in range(count // 50):
        scenes = [any_scene(wardrobe, rng) for _ in range(50)]
        pictures = to_tensor([wardrobe.picture(s, rng) for s in scenes])
        total.append(
            tally(judge, pictures, [Asked("", s.subject, s.color, s.ground) for s in scenes])
        )
    return Tally(*(sum(values) for values in zip(*(vars(t).values() for t in total), strict=True)))


def questions(wardrobe: Wardrobe, count: int, seed: int = 5) -> dict[str, list[Asked]]:
    """The prompts of every measure, ``count`` each."""
    rng = random.Random(seed)
    subjects = wardrobe.subjects
    core = [i for i, s in enumerate(subjects) if s.core]
    everyone = list(range(len(subjects)))

    def painted(index: int, unseen: bool) -> str | None:
        name = subjects[index].name
        fitting = [c for c in wardrobe.colors[index] if held_out_color(name, c) == unseen]
        return rng.choice(fitting) if fitting else None

    def both(pool: list[int], unseen: bool) -> list[Asked]:
        found = []
        while len(found) < count:
            index = rng.choice(pool)
            color = painted(index, unseen)
            name = subjects[index].name
            grounds = [b for b in COLORS if b != color and not held_out(name, b)]
            if color is not None:
                ground = rng.choice(grounds)
                thing = with_article(colored(name, color))
                text = f"{thing} on {with_article(ground)} background"
                found.append(Asked(text, index, color, ground))
        return found

    def alone(pool: list[int]) -> list[Asked]:
        found = []
        while len(found) < count:
            index = rng.choice(pool)
            if color := painted(index, False):
                text = with_article(colored(subjects[index].name, color))
                found.append(Asked(text, index, color))
        return found

    phrased = []
    for number in range(count):
        index = rng.choice(everyone)
        name = subjects[index].name
        wording = PHRASINGS[number % len(PHRASINGS)]
        phrased.append(Asked(wording.format(a=with_article(name), s=name), index))
    return {
        "subject's colour and ground, core": both(core, False),
        "subject's colour and ground, all": both(everyone, False),
        "subject's colour never shown, and ground, core": both(core, True),
        "subject's colour alone, all": alone(everyone),
        "free phrasing, all": phrased,
    }


@torch.inference_mode()
def difference_between_seeds(
    sampler: Sampler, wardrobe: Wardrobe, settings: Settings, count: int, grounds: bool
) -> tuple[float, float]:
    """How much two seeds' pictures of one prompt differ, over ``count`` core subjects.

    Returns:
        Mean absolute difference per channel, 0…255, and the share of pixels whose colour differs
        by more than 24 in some channel.
    """
    core = [s for s in wardrobe.subjects if s.core][::7][:count]
    prompts = [with_article(s.name) for s in core]
    if grounds:
        prompts = [
            f"{p} on {with_article(COLORS[i % 12])} background" for i, p in enumerate(prompts)
        ]
    first, second = (
        sampler(prompts, seed, settings.steps, settings.guidance, settings.karras)
        for seed in (1, 2)
    )
    away = (first - second).abs() * 127.5
    return away.mean().item(), (away.amax(1) > 24).float().mean().item()


def measure(work: Path, tokenizer_folder: Path, chosen: dict, count: int = 64) -> None:
    """Print all measures and write ``measures.jpg``: some pictures of every question."""
    settings = Settings(**chosen)
    sprites = Sprites.load(work / "data")
    wardrobe = Wardrobe(sprites)
    judge = train_judge(wardrobe, work)
    print(f"judge on composed pictures: {composed(wardrobe, judge)}", flush=True)
    sampler = build_sampler(work, tokenizer_folder, sprites)
    shown = []
    for title, asked in questions(wardrobe, count).items():
        parts = []
        for number, batch in enumerate(_split(asked)):
            prompts = [one.prompt for one in batch]
            parts.append(
                sampler(prompts, number, settings.steps, settings.guidance, settings.karras)
            )
        pictures = torch.cat(parts)
        shown.append(pictures[:12])
        print(f"{title}: {tally(judge, pictures, asked)}", flush=True)
        print("   " + "; ".join(one.prompt for one in asked[:12]), flush=True)
    for grounds in (True, False):
        mean, share = difference_between_seeds(sampler, wardrobe, settings, 16, grounds)
        text = "ground named" if grounds else "ground free"
        print(
            f"two seeds, {text}: mean {mean:.1f} of 255, {100 * share:.0f} % of pixels", flush=True
        )
    contact_sheet(torch.cat(shown), 12).save(work / "measures.jpg", quality=88)


def _split(asked: Sequence[Asked], size: int = 16) -> list[Sequence[Asked]]:
    return [asked[start : start + size] for start in range(0, len(asked), size)]
