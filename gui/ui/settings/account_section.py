"""Who is signed in to the Hub, and signing in with a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from gui.errors import SfumatoError
from gui.names import token_page
from gui.state import desktop
from gui.ui.widgets.controls import ElidedLabel, fit_height, label

if TYPE_CHECKING:
    from gui.state.hub.account import HubAccount
    from gui.state.hub.types import Account

SOURCES = {
    "keychain": "from the keychain",
    "environment": "from the variable HF_TOKEN",
    "file": "from the Hub’s own command line",
}
WHY = "Only needed for models whose makers ask for it. The token is kept in your keychain."


class AccountSection(QWidget):
    """Bound to a `HubAccount`."""

    signed_in = Signal()
    grown = Signal()
    """It may need another height now."""

    def __init__(self, account: HubAccount) -> None:
        super().__init__()
        self._account = account
        self._signing_in = False
        self.state = ElidedLabel("Not signed in")
        self.sign_out = QPushButton("Sign Out")
        self.token = QLineEdit()
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText("hf_…")
        self.token.setAccessibleName("Access token of the Hub")
        self.sign_in = QPushButton("Sign In")
        self.make_token = QPushButton("Make a token on the Hub…")
        self.make_token.setObjectName("flat")
        self.problem = label("", "problem", wrap=True)
        self.why = label(WHY, "small", wrap=True)
        for button in (self.sign_out, self.sign_in, self.make_token):
            button.setAutoDefault(False)
        self._lay_out()
        self.token.textChanged.connect(self._enable)
        self.token.returnPressed.connect(self._on_sign_in)
        self.sign_in.clicked.connect(self._on_sign_in)
        self.sign_out.clicked.connect(account.sign_out)
        self.make_token.clicked.connect(self._on_make_token)
        account.changed.connect(self._on_account)
        account.failed.connect(self._on_failed)
        account.busy_changed.connect(self._enable)
        self._show(account.account)
        if not account.known and not account.busy:
            account.refresh()

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.addWidget(self.state, 1)
        first.addWidget(self.sign_out)
        second = QHBoxLayout()
        second.setSpacing(8)
        second.addWidget(self.token, 1)
        second.addWidget(self.sign_in)
        third = QHBoxLayout()
        third.addWidget(self.make_token)
        third.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for row in (first, second):
            column.addLayout(row)
        column.addWidget(self.problem)
        column.addLayout(third)
        column.addWidget(self.why)

    def _show(self, account: Account) -> None:
        known = self._account.known
        if account.signed_in:
            source = SOURCES.get(account.source, "")
            self.state.set_text(f"Signed in as {account.name} {source}".strip())
        else:
            self.state.set_text("Not signed in" if known else "Looking for your account…")
        # A token of the environment or of another program is not ours to forget.
        self.sign_out.setVisible(account.signed_in and account.source == "keychain")
        for widget in (self.token, self.sign_in, self.make_token):
            widget.setVisible(not account.signed_in)
        self._show_problem(account.problem)
        self._enable()

    def _show_problem(self, text: str) -> None:
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        self.grown.emit()

    def _enable(self, *_: object) -> None:
        busy = self._account.busy
        self.token.setEnabled(not busy)
        self.sign_in.setText("Signing In…" if busy and self._signing_in else "Sign In")
        self.sign_in.setEnabled(not busy and bool(self.token.text().strip()))
        self.sign_out.setEnabled(not busy)

    def _on_sign_in(self) -> None:
        token = self.token.text().strip()
        if token and not self._account.busy:
            self._signing_in = True
            self._show_problem("")
            self._account.sign_in(token)

    def _on_account(self, account: Account) -> None:
        asked, self._signing_in = self._signing_in, False
        if account.signed_in:
            self.token.clear()
        self._show(account)
        if asked and account.signed_in:
            self.signed_in.emit()

    def _on_failed(self, error: SfumatoError) -> None:
        asked, self._signing_in = self._signing_in, False
        if not self._account.known:
            self.state.set_text("Not signed in")
        self._show_problem(error.message)
        self._enable()
        if asked:
            self.token.setFocus()
            self.token.selectAll()

    def _on_make_token(self) -> None:
        try:
            desktop.open_page(token_page())
        except SfumatoError as error:
            self._show_problem(error.message)


class SignInDialog(QDialog):
    """The section by itself, over a model that asks for it; goes when signed in."""

    def __init__(self, account: HubAccount, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Sign In to the Hub")
        self.setMinimumWidth(420)
        self.section = AccountSection(account)
        self.section.signed_in.connect(self.accept)
        close = QPushButton("Cancel")
        close.setAutoDefault(False)
        close.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(14)
        column.addWidget(label("Sign in to the Hugging Face Hub", "heading"))
        column.addWidget(self.section)
        column.addLayout(foot)
        self.section.grown.connect(lambda: fit_height(self))
        account.busy_changed.connect(self._on_busy)
        self._on_busy(account.busy)
        fit_height(self)

    def _on_busy(self, busy: bool) -> None:
        if not busy:  # until then the field takes no focus
            self.section.token.setFocus()
