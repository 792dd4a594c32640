"""What `metadata.json` of a compiled model is trusted with, and when the program is read."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gui.coreml.inspect import inspect_component
from gui.coreml.model import Attention
from gui.coreml.survey import Description
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Distilled, RemoteFile, RepoTree
from gui.hub.variants.descriptions import Reader, attention_by_counts, describe
from gui.hub.variants.inventory import Bundle, take_inventory
from gui.hub.variants.variants import find_variants
from tests.support.hub_shelf import compiled_folder

KINDS = ["original", "split_einsum", "split_einsum_v2", "xl", "palettized"]


class Folder:
    """A probe over files on disk, with some contents replaced."""

    def __init__(self, root: Path, changed: dict[str, bytes] | None = None) -> None:
        self.root = root
        self.changed = changed or {}
        self.read_names: list[str] = []

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        self.read_names.append(file.path.rpartition("/")[2])
        data = self.changed.get(file.path)
        data = (self.root / file.path).read_bytes() if data is None else data
        return data[start : start + length]


def _bundle(root: Path, name: str, changed: dict[str, bytes]) -> Bundle:
    files = [
        RemoteFile(path, len(changed[path]) if path in changed else file.stat().st_size)
        for file in sorted((root / name).rglob("*"))
        if file.is_file()
        for path in [file.relative_to(root).as_posix()]
        if changed.get(path) != b"gone"
    ]
    (bundle,) = take_inventory(files).bundles
    return bundle


def _described(
    kind: str, metadata: Any = None, name: str = "Unet.mlmodelc"
) -> tuple[Description, list[str]]:
    """The UNet described, and what was read for it."""
    root = compiled_folder(kind)
    changed: dict[str, bytes] = {}
    if metadata is not None:
        text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
        changed[f"{name}/metadata.json"] = text
    probe = Folder(root, changed)
    return describe(_bundle(root, name, changed), probe), probe.read_names


def _metadata(kind: str) -> dict[str, Any]:
    text = (compiled_folder(kind) / "Unet.mlmodelc" / "metadata.json").read_text()
    return json.loads(text)[0]


def _same_as_on_disk(description: Description, kind: str) -> None:
    info = inspect_component(compiled_folder(kind) / "Unet.mlmodelc")
    assert description.survey.attention is info.attention
    assert description.survey.compression == info.compression
    assert description.spec_version == info.spec_version
    assert [(t.name, t.dtype, t.shape) for t in description.inputs] == [
        (t.name, t.dtype, t.shape) for t in info.inputs
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_alone_says_what_the_program_says(kind: str) -> None:
    description, read = _described(kind)
    assert read == ["metadata.json"]
    _same_as_on_disk(description, kind)


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda m: m.group(1).upper(), name)


@pytest.mark.parametrize("opset", ["Ios16.", "Ios17.", "Ios18.", ""])
@pytest.mark.parametrize("kind", KINDS)
def test_operation_names_as_compilers_spell_them(kind: str, opset: str) -> None:
    """Core ML's compiler writes ``Ios16.sliceByIndex``, and older operations without a prefix."""
    metadata = _metadata(kind)
    histogram = metadata["mlProgramOperationTypeHistogram"]
    names = {f"{opset}{_camel(n.partition('.')[2])}": count for n, count in histogram.items()}
    if not opset:
        names = {n[:1].upper() + n[1:]: count for n, count in names.items()}
    description, read = _described(kind, [{**metadata, "mlProgramOperationTypeHistogram": names}])
    assert read == ["metadata.json"]
    _same_as_on_disk(description, kind)


@pytest.mark.parametrize(
    "change",
    [
        {"inputSchema": "shapes left out"},
        {"mlProgramOperationTypeHistogram": None},
        {"mlProgramOperationTypeHistogram": {"Ios16.einsum": 5, "Ios16.softmax": 3}},
        {"specificationVersion": None, "availability": {}},
        {"inputSchema": [{"name": "sample", "shape": "__import__('os').getpid()"}]},
        {"inputSchema": [{"name": "sample", "shape": "[2, -4, 8, 8]"}]},
        {"inputSchema": [{"name": "sample", "shape": "[" * 5000}]},
        {"inputSchema": {"name": "sample"}},
    ],
)
def test_metadata_that_lacks_something_makes_the_program_read(change: dict[str, Any]) -> None:
    metadata = _metadata("split_einsum")
    if change.get("inputSchema") == "shapes left out":
        change = {"inputSchema": [{**e, "shape": "[]"} for e in metadata["inputSchema"]]}
    description, read = _described("split_einsum", [{**metadata, **change}])
    assert read == ["metadata.json", "model.mil"]
    assert description.survey.attention is Attention.SPLIT_EINSUM
    assert [t.name for t in description.inputs] == ["sample", "timestep", "encoder_hidden_states"]


