"""Settings › Other programs: let them ask for pictures; and, in a window of its own, who may."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui import words
from gui.errors import SfumatoError
from gui.state import desktop
from gui.state.service import DEFAULT_PORT, LocalService, ServiceState
from gui.state.settings import Settings
from gui.ui.widgets.controls import ElidedLabel, Switch, fit_height, label
from gui.ui.widgets.questions import ask

WHAT = (
    "Programs that can use A1111’s web UI find Sfumato at this address. They show the token, or "
    "send it as a password. What they ask for waits in the queue with everything else."
)
DANGER = (
    "Every computer on this network can ask now. Whoever has the token can make pictures here, and "
    "see yours. Compare the certificate’s fingerprint in the other program:"
)
REPLACED = "Programs that know the old one are shut out until they are given the new one."


class ServiceSection(QWidget):
    """Bound to a `LocalService`."""

    grown = Signal()
    """It may need another height now."""

    def __init__(self, service: LocalService, settings: Settings) -> None:
        super().__init__()
        self._service = service
        self._settings = settings
        self.dialog: ServiceDialog | None = None
        self.switch = Switch("Let other programs ask for pictures")
        self.state = ElidedLabel("", "secondary")
        self.details = _button("Details…", "Who may ask for pictures, and how")
        self.danger = label("Other computers may ask, too.", "problem", wrap=True)
        self.problem = label("", "problem", wrap=True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.state, 1)
        row.addWidget(self.details)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.switch)
        column.addLayout(row)
        column.addWidget(self.danger)
        column.addWidget(self.problem)
        self.switch.toggled.connect(service.switch)
        self.details.clicked.connect(self.show_details)
        service.changed.connect(self._show)
        self._show(service.state)

    def show_details(self) -> None:
        """Show who may ask, and how."""
        if self.dialog is None:
            self.dialog = ServiceDialog(self._service, self._settings, self.window())
        self.dialog.show()
        self.dialog.raise_()

    def _show(self, state: ServiceState) -> None:
        self.switch.setChecked(state.on)
        for widget in (self.state, self.details):
            widget.setVisible(state.on)
        self.state.set_text(_said(state))
        self.danger.setVisible(state.on and self._settings.service_elsewhere)
        self.problem.setText(state.problem)
        self.problem.setVisible(bool(state.problem))
        self.grown.emit()


class ServiceDialog(QDialog):
    """Address, token, and whom else to let in; every change counts at once."""

    def __init__(
        self, service: LocalService, settings: Settings, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._service = service
        self._settings = settings
        self.setWindowTitle("Other Programs")
        self.setMinimumWidth(480)
        self.address = ElidedLabel("")
        self.copy_address = _button("Copy", "Copy the address for other programs")
        self.copy_token = _button("Copy Token", "Copy the token for other programs")
        self.new_token = _button("New Token…", "Make another token")
        self.port = QLineEdit()
        self.port.setAccessibleName("Port")
        self.port.setMaximumWidth(90)
        self.port.setPlaceholderText(DEFAULT_PORT)
        self.origins = QLineEdit()
        self.origins.setAccessibleName("Web pages that may ask")
        self.origins.setPlaceholderText("None; for example https://example.org")
        self.elsewhere = Switch("Other computers may ask, too")
        self.danger = label("", "problem", wrap=True)
        self.danger.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.problem = label("", "problem", wrap=True)
        self._lay_out()
        self._load()
        self._connect()
        self._show(service.state)

    def _lay_out(self) -> None:
        address, token = QHBoxLayout(), QHBoxLayout()
        for row in (address, token):
            row.setSpacing(8)
        address.addWidget(self.address, 1)
        address.addWidget(self.copy_address)
        token.addWidget(self.copy_token)
        token.addWidget(self.new_token)
        token.addStretch(1)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(12)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Address:", address)
        form.addRow("Token:", token)
        form.addRow("Port:", self.port)
        form.addRow("Web pages:", self.origins)
        form.addRow("", self.elsewhere)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 22, 24, 20)
        column.setSpacing(14)
        column.addLayout(form)
        column.addWidget(self.problem)
        column.addWidget(self.danger)
        column.addWidget(label(WHAT, "small", wrap=True))

    def _load(self) -> None:
        settings = self._settings
        self.elsewhere.setChecked(settings.service_elsewhere)
        self.port.setText("" if settings.service_port == DEFAULT_PORT else settings.service_port)
        self.origins.setText(", ".join(map(str, settings.service_origins)))

    def _connect(self) -> None:
        service = self._service
        self.elsewhere.toggled.connect(service.set_elsewhere)
        self.port.editingFinished.connect(
            lambda: self._set(lambda: service.set_port(self.port.text().strip() or DEFAULT_PORT))
        )
        self.origins.editingFinished.connect(
            lambda: self._set(lambda: service.set_origins(self.origins.text()))
        )
        self.copy_address.clicked.connect(lambda: _copy(service.state.url))
        self.copy_token.clicked.connect(lambda: _copy(service.state.token))
        self.new_token.clicked.connect(
            lambda: ask(self, "Make another token?", REPLACED, "Make", service.new_token)
        )
        service.changed.connect(self._show)

    def _set(self, change: Callable[[], None]) -> None:
        try:
            change()
        except SfumatoError as error:
            self._show_problem(error.message)
        else:
            self._show_problem(self._service.state.problem)

    def _show(self, state: ServiceState) -> None:
        if not state.on:
            self.hide()
            return
        self.address.set_text(_said(state))
        self.copy_address.setEnabled(bool(state.url))
        for button in (self.copy_token, self.new_token):
            button.setEnabled(bool(state.token))
        self.danger.setText(f"{DANGER} {_in_groups(state.fingerprint)}")
        self.danger.setVisible(self._settings.service_elsewhere)
        self._show_problem(state.problem)

    def _show_problem(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        fit_height(self)


def _in_groups(fingerprint: str) -> str:
    """Where its lines may break."""
    parts = fingerprint.split(":")
    return " ".join(":".join(parts[k : k + 8]) for k in range(0, len(parts), 8)) or "…"


def _button(text: str, name: str) -> QPushButton:
    button = QPushButton(text)
    button.setAutoDefault(False)
    button.setAccessibleName(name)
    return button


def _copy(text: str) -> None:
    data = QMimeData()
    data.setText(text)
    desktop.copy_to_clipboard(data)


def _said(state: ServiceState) -> str:
    if state.problem:
        return "Not heard"
    if not state.url:
        return "Starting…"
    if state.waiting:
        return f"{state.url}, {words.plural(state.waiting, 'request')} under way"
    return state.url
