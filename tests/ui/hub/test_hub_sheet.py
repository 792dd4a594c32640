"""The sheet of one model: verdicts, getting it, gates, and what can go wrong."""

from __future__ import annotations

import re

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Account, Distilled, DownloadState, Machine
from gui.hub.variants.verdict import judge
from gui.state import desktop
from tests.support import fake_hub
from tests.support.hub_window import (
    click,
    click_row,
    ids,
    open_sheet,
    shown_sheet,
)
from tests.support.pictures import picture

FIRST = "apple/coreml-model-0"
NO_NETWORK = SfumatoError(ErrorKind.NETWORK, "The Hub cannot be reached; check the connection.")
USER = Qt.ItemDataRole.UserRole


def test_the_sheet_judges_each_variant(workspace, panel, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    model = sheet.variants.variants
    text = [model.index(k).data(Qt.ItemDataRole.AccessibleTextRole) for k in range(3)]
    assert "Recommended" in text[0] and "Runs well" in text[0]
    assert "Won’t run" in text[2] and "Needs macOS 15" in text[2]
    click_row(sheet.variants, 2)
    assert "Needs macOS 15; this Mac has 14.5." in sheet.facts.text.text()
    assert sheet.bar.main.text() == "Get Anyway"


def test_a_refiner_is_had_along_by_a_switch_that_tells_its_size(workspace, panel, hub, qtbot):
    alone = fake_hub.variant("xl/compiled", recommended=True)
    both = fake_hub.variant("xl/compiled#with-refiner", download_bytes=4_200_000_000)
    plain = fake_hub.variant("other/packages")
    hub.details[FIRST] = fake_hub.details(hub.models[0], variants=(alone, both, plain))
    sheet = open_sheet(workspace, panel, qtbot)
    assert sheet.variants.variants.rowCount() == 2
    assert sheet.refiner.isVisible() and not sheet.refiner.isChecked()
    assert sheet.refiner.text() == "With the refiner (+2.60 GB)"
    assert sheet.bar.text.accessibleName().startswith("1.60 GB")
    click_row(sheet.variants, 1)
    assert not sheet.refiner.isVisible()
    click_row(sheet.variants, 0)
    sheet.refiner.click()
    assert sheet.bar.text.accessibleName().startswith("4.20 GB")
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: workspace.studio.hub.downloads.of(FIRST, both.id) is not None)
    assert workspace.studio.hub.downloads.of(FIRST, alone.id) is None


def test_memory_is_told_in_one_way(workspace, panel, hub, qtbot):
    """The verdict, the row and the table speak of the same amount in the same unit."""
    machine = Machine("Darwin", "14.5", "Apple M2", True, 8, 4, 16 * 2**30, 200 * 10**9)
    plain = fake_hub.variant("split_einsum/compiled", unet_bytes=1_719_000_000,
                             weight_bytes=2_064_000_000)  # fmt: skip
    (judged,) = judge([plain], machine)
    hub.details[FIRST] = fake_hub.details(hub.models[0], variants=(judged,))
    sheet = open_sheet(workspace, panel, qtbot)
    (told,) = re.findall(
        r"with about (\S+ GB) of memory; this Mac has 16 GB", sheet.facts.text.text()
    )
    assert f"about {told}<" in sheet.facts.text.text()
    text = sheet.variants.variants.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert f"{told} memory" in text


def test_models_of_few_steps_say_so(workspace, panel, hub, qtbot):
    few = fake_hub.variant("lcm/compiled", distilled=Distilled(4, "LCM"))
    usual = fake_hub.variant("original/compiled")
    hub.details[FIRST] = fake_hub.details(hub.models[0], variants=(few, usual))
    sheet = open_sheet(workspace, panel, qtbot)
    rows = [sheet.variants.variants.index(k) for k in range(2)]
    told = [row.data(Qt.ItemDataRole.AccessibleTextRole) for row in rows]
    assert "4 steps, LCM" in told[0] and "step" not in told[1]
    click_row(sheet.variants, 0)
    assert "Fast, 4 steps for a picture" in sheet.facts.text.text()
    assert "4 steps, LCM (by its name)" in sheet.facts.technical.text.text()
    click_row(sheet.variants, 1)
    assert "for a picture" not in sheet.facts.text.text()
    assert "Made for" not in sheet.facts.technical.text.text()


NEW = "new/comer"


def newcomer(panel, hub, qtbot, **values):
    """A model at the top of the list, about which nothing has been asked before."""
    hub.models.insert(0, fake_hub.summary(NEW, **values))
    panel.catalogue.refresh()
    qtbot.waitUntil(lambda: ids(panel)[:1] == [NEW])


