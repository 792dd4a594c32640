"""The Convert sheet left and come back to, and sources that are hard to look at."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui.hub.types import Machine
from gui.state.convert import state as convert_module
from gui.state.convert.options import existing_path
from gui.state.convert.state import ConvertPhase

WAIT = 60_000


@pytest.fixture
def sheet(home, monkeypatch, open_workspace):
    """The sheet with a source that can be converted."""
    monkeypatch.setenv("SFUMATO_CONVERTER_STANDIN", "tests.support.fake_converter:backend")
    mac = Machine("Darwin", "15.2", "Apple M2 Pro", True, 12, 6, 16 * 2**30, 10**11)
    monkeypatch.setattr(convert_module, "_this_machine", lambda: mac)
    workspace = open_workspace()[0]
    workspace.actions_.convert.trigger()
    return workspace.convert_desk.sheet


@pytest.fixture
def ready(sheet, home, qtbot):
    file = home / "dreams.safetensors"
    file.write_text("")
    sheet.source.set_path(str(file))
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=WAIT)
    return sheet


def click(button):
    assert button.isVisible() and button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_sheet_closed_while_it_asked_can_convert_when_opened_again(ready, qtbot):
    ready.options.name.setText("Another name")
    assert not ready.convert_button.isEnabled()  # until it is known what that takes
    ready.close()
    assert not ready.state._delay.isActive()  # the question was dropped with the sheet
    ready.open_with()
    qtbot.waitUntil(ready.convert_button.isEnabled, timeout=WAIT)


def test_after_a_conversion_the_next_one_is_estimated_anew(ready, qtbot):
    click(ready.convert_button)
    qtbot.waitUntil(lambda: ready.state.status.phase is ConvertPhase.DONE, timeout=WAIT)
    assert ready.close_button.isVisible() and ready.close_button.text() == "Close"
    asked = []
    ready.state.estimated.connect(asked.append)
    click(ready.another_button)
    assert not ready.convert_button.isEnabled()
    qtbot.waitUntil(ready.convert_button.isEnabled, timeout=WAIT)
    assert asked


@pytest.mark.parametrize("text", ["~nobody-of-this-name/model", "x" * 400, "a/" * 3000, ""])
def test_what_is_no_path_is_none(text):
    assert existing_path(text) == ""


@pytest.mark.parametrize("text", ["~nobody-of-this-name/model/x", "y" * 400])
def test_typing_what_is_no_path_says_so(sheet, qtbot, text):
    sheet.source.set_path(text)
    qtbot.waitUntil(lambda: "There is no file or folder" in sheet.source.facts.text())
