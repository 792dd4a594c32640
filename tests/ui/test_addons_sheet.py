"""The list of installed ControlNets, LoRAs and upscalers, in the real window's state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import shiboken6
from PySide6.QtCore import QObject, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui import paths
from gui.state.addons import AddonLibrary
from gui.state.hub.state import HubState
from gui.state.undo import UndoStack
from gui.ui.models.addons_sheet import NONE, AddonsSheet
from tests.support import hub_loras
from tests.support.fake_hub import FakeHub
from tests.support.hub_shelf import package_folder


@pytest.fixture
def sheet(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    paths.loras_dir().mkdir(parents=True)
    shutil.copyfile(hub_loras.lora_file("sd1"), paths.loras_dir() / "Ink.safetensors")
    (net,) = package_folder("control").glob("*ControlNet*.mlpackage")
    shutil.copytree(net, paths.controlnets_dir() / "Canny.mlpackage")
    owner = QObject()  # as the studio is: none of them outlives the others
    library, hub = AddonLibrary(UndoStack(owner), owner), HubState(FakeHub(), owner)
    made = AddonsSheet(library, hub)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: len(made.rows) == 2)
    yield made
    made.close()
    library.close()
    hub.close()
    shiboken6.delete(owner)


def _names(sheet: AddonsSheet) -> list[str]:
    return [row.name.whole_text() for row in sheet.rows]


def test_what_is_there_goes_to_the_trash_and_comes_back(sheet: AddonsSheet, qtbot: QtBot) -> None:
    assert _names(sheet) == ["Canny", "Ink"]
    facts = [row.facts.whole_text() for row in sheet.rows]
    assert facts[0].startswith("ControlNet · ") and facts[1].startswith("LoRA · ")
    assert all(text.endswith("Put there by hand") for text in facts)
    assert sheet.text.text().startswith("They take ")
    for name in ("Canny", "Ink"):
        QTest.mouseClick(sheet.rows[0].trash, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda name=name: name not in _names(sheet))
        assert f"“{name}” is in the Trash." in sheet.text.text()
    assert not list(paths.loras_dir().iterdir())
    assert sheet.close_button.isVisible() and sheet.undo.isVisible()
    QTest.mouseClick(sheet.undo, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: _names(sheet) == ["Ink"])
    kept = (paths.loras_dir() / "Ink.safetensors").read_bytes()
    assert kept == hub_loras.lora_file("sd1").read_bytes()


def test_when_there_are_none_it_says_what_they_are(sheet: AddonsSheet, qtbot: QtBot) -> None:
    shutil.rmtree(paths.controlnets_dir())
    (paths.loras_dir() / "Ink.safetensors").unlink()
    sheet._library.refresh()
    qtbot.waitUntil(lambda: not sheet.rows)
    assert sheet.text.text() == NONE
