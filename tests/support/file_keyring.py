"""A keychain in a file, for processes that tests start: PYTHON_KEYRING_BACKEND names it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Entries in the file that SFUMATO_TEST_KEYRING names."""

    priority = 1  # type: ignore[assignment]

    def _read(self) -> dict[str, str]:
        file = Path(os.environ["SFUMATO_TEST_KEYRING"])
        return json.loads(file.read_text()) if file.is_file() else {}

    def _write(self, entries: dict[str, str]) -> None:
        Path(os.environ["SFUMATO_TEST_KEYRING"]).write_text(json.dumps(entries))

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._read()
        if entries.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("not there")
        self._write(entries)
