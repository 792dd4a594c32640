"""Help for tests of the Hub in the window: models of the Hub, and how they look once installed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QScrollBar, QWidget
from pytestqt.qtbot import QtBot

from gui import paths
from gui.coreml.sidecar import Sidecar
from gui.hub.types import ModelSummary
from gui.state.model_entry import ModelEntry
from tests.support import fake_hub

LEFT = Qt.MouseButton.LeftButton


def some_models(number: int = 75) -> list[ModelSummary]:
    """So many results by three makers, the best liked first."""
    makers = ("apple", "coreml-community", "somebody")
    return [
        fake_hub.summary(f"{makers[k % 3]}/coreml-model-{k}", likes=1000 - k, downloads=10 * k)
        for k in range(number)
    ]


def install(repo: str, variant: str, revision: str = "a" * 40) -> Path:
    """Put a model folder where a download puts it; returns the folder."""
    folder = paths.models_dir() / repo.replace("/", "--") / variant.replace("/", "--")
    (folder / "unet.mlpackage").mkdir(parents=True)
    (folder / "unet.mlpackage" / "weight.bin").write_bytes(b"weights")
    (folder / "from").write_text(f"{repo}\n{variant}\n{revision}")
    return folder


def reading_from_the_hub(read: Callable[[ModelEntry], ModelEntry]) -> Callable[..., ModelEntry]:
    """`read_entry` for models made by `install`: their sidecar names the source."""

    def read_entry(entry: ModelEntry, _reader: object = None) -> ModelEntry:
        found = read(entry)
        note = entry.folder / "from"
        if not note.is_file():
            return found
        repo, variant, revision = note.read_text().split("\n")
        extra: dict[str, Any] = {"hub": {"variant": variant, "title": variant}}
        old = found.sidecar
        assert old is not None
        sidecar = Sidecar(
            old.family,
            default_steps=30,
            name=repo.partition("/")[2],
            source_repo=repo,
            source_revision=revision,
            extra=extra,
        )
        return dataclasses.replace(found, sidecar=sidecar)

    return read_entry


def click(widget: Any) -> None:
    assert widget.isVisible() and widget.isEnabled(), widget.text()
    QTest.mouseClick(widget, LEFT)


def answer_question(window: QWidget, text: str) -> str:
    """Press a button of the question over a window; what was asked."""
    [box] = [b for b in window.findChildren(QMessageBox) if b.isVisible()]
    button = next(b for b in box.buttons() if b.text().replace("&", "") == text)
    asked = f"{box.text()} {box.informativeText()}"
    click(button)
    return asked


def click_row(view: Any, row: int) -> None:
    """Click the middle of a row of a list."""
    QTest.qWaitForWindowExposed(view.window())
    view.scrollTo(view.model().index(row, 0))
    rect = view.visualRect(view.model().index(row, 0))
    QTest.mouseClick(view.viewport(), LEFT, pos=QPoint(rect.center()))


def ids(panel: Any) -> list[str]:
    """The repositories on show, in order."""
    model = panel.catalogue
    return [
        model.index(k).data(Qt.ItemDataRole.UserRole).summary.id for k in range(model.rowCount())
    ]


def shown_sheet(workspace: Any) -> Any:
    return workspace.models_desk.sheet


def open_sheet(workspace: Any, panel: Any, qtbot: QtBot, row: int = 0) -> Any:
    """Click a card; its sheet, once there is something to choose from."""
    click_row(panel.list, row)
    sheet = workspace.models_desk.sheet
    qtbot.waitUntil(lambda: sheet.isActiveWindow() and sheet.chosen is not None)
    return sheet


def focusable(root: QWidget) -> list[QWidget]:
    """Everything that Tab reaches."""
    return [
        w
        for w in root.findChildren(QWidget)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not isinstance(w, QScrollBar)
        and w.objectName() not in ("qt_scrollarea_viewport", "qt_spinbox_lineedit")
        and w.isVisibleTo(root)
    ]


def nameless(root: QWidget) -> list[str]:
    """Controls that say nothing to assistive programs."""
    named = [w for w in focusable(root) if not (w.accessibleName() or getattr(w, "text", str)())]
    return [f"{type(w).__name__} in {type(w.parent()).__name__}" for w in named]
