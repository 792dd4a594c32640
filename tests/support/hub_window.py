"""Help for tests of the Hub in the window: models of the Hub, and how they look once installed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from gui import paths
from gui.coreml.sidecar import Sidecar
from gui.hub.types import ModelSummary
from gui.state.models import ModelEntry
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

    def read_entry(entry: ModelEntry) -> ModelEntry:
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


def click_row(view: Any, row: int) -> None:
    """Click the middle of a row of a list."""
    rect = view.visualRect(view.model().index(row))
    QTest.mouseClick(view.viewport(), LEFT, pos=QPoint(rect.center()))
