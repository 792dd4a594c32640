"""What a Core ML file on the Hub takes, gives and is made of, from its small files alone.

A package states all in its specification.  A compiled model has `metadata.json`, which mostly says
enough; where it does not (old ones leave shapes out, few tell mixed compression) the program's text
is read instead.  What comes out is the same `Description` that a file on disk gets.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gui.coreml import compiled, package, proto
from gui.coreml.model import Attention, FileFormat, TensorSpec
from gui.coreml.sidecar import FILE_NAME, Sidecar
from gui.coreml.survey import Description, Survey
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, parse_json
from gui.hub.types import RemoteFile
from gui.hub.variants.inventory import Bundle
from gui.hub.variants.probe import MAX_READ, Probe, ProbeLimit

THREADS = 4
"""Reads at once."""

MAX_METADATA = 2**20
"""Bytes; real ones have 3 to 15 kB."""

_SPEC_VERSIONS = {"12": 6, "13": 7, "14": 8, "15": 9, "26": 10}
"""Core ML specification version by macOS (coremltools' deployment targets)."""

_DTYPES = {"Float16": "fp16", "Float32": "fp32", "Double": "fp64", "Int32": "int32", "Int8": "int8"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PALETTE = re.compile(r"Palettized \((\d+) bits?\)")
_COMPRESSED = ("constexpr_", "quantize", "dequantize")

V1_SLICES = 1.5
"""slice_by_index per einsum in SPLIT_EINSUM: each head cuts queries, keys and values once and
multiplies twice."""
V1_SPARE = 16
"""Slices a UNet has besides (its timestep embedding swaps two halves)."""
V2_SLICES = 1.45
"""SPLIT_EINSUM_V2 cuts the queries of a head into n ≥ 2 slices: n + 3 cuts for 2 n products."""


def describe(bundle: Bundle, probe: Probe) -> Description:
    """Read one bundle's description.

    Raises:
        SfumatoError: BAD_MODEL or UNSUPPORTED for its contents; what `probe` raises.
        ProbeLimit: its description is too long to be read.
    """
    path = Path(bundle.name)
    try:
        if bundle.format is FileFormat.PACKAGE:
            if bundle.specification is None:
                raise SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"{bundle.name} lacks its description; choose another variant.",
                )
            data = _whole(bundle.specification, probe)
            return package.describe_spec(proto.parse_spec(data, bundle.name, bundle.path), path)
        return _describe_compiled(bundle, probe, path)
    except (ValueError, LookupError, ArithmeticError, TypeError, RecursionError) as error:
        # As in gui.coreml.inspect: a file may parse and yet say what makes no sense.
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The description in {bundle.name} makes no sense; choose another variant.",
            repr(error),
        ) from error


def _whole(file: RemoteFile, probe: Probe) -> bytes:
    if file.size > MAX_READ:
        raise ProbeLimit
    return probe.read(file, 0, file.size)


def _describe_compiled(bundle: Bundle, probe: Probe, path: Path) -> Description:
    metadata: dict[str, Any] = {}
    if bundle.metadata is not None and 0 < bundle.metadata.size <= MAX_METADATA:
        metadata = compiled.parse_metadata(_whole(bundle.metadata, probe))
        stated = _from_metadata(metadata, path)
        if stated is not None:
            return stated
    if not bundle.programs:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{bundle.name} lacks its program (model.mil); choose another variant.",
        )
    texts = [_whole(file, probe).decode("utf-8") for file in bundle.programs]
    return compiled.describe_program(path, texts, metadata)


# metadata.json


class _StatedSurvey(Survey):
    """Stands in for a program that was not read."""

    def __init__(self, attention: Attention, compression: str) -> None:
        super().__init__()
        self._attention = attention
        self._compression = compression

    @property
    def attention(self) -> Attention:
        return self._attention

    @property
    def compression(self) -> str:
        return self._compression


def _from_metadata(metadata: dict[str, Any], path: Path) -> Description | None:
    """A description, or None where something it needs is not stated."""
    histogram = metadata.get("mlProgramOperationTypeHistogram")
    inputs, outputs = (_schema(metadata.get(k)) for k in ("inputSchema", "outputSchema"))
    if not isinstance(histogram, dict) or not inputs or not outputs:
        return None
    if not all(t.shape for t in inputs):
        return None
    operations: Counter[str] = Counter()
    for name, count in histogram.items():
        if isinstance(count, int) and not isinstance(count, bool):
            operations[_operation(str(name))] += count
    attention = attention_by_counts(operations)
    compression = _compression(operations, str(metadata.get("storagePrecision", "")))
    version = _spec_version(metadata)
    if attention is None or compression is None or not version:
        return None
    return Description(
        path=path,
        format=FileFormat.COMPILED,
        inputs=inputs,
        outputs=outputs,
        survey=_StatedSurvey(attention, compression),
        spec_version=version,
        metadata=compiled.text_fields(metadata),
    )


def _operation(name: str) -> str:
    """``Ios16.sliceByIndex``, ``SliceByIndex`` and ``Ios16.slice_by_index`` are one operation."""
    return _CAMEL.sub("_", name.rpartition(".")[2]).lower()


