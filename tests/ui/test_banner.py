"""The banner's error goes when what it was about is mended, replaced or beside the point."""

from __future__ import annotations

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Account
from tests.support.fake_hub import FakeHub
from tests.support.hub_window import click, some_models
from tests.support.pictures import picture
from tests.ui.test_generate import press_generate, type_prompt

OFFLINE = SfumatoError(ErrorKind.NETWORK, "The Hub cannot be reached; check the connection.")
DAMAGED = SfumatoError(ErrorKind.BAD_MODEL, "The UNet is missing; get the model again.")
CLOSED = SfumatoError(ErrorKind.STORAGE, "Pictures cannot be saved; choose another folder.")
LOST = SfumatoError(ErrorKind.ENGINE, "The engine stopped unexpectedly; try again.")


@pytest.fixture
def hub():
    return FakeHub(some_models())


@pytest.fixture
def desk(open_workspace, hub):
    return open_workspace(hub)


@pytest.fixture
def banner(workspace):
    return workspace.canvas.banner


def test_an_error_stays_while_nothing_about_it_changes(workspace, banner, qtbot):
    workspace.show_error(DAMAGED)
    type_prompt(workspace, "fog")
    workspace.studio.settings.appearance = "dark"
    workspace.studio.settings.pictures_folder = "/elsewhere"
    assert banner.isVisible() and banner.error is DAMAGED


def test_it_says_its_sentence_and_nothing_more(workspace, banner):
    workspace.show_error(OFFLINE)
    assert banner.statement.text() == OFFLINE.message == banner.accessibleName()
    shown = [label.text() for label in banner.findChildren(type(banner.statement))]
    assert [text for text in shown if text] == [OFFLINE.message]


def test_a_models_error_goes_with_the_model(workspace, banner, home, qtbot):
    other = home / "other"
    other.mkdir()
    (other / "Unet.mlpackage").mkdir()
    workspace.show_error(DAMAGED)
    with qtbot.waitSignal(workspace.studio.models.added):
        workspace.studio.models.add_folder(str(other))
    assert workspace.studio.model.folder == other
    assert not banner.isVisible()


def test_a_models_error_goes_when_the_model_can_be_read_again(workspace, banner):
    workspace.show_error(DAMAGED)
    workspace.studio.model_read.emit(workspace.studio.model)
    assert not banner.isVisible()


def test_a_jobs_error_goes_when_the_next_picture_is_made(workspace, queue, banner):
    type_prompt(workspace)
    press_generate(workspace)
    queue.run()
    queue.fail(LOST)
    assert banner.error is LOST
    press_generate(workspace)
    queue.run()
    queue.picture(picture())
    assert not banner.isVisible()


def test_a_folders_error_goes_when_another_is_chosen(workspace, banner):
    workspace.show_error(CLOSED)
    workspace.studio.settings.pictures_folder = "/elsewhere"
    assert not banner.isVisible()


def test_a_wrong_request_goes_when_it_is_changed(workspace, banner, qtbot):
    workspace.show_error(SfumatoError(ErrorKind.BAD_REQUEST, "Type a prompt first."))
    assert banner.isVisible()
    type_prompt(workspace, "fog")
    qtbot.waitUntil(lambda: not banner.isVisible())


def test_being_offline_goes_when_the_hub_answers(workspace, banner, qtbot):
    workspace.show_error(OFFLINE)
    click(workspace.models_panel.segments.buttons[1])
    qtbot.waitUntil(lambda: workspace.models_panel.hub.catalogue.rowCount() == 30)
    assert not banner.isVisible()


def test_a_refused_account_goes_when_somebody_is_signed_in(workspace, banner):
    workspace.show_error(SfumatoError(ErrorKind.ACCESS, "The Hub wants a token; sign in."))
    workspace.studio.hub.account.changed.emit(Account())
    assert banner.isVisible()
    workspace.studio.hub.account.changed.emit(Account(signed_in=True, name="ada"))
    assert not banner.isVisible()


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_has_a_subject(kind):
    from gui.ui.widgets.banner import _SUBJECTS

    assert kind in _SUBJECTS


def test_a_changed_model_that_core_ml_refuses_can_be_used_as_it_is(workspace, queue, banner):
    """Offered, never done in silence; what it takes away comes back by undo."""
    from gui.request import LoraUse

    draft = workspace.studio.draft
    type_prompt(workspace, "a fox <lora:Ink:0.5> in fog")
    draft.set("loras", (LoraUse("Oil"),))
    draft.set("width", 768)
    press_generate(workspace)
    queue.run()
    queue.fail(SfumatoError(ErrorKind.CHANGED_MODEL, "Core ML refuses it; use it as it is."))
    assert not banner.retry_button.isVisible()
    click(banner.plain_button)
    assert not banner.isVisible()
    assert len(queue.jobs()) == 2
    request = queue.last.request
    assert (request.prompt, request.loras, request.width) == ("a fox in fog", (), None)
    workspace.studio.undo.undo()
    assert draft.draft.request.loras == (LoraUse("Oil"),)
    assert draft.draft.request.width == 768
    workspace.show_error(DAMAGED)
    assert not banner.plain_button.isVisible()
