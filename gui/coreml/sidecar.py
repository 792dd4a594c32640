"""`sfumato.json`: what a model's files do not say of themselves.

Core ML files state neither prediction type nor latent scale nor scheduler.  The sidecar does; it
lies in the model's folder, or (for folders that are not ours) in the library's own records.  Fields
that were guessed by `gui.coreml.inspect.infer_sidecar` are listed in `inferred` and shown as such.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError

FILE_NAME = "sfumato.json"
FORMAT = 1
_MAX_COUNT = 2**31
"""Of steps and token ids."""


@dataclass(frozen=True)
class Preview:
    """Linear map latents → RGB in −1…1: ``rgb = x0 · matrix + bias`` (rows are latent channels)."""

    matrix: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Card:
    """What the model says to a person."""

    description: str = ""
    subjects: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    licence: str = ""


@dataclass(frozen=True)
class Sidecar:
    family: Family
    prediction_type: str = "epsilon"
    """``epsilon``, ``v_prediction`` or ``sample``, as diffusers names them."""
    scaling_factor: float = 0.18215
    """Latents are (encoder output − shift_factor) × scaling_factor."""
    shift_factor: float = 0.0
    scheduler_config: dict[str, Any] = field(default_factory=dict)
    """diffusers scheduler settings (betas, steps_offset, timestep_spacing …)."""
    default_scheduler: str = ""
    """User-known name, e.g. ``DPM++ 2M Karras``; empty: the family's default."""
    default_steps: int = 0
    default_guidance_scale: float = 0.0
    pad_token_ids: tuple[int, ...] = ()
    """Padding token per text encoder; empty: the family's (49407 for SD1, 0 for SD2 …)."""
    force_zeros_for_empty_prompt: bool = False
    preview: Preview | None = None
    name: str = ""
    source_repo: str = ""
    source_revision: str = ""
    card: Card = field(default_factory=Card)
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 by path relative to the folder."""
    inferred: tuple[str, ...] = ()
    """Names of fields that were guessed from the files."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further settings a tool wants to keep (conversion options …)."""

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Any, where: str = FILE_NAME) -> Sidecar:
        """Read and check a sidecar; unknown keys are ignored, bad values are refused.

        Raises:
            SfumatoError: BAD_MODEL, naming the field.
        """

        def bad(what: str) -> SfumatoError:
            return SfumatoError(ErrorKind.BAD_MODEL, f"The model's {FILE_NAME} {what}.", where)

        if not isinstance(data, dict):
            raise bad("is not a JSON object")
        if data.get("format", FORMAT) != FORMAT:
            raise bad(f"has format {data.get('format')!r:.80}, which this version does not know")
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known and v is not None}
        try:
            values["family"] = Family(values["family"])
            for name, check in _CHECKS.items():
                if name in values:
                    values[name] = check(name, values[name])
            if values.get("scaling_factor", 1.0) == 0.0:
                raise ValueError("scaling_factor is 0")
            if values.get("prediction_type", "epsilon") not in (
                "epsilon",
                "v_prediction",
                "sample",
                "flow_prediction",
            ):
                raise ValueError("prediction_type is unknown")
            if "preview" in values:
                values["preview"] = _preview(values["preview"])
            if "card" in values:
                c = dict(values["card"])
                names = ("subjects", "backgrounds", "examples")
                lists = {k: tuple(str(s) for s in c.get(k, ())) for k in names}
                values["card"] = Card(
                    str(c.get("description", "")), **lists, licence=str(c.get("licence", ""))
                )
            return cls(**values)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise bad(f"has a value that makes no sense ({str(error)[:200]})") from error


# What values may be; each raises ValueError, TypeError or OverflowError for anything else.


def _is(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r:.80}")
    return value


def _text(name: str, value: Any) -> str:
    return _is(name, value, str)


def _flag(name: str, value: Any) -> bool:
    return _is(name, value, bool)


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def _count(name: str, value: Any) -> int:
    if not 0 <= _is(name, value, int) <= _MAX_COUNT:
        raise ValueError(f"{name} is {value!r:.80}")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(f"{name} is {value}")
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{name} is not finite")
    return number


def _counts(name: str, value: Any) -> tuple[int, ...]:
    return tuple(_count(name, one) for one in _list(name, value))


def _texts(name: str, value: Any) -> tuple[str, ...]:
    return tuple(_text(name, one) for one in _list(name, value))


def _list(name: str, value: Any) -> list[Any]:
    return list(_is(name, value, list if isinstance(value, list) else tuple))


def _hashes(name: str, value: Any) -> dict[str, str]:
    return {path: _text(name, one) for path, one in _object(name, value).items()}


def _preview(value: Any) -> Preview:
    def row(numbers: Any) -> tuple[float, float, float]:
        red, green, blue = (_number("preview", n) for n in numbers)
        return red, green, blue

    return Preview(tuple(row(r) for r in value["matrix"]), row(value.get("bias", (0, 0, 0))))


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "prediction_type": _text,
    "scaling_factor": _number,
    "shift_factor": _number,
    "scheduler_config": _object,
    "default_scheduler": _text,
    "default_steps": _count,
    "default_guidance_scale": _number,
    "pad_token_ids": _counts,
    "force_zeros_for_empty_prompt": _flag,
    "name": _text,
    "source_repo": _text,
    "source_revision": _text,
    "hashes": _hashes,
    "inferred": _texts,
    "extra": _object,
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
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"The model's {FILE_NAME} cannot be read.", f"{path}: {error}"
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
        text = json.dumps(data, indent=1, ensure_ascii=False)
        # JSON from elsewhere may hold halves of characters; they become question marks.
        temporary.write_text(text + "\n", encoding="utf-8", errors="replace")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SfumatoError(
            ErrorKind.STORAGE, f"The folder of the model cannot be written: {folder}", str(error)
        ) from error
