"""Who is signed in to the Hub.  The token itself stays in the Hub process and the keychain."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from gui.errors import SfumatoError
from gui.hub.messages import AskAccount, SetToken
from gui.hub.types import Account
from gui.process.messages import Question
from gui.state.hub.thread import Hub


class HubAccount(QObject):
    """The account as an observable value.

    Args:
        hub: the Hub process.
    """

    changed = Signal(Account)
    """Also when it was asked for and has not changed."""
    busy_changed = Signal(bool)
    failed = Signal(SfumatoError)
    """The token was not accepted, or the keychain would not have it."""

    def __init__(self, hub: Hub, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self._account = Account()
        self._known = False
        self._request = 0

    @property
    def account(self) -> Account:
        return self._account

    @property
    def known(self) -> bool:
        """Whether the account has been looked for."""
        return self._known

    @property
    def busy(self) -> bool:
        return bool(self._request)

    def refresh(self) -> None:
        """Ask who is signed in."""
        if not self.busy:
            self._ask(AskAccount())

    def sign_in(self, token: str) -> None:
        """Keep a token in the keychain and use it, if the Hub accepts it."""
        self._ask(SetToken(token.strip()))

    def sign_out(self) -> None:
        """Forget the token in the keychain."""
        self._ask(SetToken(""))

    def _ask(self, question: Question[Account]) -> None:
        """The newest wish counts."""
        if self._request:
            self._hub.forget(self._request)
        self._request = self._hub.ask(question, self._on_account, self._on_error)
        self.busy_changed.emit(True)

    def _on_account(self, account: Account) -> None:
        self._account = account
        self._known = True
        self._end()
        self.changed.emit(account)

    def _on_error(self, error: SfumatoError) -> None:
        self._end()
        self.failed.emit(error)

    def _end(self) -> None:
        self._request = 0
        self.busy_changed.emit(False)
