from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui.engine.runner import EngineRunner, Patience


class Recorder:
    """An engine runner over the stand-in pipeline, and everything it says."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.states: list[str] = []
        self.runner = EngineRunner(patience, self.states.append)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders, empty, and an engine with the stand-in pipeline."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    monkeypatch.setenv("SFUMATO_ENGINE_STANDIN", "tests.engine.standins:backend")
    return tmp_path


@pytest.fixture
def engine(home: Path) -> Iterator[Callable[..., Recorder]]:
    """Makes recorders whose engines are ended after the test."""
    made: list[Recorder] = []

    def make(patience: Patience | None = None) -> Recorder:
        made.append(Recorder(patience))
        return made[-1]

    yield make
    for recorder in made:
        recorder.runner.close()


@pytest.fixture(scope="module")
def real_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folders, empty, and an engine with the real pipeline."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFUMATO_HOME", str(folder))
        patch.delenv("SFUMATO_ENGINE_STANDIN", raising=False)
        yield folder


@pytest.fixture(scope="module")
def real_runner(real_home: Path) -> Iterator[EngineRunner]:
    """One engine for the whole file, as a person's session has."""
    runner = EngineRunner()
    yield runner
    runner.close()
