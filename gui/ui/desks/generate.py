"""From the prompt to the picture: Generate, what is being made, and the finished picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.request import ComputeUnit
from gui.state.activity import Activity
from gui.ui.desks.parts import Parts, connect_commands

if TYPE_CHECKING:
    from gui.state.pictures.types import IndexedPicture


class GenerateDesk(QObject):
    """Asks the studio for pictures, and shows each where it was waited for."""

    ready: Callable[[Callable[[], object]], object] | None = None
    """Calls back once what the draft names is on the disk."""
    asked = Signal()
    """A picture was asked for."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = studio = parts.studio
        self._prompt = prompt = parts.prompt
        self._canvas = parts.canvas
        self._strip = parts.filmstrip
        self._actions = a = parts.actions
        studio.activity_changed.connect(self.show_activity)
        studio.picture_finished.connect(self._on_picture)
        studio.pictures.removed.connect(self._on_picture_removed)
        studio.settings.changed.connect(self._on_setting)
        prompt.generate_requested.connect(self.generate)
        parts.canvas.banner.plain_asked.connect(self._generate_plain)
        prompt.panel_wanted.connect(lambda: a.options.setChecked(True))
        a.options.toggled.connect(prompt.setVisible)
        parts.canvas.empty.example_chosen.connect(self._use_example)
        parts.canvas.strip.stop_requested.connect(studio.stop)
        connect_commands(
            (a.generate, self.generate),
            (a.stop, studio.stop),
            (a.new_seed, prompt.seed.roll),
            (a.focus_prompt, prompt.focus_prompt),
            (a.earlier_prompts, prompt.show_prompts),
            (a.styles, prompt.show_styles),
            (a.save_preset, prompt.presets.show_sheet),
        )

    def generate(self) -> None:
        """Make a picture of what the panel says, or say what is missing."""
        if not self._prompt.generate.isEnabled():
            self._studio.generate()  # which says why the model cannot be used
            return
        if not self._studio.requests.has_prompt:
            self._prompt.ask_for_prompt()
        elif self.ready is None:
            self._ask()
        else:
            self.ready(self._ask)

    def _ask(self) -> None:
        if self._studio.jobs.editing is not None:
            self._studio.jobs.save_edit()
        elif self._studio.generate():
            self._canvas.follow()
            self.asked.emit()

    def _generate_plain(self) -> None:
        """Once more, with the model as it is."""
        self._prompt.use_plain_model()
        self.generate()

    def show_activity(self, activity: Activity) -> None:
        self._canvas.set_activity(activity)
        self._strip.set_activity(activity)
        self._actions.stop.setEnabled(activity.busy)

    def _use_example(self, text: str) -> None:
        """One click makes the picture; the prompt stands in its field to go on from."""
        self._prompt.use_example(text)
        self._prompt.prompt.edit.setFocus()
        self.generate()

    def _on_picture(self, picture: IndexedPicture) -> None:
        """A finished picture is shown to who was waiting for it, and to nobody else."""
        if self._canvas.following or self._canvas.picture is None:
            self._canvas.show_picture(picture)
            self._strip.select(picture.path)
        self._canvas.announce("The picture is finished")

    def _on_picture_removed(self, path: str, row: int) -> None:
        shown = self._canvas.picture
        if shown is None or shown.path != path:
            return
        pictures = self._studio.pictures
        beside = pictures.picture(min(row, pictures.rowCount() - 1))
        self._canvas.show_picture(beside)
        if beside is not None:
            self._strip.select(beside.path)

    def _on_setting(self, key: str) -> None:
        settings, draft = self._studio.settings, self._studio.draft
        if key == "generate/compute_unit":
            draft.set("compute_unit", ComputeUnit(settings.compute_unit))
        elif key == "generate/safety_checker":
            draft.set("safety_checker", settings.safety_checker)
