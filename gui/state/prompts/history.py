"""Stepping through earlier prompts, as a shell does."""

from __future__ import annotations

from dataclasses import dataclass

from gui.state.draft import Draft, DraftState
from gui.state.prompts.shelf import Shelf
from gui.state.prompts.types import PromptText

STEP = "Earlier Prompt"
"""What a walk is called after “Undo”."""


@dataclass
class _Walk:
    start: Draft
    """What was typed before it began."""
    texts: list[PromptText]
    """Where it leads, newest first."""
    now: Draft
    at: int = -1
    """Place in `texts`; -1: the start."""


class HistoryWalk:
    """A walk begins with what is typed, to which it can come back; all of it is one step to undo.

    Args:
        draft: what is typed now.
        history: what was asked for.
    """

    def __init__(self, draft: DraftState, history: Shelf[PromptText]) -> None:
        self._draft = draft
        self._history = history
        self._walk: _Walk | None = None

    def step(self, by: int) -> bool:
        """Go to the prompt before (1) or after (-1) the one that is shown.

        Returns:
            Whether there was one.
        """
        walk = self._walk
        if walk is None or walk.now != self._draft.draft:
            walk = self._walk = self._begin()
        at = walk.at + by
        if not -1 <= at < len(walk.texts):
            return False
        walk.at = at
        walk.now = walk.start if at < 0 else walk.texts[at].put_into(walk.start)
        self._draft.replace(walk.now, STEP, walk)
        return True

    def _begin(self) -> _Walk:
        draft = self._draft.draft
        here = PromptText.of(draft)
        texts = [entry.value for entry in self._history.entries()]
        return _Walk(draft, [text for text in texts if text != here], draft)
