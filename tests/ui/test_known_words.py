"""Under the prompt: what the starter model does not know, what it draws, and the way to others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui import paths
from gui.state.hub.types import ModelKind


def type_prompt(panel, text: str) -> None:  # type: ignore[no-untyped-def]
    panel.prompt.edit.clear()
    QTest.keyClicks(panel.prompt.edit, text)


@pytest.fixture
def panel(workspace, qtbot):  # type: ignore[no-untyped-def]
    """The prompt panel, once the starter model's vocabulary has been read."""
    known = workspace.prompt_panel.known_words
    qtbot.waitUntil(lambda: known.vocabulary is not None)
    return workspace.prompt_panel


@pytest.fixture
def known(panel):  # type: ignore[no-untyped-def]
    return panel.known_words


def test_it_says_what_the_model_does_not_know(panel, known, qtbot) -> None:
    type_prompt(panel, "an astronaut on a horse at sunset")
    qtbot.waitUntil(known.isVisible)
    assert known.text.text() == (
        "The starter model doesn’t know “astronaut” and “sunset”. "
        "It draws 354 things, such as a cat, a rocket or a pizza."
    )


@pytest.mark.parametrize("prompt", ["", "a red car on a blue background", "photo of a cat"])
def test_it_says_nothing_when_all_is_known(panel, known, qtbot, prompt) -> None:
    type_prompt(panel, "a wizard")
    qtbot.waitUntil(known.isVisible)
    panel.prompt.edit.setPlainText(prompt)
    assert not known.isVisible()
    assert known.text.text() == ""


def test_a_word_half_typed_is_not_called_unknown(panel, known) -> None:
    type_prompt(panel, "a red ap")
    assert not known.isVisible()


def test_two_things_at_once_are_beyond_it(panel, known, qtbot) -> None:
    type_prompt(panel, "a cat and a dog")
    qtbot.waitUntil(known.isVisible)
    assert known.text.text() == (
        "The starter model draws one thing at a time, not cat and dog together."
    )


def test_a_colour_that_the_thing_cannot_have_is_said(panel, known, qtbot) -> None:
    type_prompt(panel, "a blue rainbow on a red background")
    qtbot.waitUntil(known.isVisible)
    assert known.text.text() == (
        "The starter model can’t make the rainbow blue and keeps the usual colours."
    )


def test_many_unknown_words_stay_one_calm_line(panel, known, qtbot) -> None:
    type_prompt(panel, "wizard, knight, castle ruins, woman, " + "x" * 300)
    qtbot.waitUntil(known.isVisible)
    said = known.text.text()
    assert said.startswith(
        "The starter model doesn’t know “wizard”, “knight”, “ruins” and 2 more words. "
    )
    assert len(said) < 160


def test_other_models_have_nothing_to_say(workspace, panel, known, qtbot, tmp_path: Path) -> None:
    type_prompt(panel, "a wizard")
    qtbot.waitUntil(known.isVisible)
    other = tmp_path / "other"
    (other / "unet.mlpackage").mkdir(parents=True)
    workspace.studio.models.add_folder(str(other))
    qtbot.waitUntil(lambda: not known.isVisible())
    workspace.studio.select_model(workspace.studio.models.entries()[0])
    qtbot.waitUntil(known.isVisible)


def test_another_small_model_is_called_by_its_name(
    workspace, panel, known, qtbot, tmp_path: Path
) -> None:
    other = tmp_path / "little one"
    (other / "unet.mlpackage").mkdir(parents=True)
    shutil.copy(paths.starter_model() / "vocabulary.json", other)
    type_prompt(panel, "a wizard")
    workspace.studio.models.add_folder(str(other))
    qtbot.waitUntil(lambda: known.text.text().startswith("“little one” doesn’t know “wizard”."))


def test_a_thing_comes_from_the_sheet_into_the_prompt_and_undo_takes_it_back(
    panel, known, qtbot
) -> None:
    asked = "an astronaut on a yellow background"
    type_prompt(panel, asked)
    qtbot.waitUntil(known.isVisible)
    qtbot.mouseClick(known.browse, Qt.MouseButton.LeftButton)
    sheet = known.sheet
    qtbot.waitUntil(sheet.isVisible)
    assert len(sheet.found()) == 354
    QTest.keyClicks(sheet.search, "kitt")
    assert [thing.name for thing in sheet.found()] == ["cat"]
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    assert panel.prompt.text() == "a cat on a yellow background"
    assert not known.isVisible()
    panel.prompt.edit.undo()
    assert panel.prompt.text() == asked


