"""What a download is to do, as it lies on disk, and the folder that holds it while it runs.

``<models>/.downloads/<id>/`` has ``plan.json`` (this module's `Plan`), ``state.json`` (who paused
it), ``journal`` (`gui.hub.downloads.journal`), ``lock`` (held while a process works on it) and
``model/`` (the files under their final names).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gui import files, locks, names, paths, records
from gui.coreml.control_networks import GENERIC
from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.journal import file_key
from gui.hub.downloads.spans import Layout
from gui.hub.types import RemoteFile, RepoDetails, Variant
from gui.library import loras
from gui.library.addons import home_of
from gui.library.models.origin import fetched_source, local_path
from gui.records import Record

FOLDER = ".downloads"
"""Name, below the models' folder, of what is not a model yet; hidden from the library."""


class Purpose(StrEnum):
    MODEL = "model"
    """Core ML files, to be installed as a model."""
    SOURCE = "source"
    """A diffusers checkpoint, to be converted."""
    REPAIR = "repair"
    """Single files of an installed model."""


@dataclass(frozen=True)
class About(Record):
    """What the model card says, for the sidecar."""

    licence: str = ""
    description: str = ""
    base_model: str = ""
    examples: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    """Of a LoRA: the words that call up what it was taught."""
    picture_url: str = ""
    known: bool = False
    """False: the card has not been read yet."""

    @classmethod
    def of(cls, details: RepoDetails) -> About:
        return cls(
            details.summary.licence,
            details.description,
            details.base_model,
            details.examples,
            details.triggers,
            details.summary.picture_url,
            known=True,
        )


@dataclass(frozen=True)
class Plan(Record):
    """One download, complete: nothing else is needed to go on with it in another process."""

    id: str
    repo: str
    revision: str
    """Commit hash, so that all files are of one state of the repository."""
    title: str
    purpose: Purpose
    variant: Variant
    """Its `files` are what has to be fetched."""
    target: str
    """Where the result goes: below the models' folder, or absolute."""
    about: About = field(default_factory=About)

    def local_path(self, file: RemoteFile) -> str:
        """Where a file lies in the result, relative to its folder."""
        return local_path(self.variant.folder, file.path)

    def layout(self, file: RemoteFile) -> Layout:
        """Which bytes of a file are fetched."""
        return Layout(file.size, self.variant.spans)

    def file_key(self, file: RemoteFile) -> bytes:
        """What the journal calls a file, or these parts of it."""
        parts = "".join(f" {span.start}-{span.end}" for span in self.variant.spans)
        return file_key(self.local_path(file), f"{digest_of(file)}{parts}", file.size)

    @property
    def bytes_total(self) -> int:
        return sum(self.layout(file).bytes for file in self.variant.files)

    def target_folder(self, root: Path) -> Path:
        return root / self.target  # an absolute target replaces the root

    def check(self) -> None:
        """Raise SfumatoError (BAD_MODEL) where the files' names or sizes make no sense."""
        if not self.variant.files:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                "There is nothing to download in this variant; choose another.",
                self.id,
            )
        names.check_distinct(self.local_path(file) for file in self.variant.files)
        spans = self.variant.spans
        try:
            sound = all(self.layout(file).size >= 0 for file in self.variant.files)
        except ValueError:
            sound = False
        if not sound or (spans and not (self.variant.archive and len(self.variant.files) == 1)):
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                "The Hub states a file size that makes no sense; try again later.",
                self.id,
            )


def digest_of(file: RemoteFile) -> str:
    """The Hub's hash of a file: SHA-256 where it states one, else git's SHA-1; or empty."""
    return file.sha256 or file.blob


def download_id(repo: str, variant: str, purpose: Purpose) -> str:
    """A name for a download that is the same in every process, and usable as a folder."""
    digest = hashlib.sha256(f"{repo}\0{variant}\0{purpose}".encode()).hexdigest()[:10]
    readable = names.file_name(f"{repo}--{variant}")[:80].strip(". ")
    return f"{readable}-{digest}"


