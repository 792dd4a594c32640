"""A measurement as it is published and compared: a table, JSON, two computers beside each other.

The JSON has one result for each compute unit, with what peers publish of theirs: model, chip, unit,
picture size, steps, seconds for the picture and iterations per second (as in the READMEs of
apple/ml-stable-diffusion and of Hugging Face's swift-coreml-diffusers).  Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gui import words
from gui.coreml.model import Attention
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, parse_json, path_error, read_text
from gui.library.unit_times import Measurement, UnitOutcome, UnitTimes
from gui.measure.telling import choice_sentence, plan_lines, rows, unit_name
from gui.records import RecordError
from gui.request import Precision

FORMAT = "sfumato-bench 1"
_MAX_BYTES = 10_000_000


def published(measurement: Measurement) -> dict[str, Any]:
    """Plain values for a JSON file; `read` takes them back."""
    computer = measurement.computer
    return {
        "format": FORMAT,
        "results": [_result(times, measurement) for times in measurement.units],
        "machine": {
            "chip": computer.chip,
            "cores": computer.cores,
            "memory_gb": round(computer.memory_bytes / 2**30, 1),
            "system": computer.system,
            "build": computer.build,
        },
        "measurement": measurement.to_json(),
    }


def _result(times: UnitTimes, measurement: Measurement) -> dict[str, Any]:
    ran = times.outcome is UnitOutcome.MEASURED
    return {
        "model": measurement.model,
        "model_hash": measurement.model_hash,
        "attention": measurement.attention,
        "compression": measurement.compression,
        "chip": measurement.computer.chip,
        "runtime": measurement.computer.runtime,
        "precision": measurement.precision.value,
        "unit": times.unit.value,
        "width": measurement.width,
        "height": measurement.height,
        "steps": times.steps,
        "seconds": round(times.seconds, 3) if ran else None,
        "it_per_s": round(1 / times.per_step, 4) if ran and times.per_step > 0 else None,
        "first_start_seconds": round(times.start, 2) if ran else None,
        "outcome": times.outcome.value,
    }


def read(file: Path) -> Measurement:
    """What `published` was written of.

    Raises:
        SfumatoError: STORAGE where it cannot be read, BAD_REQUEST where it is something else.
    """
    try:
        data = parse_json(read_text(file, _MAX_BYTES))
        if isinstance(data, dict) and data.get("format") == FORMAT:
            return Measurement.from_json(data["measurement"])
    except OSError as error:
        raise path_error(file, error) from error
    except (UnreadableFile, RecordError, KeyError) as error:
        raise _foreign(file, str(error)) from error
    raise _foreign(file, "another format")


def _foreign(file: Path, why: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_REQUEST,
        f"{words.quoted(file.name)} is no file of figures; give one that `sfumato bench --json` "
        "wrote.",
        f"{file}: {why}",
    )


def table(measurement: Measurement) -> list[str]:
    """The figures of each unit, as lines of aligned text."""
    computer = measurement.computer
    first = " · ".join(
        part
        for part in (
            words.plain(measurement.model),
            words.pixels(measurement.width, measurement.height),
            _attention(measurement),
            words.plain(computer.chip),
            "bfloat16" if measurement.precision is Precision.BF16 else "",
            words.plain(f"{computer.system} {computer.build}".strip()),
        )
        if part
    )
    lines = [("", "speed", "picture", "first start")]
    notes: list[str] = []
    for row in rows(measurement):
        times = measurement.of(row.unit)
        assert times is not None
        if row.speed:
            picture = f"{words.measured(times.seconds)}, {words.plural(times.steps, 'step')}"
            lines.append((row.name, row.speed, picture, row.start))
        else:
            lines.append((row.name, "–", "–", "–"))
            notes.append(f"{row.name}: {words.plain(row.note)}")
        notes += (f"{row.name}: {line}." for line in plan_lines(times.parts))
    last = choice_sentence(measurement)
    return [
        first,
        "",
        *aligned(lines),
        *([""] if notes or last else []),
        *notes,
        *filter(None, [last]),
    ]


def _attention(measurement: Measurement) -> str:
    known = measurement.attention and measurement.attention != Attention.UNKNOWN.value
    return words.attention(measurement.attention) if known else ""


def comparison(here: Measurement, there: Measurement) -> list[str]:
    """Two computers beside each other, unit by unit."""
    lines = [("", _place(here), _place(there), "ratio")]
    units = [*(times.unit for times in here.units)]
    units += [times.unit for times in there.units if times.unit not in units]
    for unit in units:
        one, other = here.of(unit), there.of(unit)
        ratio = ""
        if one and other and min(one.per_step, other.per_step) > 0:
            ratio = f"{other.per_step / one.per_step:.2f} ×"
        name = unit_name(unit, here.computer if one else there.computer)
        lines.append((name, _speed(one), _speed(other), ratio))
    found = aligned(lines)
    size = (here.width, here.height), (there.width, there.height)
    if here.model_hash != there.model_hash:
        names = words.quoted(here.model), words.quoted(there.model)
        found.append(f"These are two models: {names[0]} and {names[1]}.")
    if size[0] != size[1]:
        found.append(
            f"Their pictures differ in size: {words.pixels(*size[0])} and {words.pixels(*size[1])}."
        )
    return found


def _place(measurement: Measurement) -> str:
    computer = measurement.computer
    memory = f" {words.memory(computer.memory_bytes)}" if computer.memory_bytes else ""
    return words.plain(f"{computer.chip}{memory}")


def _speed(times: UnitTimes | None) -> str:
    ran = times is not None and times.outcome is UnitOutcome.MEASURED
    return words.iterations(times.per_step) if ran and times is not None else "–"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns, the first to the left, figures to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
