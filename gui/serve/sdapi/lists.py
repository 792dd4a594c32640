"""`/sdapi/v1`: what there is, and what programs look for before they ask for anything."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Body

from gui.library import loras
from gui.scheduler_names import SCHEDULER_NAMES
from gui.serve.hall import Hall
from gui.serve.sdapi.asking import Translator, styles
from gui.serve.shelf import STARTER, KnownModel
from gui.styles import PromptStyle

_FACTOR = 4
"""By which the networks that ship enlarge; others say it in their names."""


def routes(hall: Hall, translator: Translator) -> APIRouter:
    router = APIRouter(prefix="/sdapi/v1", tags=["as A1111's web UI"])
    shelf = hall.shelf

    @router.get("/options")
    async def options() -> dict[str, Any]:
        """What counts for requests that say nothing else."""
        chosen = await hall.run(lambda: shelf.chosen)
        return {
            "sd_model_checkpoint": chosen.name,
            "sd_checkpoint_hash": "",
            "sd_vae": "Automatic",
            "CLIP_stop_at_last_layers": translator.settings.clip_skip,
            "randn_source": "CPU" if translator.settings.random_source == "torch" else "NV",
            "samples_save": True,
            "samples_format": "png",
            "live_previews_enable": True,
            "show_progress_every_n_steps": 1,
        }

    @router.post("/options")
    async def set_options(given: dict[str, Any] = Body()) -> dict[str, Any] | None:  # noqa: B008
        """Choose the model, clip skip and random numbers of requests that say nothing else."""

        def apply() -> dict[str, str]:
            settings = replace(translator.settings)
            left = translator.apply(given, settings, choose=True)
            translator.settings = settings
            return left

        left = await hall.run(apply)
        return {"ignored": left} if left else None

    @router.get("/sd-models")
    async def sd_models() -> list[dict[str, Any]]:
        """Every model, by the name it is asked for."""
        return [_model(each) for each in await hall.run(shelf.models)]

    @router.get("/samplers")
    async def samplers() -> list[dict[str, Any]]:
        """Every scheduler."""
        return [
            {"name": each.name, "aliases": list(each.aliases), "options": {}}
            for each in SCHEDULER_NAMES
        ]

    @router.get("/schedulers")
    async def schedulers() -> list[dict[str, Any]]:
        """The noise levels that most samplers can be had with."""
        return [
            {"name": name.lower(), "label": name, "aliases": None, "default_rho": rho,
             "need_inner_model": False}
            for name, rho in (("Automatic", -1.0), ("Karras", 7.0))
        ]  # fmt: skip

    @router.get("/upscalers")
    async def upscalers() -> list[dict[str, Any]]:
        """Networks that enlarge, and plain ways to."""
        known = await hall.run(shelf.upscalers)
        return [
            {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4}
            for name in ("None", "Lanczos", "Nearest", *(each.name for each in known))
        ]

    @router.get("/realesrgan-models")
    async def realesrgan() -> list[dict[str, Any]]:
        """The networks alone."""
        known = await hall.run(shelf.upscalers)
        return [{"name": each.name, "path": None, "scale": _FACTOR} for each in known]

    @router.get("/loras")
    async def all_loras() -> list[dict[str, Any]]:
        """LoRAs that a prompt can name."""
        found = await hall.run(loras.entries)
        return [{"name": e.name, "alias": e.name, "path": "", "metadata": {}} for e in found]

    @router.get("/prompt-styles")
    async def prompt_styles() -> list[PromptStyle]:
        """Texts around a prompt, by name."""
        return await hall.run(styles)

    @router.get("/embeddings")
    async def embeddings() -> dict[str, Any]:
        """None: there are no textual inversions here."""
        return {"loaded": {}, "skipped": {}}

    @router.get("/scripts")
    async def scripts() -> dict[str, list[str]]:
        """What `alwayson_scripts` may name."""
        return {"txt2img": ["controlnet"], "img2img": ["controlnet"]}

    @router.get("/cmd-flags")
    async def flags() -> dict[str, Any]:
        """How the service was started."""
        return {"api": True, "nowebui": True, "port": hall.options.port, "listen": False,
                "ckpt": STARTER, "lowvram": False, "medvram": False}  # fmt: skip

    @router.get("/memory")
    async def memory() -> dict[str, Any]:
        """Of the computer, in bytes."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used *= 1 if sys.platform == "darwin" else 1024
        return {"ram": {"free": total - used, "used": used, "total": total},
                "cuda": {"error": "there is no CUDA here"}}  # fmt: skip

    for name, nothing in (
        ("sd-vae", []), ("hypernetworks", []), ("face-restorers", []), ("script-info", []),
        ("latent-upscale-modes", []), ("extensions", []),
    ):  # fmt: skip
        router.add_api_route(f"/{name}", _always(nothing), summary="None are here.")
    for name in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings",
                 "reload-checkpoint", "unload-checkpoint"):  # fmt: skip
        router.add_api_route(
            f"/{name}", _always(None), methods=["POST"], summary="Nothing needs to be done."
        )
    return router


def pings() -> APIRouter:
    """What programs ask to see whether anybody is there."""
    router = APIRouter(tags=["as A1111's web UI"])
    router.add_api_route("/internal/ping", _always({}), summary="Whether anybody is there.")
    return router


def _always(answer: Any) -> Any:
    async def nothing() -> Any:
        return answer

    return nothing


def _model(model: KnownModel) -> dict[str, Any]:
    return {
        "title": model.name,
        "model_name": model.name,
        "hash": None,
        "sha256": None,
        "filename": model.name,
        "config": None,
    }