def recommending(variant_id):
    """Details of the newcomer with this variant recommended."""
    variants = [
        fake_hub.variant(one, recommended=one == variant_id)
        for one in ("split_einsum/compiled", "original/packages", "another")
    ]
    return fake_hub.details(fake_hub.summary(NEW), variants=tuple(variants))


@pytest.mark.parametrize("by_hand", [False, True])
def test_facts_from_files_may_change_the_recommendation_but_not_a_choice(
    workspace, panel, hub, qtbot, by_hand
):
    hub.details[NEW] = recommending("split_einsum/compiled")
    newcomer(panel, hub, qtbot)
    qtbot.waitUntil(lambda: panel.catalogue.index(0).data(USER).details is not None)
    hub.silent.add("details")
    click_row(panel.list, 0)
    sheet = shown_sheet(workspace)
    assert sheet.chosen.id == "split_einsum/compiled"
    if by_hand:
        click_row(sheet.variants, 2)
    asked = next(a for a in hub.open_questions("details") if a.arguments["probe"])
    hub.details[NEW] = recommending("original/packages")
    asked.open = False
    asked.on_result(hub._details(**asked.arguments))
    assert sheet.chosen.id == ("another" if by_hand else "original/packages")


def test_the_sheet_escapes_what_the_hub_says(workspace, panel, hub, qtbot):
    bad = fake_hub.variant("x", title="<b>x</b>", missing=("<i>all</i>",), recommended=True)
    hub.details[FIRST] = fake_hub.details(hub.models[0], variants=(bad,), description="<b>hi</b>")
    sheet = open_sheet(workspace, panel, qtbot)
    assert "<i>all" not in sheet.facts.text.text()
    assert sheet.header.description.textFormat() == Qt.TextFormat.PlainText


def test_details_that_fail_can_be_tried_again(workspace, panel, hub, qtbot):
    hub.silent.add("details")
    newcomer(panel, hub, qtbot)
    click_row(panel.list, 0)
    sheet = workspace.models_desk.sheet
    assert sheet.message_text.text() == "Reading the list of files…"
    asked = next(a for a in hub.open_questions("details") if a.arguments["probe"])
    asked.open = False
    asked.on_error(NO_NETWORK)
    assert sheet.message_text.text() == NO_NETWORK.message
    hub.silent.clear()
    click(sheet.retry)
    qtbot.waitUntil(lambda: sheet.chosen is not None)


