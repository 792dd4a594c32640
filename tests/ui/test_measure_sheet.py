"""The table of compute units in the window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gui import words
from gui.library import unit_times
from gui.library.unit_times import PartTime
from gui.state import measuring
from gui.state.measuring import MeasuringStatus
from gui.ui.models.measure_sheet import MeasureSheet
from tests.measure.test_units import ALL, GPU, MAC, NE, crashed, measurement, times


@pytest.fixture
def sheet(workspace: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> MeasureSheet:
    """That of the model in use, which was measured on a Mac."""
    monkeypatch.setattr(measuring, "this_computer", lambda: MAC)
    monkeypatch.setattr(measuring, "runs_core_ml", lambda: True)
    identity = workspace.studio.model.identity or "0123456789"
    model = workspace.studio.model
    monkeypatch.setattr(type(model), "usable", property(lambda _self: True))
    part = PartTime("unet", 90.0, 0.5, 4, {"neural_engine": 0.98, "cpu": 0.02})
    slow = replace(times(NE, 0.5, start=95), parts=(part,))
    kept = measurement(slow, times(GPU, 0.25), crashed(ALL))
    unit_times.keep(replace(kept, model_hash=identity))
    found = workspace.measuring_desk.show(replace(model, identity=identity))
    qtbot.waitUntil(lambda: len(found.cards) == 3)
    return found


def test_the_table_says_how_fast_each_unit_is_and_which_is_used(sheet: MeasureSheet) -> None:
    told = [(card.row.name, card.speed.text()) for card in sheet.cards]
    assert told == [
        ("GPU", "4.0 it/s"), ("Neural Engine", "2.0 it/s"), ("All processors", "Not usable"),
    ]  # fmt: skip
    assert "In use" in sheet.cards[0].accessibleName()
    assert "UNet: 98% Neural Engine, 2% CPU" in sheet.cards[1].accessibleName()
    assert "First start 1 min 35 s" in sheet.cards[1].accessibleName()
    assert "not tried again" in sheet.cards[2].accessibleName()
    assert sheet.text.text() == "Automatic uses: GPU."
    assert sheet.measure.text() == "Measure Again"


def test_a_persons_own_choice_is_said_to_win(sheet: MeasureSheet, workspace: Any) -> None:
    workspace.studio.draft.set("compute_unit", NE)
    mine = workspace.measuring_desk.show(sheet._entry)
    mine._show(sheet._known)
    assert mine.text.text() == (
        "You have chosen Neural Engine for pictures, so that is used whatever is quickest."
    )


def test_progress_and_stop(sheet: MeasureSheet, workspace: Any) -> None:
    made = workspace.studio.measuring
    folder = sheet._entry.request_folder
    made.status = MeasuringStatus(
        folder, "Dreams", False, "Neural Engine", 1, 3, "loading UNet", words.PREPARING
    )
    made.changed.emit()
    assert sheet.what.accessibleName() == "Neural Engine · loading UNet"
    assert (sheet.bar.value(), sheet.bar.maximum()) == (1, 3)
    assert sheet.hint.text() == words.PREPARING
    assert not sheet.measure.isVisible()
    sheet.stop.click()
    assert made.status.stopping
    assert sheet.what.accessibleName() == "stopping…"
    made.status = None
    made.changed.emit()
    assert sheet.measure.isEnabled()


def test_while_a_picture_is_made_it_cannot_be_measured(
    sheet: MeasureSheet, workspace: Any, queue: Any
) -> None:
    workspace.studio.draft.set("prompt", "fog")
    workspace.generate()
    sheet._show_status()
    assert not sheet.measure.isEnabled()
    assert sheet.text.text().startswith("A picture is being made")
    assert len(sheet.cards) == 3


def test_menu_and_card_offer_it(workspace: Any, sheet: MeasureSheet) -> None:
    offered = [text for text, _ in workspace.models_desk.library.of(sheet._entry)]
    assert "Measure This Model…" in offered
    menu = next(m for m in workspace.actions_.menus if workspace.actions_.measure in m.actions())
    assert menu.title() == "&File"


def test_every_card_is_seen_whole(sheet: MeasureSheet, qtbot: Any) -> None:
    """A card that is cut off where scroll bars hide looks as if that were all of it."""
    found = sheet._known
    assert found is not None
    sheet._show(replace(found, units=found.units * 2))
    qtbot.waitUntil(lambda: sheet.list_area.verticalScrollBar().maximum() == 0)
    last = sheet.cards[-1]
    assert last.height() >= last.heightForWidth(last.width())
