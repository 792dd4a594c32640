"""A picture's settings on their way into the prompt panel: what each becomes here, and the one step
that takes them over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui import words
from gui.errors import SfumatoError
from gui.state.background import Background
from gui.state.draft import Draft, DraftState
from gui.state.pictures.model_match import ModelMatch, match_model
from gui.state.pictures.origin import SIDES, Origin, read_whole_origin
from gui.state.undo import UndoStack

if TYPE_CHECKING:
    from gui.state.model_entry import ModelEntry
    from gui.state.models import ModelLibrary

MODEL = "model"
"""Name of the row that stands for the model; the others have those of the request's fields."""
SIZE = "size"
"""Of the row that stands for width and height."""
AS_IT_IS = "As it is"


@dataclass(frozen=True)
class ImportRow:
    """One thing a picture says, and what becomes of it."""

    name: str
    """`MODEL` or of a field; empty: it cannot be ticked."""
    label: str
    stated: str
    """As it stands in the file."""
    here: str
    """As it is here."""
    remark: str = ""
    ticked: bool = True
    """Whether it is taken unless the person says otherwise."""


def import_rows(origin: Origin, match: ModelMatch, in_use: ModelEntry) -> list[ImportRow]:
    """What a picture says, in the order of the prompt panel.

    Args:
        match: its model among the installed ones.
        in_use: the model that will be in use, which sets the size.
    """
    rows = [_model_row(origin, match, in_use)] if origin.model or match.entry else []
    for setting in origin.settings:
        if setting.name in SIDES:
            continue
        stated = setting.stated or setting.text
        here = setting.text if setting.stated else AS_IT_IS
        remark = setting.remark
        if setting.name == "clip_skip" and not _skips(in_use, setting.value):
            remark = (
                f"“{in_use.name}” gives its own layer alone, so it makes no difference there; "
                "conversion can add others."
            )
        rows.append(ImportRow(setting.name, setting.label, stated, here, remark))
    if all(origin.size):
        rows.append(_size_row(origin, in_use))
    return rows


def _skips(entry: ModelEntry, layers: int) -> bool:
    """Whether a model's text encoder offers a clip skip."""
    info = entry.info
    return info is None or info.clip_skip >= layers or info.may_skip_layers


def _model_row(origin: Origin, match: ModelMatch, in_use: ModelEntry) -> ImportRow:
    stated = origin.model or "Not named"
    if origin.model_hash and not origin.ours:
        stated = f"{stated} ({origin.model_hash[:16]})"
    if match.entry is None:
        remark = f"It is not among your models; “{in_use.name}” stays in use."
        return ImportRow("", "Model", stated, "Not here", remark)
    remark = f"{words.capital(match.how)}."
    return ImportRow(MODEL, "Model", stated, match.entry.name, remark, match.sure)


def _size_row(origin: Origin, in_use: ModelEntry) -> ImportRow:
    stated = words.pixels(*origin.size)
    info = in_use.info
    native = (info.image_width, info.image_height) if info is not None else (0, 0)
    sides = {setting.name: setting for setting in origin.settings if setting.name in SIDES}
    if native == origin.size:
        return ImportRow(SIZE if len(sides) == 2 else "", "Size", stated, AS_IT_IS)
    if (unfit := _size_unfit(origin, in_use)) or len(sides) < 2:
        here = words.pixels(*native) if all(native) else "Set by the model"
        return ImportRow("", "Size", stated, here, unfit)
    size = (sides["width"].value, sides["height"].value)
    remark = next((one.remark for one in sides.values() if one.remark), "")
    here = AS_IT_IS if size == origin.size else words.pixels(*size)
    return ImportRow(SIZE, "Size", stated, here, remark)


def _size_unfit(origin: Origin, in_use: ModelEntry) -> str:
    """Why a picture's size cannot be taken over, in a sentence; empty: it can."""
    if in_use.fixed_size:
        return f"“{in_use.name}” makes pictures of this size alone."
    sides = {setting.name: setting.value for setting in origin.settings if setting.name in SIDES}
    sizes = in_use.sizes
    if sizes is None or len(sides) < 2 or sizes.allows((sides["width"], sides["height"])):
        return ""
    return f"“{in_use.name}” draws no pictures of that size."


