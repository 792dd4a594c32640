"""What the prompt panel holds: a picture request in the making.

A draft is a `PictureRequest` and one thing more: whether its seed is kept.  What is None is the
model's to decide, so that switching models moves only what was never touched.  Controls are bound
to its fields by name (`gui.ui.prompt.controls`); nothing here knows which fields there are.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

from PySide6.QtCore import QObject, QTimer, Signal

from gui import records
from gui.alternatives import alternatives, literal, plain
from gui.library.loras import without_any
from gui.records import Mode, Record, RecordError
from gui.request import (
    MAX_SEED,
    PictureRequest,
    Precision,
    described_fields,
    new_request,
    value_of,
    with_value,
)
from gui.start_image import StartImage
from gui.state.undo import UndoStack
from gui.styles import styled, unstyled

SAVE_PAUSE_MS = 400
"""After the last change, before the draft is saved."""
SEED = "seed"
BRANCH = "branch"
CONTROLS = "controls"
_STEPS = {"styles": "Change Styles", "loras": "Change LoRAs"}
"""Fields whose every change is a step to undo: what a click takes away here may be nowhere else."""


def random_seed() -> int:
    """A fresh seed from the system's randomness, anywhere in 0 … 2**32 - 1."""
    return random.SystemRandom().randint(0, MAX_SEED)


_BLANK = new_request(start_image=StartImage(""))


@dataclass(frozen=True)
class Draft(Record):
    """The prompt panel's contents.  Immutable."""

    request: PictureRequest = _BLANK
    """Its model and folder are filled in when it is sent, and only then are its styles put around
    the prompts.  Its starting picture is never None: an
    empty path stands for none, and keeps the strength."""
    seed_locked: bool = False
    """Whether the seed is the person's; else a fresh one is drawn for every run, and the request
    has the last one that was used."""

    def value(self, name: str) -> Any:
        """A field's value by its name in `described_fields`; of the seed, None while it is not
        locked."""
        if name == SEED and not self.seed_locked:
            return None
        return value_of(self.request, name)

    def with_value(self, name: str, value: object) -> Draft:
        """With one field changed; a seed locks itself, None unlocks it."""
        if name == SEED:
            locked = replace(self, seed_locked=value is not None)
            return locked if value is None else replace(locked, request=_with(self, SEED, value))
        return replace(self, request=_with(self, name, value))

    def without_choices(self) -> Draft:
        """With everything the model can decide left to it."""
        draft = self
        for name, field in described_fields().items():
            if field.parameter.model_decides:
                draft = draft.with_value(name, None)
        return draft

    def for_plain_model(self) -> Draft:
        """Without what changes the model's files: LoRAs, and a size that is not its own."""
        request = replace(without_any(self.request), width=None, height=None)
        return replace(self, request=request)

    def request_for(
        self,
        model: str,
        *,
        output_dir: str = "",
        previews: bool = True,
        keep_previews: bool = False,
        reduce_memory: bool = False,
        precision: Precision = Precision.FP32,
    ) -> PictureRequest:
        """The request this draft stands for, with a variation seed drawn where none is kept; one
        with alternatives stands for several, which `requests_for` makes.

        Args:
            model: folder of the model; empty for the starter model.

        Raises:
            SfumatoError: BAD_REQUEST where a value is out of range.
        """
        start = self.request.start_image
        prompt, negative = styled(
            plain(self.request.prompt.strip()),
            plain(self.request.negative_prompt.strip()),
            self.request.styles,
        )
        request = replace(
            self.request,
            prompt=prompt,
            negative_prompt=negative,
            variation_seed=self._variation_seed(),
            model=model,
            start_image=start if start is not None and start.path else None,
            output_dir=output_dir,
            output_file="",
            previews=previews,
            keep_previews=keep_previews,
            reduce_memory=reduce_memory,
            precision=precision,
            grid=None,
        )
        request.validate()
        return request

    def requests_for(self, model: str, **how: Any) -> list[PictureRequest]:
        """A request for each combination of the alternatives (``{a|b}``) in prompt and negative
        prompt, with the same seed.

        Args:
            model, how: as `request_for`.

        Raises:
            SfumatoError: BAD_REQUEST where a value is out of range, or they are too many.
        """
        request = self.with_variation_seed().request
        texts = product(alternatives(request.prompt), alternatives(request.negative_prompt))
        return [
            replace(
                self, request=replace(request, prompt=prompt, negative_prompt=negative)
            ).request_for(model, **how)
            for prompt, negative in texts
        ]

    def with_variation_seed(self) -> Draft:
        """With a variation seed drawn where none is kept, so that several requests have one."""
        if self.request.variation_seed is not None:
            return self
        return self.with_value("variation_seed", random_seed())

    def _variation_seed(self) -> int | None:
        request = self.with_variation_seed().request
        return request.variation_seed if request.variation_strength > 0 else None

    def of_model(self, folder: str) -> Draft:
        """With what it branches from made by the model in this folder."""
        branch = self.request.branch
        if branch is None:
            return self
        branch = replace(branch, earlier=branch.earlier.with_all(model=folder))
        return replace(self, request=replace(self.request, branch=branch))

    @classmethod
    def from_request(cls, request: PictureRequest) -> Draft:
        """The settings of a finished picture, seed locked so that the same picture comes again."""
        return cls.of_job(replace(request, count=1))

    @classmethod
    def of_job(cls, request: PictureRequest) -> Draft:
        """The draft that stands for a request, seed locked.

        Where its prompt has its styles around it the person's own words stand alone again; where
        it was changed since, it stays whole and has no styles.
        """
        start = request.start_image or StartImage("")
        own = unstyled(request.prompt, request.negative_prompt, request.styles)
        prompt, negative = own or (request.prompt, request.negative_prompt)
        request = replace(
            request,
            prompt=literal(prompt),
            negative_prompt=literal(negative),
            grid=None,
            styles=request.styles if own else (),
            model="",
            output_dir="",
            output_file="",
            start_image=start,
        )
        return cls(request, seed_locked=True)

    @classmethod
    def from_json(cls, data: Any) -> Draft:
        """Read a saved draft; anything unknown, mistyped or out of range falls back to default."""
        if not isinstance(data, dict):
            return cls()
        saved = cast("dict[str, Any]", data)
        if "request" not in saved:
            saved = _of_version_1(saved)
        inner: Any = saved["request"]
        texts = {"prompt": "", "model": ""}
        if isinstance(inner, dict):
            given = cast("dict[str, Any]", inner)
            texts |= {name: given[name] for name in texts if isinstance(given.get(name), str)}
            # one that was saved before words could be weighed goes on as a new one
            inner = {"prompt_syntax": _BLANK.prompt_syntax, **given, **texts}
        try:
            draft = records.from_plain(cls, {**saved, "request": inner}, Mode.SALVAGE)
        except RecordError:
            return cls()
        start = draft.request.start_image or StartImage("")
        return replace(draft, request=replace(draft.request, start_image=start))


