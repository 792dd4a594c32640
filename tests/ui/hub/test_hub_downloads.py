"""Downloads at the foot of the left column, across restarts too, and the account in Settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Account, DownloadState
from gui.state import desktop
from gui.ui.settings.account_section import SignInDialog
from tests.support.fake_hub import FakeHub
from tests.support.hub_window import (
    answer_question,
    click,
    install,
    some_models,
)

REPO = "apple/coreml-model-0"
OTHER = "coreml-community/coreml-model-1"


@pytest.fixture
def hub():
    return FakeHub(some_models(6))


@pytest.fixture
def strip(workspace):
    return workspace.models_panel.downloads


def begin(workspace, hub, qtbot, repo=REPO, variant="split_einsum/compiled"):
    """Start a download; its row and its id."""
    strip = workspace.models_panel.downloads
    before = len(strip.rows())
    workspace.studio.hub.downloads.start(repo, variant)
    qtbot.waitUntil(lambda: len(strip.rows()) == before + 1)
    row = strip.rows()[-1]
    return row, row.download_id


def test_the_focus_stays_where_the_pressed_button_was(workspace, hub, qtbot):
    row, download = begin(workspace, hub, qtbot)
    hub.progress(download, 0.5)
    row.pause.setFocus()
    for following in (row.resume, row.pause):
        QTest.keyClick(workspace.focusWidget(), Qt.Key.Key_Space)
        qtbot.waitUntil(following.isVisible)
        assert following.hasFocus()
    assert download in hub.downloads, "a press too many has cancelled it"


def test_the_strip_is_there_only_while_something_is_on_its_way(workspace, strip, hub, qtbot):
    assert not strip.isVisible()
    row, download = begin(workspace, hub, qtbot)
    assert strip.isVisible()
    hub.progress(download, 0.195)
    assert row.state.whole_text() == "312 MB of 1.60 GB · 24.0 MB/s · 54 s left"
    assert row.bar.value() == 195
    hub.finish(download, str(install(REPO, "split_einsum/compiled")))
    assert not strip.isVisible()


def test_the_first_model_is_used_as_soon_as_it_is_there(workspace, hub, qtbot):
    assert workspace.studio.model.starter
    _, download = begin(workspace, hub, qtbot)
    folder = install(REPO, "split_einsum/compiled")
    hub.finish(download, str(folder))
    qtbot.waitUntil(lambda: workspace.studio.model.folder == folder)
    assert "ready" in workspace.canvas.banner.statement.text()


def test_pause_go_on_and_cancel(workspace, strip, hub, qtbot):
    row, download = begin(workspace, hub, qtbot)
    hub.progress(download, 0.5)
    assert not row.resume.isVisible()
    click(row.pause)
    qtbot.waitUntil(row.resume.isVisible)
    assert row.state.whole_text() == "Paused · 800 MB of 1.60 GB"
    assert not row.pause.isVisible()
    click(row.resume)
    qtbot.waitUntil(row.pause.isVisible)
    click(row.cancel)
    asked = answer_question(workspace.window(), "Keep")
    assert "The 800 MB that are here already will be deleted." in asked
    assert strip.rows() == [row]
    click(row.cancel)
    answer_question(workspace.window(), "Give Up")
    qtbot.waitUntil(lambda: strip.rows() == [])
    assert hub.downloads == {}


def test_a_failure_says_why_and_can_be_tried_again(workspace, strip, hub, qtbot):
    row, download = begin(workspace, hub, qtbot)
    hub.progress(download, 0.5)
    hub.fail_download(
        download, SfumatoError(ErrorKind.STORAGE, "The disk is full; free 800 MB and try again.")
    )
    assert row.problem.text() == "The disk is full; free 800 MB and try again."
    assert row.state.whole_text() == "800 MB of 1.60 GB"
    assert not row.pause.isVisible()
    assert row.go_on.text() == "Try Again"
    click(row.go_on)
    qtbot.waitUntil(row.pause.isVisible)
    assert not row.problem.isVisible()


def test_several_downloads_each_have_their_own_buttons(workspace, strip, hub, qtbot):
    first, one = begin(workspace, hub, qtbot)
    second, two = begin(workspace, hub, qtbot, OTHER)
    hub.progress(one, 0.1)
    hub.progress(two, 0.9)
    assert (first.bar.value(), second.bar.value()) == (100, 900)
    hub.progress(two, 0.01)  # so little that nothing is asked
    click(second.cancel)
    qtbot.waitUntil(lambda: strip.rows() == [first])
    assert list(hub.downloads) == [one]


def test_a_click_on_a_download_opens_its_model(workspace, hub, qtbot):
    row, _ = begin(workspace, hub, qtbot)
    QTest.mouseClick(row, Qt.MouseButton.LeftButton)
    sheet = workspace.models_desk.sheet
    qtbot.waitUntil(lambda: sheet.isVisible() and sheet.chosen is not None)
    assert sheet.repo == REPO
    assert sheet.bar.cancel.isVisible()


def test_every_button_of_a_download_says_which_one_it_is_for(workspace, hub, qtbot):
    row, download = begin(workspace, hub, qtbot)
    title = hub.downloads[download].title
    for button in (row.pause, row.resume, row.cancel, row.go_on, row.discard):
        assert title in button.accessibleName()
    assert title in row.bar.accessibleName()


def test_a_refused_download_without_a_sheet_shows_in_the_banner(workspace, hub, qtbot):
    hub.errors["start"] = SfumatoError(ErrorKind.STORAGE, "The disk is too small.")
    workspace.studio.hub.downloads.start(REPO, "split_einsum/compiled")
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: banner.statement.text() == "The disk is too small.")


# -- the next start -----------------------------------------------------------------------------


@pytest.fixture
def interrupted(home, hub):
    """A download that an earlier run left on disk."""
    plan = paths.models_dir() / ".downloads" / "d1" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text("{}")
    status = replace(
        hub._start(REPO, "", "split_einsum/compiled"),
        state=DownloadState.PAUSED,
        interrupted=True,
        bytes_done=400_000_000,
    )
    hub.downloads[status.id] = status
    return status


@pytest.mark.parametrize("going_on", [True, False])
def test_the_next_start_offers_to_go_on(interrupted, workspace, strip, hub, qtbot, going_on):
    qtbot.waitUntil(lambda: bool(strip.rows()))
    row = strip.rows()[0]
    assert row.state.whole_text() == "Interrupted · 400 MB of 1.60 GB"
    assert not row.resume.isVisible() and not row.cancel.isVisible()
    click(row.go_on if going_on else row.discard)
    if going_on:
        qtbot.waitUntil(row.pause.isVisible)
        assert hub.downloads[interrupted.id].state is DownloadState.FETCHING
    else:
        answer_question(workspace.window(), "Give Up")
        qtbot.waitUntil(lambda: not strip.isVisible())
        assert hub.downloads == {}


# -- the account --------------------------------------------------------------------------------


@pytest.fixture
def section(workspace, qtbot):
    workspace.actions_.settings.trigger()
    found = workspace.window_desk.dialogs["settings"].account
    qtbot.waitUntil(lambda: workspace.studio.hub.account.known)
    return found


def test_signing_in_and_out(section, hub, qtbot):
    hub.accounts["hf_abc"] = Account(True, "ada", "keychain")
    assert section.state.whole_text() == "Not signed in"
    assert section.token.echoMode() == QLineEdit.EchoMode.Password
    assert not section.sign_in.isEnabled()
    QTest.keyClicks(section.token, "hf_abc")
    click(section.sign_in)
    qtbot.waitUntil(lambda: section.state.whole_text() == "Signed in as ada from the keychain")
    assert section.token.text() == "", "the token does not stay in the field"
    assert not section.token.isVisible()
    click(section.sign_out)
    qtbot.waitUntil(section.token.isVisible)
    assert section.state.whole_text() == "Not signed in"


def test_a_token_that_is_not_accepted_says_so_beside_the_field(section, workspace, qtbot):
    QTest.keyClicks(section.token, "hf_wrong")
    QTest.keyClick(section.token, Qt.Key.Key_Return)
    qtbot.waitUntil(section.problem.isVisible)
    assert section.problem.text() == "The Hub does not know this token."
    assert section.sign_in.isEnabled(), "it can be tried again"


def test_an_account_that_cannot_be_looked_for_is_none(hub, workspace, qtbot):
    locked = SfumatoError(ErrorKind.ACCESS, "The keychain did not give access to the token.")
    hub.errors["account"] = locked
    workspace.actions_.settings.trigger()
    section = workspace.window_desk.dialogs["settings"].account
    qtbot.waitUntil(section.problem.isVisible)
    assert section.problem.text() == locked.message
    assert section.state.whole_text() == "Not signed in"
    assert not section.token.hasFocus()


def test_a_refused_token_leaves_the_words_room(section, workspace, hub, qtbot):
    hub.errors["set_token"] = SfumatoError(ErrorKind.UNSUPPORTED, "There is no keychain. " * 8)
    dialog = workspace.window_desk.dialogs["settings"]
    before = dialog.height()
    QTest.keyClicks(section.token, "hf_good")
    click(section.sign_in)
    qtbot.waitUntil(section.problem.isVisible)
    for text in (section.problem, section.why):
        qtbot.waitUntil(lambda text=text: text.height() >= text.heightForWidth(text.width()))
    assert section.token.height() >= section.token.sizeHint().height()
    assert dialog.height() > before


def test_a_closed_sign_in_hears_nothing_more(workspace, hub, qtbot, qapp):
    account = workspace.studio.hub.account
    dialog = SignInDialog(account, workspace)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    with qtbot.waitSignal(dialog.destroyed):
        dialog.close()
    del dialog
    with qtbot.captureExceptions() as raised:
        account.refresh()
        qtbot.waitUntil(lambda: not account.busy)
    assert raised == []


@pytest.mark.parametrize(
    ("source", "words"), [("environment", "HF_TOKEN"), ("file", "command line")]
)
def test_a_token_from_elsewhere_cannot_be_signed_out_here(hub, workspace, qtbot, source, words):
    hub.account = Account(True, "ada", source)
    workspace.actions_.settings.trigger()
    section = workspace.window_desk.dialogs["settings"].account
    qtbot.waitUntil(lambda: "ada" in section.state.whole_text())
    assert words in section.state.whole_text()
    assert not section.sign_out.isVisible()


def test_where_a_token_is_made(section, monkeypatch):
    opened = []
    monkeypatch.setattr(desktop, "open_page", opened.append)
    click(section.make_token)
    assert opened == ["https://huggingface.co/settings/tokens"]
