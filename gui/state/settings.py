"""The person's settings, kept by QSettings.

Every setting is one `StoredSetting`: a key, a default and, through the default's type, how it is
read back.  A value in the file that does not fit its type reads as the default, so a damaged
settings file costs a preference and never a start.  The file holds prompts, so nobody else may read
it.  A second window of Sfumato uses the same file, so a list is changed as it stands there
(`update`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QObject, QSettings, Signal

from gui import paths
from gui.private_files import keep_private

log = logging.getLogger(__name__)

STATE_VERSION = 1
"""Version of the saved window layout; a layout of another version is not restored."""


class StoredSetting:
    """One setting, used as a descriptor of `Settings`: read it, or assign to it."""

    def __init__(self, key: str, default: Any, choices: tuple[str, ...] = ()) -> None:
        self.key = key
        self.default = default
        self._is_tree = isinstance(default, (list, dict))
        self.choices = choices

    def __get__(self, owner: Settings | None, _type: type | None = None) -> Any:
        if owner is None:
            return self
        return self._read(owner.store.value(self.key))

    def __set__(self, owner: Settings, value: Any) -> None:
        if self.__get__(owner) == value:
            return
        if self._is_tree:
            from gui import records  # the first paint needs none

            value = records.dumps(value)
        owner.store.setValue(self.key, value)
        owner.changed.emit(self.key)

    def _read(self, raw: Any) -> Any:
        if raw is None:
            return self.default
        if isinstance(self.default, bool):  # an ini file gives text back
            return raw if isinstance(raw, bool) else str(raw).lower() == "true"
        if self._is_tree:
            from gui import records

            try:
                value = records.parse(str(raw))
            except ValueError:
                return self.default
            return value if isinstance(value, type(self.default)) else self.default
        value = str(raw)
        return value if not self.choices or value in self.choices else self.default


class Settings(QObject):
    """Typed settings; `changed(key)` fires after a value really changed."""

    changed = Signal(str)

    pictures_folder = StoredSetting("pictures/folder", "")
    """Folder for finished pictures; empty: `gui.paths.pictures_dir()`."""
    appearance = StoredSetting("window/appearance", "system", ("system", "light", "dark"))
    compute_unit = StoredSetting(
        "generate/compute_unit", "ALL", ("ALL", "CPU_AND_GPU", "CPU_AND_NE", "CPU_ONLY")
    )
    previews = StoredSetting("generate/previews", True)
    keep_steps = StoredSetting("generate/keep_steps", True)
    """Whether the previews of a picture's steps are kept, to be played back."""
    reduce_memory = StoredSetting("generate/reduce_memory", False)
    """Whether one network at a time is in memory, even where there is room for all."""
    precision = StoredSetting("generate/precision", "fp32", ("fp32", "bf16"))
    """What networks are computed in where Core ML does not choose."""
    safety_checker = StoredSetting("generate/safety_checker", True)
    model_folders = StoredSetting("models/folders", [])
    """Folders added by reference, in the order they were added."""
    history_begun = StoredSetting("prompts/history_begun", False)
    """Whether the history of prompts has begun, with those of the pictures that were there."""
    draft = StoredSetting("session/draft", {})
    """The prompt panel's last contents, as `Draft.to_json` writes them."""
    selected_model = StoredSetting("session/model", "")
    picture_place = StoredSetting("session/pictures", {})
    """Where the person was, as `gui.state.pictures.place.KeptPlace` writes it."""
    export_options = StoredSetting("export/options", {})
    """How pictures were exported last, as `ExportOptions.to_json` writes it."""
    export_folder = StoredSetting("export/folder", "")
    machine_told = StoredSetting("machine/told", "")
    """What the machine lacks, as it was told."""
    updates = StoredSetting("updates/look", False)
    """Whether to look for a newer Sfumato once a day."""
    updates_looked = StoredSetting("updates/looked", "")
    """When the list of releases came last, in seconds since 1970."""
    updates_serial = StoredSetting("updates/serial", "")
    """Of the newest list that was seen."""
    update_skipped = StoredSetting("updates/skipped", "")
    """The version that the person does not want to hear of again."""

    service = StoredSetting("service/on", False)
    """Whether other programs may ask for pictures."""
    service_port = StoredSetting("service/port", "7860")
    service_elsewhere = StoredSetting("service/elsewhere", False)
    """Whether other computers may, too."""
    service_origins = StoredSetting("service/origins", [])
    """Web pages that may."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.notice = ""
        """A sentence where the settings could not be used as they were; empty: all is well."""
        self.store = self._open()

    def save_layout(self, name: str, state: QByteArray) -> None:
        """Keep a window's geometry or a splitter's sizes under `name`."""
        self.store.setValue(f"layout/{STATE_VERSION}/{name}", state)

    def layout(self, name: str) -> QByteArray | None:
        """What `save_layout` kept, or None."""
        value = self.store.value(f"layout/{STATE_VERSION}/{name}")
        return value if isinstance(value, QByteArray) and not value.isEmpty() else None

    def no_bf16(self) -> str:
        """Why networks are not computed in bfloat16 here, as a sentence; empty where they can
        be."""
        from gui.coreml import precision  # the first paint needs none

        return precision.no_bf16()

    def update(self, option: StoredSetting, change: Callable[[Any], Any]) -> None:
        """Change a list or table that another window may have changed since it was read here."""
        self.store.sync()
        option.__set__(self, change(option.__get__(self)))
        self.store.sync()

    def sync(self) -> None:
        """Write now; also done by Qt from time to time and at exit."""
        self.store.sync()

    def _open(self) -> QSettings:
        """The system's own store, or a file under `SFUMATO_HOME` where that is set.  A store that
        is damaged is kept beside a new one; a folder that is closed to us costs no start."""
        if os.environ.get("SFUMATO_HOME"):
            file = paths.data_dir() / "settings.ini"
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)

            def opened() -> QSettings:
                return QSettings(str(file), QSettings.Format.IniFormat)
        else:

            def opened() -> QSettings:
                return QSettings("Sfumato", "Sfumato")

        store = opened()
        store.allKeys()  # reads the file, whose state is known from then on
        if store.status() is QSettings.Status.FormatError:
            aside = _set_aside(Path(store.fileName()))
            self.notice = (
                f"The settings were damaged and are back to their defaults (the old ones: {aside})."
            )
            store = opened()
        elif store.status() is QSettings.Status.AccessError:
            self.notice = (
                f"“{store.fileName()}” cannot be read, so the settings are at their defaults; "
                "check who may read that file."
            )
        keep_private(Path(store.fileName()))  # QSettings keeps a file's mode when it writes
        return store


def _set_aside(file: Path) -> str:
    """Put a damaged file out of the way; returns where it is now, or was."""
    aside = file.with_name(f"{file.stem}-damaged-{int(time.time())}{file.suffix}")
    keep_private(aside)
    try:
        shutil.copyfile(file, aside)
        file.unlink()
    except OSError as error:
        log.warning("damaged settings could not be set aside: %r", error)
        return str(file)
    return str(aside)
