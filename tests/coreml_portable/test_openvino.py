"""OpenVINO as the portable runtime's second way of computing: when it is used, and that nobody
notices which one was."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml import back_ends
from gui.coreml.back_ends import VARIABLE, BackEnd
from gui.coreml.portable import Compute, PortableModel, PortableRuntime, read_stages
from gui.coreml.portable.openvino import check, library, planning, segments
from gui.coreml.portable.openvino.graph import Graph
from gui.coreml.portable.openvino.segments import Cutter, Segment, SegmentedPlan
from gui.coreml.portable.openvino.staging import Staging, can_release
from gui.coreml.portable.plan import PlanStep, Symbol
from gui.errors import ErrorKind, SfumatoError
from tests.coreml_portable.support import decibels
from tests.support.mil_programs import save_program

if importlib.util.find_spec("openvino") is None:
    pytest.skip("an extra: where it is absent torch computes everything", allow_module_level=True)

_random = np.random.default_rng(12)
KERNELS = [_random.integers(-99, 99, (64, 64, 3, 3)).astype(np.float32) / 1024 for _ in range(3)]
X = _random.standard_normal((1, 64, 6, 5)).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three convolutions; between the second and the third a call that only torch makes."""

    def program(mb: Any, x: Any) -> Any:
        x = mb.silu(x=mb.conv(x=x, weight=KERNELS[0], pad_type="same"))
        x = mb.conv(x=x, weight=KERNELS[1], pad_type="same")
        x = mb.band_part(x=x, lower=1, upper=2)
        return mb.conv(x=x, weight=KERNELS[2], pad_type="same")

    folder = tmp_path_factory.mktemp("mixed")
    return save_program(folder / "mixed.mlpackage", program, {"x": X.shape}, precision="fp16")


def by_torch() -> np.ndarray:
    kernels = [torch.from_numpy(kernel) for kernel in KERNELS]
    x = F.silu(F.conv2d(torch.from_numpy(X), kernels[0], padding=1))
    x = F.conv2d(x, kernels[1], padding=1)
    x = torch.tril(torch.triu(x, -1), 2)
    return F.conv2d(x, kernels[2], padding=1).numpy()


def plan_of(model: PortableModel) -> Any:
    (plan,) = model._stages[0].plans.values()
    return plan


def segments_of(model: PortableModel) -> list[Segment]:
    return [step.function for step in plan_of(model).steps if isinstance(step.function, Segment)]


def forced(path: Path, compute: Compute = Compute.FP32) -> PortableModel:
    return PortableModel(read_stages(path), compute, back_end=BackEnd.OPENVINO)


def test_calls_without_a_translation_are_torchs_between_segments(package: Path) -> None:
    model = forced(package)
    assert len(segments_of(model)) == 2
    (got,) = model({"x": X}).values()
    assert decibels(got, by_torch()) >= 110


