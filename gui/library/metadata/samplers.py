"""Other programs' names for samplers and schedules, as ours.

Sources of the names: the Stable Diffusion web UI's sampler list, k-diffusion's function names (as
ComfyUI, InvokeAI, SwarmUI and NovelAI use them), Draw Things' sampler list.
"""

from __future__ import annotations

import re

from gui.errors import SfumatoError
from gui.scheduler_names import scheduler_name

_K_DIFFUSION = {
    "euler": "Euler", "euler_ancestral": "Euler a", "euler_a": "Euler a",
    "heun": "Heun", "heunpp2": "", "dpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a",
    "kdpm_2": "DPM2", "kdpm_2_a": "DPM2 a", "lms": "LMS",
    "dpmpp_2s_ancestral": "", "dpmpp_2s": "DPM++ 2S", "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_3m": "",
    "dpmpp_3m_sde": "DPM++ 3M SDE", "ddim": "DDIM", "uni_pc": "UniPC", "uni_pc_bh2": "",
    "unipc": "UniPC", "ddpm": "DDPM", "lcm": "LCM", "tcd": "TCD", "deis": "DEIS",
    "pndm": "PNDM", "plms": "PNDM", "sa_solver": "SA-Solver",
}  # fmt: skip
"""Empty: known, and without a counterpart here."""

_DRAW_THINGS = {
    "euler ancestral": "Euler a", "k_euler_a": "Euler a", "dpm++ 2m trailing": "DPM++ 2M",
    "euler a trailing": "Euler a", "ddim trailing": "DDIM", "unipc trailing": "UniPC",
    "dpm++ sde trailing": "DPM++ SDE",
}  # fmt: skip

_SCHEDULES = ("karras", "exponential", "sgm uniform", "simple", "normal", "beta", "automatic",
              "uniform", "ddim_uniform", "polyexponential", "native", "default")  # fmt: skip


def our_scheduler(sampler: str, schedule: str = "") -> tuple[str | None, str]:
    """Our name for a sampler and its schedule.

    Args:
        sampler: as the program wrote it; may carry its schedule (``DPM++ 2M Karras``,
            ``dpmpp_2m_k``).
        schedule: as the program wrote it, where it stands apart.

    Returns:
        Our scheduler's name, None where there is none; and a sentence where the two are not quite
        the same, else empty.
    """
    text = " ".join(sampler[:200].split()).removesuffix("_gpu")  # where its noise is drawn
    text = re.sub(r" \(\d+ / [\d.]+\)$", "", text)  # Krita's steps and guidance
    if not text:
        return None, ""
    name, within = _without_schedule(text)
    wanted = (schedule or within).strip().casefold().replace("_", " ")
    base = _base_name(name)
    if base is None:
        return None, f"There is no scheduler here that does what “{sampler}” does."
    if wanted in ("", "automatic", "normal", "default", "native"):
        return base, ""
    found = _known(f"{base} {wanted}")
    if found is not None:
        return found, ""
    return base, f"Its schedule “{schedule or within}” is not to be had with {base} here."


def _without_schedule(text: str) -> tuple[str, str]:
    folded = text.casefold()
    if re.fullmatch(r"k_\w+", folded):  # NovelAI's names begin as InvokeAI's end
        text, folded = text[2:], folded[2:]
    if folded.endswith("_k"):
        return text[:-2], "karras"
    for schedule in _SCHEDULES:
        for joint in (" ", "_"):
            if folded.endswith(joint + schedule) and folded not in _DRAW_THINGS:
                return text[: -len(schedule) - 1], schedule
    return text, ""


def _base_name(text: str) -> str | None:
    folded = text.casefold().strip()
    if folded in _DRAW_THINGS:
        return _DRAW_THINGS[folded]
    key = folded.replace("-", "_").replace(" ", "_").replace("dpm++", "dpmpp").replace("+", "p")
    if key in _K_DIFFUSION:
        return _K_DIFFUSION[key] or None
    return _known(text)


def _known(text: str) -> str | None:
    try:
        return scheduler_name(text).name
    except SfumatoError:
        return None
