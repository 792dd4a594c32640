"""What a person is told when a file or a call is no good; the sentences name file and place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gui.coreml import proto
from gui.coreml.portable import PortableModel, PortableRuntime, read_stages
from gui.coreml.portable.plan import PlanError
from gui.errors import ErrorKind, SfumatoError
from tests.coreml_portable.support import load
from tests.support.mil_programs import save_program

KERNEL = np.random.default_rng(1).standard_normal((16, 8, 3, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution named `edges` behind a rectifier."""
    return save_program(
        tmp_path_factory.mktemp("sound") / "net.mlpackage",
        lambda mb, x: mb.relu(x=mb.conv(x=x, weight=KERNEL, name="edges")),
        {"x": (1, 8, 5, 5)},
        passes=True,
    )


@pytest.fixture
def package(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "net.mlpackage"))


def weights(package: Path) -> Path:
    return package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"


def change(package: Path, edit: Callable[[Any], None]) -> None:
    """Edit the main block of the program in place."""
    spec, root = proto.read_package_spec(package)
    function = spec.mlProgram.functions["main"]
    edit(function.block_specializations[function.opset])
    (file,) = root.glob("*.mlmodel")
    file.write_bytes(spec.SerializeToString())


def operation(block: Any, kind: str) -> Any:
    return next(o for o in block.operations if o.type == kind)


def blob(block: Any) -> Any:
    """The message that says where the convolution's weight lies."""
    for op in block.operations:
        if op.type == "const" and op.attributes["val"].HasField("blobFileValue"):
            return op.attributes["val"].blobFileValue
    raise AssertionError("no weight in a file")


