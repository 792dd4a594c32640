"""Every kind of file a program may come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gui.coreml.inspect import inspect_component
from gui.coreml.model import ComponentInfo, ComponentKind, FileFormat
from gui.coreml.portable import PortableRuntime
from gui.coreml.runtime import LoadedModel, Runtime
from gui.request import ComputeUnit
from tests.coreml_portable.support import decibels, load
from tests.support.mil_programs import coremltools, save_program
from tests.support.mil_text import write_compiled
from tests.support.tiny_models import TinyModel

_random = np.random.default_rng(17)
KERNELS = _random.standard_normal((4, 8, 8, 3, 3)).astype(np.float32) / 8


def convolutions(mb: Any, x: Any) -> Any:
    for kernel in KERNELS:
        x = mb.tanh(x=mb.conv(x=x, weight=kernel, pad_type="same"))
    return x


def by_torch(x: np.ndarray) -> np.ndarray:
    y = torch.from_numpy(x)
    for kernel in KERNELS:
        y = torch.tanh(nn.functional.conv2d(y, torch.from_numpy(kernel), padding="same"))
    return y.numpy()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four convolutions in one package, fp32."""
    path = tmp_path_factory.mktemp("files") / "chain.mlpackage"
    return save_program(path, convolutions, {"x": (1, 8, 6, 5)}, passes=True)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return _random.standard_normal((1, 8, 6, 5)).astype(np.float32)


def component(path: Path, **fields: Any) -> ComponentInfo:
    return ComponentInfo(ComponentKind.UNET, (path,), FileFormat.PACKAGE, (), (), **fields)


def test_runtime_and_model_keep_the_protocol(chain: Path) -> None:
    runtime = PortableRuntime()
    assert isinstance(runtime, Runtime)
    assert runtime.name == "portable"
    model = runtime.load(component(chain), ComputeUnit.CPU_AND_NE)
    assert isinstance(model, LoadedModel)


def test_component_described_by_inspection_loads(tiny_sd1: TinyModel) -> None:
    (path,) = tiny_sd1.folder.glob("*_unet.mlpackage")
    info = inspect_component(path)
    model = PortableRuntime().load(info, ComputeUnit.ALL)
    assert tuple(model.inputs.values()) == info.inputs
    assert [(t.name, t.dtype) for t in model.outputs.values()] == [
        (t.name, t.dtype) for t in info.outputs
    ]


def test_pipeline_package_runs_its_parts_in_order(
    chain: Path, image: np.ndarray, tmp_path: Path
) -> None:
    coremltools().models.utils.bisect_model(
        str(chain), str(tmp_path), merge_chunks_to_pipeline=True, check_output_correctness=False
    )
    (path,) = tmp_path.glob("*.mlpackage")
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    assert sorted(p.name for p in weights.iterdir()) == ["0-weight.bin", "1-weight.bin"]
    model = load(path)
    assert list(model.inputs) == ["x"]
    (got,) = model({"x": image}).values()
    assert decibels(got, by_torch(image)) >= 110.0


def test_function_of_a_multifunction_package(
    chain: Path, image: np.ndarray, tmp_path: Path
) -> None:
    ct = coremltools()
    twice = save_program(
        tmp_path / "twice.mlpackage",
        lambda mb, x: mb.mul(x=convolutions(mb, x), y=np.float32(2.0)),
        {"x": (1, 8, 6, 5)},
        passes=True,
    )
    functions = ct.utils.MultiFunctionDescriptor()
    functions.add_function(str(chain), "main", "once")
    functions.add_function(str(twice), "main", "twice")
    functions.default_function_name = "twice"
    path = tmp_path / "both.mlpackage"
    ct.utils.save_multifunction(functions, str(path))
    want = by_torch(image)
    for function, factor in (("once", 1.0), ("twice", 2.0), ("", 2.0)):
        model = PortableRuntime().load(component(path, function=function), ComputeUnit.ALL)
        (got,) = model({"x": image}).values()
        assert decibels(got, factor * want) >= 110.0