def _with(draft: Draft, name: str, value: object) -> PictureRequest:
    return with_value(draft.request, name, value)


def _of_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """A draft as it was saved before it held a request: one flat object."""
    request = {k: v for k, v in data.items() if k not in ("start_image", "strength", "seed_locked")}
    start = {"path": data.get("start_image", ""), "strength": data.get("strength", 0.6)}
    return {
        "request": {**request, "start_image": start},
        "seed_locked": data.get("seed_locked", False),
    }


class DraftState(QObject):
    """The draft that the window edits.

    Args:
        undo: gets a step where a draft is replaced as a whole.
    """

    changed = Signal(str)
    """The name of a field that has another value now."""
    settled = Signal()
    """Some time after the last change, to be saved."""

    def __init__(self, undo: UndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._undo = undo
        self._draft = Draft()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_PAUSE_MS)
        self._timer.timeout.connect(self.settled)

    @property
    def draft(self) -> Draft:
        return self._draft

    def value(self, name: str) -> Any:
        return self._draft.value(name)

    def set(self, name: str, value: object) -> None:
        """Change one field."""
        draft = self._draft.with_value(name, value)
        if name in _STEPS:
            self.replace(draft, _STEPS[name])
        else:
            self.put(draft)

    def put(self, draft: Draft) -> None:
        """Take a whole draft, without a step to undo."""
        before, self._draft = self._draft, draft
        for name in described_fields():
            if before.value(name) != draft.value(name) or (
                name == SEED and before.request.seed != draft.request.seed
            ):
                self.changed.emit(name)
        for name in (BRANCH, CONTROLS):
            if before.value(name) != draft.value(name):
                self.changed.emit(name)
        if before != draft:
            self._timer.start()

    def replace(self, draft: Draft, what: str, run: object = None) -> None:
        """Take a whole draft in place of what the person had set.

        Args:
            what: what this is called after “Undo”: ``Use Settings``.
            run: steps of one run that follow each other are undone together.
        """
        before = self._draft
        if draft != before:
            self.put(draft)
            self._undo.did(what, lambda: self.put(before), lambda: self.put(draft), run)
