from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.farm import STANDIN, Mac


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[Callable[..., Mac]]:
    """Makes Macs, whose processes are ended after the test."""
    made: list[Mac] = []

    def make(name: str, standin: str = STANDIN, **environment: str) -> Mac:
        made.append(Mac(tmp_path / name, name, standin, **environment))
        return made[-1]

    yield make
    for each in made:
        each.kill()
