"""What the draft asks for, with the model in use and by the person's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gui.errors import ErrorKind, SfumatoError, unusable
from gui.request import PictureRequest, Precision
from gui.state.draft import Draft, DraftState, random_seed
from gui.state.model_entry import ModelEntry
from gui.state.models import ModelLibrary
from gui.state.queue.grids import GridPlan, Side, plan_grid

if TYPE_CHECKING:
    from gui.state.settings import Settings

_OF_KINDS = {"image_guidance_scale": ("instruct", None), "depth_map": ("depth", "")}
"""Fields with the kind of UNet that has a use for them, and what they are where there is none."""


def suited(draft: Draft, entry: ModelEntry) -> Draft:
    """The draft without what the panel does not show for this model."""
    kind = entry.info.unet_kind if entry.info is not None else ""
    for name, (needed, nothing) in _OF_KINDS.items():
        if kind != needed:
            draft = draft.with_value(name, nothing)
    return draft if entry.has_encoder else draft.with_value("start_image.path", "")


class DraftRequests:
    """Makes requests of drafts.

    Args:
        model: tells which one is in use.
        models: those that a grid may name.
    """

    def __init__(
        self,
        settings: Settings,
        draft: DraftState,
        model: Callable[[], ModelEntry],
        models: ModelLibrary,
    ) -> None:
        self._settings = settings
        self._draft = draft
        self._model = model
        self._models = models

    @property
    def has_prompt(self) -> bool:
        """Whether the draft says what to make: in words or with a starting picture."""
        request = self._draft.draft.request
        start = request.start_image
        return bool(request.prompt.strip() or (start is not None and start.path))

    def requests_for(self, draft: Draft) -> list[PictureRequest]:
        """What a draft asks for with the model in use.

        Raises:
            SfumatoError: it cannot be asked for.
        """
        entry = self._model()
        if entry.problem:
            raise unusable(entry.problem, str(entry.folder))
        if not self.has_prompt:
            raise SfumatoError(ErrorKind.BAD_REQUEST, "Type a prompt first: what should be seen?")
        return self.asked_of(entry, draft)

    def asked_of(self, entry: ModelEntry, draft: Draft) -> list[PictureRequest]:
        """What it asks for with a model.

        Raises:
            SfumatoError: BAD_REQUEST for what makes no sense.
        """
        return suited(draft, entry).requests_for(entry.request_folder, **self.how())

    def how(self) -> dict[str, Any]:
        """How pictures are made by the person's settings, beside what the draft says."""
        settings = self._settings
        return {
            "output_dir": settings.pictures_folder,
            "previews": settings.previews,
            "keep_previews": settings.previews and settings.keep_steps,
            "reduce_memory": settings.reduce_memory,
            "precision": Precision(settings.precision),
        }

    def plan_grid(self, columns: Side, rows: Side) -> GridPlan:
        """The grid that the draft and two sides make.

        Raises:
            SfumatoError: BAD_REQUEST, saying what is wrong.
        """
        draft = self._draft.draft
        if not draft.seed_locked:
            draft = replace(draft, request=replace(draft.request, seed=random_seed()))
        draft = suited(draft, self._model()).with_variation_seed()
        if not self.has_prompt and "prompt" not in (columns.field, rows.field):
            raise SfumatoError(ErrorKind.BAD_REQUEST, "Type a prompt first: what should be seen?")
        model = self._model().request_folder
        return plan_grid(draft, (columns, rows), model, self._models.named, **self.how())
