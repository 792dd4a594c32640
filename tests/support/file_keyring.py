"""A keychain in a file, for processes that tests start: PYTHON_KEYRING_BACKEND names it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Entries in the file that SFUMATO_TEST_KEYRING names, else in one below SFUMATO_HOME."""

    priority = 1  # type: ignore[assignment]

    @property
    def _file(self) -> Path:
        named = os.environ.get("SFUMATO_TEST_KEYRING")
        return Path(named) if named else Path(os.environ["SFUMATO_HOME"]) / "keychain.json"

    def _read(self) -> dict[str, str]:
        return json.loads(self._file.read_text()) if self._file.is_file() else {}

    def _write(self, entries: dict[str, str]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(entries))

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._read()
        if entries.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("not there")
        self._write(entries)