@pytest.mark.parametrize("text", [b"", b"[]", b"no json", b"[" * 100_000, b"[1]", b"\xff\xfe"])
def test_metadata_that_is_none(text: bytes) -> None:
    description, read = _described("original", text)
    assert read[-1] == "model.mil"
    _same_as_on_disk(description, "original")


def test_availability_stands_in_for_the_version() -> None:
    metadata = {**_metadata("original"), "availability": {"macOS": "14.0", "iOS": "17.0"}}
    del metadata["specificationVersion"]
    description, read = _described("original", [metadata])
    assert (description.spec_version, read) == (8, ["metadata.json"])


def test_a_palette_of_unknown_width_is_looked_up() -> None:
    metadata = {**_metadata("palettized"), "storagePrecision": "Float16"}
    description, read = _described("palettized", [metadata])
    assert read == ["metadata.json", "model.mil"]
    assert description.survey.compression == "6-bit palette"


def test_counts_of_published_architectures() -> None:
    """SD 1.5 at 64 × 64 latents: 16 transformer blocks of two attentions with 8 heads.

    A head of SPLIT_EINSUM cuts three times and multiplies twice; of V2, n slices of queries make
    n + 3 cuts and 2 n products, where 5 blocks have 4096 queries, 5 have 1024, and 6 have less.
    """
    heads, attentions = 8, 2
    v1 = Counter(einsum=16 * attentions * heads * 2, slice_by_index=16 * attentions * heads * 3 + 2)
    assert attention_by_counts(v1) is Attention.SPLIT_EINSUM
    cuts = 5 * (8 + 3) + 5 * (2 + 3) + 6 * 3
    v2 = Counter(
        einsum=attentions * heads * 2 * (5 * 8 + 5 * 2 + 6),
        slice_by_index=attentions * heads * cuts + 2,
    )
    assert attention_by_counts(v2) is Attention.SPLIT_EINSUM_V2
    assert attention_by_counts(Counter(softmax=32, matmul=64)) is Attention.ORIGINAL
    assert attention_by_counts(Counter(conv=10)) is Attention.UNKNOWN
    assert attention_by_counts(Counter(einsum=100)) is None


def test_a_damaged_program_is_remembered_as_such() -> None:
    root = compiled_folder("original")
    changed = {"Unet.mlmodelc/metadata.json": b"gone", "Unet.mlmodelc/model.mil": b"program(1.0)"}
    bundle = _bundle(root, "Unet.mlmodelc", changed)
    reader = Reader()
    reader.read([(bundle, Folder(root, changed))])
    known = reader.known(bundle)
    assert isinstance(known, SfumatoError)
    assert known.kind is ErrorKind.BAD_MODEL
    assert reader.trouble is None


# Models of few steps


def _distilled(changed: dict[str, bytes], id: str = "someone/something") -> Distilled | None:
    """What is said of the original model with some files' contents replaced or added."""
    root = compiled_folder("original")
    sizes = {p.relative_to(root).as_posix(): p.stat().st_size for p in root.rglob("*.*")
             if p.is_file()}  # fmt: skip
    sizes |= {path: len(data) for path, data in changed.items()}
    files = tuple(RemoteFile(path, size) for path, size in sorted(sizes.items()))
    ((variant,), _) = find_variants(RepoTree(id, "0" * 40, files), Folder(root, changed))
    assert variant.problems == ()
    return variant.distilled


def test_a_unet_that_takes_the_guidance_scale_is_a_consistency_model() -> None:
    """As LCM's own UNet does, whatever the repository is called; a name tells the steps."""
    metadata = _metadata("original")
    guidance = {
        "name": "timestep_cond", "type": "MultiArray", "dataType": "Float16", "shape": "[2, 256]",
        "isOptional": "0", "hasShapeFlexibility": "0",
    }  # fmt: skip
    metadata["inputSchema"] = [*metadata["inputSchema"], guidance]
    changed = {"Unet.mlmodelc/metadata.json": json.dumps([metadata]).encode()}
    assert _distilled({}) is None
    assert _distilled(changed) == Distilled(4, "LCM", is_guess=False)
    assert _distilled(changed, "someone/x-8-steps") == Distilled(8, "LCM", is_guess=False)


def test_a_sidecar_states_the_steps() -> None:
    stated = {
        "format": 1, "family": "sd1",
        "scheduler_config": {"_class_name": "TCDScheduler"}, "default_steps": 6,
    }  # fmt: skip
    changed = {"sfumato.json": json.dumps(stated).encode()}
    assert _distilled(changed) == Distilled(6, "TCD", is_guess=False)
    plain = {**stated, "scheduler_config": {"_class_name": "PNDMScheduler"}, "default_steps": 30}
    assert _distilled({"sfumato.json": json.dumps(plain).encode()}) is None
