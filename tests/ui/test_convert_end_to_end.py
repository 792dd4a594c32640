"""A checkpoint becomes a picture: sheet, converter, library and engine, all of them real."""

from __future__ import annotations

import shutil
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from gui import paths
from gui.state import models
from gui.state.convert.state import ConvertPhase
from tests.support.tiny_checkpoints import kept_single
from tests.ui.test_end_to_end import offscreen_run

read_entry = models.read_entry  # before the window's fixtures put a stand-in in its place


def test_a_checkpoint_becomes_a_picture(workspace, home, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr(models, "read_entry", read_entry)
    checkpoint = Path(shutil.copy(kept_single("sd1"), home / "tiny dreams.safetensors"))
    workspace.open_path(str(checkpoint))
    qtbot.waitUntil(lambda: workspace.convert_desk.sheet is not None)
    sheet = workspace.convert_desk.sheet
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=60_000)
    assert "Stable Diffusion 1" in sheet.source.facts.text()
    sheet.options.sizes.other.setText("64x64")
    for chip in sheet.options.sizes.findChildren(type(sheet.convert_button)):
        chip.setChecked(False)
    qtbot.waitUntil(sheet.convert_button.isEnabled, timeout=60_000)
    QTest.mouseClick(sheet.convert_button, Qt.MouseButton.LeftButton)
    over = (ConvertPhase.DONE, ConvertPhase.FAILED)
    qtbot.waitUntil(lambda: sheet.state.status.phase in over, timeout=300_000)
    status = sheet.state.status
    assert status.error is None, f"{status.error} {status.error and status.error.detail}"
    said = [line.what.text() for line in sheet.progress.lines]
    assert len(said) == 4 and all("matches the original" in text for text in said), said

    QTest.mouseClick(sheet.use_button, Qt.MouseButton.LeftButton)
    folder = paths.models_dir() / "tiny dreams"
    qtbot.waitUntil(lambda: workspace.studio.model.folder == folder)
    model = workspace.studio.model
    assert model.usable and model.name == "tiny dreams" and model.has_encoder
    assert "64 × 64" in model.subtitle() and "Split einsum" in model.facts()

    done = offscreen_run("a red apple", "--model", str(folder), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    (picture,) = (tmp_path / "out").glob("*a-red-apple*.png")
    image = QImage(str(picture))
    assert (image.width(), image.height()) == (64, 64)
