"""What replaces the prompt is one step to undo, wherever the focus is, and typing stays another."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui.request import PictureRequest
from gui.state.draft import Draft
from gui.state.prompts.types import PromptText

LEFT = Qt.MouseButton.LeftButton


def use_settings(workspace):
    made = PictureRequest("a cat", "", negative_prompt="dogs", steps=33, seed=5)
    workspace.studio.draft.replace(Draft.from_request(made), "Use Settings")


def use_history(workspace):
    workspace.studio.prompts.use(PromptText("a cat", "dogs"), "Use Earlier Prompt")


def use_example(workspace):
    workspace.prompt_panel.use_example("a cat")


def state(workspace):
    panel = workspace.prompt_panel
    return panel.prompt.text(), panel.negative.text(), workspace.studio.draft.draft


def press(workspace, name):
    workspace.editing.undo_or_redo(name)


DEEDS = pytest.mark.parametrize("deed", [use_settings, use_history, use_example])
FOCUS = pytest.mark.parametrize("focus", ["prompt", "negative", "elsewhere"])


@DEEDS
@FOCUS
def test_it_is_one_step_wherever_the_focus_is(workspace, deed, focus):
    panel = workspace.prompt_panel
    QTest.keyClicks(panel.prompt.edit, "my own words")
    QTest.keyClicks(panel.negative.edit, "rain")
    field = {"prompt": panel.prompt.edit, "negative": panel.negative.edit}
    field.get(focus, panel.reset).setFocus()
    before = state(workspace)
    deed(workspace)
    after = state(workspace)
    assert after[0] == "a cat" and after != before
    press(workspace, "undo")
    assert state(workspace) == before
    press(workspace, "redo")
    assert state(workspace) == after
    press(workspace, "undo")
    assert state(workspace) == before


@DEEDS
def test_typing_before_and_after_it_is_taken_back_in_its_turn(workspace, deed):
    panel = workspace.prompt_panel
    edit = panel.prompt.edit
    edit.setFocus()
    QTest.keyClicks(edit, "mine")
    before = state(workspace)
    deed(workspace)
    after = state(workspace)
    edit.setFocus()
    QTest.keyClick(edit, Qt.Key.Key_End)
    QTest.keyClicks(edit, " asleep")
    typed = state(workspace)
    assert typed[0] == "a cat asleep"
    press(workspace, "undo")
    assert state(workspace) == after
    press(workspace, "undo")
    assert state(workspace) == before
    press(workspace, "undo")
    assert state(workspace)[0] == ""
    for wanted in (before, after, typed):
        press(workspace, "redo")
        assert state(workspace) == wanted
    assert (workspace.studio.undo.redo_text, edit.document().isRedoAvailable()) == ("", False)


@DEEDS
def test_typing_right_behind_the_words_that_were_put_there_is_its_own_step(workspace, deed):
    edit = workspace.prompt_panel.prompt.edit
    edit.setFocus()
    deed(workspace)
    after = state(workspace)
    edit.moveCursor(edit.textCursor().MoveOperation.End)
    QTest.keyClicks(edit, "s")
    press(workspace, "undo")
    assert state(workspace) == after


def test_a_step_that_changes_no_words_comes_before_older_typing(workspace):
    panel = workspace.prompt_panel
    QTest.keyClicks(panel.prompt.edit, "words")
    panel.controls["steps"].input.spin.setValue(40)
    panel.prompt.edit.setFocus()
    panel.reset_to_defaults()
    press(workspace, "undo")
    assert panel.controls["steps"].input.value() == 40 and panel.prompt.text() == "words"
    press(workspace, "undo")
    assert panel.prompt.text() == ""


def test_several_in_a_row_are_undone_in_turn(workspace):
    edit = workspace.prompt_panel.prompt.edit
    edit.setFocus()
    seen = []
    for deed in (use_example, use_settings):
        seen.append(state(workspace))
        deed(workspace)
    workspace.studio.prompts.use(PromptText("a dog"), "Use Earlier Prompt")
    last = state(workspace)
    press(workspace, "undo")
    press(workspace, "undo")
    assert state(workspace) == seen[1]
    press(workspace, "undo")
    assert state(workspace) == seen[0]
    for _ in range(3):
        press(workspace, "redo")
    assert state(workspace) == last
