"""LoRAs and the picture's size in the prompt panel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from gui import paths, words
from gui.request import LoraUse, described_fields
from gui.ui.prompt.loras import LoraList
from gui.ui.prompt.size import SizeChoice, of_shape, snapped, usual_sizes
from gui.ui.widgets.choice import HELP_ROLE
from tests.support import hub_loras, hub_shelf


def until(done: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not done():
        QApplication.processEvents()
        time.sleep(0.005)
        assert time.monotonic() < end


@pytest.fixture
def panel(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    made = LoraList(described_fields()["loras"].parameter)
    qtbot.addWidget(made)
    made.edited.connect(made.set_value)
    made.resize(300, 200)
    made.show()
    yield made
    made.close_down()


def test_a_file_that_is_dropped_is_copied_and_used(panel: LoraList, tmp_path: Path) -> None:
    (tmp_path / "Ink & fog.safetensors").write_bytes(b"12345678")
    panel.take([str(tmp_path / "Ink & fog.safetensors")])
    until(lambda: panel.rows)
    assert panel.rows[0].name.whole_text() == "Ink & fog"
    assert (paths.loras_dir() / "Ink & fog.safetensors").read_bytes() == b"12345678"
    panel.take([str(tmp_path / "Ink & fog.safetensors")])
    until(lambda: len(panel.rows) == 2)
    assert panel.rows[1].name.whole_text() == "Ink & fog 2"


def test_weight_on_and_off_and_away(panel: LoraList) -> None:
    seen: list[Any] = []
    panel.edited.connect(seen.append)
    panel.set_value((LoraUse("a"), LoraUse("b", 0.5)))
    assert seen == []
    row = panel.rows[1]
    row.weight.setValue(0.8)
    assert seen[-1] == (LoraUse("a"), LoraUse("b", 0.8))
    panel.rows[0].on.click()
    assert seen[-1] == (LoraUse("a", on=False), LoraUse("b", 0.8))
    assert panel.rows[1] is row  # a change of a weight makes no new row under the person's hand
    panel.rows[0].remove.click()
    until(lambda: len(panel.rows) == 1)
    assert seen[-1] == (LoraUse("b", 0.8),)


def _with_notes(folder: Path, name: str, notes: dict[str, str], picture: bool = False) -> Path:
    """A LoRA's file for SD 1, with what it says of itself."""
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    head = hub_loras.header({f"{stem}.lora_down.weight": ("F16", [4, 768])}, notes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(head + bytes(4 * 768 * 2))
    if picture:
        path.with_name(f"{name}.preview.png").write_bytes(hub_shelf.picture(60, 40))
    return path


def test_the_library_is_searched_and_chosen_from(panel: LoraList) -> None:
    _with_notes(paths.loras_dir(), "Oil", {"modelspec.trigger_phrase": "in oil"})
    _with_notes(paths.loras_dir(), "Ink", {})
    panel.set_value((LoraUse("Ink"),))
    panel.add.click()
    until(lambda: panel.popover is not None and panel.popover.isVisible())
    popover = panel.popover
    assert popover is not None
    names = [popover.rows.index(k).data() for k in range(popover.rows.rowCount())]
    assert names == ["Ink", "Oil"]
    ink, _ = (popover.rows.index(k) for k in range(2))
    assert ink.data(Qt.ItemDataRole.AccessibleTextRole).startswith("Ink. SD 1 · ")
    popover.take(ink)  # it is in use
    assert len(panel.rows) == 1
    wanted: list[str] = []
    panel.words_wanted.connect(wanted.append)
    popover.search.setText("in OIL")
    assert [popover.rows.index(k).data() for k in range(popover.rows.rowCount())] == ["Oil"]
    popover.take(popover.rows.index(0))
    assert [row.name.whole_text() for row in panel.rows] == ["Ink", "Oil"]
    assert wanted == ["in oil"] and not popover.isVisible()
    popover.search.setText("nothing such")
    assert popover.empty.text() == "No LoRA has these words."


def test_a_row_shows_cover_family_size_and_words(panel: LoraList) -> None:
    notes = {"modelspec.trigger_phrase": "<b>in oil</b> & on canvas"}
    _with_notes(paths.loras_dir(), "Oil", notes, picture=True)
    panel.set_value((LoraUse("Oil"), LoraUse("Gone")))
    oil, gone = panel.rows
    until(lambda: oil.entry is not None and oil.cover.pixmap is not None)
    assert gone.cover.pixmap is None
    assert oil.facts.whole_text() == f"SD 1 · {words.size(oil.entry.bytes)}"  # type: ignore[union-attr]
    assert gone.facts.whole_text() == "Not in the library" and not gone.taught.isVisible()
    wanted: list[str] = []
    panel.words_wanted.connect(wanted.append)
    (chip,) = oil.chips()
    assert "&lt;b&gt;" in chip.toolTip()  # plain, whatever it says
    chip.click()
    assert wanted == ["<b>in oil</b> & on canvas"]


def test_the_text_encoder_may_have_a_weight_of_its_own(panel: LoraList) -> None:
    panel.set_value((LoraUse("a", 0.7),))
    (row,) = panel.rows
    assert row.text_weight.isHidden()
    own = row.menu().actions()[0]
    assert own.text() == "Own Weight for the Text Encoder" and not own.isChecked()
    own.trigger()
    assert row.use == LoraUse("a", 0.7, 0.7) and not row.text_weight.isHidden()
    row.text_weight.setValue(0.2)
    row.weight.setValue(0.9)
    assert row.use == LoraUse("a", 0.9, 0.2)
    # Off and on again, both are as they were.
    row.on.click()
    assert row.use == LoraUse("a", 0.9, 0.2, on=False) and not row.text_weight.isEnabled()
    row.on.click()
    assert row.use == LoraUse("a", 0.9, 0.2)
    row.menu().actions()[0].trigger()
    assert row.use == LoraUse("a", 0.9) and row.text_weight.isHidden()


def test_one_that_came_from_the_hub_is_used_by_its_folder(panel: LoraList) -> None:
    folder = paths.loras_dir() / "papercut"
    _with_notes(folder, "pytorch_lora_weights", {})
    panel.use_folder(str(folder))
    until(lambda: panel.rows)
    assert panel.rows[0].use == LoraUse("papercut")
    until(lambda: panel.rows[0].entry is not None)
    assert [a.text() for a in panel.rows[0].menu().actions() if a.text()] == [
        "Own Weight for the Text Encoder", "Show in Folder", "Move to Trash",
    ]  # fmt: skip


def test_usual_sizes_have_the_models_pixels() -> None:
    sizes = usual_sizes((512, 512))
    assert sizes[0] == ((512, 512), "The model’s own size")
    for (width, height), _ in sizes:
        assert width % 64 == height % 64 == 0
        assert 0.8 < width * height / 512**2 < 1.25
    assert ((448, 576), "3 : 4") in sizes
    assert snapped(5000) == 2048


def test_the_list_of_sizes(qtbot: Any) -> None:
    choice = SizeChoice()
    qtbot.addWidget(choice)
    chosen: list[Any] = []
    choice.sized.connect(lambda *size: chosen.append(size))
    choice.set_model((512, 768), "")
    choice.show_size((0, 0))
    assert choice.currentText() == "512 × 768"
    choice.show_size((640, 640))  # by the sides' own controls
    assert choice.currentText() == "640 × 640"
    assert chosen == []
    choice.setCurrentIndex(0)
    assert chosen == [(512, 768)]
    choice.set_model((512, 512), "Set by the model.")
    assert not choice.isEnabled()
    assert choice.toolTip() == "Set by the model."


def test_ratios_that_steps_of_64_pixels_miss_are_not_named() -> None:
    assert dict(usual_sizes((128, 128))) == {
        (128, 128): "The model’s own size",
        (192, 128): "3 : 2",
        (128, 192): "2 : 3",
    }
    assert of_shape((512, 512), (300, 450)) == (384, 576)
    assert of_shape((1024, 1024), (1920, 1080)) == (1344, 768)
    assert max(of_shape((2048, 2048), (10_000, 10))) <= 2048


def test_the_starting_pictures_shape(qtbot: Any) -> None:
    choice = SizeChoice()
    qtbot.addWidget(choice)
    choice.set_model((512, 512), "")
    choice.set_picture((1000, 1500))
    rows = {choice.itemData(row): choice.itemData(row, HELP_ROLE) for row in range(choice.count())}
    assert rows[(384, 576)] == "2 : 3, as the picture"
    choice.set_picture((1000, 1600))
    rows = {choice.itemData(row): choice.itemData(row, HELP_ROLE) for row in range(choice.count())}
    assert "As the picture" in rows.values()
    assert rows[(512, 512)] == "The model’s own size"
    choice.set_picture((0, 0))
    assert "picture" not in " ".join(
        str(choice.itemData(row, HELP_ROLE)) for row in range(choice.count())
    )


def test_a_lora_of_few_steps_proposes_them(workspace: Any) -> None:
    """What was chosen stays; what was left to the model follows the LoRA, and comes back."""
    panel, state = workspace.prompt_panel, workspace.studio.draft
    steps, guidance = (panel.controls[name].input for name in ("steps", "guidance_scale"))
    before = steps.value(), guidance.value(), panel.scheduler.itemText(1)
    state.set("loras", (LoraUse("lcm-lora-sdv1-5"),))
    assert (steps.value(), guidance.value()) == (4, 1.0)
    assert panel.scheduler.itemText(1) == "LCM – default"
    state.set("loras", (LoraUse("Hyper-SD15-8steps-lora", 0.8),))
    assert (steps.value(), guidance.value()) == (8, 1.0)
    assert panel.scheduler.itemText(1) == "DDIM – default"
    state.set("steps", 6)
    state.set("loras", (LoraUse("sdxl_lightning_4step_lora"),))
    assert (steps.value(), panel.scheduler.itemText(1)) == (6, "Euler – default")
    state.set("steps", None)
    state.set("loras", (LoraUse("lcm-lora-sdv1-5", on=False), LoraUse("lightning storm")))
    assert (steps.value(), guidance.value(), panel.scheduler.itemText(1)) == before