class _Flexible(nn.Module):
    """Uses its input's shape in every way that conversion keeps open."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(4, 8)
        self.linear = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.convolution(x))
        batch, channels, height, width = y.shape
        tokens = y.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        mixed = nn.functional.softmax(tokens @ tokens.transpose(1, 2) / 8**0.5, -1) @ tokens
        return self.linear(mixed).reshape(batch, height, width, 6)


def _flexible(folder: Path) -> tuple[_Flexible, Path]:
    """The network, and it converted for 2 to 64 a side."""
    ct = coremltools()
    torch.manual_seed(0)
    network = _Flexible().eval()
    sizes = ct.RangeDim(2, 64, default=8)
    traced = torch.jit.trace(network, torch.randn(1, 3, 8, 8), check_trace=False)
    package: Any = ct.convert(
        traced,
        inputs=[ct.TensorType("x", (1, 3, sizes, ct.RangeDim(2, 64, default=8)))],
        outputs=[ct.TensorType("y")],
        minimum_deployment_target=ct.target.macOS15,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    package.save(str(folder / "flexible.mlpackage"))
    return network, folder / "flexible.mlpackage"


def test_flexible_shapes(tmp_path: Path) -> None:
    network, path = _flexible(tmp_path)
    model = load(path)
    assert model.inputs["x"].shape == (1, 3, None, None)
    for height, width in ((8, 8), (5, 12), (8, 8), (16, 3)):
        x = torch.randn(1, 3, height, width)
        with torch.no_grad():
            want = network(x).numpy()
        assert decibels(model({"x": x.numpy()})["y"], want) >= 110.0


@pytest.mark.parametrize(("limit", "most"), [(2**31, 4), (1, 1)])
def test_few_shapes_stay_prepared(
    limit: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has weights of its own: of a large network there is one at a time."""
    from gui.coreml.portable import model as portable

    monkeypatch.setattr(portable, "_KEPT_BYTES", limit)
    _, path = _flexible(tmp_path)
    model = load(path)
    x = np.ones((1, 3, 64, 64), np.float32)
    first = model({"x": x[..., :8, :8]})["y"]
    each = model.parameter_bytes()
    for side in (9, 10, 11, 12, 13, 14):
        model({"x": x[..., :side, :8]})
    assert model.parameter_bytes() <= most * each
    assert np.array_equal(model({"x": x[..., :8, :8]})["y"], first)


@pytest.mark.parametrize("dialect", ["old", "new"])
def test_compiled_model_computes_what_its_package_does(
    dialect: str, tiny_sd1_fp16: TinyModel, tmp_path: Path
) -> None:
    for suffix in ("text_encoder", "unet"):
        (package,) = tiny_sd1_fp16.folder.glob(f"*_{suffix}.mlpackage")
        compiled = write_compiled(package, tmp_path / f"{suffix}.mlmodelc", dialect)
        want, got = load(package), load(compiled)
        assert got.inputs == want.inputs
        assert got.outputs == want.outputs
        inputs = {
            name: _random.integers(0, 40, [n or 0 for n in spec.shape])
            for name, spec in want.inputs.items()
        }
        for name, value in want(inputs).items():
            assert np.array_equal(got(inputs)[name], value)


@pytest.mark.parametrize("dialect", ["old", "new"])
def test_compressed_weights_of_a_compiled_model(dialect: str, tmp_path: Path) -> None:
    from coremltools.optimize import coreml as optimize

    ct = coremltools()
    kernel = _random.standard_normal((16, 16, 3, 3)).astype(np.float32)
    target = {"old": "macOS13", "new": "macOS15"}[dialect]
    path = save_program(
        tmp_path / "dense.mlpackage",
        lambda mb, x: mb.conv(x=x, weight=kernel, pad_type="same"),
        {"x": (1, 16, 4, 4)},
        target=target,
        passes=True,
    )
    config = optimize.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=1)
    dense: Any = ct.models.MLModel(str(path), skip_model_load=True)
    small: Any = optimize.palettize_weights(dense, optimize.OptimizationConfig(config))
    small.save(str(tmp_path / "small.mlpackage"))
    compiled = write_compiled(tmp_path / "small.mlpackage", tmp_path / "small.mlmodelc", dialect)
    assert "constexpr_lut_to_dense" in (compiled / "model.mil").read_text()
    x = {"x": _random.standard_normal((1, 16, 4, 4)).astype(np.float32)}
    (got,), (want,) = load(compiled)(x).values(), load(tmp_path / "small.mlpackage")(x).values()
    assert np.array_equal(got, want)


HAND_WRITTEN = """
program(1.0)
[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"coremlc-component-MIL", "3304.5.2"},
 {"coremlc-version", "3304.6.2"}})]
{
    func main<ios16>(tensor<fp16, [2, 3]> x, tensor<fp32, [1]> shift) {
            tensor<string, []> kind = const()[name = tensor<string, []>("kind"), val = tensor<string, []>("fp32")];
            tensor<fp16, []> half = const()[name = tensor<string, []>("half"), val = tensor<fp16, []>(-0x1p-1)];
            tensor<fp16, [3]> row = const()[name = tensor<string, []>("row"), val = tensor<fp16, [3]>([0x1.8p+1, 2, -inf])];
            tensor<int32, [1]> axes = const()[name = tensor<string, []>("axes"), val = tensor<int32, [1]>([1])];
            tensor<bool, []> keep = const()[name = tensor<string, []>("keep"), val = tensor<bool, []>(true)];
            tensor<fp16, [2, 3]> y = mul(x = x, y = half)[name = tensor<string, []>("y \\"quoted\\"")];
            tensor<fp16, [2, 3]> z = maximum(x = y, y = row)[name = tensor<string, []>("z")];
            tensor<int32, [2]> sizes = const()[name = tensor<string, []>("sizes"), val = tensor<int32, [2]>([1, 2])];
            tensor<int32, []> axis = const()[name = tensor<string, []>("axis"), val = tensor<int32, []>(-1)];
            tensor<fp16, [2, 1]> left, tensor<fp16, [2, 2]> right = split(axis = axis, split_sizes = sizes, x = z)[name = tensor<string, []>("parts")];
            tensor<bool, []> interleave = const()[name = tensor<string, []>("i"), val = tensor<bool, []>(false)];
            tensor<fp16, [2, 3]> joined = concat(axis = axis, interleave = interleave, values = (right, left))[name = tensor<string, []>("joined")];
            tensor<fp16, [2, 1]> total = reduce_sum(axes = axes, keep_dims = keep, x = joined)[name = tensor<string, []>("total")];
            tensor<fp32, [2, 1]> wide = cast(dtype = kind, x = total)[name = tensor<string, []>("wide")];
            tensor<fp32, [2, 1]> out = add(x = wide, y = shift)[name = tensor<string, []>("out")];
        } -> (out, joined);
}
"""  # noqa: E501


