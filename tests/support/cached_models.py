"""Tiny models, converted once and kept; their diffusers side is built when a test asks for it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.built import built

if TYPE_CHECKING:
    from tests.support.tiny_models import TinyModel


def cached_tiny_model(name: str, kind: str, **options: Any) -> TinyModel:
    """A tiny model (`tests.support.tiny_models.tiny_model`), converted now or earlier.

    Args:
        name: must differ whenever `kind` or `options` do.
    """
    from tests.support import tiny_models

    class Cached(tiny_models.TinyModel):
        def __init__(self, folder: Path) -> None:
            self.folder = folder
            self.kind = kind
            self.attention = options.get("attention", "original")

        @cached_property
        def pipe(self) -> Any:  # type: ignore[override]
            from tests.support.tiny_networks import tiny_pipeline

            latent = options.get("latent")
            if latent is None and self.attention == "split_einsum_v2":
                latent = (32, 32)
            return tiny_pipeline(kind, safety=options.get("safety", False), latent=latent)

        @cached_property
        def controlnet(self) -> Any:  # type: ignore[override]
            from tests.support.tiny_networks import tiny_controlnet

            return tiny_controlnet(kind, self.pipe) if options.get("controlnet") else None

    def build(folder: Path) -> None:
        tiny_models.tiny_model(kind, folder, **options)

    return Cached(built(name, build, tiny_models.__file__))
