"""Models that were distilled to make a picture in a few steps: which they are, and how to use them.

The one home of these facts, for conversion, for inference from finished models and for defaults.
Numbers are those of the methods' own model cards:

- LCM (Luo et al., "Latent Consistency Models"): its own scheduler; the network that takes the
  guidance scale as an input is told 8.5, all others (LCM-LoRA) work without guidance.
- TCD (Zheng et al., "Trajectory Consistency Distillation"): its own scheduler, no guidance.
- DMD2 (Yin et al., "Improved Distribution Matching Distillation"): four steps at 999, 749, 499 and
  249 of LCM's scheduler, no guidance.
- Hyper-SD (Ren et al.): DDIM with trailing steps, no guidance but where the name says "CFG".
- PCM (Wang et al., "Phased Consistency Models"): DDIM with trailing steps, no guidance but where
  the name says "normalcfg".
- Turbo (Sauer et al., "Adversarial Diffusion Distillation") and Lightning (Lin et al.,
  "SDXL-Lightning"): Euler with trailing steps, no guidance.

Standard library only.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

FEW_STEPS = 4
CONSISTENCY_GUIDANCE = 8.5
"""Guidance scale that diffusers' LatentConsistencyModelPipeline tells a distilled UNet."""
NO_GUIDANCE = 1.0
MOST_STEPS = 16
"""More steps than that in a name are not what a distilled model takes (but how it was trained)."""

SCHEDULERS = ("LCM", "TCD")
"""Schedulers, by their names for people, that only distilled models are used with."""

_TRAILING = {"timestep_spacing": "trailing"}
"""The first of a few steps must begin at pure noise."""
_EULER = {"_class_name": "EulerDiscreteScheduler", **_TRAILING}
_DDIM = {"_class_name": "DDIMScheduler", **_TRAILING}
_LCM = {"_class_name": "LCMScheduler"}


@dataclass(frozen=True)
class FewSteps:
    """How a distilled model is used."""

    method: str
    """For people: ``LCM``, ``Lightning`` …; empty where only the number of steps is known."""
    steps: int
    guidance_scale: float
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    """diffusers' settings, `_class_name` and `timestep_spacing` among them."""
    is_guess: bool = True
    """Told by a name alone."""

    @property
    def note(self) -> str:
        """A sentence about it."""
        method = f" ({self.method})" if self.method else ""
        reason = "By its name, the model" if self.is_guess else "The model"
        guided = self.guidance_scale > NO_GUIDANCE
        guidance = f"a guidance scale of {self.guidance_scale:g}" if guided else "no guidance"
        steps = "1 is" if self.steps == 1 else f"{self.steps} are"
        return f"{reason} makes pictures in a few steps{method}: {steps} set, and {guidance}."


_METHODS: dict[str, FewSteps] = {
    "lcm": FewSteps("LCM", FEW_STEPS, NO_GUIDANCE, _LCM),
    "tcd": FewSteps("TCD", FEW_STEPS, NO_GUIDANCE, {"_class_name": "TCDScheduler"}),
    # a hundred places to choose four of: 999, 749, 499, 249
    "dmd": FewSteps("DMD2", FEW_STEPS, NO_GUIDANCE, {**_LCM, "original_inference_steps": 100}),
    "pcm": FewSteps("PCM", FEW_STEPS, NO_GUIDANCE, _DDIM),
    "hyper": FewSteps("Hyper-SD", 8, NO_GUIDANCE, _DDIM),
    "lightning": FewSteps("Lightning", FEW_STEPS, NO_GUIDANCE, _EULER),
    "turbo": FewSteps("Turbo", FEW_STEPS, NO_GUIDANCE, _EULER),
}
"""By the word in a name; of several, the first counts."""

_BY_STEPS = FewSteps("", FEW_STEPS, NO_GUIDANCE, _EULER)

_PLAIN_WORDS = {
    "lightning": {
        "storm", "storms", "bolt", "bolts", "strike", "strikes", "flash", "photo", "photos", "rod",
        "thunder", "weather", "rain", "sky", "night", "style", "effect", "effects", "magic", "art",
        "girl", "dragon", "god", "mage", "wolf", "cloud", "clouds",
    },
    "turbo": {"car", "cars", "engine", "racer", "racing", "diesel", "charger", "charged", "man"},
    "hyper": {
        "real", "realism", "realistic", "reality", "detail", "details", "detailed", "anime",
        "photo", "cute", "color", "colors", "colour", "colours", "colorful", "colourful", "space",
        "sharp", "light", "drive", "fantasy", "beast", "active",
    },
}  # fmt: skip
"""Words beside which a method's name is an ordinary word."""

