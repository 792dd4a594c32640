"""What made a picture, as rows for a person and as settings to use again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, cast

from gui import words
from gui.control_use import Control, settings_in_words
from gui.errors import SfumatoError
from gui.library import loras
from gui.library.metadata.imported import Imported
from gui.library.metadata.reasons import NO_LORA
from gui.library.metadata.values import as_float, as_int
from gui.library.picture_origin import PictureOrigin, read_origin
from gui.library.picture_record import with_pictures_here
from gui.request import (
    MAX_LORA_WEIGHT,
    MAX_SEED,
    LoraUse,
    PictureRecord,
    PictureRequest,
    Precision,
    RandomSource,
    Tiling,
    described_fields,
)
from gui.start_image import MASK_ALPHA, Outpaint
from gui.state.draft import CONTROLS, SEED, Draft
from gui.syntax.types import PromptSyntax

NO_START_PICTURE = "Its starting picture is not in the file; choose one to use it."
NO_MASK = "It is not in the file; paint or choose one to use it."
NO_DEPTH_MAP = "It is not in the file; choose one to use it."
NO_CONTROL_PICTURE = "It is not here any more; choose it again with the tool Control."
SOURCE = "From the Hub"
BRANCH = "Branch"
"""Label of the fact that tells where a picture left an earlier one's way."""
SIDES = ("width", "height")
_NOT_TOLD = ("count", "compute_unit")
_NOTHING = (None, (), Outpaint())
_OF_MASKS = (
    "start_image.mask_feather",
    "start_image.mask_inverted",
    "start_image.masked_content",
    "start_image.inpaint_area",
)
"""Told only where they had an effect."""
"""Settings that say nothing of one picture."""


@dataclass(frozen=True)
class Setting:
    """One setting of a picture that can be used again."""

    name: str
    """Of the field, as in `described_fields`."""
    label: str
    text: str
    """The value, as it is used here."""
    value: Any
    stated: str = ""
    """As the picture has it, where that is something else."""
    remark: str = ""
    """What a person should know of taking it over, in a sentence; mostly empty."""


@dataclass(frozen=True)
class Origin:
    """What made a picture."""

    settings: tuple[Setting, ...] = ()
    model: str = ""
    """Its name, as the picture has it."""
    model_folder: str = ""
    model_hash: str = ""
    """Of the model's files if it was made here, else of the checkpoint, as its program says it."""
    program: str = ""
    """Who wrote all this; empty: nobody did."""
    size: tuple[int, int] = (0, 0)
    """Pixels the picture was made with; zeros: not stated."""
    facts: tuple[tuple[str, str], ...] = ()
    """Label and text of what is told beside the settings."""
    technical: tuple[tuple[str, str], ...] = ()
    """The same of what only experts ask for."""
    left: tuple[tuple[str, str, str], ...] = ()
    """What cannot be used here: its name, its value and why."""
    request: PictureRequest | None = None
    """Of a picture that was made here: what made it, exactly."""
    whole: Draft | None = None
    """Of a picture that was made here: the draft that makes it again."""
    note: str = ""
    """What of the file could not be read, in a sentence; empty: nothing is amiss."""

    @property
    def ours(self) -> bool:
        """Whether the picture was made here, or by another copy of Sfumato."""
        return self.whole is not None

    @property
    def empty(self) -> bool:
        return not self.settings

    def text(self) -> str:
        """All of it, a line each, for the clipboard."""
        lines = [f"{setting.label}: {setting.text}" for setting in self.settings]
        if self.model:
            lines.append(f"Model: {self.model}")
        lines += [f"{label}: {text}" for label, text in (*self.facts, *self.technical)]
        return "\n".join(lines)

    def put_into(self, draft: Draft, names: Iterable[str] | None = None) -> Draft:
        """A draft with these settings, by name; None: all of them."""
        every = {setting.name for setting in self.settings}
        wanted = every if names is None else {*names}
        if self.whole is not None and wanted >= every:
            return self.whole
        for setting in self.settings:
            if setting.name in wanted:
                draft = draft.with_value(setting.name, setting.value)
        return draft


def read_whole_origin(path: str) -> Origin:
    """What a picture's file says, for the window.  Blocking.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is no picture.
    """
    found = read_origin(Path(path))
    if found.record is not None:
        found = replace(found, record=with_pictures_here(found.record))
    named = found.imported is not None and found.imported.loras
    return origin_of(found, [entry.name for entry in loras.entries()] if named else ())


def origin_of(found: PictureOrigin, known_loras: Iterable[str] = ()) -> Origin:
    """What a picture says, for the window.

    Args:
        known_loras: names of the LoRAs that are here.
    """
    if found.record is not None:
        return _of_record(found.record)
    if found.imported is not None:
        return replace(_of_imported(found.imported, known_loras), note=found.note)
    return Origin(note=found.note)


