"""A tiny model found in the cache, whose diffusers side is built only when a test asks for it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.tiny_models import TinyModel


class CachedTinyModel(TinyModel):
    def __init__(self, folder: Path, kind: str, options: dict[str, Any]) -> None:
        self.folder = folder
        self.kind = kind
        self.attention = options.get("attention", "original")
        self._options = options

    @cached_property
    def pipe(self) -> Any:  # type: ignore[override]
        from tests.support.tiny_networks import tiny_pipeline

        latent = self._options.get("latent")
        if latent is None and self.attention == "split_einsum_v2":
            latent = (32, 32)
        return tiny_pipeline(self.kind, safety=self._options.get("safety", False), latent=latent)

    @cached_property
    def controlnet(self) -> Any:  # type: ignore[override]
        from tests.support.tiny_networks import tiny_controlnet

        return tiny_controlnet(self.kind, self.pipe) if self._options.get("controlnet") else None
