"""Earlier and saved prompts, at the prompt's field."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from gui.library.pictures import png_bytes
from gui.library.prompt_store import PromptStore, ShelfName
from gui.request import PictureRecord, PictureRequest
from gui.state.prompts.types import PromptText

LEFT = Qt.MouseButton.LeftButton
CONTROL = Qt.KeyboardModifier.ControlModifier


def ask_for(workspace, prompt, negative=""):
    panel = workspace.prompt_panel
    for field, text in ((panel.prompt, prompt), (panel.negative, negative)):
        field.edit.clear()
        QTest.keyClicks(field.edit, text)
    workspace.generate()


@pytest.fixture
def asked(workspace):
    """Three prompts were asked for."""
    ask_for(workspace, "a red fox", "snow")
    ask_for(workspace, "a blue boat")
    ask_for(workspace, "a green hill", "people")
    return workspace


def opened(workspace):
    popover = workspace.prompt_panel.popover
    workspace.prompt_panel.show_prompts()
    return popover


def shown(popover):
    return [popover.rows.entry(row).value.prompt for row in range(popover.rows.rowCount())]


def texts(workspace):
    panel = workspace.prompt_panel
    return panel.prompt.text(), panel.negative.text()


def test_every_prompt_is_there_once_newest_first(asked):
    ask_for(asked, "a red fox", "snow")
    popover = opened(asked)
    assert shown(popover) == ["a red fox", "a green hill", "a blue boat"]
    ask_for(asked, "a red fox", "rain")  # other words
    assert shown(popover) == ["a red fox", "a red fox", "a green hill", "a blue boat"]


def test_typing_searches_arrows_choose_and_return_takes(asked):
    popover = opened(asked)
    assert popover.search.hasFocus()
    QTest.keyClicks(popover.search, "BOAT a")
    assert shown(popover) == ["a blue boat"]
    popover.search.clear()
    QTest.keyClicks(popover.search, "snow")  # of the negative prompt
    assert shown(popover) == ["a red fox"]
    popover.search.clear()
    QTest.keyClick(popover.search, Qt.Key.Key_Down)
    QTest.keyClick(popover.search, Qt.Key.Key_Down)
    QTest.keyClick(popover.search, Qt.Key.Key_Return)
    assert not popover.isVisible()
    assert texts(asked) == ("a red fox", "snow")
    asked.editing.undo_or_redo("undo")
    assert texts(asked) == ("a green hill", "people")
    asked.editing.undo_or_redo("redo")
    assert texts(asked) == ("a red fox", "snow")


def test_the_list_shows_what_a_prompt_should_not_show(asked):
    popover = opened(asked)
    tip = popover.rows.index(0).data(Qt.ItemDataRole.ToolTipRole)
    assert "a green hill" in tip and "Not: people" in tip
    lines = popover.painter_.lines(popover.rows.index(0), 300)
    assert [line.text for line in lines] == ["a green hill", "Not: people"]


def test_keys_in_the_field_step_through_and_come_back(asked):
    panel = asked.prompt_panel
    edit = panel.prompt.edit
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, "half a thought")
    alt = Qt.KeyboardModifier.AltModifier
    seen = []
    for key in (Qt.Key.Key_Up,) * 4 + (Qt.Key.Key_Down,) * 4:
        QTest.keyClick(edit, key, alt)
        seen.append(texts(asked))
    hill, boat, fox = ("a green hill", "people"), ("a blue boat", ""), ("a red fox", "snow")
    mine = ("half a thought", "people")
    assert seen == [hill, boat, fox, fox, boat, hill, mine, mine]
    QTest.keyClick(edit, Qt.Key.Key_Up, alt)
    QTest.keyClick(edit, Qt.Key.Key_Up, alt)
    asked.editing.undo_or_redo("undo")  # the whole walk
    assert texts(asked) == mine
    asked.editing.undo_or_redo("redo")
    assert texts(asked) == boat


def test_deleting_and_clearing_can_be_undone(asked, qtbot):
    popover, undo = opened(asked), asked.studio.undo
    QTest.keyClick(popover.search, Qt.Key.Key_Down)
    QTest.keyClick(popover.search, Qt.Key.Key_Backspace, CONTROL)
    assert shown(popover) == ["a green hill", "a red fox"]
    assert popover.list.currentIndex().row() == 1
    undo.undo()
    assert shown(popover) == ["a green hill", "a blue boat", "a red fox"]
    QTest.mouseClick(popover.clear, LEFT)
    assert shown(popover) == [] and "kept here" in popover.empty.text()
    asked.studio.prompts.close()
    assert PromptStore.default().load(ShelfName.HISTORY, 9) == []


def test_the_cross_of_a_row_deletes_it(asked):
    popover = opened(asked)
    index = popover.rows.index(1)
    rect = popover.list.visualRect(index)
    at = QPoint(rect.right() - 14, rect.top() + 14)
    QTest.mouseMove(popover.list.viewport(), at)
    QTest.mouseClick(popover.list.viewport(), LEFT, pos=at)
    assert shown(popover) == ["a green hill", "a red fox"]
    assert popover.isVisible() and texts(asked)[0] == "a green hill", "it was not taken"


def test_the_next_window_has_the_history(asked, open_workspace, qtbot):
    asked.main_window.close()
    again, _ = open_workspace()
    history = again.studio.prompts.history
    qtbot.waitUntil(lambda: len(history.entries()) == 3)
    assert history.entries()[0].value == PromptText("a green hill", "people")


def test_another_windows_prompts_are_shown_when_the_list_opens(asked, qtbot):
    from gui.library.prompt_store import KeptText

    text = PromptText("from elsewhere")
    PromptStore.default().put(
        ShelfName.HISTORY, [KeptText(text.key, '{"prompt":"from elsewhere"}', 9e9)]
    )
    popover = opened(asked)
    qtbot.waitUntil(lambda: shown(popover)[0] == "from elsewhere")
    assert len(shown(popover)) == 4


def test_a_prompt_is_saved_under_a_name_and_found_by_it(asked):
    popover = opened(asked)
    QTest.mouseClick(popover.save, LEFT)
    QTest.keyClicks(popover.name, "  My   hill ")
    QTest.keyClick(popover.name, Qt.Key.Key_Return)
    assert popover.rows.named and popover.rows.index(0).data(Qt.ItemDataRole.DisplayRole)
    assert [e.key for e in asked.studio.prompts.saved.entries()] == ["My hill"]
    asked.prompt_panel.prompt.edit.replace_text("a taller hill")
    popover.ask_name()
    QTest.keyClicks(popover.name, "my hill")  # the same name, in other letters
    QTest.keyClick(popover.name, Qt.Key.Key_Return)
    assert shown(popover) == ["a taller hill"]
    asked.studio.undo.undo()
    assert shown(popover) == ["a green hill"]
    ask_for(asked, "something else")
    QTest.keyClicks(popover.search, "my")
    QTest.keyClick(popover.search, Qt.Key.Key_Return)
    assert texts(asked) == ("a green hill", "people")
    asked.studio.undo.undo()
    assert texts(asked)[0] == "something else"


def test_a_prompt_is_only_text_and_a_long_one_is_cut(workspace):
    long = "<b>fat</b> & " + "word " * 300
    workspace.prompt_panel.prompt.edit.setPlainText(long)
    workspace.generate()
    popover = opened(workspace)
    lines = popover.painter_.lines(popover.rows.index(0), 360)
    assert lines[0].text.startswith("<b>fat</b> & word") and len(lines) == 3
    assert "&lt;b&gt;" in popover.rows.index(0).data(Qt.ItemDataRole.ToolTipRole)
    popover.grab()


def test_what_cannot_be_kept_is_said_once(workspace, home, qtbot):
    (home / "data").mkdir(exist_ok=True)
    from gui.library.prompt_store import FILE_NAME

    store = workspace.studio.prompts._store
    store.path = home / "data" / "settings.ini" / FILE_NAME
    (home / "data" / "settings.ini").touch()
    errors = []
    workspace.studio.error_raised.connect(errors.append)
    ask_for(workspace, "a fox")
    ask_for(workspace, "a boat")
    done = []
    workspace.studio.prompts._background.run(lambda: None, done.append, done.append)
    qtbot.waitUntil(lambda: bool(done))  # all that was asked for before has been answered
    assert len(errors) == 1 and "cannot be kept" in errors[0].message
    assert len(workspace.studio.prompts.history.entries()) == 2


def test_a_long_history_is_shown_page_by_page_and_searched_whole(workspace, qtbot):
    history = workspace.studio.prompts.history
    texts = [PromptText(f"thing number {number}") for number in range(1000)]
    history.change({text.key: text for text in texts}, ())
    popover = opened(workspace)
    assert popover.rows.rowCount() < 1000
    QTest.keyClicks(popover.search, "number 999")
    assert shown(popover) == ["thing number 999"]
    popover.search.clear()
    while (before := popover.rows.rowCount()) < 1000:
        popover.list.scrollToBottom()
        qtbot.waitUntil(lambda before=before: popover.rows.rowCount() > before)
    assert len(set(shown(popover))) == 1000


def made_before(folder, name, prompt, negative="", created="2026-01-02T03:04:05+00:00"):
    """A picture of an earlier version, which kept no history."""
    request = PictureRequest(prompt, "", negative_prompt=negative, seed=1, steps=2)
    record = PictureRecord(request, 8, 8, "Tiny", program="Sfumato 0.1", created=created)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(png_bytes(np.zeros((8, 8, 3), np.uint8), record))


def test_the_history_begins_with_the_pictures_that_are_there(open_workspace, home, qtbot):
    from gui import paths

    folder = paths.pictures_dir() / "2026-01-02"
    made_before(folder, "a.png", "an old fox", "snow")
    made_before(folder, "b.png", "an old fox", "snow", "2026-01-04T03:04:05+00:00")
    made_before(folder, "c.png", "an older boat", created="2025-01-02T03:04:05+00:00")
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    workspace, _ = open_workspace()
    history = workspace.studio.prompts.history
    qtbot.waitUntil(lambda: len(history.entries()) == 2)
    assert [entry.value for entry in history.entries()] == [
        PromptText("an old fox", "snow"), PromptText("an older boat"),
    ]  # fmt: skip
    ask_for(workspace, "a new one")
    assert history.entries()[0].value.prompt == "a new one"
    workspace.studio.prompts.forget(history, [entry.key for entry in history.entries()])
    workspace.main_window.close()
    again, _ = open_workspace()
    with qtbot.waitSignal(again.studio.library.looking, check_params_cb=lambda n: n < 0):
        again.studio.library.refresh()
    answers = []
    again.studio.library.with_prompts(9, answers.append)  # behind whatever was asked before
    qtbot.waitUntil(lambda: bool(answers))
    assert len(answers[0]) == 2
    assert again.studio.prompts.history.entries() == [], "what was cleared stays away"


def test_the_menu_opens_it_also_where_the_panel_is_hidden(asked):
    asked.actions_.options.setChecked(False)
    assert not asked.prompt_panel.isVisible()
    asked.actions_.earlier_prompts.trigger()
    assert asked.prompt_panel.isVisible() and asked.prompt_panel.popover.isVisible()
    asked.prompt_panel.popover.close()
    asked.actions_.styles.trigger()
    assert asked.prompt_panel.styles_popover.isVisible()
    asked.prompt_panel.styles_popover.close()
    asked.actions_.save_preset.trigger()
    sheet = asked.prompt_panel.presets.sheet
    assert sheet.isVisible()
    sheet.reject()
