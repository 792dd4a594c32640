"""After a crash the next window says so, and shows the report."""

from __future__ import annotations

import signal
import subprocess
import sys

from gui.process import crashes


def crash() -> None:
    code = "import os; from gui.process.crashes import Watch; w = Watch('window'); os.abort()"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == -signal.SIGABRT


def test_the_next_start_says_so(home, open_workspace, qtbot) -> None:
    crash()
    workspace, _ = open_workspace()
    banner = workspace.canvas.banner
    qtbot.waitUntil(lambda: banner.offer_button.isVisible())
    assert "stopped unexpectedly last time" in banner.statement.text()
    assert not banner._timer.isActive(), "it stays until it is dismissed"
    banner.offer_button.click()
    sheet = workspace.reports_desk.sheet
    qtbot.waitUntil(lambda: "Aborted" in sheet.text.toPlainText())
    assert sheet.choice.count() == 1 and ", window" in sheet.choice.currentText()
    assert not banner.isVisible()


def test_nothing_is_said_where_all_is_well(workspace, qtbot) -> None:
    assert not workspace.canvas.banner.isVisible()
    workspace.actions_.reports.trigger()
    qtbot.waitUntil(
        lambda: (
            workspace.reports_desk.sheet is not None and workspace.reports_desk.sheet.isVisible()
        )
    )
    sheet = workspace.reports_desk.sheet
    assert "There are none" in sheet.text.toPlainText() and not sheet.copy.isEnabled()


def test_several_the_newest_first(home, workspace, qtbot) -> None:
    for number in range(3):
        crashes.keep("The engine", -signal.SIGSEGV, f"crash {number}")
    workspace.actions_.reports.trigger()
    qtbot.waitUntil(lambda: workspace.reports_desk.sheet is not None)
    sheet = workspace.reports_desk.sheet
    qtbot.waitUntil(lambda: "crash 2" in sheet.text.toPlainText())
    sheet.choice.setCurrentIndex(2)
    qtbot.waitUntil(lambda: "crash 0" in sheet.text.toPlainText())
