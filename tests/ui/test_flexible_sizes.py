"""The list of sizes and the sides' sliders offer what a model of several sizes draws."""

from __future__ import annotations

from typing import Any

from gui.picture_sizes import PictureSizes
from gui.request import described_fields
from gui.ui.prompt.size import SideRow, SizeChoice, of_shape
from gui.ui.widgets.choice import HELP_ROLE

LISTED = PictureSizes((512, 512), ((512, 512), (512, 768), (768, 512), (600, 512)))
RANGED = PictureSizes((512, 512), (), (384, 1024), (256, 640), 32)


def _side() -> SideRow:
    return SideRow(described_fields()["width"])


def test_a_list_is_offered_as_it_is(qtbot: Any) -> None:
    choice = SizeChoice()
    qtbot.addWidget(choice)
    choice.set_model((512, 512), "", LISTED)
    rows = {choice.itemData(row): choice.itemData(row, HELP_ROLE) for row in range(choice.count())}
    assert rows == {
        (512, 512): "The model’s own size", (512, 768): "2 : 3", (768, 512): "3 : 2",
        (600, 512): "",
    }  # fmt: skip
    choice.set_tell(lambda size: f"{size[0]} s")
    for _ in range(2):
        choice.tell_again()
        assert choice.itemData(choice.index_of((600, 512)), HELP_ROLE) == "600 s"
    choice.set_tell(lambda _size: "")
    choice.set_picture((1000, 1500))
    assert choice.itemData(choice.index_of((512, 768)), HELP_ROLE) == "2 : 3, as the picture"
    assert choice.count() == 4


def test_a_range_offers_the_usual_ratios_within_it(qtbot: Any) -> None:
    choice = SizeChoice()
    qtbot.addWidget(choice)
    choice.set_model((512, 512), "", RANGED)
    found = [choice.itemData(row) for row in range(choice.count())]
    assert len(found) > 3 and all(RANGED.allows(size) for size in found)
    assert of_shape((512, 512), (9, 16), RANGED)[1] <= 640


def test_sides_go_by_the_models_steps(qtbot: Any) -> None:
    row = _side()
    qtbot.addWidget(row)
    edited: list[object] = []
    row.edited.connect(edited.append)
    row.set_limits(RANGED.widths, RANGED.step)
    assert (row.slider.minimum(), row.slider.maximum()) == (384, 1024)
    row.spin.setValue(500)
    row.spin.setValue(100)
    assert edited == [512, 384]
    row.set_value(64)  # of a request for another model: shown as it is
    assert row.value() == 64 and edited == [512, 384]
    row.set_limits((64, 2048), reason="Choose one of the list.")
    assert not row.isEnabled() and row.spin.toolTip() == "Choose one of the list."
    row.set_limits((64, 2048))
    row.spin.setValue(100)
    assert row.isEnabled() and edited[-1] == 128
