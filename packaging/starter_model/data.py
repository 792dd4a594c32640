"""Stage "data": cut-out pictures of the subjects, and composing training pictures from them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .world import (
    BACKGROUNDS,
    CORE_SUBJECTS,
    LATER_CORE_SUBJECTS,
    LEFT_OUT,
    MORE_SUBJECTS,
    Subject,
)

PICTURE_SIZE = 128
#: Side lengths in pixels at which subjects are drawn on the 128 pixel picture.
SPRITE_SIZES = (94, 100, 106, 112)
MAX_SHIFT = 3
PICTURES = Path("node_modules/@lobehub/fluent-emoji-3d/assets")
NAMES = Path("node_modules/emojibase-data/en/data.json")
GROUPS = (3, 4)  # animals and nature, food and drink


class Sprites:
    """Cut-out subjects at every size of ``SPRITE_SIZES``.

    Attributes:
        subjects: What row ``i`` of every array shows.
        arrays: Size to uint8 array [N, size, size, 4], colour premultiplied by alpha.
    """

    def __init__(self, subjects: list[Subject], arrays: dict[int, np.ndarray]) -> None:
        self.subjects = subjects
        self.arrays = arrays

    def save(self, folder: Path) -> None:
        """Write ``subjects.json`` and ``sprites.npz``."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"code": s.code, "names": s.names, "core": s.core} for s in self.subjects]
        (folder / "subjects.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
        arrays: dict[str, Any] = {str(size): array for size, array in self.arrays.items()}
        np.savez(folder / "sprites.npz", **arrays)

    @classmethod
    def load(cls, folder: Path) -> Sprites:
        """Read what ``save`` wrote."""
        rows = json.loads((folder / "subjects.json").read_text(encoding="utf-8"))
        subjects = [Subject(row["code"], tuple(row["names"]), row["core"]) for row in rows]
        with np.load(folder / "sprites.npz") as stored:
            return cls(subjects, {int(size): stored[size] for size in stored.files})


def _picture_path(folder: Path, code: str) -> Path | None:
    bare = code.replace("-fe0f", "")
    for candidate in (code, bare, f"{bare}-fe0f"):
        path = folder / f"{candidate}.webp"
        if path.exists():
            return path
    return None


def _unique_words(entry: dict, uses: Counter[str]) -> tuple[str, ...]:
    """Short forms of the name ("kiwi" for "kiwi fruit") that no other subject shares."""
    label = entry["label"].lower()
    words = [tag.lower() for tag in entry.get("tags", []) if uses[tag.lower()] == 1]
    return tuple(word for word in words if word.isalpha() and word in label and word != label)


def read_subjects(npm: Path) -> list[tuple[Subject, Path]]:
    """The subjects of this world and their pictures, from a folder with the two npm packages."""
    entries = json.loads((npm / NAMES).read_text(encoding="utf-8"))
    known = {entry["hexcode"].lower().replace("-fe0f", ""): entry for entry in entries}
    codes = list(CORE_SUBJECTS)
    codes += [code for code, entry in known.items() if entry.get("group") in GROUPS]
    codes += MORE_SUBJECTS
    codes = [code for code in dict.fromkeys(codes) if code not in LEFT_OUT]
    uses = Counter(
        tag.lower() for code in codes if code in known for tag in known[code].get("tags", [])
    )
    for code in codes:  # a name of one subject is no keyword of another
        label = known.get(code, {}).get("label", "").lower()
        uses.update({label, *CORE_SUBJECTS.get(code, ()), *LATER_CORE_SUBJECTS.get(code, ())})
    taken = {name for names in CORE_SUBJECTS.values() for name in names}
    found = []
    for code in codes:
        path = _picture_path(npm / PICTURES, code)
        if path is None:
            if code in CORE_SUBJECTS:
                raise FileNotFoundError(f"no picture for {CORE_SUBJECTS[code][0]} ({code})")
            continue  # a newer emoji than the pictures
        if code in CORE_SUBJECTS:
            found.append((Subject(code, CORE_SUBJECTS[code], core=True), path))
            continue
        if code in LATER_CORE_SUBJECTS:
            found.append((Subject(code, LATER_CORE_SUBJECTS[code], core=True), path))
            continue
        entry = known[code]
        label = entry["label"].lower()
        if label not in taken:
            names = (label, *_unique_words(entry, uses))
            found.append((Subject(code, names, core=False), path))
    return found


def prepare(npm: Path, folder: Path) -> Sprites:
    """Resize all subjects once and store them in ``folder``."""
    found = read_subjects(npm)
    arrays = {size: [] for size in SPRITE_SIZES}
    for _, path in found:
        picture = Image.open(path).convert("RGBA")
        # "RGBa" is premultiplied: no dark or light fringe when scaling.
        premultiplied = picture.convert("RGBa")
        for size in SPRITE_SIZES:
            small = premultiplied.resize((size, size), Image.Resampling.LANCZOS)
            arrays[size].append(np.frombuffer(small.tobytes(), np.uint8).reshape(size, size, 4))
    sprites = Sprites(
        [subject for subject, _ in found], {size: np.stack(a) for size, a in arrays.items()}
    )
    sprites.save(folder)
    return sprites


def paint_background(color: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """A picture of one colour, slightly varied and lit from above or below.

    Returns:
        float32 [128, 128, 3], values 0…255.
    """
    varied = np.asarray(color, np.float32) + rng.uniform(-6, 6, 3).astype(np.float32)
    slope = rng.uniform(-10, 10)
    light = np.linspace(-slope, slope, PICTURE_SIZE, dtype=np.float32)
    picture = np.broadcast_to(varied, (PICTURE_SIZE, PICTURE_SIZE, 3)) + light[:, None, None]
    return picture.clip(0, 255)


def compose_on(
    sprites: Sprites, index: int, picture: np.ndarray, rng: np.random.Generator, mirror: bool
) -> np.ndarray:
    """Put subject ``index`` near the middle of ``picture`` (see ``paint_background``).

    Returns:
        uint8 [128, 128, 3].
    """
    size = SPRITE_SIZES[rng.integers(len(SPRITE_SIZES))]
    sprite = sprites.arrays[size][index]
    if mirror:
        sprite = sprite[:, ::-1]
    left, top = (PICTURE_SIZE - size) // 2 + rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 2)
    picture = picture.copy()
    part = picture[top : top + size, left : left + size]
    part *= 1 - sprite[..., 3:].astype(np.float32) / 255
    part += sprite[..., :3]
    return picture.round().clip(0, 255).astype(np.uint8)


def compose(sprites: Sprites, index: int, background: str, rng: np.random.Generator) -> np.ndarray:
    """A training picture: subject ``index`` on the named background, uint8 [128, 128, 3]."""
    picture = paint_background(BACKGROUNDS[background], rng)
    return compose_on(sprites, index, picture, rng, mirror=False)


#: Side lengths between which ``place`` draws a subject, in pixels.
FREE_SIZES = (84, 112)
MARGIN = 2  # pixels that the subject's square keeps from the picture's edge


def light_background(color: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """A picture of one colour, lit from any side, sometimes by a spot.

    Returns:
        float32 [128, 128, 3], values 0…255.
    """
    varied = np.asarray(color, np.float32) + rng.uniform(-8, 8, 3).astype(np.float32)
    varied = varied + np.float32(rng.uniform(-16, 16))
    light = _slope(PICTURE_SIZE, rng.uniform(0, 36), rng)
    if rng.random() < 0.5:
        side = np.linspace(-1, 1, PICTURE_SIZE, dtype=np.float32)
        x, y = rng.uniform(-0.7, 0.7, 2)
        away = (side[None, :] - x) ** 2 + (side[:, None] - y) ** 2
        light = light + rng.uniform(10, 40) * (np.exp(-2 * away) - 0.3)
    return (varied + light[..., None].astype(np.float32)).clip(0, 255)


def _slope(size: int, height: float, rng: np.random.Generator) -> np.ndarray:
    """A plane [size, size] that rises towards any side, from -height to height at the middles."""
    side = np.linspace(-1, 1, size, dtype=np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    return np.float32(height) * (np.cos(turn) * side[None, :] + np.sin(turn) * side[:, None])


def place(sprite: np.ndarray, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a cut-out on ``picture``, in a size, place and light of its own.

    Args:
        sprite: uint8 [size, size, 4], premultiplied.
        picture: float32 [128, 128, 3]; not changed.

    Returns:
        uint8 [128, 128, 3].
    """
    # Four channels scaled alike; Pillow would take "RGBA" for not yet premultiplied.
    image = Image.frombytes("CMYK", sprite.shape[1::-1], sprite.tobytes())
    size = int(rng.integers(FREE_SIZES[0], FREE_SIZES[1] + 1))
    cut = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS)).astype(np.float32)
    light = 1 + rng.uniform(-0.14, 0.08) + _slope(size, rng.uniform(0, 0.14), rng)
    left, top = rng.integers(MARGIN, PICTURE_SIZE - size - MARGIN + 1, 2)
    result = picture.copy()
    part = result[top : top + size, left : left + size]
    part *= 1 - cut[..., 3:] / 255
    part += (cut[..., :3] * light[..., None]).clip(0, cut[..., 3:])
    return result.round().clip(0, 255).astype(np.uint8)
