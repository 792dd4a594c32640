"""Fixtures that every part shares: tiny converted models, made once per machine."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import pytest

from tests.support.cached_models import cached_tiny_model
from tests.support.databases import close_what_is_dropped

if TYPE_CHECKING:
    from tests.support.tiny_models import TinyModel

# Thousands of processes are started here.  Where the environment forbids it to keep what is
# compiled, as that of many containers does, each would compile `gui` anew, and a worker all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Before torch is imported, and for the processes that tests start.  As in the engine, threads that
# wait must not spin; and networks this small lose more time meeting at barriers than they win.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")


close_what_is_dropped()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that collecting makes is garbage; to look through it takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What has been imported by now stays: the collector need not look through it ever again,
    which takes it a third of a second each time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    zygote = sys.modules.get("tests.support.cli_zygote")
    if zygote is not None:
        zygote.close()


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
