"""`sfumato.json`: what a model's files do not say of themselves.

Core ML files state neither prediction type nor latent scale nor scheduler.  The sidecar does; it
lies in the model's folder, or (for folders that are not ours) in the library's own records.  Fields
that were guessed by `gui.coreml.infer` are listed in `inferred` and shown as such.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self, cast

from gui import records
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import UnreadableFile, read_json_object
from gui.records import NotZero, OneOf, Range, Record, RecordError
from gui.request import Composition, Enlargement

FILE_NAME = "sfumato.json"
PATCH = "patch"
"""Key among `Sidecar.extra` under which a model that was made from another finished one says how:
its LoRAs, its size."""
FORMAT = 1
CHECKPOINT_SHA256 = "checkpoint_sha256"
"""In `Sidecar.extra`, under ``conversion``: the hash of the single file a model was made from."""
PREDICTION_TYPES = ("epsilon", "v_prediction", "sample", "flow_prediction")
"""What a UNet may predict, as diffusers names them."""
_COUNT = Range(0, 2**31)
"""Of steps and token ids."""


@dataclass(frozen=True)
class Preview(Record):
    """Linear map latents → RGB in −1…1: ``rgb = x0 · matrix + bias`` (rows are latent channels)."""

    matrix: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ModelCard(Record):
    """What the model says to a person."""

    description: str = ""
    subjects: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    licence: str = ""


@dataclass(frozen=True)
class Sidecar(Record):
    family: Family
    prediction_type: Annotated[str, OneOf(PREDICTION_TYPES)] = "epsilon"
    scaling_factor: Annotated[float, NotZero()] = 0.18215
    """Latents are (encoder output − shift_factor) × scaling_factor."""
    shift_factor: float = 0.0
    scheduler_config: dict[str, Any] = field(default_factory=dict)
    """diffusers scheduler settings (betas, steps_offset, timestep_spacing …)."""
    default_scheduler: str = ""
    """User-known name, e.g. ``DPM++ 2M Karras``; empty: the family's default."""
    default_steps: Annotated[int, _COUNT] = 0
    default_guidance_scale: float = 0.0
    default_enlargement: Enlargement = Enlargement.OFF
    default_upscaler: str = ""
    """Name of the upscaler that suits its pictures; empty: the one for photographs."""
    pad_token_ids: tuple[Annotated[int, _COUNT], ...] = ()
    """Padding token per text encoder; empty: the family's (49407 for SD1, 0 for SD2 …)."""
    force_zeros_for_empty_prompt: bool = False
    preview: Preview | None = None
    name: str = ""
    source_repo: str = ""
    source_revision: str = ""
    card: ModelCard = field(default_factory=ModelCard)
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 by path relative to the folder."""
    inferred: tuple[str, ...] = ()
    """Names of fields that were guessed from the files."""
    default_composition: Composition = Composition.MODEL
    """Varied: it draws every subject in the middle, at one size and from one side."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further settings a tool wants to keep (conversion options …)."""

    def noted(self, key: str) -> dict[str, Any]:
        """The table that a tool keeps under a key of `extra`; empty where there is none."""
        table = self.extra.get(key)
        return cast("dict[str, Any]", table) if isinstance(table, dict) else {}

    @property
    def tells_source(self) -> bool:
        """Whether it says what the model was made from: a repository on the Hub, a checkpoint that
        was converted here, or what its makers say of it."""
        noted = self.noted("conversion") or self.noted("hub")
        return bool(self.source_repo or self.card.description or noted)

    def to_json(self) -> dict[str, Any]:
        told = {"format": FORMAT, **super().to_json()}
        for name in ("default_enlargement", "default_upscaler", "default_composition"):
            if getattr(self, name) == getattr(Sidecar, name):
                del told[name]  # of no interest to other tools
        return told

    @classmethod
    def from_json(cls, data: Any, where: str = FILE_NAME) -> Self:
        """Read and check a sidecar; unknown keys are ignored, bad values are refused.

        Raises:
            SfumatoError: BAD_MODEL, naming the field.
        """

        def bad(what: str) -> SfumatoError:
            return SfumatoError(
                ErrorKind.BAD_MODEL, f"The model's {FILE_NAME} {what}; get the model again.", where
            )

        if not isinstance(data, dict):
            raise bad("is not a JSON object")
        if data.get("format", FORMAT) != FORMAT:
            raise bad(f"has format {data.get('format')!r:.80}, which this version does not know")
        try:
            return records.from_plain(cls, _without_nulls(data))
        except RecordError as error:
            raise bad(
                f"has a value that makes no sense ({str(error).rstrip('.')[:200]})"
            ) from error


def _without_nulls(data: dict[str, Any]) -> dict[str, Any]:
    """Other tools write null where they have nothing to say; so do we, of the preview."""
    ours = ("card", "preview")
    return {
        name: _without_nulls(value) if name in ours and isinstance(value, dict) else value
        for name, value in data.items()
        if value is not None
    }


def read(folder: Path) -> Sidecar | None:
    """The sidecar in `folder`, or None if there is none.

    Raises:
        SfumatoError: BAD_MODEL for a file that is no JSON or holds nonsense.
    """
    stated = read_stated(folder)
    return stated[0] if stated else None


def read_stated(folder: Path) -> tuple[Sidecar, frozenset[str]] | None:
    """The sidecar in `folder` and the names of the fields its file states, or None.

    Raises:
        SfumatoError: BAD_MODEL for a file that is no JSON or holds nonsense.
    """
    path = folder / FILE_NAME
    try:
        data = read_json_object(path, finite=True)
    except FileNotFoundError:
        return None
    except UnreadableFile as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model's {FILE_NAME} {error}; mend it, or delete it to go by the files alone.",
            str(path),
        ) from error
    return Sidecar.from_json(data, str(path)), frozenset(data)


def write(folder: Path, sidecar: Sidecar, fields: Collection[str] | None = None) -> None:
    """Write atomically.

    Args:
        folder: the model's folder.
        sidecar: what to write.
        fields: names of the fields to state, the others being left to `gui.coreml.infer`; None:
            all of them.

    Raises:
        SfumatoError: STORAGE where the folder cannot be written.
    """
    import os

    path = folder / FILE_NAME
    temporary = path.with_name(f".{FILE_NAME}.{os.getpid()}")
    try:
        data = sidecar.to_json()
        if fields is not None:
            data = {k: v for k, v in data.items() if k in fields or k == "format"}
        text = records.dumps(data, indent=1, ascii_only=False)
        # JSON from elsewhere may hold halves of characters; they become question marks.
        temporary.write_text(text + "\n", encoding="utf-8", errors="replace")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, f"“{FILE_NAME}” cannot be written into “{folder.name}”") from error