def test_large_weights_end_a_segment(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", KERNELS[0].nbytes)
    monkeypatch.setattr(segments, "LARGE_BYTES", 1)  # and memory goes back after each run
    model = forced(package)
    assert len(segments_of(model)) == 3
    first, again = (next(iter(model({"x": X}).values())) for _ in range(2))
    assert decibels(first, by_torch()) >= 110
    assert np.array_equal(first, again)


def test_weights_are_counted_and_go_when_the_model_is_closed(package: Path) -> None:
    model = forced(package)
    assert model.parameter_bytes() >= sum(kernel.nbytes for kernel in KERNELS)
    gone = [weakref.ref(segment) for segment in segments_of(model)]
    model({"x": X})
    model.close()
    assert [segment() for segment in gone] == [None, None]
    with pytest.raises(SfumatoError, match="closed"):
        model({"x": X})


def test_results_are_the_callers_own(package: Path) -> None:
    model = forced(package)
    (first,) = model({"x": X}).values()
    kept = first.copy()
    model({"x": 2 * X})
    assert np.array_equal(first, kept)


def test_results_that_are_operands_in_another_shape_keep_their_memory() -> None:
    x = torch.arange(64 * 256, dtype=torch.float32).reshape(1, 64, 256)
    matrix = torch.ones(8, 256)
    steps = [
        PlanStep(F.linear, [Symbol(0), matrix], {}, 1, "linear"),
        PlanStep(torch.reshape, [Symbol(0), [64, 256]], {}, 2, "reshape"),
        PlanStep(torch.Tensor.to, [Symbol(0), torch.float32], {}, 3, "cast"),
    ]
    cutter = Cutter({0: torch.empty(1, 64, 256, device="meta")}, 1)
    _, *moved = cutter.plan(steps, [0], [Symbol(1), Symbol(2), Symbol(3)], 4)(x)
    for result in moved:
        assert not np.may_share_memory(result.numpy(), x.numpy())
        assert torch.equal(result.reshape(x.shape), x)


def test_small_networks_stay_with_torch(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not segments_of(PortableModel(read_stages(package)))
    monkeypatch.setattr(planning, "LEAST_WEIGHTS", 1000)
    assert segments_of(PortableModel(read_stages(package)))


def test_long_rows_of_apples_layouts_stay_with_torch_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(mb: Any, x: Any) -> Any:
        return mb.conv(x=x, weight=KERNELS[0][:, :, :1, :1])

    long, short = (
        save_program(tmp_path / f"{n}.mlpackage", program, {"x": (1, 64, 1, n)}, precision="fp16")
        for n in (4096, 1024)
    )
    monkeypatch.setattr(planning, "LEAST_WEIGHTS", 1)
    assert not segments_of(PortableModel(read_stages(long)))
    assert segments_of(PortableModel(read_stages(short)))
    assert segments_of(PortableModel(read_stages(long), Compute.BF16))


@pytest.mark.parametrize("trouble", ["absent", "broken", "wrong", "asked", "emulated"])
def test_torch_computes_instead(
    trouble: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "LEAST_WEIGHTS", 1)
    compute = Compute.EMULATE_FP16 if trouble == "emulated" else Compute.FP32
    check.is_available.cache_clear()
    if trouble == "absent":
        monkeypatch.setattr(check, "library", lambda: None)
    elif trouble == "broken":
        monkeypatch.setattr(segments, "compiled", _refuse("no such instruction"))
    elif trouble == "wrong":
        monkeypatch.setattr(check, "_deviation", lambda: 0.01)
    elif trouble == "asked":
        monkeypatch.setenv(VARIABLE, "torch")
    try:
        model = PortableModel(read_stages(package), compute)
    finally:
        check.is_available.cache_clear()
    assert not isinstance(plan_of(model), SegmentedPlan)
    (got,) = model({"x": X}).values()
    assert decibels(got, by_torch()) >= (40 if trouble == "emulated" else 110)


def _refuse(text: str) -> Callable[..., Any]:
    def compiled(*_: Any) -> Any:
        raise segments.failure(RuntimeError(text))

    return compiled


def test_a_network_that_is_refused_is_torchs(
    package: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert check.is_available()
    monkeypatch.setattr(segments, "compiled", _refuse("Check 'false' failed"))
    (got,) = forced(package)({"x": X}).values()
    assert decibels(got, by_torch()) >= 110
    assert "OpenVINO refuses the network" in capfd.readouterr().out


def test_too_little_memory_is_told_as_such(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = forced(package)

    def run(*_: Any) -> Any:
        raise segments.failure(RuntimeError("Exception: std::bad_alloc"))

    monkeypatch.setattr(Segment, "_run", run)
    with pytest.raises(SfumatoError, match="not enough memory") as running:
        model({"x": X})
    assert check.is_available()
    monkeypatch.setattr(segments, "compiled", _refuse("std::bad_alloc"))
    with pytest.raises(SfumatoError, match="not enough memory") as loading:
        forced(package)
    assert running.value.kind is loading.value.kind is ErrorKind.MEMORY


def test_what_fails_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = forced(package)

    def run(*_: Any) -> Any:
        raise RuntimeError("[CPU] something")

    monkeypatch.setattr(Segment, "_run", run)
    with pytest.raises(SfumatoError) as caught:
        model({"x": X})
    assert caught.value.kind is ErrorKind.INTERNAL
    assert "conv " in caught.value.detail and "[CPU] something" in caught.value.detail


def test_an_unknown_back_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SfumatoError, match="no back end called 'abacus'"):
        PortableRuntime(back_end="abacus")
    monkeypatch.setenv(VARIABLE, "openvino")
    assert back_ends.chosen() is BackEnd.OPENVINO
    assert back_ends.computing() == "OpenVINO"
    monkeypatch.setenv(VARIABLE, "torch")
    assert back_ends.computing() == "PyTorch"


# Weights


def test_weights_go_from_memory_once_they_are_compiled(package: Path) -> None:
    assert can_release()
    model = forced(package)
    staged = [segment._staging for segment in segments_of(model)]
    assert all(each.bytes for each in staged)
    assert not any(each.was_read() for each in staged)
    model({"x": X})
    assert not any(each.was_read() for each in staged)


def test_a_weight_that_is_read_while_running_comes_back() -> None:
    """A sum has no layout of its own: it reads the pages that it was given."""
    graph = Graph(library.library(), Staging())
    weight = torch.randn(256, 256).half()
    x = graph.parameter(0, torch.empty(256, 256, device="meta"))
    node = graph.ops.add(graph.node(x), graph.weight(weight))
    model = graph.library.Model([graph.ops.result(node)], [x.node.get_node()])
    segment = Segment(
        lambda: segments.compiled(model, library.settings(1)), [torch.float32], graph.staging
    )
    for _ in range(2):
        (got,) = segment(torch.ones(256, 256))
        assert torch.equal(got, 1 + weight.float())


def test_unpacked_weights_are_not_kept_but_unpacked_again(tmp_path: Path) -> None:
    """A palette's 4-bit indices, as downloaded models have them."""
    table = (np.arange(16, dtype=np.float16) - 8) / 64
    indices = _random.integers(0, 16, (64, 64, 3, 3))
    packed = np.packbits((indices.reshape(-1, 1) >> np.arange(4)) & 1, bitorder="little")

    def program(mb: Any, x: Any) -> Any:
        shape = np.array(indices.shape, np.uint32)
        weight = mb.constexpr_lut_to_dense(indices=packed, lut=table, shape=shape)
        x = mb.conv(x=mb.cast(x=x, dtype="fp16"), weight=weight, pad_type="same")
        return mb.cast(x=x, dtype="fp32")

    path = save_program(tmp_path / "palette.mlpackage", program, {"x": X.shape}, target="macOS13")
    model = forced(path)
    kernel = table[indices].astype(np.float32)
    (segment,) = segments_of(model)
    (staged,) = segment._staging._staged
    assert np.array_equal(staged.again(), kernel)
    assert staged.again() is not staged.again(), "it was kept"
    (got,) = model({"x": X}).values()
    want = F.conv2d(torch.from_numpy(X), torch.from_numpy(kernel), padding=1).numpy()
    assert decibels(got, want) >= 110


def test_layers_that_are_read_in_pieces_are_divided() -> None:
    """As the gated layers of a UNet's transformers: no tensor of both halves stands in between."""
    weight, bias, x = torch.randn(12, 4), torch.randn(12), torch.randn(2, 3, 4)
    steps = [
        PlanStep(F.linear, [Symbol(0), weight, bias], {}, 1, "linear"),
        PlanStep(torch.narrow, [Symbol(1), 2, 0, 6], {}, 2, "split"),
        PlanStep(torch.narrow, [Symbol(1), 2, 6, 6], {}, 3, "split"),
        PlanStep(F.gelu, [Symbol(3)], {}, 4, "gelu"),
        PlanStep(torch.mul, [Symbol(2), Symbol(4)], {}, 5, "mul"),
    ]
    known = {0: torch.empty(2, 3, 4, device="meta"), 1: torch.empty(2, 3, 12, device="meta")}
    cutter = Cutter(known, 1)
    plan = cutter.plan(steps, [0], [Symbol(5)], 6)
    (got,) = plan(x)
    first, second = F.linear(x, weight, bias).chunk(2, -1)
    torch.testing.assert_close(got, first * F.gelu(second))
    (segment,) = [step.function for step in plan.steps if isinstance(step.function, Segment)]
    sizes = {tuple(op.get_output_shape(0)) for op in segment._model.get_runtime_model().get_ops()}
    assert (2, 3, 12) not in sizes and (6, 12) not in sizes


# What it leaves alone

_CHILD = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was asked for something")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from gui.coreml.portable import PortableModel, read_stages
from gui.coreml.back_ends import BackEnd
import numpy as np, pathlib, threading
assert "openvino" not in sys.modules
model = PortableModel(read_stages(pathlib.Path(sys.argv[1])), back_end=BackEnd.OPENVINO)
model({"x": np.zeros((1, 64, 6, 5), np.float32)})
assert "openvino" in sys.modules
print([name for name in sys.modules if "telemetry" in name and "openvino" in name])
"""


def test_nothing_is_sent_and_nothing_is_written(package: Path, tmp_path: Path) -> None:
    """The package tells its maker of imports, from a file in the person's home, unless kept from
    it."""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(package)],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert list(home.rglob("*")) == []
