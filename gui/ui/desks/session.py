"""The last session: columns, panels, prompt and pictures, kept and brought back."""

from __future__ import annotations

import logging
from typing import Any

from PySide6.QtCore import QByteArray, QObject
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QSplitter

from gui import words
from gui.request import ComputeUnit
from gui.state.draft import Draft
from gui.ui.desks.middle import MiddleDesk
from gui.ui.desks.parts import Parts
from gui.ui.pictures.place import PlaceKeeper

log = logging.getLogger(__name__)


class SessionKeeper(QObject):
    """Keeps what the person will find again at the next start.

    Args:
        columns: the window's three columns.
        middle: has the gallery.
    """

    def __init__(self, parts: Parts, columns: QSplitter, middle: MiddleDesk) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio
        self._prompt = parts.prompt
        self._columns = columns
        a = parts.actions
        self._toggles: list[QAction] = [a.models, a.options, a.details]
        self._place = PlaceKeeper(
            parts.studio,
            parts.canvas,
            parts.filmstrip,
            lambda: middle.gallery,
            middle.show_gallery,
        )
        parts.studio.draft.settled.connect(self.save_draft)

    def restore(self) -> None:
        """Bring back the last session, each piece on its own: nothing that was kept on the disk may
        stop the window from being furnished."""
        lost: list[str] = []
        for name, piece in (
            ("the columns", self._restore_columns),
            ("the panels that were open", self._restore_toggles),
            ("the prompt and its options", self._restore_draft),
            ("the pictures that were looked at", self._place.restore),
        ):
            try:
                piece()
            except Exception:
                log.exception("%s could not be restored", name)
                lost.append(name)
        if lost:
            what, settings = words.listed(lost), self._studio.settings
            sentence = f"{words.capital(what)} could not be restored and are as at the first start."
            settings.notice = f"{settings.notice} {sentence}".strip()

    def _restore_columns(self) -> None:
        if (columns := self._studio.settings.layout("columns")) is not None:
            self._columns.restoreState(columns)

    def _restore_toggles(self) -> None:
        shown = self._studio.settings.layout("shown")
        flags = bytes(shown.data()).decode("ascii", "replace") if shown is not None else ""
        if len(flags) != len(self._toggles) or set(flags) - {"0", "1"}:
            flags = "110"
        for action, flag in zip(self._toggles, flags, strict=False):
            action.setChecked(flag == "1")

    def _restore_draft(self) -> None:
        settings = self._studio.settings
        saved: dict[str, Any] = settings.draft
        draft = Draft.from_json(saved)
        if not saved:
            draft = draft.with_value("compute_unit", ComputeUnit(settings.compute_unit))
            draft = draft.with_value("safety_checker", settings.safety_checker)
        self._studio.draft.put(draft)
        self._prompt.forget_edits()

    def save(self) -> None:
        """Keep columns, panels, draft and place."""
        settings = self._studio.settings
        settings.save_layout("columns", self._columns.saveState())
        flags = "".join("1" if toggle.isChecked() else "0" for toggle in self._toggles)
        settings.save_layout("shown", QByteArray(flags.encode()))
        self.save_draft()

    def save_draft(self) -> None:
        """Keep the draft and the place."""
        draft = self._studio.jobs.kept_draft or self._studio.draft.draft
        self._studio.settings.draft = draft.to_json()
        self._place.save()