def test_a_repository_without_anything_to_run_says_why(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    assert sheet.bar.main.isVisible()
    note = "These are ControlNets; they cannot draw alone."
    hub.details[FIRST] = fake_hub.details(hub.models[0], variants=(), notes=(note,))
    workspace.studio.hub.want_details(FIRST, fresh=True)
    qtbot.waitUntil(lambda: sheet.message_text.text() == note)
    assert not sheet.bar.main.isVisible()
    assert sheet.convert.isVisible()


def test_what_is_only_remembered_says_so_above_the_variants(workspace, panel, hub, qtbot):
    notes = ("This is what the Hub said before.", "Some <b>was</b> not looked into.", "3", "4")
    hub.details[FIRST] = fake_hub.details(hub.models[0], notes=notes)
    sheet = open_sheet(workspace, panel, qtbot)
    assert sheet.chosen is not None
    assert sheet.notes.isVisible() and sheet.notes.height() > 0
    assert sheet.notes.text() == " ".join(notes[:3])
    assert sheet.notes.textFormat() == Qt.TextFormat.PlainText
    hub.details[FIRST] = fake_hub.details(hub.models[0])
    sheet._hub.want_details(FIRST, fresh=True)
    qtbot.waitUntil(lambda: not sheet.notes.isVisible())


def test_a_download_that_is_refused_says_why_in_the_sheet(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    full = SfumatoError(ErrorKind.STORAGE, "1.60 GB are needed, 300 MB are free.")
    hub.errors["start"] = full
    click(sheet.bar.main)
    qtbot.waitUntil(sheet.bar.error.isVisible)
    assert sheet.bar.error.text() == full.message
    assert workspace.canvas.banner.error is None
    hub.errors.clear()
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    assert not sheet.bar.error.isVisible()


def test_a_download_that_will_not_go_on_says_why_in_the_sheet(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    hub._pause(next(iter(hub.downloads)))
    busy = SfumatoError(ErrorKind.STORAGE, "Another program is downloading this; end it first.")
    hub.errors["resume"] = busy
    click(sheet.bar.main)
    qtbot.waitUntil(sheet.bar.error.isVisible)
    assert sheet.bar.error.text() == busy.message and sheet.bar.main.text() == "Go On"
    hub.errors.clear()
    click(sheet.bar.main)
    qtbot.waitUntil(sheet.bar.pause.isVisible)
    assert not sheet.bar.error.isVisible()


def test_a_gated_model_explains_itself_and_lets_one_sign_in(
    workspace, panel, hub, qtbot, monkeypatch
):
    hub.accounts["hf_good"] = Account(True, "ada", "keychain")
    newcomer(panel, hub, qtbot, gated="auto")
    sheet = open_sheet(workspace, panel, qtbot)
    assert sheet.gate.isVisible()
    opened = []
    monkeypatch.setattr(desktop, "open_page", opened.append)
    click(sheet.accept_terms)
    assert opened == [f"https://huggingface.co/{NEW}"]
    qtbot.waitUntil(lambda: workspace.studio.hub.account.known)
    click(sheet.sign_in)
    from gui.ui.settings.account_section import SignInDialog

    dialog = sheet.findChild(SignInDialog)
    QTest.keyClicks(dialog.section.token, "hf_wrong")
    click(dialog.section.sign_in)
    qtbot.waitUntil(dialog.section.problem.isVisible)
    assert "token" in dialog.section.problem.text()
    dialog.section.token.selectAll()
    QTest.keyClicks(dialog.section.token, "hf_good")
    QTest.keyClick(dialog.section.token, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not sheet.sign_in.isVisible())
    assert workspace.studio.hub.account.account.name == "ada"


def test_signing_in_goes_on_with_what_was_refused(workspace, panel, hub, qtbot):
    hub.accounts["hf_good"] = Account(True, "ada", "keychain")
    sheet = open_sheet(workspace, panel, qtbot)
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    [download] = hub.downloads
    terms = SfumatoError(ErrorKind.ACCESS, "It is only for people who accepted its terms.")
    hub.fail_download(download, terms)
    assert sheet.bar.error.text() == terms.message
    click(sheet.sign_in)
    from gui.ui.settings.account_section import SignInDialog

    dialog = sheet.findChild(SignInDialog)
    qtbot.waitUntil(dialog.section.token.hasFocus)
    QTest.keyClicks(dialog.section.token, "hf_good")
    QTest.keyClick(dialog.section.token, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: hub.downloads[download].state is DownloadState.FETCHING)
    assert not sheet.bar.error.isVisible()


def test_a_refused_token_leaves_the_words_room(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    hub.errors["set_token"] = SfumatoError(ErrorKind.ACCESS, "The Hub says no to this. " * 6)
    sheet._sign_in()
    from gui.ui.settings.account_section import SignInDialog

    dialog = sheet.findChild(SignInDialog)
    qtbot.waitUntil(dialog.section.token.hasFocus)
    QTest.keyClicks(dialog.section.token, "hf_wrong")
    click(dialog.section.sign_in)
    qtbot.waitUntil(dialog.section.problem.isVisible)
    for text in (dialog.section.problem, dialog.section.why):
        assert text.height() >= text.heightForWidth(text.width())


def test_the_focus_stays_where_the_pressed_button_was(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    bar = sheet.bar
    bar.main.setFocus()
    QTest.keyClick(bar.main, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    assert not sheet.header.open_page.hasFocus()
    [download] = hub.downloads
    hub.progress(download, 0.5)
    bar.pause.setFocus()
    QTest.keyClick(bar.pause, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: bar.main.isVisible() and bar.main.text() == "Go On")
    assert bar.main.hasFocus()


def test_a_model_that_is_no_search_result_has_its_picture_too(workspace, panel, hub, qtbot, home):
    file = home / "picture.png"
    picture().save(str(file))
    elsewhere = fake_hub.summary("far/away")
    hub.models.append(elsewhere)
    hub.pictures[elsewhere.id] = str(file)
    panel.opened.emit(elsewhere.id)
    sheet = shown_sheet(workspace)
    qtbot.waitUntil(lambda: sheet.chosen is not None)
    qtbot.waitUntil(lambda: sheet.header.picture._pixmap is not None)
    workspace.studio.hub.want_details(elsewhere.id, fresh=True)
    qtbot.waitUntil(lambda: not hub.open_questions("details"))
    assert sheet.header.picture._pixmap is not None


def test_a_repository_that_has_changed_is_read_again(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    now = fake_hub.variant("renamed/packages", recommended=True)
    hub.details[FIRST] = fake_hub.details(hub.models[0], variants=(now,))
    gone = SfumatoError(ErrorKind.NOT_FOUND, "It no longer offers this; look at it again.")
    hub.errors["start"] = gone
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: sheet.chosen.id == "renamed/packages")


def test_open_on_the_hub(workspace, panel, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(desktop, "open_page", opened.append)
    sheet = open_sheet(workspace, panel, qtbot)
    click(sheet.header.open_page)
    assert opened == [f"https://huggingface.co/{FIRST}"]
