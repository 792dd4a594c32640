"""Presets: settings under a name, for one model or for all, of which a model can have one that is
used whenever it is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from gui.errors import ErrorKind, SfumatoError
from gui.records import Record
from gui.request import PictureRequest, described_fields
from gui.start_image import Outpaint, StartImage
from gui.state.draft import Draft, DraftState
from gui.state.prompts.shelf import Shelf

WORDS = ("prompt", "negative_prompt", "styles")
"""Fields that a preset has only where that was asked for."""
_OF_ONE_PICTURE = (
    "seed",
    "variation_seed",
    "start_image.path",
    "start_image.mask",
    "start_image.outpaint",
    "depth_map",
)
"""Fields that no preset has."""
USE = "Use Preset"
"""What choosing one is called after “Undo”."""


@dataclass(frozen=True)
class Preset(Record):
    """Settings under a name."""

    name: str
    settings: PictureRequest
    fields: tuple[str, ...]
    """Those of the settings that it sets, by their names in `described_fields`."""
    model: str | None = None
    """Folder of the model it is for, empty for the starter model; None: for every one."""
    default_for: tuple[str, ...] = ()
    """Folders of the models with which it is used whenever they are chosen."""

    @property
    def key(self) -> str:
        """The same for one name and model."""
        return f"{'*' if self.model is None else self.model}\n{self.name.casefold()}"

    def put_into(self, draft: Draft) -> Draft:
        """The draft with these settings; fields of a newer version's are passed over."""
        there = Draft(_whole(self.settings))
        for name in self.fields:
            if name in described_fields():
                draft = draft.with_value(name, there.value(name))
        return draft

    @property
    def has_words(self) -> bool:
        return WORDS[0] in self.fields


def _whole(request: PictureRequest) -> PictureRequest:
    return replace(request, start_image=request.start_image or StartImage(""))


class PresetLibrary(QObject):
    """The presets of the model in use.

    Args:
        shelf: where they are kept.
        draft: has the settings.
    """

    changed = Signal()
    """There are others now, or another one fits the settings."""

    def __init__(
        self, shelf: Shelf[Preset], draft: DraftState, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.shelf = shelf
        self._draft = draft
        self.model = ""
        """Folder of the model in use."""
        shelf.changed.connect(self.changed)
        draft.changed.connect(self._on_draft)

    def _on_draft(self, _name: str) -> None:
        self.changed.emit()

    def of_model(self) -> list[Preset]:
        """Those for the model in use alone, by name."""
        return self._sorted(self.model)

    def of_all(self) -> list[Preset]:
        """Those for every model, by name."""
        return self._sorted(None)

    def _sorted(self, model: str | None) -> list[Preset]:
        values = [entry.value for entry in self.shelf.entries()]
        return sorted((p for p in values if p.model == model), key=lambda p: p.name.casefold())

    def fits(self, preset: Preset) -> bool:
        """Whether the draft has its settings."""
        return preset.put_into(self._draft.draft) == self._draft.draft

    def in_force(self) -> Preset | None:
        """The first whose settings the draft has."""
        return next((p for p in (*self.of_model(), *self.of_all()) if self.fits(p)), None)

    def default(self) -> Preset | None:
        """The one that is used whenever the model in use is chosen."""
        every = (*self.of_model(), *self.of_all())
        return next((p for p in every if self.model in p.default_for), None)

    # -- changes ------------------------------------------------------------------------------

    def use(self, preset: Preset) -> None:
        """Take its settings; undo brings back what was set."""
        self._draft.replace(preset.put_into(self._draft.draft), USE)

    def chosen(self, model: str) -> None:
        """The person chose this model: its default preset is used."""
        self.model = model
        preset = self.default()
        if preset is not None:
            self.use(preset)

    def of_draft(self, name: str, model: str | None, *, words: bool) -> Preset:
        """A preset of the settings as they are."""
        name = " ".join(name.split())
        if not name:
            raise SfumatoError(ErrorKind.BAD_REQUEST, "A preset needs a name; type one.")
        left_out = _OF_ONE_PICTURE if words else (*_OF_ONE_PICTURE, *WORDS)
        fields = tuple(name for name in described_fields() if name not in left_out)
        request = self._draft.draft.request
        if not words:
            request = replace(request, prompt="", negative_prompt="", styles=())
        request = replace(
            request,
            seed=0,
            variation_seed=None,
            depth_map="",
            model="",
            output_dir="",
            start_image=_strength(request),
        )
        return Preset(name, request, fields, model)

    def same_name(self, preset: Preset) -> Preset | None:
        """The preset that would be replaced."""
        entry = self.shelf.get(preset.key)
        return entry.value if entry is not None else None

    def keep(self, preset: Preset, *, default: bool) -> None:
        """Keep a new preset, in place of one of the same name."""
        there = self.same_name(preset)
        models = set(there.default_for if there is not None else ()) - {self.model}
        models |= {self.model} if default else set()
        preset = replace(preset, default_for=tuple(sorted(models)))
        others = self._without_default(preset.key) if default else {}
        self.shelf.change({**others, preset.key: preset}, (), "Save Preset")

    def update(self, preset: Preset) -> None:
        """Give it the settings as they are."""
        new = self.of_draft(preset.name, preset.model, words=preset.has_words)
        self.shelf.put(preset.key, replace(new, default_for=preset.default_for), "Change Preset")

    def rename(self, preset: Preset, name: str) -> None:
        """Give it another name.

        Raises:
            SfumatoError: BAD_REQUEST where another one has it, or there is none.
        """
        name = " ".join(name.split())
        renamed = replace(preset, name=name)
        if not name:
            raise SfumatoError(ErrorKind.BAD_REQUEST, "A preset needs a name; type one.")
        if renamed.key != preset.key and self.same_name(renamed) is not None:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST, f"There is a preset “{name}” already; choose another name."
            )
        if renamed != preset:
            self.shelf.change({renamed.key: renamed}, [preset.key], "Rename Preset")

    def delete(self, preset: Preset) -> None:
        self.shelf.remove([preset.key], "Delete Preset")

    def set_default(self, preset: Preset, on: bool) -> None:
        """Use it whenever the model in use is chosen, in place of another one; or no longer."""
        models = set(preset.default_for) - {self.model}
        if on:
            models.add(self.model)
        changed = replace(preset, default_for=tuple(sorted(models)))
        others = self._without_default(preset.key) if on else {}
        self.shelf.change({**others, changed.key: changed}, (), "Change Default Preset")

    def _without_default(self, key: str) -> dict[str, Preset]:
        """The others that were the default of the model in use, and are no more."""
        return {
            entry.key: replace(
                entry.value,
                default_for=tuple(m for m in entry.value.default_for if m != self.model),
            )
            for entry in self.shelf.entries()
            if self.model in entry.value.default_for and entry.key != key
        }


def _strength(request: PictureRequest) -> StartImage:
    """The strength of a starting picture, without the picture."""
    start = request.start_image or StartImage("")
    return replace(start, path="", mask="", outpaint=Outpaint())
