"""What a network's operations tell: attention kind, storage form, and how long its weights are.

Both readers (protobuf packages, text of compiled models) feed one `Survey`, operation by operation.
Standard library only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gui import words
from gui.coreml.model import Attention, FileFormat, TensorSpec
from gui.coreml.names import weight_file
from gui.errors import ErrorKind, SfumatoError

BLOB_HEADER = 64
"""Bytes of the record that a blob offset points at; the data follows it (MILBlob's storage)."""

V2_SLICE = 512
"""Query width of SPLIT_EINSUM_V2."""

MAX_RANK = 16
"""Most dimensions of a tensor; Core ML's have five."""

MAX_TENSORS = 1000
"""Most inputs or outputs of a network, or shapes of one: a UNet for ControlNets has sixteen inputs,
and Core ML takes 128 shapes."""

_BITS = {
    "fp16": 16, "bf16": 16, "fp32": 32, "fp64": 64, "bool": 8, "string": 8,
    "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32,
    "int64": 64, "uint64": 64, "int4": 4, "uint4": 4, "uint6": 6, "uint3": 3, "uint2": 2,
    "uint1": 1, "fp8e4m3fn": 8, "fp8e5m2": 8,
}  # fmt: skip

_ENLARGING = ("upsample_", "resize")
"""How the names of operations begin that enlarge a picture."""

Shape = Sequence[int | None]


@dataclass(frozen=True)
class Description:
    """One file, read without its weights."""

    path: Path
    format: FileFormat
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    survey: Survey
    spec_version: int = 0
    function: str = ""
    functions: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


def check_count(tensors: int) -> None:
    """Raises ValueError for more inputs, outputs or shapes of one than any network has."""
    if tensors > MAX_TENSORS:
        raise ValueError(f"{tensors} inputs, outputs or shapes")


class Survey:
    """Counts operations and remembers the few facts that matter."""

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self._queries: list[tuple[int, int]] = []  # (keys, queries) of every einsum's output
        self._palettes: Counter[int] = Counter()  # elements by bits
        self._linears: Counter[int] = Counter()
        self._blobs: dict[str, int] = {}  # bytes each weight file must have

    def operation(self, kind: str, output: Shape = ()) -> None:
        """Note one operation and its first output's shape."""
        self.operations[kind] += 1
        if kind == "einsum" and len(output) == 4:
            self._queries.append((output[1] or 0, output[3] or 0))

    def palette(self, entries: int, output: Shape) -> None:
        """Note a weight stored as indices into a table of `entries` values."""
        bits = max(1, math.ceil(math.log2(max(entries, 2))))
        self._palettes[bits] += _elements(output)

    def linear(self, dtype: str, output: Shape) -> None:
        """Note a weight stored as integers of `dtype` with a scale."""
        self._linears[_BITS.get(dtype, 8)] += _elements(output)

    def blob(self, file: str, offset: int, dtype: str, shape: Shape) -> None:
        """Note a constant kept in a weight file."""
        size = math.ceil(_elements(shape) * _BITS.get(dtype, 8) / 8)
        end = offset + BLOB_HEADER + size
        self._blobs[file] = max(self._blobs.get(file, 0), end)

    def absorb(self, other: Survey) -> None:
        """Add what another stage of the same model was found to hold; its weights apart."""
        self.operations += other.operations
        self._queries += other._queries
        self._palettes += other._palettes
        self._linears += other._linears

    @property
    def attention(self) -> Attention:
        """Apple's attention kind.

        Only the split kinds keep `einsum` operations.  Version 2 cuts queries into slices of 512,
        so none of its products is wider while some have more keys than that.
        """
        if self.operations["einsum"]:
            widest = max((queries for _, queries in self._queries), default=0)
            sliced = any(q == V2_SLICE and keys > V2_SLICE for keys, q in self._queries)
            v2 = sliced and widest == V2_SLICE
            return Attention.SPLIT_EINSUM_V2 if v2 else Attention.SPLIT_EINSUM
        if self.operations["softmax"] or self.operations["scaled_dot_product_attention"]:
            return Attention.ORIGINAL
        return Attention.UNKNOWN

    @property
    def halvings(self) -> int:
        """How often a UNet halves what it works on: as often as it enlarges it again."""
        return sum(n for kind, n in self.operations.items() if kind.startswith(_ENLARGING))

    @property
    def compression(self) -> str:
        """Readable storage form of the weights; empty where they are stored as they are."""
        parts = []
        if self._palettes:
            total = sum(self._palettes.values())
            mean = sum(bits * n for bits, n in self._palettes.items()) / max(total, 1)
            parts.append(words.palette(mean, mixed=len(self._palettes) > 1))
        if self._linears:
            parts.append("/".join(str(b) for b in sorted(self._linears)) + "-bit linear")
        if any(kind.startswith("constexpr_sparse") for kind in self.operations):
            parts.append("sparse")
        if any(k.startswith("constexpr_lut_to_sparse") for k in self.operations):
            parts.append("sparse palette")
        if self.operations["quantize"]:
            parts.append("8-bit activations")
        return ", ".join(parts)

    @property
    def weight_files(self) -> dict[str, int]:
        """Bytes each weight file must have, by its name as the program writes it."""
        return dict(self._blobs)

    def check_blobs(self, root: Path, package: Path) -> None:
        """Check, without opening them, that the weight files exist and are long enough.

        Args:
            root: folder that ``@model_path`` stands for.
            package: the `.mlpackage` or `.mlmodelc`.

        Raises:
            SfumatoError: BAD_MODEL for a missing, short or outlying file.
        """
        for name, needed in self._blobs.items():
            file = weight_file(root, name)
            if file is None:
                raise SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"{package.name} points at weights outside itself; get the model again.",
                    name,
                )
            try:
                size = file.stat().st_size
            except (OSError, ValueError) as error:
                raise SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"{package.name} lacks its weights ({file.name}); get the model again.",
                    str(error),
                ) from error
            if size < needed:
                raise SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"The weights of {package.name} are cut short; get the model again.",
                    f"{file}: {size} bytes, at least {needed} needed",
                )


def _elements(shape: Shape) -> int:
    """Raises ValueError for a shape that no tensor has: a product of millions of sizes is a number
    that takes hours to work out."""
    if len(shape) > MAX_RANK:
        raise ValueError(f"a tensor of {len(shape)} dimensions")
    return math.prod(d or 1 for d in shape)
