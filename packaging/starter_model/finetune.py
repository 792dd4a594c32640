"""Stage "finetune": text encoder and UNet together, on subjects in other colours and freer views.

It goes on from the weights of ``warm.py``. Pictures are composed and encoded anew for every step:
there are too many combinations of subject, colour, ground, size and place to store them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .autoencoder import load_autoencoder, save_checkpoint, split_moments, to_tensor
from .data import SPRITE_SIZES, Sprites, light_background, place
from .denoiser import (
    Batch,
    Captions,
    DenoiserPlan,
    Latents,
    Training,
    load_tokenizer,
    noisy_batch,
    practise,
)
from .parallel import channels_last
from .recolor import PAINTS, Paint, find_paint, repaint, to_oklab
from .world import (
    BACKGROUNDS,
    STRANGE,
    Subject,
    free_caption,
    held_out,
    held_out_color,
    usual_caption,
)

#: Oklab distance below which a subject already has a colour and is not repainted.
ALREADY = 0.1


@dataclass(frozen=True)
class Scene:
    """What one picture shows.

    Attributes:
        subject: Its index.
        ground: The colour behind it.
        color: The subject's colour where it is not its own.
    """

    subject: int
    ground: str
    color: str | None


class Wardrobe:
    """Every subject in every colour, painted when first asked for."""

    def __init__(self, sprites: Sprites) -> None:
        self.subjects = sprites.subjects
        self.own = sprites.arrays[max(SPRITE_SIZES)]
        self.paints: list[Paint] = [find_paint(sprite) for sprite in self.own]
        self.painted: dict[tuple[int, str], np.ndarray] = {}
        names = {name for subject in sprites.subjects for name in subject.names}
        self.sayable = [self._sayable(i, names) for i in range(len(sprites.subjects))]
        self.colors = [
            colors if paint.changes else []
            for colors, paint in zip(self.sayable, self.paints, strict=True)
        ]

    def _sayable(self, index: int, names: set[str]) -> list[str]:
        """Colours that this subject may be said to have, without being taken for another."""
        subject = self.subjects[index]
        others = names - set(subject.names)
        return [
            color
            for color in BACKGROUNDS
            if not any(f"{color} {name}" in others for name in subject.names)
        ]

    def wears(self, index: int, color: str) -> np.ndarray:
        """uint8 [112, 112, 4], premultiplied: the subject in that colour."""
        key = (index, color)
        if key not in self.painted:
            paint, target = self.paints[index], to_oklab(np.asarray(PAINTS[color], np.float64))
            sprite = self.own[index]
            if np.linalg.norm(paint.center - target) > ALREADY:
                sprite = repaint(sprite, paint, color)
            self.painted[key] = sprite
        return self.painted[key]

    def picture(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """One of many views of the scene, uint8 [128, 128, 3]."""
        sprite = self.own[scene.subject]
        if scene.color is not None:
            sprite = self.wears(scene.subject, scene.color)
        return place(sprite, light_background(BACKGROUNDS[scene.ground], rng), rng)


@dataclass
class FinetunePlan(DenoiserPlan):
    """As for the denoiser, with smaller steps from weights that are good already.

    Attributes:
        colored: Share of pictures whose subject has a colour said of it, where it can have one.
        silent: Share of captions that name no ground.
        strange: Share of captions that know nothing of what is seen.
        plain: Whether all captions have the usual wording, as a text encoder that stays as it is
            was trained on.
    """

    batch: int = 40
    muon_lr: float = 0.005
    adam_lr: float = 4e-4
    embedding_lr: float = 2e-3
    ema_decay: float = 0.98
    snr_limit: float = 3.0
    emphasis: tuple[float, float, float] = (1.0, 1.0, 1.0)
    caption_dropout: float = 0.08
    colored: float = 0.6
    silent: float = 0.3
    strange: float = 0.02
    plain: bool = False


class Scenes:
    """Draws noisy latents of new pictures with their captions, like ``denoiser.Batches``."""

    def __init__(
        self, sprites: Sprites, folder: Path, captions: Captions, plan: FinetunePlan, seed: int
    ) -> None:
        self.wardrobe, self.captions, self.plan = Wardrobe(sprites), captions, plan
        self.rng = np.random.default_rng(seed)
        self.encoder = load_autoencoder(folder).encoder
        channels_last(self.encoder)
        latents = Latents.load(folder)
        self.scale, self.shift = latents.scale, latents.shift
        wanted = np.array([plan.emphasis[s.tier] for s in sprites.subjects])
        self.chances = wanted / wanted.sum()

    def scene(self) -> Scene:
        """A subject, a ground and perhaps a colour that are not held out together."""
        index = int(self.rng.choice(len(self.chances), p=self.chances))
        subject: Subject = self.wardrobe.subjects[index]
        grounds = [b for b in BACKGROUNDS if not held_out(subject.name, b)]
        ground = str(self.rng.choice(grounds))
        color = None
        if self.rng.random() < self.plan.colored:
            fitting = [c for c in self.wardrobe.colors[index] if c != ground]
            fitting = [c for c in fitting if not held_out_color(subject.name, c)]
            color = str(self.rng.choice(fitting)) if fitting else None
        return Scene(index, ground, color)

    def caption(self, scene: Scene) -> str:
        """What is said of the scene; empty with the plan's dropout."""
        draw = self.captions.rng.random()
        if draw < self.plan.caption_dropout:
            return ""
        if draw < self.plan.caption_dropout + self.plan.strange:
            return self.captions.rng.choice(STRANGE)
        silent = self.captions.rng.random() < self.plan.silent
        subject = self.wardrobe.subjects[scene.subject]
        ground = None if silent else scene.ground
        if self.plan.plain:
            return usual_caption(subject, ground)
        return free_caption(subject, ground, scene.color, self.captions.rng)

    @torch.no_grad()
    def draw(self) -> Batch:
        """As ``denoiser.Batches.draw``."""
        scenes = [self.scene() for _ in range(self.plan.batch)]
        pictures = to_tensor([self.wardrobe.picture(s, self.rng) for s in scenes])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            moments = torch.cat([self.encoder(part) for part in pictures.split(16)])
        clean = (split_moments(moments)[0] - self.shift) * self.scale
        ids = torch.tensor([self.captions.ids(self.caption(s)) for s in scenes])
        return (*noisy_batch(clean, self.plan.snr_limit), ids)


