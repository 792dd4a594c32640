"""Other programs ask for a picture: the person is asked, and decides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QLabel, QMessageBox

from gui import app as composition
from gui.request import PictureRequest

LINK = "sfumato://generate?prompt=a%20%3Cb%3Efox%3C/b%3E&steps=7&seed=5&model=Sfumato%20Starter"


@pytest.fixture
def asked(workspace, qtbot):
    """Follow a link, and the question that comes."""

    def follow(link: str) -> QMessageBox:
        workspace.open_path(link)
        box = workspace.asking.box
        assert box is not None
        return box

    return follow


def made(queue) -> list[PictureRequest]:
    """What is in line."""
    return [job.request for job in queue._jobs]


def press(box: QMessageBox, text: str) -> None:
    next(button for button in box.buttons() if button.text().replace("&", "") == text).click()


def test_nothing_is_made_before_the_person_agrees(workspace, queue, asked) -> None:
    workspace.studio.draft.set("prompt", "my own words")
    box = asked(LINK)
    assert "a <b>fox</b>" in box.text() and "Steps: 7" in box.informativeText()
    assert all(label.textFormat().name == "PlainText" for label in box.findChildren(QLabel)[1:])
    assert not made(queue) and workspace.studio.draft.value("prompt") == "my own words"
    press(box, "Cancel")
    assert not made(queue) and workspace.studio.draft.value("prompt") == "my own words"


def test_generate(workspace, queue, asked) -> None:
    press(asked(LINK), "Generate")
    (request,) = made(queue)
    assert (request.prompt, request.steps, request.seed) == ("a <b>fox</b>", 7, 5)
    assert request.model == "" and request.start_image is None


def test_edit_first_can_be_undone(workspace, queue, asked) -> None:
    workspace.studio.draft.set("prompt", "my own words")
    press(asked(LINK), "Edit First")
    assert workspace.studio.draft.value("prompt") == "a <b>fox</b>" and not made(queue)
    workspace.studio.undo.undo()
    assert workspace.studio.draft.value("prompt") == "my own words"


def test_what_is_not_used_is_said(workspace, asked) -> None:
    told = asked("sfumato://generate?prompt=a&model=Nowhere&steps=0&start_image=/etc/passwd")
    text = told.informativeText()
    assert "“Nowhere” is not here" in text and "Steps is left out" in text
    assert "“start_image” is left out" in text
    press(told, "Cancel")


def test_a_link_that_is_none(workspace, qtbot) -> None:
    with qtbot.waitSignal(workspace.studio.error_raised) as raised:
        workspace.open_path("sfumato://erase?everything=1")
    assert "not one that Sfumato understands" in raised.args[0].message
    assert workspace.asking.box is None


def test_a_text_from_the_services_menu(workspace, queue) -> None:
    workspace.asking.make_of("  a lighthouse\nat night ")
    press(workspace.asking.box, "Generate")
    assert made(queue)[0].prompt == "a lighthouse\nat night"


def test_the_system_hands_over_an_address(qapp) -> None:
    """As Qt does on a Mac; early ones wait for the window."""
    taken: list[str] = []

    class Window:
        def open_path(self, path: str) -> None:
            taken.append(path)

    handed: Any = SimpleNamespace(_window=None, _early=[])  # there is one QApplication already
    window: Any = Window()
    handed.hand_over = lambda path: composition.Application.hand_over(handed, path)
    for event in (QFileOpenEvent(QUrl(LINK)), QFileOpenEvent("/tmp/a picture.png")):
        assert composition.Application.event(handed, event)
    assert not taken
    composition.Application.set_window(handed, window)
    assert taken == [QUrl(LINK).toString(), "/tmp/a picture.png"]
