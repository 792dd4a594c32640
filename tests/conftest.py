"""Fixtures every part shares: tiny converted models, made once per machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.tiny_models import TinyModel

# As in the engine, and before torch is imported: threads that wait must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_SUPPORT = Path(__file__).parent / "support"
_LIBRARIES = ("torch", "coremltools", "diffusers", "transformers")


def _cache_root() -> Path:
    """Folder of converted test models; its name changes with the builder and the libraries."""
    digest = hashlib.sha256()
    for file in ("tiny_models.py", "tiny_networks.py", "apple_layout.py"):
        digest.update((_SUPPORT / file).read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}".encode())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sfumato-tests" / digest.hexdigest()[:16]


def cached_tiny_model(name: str, kind: str, **options: Any) -> TinyModel:
    """Convert a tiny model, or find it where an earlier run left it.

    Safe under concurrent runs: built in a temporary folder and renamed into place; whoever comes
    second uses the first one's.  Treat the folder as read-only; copy it to change it.

    Args:
        name: name in the cache; must differ whenever `kind` or `options` do.
    """
    from tests.support.cached_models import CachedTinyModel
    from tests.support.tiny_models import tiny_model

    root = _cache_root()
    folder = root / name
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
        try:
            tiny_model(kind, scratch / name, **options)
            try:
                (scratch / name).rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return CachedTinyModel(folder, kind, options)


@pytest.fixture(scope="session")
def tiny_models() -> Callable[..., TinyModel]:
    """`cached_tiny_model`, for variants that have no fixture of their own."""
    return cached_tiny_model


@pytest.fixture(scope="session")
def tiny_sd1() -> TinyModel:
    """SD1-shaped, fp32, with safety checker; epsilon prediction."""
    return cached_tiny_model("sd1", "sd1", precision="fp32", safety=True)


@pytest.fixture(scope="session")
def tiny_sd2v() -> TinyModel:
    """SD2-shaped, fp32, v-prediction, latents 8 × 12 (not square)."""
    return cached_tiny_model("sd2v", "sd2v", precision="fp32")


@pytest.fixture(scope="session")
def tiny_sdxl() -> TinyModel:
    """SDXL-shaped, fp32, two text encoders."""
    return cached_tiny_model("sdxl", "sdxl", precision="fp32")


@pytest.fixture(scope="session")
def tiny_sd1_fp16() -> TinyModel:
    """SD1-shaped, fp16 as Apple ships it, SPLIT_EINSUM."""
    return cached_tiny_model("sd1_fp16", "sd1", precision="fp16", attention="split_einsum")
