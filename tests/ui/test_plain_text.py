"""Texts from outside are shown as they are, even where they look like HTML."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QLabel

from gui import words
from gui.state.hub.catalogue_rows import CatalogueRow
from gui.state.model_entry import ModelEntry
from gui.ui.convert.files import FileList
from gui.ui.widgets.controls import ElidedLabel
from gui.ui.widgets.questions import ask
from tests.support import fake_hub
from tests.support.pictures import picture
from tests.ui.test_generate import press_generate, type_prompt

HOSTILE = "<img src=x><b>fog</b> & <a href='x'>sun</a>"
TIP = Qt.ItemDataRole.ToolTipRole


def seen(tip: str) -> str:
    """What a tool tip shows: Qt takes one for rich text as this decides."""
    if not GuiQt.mightBeRichText(tip):
        return tip
    document = QTextDocument()
    document.setHtml(tip)
    return document.toPlainText()


@pytest.mark.parametrize("text", [HOSTILE, "a < b", "two\nlines", "&amp;", "plain"])
def test_a_tip_shows_every_character(qapp, text):
    assert seen(words.plain_tip(text)) == text
    assert words.plain_tip("") == ""


def test_tips_of_models(workspace):
    library = workspace.studio.models
    for entry, shown in (
        (ModelEntry(Path("/m") / HOSTILE.replace("/", "")), "/m/" + HOSTILE.replace("/", "")),
        (ModelEntry(Path("/m"), problem=f"The “{HOSTILE}” is missing."), HOSTILE),
    ):
        library._entries[0] = entry
        assert shown in seen(library.index(0).data(TIP))


def test_tips_of_search_results(workspace):
    catalogue = workspace.studio.hub.catalogue
    model = dataclasses.replace(fake_hub.summary("a/b"), id=f"a/{HOSTILE}")
    catalogue._rows = [CatalogueRow(model)]
    assert seen(catalogue.index(0).data(TIP)) == f"a/{HOSTILE}"
    catalogue._rows = [CatalogueRow(model, problem=f"“{HOSTILE}” cannot be read.")]
    assert HOSTILE in seen(catalogue.index(0).data(TIP))


def test_tips_of_pictures(workspace, queue, qtbot):
    type_prompt(workspace, HOSTILE)
    press_generate(workspace)
    queue.run()
    queue.picture(picture())
    pictures = workspace.studio.pictures
    qtbot.waitUntil(lambda: pictures.index(0).data(TIP) is not None)
    assert seen(pictures.index(0).data(TIP)).startswith(f"{HOSTILE}\nSeed ")


def test_tips_of_files(qapp):
    files = FileList("LoRA")
    files.add(f"/m/{HOSTILE.replace('/', '')}.safetensors")
    row = files.findChildren(ElidedLabel)[0]
    assert HOSTILE.replace("/", "") in seen(row.toolTip())


def test_questions(workspace, qtbot):
    box = ask(workspace, f"Delete “{HOSTILE}”?", f"{HOSTILE} will be lost.", "Delete", lambda: None)
    shown = {each.text(): each.textFormat() for each in box.findChildren(QLabel) if each.text()}
    assert f"{HOSTILE} will be lost." in shown
    assert set(shown.values()) == {Qt.TextFormat.PlainText}
    box.close()
