"""The refiner's row: there for models that take one, with what there is to choose from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gui.coreml.inspect import inspect_model, load_sidecar
from gui.request import OWN_REFINER
from gui.state.model_entry import ModelEntry
from tests.support import converted


def entry_of(folder: Any) -> ModelEntry:
    info = inspect_model(folder)
    return ModelEntry(folder, info=info, sidecar=load_sidecar(info))


def test_refiners_are_offered_where_they_can_be_used(workspace: Any) -> None:
    panel = workspace.prompt_panel
    choice, switch = panel.controls["refiner"], panel.controls["refiner_switch_at"].row
    assert choice.row.isHidden() and switch.isHidden()
    base = entry_of(converted.xl().folder)
    refiner = entry_of(converted.converted("xl-refiner", "sdxl-refiner").folder)
    panel.set_model(base)
    assert choice.row.isHidden()  # nothing to choose from
    panel.set_refiners([base, refiner])
    assert not choice.row.isHidden() and switch.isHidden()
    assert [choice.input.itemText(n) for n in range(choice.input.count())] == ["None", refiner.name]
    choice.input.select_data(str(refiner.folder))
    assert panel.draft().request.refiner == str(refiner.folder)
    assert not switch.isHidden()
    assert base.info is not None and refiner.info is not None
    panel.set_model(replace(base, info=replace(base.info, components=refiner.info.components)))
    assert choice.input.findData(OWN_REFINER) == 1
    assert panel.draft().request.refiner == str(refiner.folder)
