"""The person's settings, kept by QSettings.

Every setting is one `Option`: a key, a default and, through the default's type, how it is read
back.  A value in the file that does not fit its type reads as the default, so a damaged settings
file costs a preference and never a start.
"""

from __future__ import annotations

import json
import os
from typing import Any

from PySide6.QtCore import QByteArray, QObject, QSettings, Signal

from gui import paths

STATE_VERSION = 1
"""Version of the saved window layout; a layout of another version is not restored."""


class Option:
    """One setting, used as a descriptor of `Settings`: read it, or assign to it."""

    def __init__(self, key: str, default: Any, choices: tuple[str, ...] = ()) -> None:
        self.key = key
        self.default = default
        self.choices = choices

    def __get__(self, owner: Settings | None, _type: type | None = None) -> Any:
        if owner is None:
            return self
        return self._read(owner.store.value(self.key))

    def __set__(self, owner: Settings, value: Any) -> None:
        if self.__get__(owner) == value:
            return
        plain = json.dumps(value) if isinstance(self.default, (list, dict)) else value
        owner.store.setValue(self.key, plain)
        owner.changed.emit(self.key)

    def _read(self, raw: Any) -> Any:
        if raw is None:
            return self.default
        if isinstance(self.default, bool):  # an ini file gives text back
            return raw if isinstance(raw, bool) else str(raw).lower() == "true"
        if isinstance(self.default, (list, dict)):
            try:
                value = json.loads(str(raw))
            except ValueError:
                return self.default
            return value if isinstance(value, type(self.default)) else self.default
        value = str(raw)
        return value if not self.choices or value in self.choices else self.default


class Settings(QObject):
    """Typed settings; `changed(key)` fires after a value really changed."""

    changed = Signal(str)

    pictures_folder = Option("pictures/folder", "")
    """Folder for finished pictures; empty: `gui.paths.pictures_dir()`."""
    appearance = Option("window/appearance", "system", ("system", "light", "dark"))
    compute_unit = Option(
        "generate/compute_unit", "ALL", ("ALL", "CPU_AND_GPU", "CPU_AND_NE", "CPU_ONLY")
    )
    previews = Option("generate/previews", True)
    safety_checker = Option("generate/safety_checker", True)
    model_folders = Option("models/folders", [])
    """Folders added by reference, in the order they were added."""
    draft = Option("session/draft", {})
    """The prompt panel's last contents, as `Draft.to_json` writes them."""
    selected_model = Option("session/model", "")

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.store = _open_store()

    def save_layout(self, name: str, state: QByteArray) -> None:
        """Keep a window's geometry or a splitter's sizes under `name`."""
        self.store.setValue(f"layout/{STATE_VERSION}/{name}", state)

    def layout(self, name: str) -> QByteArray | None:
        """What `save_layout` kept, or None."""
        value = self.store.value(f"layout/{STATE_VERSION}/{name}")
        return value if isinstance(value, QByteArray) and not value.isEmpty() else None

    def sync(self) -> None:
        """Write now; also done by Qt from time to time and at exit."""
        self.store.sync()


def _open_store() -> QSettings:
    """The system's own store, or a file under `SFUMATO_HOME` where that is set."""
    if os.environ.get("SFUMATO_HOME"):
        file = paths.data_dir() / "settings.ini"
        file.parent.mkdir(parents=True, exist_ok=True)
        return QSettings(str(file), QSettings.Format.IniFormat)
    return QSettings("Sfumato", "Sfumato")
