"""The app as a bundle, in the real window: the line about its place, and its command."""

from __future__ import annotations

from pathlib import Path

import pytest

from gui.mac import place
from gui.state.bundle import Bundle
from gui.ui.desks.bundle import BundleDesk
from gui.ui.settings.dialog import SettingsDialog


@pytest.fixture
def app(tmp_path: Path) -> Path:
    program = tmp_path / "AppTranslocation" / "d" / "Sfumato.app" / "Contents" / "MacOS" / "Sfumato"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    return program.parents[2]


def test_a_calm_line_and_a_move(workspace, app, tmp_path, qtbot, monkeypatch) -> None:
    moved: list[Path] = []
    monkeypatch.setattr(place, "move", lambda app, folder: moved.append(folder) or folder)
    studio = workspace.studio
    studio.bundle = Bundle(studio, app)
    studio.bundle.applications = tmp_path / "Applications"
    desk = BundleDesk(workspace.parts)
    banner = workspace.canvas.banner
    studio.bundle.start()
    qtbot.waitUntil(lambda: banner.offer_button.isVisible())
    assert "until it is moved to Applications" in banner.statement.text()
    with qtbot.waitSignal(studio.bundle.moved):
        banner.offer_button.click()
    assert moved == [tmp_path / "Applications"] and not workspace.main_window.isVisible()
    assert desk.parent() is workspace


def test_nothing_is_said_of_a_checkout(workspace, qtbot) -> None:
    assert workspace.studio.bundle.app is None
    workspace.actions_.settings.trigger()
    assert workspace.window_desk.dialogs["settings"].command is None


def test_the_command_is_installed_and_removed(workspace, app, tmp_path, qtbot) -> None:
    bundle = Bundle(workspace.studio, app)
    bundle.commands = tmp_path / "bin"
    bundle.commands.mkdir()
    dialog = SettingsDialog(workspace.studio.settings, workspace, bundle=bundle)
    dialog.show()
    section = dialog.command
    assert section is not None
    qtbot.waitUntil(section.button.isEnabled)
    assert "not known" in section.state.toolTip() + section.state.accessibleName()
    section.button.click()
    qtbot.waitUntil(lambda: section.button.text() == "Remove…" and section.button.isEnabled())
    assert (bundle.commands / "sfumato").exists()
    section.button.click()
    qtbot.waitUntil(lambda: section.button.text() == "Install…" and section.button.isEnabled())
    assert not (bundle.commands / "sfumato").exists()
    bundle.close()
    dialog.close()
