"""Counting tokens beside the window's thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gui.pipeline.tokens import count_tokens
from gui.state.tokens import TokenCounter
from tests.support.patience import PatientBot

_DELETED_MEANWHILE = """
import sys, time
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThreadPool
from gui.state import tokens

app = QCoreApplication([])
sys.setswitchinterval(1e-6)
for k in range(400):
    field = QObject()
    counter = tokens.TokenCounter(field)
    for _ in range(40):
        counter.set_text("apple")
        counter._start()
    time.sleep(0.001 * (k % 5))
    field.deleteLater()
    app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
QThreadPool.globalInstance().waitForDone()
app.processEvents()
print("alive")
"""


def test_the_newest_text_is_counted(qtbot: PatientBot) -> None:
    counter = TokenCounter()
    counts = []
    counter.counted.connect(counts.append)
    for text in ("a", "a red", "a red apple"):
        counter.set_text(text)
    qtbot.waitUntil(lambda: bool(counts))
    assert counts == [count_tokens("a red apple")]


def test_a_field_may_go_while_its_text_is_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", _DELETED_MEANWHILE],
        capture_output=True, text=True, timeout=200, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