def finetune(folder: Path, data: Path, tokenizer_folder: Path, plan: FinetunePlan) -> None:
    """Go on from ``folder/denoiser.pt`` for ``plan.minutes``, over every resumption."""
    sprites = Sprites.load(data)
    path = folder / "denoiser.pt"
    used = torch.load(path, map_location="cpu", weights_only=True)["used"]
    training = Training(used, plan, path)
    seed = plan.seed + training.step
    captions = Captions(load_tokenizer(tokenizer_folder), sprites.subjects, seed)
    torch.manual_seed(seed)
    scenes = Scenes(sprites, folder, captions, plan, seed)
    practise(training, scenes.draw, smooth=0.95, every=10)


def blend(folder: Path, before: Path, share: float) -> None:
    """Take ``share`` of the UNet in ``folder/denoiser.pt`` and the rest of an earlier one.

    Between weights before and after fine-tuning lie some that keep the old ones' sharpness and most
    of what is new (Wortsman and others 2022, "Robust fine-tuning of zero-shot models"). The text
    encoder is that of ``folder``; optimizers are dropped.

    Args:
        before: A checkpoint of the same tokens that the training began with.
    """
    path = folder / "denoiser.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    old = torch.load(before, map_location="cpu", weights_only=True)["average"]
    average = state["average"]
    mixed = {
        name: torch.lerp(old[name], value, share) if name.startswith("unet.") else value
        for name, value in average.items()
    }
    kept = {name: state[name] for name in ("step", "seconds", "used")}
    save_checkpoint(path, {"model": mixed, "average": mixed, **kept})