def attention_by_counts(operations: Counter[str]) -> Attention | None:
    """Apple's attention kind from how often each operation occurs; None where that cannot tell."""
    products = operations["einsum"]
    if not products:
        plain = operations["softmax"] or operations["scaled_dot_product_attention"]
        return Attention.ORIGINAL if plain else Attention.UNKNOWN
    slices = operations["slice_by_index"]
    if V1_SLICES * products <= slices <= V1_SLICES * products + V1_SPARE:
        return Attention.SPLIT_EINSUM
    if products < 2 * slices < 2 * V2_SLICES * products:  # fewer: not cut by slicing at all
        return Attention.SPLIT_EINSUM_V2
    return None


def _compression(operations: Counter[str], precision: str) -> str | None:
    """As `Survey.compression` words it; None where the program has to be read."""
    packed = {kind for kind in operations if kind.startswith(_COMPRESSED) and operations[kind]}
    bits = {int(b) for b in _PALETTE.findall(precision)}
    if not packed:
        # Newer compilers may leave weights' own operations out of the histogram.
        return "" if not bits and "Int" not in precision else None
    if packed == {"constexpr_lut_to_dense"} and len(bits) == 1:
        return f"{bits.pop()}-bit palette"
    return None


def _schema(entries: Any) -> tuple[TensorSpec, ...]:
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            optional = str(entry.get("isOptional", "0")) == "1"
            dtype = "image" if entry.get("type") == "Image" else entry.get("dataType", "")
            shape, flexible = compiled.shapes_of(entry)
            found.append(
                TensorSpec(entry["name"], _DTYPES.get(dtype, str(dtype)), shape, optional, flexible)
            )
    return tuple(found)


def _spec_version(metadata: dict[str, Any]) -> int:
    version = metadata.get("specificationVersion")
    if isinstance(version, int) and 0 < version < 100:
        return version
    available = metadata.get("availability")
    macos = str(available.get("macOS", "")) if isinstance(available, dict) else ""
    return _SPEC_VERSIONS.get(macos.partition(".")[0], 0)


# Several


class Reader:
    """Describes many bundles, a few at a time; remembers what it read and what went wrong.

    A file that cannot be had leaves its bundle undescribed: names and sizes must do then.
    """

    def __init__(self) -> None:
        self.trouble: SfumatoError | None = None
        """The first failure to read from the Hub; nothing is tried after it."""
        self.limited = False
        """Some bundles were left undescribed because enough had been read."""
        self._known: dict[tuple[str, ...], Description | SfumatoError] = {}
        self._sidecars: dict[str, Sidecar | SfumatoError] = {}
        self._lock = threading.Lock()

    def sidecar(self, file: RemoteFile | None) -> Sidecar | SfumatoError | None:
        """A `sfumato.json`, why it cannot be used, or None if it was not read."""
        return self._sidecars.get(file.blob or file.path) if file is not None else None

    def read_sidecars(self, wanted: Iterable[tuple[RemoteFile, Probe]]) -> None:
        """Read the few that there are."""
        for file, probe in wanted:
            key = file.blob or file.path
            if key in self._sidecars or self.trouble is not None or file.size > MAX_METADATA:
                continue
            try:
                data = parse_json(_whole(file, probe), finite=True)
                self._sidecars[key] = Sidecar.from_json(data, file.path)
            except ProbeLimit:
                self.limited = True
            except SfumatoError as error:
                if error.kind is ErrorKind.BAD_MODEL:
                    self._sidecars[key] = error
                else:
                    self.trouble = error
            except UnreadableFile as error:
                self._sidecars[key] = SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"The model's {FILE_NAME} {error}; choose another variant.",
                    file.path,
                )

    def known(self, bundle: Bundle) -> Description | SfumatoError | None:
        """A bundle's description, why it has none, or None if it was not read."""
        return self._known.get(_identity(bundle))

    def read(self, wanted: Iterable[tuple[Bundle, Probe]]) -> None:
        """Describe bundles, the first ones first; those that were described cost nothing."""
        todo: dict[tuple[str, ...], tuple[Bundle, Probe]] = {}
        for bundle, probe in wanted:
            key = _identity(bundle)
            if key not in self._known:
                todo.setdefault(key, (bundle, probe))
        if not todo:
            return
        with ThreadPoolExecutor(min(THREADS, len(todo)), "probe") as pool:
            list(pool.map(self._read_one, todo, todo.values()))

    def _read_one(self, key: tuple[str, ...], wanted: tuple[Bundle, Probe]) -> None:
        if self.trouble is not None:
            return
        try:
            found: Description | SfumatoError = describe(*wanted)
        except ProbeLimit:
            self.limited = True
            return
        except SfumatoError as error:
            if error.kind not in (ErrorKind.BAD_MODEL, ErrorKind.UNSUPPORTED):
                with self._lock:
                    self.trouble = self.trouble or error
                return
            found = error
        with self._lock:
            self._known[key] = found


def _identity(bundle: Bundle) -> tuple[str, ...]:
    """Equal for bundles whose small files are the same to the byte."""
    parts: list[RemoteFile | None] = [bundle.specification]
    if bundle.format is FileFormat.COMPILED:
        parts = [bundle.metadata, *bundle.programs]
    hashes = [(f.sha256 or f.blob or f.path) if f else "" for f in parts]
    return (bundle.format, *hashes)