def refusal(package: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as caught:
        PortableModel(read_stages(package))
    return caught.value


def test_sound_package_runs(package: Path) -> None:
    assert load(package)({"x": np.zeros((1, 8, 5, 5))})


def test_unknown_op_is_named_with_package_and_place(package: Path) -> None:
    def edit(block: Any) -> None:
        operation(block, "conv").type = "hyper_convolution"

    change(package, edit)
    error = refusal(package)
    assert error.kind is ErrorKind.UNSUPPORTED
    for part in ("hyper_convolution", "net.mlpackage", "edges"):
        assert part in error.message


def test_unknown_op_that_nobody_needs_does_no_harm(package: Path) -> None:
    def edit(block: Any) -> None:
        extra = block.operations.add()
        extra.CopyFrom(operation(block, "conv"))
        extra.type, extra.outputs[0].name = "hyper_convolution", "unread"

    change(package, edit)
    assert load(package)({"x": np.zeros((1, 8, 5, 5))})


def test_control_flow_is_named(package: Path) -> None:
    change(package, lambda block: operation(block, "conv").blocks.add())
    error = refusal(package)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "control flow" in error.message


@pytest.mark.parametrize("length", [0, 40, 64, 100, 1000])
def test_truncated_weights(length: int, package: Path) -> None:
    os.truncate(weights(package), length)
    error = refusal(package)
    assert error.kind is ErrorKind.BAD_MODEL
    assert "net.mlpackage" in error.message
    assert "weight.bin" in error.detail


def test_missing_weights(package: Path) -> None:
    weights(package).unlink()
    error = refusal(package)
    assert error.kind is ErrorKind.BAD_MODEL
    assert "net.mlpackage" in error.message


def test_foreign_weights(package: Path) -> None:
    weights(package).write_bytes(bytes(range(256)) * 64)
    assert refusal(package).kind is ErrorKind.BAD_MODEL


@pytest.mark.parametrize("offset", [8, 1 << 40, (1 << 64) - 64])
def test_weight_offset_that_leads_nowhere(offset: int, package: Path) -> None:
    def edit(block: Any) -> None:
        blob(block).offset = offset

    change(package, edit)
    assert refusal(package).kind is ErrorKind.BAD_MODEL


@pytest.mark.parametrize("name", ["@model_path/../../../../secret", "/etc/hostname"])
def test_weight_path_out_of_the_package_is_refused(name: str, package: Path) -> None:
    (package.parent / "secret").write_bytes(weights(package).read_bytes())

    def edit(block: Any) -> None:
        blob(block).fileName = name

    change(package, edit)
    error = refusal(package)
    assert error.kind is ErrorKind.BAD_MODEL
    assert "leads out" in error.detail


def test_program_that_contradicts_itself(package: Path) -> None:
    def dangling(block: Any) -> None:
        operation(block, "relu").inputs["x"].arguments[0].name = "nowhere"

    def no_output(block: Any) -> None:
        block.outputs[0] = "nowhere"

    def self_reference(block: Any) -> None:
        op = operation(block, "relu")
        op.inputs["x"].arguments[0].name = op.outputs[0].name

    sound = package.with_name("sound.mlpackage")
    shutil.copytree(package, sound)
    for edit in (dangling, no_output, self_reference):
        shutil.rmtree(package)
        shutil.copytree(sound, package)
        change(package, edit)
        error = refusal(package)
        assert error.kind is ErrorKind.BAD_MODEL, edit
        assert "net.mlpackage" in error.message


def _million_millions(value: Any) -> None:
    """Make a constant a splat of 2⁴⁰ ones, a literal of a few bytes."""
    value.Clear()
    tensor = value.type.tensorType
    tensor.dataType, tensor.rank = 11, 1
    tensor.dimensions.add().constant.size = 1 << 40
    value.immediateValue.tensor.floats.values.append(1.0)


@pytest.mark.parametrize("rank", [0, 65, 200])
def test_results_of_impossible_ranks_are_told_in_one_sentence(rank: int, tmp_path: Path) -> None:
    """numpy and torch know tensors of 64 dimensions at most."""
    path = save_program(
        tmp_path / "net.mlpackage",
        lambda mb, x: mb.reshape(x=x, shape=[1, 1]),
        {"x": (1,)},
    )

    def edit(block: Any) -> None:
        tensor = operation(block, "reshape").outputs[0].type.tensorType
        del tensor.dimensions[:]
        for _ in range(rank):
            tensor.dimensions.add().constant.size = 1
        tensor.rank = rank

    change(path, edit)
    if rank == 0:
        (result,) = load(path)({"x": np.ones(1)}).values()
        assert result.shape == () and result == 1.0
        return
    with pytest.raises(SfumatoError) as caught:
        load(path)({"x": np.ones(1)})
    assert "net.mlpackage" in caught.value.message


def test_huge_literals_cost_neither_time_nor_memory(package: Path) -> None:
    def strides(block: Any) -> None:
        name = operation(block, "conv").inputs["strides"].arguments[0].name
        const = next(o for o in block.operations if o.outputs and o.outputs[0].name == name)
        const.outputs[0].type.tensorType.dimensions[0].constant.size = 1 << 40
        _million_millions(const.attributes["val"])

    def weight(block: Any) -> None:
        name = operation(block, "conv").inputs["weight"].arguments[0].name
        const = next(o for o in block.operations if o.outputs and o.outputs[0].name == name)
        _million_millions(const.attributes["val"])

    sound = package.with_name("sound.mlpackage")
    shutil.copytree(package, sound)
    for edit in (strides, weight):
        shutil.rmtree(package)
        shutil.copytree(sound, package)
        change(package, edit)
        assert refusal(package).kind is ErrorKind.BAD_MODEL


def test_model_of_another_type(package: Path) -> None:
    spec, root = proto.read_package_spec(package)
    spec.ClearField("mlProgram")
    spec.neuralNetwork.SetInParent()
    (file,) = root.glob("*.mlmodel")
    file.write_bytes(spec.SerializeToString())
    error = refusal(package)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "neuralNetwork" in error.message


def test_missing_package(tmp_path: Path) -> None:
    error = refusal(tmp_path / "gone.mlpackage")
    assert error.kind is ErrorKind.BAD_MODEL
    assert "gone.mlpackage" in error.message


def test_function_that_is_not_there(package: Path) -> None:
    with pytest.raises(SfumatoError) as caught:
        read_stages(package, "dance")
    assert caught.value.kind is ErrorKind.BAD_MODEL
    assert "dance" in caught.value.detail


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("program(1.0)\n{\n func main<ios16>(tensor<fp16, [1]> x) {\n  oops\n", "line 5"),
        ("program(1.0)\n{\n %\n}", "line 3"),
        ("", "line 1"),
        ("program(1.3)\n{ func m<ios18>(fp32 x) { fp32 y = relu(x = " + "(" * 999, "line 2"),
        (
            "program(1.3)\n{ func m<ios18>(fp32 x) {\n"
            " tensor<fp32, [2]> y = const()[val = tensor<fp32, [2]>([0x1p, 2])]; } -> (y); }",
            "line 3",
        ),
    ],
)
def test_broken_text_names_the_line(text: str, line: str, tmp_path: Path) -> None:
    folder = tmp_path / "broken.mlmodelc"
    folder.mkdir()
    (folder / "model.mil").write_text(text)
    error = refusal(folder)
    assert error.kind is ErrorKind.BAD_MODEL
    assert "broken.mlmodelc" in error.message
    assert line in error.detail