def test_a_click_on_a_word_of_the_sheet(panel, known, qtbot) -> None:
    type_prompt(panel, "a wizard")
    qtbot.waitUntil(known.isVisible)
    known.show_sheet()
    sheet = known.sheet
    qtbot.waitUntil(sheet.isVisible)
    QTest.keyClicks(sheet.search, "polar bear")
    browser = sheet.list
    place = browser.document().find("polar")
    at = browser.cursorRect(place).center()
    assert browser.anchorAt(at) == "thing:polar bear"
    QTest.mouseClick(browser.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert panel.prompt.text() == "a polar bear"
    assert not sheet.isVisible()


def test_what_it_does_not_draw_is_said_in_the_sheet(known, qtbot, panel) -> None:
    known.show_sheet()
    QTest.keyClicks(known.sheet.search, "wizard")
    assert known.sheet.found() == ()
    assert "nothing of that name" in known.sheet.list.toPlainText()
    QTest.keyClick(known.sheet.search, Qt.Key.Key_Return)
    assert known.sheet.isVisible()
    known.sheet.reject()


def test_the_way_to_a_real_model(workspace, panel, known, qtbot) -> None:
    type_prompt(panel, "a wizard")
    qtbot.waitUntil(known.isVisible)
    qtbot.mouseClick(known.hub, Qt.MouseButton.LeftButton)
    hub = workspace.models_panel.hub
    assert hub.isVisible()
    query = hub.catalogue.query
    assert (query.text, query.kinds, query.fits) == ("", (ModelKind.TEXT_TO_IMAGE,), True)
    assert any("Fits" in chip.text() for chip in hub.chips.chips())


def test_marks_are_no_words(panel, known, qtbot, workspace) -> None:
    type_prompt(panel, "a wizard")
    qtbot.waitUntil(known.isVisible)
    panel.prompt.edit.setPlainText("a (red:1.3) [car|cat] BREAK on a [blue::0.5] background")
    assert not known.isVisible()
    panel.controls["prompt_syntax"].input.select_data("compel")
    qtbot.waitUntil(known.isVisible)
    assert "“BREAK”" in known.text.text()
    assert panel.draft().request.prompt_syntax == "compel"


def test_a_mark_that_is_not_read_is_said_below_its_prompt(panel, known, qtbot) -> None:
    field = panel.prompt
    type_prompt(panel, "a cat.swap(dog)")
    assert not field.marks.isVisible()  # typing must rest
    qtbot.waitUntil(field.marks.isVisible)
    assert field.marks.text().startswith("“.swap(dog)” is a mark of compel")
    assert "swap" not in known.text.text()  # said once
    field.edit.setPlainText("a cat")
    assert not field.marks.isVisible()
    panel.negative.edit.setPlainText("(blur:1,2)")
    qtbot.waitUntil(panel.negative.marks.isVisible)
    panel._state.set("prompt_syntax", "plain")
    assert not panel.negative.marks.isVisible()


def test_selected_words_are_weighed_by_keys_and_undone(panel) -> None:
    edit = panel.prompt.edit
    edit.setPlainText("🦊 a red cat")
    cursor = edit.textCursor()
    cursor.setPosition(len("🦊 a ") + 1)  # Qt counts UTF-16 units
    cursor.movePosition(cursor.MoveOperation.EndOfWord, cursor.MoveMode.KeepAnchor)
    edit.setTextCursor(cursor)
    for _ in range(2):
        QTest.keyClick(edit, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert edit.toPlainText() == "🦊 a (red:1.2) cat"
    assert edit.textCursor().selectedText() == "red"
    assert panel._state.draft.request.prompt == "🦊 a (red:1.2) cat"
    edit.undo()
    edit.undo()
    assert edit.toPlainText() == "🦊 a red cat"