class PictureImports(QObject):
    """Reads what made pictures, and takes their settings over.

    Args:
        draft: takes the settings.
        models: among which a picture's model is looked for.
        in_use: the model in use.
        select: takes another one.
        background: where files are read.
        undo: gets one step for settings and model together.
    """

    used = Signal(str)
    """Settings were taken; a sentence where the model could not be, else empty."""

    def __init__(
        self,
        draft: DraftState,
        models: ModelLibrary,
        in_use: Callable[[], ModelEntry],
        select: Callable[[ModelEntry], None],
        background: Background,
        undo: UndoStack,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._draft = draft
        self._models = models
        self._in_use = in_use
        self._select = select
        self._background = background
        self._undo = undo

    def read(
        self,
        path: str,
        then: Callable[[Origin], object],
        failed: Callable[[SfumatoError], object],
    ) -> None:
        """Call `then` with what made a picture, wherever it lies."""
        self._background.run(lambda: read_whole_origin(path), then, failed)

    def match(self, origin: Origin) -> ModelMatch:
        """The picture's model among the installed ones."""
        return match_model(origin, self._models.entries())

    def rows(self, origin: Origin, *, with_model: bool | None = None) -> list[ImportRow]:
        """`import_rows` as things are.

        Args:
            with_model: whether the picture's model will be in use; None: if it is sure.
        """
        match = self.match(origin)
        wanted = match.sure if with_model is None else with_model
        taken = match.entry if wanted else None
        return import_rows(origin, match, taken or self._in_use())

    def use(self, origin: Origin, names: Collection[str] | None = None) -> None:
        """Take settings over, as one step that undo takes back; the compute unit stays as it is.

        Args:
            names: of the rows that are wanted; None: all, and the model where it is sure.
        """
        match = self.match(origin)
        wants_model = match.sure if names is None else MODEL in names
        entry = match.entry if wants_model else None
        wanted = _fields(origin, names, entry or self._in_use())
        after = origin.put_into(self._draft.draft, wanted)
        was = self._take(after, entry, "Use Settings")
        missing = names is None and match.entry is None and origin.model
        text = f"The model “{origin.model}” is not here; “{was.name}” is used." if missing else ""
        self.used.emit(text)

    def branch(self, origin: Origin, step: int) -> bool:
        """Have the draft go on from a step of a picture, with its settings and its model, as one
        step that undo takes back.

        Returns:
            Whether it does; what hinders it has been said by `used`.
        """
        request, match = origin.request, self.match(origin)
        if request is None:
            self.used.emit("This picture does not say how Sfumato made it; branch from another.")
        elif match.entry is None:
            name = origin.model or "its model"
            self.used.emit(f"A branch needs the model of its picture, and “{name}” is not here.")
        elif request.start_image and not Path(request.start_image.path).is_absolute():
            self.used.emit(
                f"A branch needs the starting picture of its picture, and "
                f"“{request.start_image.path}” is not here."
            )
        else:
            self._take(Draft.from_request(request.branched(step)), match.entry, "Branch")
            return True
        return False

    def _take(self, after: Draft, entry: ModelEntry | None, what: str) -> ModelEntry:
        """Put a draft in place of the present one, and a model; the one that was in use."""
        before, was = self._draft.draft, self._in_use()
        after = after.with_value("compute_unit", before.request.compute_unit)
        after = after.of_model((entry or was).request_folder)
        if entry is not None and entry.folder == was.folder:
            entry = None

        def use() -> None:
            if entry is not None:
                self._select(entry)
            self._draft.put(after)

        def back() -> None:
            if entry is not None:
                self._select(self._models.entry(was.folder) or was)
            self._draft.put(before)

        if after != before or entry is not None:
            use()
            self._undo.did(what, back, use)
        return was


def _fields(
    origin: Origin, names: Collection[str] | None, in_use: ModelEntry
) -> Collection[str] | None:
    """The request's fields that the rows of these names stand for; None: all there are.  A model is
    asked for no size that it does not draw."""
    unfit = _size_unfit(origin, in_use)
    if names is None and (origin.ours or not unfit):
        return None
    wanted = {setting.name for setting in origin.settings} if names is None else set(names)
    if SIZE in wanted:
        wanted |= set(SIDES)
    return wanted - set(SIDES) if unfit else wanted
