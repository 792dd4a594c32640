"""One thread: networks this small lose more time meeting at barriers than they win."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
import torch

from gui.coreml.back_ends import VARIABLE, BackEnd


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _installed() -> list[str]:
    has_openvino = importlib.util.find_spec("openvino") is not None
    return [BackEnd.TORCH, BackEnd.OPENVINO] if has_openvino else [BackEnd.TORCH]


@pytest.fixture(params=_installed())
def back_end(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of those that are installed, small networks with it too."""
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)
