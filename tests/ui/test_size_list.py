"""Sizes in the prompt panel: what each takes, and what comes out where pictures are enlarged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gui import words
from gui.hub.machine import this_machine
from gui.hub.variants.verdict import memory_of
from gui.library import step_times
from gui.request import Enlargement, PictureRecord, PictureRequest
from gui.ui.widgets.choice import HELP_ROLE


@pytest.fixture
def panel(workspace: Any) -> Any:
    return workspace.prompt_panel


def told(panel: Any) -> dict[Any, str]:
    choice = panel.size_choice
    return {choice.itemData(row): choice.itemData(row, HELP_ROLE) for row in range(choice.count())}


def test_every_size_says_what_it_takes(workspace: Any, panel: Any, qtbot: Any) -> None:
    entry = replace(workspace.studio.model, identity="0123456789")
    panel.set_model(entry)
    own = (entry.info.image_width, entry.info.image_height)
    before = told(panel)
    needed = words.memory(memory_of(entry.info, this_machine()))
    assert before[own] == f"The model’s own size · {needed} of memory"
    others = [text for size, text in before.items() if size != own]
    assert others and all("× the time · " in text for text in others)
    request = PictureRequest("a fox", "", steps=10, scheduler="Euler")
    record = PictureRecord(request, *own, "Starter", entry.identity, seconds=22.0)
    step_times.note(record, 2.0)
    workspace.studio.draft.set("steps", 30)
    workspace.studio.draft.set("scheduler", "Euler")
    with qtbot.waitSignal(panel.size_outlook.changed):
        panel.size_choice.opening.emit()
    assert told(panel)[own].startswith("The model’s own size · about 1 min 2 s · ")
    assert "× the time" not in " ".join(told(panel).values())


def test_what_comes_out_of_enlarging_is_said(workspace: Any, panel: Any) -> None:
    draft = workspace.studio.draft
    assert not panel.enlarged_size.isVisible()
    info = workspace.studio.model.info
    draft.set("enlargement", Enlargement.X4)
    assert panel.enlarged_size.isVisible()
    own = words.pixels(4 * info.image_width, 4 * info.image_height)
    assert panel.enlarged_size.text.text() == f"Enlarged to {own}"
    draft.set("width", 192)
    assert panel.enlarged_size.text.text() == f"Enlarged to 768 × {4 * info.image_height}"
    draft.set("enlargement", Enlargement.OFF)
    assert not panel.enlarged_size.isVisible()
