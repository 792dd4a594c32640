"""The Settings window.  Every change counts at once, as on macOS; there is no OK button."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import paths
from gui.state.settings import Settings
from gui.ui.prompt.controls import options
from gui.ui.settings.account_section import AccountSection
from gui.ui.settings.command_section import CommandSection
from gui.ui.settings.service_section import ServiceSection
from gui.ui.settings.storage_section import StorageSection
from gui.ui.widgets.choice import Choice
from gui.ui.widgets.controls import ElidedLabel, Switch, fit_height, label

if TYPE_CHECKING:
    from PySide6.QtGui import QShowEvent

    from gui.state.bundle import Bundle
    from gui.state.caches import Caches
    from gui.state.hub.account import HubAccount
    from gui.state.service import LocalService

APPEARANCES = (("system", "Same as system"), ("light", "Light"), ("dark", "Dark"))


class SettingsDialog(QDialog):
    """Bound to `Settings`, and to the Hub's account where there is one."""

    def __init__(
        self,
        settings: Settings,
        parent: QWidget | None = None,
        account: HubAccount | None = None,
        caches: Caches | None = None,
        bundle: Bundle | None = None,
        service: LocalService | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self.setWindowTitle("Settings")
        self.setMinimumWidth(500)
        self.appearance = Choice("Appearance")
        for value, text in APPEARANCES:
            self.appearance.addItem(text, value)
        self.compute_unit = options("compute_unit", "Default compute unit")
        self.folder = ElidedLabel()
        self.change_folder = QPushButton("Choose…")
        self.change_folder.setAccessibleName("Choose the pictures folder")
        self.reset_folder = QPushButton("Default")
        self.reset_folder.setAccessibleName("Use the default pictures folder")
        for button in (self.change_folder, self.reset_folder):
            button.setAutoDefault(False)  # Return in a field is the field's
        self.previews = Switch("Show a preview at every step")
        self.keep_steps = Switch("Keep the previews, to play them back")
        self.safety = Switch("Use safety checkers where models have one")
        self.reduce_memory = Switch("Use less memory, and take longer")
        self.reduce_memory.setToolTip(
            "Networks are in memory one after the other; where memory is short they always are"
        )
        self.bf16 = Switch("Compute in bfloat16: quicker, a little less exact")
        self.bf16.setToolTip(
            "Each network’s results are about 45 dB from those in float32: fine detail differs"
        )
        self.no_bf16 = label(settings.no_bf16(), "small")
        self.updates = Switch("Look for a newer Sfumato once a day")
        self.account = AccountSection(account) if account is not None else None
        self.storage = StorageSection(caches) if caches is not None else None
        in_bundle = bundle is not None and bundle.app is not None
        self.command = CommandSection(bundle) if bundle is not None and in_bundle else None
        self.service = ServiceSection(service, settings) if service is not None else None
        self._lay_out()
        self._load()
        self._connect()
        fit_height(self)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.folder, 1)
        row.addWidget(self.change_folder)
        row.addWidget(self.reset_folder)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(12)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Appearance:", self.appearance)
        form.addRow("Pictures folder:", row)
        form.addRow("Compute unit:", self.compute_unit)
        form.addRow("", self.previews)
        form.addRow("", self.keep_steps)
        form.addRow("", self.safety)
        form.addRow("", self.reduce_memory)
        form.addRow("", self.bf16)
        if self.no_bf16.text():
            form.addRow("", self.no_bf16)
        form.addRow("Updates:", self.updates)
        if self.account is not None:
            heading = label("Hugging Face Hub:")
            form.addRow(heading, self.account)
        if self.service is not None:
            form.addRow("Other programs:", self.service)
        if self.command is not None:
            form.addRow("Command line:", self.command)
        if self.storage is not None:
            form.addRow("Kept for speed:", self.storage)
        note = label(
            "Pictures are made on this computer; only the Hub’s pages and the look for a newer "
            "version ask the network.",
            "small",
            wrap=True,
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 22, 24, 20)
        column.setSpacing(18)
        column.addLayout(form)
        column.addWidget(note)

    def _load(self) -> None:
        settings = self._settings
        self.appearance.select_data(settings.appearance)
        self.compute_unit.select_data(settings.compute_unit)
        self.previews.setChecked(settings.previews)
        self.keep_steps.setChecked(settings.keep_steps)
        self.keep_steps.setEnabled(settings.previews)
        self.safety.setChecked(settings.safety_checker)
        self.reduce_memory.setChecked(settings.reduce_memory)
        self.bf16.setChecked(settings.precision == "bf16")
        self.bf16.setEnabled(not self.no_bf16.text())
        self.updates.setChecked(settings.updates)
        self._show_folder()

    def _connect(self) -> None:
        settings = self._settings

        def bind(name: str):  # type: ignore[no-untyped-def]
            return lambda value: setattr(settings, name, value)

        self.appearance.currentIndexChanged.connect(
            lambda _: bind("appearance")(self.appearance.currentData())
        )
        self.compute_unit.currentIndexChanged.connect(
            lambda _: bind("compute_unit")(self.compute_unit.currentData())
        )
        self.previews.toggled.connect(bind("previews"))
        self.previews.toggled.connect(self.keep_steps.setEnabled)
        self.keep_steps.toggled.connect(bind("keep_steps"))
        self.safety.toggled.connect(bind("safety_checker"))
        self.reduce_memory.toggled.connect(bind("reduce_memory"))
        self.bf16.toggled.connect(lambda on: bind("precision")("bf16" if on else "fp32"))
        self.updates.toggled.connect(bind("updates"))
        self.change_folder.clicked.connect(self._choose_folder)
        self.reset_folder.clicked.connect(lambda: self.set_folder(""))
        if self.account is not None:
            self.account.grown.connect(lambda: fit_height(self))
        if self.service is not None:
            self.service.grown.connect(lambda: fit_height(self))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.storage is not None:
            self.storage.measure()
        if self.command is not None:
            self.command.look()

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for Finished Pictures")
        if folder:
            self.set_folder(folder)

    def set_folder(self, folder: str) -> None:
        self._settings.pictures_folder = folder
        self._show_folder()

    def _show_folder(self) -> None:
        folder = self._settings.pictures_folder or str(paths.pictures_dir())
        home = str(Path.home())
        shown = "~" + folder[len(home) :] if folder.startswith(home + "/") else folder
        self.folder.set_text(shown)
        self.reset_folder.setEnabled(bool(self._settings.pictures_folder))
