"""Core ML's specification, read without coremltools and beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gui.coreml import proto
from gui.errors import ErrorKind, SfumatoError
from tests.coreml.editing import copy_of, package, replace, set_manifest, spec_file
from tests.support.tiny_models import TinyModel

READ = "from gui.coreml.proto import read_package_spec as r; s, _ = r(Path(sys.argv[1]))"
REAL = "import coremltools as ct; t = ct.utils.load_spec(sys.argv[1])"
COMPARE = """
assert s.SerializeToString(deterministic=True) == t.SerializeToString(deterministic=True)
from coremltools.proto import MIL_pb2
from gui.coreml import proto
assert proto.module("MIL_pb2").Program is MIL_pb2.Program
u = ct.proto.Model_pb2.Model(); u.CopyFrom(s); s.CopyFrom(t)
"""


@pytest.mark.parametrize("order", [(READ, REAL), (REAL, READ)], ids=["ours first", "theirs first"])
def test_reads_what_coremltools_reads_in_one_process(
    tiny_sd1: TinyModel, order: tuple[str, str]
) -> None:
    code = "\n".join(("import sys", "from pathlib import Path", *order, COMPARE))
    path = package(tiny_sd1.folder, "unet")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_names_the_folder_that_weights_are_relative_to(tiny_sd1: TinyModel) -> None:
    path = package(tiny_sd1.folder, "unet")
    spec, root = proto.read_package_spec(path)
    assert spec.WhichOneof("Type") == "mlProgram"
    assert (root / "weights" / "weight.bin").is_file()


def refusal(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as caught:
        proto.read_package_spec(path)
    assert caught.value.kind is ErrorKind.BAD_MODEL
    return caught.value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "has no Manifest.json"),
        (b"{", "manifest of broken.mlpackage is not JSON"),
        (b"\xff\xfe\x00", "manifest of broken.mlpackage is not text"),
        (b"[" * 100_000, "manifest of broken.mlpackage nests too many"),
        (b"[" * 100 + b"]" * 100, "manifest of broken.mlpackage nests too many"),
        (b"[]", "manifest of broken.mlpackage is no JSON object"),
        (b"{}", "names no model"),
        (json.dumps({"rootModelIdentifier": "a", "itemInfoEntries": {}}).encode(), "names no"),
        (
            json.dumps({"rootModelIdentifier": ["a"], "itemInfoEntries": {}}).encode(),
            "names no model",
        ),
        (
            json.dumps(
                {"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": 7}}}
            ).encode(),
            "names no model",
        ),
        (
            json.dumps(
                {"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "../../x"}}}
            ).encode(),
            "points outside the package",
        ),
        (
            json.dumps(
                {"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "/etc/hosts"}}}
            ).encode(),
            "points outside the package",
        ),
        (
            json.dumps(
                {"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "gone.mlmodel"}}}
            ).encode(),
            "lacks its model description",
        ),
    ],
)
def test_refuses_a_broken_manifest(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "broken.mlpackage"
    (path / "Data").mkdir(parents=True)
    if content is not None:
        (path / "Manifest.json").write_bytes(content)
    assert says in refusal(path).message


def test_refuses_a_truncated_specification(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    path = copy_of(package(tiny_sd1.folder, "unet"), tmp_path / "unet.mlpackage")
    whole = spec_file(path).read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        replace(spec_file(path), whole[:length])
        assert "truncated" in refusal(path).message


def test_a_manifest_may_use_any_identifier(tiny_sd1: TinyModel, tmp_path: Path) -> None:
    path = copy_of(package(tiny_sd1.folder, "unet"), tmp_path / "unet.mlpackage")
    entry = {"path": "com.apple.CoreML/model.mlmodel"}
    set_manifest(path, rootModelIdentifier="mine", itemInfoEntries={"mine": entry})
    assert proto.package_model_file(path) == spec_file(path)