_FAMILIES = {"sd", "sdxl", "xl", "pony", "illustrious", "diffusion"}
_DENIALS = {"no", "non", "not", "without"}
_VERSION = re.compile(r"v|ver|version|\d+|fp|bf|pruned|safetensors")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_BEFORE_VERSION = re.compile(r"(?<=[A-Za-z])(?=[vV]\d)")
_RUN_TOGETHER = re.compile(rf"(sdxl|sd|xl)({'|'.join(_METHODS)})")


def of_loras(names: Sequence[str]) -> FewSteps | None:
    """How any model is used with LoRAs of these names, where one of them distils it."""
    found = (by_name(name) for name in names)
    return next((few for few in found if few is not None and few.method), None)


def words(name: str) -> list[str]:
    """The words of a name, lower case: cut at case changes, digits and whatever is no letter.

    ``dreamshaper_8LCM`` → dreamshaper, 8, lcm.
    """
    found: list[str] = []
    for word in _WORD.findall(_BEFORE_VERSION.sub(" ", name)):
        match = _RUN_TOGETHER.fullmatch(word.lower())
        found += match.groups() if match else (word.lower(),)
    return found


def by_name(name: str) -> FewSteps | None:
    """What a name says: of a file, a folder or a repository (whose owner is left out)."""
    named = words(name.rstrip("/").rpartition("/")[2])
    steps = _steps(named)
    for word, method in _METHODS.items():
        if any(w == word and _is_meant(named, n, steps) for n, w in enumerate(named)):
            if word == "hyper" and steps == 1:  # as its card has it
                method = replace(method, scheduler=_METHODS["tcd"].scheduler)
            guidance = _guidance(word, named)
            return replace(method, steps=steps or method.steps, guidance_scale=guidance)
    return replace(_BY_STEPS, steps=steps) if steps else None


def _steps(named: Sequence[str]) -> int:
    """The number in ``4step`` or ``8-steps``; 0 where there is none."""
    for number, word in itertools.pairwise(named):
        if word in ("step", "steps") and number.isdecimal() and len(number) < 4:
            return int(number) if 0 < int(number) <= MOST_STEPS else 0
    return 0


def _is_meant(named: Sequence[str], place: int, steps: int) -> bool:
    """Whether a word that is a method's name is meant as one.

    Acronyms are.  "Lightning", "hyper" and "turbo" are English words too: they are meant where the
    name counts steps, or where they follow what the model is called; at the beginning, only beside
    a family's name or alone.
    """
    before = named[place - 1] if place else ""
    after = named[place + 1] if place + 1 < len(named) else ""
    if before in _DENIALS:
        return False
    plain = _PLAIN_WORDS.get(named[place])
    if plain is None or steps:
        return True
    if {before, after} & plain:
        return False
    rest = [*named[:place], *named[place + 1 :]]
    alone = all(_VERSION.fullmatch(word) for word in rest)
    return place > 0 or alone or bool(_FAMILIES & set(rest))


def _guidance(word: str, named: Sequence[str]) -> float:
    """Guidance of the variants that keep it (Hyper-SD's "CFG", PCM's "normalcfg")."""
    if (word == "hyper" and "cfg" in named) or (word == "pcm" and "normalcfg" in named):
        return 5.0
    return NO_GUIDANCE


def few_steps(
    names: Sequence[str],
    scheduler: Mapping[str, Any] | None = None,
    *,
    takes_guidance: bool = False,
) -> FewSteps | None:
    """How a model is used, if it was distilled; None for any other.

    Args:
        names: of the model: its own, its file's, its repository's …; the first that tells counts.
        scheduler: diffusers' settings that came with the model; None: nothing came.
        takes_guidance: its UNet takes the guidance scale as an input (`time_cond_proj_dim`).
    """
    named = next((found for name in names if (found := by_name(name))), None)
    if takes_guidance:
        steps = named.steps if named else FEW_STEPS
        return FewSteps("LCM", steps, CONSISTENCY_GUIDANCE, _LCM, is_guess=False)
    class_name = str((scheduler or {}).get("_class_name", ""))
    own = next((m for m in _METHODS.values() if class_name == m.scheduler["_class_name"]), None)
    if own is not None and own.method in SCHEDULERS:
        if named is not None and named.scheduler.get("_class_name") == class_name:
            return replace(named, is_guess=False)
        return replace(own, steps=named.steps if named else own.steps, is_guess=False)
    if named is None:
        return None
    if class_name and not _is_certain(named, names):
        # Settings that begin below pure noise are of a model that needs many steps.
        return named if (scheduler or {}).get("timestep_spacing") == "trailing" else None
    return named


def _is_certain(named: FewSteps, names: Sequence[str]) -> bool:
    """Whether a name alone outweighs settings that any conversion script would have written."""
    acronym = named.method in ("LCM", "TCD", "DMD2", "PCM")
    return acronym or any(_steps(words(name)) for name in names)