def test_hand_written_text(tmp_path: Path) -> None:
    folder = tmp_path / "small.mlmodelc"
    folder.mkdir()
    (folder / "model.mil").write_text(HAND_WRITTEN)
    x = np.array([[-8.0, -2.0, 6.0], [4.0, -10.0, 0.0]])
    got = load(folder)({"x": x, "shift": np.array([0.25])})
    z = np.maximum(-0.5 * x, [3.0, 2.0, -np.inf])
    assert np.array_equal(got["joined"], z[:, [1, 2, 0]])
    assert np.array_equal(got["out"], z.sum(1, keepdims=True) + 0.25)


def test_compiled_pipeline_is_read_from_its_numbered_folders(tmp_path: Path) -> None:
    template = (
        "program(1.3)\n{{\n func main<ios18>(tensor<fp32, [2]> {x}) {{\n"
        '  fp32 c = const()[name = string("c"), val = fp32({value})];\n'
        '  tensor<fp32, [2]> {y} = {op}(x = {x}, y = c)[name = string("r")];\n }} -> ({y});\n}}\n'
    )
    parts = [
        {"x": "a", "y": "b", "op": "add", "value": "0x1p+0"},
        {"x": "b", "y": "c", "op": "mul", "value": "0x1.8p+1"},
    ]
    for number, part in enumerate(parts):
        folder = tmp_path / "p.mlmodelc" / f"model{number}"
        folder.mkdir(parents=True)
        (folder / "model.mil").write_text(
            template.format(**part).replace("fp32 c =", "fp32 k =").replace("y = c", "y = k")
        )
    got = load(tmp_path / "p.mlmodelc")({"a": np.array([1.0, 2.0])})
    assert {name: value.tolist() for name, value in got.items()} == {"c": [6.0, 9.0]}


def test_older_layer_norm_is_recognised(tmp_path: Path) -> None:
    """Apple's layer norm over axis 1, spelled out as older converters left it."""
    gamma, beta = (1 + _random.random((1, 8, 1, 1))).astype(np.float32), KERNELS[0, 0, :, 0, 0]

    def build(mb: Any, x: Any) -> Any:
        centred = mb.sub(x=x, y=mb.reduce_mean(x=x, axes=[1], keep_dims=True))
        square = mb.mul(x=centred, y=centred)
        variance = mb.reduce_mean(x=square, axes=[1], keep_dims=True)
        root = mb.rsqrt(x=mb.add(x=variance, y=np.float32(1e-5)), epsilon=np.float32(1e-12))
        shifted = mb.add(x=mb.mul(x=centred, y=root), y=beta.reshape(1, 8, 1, 1))
        return mb.mul(x=shifted, y=gamma)

    model = load(save_program(tmp_path / "n.mlpackage", build, {"x": (2, 8, 1, 5)}))
    assert model.rewrites == {"layer_norm": 1}
    x = _random.standard_normal((2, 8, 1, 5)).astype(np.float32)
    normal = nn.functional.layer_norm(torch.from_numpy(x).permute(0, 2, 3, 1), (8,), eps=1e-5)
    want = (normal + torch.from_numpy(beta)) * torch.from_numpy(gamma.reshape(-1))
    (got,) = model({"x": x}).values()
    assert decibels(got, want.permute(0, 3, 1, 2).numpy()) >= 110.0


def test_values_read_elsewhere_survive_rewriting(tmp_path: Path) -> None:
    """The attention weights are an output too: fusing must not lose them."""

    def build(mb: Any, q: Any, k: Any, v: Any) -> Any:
        scores = mb.mul(x=mb.matmul(x=q, y=k, transpose_y=True), y=np.float32(0.5))
        weights = mb.softmax(x=scores, axis=-1)
        return mb.identity(x=weights), mb.matmul(x=weights, y=v)

    shape = (1, 2, 3, 4)
    inputs = {n: _random.standard_normal(shape).astype(np.float32) for n in "qkv"}
    path = save_program(tmp_path / "a.mlpackage", build, inputs)
    weights, mixed = load(path)(inputs).values()
    q, k, v = (torch.from_numpy(inputs[n]) for n in "qkv")
    want = torch.softmax(q @ k.transpose(-1, -2) * 0.5, -1)
    assert decibels(weights, want.numpy()) >= 110.0
    assert decibels(mixed, (want @ v).numpy()) >= 110.0