def test_compiled_folder_without_a_program(tmp_path: Path) -> None:
    (tmp_path / "old.mlmodelc").mkdir()
    assert refusal(tmp_path / "old.mlmodelc").kind is ErrorKind.UNSUPPORTED


def test_calls_are_checked(package: Path) -> None:
    model = load(package)
    image = np.zeros((1, 8, 5, 5), np.float32)
    for arrays, word in (
        ({}, "needs the input x"),
        ({"x": image, "y": image}, "no input y"),
        ({"x": image[0]}, "1 × 8 × 5 × 5"),
        ({"x": image[:, :, :4]}, "1 × 8 × 4 × 5"),
        ({"x": np.full((1, 8, 5, 5), "a")}, "numbers"),
    ):
        with pytest.raises(SfumatoError) as caught:
            model(arrays)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        assert word in caught.value.message
    # The model is none the worse for it, and takes any kind of number
    for kind in (np.float16, np.float64, np.int8):
        assert model({"x": image.astype(kind)})


def test_results_belong_to_the_caller(package: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "same.mlpackage", lambda mb, x: mb.identity(x=x), {"x": (2, 3)})
    model, x = load(path), np.ones((2, 3), np.float32)
    (first,) = model({"x": x}).values()
    first[:] = 7.0
    (second,) = model({"x": x}).values()
    assert np.array_equal(x, np.ones((2, 3)))
    assert np.array_equal(second, np.ones((2, 3)))
    assert first.flags.writeable and first.flags.owndata


def test_closed_model_says_so(package: Path) -> None:
    model = load(package)
    model.close()
    with pytest.raises(SfumatoError, match="closed"):
        model({"x": np.zeros((1, 8, 5, 5))})


def test_running_out_of_memory_is_told_as_such(package: Path, monkeypatch: Any) -> None:
    model = load(package)

    def fail(*_: Any) -> Any:
        raise PlanError("conv edges", RuntimeError("DefaultCPUAllocator: can't allocate memory"))

    monkeypatch.setattr("gui.coreml.portable.plan.ExecutionPlan.__call__", fail)
    with pytest.raises(SfumatoError) as caught:
        model({"x": np.zeros((1, 8, 5, 5))})
    assert caught.value.kind is ErrorKind.MEMORY


def test_unknown_way_of_computing_is_refused() -> None:
    with pytest.raises(SfumatoError, match="fp8"):
        PortableRuntime(compute="fp8")


def test_nothing_heavy_is_imported() -> None:
    """Neither coremltools nor torch's compiler: loading must stay quick."""
    import subprocess
    import sys

    code = (
        "import sys, gui.coreml.portable; bad = [m for m in ('coremltools', 'torch._dynamo', "
        "'torch._inductor', 'sympy', 'diffusers', 'transformers', 'scipy') if m in sys.modules]; "
        "sys.exit(', '.join(bad) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
