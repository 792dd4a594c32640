"""LoRAs and the picture's size in the prompt panel."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from gui import paths
from gui.request import LoraUse, described_fields
from gui.ui.prompt.loras import LoraList
from gui.ui.prompt.size import SizeChoice, of_shape, snapped, usual_sizes
from gui.ui.widgets.choice import HELP_ROLE


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


def test_the_menu_lists_the_library(panel: LoraList) -> None:
    folder = paths.loras_dir()
    folder.mkdir(parents=True)
    shutil.copyfile(__file__, folder / "Oil.safetensors")
    panel.set_value((LoraUse("Oil"),))
    panel.library.refresh()
    until(lambda: panel.library.entries)
    first = panel.make_menu().actions()[0]
    assert first.text().startswith("Oil\t")
    assert not first.isEnabled()  # it is in use
    panel.set_value(())
    panel.make_menu().actions()[0].trigger()
    assert panel.rows[0].name.whole_text() == "Oil"


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