def _of_record(record: PictureRecord) -> Origin:
    draft = Draft.from_request(record.request)
    left: tuple[tuple[str, str, str], ...] = ()
    start = draft.value("start_image.path")
    if start and not Path(start).is_absolute():  # made elsewhere, so that only its name is known
        left = (("Starting picture", start, NO_START_PICTURE),)
        draft = draft.with_value("start_image.path", "")
    mask = draft.value("start_image.mask")
    if mask and mask != MASK_ALPHA and not Path(mask).is_absolute():
        left += (("Mask", mask, NO_MASK),)
        draft = draft.with_value("start_image.mask", "")
    depth = draft.value("depth_map")
    if depth and not Path(depth).is_absolute():
        left += (("Depth map", depth, NO_DEPTH_MAP),)
        draft = draft.with_value("depth_map", "")
    controls = draft.request.controls
    away = [each for each in controls if not Path(each.picture).is_absolute()]
    if away:
        left += tuple(("Control picture", each.picture, NO_CONTROL_PICTURE) for each in away)
        controls = tuple(replace(c, picture="") if c in away else c for c in controls)
        draft = draft.with_value(CONTROLS, controls)
    values = {name: draft.value(name) for name in described_fields()}
    if not values.get("start_image.path"):
        values = {n: v for n, v in values.items() if not n.startswith("start_image.")}
    began = draft.request.start_image
    if began is None or not began.paints_in:
        values = {n: v for n, v in values.items() if n not in _OF_MASKS}
    facts = [(BRANCH, text) for text in branches_in_words(record.request)]
    facts += [("Time", words.measured(record.seconds))] if record.seconds else []
    facts += [("Note", note) for note in record.notes]
    technical = _provenance(record)
    if technical and technical[0][0] == SOURCE:
        facts.append(technical.pop(0))
    settings = _settings(values)
    if controls:
        settings += (Setting(CONTROLS, "ControlNets", _controls_in_words(controls), controls),)
    return Origin(
        settings,
        record.model_name,
        record.request.model,
        record.model_hash,
        "Sfumato",
        record.drawn_size,
        tuple(facts),
        tuple(technical),
        left,
        whole=draft,
        request=record.request,
    )


def _controls_in_words(controls: Iterable[Control]) -> str:
    """``Canny (0.8, low=50), Depth (1), off``."""
    told: list[str] = []
    for each in controls:
        settings = settings_in_words(each.preprocessor, each.settings)
        inner = ", ".join((f"{each.weight:g}", *([settings] if settings else [])))
        told.append(f"{PurePath(each.network).stem} ({inner})" + ("" if each.on else ", off"))
    return ", ".join(told)


def branches_in_words(request: PictureRequest) -> list[str]:
    """Where a picture left the ways of earlier ones, the last one first."""
    found: list[str] = []
    while (branch := request.branch) is not None:
        request = branch.earlier
        settings = [f"seed {request.seed}"]
        settings += [words.plural(request.steps, "step")] if request.steps else []
        settings += [request.scheduler] if request.scheduler else []
        settings += [f"guidance {request.guidance_scale:g}"] if request.guidance_scale else []
        told = ", ".join(settings)
        found.append(f"After step {branch.step} of “{' '.join(request.prompt.split())}” ({told})")
    return found


