"""Shared by the tests of conversion: a home of their own, and tiny checkpoints written once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gui.errors import SfumatoError
from tests.support import tiny_checkpoints


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture(scope="session")
def tiny_folder() -> Callable[[str], Path]:
    """The diffusers folder of a kind; shared, so only to be read."""
    return tiny_checkpoints.kept_folder


@pytest.fixture(scope="session")
def tiny_single() -> Callable[[str], Path]:
    """The single file of a kind, in the original layout; shared, so only to be read."""
    return tiny_checkpoints.kept_single


def refusal(error: pytest.ExceptionInfo[SfumatoError]) -> str:
    """The sentence a person reads; checked to be one."""
    text = error.value.message
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


@pytest.fixture
def copied(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A folder of one's own, to change."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(tiny_folder(kind), tmp_path / kind))

    return copy


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
