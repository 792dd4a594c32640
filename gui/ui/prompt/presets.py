"""The menu of presets, and the sheet in which one gets its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state.prompts.presets import Preset, PresetLibrary
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import Switch, fit_height, label, without_shortcut
from gui.ui.widgets.icons import icon

LONGEST = 40
"""Characters of a name in a menu."""
NONE = "Presets"
"""On the button where no preset is in force."""


class PresetsButton(QPushButton):
    """Says which preset is in force and opens the menu of all.

    Args:
        presets: those there are.
    """

    reset_wanted = Signal()
    """The model's own recommendation is wanted."""
    failed = Signal(SfumatoError)

    def __init__(self, presets: PresetLibrary) -> None:
        super().__init__(NONE)
        self.setObjectName("pullDown")
        self.setIcon(icon("chevron-down", tone="secondary"))
        self.setIconSize(self.iconSize() * 0.8)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.setToolTip("Settings under a name, for this model or for all")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._presets = presets
        self._model_name = ""
        self._at_recommendation = True
        self.sheet: PresetSheet | None = None
        self.clicked.connect(self._open)
        presets.changed.connect(self.show_state)

    def set_model(self, folder: str, name: str) -> None:
        """The model in use."""
        self._presets.model = folder
        self._model_name = name
        self.show_state()

    def set_at_recommendation(self, at: bool) -> None:
        """Whether nothing that the model can decide is chosen otherwise."""
        self._at_recommendation = at

    def show_state(self) -> None:
        preset = self._presets.in_force()
        text = preset.name if preset is not None else NONE
        self.setText(without_shortcut(words.shortened(text, 22)))
        self.setAccessibleName(f"Presets, {text}" if preset is not None else NONE)

    def menu_of_presets(self) -> QMenu:
        """Made when it is wanted."""
        menu = QMenu(self)
        menu.setLayoutDirection(QApplication.layoutDirection())  # the button's is turned round
        presets = self._presets
        for title, some in (
            (self._model_name, presets.of_model()), ("All Models", presets.of_all()),
        ):  # fmt: skip
            if some:
                _disabled(menu, title)
                for preset in some:
                    deed = partial(presets.use, preset)
                    _ticked(menu, preset.name, presets.fits(preset), deed)
                menu.addSeparator()
        own = "The Model’s Recommendation"
        _ticked(menu, own, self._at_recommendation, self.reset_wanted.emit)
        menu.addSeparator()
        menu.addAction("Save Settings as Preset…", self.show_sheet)
        every = [*presets.of_model(), *presets.of_all()]
        if every:
            manage = QMenu("Manage Presets", menu)
            menu.addMenu(manage)
            for preset in every:
                manage.addMenu(self._management(preset, manage))
        return menu

    def _management(self, preset: Preset, parent: QMenu) -> QMenu:
        presets = self._presets
        menu = QMenu(_in_menu(preset.name), parent)
        menu.addAction("Replace with These Settings", partial(presets.update, preset))
        is_default = presets.model in preset.default_for
        _ticked(
            menu,
            f"Use Whenever “{self._model_name}” Is Chosen",
            is_default,
            partial(presets.set_default, preset, not is_default),
        )
        menu.addSeparator()
        menu.addAction("Rename…", lambda: self.show_sheet(preset))
        menu.addAction("Delete", partial(presets.delete, preset))
        return menu

    def _open(self) -> None:
        menu = self.menu_of_presets()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.mapToGlobal(self.rect().bottomLeft()))

    def show_sheet(self, preset: Preset | None = None) -> None:
        """Ask for a name: of a new preset, or another one for this."""
        self.sheet = PresetSheet(self._presets, self._model_name, self.window(), preset)
        self.sheet.finished.connect(self.sheet.deleteLater)
        self.sheet.show()


class PresetSheet(QDialog):
    """Name, and what the preset is for.

    Args:
        presets: those there are.
        model: what to call the model in use.
        parent: the window.
        preset: the one that gets another name; None: the settings are saved as a new one.
    """

    def __init__(
        self, presets: PresetLibrary, model: str, parent: QWidget, preset: Preset | None = None
    ) -> None:
        super().__init__(parent)
        self._presets = presets
        self._preset = preset
        title = "Save Settings as Preset" if preset is None else "Rename Preset"
        self.setWindowTitle(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumWidth(400)
        self.name = QLineEdit(preset.name if preset is not None else "")
        self.name.setPlaceholderText("Name")
        self.name.setAccessibleName("Name of the preset")
        self.name.setMaxLength(80)
        self.name.selectAll()
        self.scope = Choice("For which models")
        self.scope.addItem(f"Only for {words.quoted(model, LONGEST)}", True)
        self.scope.addItem("For every model", False)
        self.with_words = Switch("With the prompt, the negative prompt and styles")
        self.default = Switch("Use it whenever this model is chosen")
        self.default.setToolTip(words.plain_tip(model))
        self.note = label("", "small", wrap=True)
        self.cancel = QPushButton("Cancel")
        self.cancel.setAutoDefault(False)
        self.save = QPushButton("Save" if preset is None else "Rename")
        self.save.setObjectName("sheetPrimary")
        self.save.setDefault(True)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(label(title, "sheetTitle"))
        column.addWidget(self.name)
        if preset is None:
            for widget in (self.scope, self.with_words, self.default):
                column.addWidget(widget)
        column.addWidget(self.note)
        column.addLayout(foot)
        self.save.clicked.connect(self.accept)
        self.cancel.clicked.connect(self.reject)
        self.name.textChanged.connect(self._show_note)
        self.scope.currentIndexChanged.connect(self._show_note)
        self._show_note()
        fit_height(self)

    def _wanted(self) -> Preset:
        model = self._presets.model if self.scope.currentData() else None
        return self._presets.of_draft(self.name.text(), model, words=self.with_words.isChecked())

    def _show_note(self) -> None:
        named = bool(self.name.text().strip())
        self.save.setEnabled(named)
        note = "The seed and the starting picture are not part of it."
        if self._preset is not None:
            note = ""
        elif named and (there := self._presets.same_name(self._wanted())) is not None:
            note = f"It takes the place of “{there.name}”; undo brings that back."
        self.note.setText(note)

    def accept(self) -> None:
        """Keep it, unless something hinders that, which is said."""
        try:
            if self._preset is not None:
                self._presets.rename(self._preset, self.name.text())
            else:
                self._presets.keep(self._wanted(), default=self.default.isChecked())
        except SfumatoError as error:
            self.note.setText(error.message)
            return
        super().accept()


def _in_menu(text: str) -> str:
    return without_shortcut(words.shortened(words.plain(text), LONGEST))


def _ticked(menu: QMenu, text: str, on: bool, deed: Callable[[], object]) -> QAction:
    action = menu.addAction(_in_menu(text))
    action.setCheckable(True)
    action.setChecked(on)
    action.triggered.connect(lambda *_: deed())
    return action


def _disabled(menu: QMenu, text: str) -> None:
    menu.addAction(_in_menu(text)).setEnabled(False)
