"""What the model's card and its source model say that the Core ML files do not.

Best effort: a model without any of it works, as `gui.coreml.infer` fills in its family's usual
settings.  Only small JSON files are read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gui import paths
from gui.coreml.few_steps import few_steps
from gui.errors import SfumatoError
from gui.files import UnreadableFile, parse_json
from gui.hub.downloads.plan import About, Plan
from gui.hub.downloads.transport import Transport
from gui.hub.types import ModelKind, ModelSummary
from gui.hub.variants import heuristics

_PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow_prediction")
_MAX_JSON = 64 << 10
COVER = 512
"""Longer side of a LoRA's cover, in pixels."""


def learn(
    plan: Plan,
    endpoint: str | None,
    token: Callable[[], str | None],
    stopped: Callable[[], bool],
) -> tuple[Plan, dict[str, Any]]:
    """Complete the plan's `about`, and find sidecar settings.

    Returns:
        the plan, and the sidecar's fields by name: none where the Hub cannot be reached, the card
        names no base model, or that has no scheduler.
    """
    if not plan.about.known:
        plan = dataclasses.replace(plan, about=_about(plan, endpoint, token))
    base = plan.about.base_model
    if stopped() or not base or plan.variant.kind is not ModelKind.TEXT_TO_IMAGE:
        return plan, {}
    source = Transport(base, "main", endpoint, token)
    found: dict[str, Any] = {}
    scheduler = _json(source, "scheduler/scheduler_config.json")
    if scheduler:
        found["scheduler_config"] = _plain(scheduler)
        # The base model's; what was distilled from it since is told by its own name.
        if few := few_steps(heuristics.names_of(plan.repo, plan.variant.id)):
            found["scheduler_config"] |= few.scheduler
        if scheduler.get("prediction_type") in _PREDICTIONS:
            found["prediction_type"] = scheduler["prediction_type"]
    if stopped():
        return plan, found
    if scheduler:
        vae = _json(source, "vae/config.json")
        scaling = vae.get("scaling_factor")
        if isinstance(scaling, float) and math.isfinite(scaling) and scaling > 0:
            found["scaling_factor"] = scaling
    return plan, found


def _about(plan: Plan, endpoint: str | None, token: Callable[[], str | None]) -> About:
    from gui.hub.catalog.catalog import Catalog

    try:
        with contextlib.closing(Catalog(endpoint, token())) as catalog:
            card = catalog.card(plan.repo, plan.revision)
    except SfumatoError:
        return About()
    return About(
        card.licence,
        card.description,
        card.base_model,
        card.examples,
        card.triggers,
        card.picture_url,
        known=True,
    )


def fetch_cover(
    plan: Plan, folder: Path, endpoint: str | None, token: Callable[[], str | None]
) -> None:
    """Put the card's picture beside a LoRA, small, under the name that web UIs give covers.
    Nothing is put where there is none, or it cannot be had.

    Args:
        plan: what was fetched; its `about` is known.
        folder: the LoRA's, complete.
    """
    from gui.hub.catalog.catalog import Catalog

    path = folder / plan.local_path(plan.variant.files[0])
    shown = ModelSummary(plan.repo, plan.revision, picture_url=plan.about.picture_url)
    if not plan.about.picture_url:
        return
    with (
        contextlib.suppress(SfumatoError, OSError),
        contextlib.closing(Catalog(endpoint, token())) as catalog,
    ):
        found = catalog.picture(shown, paths.cache_dir() / "Hub" / "Pictures", COVER)
        if found is not None:
            shutil.copyfile(found, path.with_name(f"{path.stem}.preview{found.suffix}"))


def _json(source: Transport, path: str) -> dict[str, Any]:
    try:
        data = parse_json(source.small_file(path, _MAX_JSON))
    except (SfumatoError, UnreadableFile):
        return {}
    return data if isinstance(data, dict) else {}


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Settings that diffusers' schedulers take; `_class_name` says whose they are."""
    kept = {}
    for key, value in config.items():
        if key.startswith("_") and key != "_class_name":
            continue
        values = value if isinstance(value, list) else [value]
        plain = (int, float) if isinstance(value, list) else (str, int, float, type(None))
        if all(isinstance(v, plain) and _is_finite(v) for v in values):
            kept[key] = value
    return kept


def _is_finite(value: object) -> bool:
    """False for NaN and the infinities, which Python's JSON reader lets pass."""
    return not isinstance(value, float) or math.isfinite(value)
