"""Settings › Kept for speed: sizes, and clearing after a question."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox

from gui.library import caches
from gui.state.caches import CacheKind


def test_cleared_after_a_question(home, workspace, qtbot) -> None:
    model = caches.compiled_dir() / "a.mlmodelc"
    model.mkdir(parents=True)
    (model / "weight.bin").write_bytes(bytes(3_000_000))
    workspace.actions_.settings.trigger()
    section = workspace.window_desk.dialogs["settings"].storage
    kind = CacheKind.COMPILED
    qtbot.waitUntil(lambda: section.buttons[kind].isEnabled())
    assert "MB" in section.sizes[kind].text() and section.sizes[CacheKind.STEPS].text() == "None"
    assert not section.buttons[CacheKind.VARIANTS].isEnabled()
    section.buttons[kind].click()
    box = section.findChild(QMessageBox)
    assert model.exists() and "prepared anew" in box.informativeText()
    next(button for button in box.buttons() if button.text() == "Clear").click()
    qtbot.waitUntil(lambda: section.sizes[kind].text() == "None")
    assert not model.exists()
