"""The Hub's side of the left column and the sheet of one model, by clicks and keys."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton

from gui.coreml.model import Attention, Family
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Level, ModelKind, Sort, Verdict
from gui.state.hub.catalogue import PAGES_AT_ONCE
from tests.support import fake_hub
from tests.support.hub_window import (
    answer_question,
    click,
    focusable,
    ids,
    install,
    nameless,
    open_sheet,
    shown_sheet,
)

FIRST = "apple/coreml-model-0"
NO_NETWORK = SfumatoError(ErrorKind.NETWORK, "The Hub cannot be reached; check the connection.")
USER = Qt.ItemDataRole.UserRole


# -- the journey --------------------------------------------------------------------------------


def test_a_newcomer_searches_gets_and_uses_a_model(workspace, panel, hub, qtbot):
    QTest.keyClicks(panel.search, "model-7")
    qtbot.waitUntil(lambda: "apple/coreml-model-0" not in ids(panel) and bool(ids(panel)))
    assert all("model-7" in repo for repo in ids(panel))
    row = ids(panel).index("coreml-community/coreml-model-7")
    sheet = open_sheet(workspace, panel, qtbot, row)
    assert sheet.header.name.whole_text() == "coreml-model-7"
    assert sheet.chosen.recommended
    assert sheet.bar.text.whole_text() == "1.60 GB to download"
    qtbot.waitUntil(lambda: "free on this disk" in sheet.bar.note.whole_text())
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    download = next(iter(hub.downloads))
    hub.progress(download, 0.25)
    assert sheet.bar.text.whole_text() == "400 MB of 1.60 GB"
    assert sheet.bar.note.whole_text() == "24.0 MB/s · 50 s left"
    assert sheet.bar.bar.value() == 250
    assert panel.catalogue.index(row).data(USER).download.bytes_done == 400_000_000
    folder = install("coreml-community/coreml-model-7", "split_einsum/compiled")
    hub.finish(download, str(folder))
    qtbot.waitUntil(lambda: sheet.bar.main.text() == "Use" and sheet.bar.main.isEnabled())
    assert panel.catalogue.index(row).data(USER).installed
    click(sheet.bar.main)
    assert not sheet.isVisible()
    assert workspace.studio.model.folder == folder
    assert workspace.models_panel.segments.current() == 0
    assert workspace.tool_bar.model_title.whole_text() == "coreml-model-7"


def test_the_journey_by_keys_alone(workspace, hub, qtbot):
    workspace.actions_.hub.trigger()
    panel = workspace.models_panel.hub
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() == 30)
    assert panel.search.hasFocus() or workspace.main_window.focusWidget() is panel.search
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    assert not workspace.models_desk.sheet, "arrow keys only move"
    QTest.keyClick(panel.list, Qt.Key.Key_Return)
    sheet = shown_sheet(workspace)
    qtbot.waitUntil(lambda: sheet.chosen is not None)
    assert sheet.repo == "coreml-community/coreml-model-1"
    QTest.keyClick(sheet.variants, Qt.Key.Key_Down)
    assert sheet.chosen.id == "original/packages"
    QTest.keyClick(sheet, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    assert next(iter(hub.downloads.values())).variant == "original/packages"
    QTest.keyClick(sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()


def test_return_searches_at_once_and_goes_to_what_it_finds(workspace, panel, hub, qtbot):
    panel.catalogue._typing.setInterval(3_600_000)  # nobody waits that long
    panel.search.setFocus()
    QTest.keyClicks(panel.search, "model-7")
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    qtbot.waitUntil(panel.list.hasFocus)
    assert ids(panel) == ["coreml-community/coreml-model-7"] + [
        m.id for m in hub.models if "model-7" in m.id and not m.id.endswith("model-7")
    ]
    assert panel.list.currentIndex().row() == 0 and workspace.models_desk.sheet is None
    panel.search.setFocus()
    panel.search.selectAll()
    QTest.keyClicks(panel.search, FIRST)
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: workspace.models_desk.sheet is not None)
    assert shown_sheet(workspace).repo == FIRST


def test_typing_on_is_no_return(panel, qtbot):
    panel.catalogue._typing.setInterval(0)
    panel.search.setFocus()
    QTest.keyClicks(panel.search, "model-7")
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    QTest.keyClicks(panel.search, "0")
    qtbot.waitUntil(lambda: ids(panel) == ["coreml-community/coreml-model-70"])
    assert panel.search.hasFocus()


def test_find_turns_to_the_hub(workspace, qtbot):
    key = QKeySequence(QKeySequence.StandardKey.Find)
    QTest.keySequence(workspace.prompt_panel.prompt.edit, key)
    qtbot.waitUntil(lambda: workspace.models_panel.hub is not None)
    assert workspace.models_panel.hub.search.hasFocus()


def test_pause_go_on_and_cancel(workspace, panel, hub, qtbot):
    sheet = open_sheet(workspace, panel, qtbot)
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    hub.progress(next(iter(hub.downloads)), 0.5)
    click(sheet.bar.pause)
    qtbot.waitUntil(lambda: sheet.bar.main.text() == "Go On")
    assert sheet.bar.text.whole_text() == "Paused · 800 MB of 1.60 GB"
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: sheet.bar.pause.isVisible())
    click(sheet.bar.cancel)
    answer_question(sheet, "Give Up")
    qtbot.waitUntil(lambda: not sheet.bar.bar.isVisible())
    assert hub.downloads == {}
    assert sheet.bar.main.isVisible() and sheet.bar.main.text() == "Get"


# -- searching ----------------------------------------------------------------------------------


def test_the_hub_is_left_alone_until_it_is_looked_at(workspace, hub):
    assert hub.asked == []
    assert workspace.models_panel.hub is None


def test_scrolling_fetches_the_next_page_and_details_of_what_is_seen_only(panel, hub, qtbot):
    qtbot.waitUntil(lambda: hub.count("details") > 0)
    asked = {a.arguments["repo"] for a in hub.asked if a.do == "details"}
    assert FIRST in asked
    assert ids(panel)[29] not in asked
    bar = panel.list.verticalScrollBar()
    while panel.catalogue.rowCount() < 75:
        before = panel.catalogue.rowCount()
        bar.setValue(bar.maximum())
        qtbot.waitUntil(lambda before=before: panel.catalogue.rowCount() > before)
    assert ids(panel) == [m.id for m in hub.models]


def test_order_and_maker_go_to_the_hub(panel, hub, qtbot):
    panel.sort.setCurrentIndex(panel.sort.findData(Sort.RECENT))
    panel.sort.activated.emit(panel.sort.currentIndex())
    panel.author.setCurrentIndex(panel.author.findData("apple"))
    panel.author.activated.emit(panel.author.currentIndex())
    qtbot.waitUntil(lambda: bool(ids(panel)) and all(i.startswith("apple/") for i in ids(panel)))
    query = [a for a in hub.asked if a.do == "search"][-1].arguments["query"]
    assert (query.sort, query.author) == ("recent", "apple")


def test_filters_show_as_chips_that_take_them_away(panel, hub, qtbot):
    hub.models[4] = replace(hub.models[4], family=Family.SDXL)
    click(panel.filters.button)
    popover = panel.filters.popover
    qtbot.waitUntil(popover.isVisible)
    click(popover.groups["families"].buttons[Family.SDXL])
    qtbot.waitUntil(lambda: ids(panel) == [hub.models[4].id])
    assert [chip.text() for chip in panel.chips.chips()] == ["SDXL"]
    assert "1 in force" in panel.filters.button.accessibleName()
    qtbot.waitUntil(lambda: panel.foot.whole_text() == "Looked through 75 models, 1 fits.")
    QTest.keyClick(popover, Qt.Key.Key_Escape)
    assert not popover.isVisible()
    click(panel.chips.chips()[0])
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() == 30)
    assert not panel.chips.isVisible()


def test_every_filter_reaches_the_query(panel, qtbot):
    popover = panel.filters.popover
    panel.filters.button.click()
    for group, value in (
        ("families", Family.SD2),
        ("kinds", ModelKind.TEXT_TO_IMAGE),
        ("attentions", Attention.ORIGINAL),
        ("compressions", "palette"),
    ):
        click(popover.groups[group].buttons[value])
    QTest.mouseClick(popover.fits, Qt.MouseButton.LeftButton)
    for choice, number in ((popover.size_choice, 2), (popover.licence, 1)):
        choice.setCurrentIndex(number)
        choice.activated.emit(number)
    query = panel.catalogue.query
    assert query.families == (Family.SD2,)
    assert query.kinds == (ModelKind.TEXT_TO_IMAGE,)
    assert query.attentions == (Attention.ORIGINAL,)
    assert query.compressions == ("palette",)
    assert query.fits
    assert query.max_bytes == 2_000_000_000
    assert query.licence == "creativeml-openrail-m"
    assert len(panel.chips.chips()) == 8, "seven filters and Clear"
    click(popover.clear)
    assert panel.catalogue.query == replace(query.__class__(), sort=query.sort)


def test_the_focus_stays_on_the_chips_while_there_are_any(panel, qtbot):
    families = (Family.SD1, Family.SD2, Family.SDXL)
    panel._on_filters(replace(panel.catalogue.query, families=families))
    panel.chips.chips()[1].setFocus()
    QTest.keyClick(panel.chips.chips()[1], Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: panel.catalogue.query.families == (Family.SD1, Family.SDXL))
    assert [chip.text() for chip in panel.chips.chips()] == ["SD 1", "SDXL", "Clear"]
    assert panel.chips.chips()[1].hasFocus()


def test_the_clear_button_of_the_search_field_searches_for_everything(panel, qtbot):
    QTest.keyClicks(panel.search, "model-70")
    qtbot.waitUntil(lambda: len(ids(panel)) == 1)
    clear = max(panel.search.findChildren(QToolButton), key=lambda button: button.x())
    QTest.mouseClick(clear, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() == 30)


# -- states -------------------------------------------------------------------------------------


def test_shapes_stand_in_for_cards_until_the_first_results(workspace, hub, qtbot):
    hub.silent.add("search")
    click(workspace.models_panel.segments.buttons[1])
    panel = workspace.models_panel.hub
    assert panel.stack.currentWidget() is panel.skeleton
    asked = hub.open_questions("search")[0]
    hub.answer("search", hub._search(**asked.arguments))
    assert panel.stack.currentWidget() is panel.list


def test_nothing_found_says_what_to_do_next(panel, qtbot, workspace, monkeypatch):
    QTest.keyClicks(panel.search, "no such thing")
    qtbot.waitUntil(panel.message.isVisible)
    assert "No model" in panel.message.title.text()
    assert not panel.message.retry.isVisible()
    assert not panel.message.clear.isVisible()
    shown = []
    monkeypatch.setattr(workspace.convert_desk, "show", lambda *_: shown.append(True))
    click(panel.message.convert)
    assert shown == [True]


def test_a_network_that_fails_is_not_taken_for_models_that_do_not_fit(panel, hub, qtbot):
    hub.errors["details"] = NO_NETWORK
    panel.filters.popover.fits.click()
    qtbot.waitUntil(panel.message.isVisible)
    assert panel.message.title.text() == NO_NETWORK.message
    hub.errors.clear()
    click(panel.message.retry)
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() >= 20)


def test_without_words_nobody_speaks_of_a_name(panel, hub, qtbot):
    hub.models.clear()
    panel.catalogue.refresh()
    qtbot.waitUntil(panel.message.isVisible)
    assert panel.message.title.text() == "No model was found."


def test_filters_that_leave_nothing_can_be_cleared(panel, qtbot):
    panel.filters.popover.groups["families"].buttons[Family.SD3].click()
    qtbot.waitUntil(panel.message.isVisible)
    click(panel.message.clear)
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() == 30)


def test_without_a_network_trying_again_helps(workspace, hub, qtbot):
    hub.errors["search"] = NO_NETWORK
    click(workspace.models_panel.segments.buttons[1])
    panel = workspace.models_panel.hub
    qtbot.waitUntil(panel.message.isVisible)
    assert panel.message.title.text() == NO_NETWORK.message
    hub.errors.clear()
    click(panel.message.retry)
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() == 30)
    assert panel.stack.currentWidget() is panel.list


@pytest.mark.parametrize("first", ["banner", "panel"])
def test_being_offline_is_said_once(workspace, hub, qtbot, first):
    hub.errors["search"] = NO_NETWORK
    banner = workspace.canvas.banner
    if first == "banner":
        workspace.show_error(NO_NETWORK)
        assert banner.isVisible()
    click(workspace.models_panel.segments.buttons[1])
    panel = workspace.models_panel.hub
    qtbot.waitUntil(panel.message.isVisible)
    workspace.studio.hub.error_raised.emit(NO_NETWORK)
    assert panel.message.title.text() == NO_NETWORK.message and not banner.isVisible()
    click(workspace.models_panel.segments.buttons[0])  # now it isn't in sight any more
    workspace.studio.hub.error_raised.emit(NO_NETWORK)
    assert banner.isVisible()
    click(workspace.models_panel.segments.buttons[1])
    assert not banner.isVisible()


def test_remembered_results_stay_usable_offline(workspace, hub, qtbot):
    hub.stale = "2024-05-03T10:00:00+00:00"
    click(workspace.models_panel.segments.buttons[1])
    panel = workspace.models_panel.hub
    qtbot.waitUntil(panel.offline.isVisible)
    assert "3 May 2024" in panel.offline_text.text()
    assert panel.list.isVisible()
    open_sheet(workspace, panel, qtbot).reject()
    hub.stale = ""
    click(panel.offline_retry)
    qtbot.waitUntil(lambda: not panel.offline.isVisible() and panel.catalogue.rowCount() == 30)


def test_a_page_that_fails_keeps_the_rows_and_can_be_asked_for_again(panel, hub, qtbot):
    hub.errors["search"] = NO_NETWORK
    bar = panel.list.verticalScrollBar()
    bar.setValue(bar.maximum())
    qtbot.waitUntil(panel.offline.isVisible)
    assert panel.offline_text.text() == NO_NETWORK.message
    assert panel.catalogue.rowCount() == 30
    hub.errors.clear()
    click(panel.offline_retry)
    qtbot.waitUntil(lambda: panel.catalogue.rowCount() == 60)


# -- addresses ----------------------------------------------------------------------------------


def drop_text(widget, text):
    data = QMimeData()
    data.setText(text)
    data.setUrls([QUrl(text)] if "://" in text else [])
    where, none = QPointF(5, 5), Qt.KeyboardModifier.NoModifier
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    widget.dropEvent(QDropEvent(where, copy, data, left, none))


@pytest.mark.parametrize("text", [f"https://huggingface.co/{FIRST}", FIRST])
def test_a_dropped_address_opens_the_model(workspace, qtbot, text):
    drop_text(workspace.models_panel, text)
    qtbot.waitUntil(lambda: workspace.models_desk.sheet is not None)
    assert workspace.models_desk.sheet.repo == FIRST


def test_an_address_pasted_onto_the_cards_opens_the_model(workspace, panel, qtbot):
    QGuiApplication.clipboard().setText(f"https://huggingface.co/{FIRST}")
    panel.list.setFocus()
    paste = next(a for a in workspace.actions_.menus[1].actions() if a.text() == "Paste")
    paste.trigger()
    qtbot.waitUntil(lambda: workspace.models_desk.sheet is not None)
    assert workspace.models_desk.sheet.repo == FIRST


def test_an_address_that_leads_nowhere_says_so(workspace, qtbot):
    drop_text(workspace.models_panel, "https://huggingface.co/nobody/nothing")
    panel = workspace.models_panel.hub
    qtbot.waitUntil(panel.message.isVisible)
    assert "nobody/nothing" in panel.message.title.text()
    assert workspace.models_desk.sheet is None


# -- reach --------------------------------------------------------------------------------------


def test_every_control_of_the_hub_has_a_name(workspace, panel, hub, qtbot):
    hub.models[0] = replace(hub.models[0], gated="auto")
    sheet = open_sheet(workspace, panel, qtbot)
    click(sheet.bar.main)
    qtbot.waitUntil(lambda: bool(hub.downloads))
    hub.progress(next(iter(hub.downloads)), 0.5)
    assert len(focusable(sheet)) >= 5
    assert nameless(sheet) == []
    assert nameless(workspace.models_panel) == []
    assert len(focusable(panel.filters.popover)) > 12
    assert nameless(panel.filters.popover) == []


def test_tab_goes_down_the_column(workspace, panel, hub, qtbot):
    panel._on_filters(replace(panel.catalogue.query, families=(Family.SD1, Family.SD2)))
    workspace.studio.hub.downloads.start(FIRST, "original/packages")
    qtbot.waitUntil(lambda: bool(workspace.models_panel.downloads.rows()))
    [row] = workspace.models_panel.downloads.rows()
    qtbot.waitUntil(panel.list.isVisible)
    wanted = [
        workspace.models_panel.add_button, panel.search, panel.filters.button, panel.kind,
        panel.sort, panel.author, *panel.chips.chips(), panel.list, row.pause, row.cancel,
    ]  # fmt: skip
    wanted[0].setFocus()
    for one, following in itertools.pairwise(wanted):
        QTest.keyClick(one, Qt.Key.Key_Tab)
        assert following.hasFocus(), f"{following} should follow {one}"
    # Between the columns there are the canvas' tools.
    focus: Any = wanted[-1]
    for _ in range(10):
        QTest.keyClick(focus, Qt.Key.Key_Tab)
        focus = QGuiApplication.focusObject()
        if not workspace.canvas.isAncestorOf(focus):
            break
    assert workspace.prompt_panel.prompt.edit.hasFocus()


def test_another_kind_is_looked_for(panel, qtbot):
    """LoRAs have no attention and no compression: those filters go, the family stays."""
    panel._on_filters(
        replace(panel.catalogue.query, families=(Family.SD1,), attentions=(Attention.ORIGINAL,))
    )
    panel.kind.setCurrentIndex(panel.kind.findData(ModelKind.LORA))
    panel.kind.activated.emit(panel.kind.currentIndex())
    query = panel.catalogue.query
    assert (query.kinds, query.families, query.attentions) == (
        (ModelKind.LORA,), (Family.SD1,), (),
    )  # fmt: skip
    assert panel.author.isHidden()
    popover = panel.filters.popover
    assert popover.groups["attentions"].isHidden() and not popover.groups["families"].isHidden()
    panel._on_filters(replace(query, kinds=()))
    assert panel.kind.currentText() == "Models" and not panel.author.isHidden()


def test_cards_are_read_as_sentences(panel, hub, qtbot):
    qtbot.waitUntil(lambda: panel.catalogue.index(0).data(USER).details is not None)
    text = panel.catalogue.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    for part in ("coreml-model-0 by apple", "Stable Diffusion 1", "1.60 GB", "1,000 likes"):
        assert part in text


def test_a_verdict_is_more_than_a_colour(panel, hub, qtbot):
    from gui.ui.hub.card import verdict_mark

    bad = fake_hub.variant("a", verdict=Verdict(Level.NO, ("Needs macOS 15.",)))
    row = panel.catalogue.index(0).data(USER)
    marks = {
        verdict_mark(replace(row, details=fake_hub.details(row.summary, variants=variants)))[0]
        for variants in ((bad,), (fake_hub.variant("b", recommended=True),))
    }
    assert marks == {"no", "good"}


def test_a_search_that_finds_little_asks_before_it_goes_on(workspace, panel, hub, qtbot):
    """However empty the list is, the view may not page through the whole Hub by itself."""
    hub.models = [fake_hub.summary(f"ada/model-{k}") for k in range(30 * PAGES_AT_ONCE + 45)]
    before = hub.count("search")
    panel._on_filters(replace(panel.catalogue.query, licence="nobody's"))
    qtbot.waitUntil(lambda: panel.catalogue.state.resting)
    qtbot.waitUntil(lambda: not panel._want_timer.isActive())  # the view has asked, if it could
    assert hub.count("search") == before + PAGES_AT_ONCE
    assert panel.further.isVisible()
    click(panel.further)
    qtbot.waitUntil(lambda: not panel.catalogue.state.more)
    assert panel.catalogue.state.examined == len(hub.models) and not panel.further.isVisible()
