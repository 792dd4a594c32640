"""What made a picture, as rows for a person and as settings to use again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from gui import words
from gui.errors import SfumatoError
from gui.library.metadata.imported import Imported
from gui.library.picture_origin import PictureOrigin
from gui.request import PictureRecord, described_fields
from gui.state.draft import Draft

__all__ = ["Origin", "Setting", "origin_of"]

_NOT_TOLD = ("count", "compute_unit")
"""Settings that say nothing of one picture."""


@dataclass(frozen=True)
class Setting:
    """One setting of a picture that can be used again."""

    name: str
    """Of the field, as in `described_fields`."""
    label: str
    text: str
    value: Any


@dataclass(frozen=True)
class Origin:
    """What made a picture."""

    settings: tuple[Setting, ...] = ()
    model: str = ""
    """Its name, as the picture has it."""
    model_folder: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """Label and text of what is told beside the settings."""
    left: tuple[tuple[str, str, str], ...] = ()
    """What cannot be used here: its name, its value and why."""
    whole: Draft | None = None
    """Of a picture that was made here: the draft that makes it again."""

    @property
    def empty(self) -> bool:
        return not self.settings

    def text(self) -> str:
        """All of it, a line each, for the clipboard."""
        lines = [f"{setting.label}: {setting.text}" for setting in self.settings]
        if self.model:
            lines.append(f"Model: {self.model}")
        lines += [f"{label}: {text}" for label, text in self.facts]
        return "\n".join(lines)

    def put_into(self, draft: Draft, names: Iterable[str] | None = None) -> Draft:
        """A draft with these settings, by name; None: all of them."""
        every = {setting.name for setting in self.settings}
        wanted = every if names is None else set(names)
        if self.whole is not None and wanted >= every:
            return self.whole
        for setting in self.settings:
            if setting.name in wanted:
                draft = draft.with_value(setting.name, setting.value)
        return draft


def origin_of(found: PictureOrigin) -> Origin:
    """What a picture's file says, for the window."""
    if found.record is not None:
        return _of_record(found.record)
    if found.imported is not None:
        return _of_imported(found.imported)
    return Origin()


def _of_record(record: PictureRecord) -> Origin:
    draft = Draft.from_request(record.request)
    values = {name: draft.value(name) for name in described_fields()}
    if not values.get("start_image.path"):
        values = {n: v for n, v in values.items() if not n.startswith("start_image.")}
    facts = [("Time", words.measured(record.seconds))] if record.seconds else []
    facts += [("Note", note) for note in record.notes]
    facts += _provenance(record)
    return Origin(
        _settings(values),
        record.model_name,
        record.request.model,
        tuple(facts),
        whole=draft,
    )


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
    config = known.scheduler
    spacing, predicts = config.get("timestep_spacing"), config.get("prediction_type")
    way = [str(config.get("_class_name", ""))]
    way += [f"{spacing} timesteps"] if spacing else []
    way += [f"predicts {predicts}"] if predicts else []
    versions = {k: v for k, v in known.versions.items() if k not in ("sfumato", "python")}
    rows = [
        ("From the Hub", source),
        ("Model hash", record.model_hash),
        ("Computed by", used),
        ("Scheduler class", ", ".join(part for part in way if part)),
        ("Made by", record.program),
        ("With", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("On", known.system),
    ]
    return [(name, text) for name, text in rows if text]


def _of_imported(found: Imported) -> Origin:
    values: dict[str, Any] = {
        "prompt": found.prompt,
        "negative_prompt": found.negative_prompt,
        "steps": found.steps,
        "guidance_scale": found.guidance_scale,
        "scheduler": found.scheduler,
        "seed": found.seed,
        "random_source": found.random_source,
    }
    left = [(one.name, one.value, one.why) for one in found.unmapped]
    if found.sampler and found.scheduler is None:
        left.insert(0, ("Sampler", found.sampler, "Sfumato has no such scheduler."))
    if found.strength is not None:
        why = "Its starting picture is not in the file; choose one to use it."
        left.append(("Strength", f"{found.strength:g}", why))
    if found.clip_skip is not None and found.clip_skip > 1:
        left.append(("Clip skip", str(found.clip_skip), "Sfumato has no such setting."))
    for lora, weight in found.loras:
        left.append(("LoRA", f"{lora} ({weight:g})", "A LoRA is part of a converted model here."))
    usable: dict[str, Any] = {}
    for name, value in values.items():
        if value in (None, "") and name != "negative_prompt":
            continue
        try:
            Draft().with_value(name, value).request.validate()
        except SfumatoError as error:
            left.append((described_fields()[name].parameter.label, str(value), error.message))
        else:
            usable[name] = value
    return Origin(
        _settings(usable),
        found.model,
        facts=(("Made with", found.program),),
        left=tuple(left),
    )


def _settings(values: dict[str, Any]) -> tuple[Setting, ...]:
    made: list[Setting] = []
    for name, field in described_fields().items():
        value = values.get(name)
        if name in _NOT_TOLD or value in (None, ()):
            continue
        options = {option.value: option.label for option in field.parameter.options}
        text = options.get(value) or _text(value)
        made.append(Setting(name, field.parameter.label, text, value))
    return tuple(made)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "On" if value else "Off"
    if isinstance(value, tuple):
        return ", ".join(
            str(getattr(one, "name", one)) for one in cast("tuple[object, ...]", value)
        )
    return f"{value:g}" if isinstance(value, float) else str(value)
