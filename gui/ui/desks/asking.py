"""Other programs that ask for a picture: nothing is made before the person has agreed."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMessageBox

from gui import words
from gui.addresses import read_address
from gui.asked import Asked, asked_for
from gui.errors import SfumatoError
from gui.request import described_fields
from gui.state import desktop
from gui.state.draft import Draft
from gui.state.model_entry import ModelEntry
from gui.ui.desks.parts import Parts
from gui.ui.widgets.questions import ask

SHOWN = 300
"""Characters of a prompt in the question."""


class AskingDesk(QObject):
    """Shows what is asked for, and puts it in the panel when the person says so."""

    generate_wanted = Signal()
    """The picture that the panel says now is to be made."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._studio = parts.studio
        self._prompt = parts.prompt
        self._window = parts.main_window
        self.box: QMessageBox | None = None
        """The question that stands."""
        desktop.offer_service(self.make_of)

    def open_address(self, address: str) -> None:
        """A link was followed."""
        try:
            self._ask(read_address(address), "A link asks for this picture.")
        except SfumatoError as error:
            self._studio.error_raised.emit(error)

    def make_of(self, text: str) -> None:
        """A text was chosen in another program (Services › Make a Picture of the Selection)."""
        try:
            self._ask(asked_for({"prompt": text}), "Another program asks for this picture.")
        except SfumatoError as error:
            self._studio.error_raised.emit(error)

    def _ask(self, asked: Asked, who: str) -> None:
        if self._window.isMinimized():
            self._window.showNormal()
        self._window.raise_()
        self._window.activateWindow()
        model = self._model(asked)
        told = [who, *_settings(asked)]
        if asked.model and model is None:
            told.append(
                f"Model: {words.quoted(asked.model, 60)} is not here; the chosen one is used."
            )
        elif model is not None:
            told.append(f"Model: {model.name}")
        told += asked.left
        question = f"Make {words.quoted(asked.prompt, SHOWN)}?"
        box = ask(
            self._window, question, "\n".join(told), "Generate", lambda: self._make(asked, model)
        )
        edit = box.addButton("Edit First", QMessageBox.ButtonRole.ActionRole)
        edit.clicked.connect(lambda *_: self._use(asked, model))
        box.destroyed.connect(self._forget)
        self.box = box

    def _forget(self) -> None:
        self.box = None

    def _model(self, asked: Asked) -> ModelEntry | None:
        try:
            return self._studio.models.named(asked.model) if asked.model else None
        except SfumatoError:
            return None

    def _use(self, asked: Asked, model: ModelEntry | None) -> None:
        """In the panel; what is not said is the model's to decide."""
        now = self._studio.draft.draft.request
        blank = Draft()
        draft = replace(
            blank,
            request=replace(
                blank.request,
                compute_unit=now.compute_unit,
                random_source=now.random_source,
                safety_checker=now.safety_checker,
            ),
        )
        for name, value in asked.values.items():
            draft = draft.with_value(name, value)
        if model is not None:
            self._studio.select_model(model)
        self._studio.draft.replace(draft, "Use Link")
        self._prompt.focus_prompt()

    def _make(self, asked: Asked, model: ModelEntry | None) -> None:
        self._use(asked, model)
        self.generate_wanted.emit()


def _settings(asked: Asked) -> list[str]:
    """A line for each thing that is asked for beside the prompt."""
    fields = described_fields()
    lines: list[str] = []
    for name, value in asked.values.items():
        if name == "prompt" or value == "":
            continue
        option = next((o.label for o in fields[name].parameter.options if o.value == value), None)
        shown = option or (words.shortened(value, SHOWN) if isinstance(value, str) else f"{value}")
        lines.append(f"{fields[name].parameter.label}: {shown}")
    return lines