def _provenance(record: PictureRecord) -> list[tuple[str, str]]:
    """What decided the picture's numbers beside its settings; what is not known is left out."""
    known = record.provenance
    source = " at ".join(part for part in (known.source_repo, known.source_revision[:12]) if part)
    unit = described_fields()["compute_unit"].parameter.options
    used = {"native": "Core ML", "portable": "the portable runtime, on the CPU"}.get(
        known.runtime, ""
    )
    if known.runtime == "native":
        labels = {option.value: option.label for option in unit}
        used = f"{used}, {labels.get(record.request.compute_unit, '')}"
    elif known.precision == Precision.BF16:
        used = f"{used}, in bfloat16"
    config = known.scheduler
    spacing, predicts = config.get("timestep_spacing"), config.get("prediction_type")
    way = [str(config.get("_class_name", ""))]
    way += [f"{spacing} timesteps"] if spacing else []
    way += [f"predicts {predicts}"] if predicts else []
    versions = {k: v for k, v in known.versions.items() if k not in ("sfumato", "python")}
    rows = [
        (SOURCE, source),
        ("Model hash", record.model_hash),
        ("Computed by", used),
        ("Scheduler class", ", ".join(part for part in way if part)),
        ("Made by", record.program),
        ("With", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("On", known.system),
    ]
    return [(name, text) for name, text in rows if text]


def _of_imported(found: Imported, known_loras: Iterable[str]) -> Origin:
    taken: dict[str, Any] = {}
    stated: dict[str, str] = {}
    remarks = dict(found.remarks)
    left = [(one.name, one.value, one.why) for one in found.unmapped]

    def take(name: str, value: Any) -> None:
        """One value, moved into its range where it lies outside."""
        near = _within(name, value)
        if near != value:
            stated[name] = _text(value)
            remarks[name] = _why_moved(name, found)
        try:
            Draft().with_value(name, near).request.validate()
        except SfumatoError as error:
            left.append((described_fields()[name].parameter.label, _text(value), error.message))
        else:
            taken[name] = near

    for name, value in _values_of(found).items():
        if value not in (None, "") or name == "negative_prompt":
            take(name, value)
    for name, text in found.more.items():
        value = _read(name, text)
        if value is not None:
            take(name, value)
    if found.sampler and found.scheduler != found.sampler:
        stated["scheduler"] = found.sampler
    if found.scheduler is None and found.sampler and all(n != "Sampler" for n, _, _ in left):
        left.insert(0, ("Sampler", found.sampler, "Sfumato has no such scheduler."))
    if found.start_picture:
        left.append(("Starting picture", found.start_picture, NO_START_PICTURE))
    if found.strength is not None:
        remarks["start_image.strength"] = NO_START_PICTURE
    uses = _loras_here(found, known_loras)
    for lora, weight in found.loras:
        if lora not in uses:
            left.append(("LoRA", f"{lora} ({weight:g})", NO_LORA))
    if uses:
        take("loras", tuple(uses.values()))
        stated["loras"] = ", ".join(f"{lora} ({weight:g})" for lora, weight in found.loras)
    return Origin(
        _settings(taken, stated, remarks),
        found.model,
        model_hash=found.model_hash,
        program=found.program,
        size=(found.width or 0, found.height or 0),
        facts=(("Made with", found.program),),
        left=tuple(left),
    )


def _loras_here(found: Imported, known: Iterable[str]) -> dict[str, LoraUse]:
    """Those of a picture's LoRAs that are in the library, by the name the picture has for them."""
    here = {name.casefold(): name for name in known}
    uses: dict[str, LoraUse] = {}
    for lora, weight in found.loras:
        plain = PurePath(lora.replace("\\", "/")).name.casefold()
        name = here.get(plain) or here.get(plain.rpartition(".")[0])
        if name is not None:
            near = min(MAX_LORA_WEIGHT, max(-MAX_LORA_WEIGHT, weight))
            uses[lora] = LoraUse(name, near)
    return uses


def _values_of(found: Imported) -> dict[str, Any]:
    """By the names of the request's fields."""
    return {
        "prompt": found.prompt,
        "negative_prompt": found.negative_prompt,
        "steps": found.steps,
        "guidance_scale": found.guidance_scale,
        "scheduler": found.scheduler,
        "seed": found.seed,
        "random_source": found.random_source,
        "start_image.strength": found.strength,
        "width": found.width,
        "height": found.height,
        "clip_skip": found.clip_skip if found.clip_skip and found.clip_skip > 1 else None,
    }


def _read(name: str, text: str) -> Any:
    """A value that stands as text in a picture, as the field wants it; None: it makes no sense."""
    kind = described_fields()[name].kind
    if kind is bool:
        return text.strip().casefold() in ("true", "1", "yes", "on")
    if kind is int:
        return as_int(text)
    if kind is float:
        return as_float(text)
    if kind in (PromptSyntax, Tiling):
        values: Iterable[PromptSyntax | Tiling] = kind
        return next((each for each in values if each.value == text.strip().casefold()), None)
    return text if kind is str else None


def _within(name: str, value: Any) -> Any:
    """The value next to it that the field takes; of a seed, its last 32 bits."""
    bounds = described_fields()[name].range
    if name in SIDES:
        step = int(described_fields()[name].parameter.step)
        value = round(value / step) * step
    if bounds is None or isinstance(value, (str, bool)):
        return value
    if name == SEED:
        return value & MAX_SEED if value >= 0 else value
    return type(value)(min(max(value, bounds.low), bounds.high))


def _why_moved(name: str, found: Imported) -> str:
    if name in SIDES:
        return "Sides are multiples of 64 here."
    if name != SEED:
        return "It is moved to the nearest value there is here."
    if found.random_source is RandomSource.TORCH:
        return "Seeds have 32 bits here. The last 32 are taken, and give the same noise."
    return "Seeds have 32 bits here. The last 32 are taken, so the noise is another one."


def _settings(
    values: dict[str, Any],
    stated: Mapping[str, str] = MappingProxyType({}),
    remarks: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Setting, ...]:
    made: list[Setting] = []
    for name, field in described_fields().items():
        value = values.get(name)
        if name in _NOT_TOLD or value in _NOTHING:
            continue
        options = {option.value: option.label for option in field.parameter.options}
        text = options.get(value) or _text(value)
        label = field.parameter.label
        as_told = stated.get(name, "")
        made.append(Setting(name, label, text, value, as_told, remarks.get(name, "")))
    return tuple(made)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "On" if value else "Off"
    if isinstance(value, LoraUse):
        return f"{PurePath(value.name).name} ({value.weight:g})" + ("" if value.on else ", off")
    if isinstance(value, tuple) and value and isinstance(value[0], LoraUse):
        return ", ".join(_text(one) for one in cast("tuple[LoraUse, ...]", value))
    if isinstance(value, tuple):
        return ", ".join(
            str(getattr(one, "name", one)) for one in cast("tuple[object, ...]", value)
        )
    return f"{value:g}" if isinstance(value, float) else str(value)
