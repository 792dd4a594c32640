"""Models are read by a process of their own, whatever becomes of it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from gui import paths
from gui.coreml.client import ModelReader, Reading, stamp_of
from gui.coreml.inspect import inspect_model, load_sidecar, model_hash
from gui.state import models
from gui.state.models import ModelLibrary
from gui.state.settings import Settings

WAIT = 60_000
HANGS = [sys.executable, "-c", "import time; time.sleep(600)"]
DIES = [sys.executable, "-c", "import os; os.abort()"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def reader() -> Iterator[ModelReader]:
    made = ModelReader()
    yield made
    made.close()


def test_what_the_process_says_is_what_is_in_the_folder(reader: ModelReader) -> None:
    info = inspect_model(paths.starter_model())
    assert info.usable and info.components
    told = Reading(info, load_sidecar(info), identity=model_hash(info))
    assert reader.read(paths.starter_model()) == told


def test_a_bad_folder_is_a_sentence_and_the_next_one_is_read(
    reader: ModelReader, tmp_path: Path
) -> None:
    odd = tmp_path / "nø \udcff<b>"
    odd.mkdir()
    assert reader.read(odd).problem == "There are no Core ML models in this folder."
    (odd / "sfumato.json").write_text("[")
    (odd / "Unet.mlpackage").mkdir()
    assert reader.read(odd).problem.endswith(".")
    assert reader.read(paths.starter_model()).info is not None


def test_a_process_that_dies_over_a_folder_says_so(tmp_path: Path) -> None:
    reader = ModelReader(DIES)
    for _ in range(2):
        assert "ended while it was starting" in reader.read(tmp_path).problem
    assert "does not start" in reader.read(tmp_path).problem  # rather than trying for every model
    reader.close()


def test_what_was_read_is_read_again_only_where_files_have_changed(
    reader: ModelReader, tmp_path: Path
) -> None:
    folder = tmp_path / "compiled" / "model"
    shutil.copytree(paths.starter_model(), folder)
    first = reader.read(folder)
    assert first.info is not None and not first.problem
    reader.stop()
    reader.command = DIES  # who asks it now learns of it
    assert reader.read(folder) is first
    (file, *_) = sorted(folder.rglob("*.mlmodel"))
    file.write_bytes(file.read_bytes())
    assert "ended while it was starting" in reader.read(folder).problem
    reader.command = None
    again = reader.read(folder)
    assert again == first
    (folder / "sfumato.json").unlink()
    without = reader.read(folder)
    assert without.sidecar is not None and without.sidecar.inferred
    (tmp_path / "compiled" / "sfumato.json").write_text("[")  # where one may lie as well
    assert reader.read(folder) is not without


def test_folders_that_lead_round_in_a_circle_are_read_all_the_same(
    reader: ModelReader, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(tmp_path, target_is_directory=True)
    assert stamp_of(tmp_path) == ()
    assert reader.read(tmp_path).problem.endswith(".")


def test_closing_the_window_does_not_wait_for_a_model_that_is_being_read(
    qapp: QCoreApplication, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "ModelReader", partial(ModelReader, HANGS))
    library = ModelLibrary(Settings())
    library.refresh()
    qtbot.waitUntil(lambda: library._reader.pid is not None, timeout=WAIT)
    started = time.monotonic()
    library.close()
    assert time.monotonic() - started < 60  # the process would have slept for ten minutes


def test_the_reading_process_ends_when_everything_is_read(
    qapp: QCoreApplication, qtbot: QtBot
) -> None:
    library = ModelLibrary(Settings())
    with qtbot.waitSignal(library.refreshed, timeout=WAIT):
        library.refresh()
    assert library.entries()[0].usable
    qtbot.waitUntil(lambda: library._reader.pid is None, timeout=WAIT)
    library.close()