_ENDINGS = re.compile(r"(?:\.(?:zip|mlmodelc|mlpackage))+$", re.IGNORECASE)


def model_target(repo: str, variant: str) -> str:
    """Folder of an installed variant, below the models' folder.

    It never ends like a Core ML model (as a ControlNet's variant does), or it would be taken for
    one, and the repository's folder for the model.
    """
    name = _ENDINGS.sub("", variant).strip("/")
    return f"{names.file_name(repo)}/{names.file_name('model' if name in ('', '.') else name)}"


def target_of(repo: str, variant: Variant) -> str:
    """Folder of what is installed: below the models' folder, or absolute where it is no model."""
    home = home_of(variant.kind)
    return str(home / addon_name(repo, variant)) if home else model_target(repo, variant.id)


def addon_name(repo: str, variant: Variant) -> str:
    """What a ControlNet, LoRA or upscaler is called: its own name; the repository's where that is
    one that everybody's has."""
    nets = variant.controlnets
    path = variant.id.rpartition("#")[2] or variant.id
    stem = nets[0] if len(nets) == 1 else path.rstrip("/").rpartition("/")[2]
    stem = _ENDINGS.sub("", stem).removesuffix(loras.ENDING)
    if stem.lower() in ("", ".", "model", *GENERIC, *loras.GENERIC):
        stem = repo.rpartition("/")[2]
    return names.file_name(_ENDINGS.sub("", stem))


def source_target(repo: str) -> str:
    return str(paths.sources_dir() / names.file_name(repo))


class WorkFolder:
    """The folder of one download."""

    def __init__(self, root: Path, download: str) -> None:
        self.path = root / FOLDER / download
        self.model = self.path / "model"
        self.unpacked = self.path / "unpacked"
        self.journal = self.path / "journal"

    def save(self, plan: Plan) -> None:
        """Write the plan.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        _write_json(self.path / "plan.json", plan)

    def load(self) -> Plan | None:
        """The plan, or None where there is none that can be read."""
        try:
            plan = records.loads(Plan, (self.path / "plan.json").read_bytes())
            plan.check()
        except (OSError, ValueError, SfumatoError):
            return None
        return plan if plan.id == self.path.name else None

    def remove(self) -> None:
        """Delete it all, the lock last: until then a look at the leftovers passes it over."""
        with contextlib.suppress(OSError):
            for entry in list(self.path.iterdir()):
                if entry.name == "lock":
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def save_state(self, **state: Any) -> None:
        # Losing this costs only the knowledge of who paused it.
        with contextlib.suppress(OSError):
            _write_json(self.path / "state.json", state)

    def load_state(self) -> dict[str, Any]:
        try:
            return files.read_json_object(self.path / "state.json")
        except (OSError, ValueError):
            return {}

    def lock(self) -> int | None:
        """Take the lock that lets one process work here; None where another holds it.

        Raises:
            OSError: the folder is not there, or cannot be written.
        """
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not locks.take(fd):
                os.close(fd)
                return None
        except OSError:
            os.close(fd)
            raise
        if os.fstat(fd).st_nlink == 0:
            # Whoever had it has removed the folder in the meantime: this lock guards nothing.
            os.close(fd)
            return self.lock()
        return fd

    def is_locked(self) -> bool:
        """Whether some process works here.  Asking hinders nobody."""
        try:
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return locks.is_taken(fd)
        except OSError:
            return True
        finally:
            os.close(fd)


def _write_json(path: Path, data: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="ascii") as file:
        file.write(records.dumps(data))
        file.flush()
        os.fsync(file.fileno())  # or a power failure may leave an empty file under that name
    temporary.replace(path)


def is_source_of(plan: Plan, folder: Path) -> bool:
    """Whether a kept checkpoint is just what a plan would fetch, and its files have their sizes.

    They were verified when they came; reading some gigabytes once more would take long.
    """
    if fetched_source(folder) != (plan.repo, plan.revision):
        return False
    try:
        return all(
            (folder / plan.local_path(file)).stat().st_size == file.size
            for file in plan.variant.files
        )
    except OSError:
        return False
