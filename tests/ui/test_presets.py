"""Presets of all settings: saved, chosen, used with a model, taken back."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from gui.library.prompt_store import KeptText, PromptStore, ShelfName
from gui.request import PictureRequest, described_fields
from gui.state.draft import Draft
from gui.styles import PromptStyle

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def presets(workspace):
    return workspace.studio.prompts.presets


@pytest.fixture
def other_model(workspace, qtbot, home):
    folder = home / "other-model"
    (folder / "unet.mlpackage").mkdir(parents=True)
    models = workspace.studio.models
    with qtbot.waitSignal(models.added):
        workspace.studio.models.add_folder(str(folder))
    entry = next(e for e in models.entries() if not e.starter)
    workspace.studio.select_model(models.entries()[0])
    return entry


def steps(workspace):
    return workspace.prompt_panel.controls["steps"].input.spin


def entries(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if action.text()]


def trigger(menu: QMenu, *path: str) -> None:
    for name in path[:-1]:
        menu = next(a.menu() for a in menu.actions() if a.text() == name)  # type: ignore[misc]
    next(action for action in menu.actions() if action.text() == path[-1]).trigger()


def save(workspace, name, *, every=False, words=False, default=False):
    button = workspace.prompt_panel.presets
    trigger(button.menu_of_presets(), "Save Settings as Preset…")
    sheet = button.sheet
    assert not sheet.save.isEnabled(), "it has no name yet"
    QTest.keyClicks(sheet.name, name)
    sheet.scope.set_value(not every)
    sheet.with_words.setChecked(words)
    sheet.default.setChecked(default)
    QTest.keyClick(sheet.name, Qt.Key.Key_Return)
    assert not sheet.isVisible()


def test_settings_are_saved_and_chosen_without_the_words(workspace, presets):
    panel = workspace.prompt_panel
    steps(workspace).setValue(33)
    panel.scheduler.setCurrentText("Euler a")
    panel.prompt.edit.replace_text("a fox")
    workspace.studio.draft.set("seed", 7)
    save(workspace, "Fine")
    assert panel.presets.text() == "Fine", "the button says which one is in force"
    workspace.studio.draft.put(Draft().with_value("prompt", "a boat"))
    assert panel.presets.text() == "Presets"
    menu = panel.presets.menu_of_presets()
    assert entries(menu)[:2] == ["Sfumato Starter", "Fine"]
    trigger(menu, "Fine")
    assert steps(workspace).value() == 33 and panel.scheduler.currentData() == "Euler a"
    assert panel.prompt.text() == "a boat" and workspace.studio.draft.value("seed") is None
    workspace.editing.undo_or_redo("undo")
    assert steps(workspace).value() == 18 and panel.scheduler.currentData() is None
    workspace.editing.undo_or_redo("redo")
    assert steps(workspace).value() == 33


def test_every_setting_is_part_of_it_but_those_of_one_picture(workspace, presets):
    every, of_one = set(described_fields()), {"seed", "start_image.path", "variation_seed"}
    of_one |= {"start_image.mask", "start_image.outpaint", "depth_map"}
    words = {"prompt", "negative_prompt", "styles"}
    assert set(presets.of_draft("x", None, words=True).fields) == every - of_one
    assert set(presets.of_draft("x", None, words=False).fields) == every - of_one - words


def test_words_and_styles_are_part_of_it_where_that_is_wanted(workspace, presets):
    panel, draft = workspace.prompt_panel, workspace.studio.draft
    panel.prompt.edit.replace_text("a fox")
    panel.negative.edit.replace_text("snow")
    draft.set("styles", (PromptStyle("Mine", "x"),))
    save(workspace, "All of it", words=True)
    draft.put(Draft())
    trigger(panel.presets.menu_of_presets(), "All of it")
    assert (panel.prompt.text(), panel.negative.text()) == ("a fox", "snow")
    assert [chip.text() for chip in panel.styles.chips()] == ["Mine"]


def test_a_name_that_is_taken_is_replaced_with_a_word_and_undo(workspace, presets):
    steps(workspace).setValue(11)
    save(workspace, "Mine")
    steps(workspace).setValue(22)
    button = workspace.prompt_panel.presets
    button.show_sheet()
    QTest.keyClicks(button.sheet.name, "MINE")
    assert "takes the place of “Mine”" in button.sheet.note.text()
    QTest.mouseClick(button.sheet.save, LEFT)
    (preset,) = presets.of_model()
    assert (preset.name, preset.settings.steps) == ("MINE", 22)
    workspace.studio.undo.undo()
    (preset,) = presets.of_model()
    assert (preset.name, preset.settings.steps) == ("Mine", 11)


def test_presets_are_for_one_model_or_for_all(workspace, presets, other_model):
    save(workspace, "Only starter")
    save(workspace, "For all", every=True)
    assert [p.name for p in presets.of_model()] == ["Only starter"]
    workspace.studio.using.choose(other_model)
    menu = workspace.prompt_panel.presets.menu_of_presets()
    assert "Only starter" not in entries(menu) and "For all" in entries(menu)


def test_a_models_default_is_used_when_it_is_chosen_and_only_then(
    workspace, presets, other_model, open_workspace
):
    studio, starter = workspace.studio, workspace.studio.models.entries()[0]
    steps(workspace).setValue(44)
    save(workspace, "Starters own", default=True)
    steps(workspace).setValue(9)
    workspace.models_panel.model_chosen.emit(starter)
    assert steps(workspace).value() == 9, "it was in use already"
    workspace.models_panel.model_chosen.emit(other_model)
    assert steps(workspace).value() == 9, "that one has no preset"
    workspace.models_panel.model_chosen.emit(starter)
    assert steps(workspace).value() == 44
    studio.undo.undo()
    assert steps(workspace).value() == 9
    studio.select_model(other_model)
    made = PictureRequest("a fox", "", steps=5)
    workspace.studio.draft.replace(Draft.from_request(made), "Use Settings")
    studio.select_model(starter)  # as Use These Settings does
    assert steps(workspace).value() == 5, "a picture's settings are its own"


def test_the_last_session_is_not_overridden_by_a_default(workspace, open_workspace, qtbot):
    steps(workspace).setValue(44)
    save(workspace, "Mine", default=True)
    steps(workspace).setValue(6)
    workspace.main_window.close()
    again, _ = open_workspace()
    presets = again.studio.prompts.presets
    qtbot.waitUntil(lambda: len(presets.of_model()) == 1)
    assert steps(again).value() == 6 and presets.default().name == "Mine"


def test_a_model_has_one_default(workspace, presets):
    save(workspace, "One", default=True)
    steps(workspace).setValue(3)
    save(workspace, "Two")
    trigger(
        workspace.prompt_panel.presets.menu_of_presets(),
        "Manage Presets", "Two", "Use Whenever “Sfumato Starter” Is Chosen",
    )  # fmt: skip
    assert {p.name: bool(p.default_for) for p in presets.of_model()} == {"One": False, "Two": True}
    workspace.studio.undo.undo()
    assert {p.name: bool(p.default_for) for p in presets.of_model()} == {"One": True, "Two": False}


def test_presets_are_changed_renamed_and_deleted_with_undo(workspace, presets):
    button, undo = workspace.prompt_panel.presets, workspace.studio.undo
    save(workspace, "One", default=True)
    save(workspace, "Two", every=True)
    steps(workspace).setValue(27)
    trigger(button.menu_of_presets(), "Manage Presets", "One", "Replace with These Settings")
    assert presets.of_model()[0].settings.steps == 27 and presets.default().name == "One"
    trigger(button.menu_of_presets(), "Manage Presets", "One", "Rename…")
    button.sheet.name.setText("")
    assert not button.sheet.save.isEnabled()
    QTest.keyClicks(button.sheet.name, "Uno")
    QTest.mouseClick(button.sheet.save, LEFT)
    assert [p.name for p in presets.of_model()] == ["Uno"] and presets.default().name == "Uno"
    trigger(button.menu_of_presets(), "Manage Presets", "Uno", "Delete")
    assert presets.of_model() == []
    undo.undo()
    undo.undo()
    assert [p.name for p in presets.of_model()] == ["One"]
    undo.undo()
    assert presets.of_model()[0].settings.steps is None


def test_a_rename_to_a_taken_name_is_refused_in_words(workspace, presets):
    button = workspace.prompt_panel.presets
    save(workspace, "One")
    save(workspace, "Two")
    button.show_sheet(presets.of_model()[0])
    button.sheet.name.setText("two")
    QTest.mouseClick(button.sheet.save, LEFT)
    assert button.sheet.isVisible() and "already; choose another name" in button.sheet.note.text()
    button.sheet.reject()


def test_the_models_recommendation_is_in_the_menu(workspace, presets):
    button = workspace.prompt_panel.presets
    name = "The Model’s Recommendation"

    def ticked():
        menu = button.menu_of_presets()
        return next(a.isChecked() for a in menu.actions() if a.text() == name)

    assert ticked()
    steps(workspace).setValue(50)
    assert not ticked()
    trigger(button.menu_of_presets(), name)
    assert steps(workspace).value() == 18 and ticked()
    workspace.studio.undo.undo()
    assert steps(workspace).value() == 50


def test_names_are_only_text(workspace, presets):
    save(workspace, "A & B <b>")
    button = workspace.prompt_panel.presets
    assert button.text() == "A && B <b>"
    assert "A && B <b>" in entries(button.menu_of_presets())


def test_a_newer_versions_is_used_as_far_as_it_is_understood(workspace, presets, qtbot):
    steps(workspace).setValue(33)
    workspace.studio.draft.set("guidance_scale", 6.0)
    preset = presets.of_draft("Newer", None, words=False)
    data = preset.to_json()
    data["fields"].append("field_of_tomorrow")
    data["settings"] |= {"steps": 10**6, "field_of_tomorrow": 3}
    store = PromptStore.default()
    store.put(ShelfName.PRESETS, [KeptText(preset.key, json.dumps(data), 1.0)])
    store.put(ShelfName.PRESETS, [KeptText("other", '["of another kind"]', 2.0)])
    presets.shelf.refresh()
    qtbot.waitUntil(lambda: len(presets.of_all()) == 1)
    workspace.studio.draft.put(Draft())
    presets.use(presets.of_all()[0])
    assert workspace.studio.draft.value("guidance_scale") == 6.0
    assert workspace.studio.draft.value("steps") is None, "what makes no sense is the model's"
