"""Styles as chips under the prompt, chosen from a list, edited in a sheet."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from gui.library.picture_record import read_record
from gui.library.pictures import png_bytes
from gui.state.prompts.types import PromptText
from gui.styles import BUILT_IN, PromptStyle

LEFT = Qt.MouseButton.LeftButton
MINE = PromptStyle("Mine", "{prompt} by me", "by others")


@pytest.fixture
def styles(workspace):
    return workspace.studio.prompts.styles


def say(workspace, prompt, negative=""):
    workspace.prompt_panel.prompt.edit.replace_text(prompt)
    workspace.prompt_panel.negative.edit.replace_text(negative)


def chips(workspace):
    return [chip.text() for chip in workspace.prompt_panel.styles.chips()]


def test_styles_are_put_on_from_the_list_and_taken_off_by_their_chips(workspace, queue, styles):
    panel = workspace.prompt_panel
    say(workspace, "a fox", "snow")
    assert chips(workspace) == []
    QTest.mouseClick(panel.styles.add, LEFT)
    popover = panel.styles_popover
    assert popover.isVisible()
    for name in ("Cinematic", "Pencil Drawing"):
        popover.search.clear()
        QTest.keyClicks(popover.search, name)
        QTest.keyClick(popover.search, Qt.Key.Key_Return)
    assert popover.isVisible(), "several are chosen in one go"
    assert chips(workspace) == ["Cinematic", "Pencil Drawing"]
    popover.close()
    workspace.generate()
    sent = queue.last.request
    assert sent.prompt == (
        "pencil drawing of cinematic still of a fox, dramatic light, shallow depth of field, "
        "film grain, graphite on paper, hatching"
    )
    assert sent.negative_prompt.startswith("snow, drawing, cartoon")
    assert panel.prompt.text() == "a fox", "the panel keeps the person's own words"
    QTest.mouseClick(panel.styles.chips()[0], LEFT)
    QApplication.processEvents()
    assert chips(workspace) == ["Pencil Drawing"]
    workspace.generate()
    assert queue.last.request.prompt == "pencil drawing of a fox, graphite on paper, hatching"
    workspace.editing.undo_or_redo("undo")
    assert chips(workspace) == ["Cinematic", "Pencil Drawing"], "a click loses nothing for good"
    workspace.editing.undo_or_redo("undo")
    assert chips(workspace) == ["Cinematic"]


def test_use_settings_brings_words_and_chips_back(workspace, queue, styles, qtbot, tmp_path):
    say(workspace, "a fox", "snow")
    styles.toggle(BUILT_IN[0])
    styles.toggle(MINE)  # of another computer: it is not in the list here
    workspace.generate()
    queue.run()
    path = queue.picture(QImage(8, 8, QImage.Format.Format_RGB32))
    queue.finish()
    say(workspace, "something else")
    for style in (MINE, BUILT_IN[0]):
        styles.toggle(style)
    assert chips(workspace) == []
    before = workspace.studio.draft.draft
    with qtbot.waitSignal(workspace.studio.draft.changed):
        workspace.pictures_desk.imports.use_settings_of(path)
    panel = workspace.prompt_panel
    assert (panel.prompt.text(), panel.negative.text()) == ("a fox", "snow")
    assert chips(workspace) == ["Photograph", "Mine"]
    workspace.studio.undo.undo()
    assert workspace.studio.draft.draft == before


def test_the_picture_has_the_text_that_its_model_read(workspace, queue, styles, tmp_path):
    import numpy as np

    from gui.request import PictureRecord

    say(workspace, "a fox")
    styles.toggle(MINE)
    workspace.generate()
    data = png_bytes(np.zeros((8, 8, 3), np.uint8), PictureRecord(queue.last.request, 8, 8, "Tiny"))
    (tmp_path / "made.png").write_bytes(data)
    record = read_record(tmp_path / "made.png")
    assert record is not None and record.request.styles == (MINE,)
    assert record.request.prompt == "a fox by me"
    from PIL import Image

    with Image.open(tmp_path / "made.png") as image:
        text = image.info["parameters"]
    assert text.startswith("a fox by me\nNegative prompt: by others\n")


def test_what_is_counted_is_what_the_model_reads(workspace, styles, qtbot):
    panel = workspace.prompt_panel
    say(workspace, "fox")
    qtbot.waitUntil(lambda: panel.prompt.count_label.text() == "1 / 75")
    styles.toggle(MINE)
    qtbot.waitUntil(lambda: panel.prompt.count_label.text() == "3 / 75")
    long = PromptStyle("Long", "word " * 72 + "{prompt}", "")
    styles.toggle(MINE)
    styles.toggle(long)
    say(workspace, "one two three four five")
    qtbot.waitUntil(lambda: panel.prompt.count_label.text() == "77 / 75")
    (cut,) = panel.prompt.edit.extraSelections()
    assert cut.cursor.selectedText().strip() == "four five"


def test_styles_stay_over_a_restart_and_in_history_and_saved_prompts(
    workspace, open_workspace, styles, queue
):
    say(workspace, "a fox")
    styles.toggle(MINE)
    workspace.generate()
    prompts = workspace.studio.prompts
    prompts.save("Fox")
    styles.toggle(MINE)
    prompts.use(prompts.history.entries()[0].value, "Use")
    assert chips(workspace) == ["Mine"]
    prompts.use(PromptText("plain"), "Use")
    assert chips(workspace) == []
    prompts.use(prompts.saved.entries()[0].value, "Use")
    assert chips(workspace) == ["Mine"]
    workspace.main_window.close()
    again, _ = open_workspace()
    assert chips(again) == ["Mine"] and again.prompt_panel.prompt.text() == "a fox"


# -- the sheet --------------------------------------------------------------------------------


@pytest.fixture
def sheet(workspace):
    workspace.prompt_panel.show_styles_sheet()
    made = workspace.prompt_panel.styles_sheet
    yield made
    if made._open:
        made._shown = None
        made.close()


def listed(sheet):
    return [sheet._model.index(row, 0).data() for row in range(sheet._model.rowCount())]


def test_a_style_is_made_renamed_and_edited_with_undo(workspace, sheet, styles):
    QTest.mouseClick(sheet.add, LEFT)
    assert sheet.name.text() == "New Style" and sheet.name.hasFocus()
    QTest.keyClicks(sheet.name, "Fog")
    sheet.prompt.setPlainText("{prompt} in fog")
    QTest.mouseClick(sheet.finish, LEFT)
    assert not sheet.isVisible()
    assert styles.find("fog") == PromptStyle("Fog", "{prompt} in fog")
    assert styles.find("New Style") is None
    styles.toggle(styles.find("Fog"))
    styles.keep(PromptStyle("Fog", "{prompt} in thick fog"), styles.find("Fog"))
    assert styles.on()[0].prompt == "{prompt} in thick fog", "a chip follows its style"
    workspace.studio.undo.undo()
    assert styles.on()[0].prompt == "{prompt} in fog"
    styles.delete("Fog")
    assert styles.find("Fog") is None
    assert chips(workspace) == ["Fog"], "what is in use is not taken away"
    for _ in range(4):  # the deletion, the chip, the name, the style
        workspace.studio.undo.undo()
    assert styles.find("Fog") is styles.find("New Style") is None and chips(workspace) == []


def test_a_name_that_is_taken_is_refused_where_it_is_typed(sheet, styles):
    QTest.mouseClick(sheet.add, LEFT)
    sheet.name.setText("ANIME")
    QTest.mouseClick(sheet.finish, LEFT)
    assert sheet.isVisible() and "already; choose another name" in sheet.problem.text()
    sheet.name.setText(" ")
    assert not sheet.commit() and "needs a name" in sheet.problem.text()
    sheet.name.setText("Anime of mine")
    QTest.mouseClick(sheet.finish, LEFT)
    assert not sheet.isVisible() and styles.find("Anime of mine") is not None


def test_everybodys_style_can_be_changed_and_comes_back(workspace, sheet, styles):
    row = listed(sheet).index("Anime")
    sheet.list.setCurrentIndex(sheet._model.index(row, 0))
    assert not sheet.delete.isEnabled()
    sheet.prompt.setPlainText("{prompt} as a cartoon")
    sheet.list.setCurrentIndex(sheet._model.index(0, 0))  # going on keeps it
    assert styles.find("Anime").prompt == "{prompt} as a cartoon"
    sheet.list.setCurrentIndex(sheet._model.index(row, 0))
    QTest.mouseClick(sheet.delete, LEFT)
    assert styles.find("Anime").prompt.startswith("anime illustration of")
    workspace.studio.undo.undo()
    assert sheet.prompt.toPlainText() == "{prompt} as a cartoon"


def drop(widget, path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier
    )
    widget.dropEvent(event)


def test_a_dropped_file_is_imported_as_one_step(workspace, sheet, styles, tmp_path, qtbot):
    path = tmp_path / "styles.csv"
    path.write_text('name,prompt,negative_prompt\nFog,"{prompt}, fog",sun\nanime,mine,\n')
    drop(sheet, path)
    qtbot.waitUntil(lambda: "1 new, 1 in place of older ones" in sheet.said.text())
    assert styles.find("Fog") == PromptStyle("Fog", "{prompt}, fog", "sun")
    assert styles.find("Anime") == PromptStyle("Anime", "mine") and "Fog" in listed(sheet)
    drop(sheet, path)
    qtbot.waitUntil(lambda: "all here already" in sheet.said.text())
    workspace.studio.undo.undo()
    assert styles.find("Fog") is None and "Fog" not in listed(sheet)
    (tmp_path / "bad.json").write_text("{")
    drop(sheet, tmp_path / "bad.json")
    qtbot.waitUntil(lambda: "“bad.json” is not JSON" in sheet.problem.text())


def test_a_file_dropped_on_the_window_is_imported_too(workspace, styles, tmp_path, qtbot):
    (tmp_path / "styles.csv").write_text("name,prompt\nFog,fog\n")
    workspace.open_path(str(tmp_path / "styles.csv"))
    qtbot.waitUntil(lambda: styles.find("Fog") is not None)
    (tmp_path / "bad.csv").write_text("nothing")
    with qtbot.waitSignal(workspace.studio.error_raised) as raised:
        workspace.open_path(str(tmp_path / "bad.csv"))
    assert "has no columns called name and prompt" in raised.args[0].message


def test_names_and_texts_of_strangers_are_only_text(workspace, styles):
    styles.toggle(PromptStyle("<b>x</b> & y", "<i>{prompt}</i>"))
    chip = workspace.prompt_panel.styles.chips()[0]
    assert chip.text() == "<b>x</b> && y" and "&lt;i&gt;" in chip.toolTip()
    workspace.prompt_panel.show_styles()
    workspace.prompt_panel.styles_popover.grab()


def test_a_waiting_request_is_edited_by_its_own_words(workspace, queue, styles):
    say(workspace, "a cat")
    workspace.generate()
    queue.run()
    say(workspace, "a fox")
    styles.toggle(MINE)
    workspace.generate()
    waiting = queue.last
    say(workspace, "something else")
    styles.toggle(MINE)
    desk = workspace.studio.jobs
    desk.edit(waiting.id)
    assert workspace.prompt_panel.prompt.text() == "a fox" and chips(workspace) == ["Mine"]
    say(workspace, "a hare")
    assert desk.save_edit()
    assert queue.last.request.prompt == "a hare by me"
    assert chips(workspace) == [] and workspace.prompt_panel.prompt.text() == "something else"
