"""Sizes in the prompt panel: what each takes, and what comes out where pictures are enlarged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gui import words
from gui.coreml.sidecar import ModelCard
from gui.hub.machine import this_machine
from gui.hub.variants.verdict import memory_of
from gui.library import step_times
from gui.request import Enlargement, LoraUse, PictureRecord, PictureRequest
from gui.state import describe
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


def test_a_lora_on_a_model_of_unknown_source_is_remarked_on(workspace: Any, panel: Any) -> None:
    """Once, where it is chosen; not where the model says what it was made from."""
    entry = workspace.studio.model
    assert entry.sidecar is not None
    unknown = replace(entry.sidecar, source_repo="", extra={}, card=ModelCard())
    panel.set_model(replace(entry, sidecar=unknown))
    assert not panel.lora_note.isVisible()
    workspace.studio.draft.set("loras", (LoraUse("Ink"),))
    assert panel.lora_note.isVisible()
    assert panel.lora_note.text() == words.UNKNOWN_SOURCE
    panel.set_model(replace(entry, sidecar=replace(unknown, source_repo="acme/tiny")))
    assert not panel.lora_note.isVisible()
    rows = dict(describe.model_rows(entry.info, unknown, home="A folder that you added"))
    assert rows["From"] == f"A folder that you added. {words.UNKNOWN_SOURCE}"
