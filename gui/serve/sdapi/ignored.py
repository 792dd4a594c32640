"""Fields that mean nothing here: named with a reason, where a program gave them a value."""

from __future__ import annotations

from typing import Any

_NO_USE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "restore_faces": ("there is no face restoration", ()),
    "eta": ("each scheduler has its own", (1.0, 0.0)),
    "s_min_uncond": ("it is not built in", (0,)),
    "s_churn": ("schedulers have no churn here", (0,)),
    "s_tmax": ("schedulers have no churn here", (0,)),
    "s_tmin": ("schedulers have no churn here", (0,)),
    "s_noise": ("schedulers have no churn here", (1,)),
    "seed_resize_from_h": ("seeds are not resized here", (-1, 0)),
    "seed_resize_from_w": ("seeds are not resized here", (-1, 0)),
    "initial_noise_multiplier": ("noise has its usual strength", (1, 0)),
    "inpaint_full_res_padding": ("how much is seen around the mask is chosen by its size", (0, 32)),
    "firstphase_width": ("it belongs to old web UIs", (0,)),
    "firstphase_height": ("it belongs to old web UIs", (0,)),
    "hr_second_pass_steps": ("the second pass has the steps of the first", (0,)),
    "hr_checkpoint_name": ("both passes are made by one model", ()),
    "hr_sampler_name": ("both passes have one scheduler", ()),
    "hr_scheduler": ("both passes have one scheduler", ("Automatic", "automatic")),
    "hr_prompt": ("both passes have one prompt", ()),
    "hr_negative_prompt": ("both passes have one prompt", ()),
    "latent_mask": ("masks are pictures here", ()),
    "infotext": ("send its settings as fields", ()),
    "gfpgan_visibility": ("there is no face restoration", (0,)),
    "codeformer_visibility": ("there is no face restoration", (0,)),
    "codeformer_weight": ("there is no face restoration", (0,)),
    "upscaler_2": ("one upscaler is used", ("None",)),
    "extras_upscaler_2_visibility": ("one upscaler is used", (0,)),
    "upscale_first": ("there is no face restoration", ()),
}
"""Why, and values that say nothing beside those that are empty."""
_SILENT = {"do_not_save_grid", "comments", "script_args", "id_task"}
"""What asks for nothing that would be missed."""
_MOST = 50


def unused(extra: dict[str, Any] | None) -> dict[str, str]:
    """Which of the fields that no schema has were given a value, and why it counts for nothing."""
    found: dict[str, str] = {}
    for name, value in (extra or {}).items():
        reason, plain = _NO_USE.get(name, ("it means nothing here", ()))
        given = value not in (None, "", False, [], {}) and value not in plain
        if given and name not in _SILENT and len(found) < _MOST:
            found[name[:80]] = reason
    return found
