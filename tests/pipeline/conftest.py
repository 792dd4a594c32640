"""One diffusers pipeline per kind of tiny model, shared by every test of a run."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def diffusers_pipe() -> Callable[[str], Any]:
    """``diffusers_pipe("sd1")``: the reference, float32, on the CPU.  Tests set its scheduler."""
    from tests.support.tiny_networks import tiny_pipeline

    @functools.cache
    def make(kind: str) -> Any:
        return tiny_pipeline(kind, safety=kind == "sd1")

    return make


@pytest.fixture(autouse=True)
def _quiet_and_narrow() -> Iterator[None]:
    """Tiny networks are fastest on one thread; diffusers' advice is not about us."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logger = logging.getLogger("diffusers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pipeline keeps for the next start stays out of the person's folders."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path_factory.mktemp("home")))
