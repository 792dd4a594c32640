"""Units of the web UI's ControlNet extension as our controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gui.control_use import (
    MAX_CONTROLS,
    USUAL,
    Control,
    ControlBalance,
    Preprocessor,
    PreprocessorSettings,
)
from gui.errors import ErrorKind, SfumatoError
from gui.records import check
from gui.serve.sdapi.ignored import unused
from gui.serve.shelf import KnownModel, Shelf
from gui.serve.uploads import Uploads, decoded

MODULES: dict[str, Preprocessor] = {
    "none": Preprocessor.NONE,
    "canny": Preprocessor.CANNY,
    "scribble_pidinet": Preprocessor.SCRIBBLE,
    "scribble_hed": Preprocessor.SCRIBBLE,
    "scribble_xdog": Preprocessor.SCRIBBLE,
    "invert (from white bg & black line)": Preprocessor.INVERT,
    "invert": Preprocessor.INVERT,
    "blur_gaussian": Preprocessor.BLUR,
    "tile_resample": Preprocessor.TILE,
    "recolor_luminance": Preprocessor.GREY,
    "inpaint_only": Preprocessor.INPAINT,
    "openpose": Preprocessor.POSE,
}
"""The extension's names for what there is here; ours are taken as well."""
_MODES = {
    "0": ControlBalance.BALANCED, "balanced": ControlBalance.BALANCED,
    "1": ControlBalance.PROMPT, "my prompt is more important": ControlBalance.PROMPT,
    "2": ControlBalance.CONTROL, "controlnet is more important": ControlBalance.CONTROL,
}  # fmt: skip
_KNOWN = {
    "enabled", "image", "input_image", "mask", "module", "model", "weight", "guidance_start",
    "guidance_end", "control_mode", "threshold_a", "threshold_b",
}  # fmt: skip
_SILENT = {"low_vram", "lowvram", "pixel_perfect", "guessmode", "resize_mode", "processor_res",
           "hr_option", "save_detected_map"}  # fmt: skip
"""Sent with every unit, at values that its client has made up."""
_THRESHOLDS: dict[Preprocessor, tuple[tuple[str, float, float], ...]] = {
    Preprocessor.CANNY: (("canny_low", 1, 255), ("canny_high", 1, 255)),
    Preprocessor.BLUR: (("blur_radius", 0.5, 64),),
}
"""Which settings the extension's two thresholds are, with its bounds (the blur's lower one is ours:
less is none)."""


def module_names() -> list[str]:
    return list(MODULES)


def preprocessor_of(module: object) -> Preprocessor:
    """Raises SfumatoError: NOT_FOUND for one that is not here."""
    text = str(module or "none").strip().casefold()
    found = MODULES.get(text)
    if found is None and text in {*Preprocessor} - {Preprocessor.NETWORK.value}:
        found = Preprocessor(text)
    if found is None:
        known = ", ".join(list(MODULES)[:6])
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no ControlNet module “{text[:60]}” here; choose one of {known} …",
        )
    return found


def settings_of(kind: Preprocessor, first: Any, second: Any) -> PreprocessorSettings:
    """The preprocessor's settings of ``threshold_a`` and ``threshold_b``.  As in the extension,
    one outside its bounds means the usual."""
    chosen: dict[str, Any] = {}
    for told, value in zip(_THRESHOLDS.get(kind, ()), (first, second), strict=False):
        field, least, most = told
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and least <= value <= most:
            chosen[field] = type(getattr(USUAL, field))(value)
    return replace(USUAL, **chosen)


def controls_of(
    units: list[Any],
    start: str | None,
    shelf: Shelf,
    model: KnownModel,
    uploads: Uploads,
    ignored: dict[str, str],
) -> tuple[Control, ...]:
    """The controls that are on.

    Args:
        start: file of the starting picture, which leads where a unit has none of its own.
        ignored: gets what means nothing here.

    Raises:
        SfumatoError: BAD_REQUEST, NOT_FOUND, BAD_IMAGE.
    """
    found: list[Control] = []
    for number, unit in enumerate(units):
        if not isinstance(unit, dict) or unit.get("enabled", True) is False:
            continue
        named = str(unit.get("model") or "None")
        if named.casefold() == "none":
            ignored[f"controlnet unit {number}"] = "it names no model"
            continue
        if len(found) >= MAX_CONTROLS:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"A picture has {MAX_CONTROLS} controls at most; send fewer."
            )
        found.append(_control(unit, number, named, start, shelf, model, uploads))
        rest = {key: value for key, value in unit.items() if key not in _KNOWN | _SILENT}
        for key, why in unused(rest).items():
            ignored[f"controlnet unit {number}: {key}"] = why
    return tuple(found)


def _control(
    unit: dict[str, Any],
    number: int,
    named: str,
    start: str | None,
    shelf: Shelf,
    model: KnownModel,
    uploads: Uploads,
) -> Control:
    picture = unit.get("image") or unit.get("input_image")
    if isinstance(picture, dict):
        picture = picture.get("image")
    what = f"picture of ControlNet unit {number}"
    if isinstance(picture, str) and picture:
        path = str(uploads.keep(uploads.read(decoded(picture, what), what)))
    elif start is not None:
        path = start
    else:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST, f"There is no {what}; send one as its “image” in base64."
        )
    mode = str(unit.get("control_mode", 0)).casefold()
    if mode not in _MODES:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            "“control_mode” must be one of the extension's three; send one.",
        )
    kind = preprocessor_of(unit.get("module"))
    control = Control(
        shelf.find_control_network(named, model),
        path,
        kind,
        weight=_number(unit, "weight", 1.0),
        start=_number(unit, "guidance_start", 0.0),
        end=_number(unit, "guidance_end", 1.0),
        balance=_MODES[mode],
        settings=settings_of(kind, unit.get("threshold_a"), unit.get("threshold_b")),
    )
    try:
        check(control)
    except ValueError as error:
        raise SfumatoError(ErrorKind.BAD_REQUEST, f"ControlNet unit {number}: {error}") from error
    return control


def _number(unit: dict[str, Any], name: str, usual: float) -> float:
    value = unit.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SfumatoError(ErrorKind.BAD_REQUEST, f"“{name}” must be a number; send one.")
    return float(value)
