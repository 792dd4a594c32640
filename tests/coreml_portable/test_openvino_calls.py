"""Each translation of a torch call against torch itself, for odd shapes, types and constants."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable.openvino.graph import (
    TRANSLATIONS,
    Graph,
    Traced,
    UntranslatableError,
)
from gui.coreml.portable.openvino.library import library, settings
from gui.coreml.portable.openvino.segments import compiled
from gui.coreml.portable.openvino.staging import Staging
from gui.coreml.portable.ops import linear_algebra, shapes
from gui.coreml.portable.rewrites import split_einsum

if importlib.util.find_spec("openvino") is None:
    pytest.skip("an extra: where it is absent torch computes everything", allow_module_level=True)

_generator = torch.Generator().manual_seed(11)


def _floats(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_generator)


def _positive(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=_generator) * 0.7 + 0.2


def _ints(low: int, high: int, *shape: int, kind: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.randint(low, high, shape, generator=_generator).to(kind)


def _weight(*shape: int) -> torch.Tensor:
    """As a file has it, in 16 bits."""
    return (_floats(*shape) / 4).half()


@dataclass
class Case:
    name: str
    call: Callable[..., torch.Tensor]
    """Of the running operands; reads the constants from around it through `constant`."""
    running: tuple[torch.Tensor, ...]


X = _floats(2, 3, 4)
P = _positive(2, 3, 4)
IMAGE = _floats(2, 8, 7, 5)
_HALF = [
    _weight(6, 8, 3, 3), _weight(6, 4, 3, 3), _weight(6, 3, 5), _weight(4, 2, 2, 3, 3),
    _weight(8, 5, 3, 2), _weight(8, 2, 3, 3), _weight(10, 4), _weight(8), _weight(4, 7),
    _weight(8, 1, 3, 3),
]  # fmt: skip
_CONV, _GROUPED, _CONV_1D, _CONV_3D, _BACK, _BACK_GROUPED, _LINEAR, _VECTOR, _MATRIX, _DEPTHWISE = (
    _HALF
)
_BIAS, _BIAS_8, _BIAS_10 = _floats(6), _floats(8), _floats(10)
Q, K, V = _floats(2, 3, 5, 8), _floats(2, 3, 9, 8), _floats(2, 3, 9, 4)
MASK = torch.where(_floats(5, 9) > 1, -torch.inf, _floats(5, 9))


def case(name: str, call: Callable[..., torch.Tensor], *running: torch.Tensor) -> Case:
    return Case(name, call, running)


_UNARY = (
    *("abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "neg", "relu", "round"),
    *("sigmoid", "sign", "sin", "sinh", "square", "tan", "tanh"),
)
_POSITIVE = ("acos", "asin", "log", "reciprocal", "rsqrt", "sqrt")
_ARITHMETIC = ("add", "sub", "mul", "maximum", "minimum")
_COMPARED = ("eq", "ne", "gt", "ge", "lt", "le")
_LOGICAL = ("logical_and", "logical_or", "logical_xor")


def _of(name: str) -> Callable[..., torch.Tensor]:
    return getattr(torch, name)


CASES = [
    *[case(name, _of(name), 3 * X) for name in _UNARY],
    *[case(name, _of(name), P) for name in _POSITIVE],
    *[case(name, _of(name), X, _floats(3, 1)) for name in _ARITHMETIC],
    *[case(f"{n} of int", _of(n), _ints(-9, 9, 3, 4), _ints(-9, 9, 4)) for n in _ARITHMETIC],
    *[case(name, _of(name), _ints(0, 3, 2, 4), _ints(0, 3, 4)) for name in _COMPARED],
    *[case(name, _of(name), X > 0, P > 0.5) for name in _LOGICAL],
    case("operators", lambda x: (1 - x) * 2 + x / 3 - (2 / (x * x + 1)), X),
    case("like a number", lambda x: x == 0.0, X),
    case("unlike a number", lambda x: x != 0.0, X),
    case("int and float", lambda x, n: x * n, X, _ints(-3, 3, 4)),
    case("int and a fraction", lambda n: n * 0.5, _ints(-3, 3, 4)),
    case("div of ints", torch.div, _ints(-9, 9, 3, 4), _ints(1, 5, 4)),
    case("pow", torch.pow, P, X),
    case("pow of a number", lambda x: torch.pow(x, 2.0), X),
    case("round half to even", torch.round, torch.tensor([-2.5, -0.5, 0.5, 1.5, 2.5])),
    case("relu6", F.relu6, 5 * X),
    case("clamp", lambda x: torch.clamp(x, -0.5, 0.75), X),
    case("clamp from below", lambda x: torch.clamp(x, min=0.1), X),
    case("clamp from above", lambda x: torch.clamp(x, max=0.1), X),
    case("leaky_relu", lambda x: F.leaky_relu(x, 0.2), X),
    case("elu", lambda x: F.elu(x, 1.5), X),
    case("prelu", lambda x: F.prelu(x, _VECTOR[:3].float()), X),
    case("gelu", F.gelu, 3 * X),
    case("gelu by tanh", lambda x: F.gelu(x, approximate="tanh"), 3 * X),
    case("silu", F.silu, 3 * X),
    case("softplus", F.softplus, 9 * X),
    case("softmax", lambda x: torch.softmax(x, -1), 9 * X),
    case("softmax of an axis", lambda x: torch.softmax(x, 1), 9 * X),
    case("logical_not", torch.logical_not, X > 0),
    case("where", lambda c, x, y: torch.where(c, x, y), X > 0, X, P),
    case("addcmul", lambda x: torch.addcmul(torch.ones(3, 1), x, torch.full((3, 1), 0.3)), X),
    case("lerp", lambda x, y: torch.lerp(x, y, torch.tensor([0.0, 0.2, 0.5, 1.0])), X, P),
    case("cumsum", lambda x: torch.cumsum(x, -2), X),
    *[
        case(f"{name} {keep}", lambda x, n=name, k=keep: _of(n)(x, [0, -1], k), X)
        for name in ("amax", "amin", "mean", "sum")
        for keep in (False, True)
    ],
    case("to int", lambda x: torch.Tensor.to(x, torch.int32), 4 * X),
    case("to bool", lambda x: torch.Tensor.to(x, torch.bool), torch.tensor([0.0, 0.25, -3.0])),
    case("to float", lambda x: x.float(), _ints(-9, 9, 3)),
    case("long", lambda x: x.long(), _ints(-9, 9, 3)),
    # Moves
    case("reshape", lambda x: torch.reshape(x, [4, -1]), X),
    case("flatten", lambda x: x.flatten(1, 2), X),
    case("unsqueeze", lambda x: x.unsqueeze(-2), X),
    case("squeeze", lambda x: x.squeeze(1), _floats(2, 1, 3)),
    case("contiguous", lambda x: x.transpose(0, 1).contiguous() + 0.0, X),
    case("permute", lambda x: torch.permute(x, [2, 0, -2]), X),
    case("transpose", lambda x: torch.transpose(x, -1, -3), X),
    case("movedim", lambda x: x.movedim((0, 1), (2, 0)), X),
    case("movedim of one", lambda x: torch.movedim(x, -1, 1), IMAGE),
    case("expand", lambda x: x.expand([2, 3, 4]), _floats(3, 1)),
    case("tile", lambda x: torch.tile(x, [2, 1]), X),
    case("cat", lambda x, y: torch.cat([x, y, torch.ones(2, 1, 4)], 1), X, P),
    case("cat of int and float", lambda x, n: torch.cat([x, n], -1), X, _ints(0, 9, 2, 3, 2)),
    case("cat of numbers", lambda x, y: shapes._concatenate(0, x, y), _floats(), _floats(2)),
    case("stack", lambda x, y: torch.stack([x, y], -1), X, P),
    case("interleave", lambda x, y: shapes._interleave(-2, x, y), X, P),
    case("narrow", lambda x: torch.narrow(x, -1, 1, 2), X),
    case("select", lambda x: torch.select(x, 1, -1), X),
    case("index of steps", lambda x: x[1:, ..., ::2], X),
    case("index of one", lambda x: x[0, :, -1], X),
    case("index of the last ones", lambda x: x[..., -3:], X),
    case("places", lambda x, n: x[:, n], X, _ints(0, 3, 2, 2, kind=torch.int64)),
    case("index_select", lambda x: torch.index_select(x, -1, torch.tensor([3, 0, 0])), X),
    case("flip", lambda x: torch.flip(x, [0, -1]), X),
    case("pad", lambda x: F.pad(x, [1, 0, 2, 3], "constant", 0.5), X),
    case("pad by reflection", lambda x: F.pad(x, [2, 1, 0, 3], "reflect"), IMAGE),
    case("pad by the edge", lambda x: F.pad(x, [2, 1], "replicate"), X),
    case("pad by index", lambda x: shapes._pad_by_index(x, [[0, 0], [2, 1], [0, 0]], "edge"), X),
    case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), IMAGE),
    case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), _floats(2, 3, 6, 4)),
    case("nearest", lambda x: F.interpolate(x, [14, 10], None, "nearest"), IMAGE),
    case("nearest of odd sizes", lambda x: F.interpolate(x, [11, 3], None, "nearest"), IMAGE),
    case("bilinear", lambda x: F.interpolate(x, [13, 4], None, "bilinear", False), IMAGE),
    case("bilinear by corners", lambda x: F.interpolate(x, [13, 9], None, "bilinear", True), IMAGE),
    # Layers
    case("conv", lambda x: F.conv2d(x, _CONV, _BIAS, [2, 1], [1, 2], [1, 2]), IMAGE),
    case("conv of groups", lambda x: F.conv2d(x, _GROUPED, None, 1, 1, 1, 2), IMAGE),
    case("conv by depth", lambda x: F.conv2d(x, _DEPTHWISE, _VECTOR, 1, 1, 1, 8), IMAGE),
    case("conv of one axis", lambda x: F.conv1d(x, _CONV_1D, _BIAS, [2], [3]), _floats(2, 3, 9)),
    case("conv of three axes", lambda x: F.conv3d(x, _CONV_3D), _floats(1, 2, 3, 4, 5)),
    case("conv of uneven sides", lambda x: F.conv2d(F.pad(x, [0, 1, 0, 1]), _CONV, None, 2), IMAGE),
    case("conv of a running kernel", lambda x, w: F.conv2d(x, w), IMAGE, _floats(2, 8, 3, 3)),
    case("conv back", lambda x: F.conv_transpose2d(x, _BACK, None, [2, 3], 0, [1, 0]), IMAGE),
    case(
        "conv back of groups",
        lambda x: F.conv_transpose2d(x, _BACK_GROUPED, _VECTOR[:4], 2, 0, 0, 2, [1, 2]), IMAGE,
    ),
    case("linear", lambda x: F.linear(x, _LINEAR, _BIAS_10), X),
    case("linear without a bias", lambda x: F.linear(x, _LINEAR), _floats(5, 4)),
    case("linear of moved weights", lambda x: F.linear(x, _MATRIX.t()), X),
    case("linear of running weights", F.linear, X, _floats(5, 4), _floats(5)),
    case("matmul", torch.matmul, X, _floats(2, 4, 5)),
    case("matmul broadcast", torch.matmul, X, _floats(5, 1, 4, 2)),
    case("matmul by a constant", lambda x: torch.matmul(x, _MATRIX), X),
    case("matmul of a constant", lambda x: torch.matmul(_MATRIX.t(), x), _floats(4, 2)),
    case("einsum", lambda x, y: torch.einsum("bchq,bkhc->bkhq", x, y),
         _floats(2, 3, 1, 4), _floats(2, 5, 1, 3)),
    case("attention", lambda q, k, v: linear_algebra.attention(q, k, v, None, None), Q, K, V),
    case("attention scaled", lambda q, k, v: linear_algebra.attention(q, k, v, None, 0.2), Q, K, V),
    case(
        "attention masked", lambda q, k, v: linear_algebra.attention(q, k, v, MASK, 0.2), Q, K, V
    ),
    case(
        "attention by truth values",
        lambda q, k, v: linear_algebra.attention(q, k, v, MASK > 0, None), Q, K, V,
    ),
    case(
        "attention without heads",
        lambda q, k, v: linear_algebra.attention(q[0], k[0], v[0], None, 0.3), Q, K, V,
    ),
    case(
        "attention of many heads",
        lambda q, k: split_einsum._multi_head(q, k, k, 4, 0.3),
        _floats(2, 8, 1, 5), _floats(2, 8, 1, 9),
    ),
    case("group_norm", lambda x: F.group_norm(x, 4, _VECTOR.float(), _BIAS_8, 1e-5), IMAGE),
    case("group_norm alone", lambda x: F.group_norm(x, 2), IMAGE),
    case("layer_norm", lambda x: F.layer_norm(x, [3, 4], X[0], P[0], 1e-3), X),
    case("layer_norm alone", lambda x: F.layer_norm(x, [4]), X),
    case(
        "instance_norm",
        lambda x: F.instance_norm(
            x, None, None, _VECTOR.float(), _VECTOR.float(), True, 0.0, 1e-5
        ),
        IMAGE,
    ),
    case("avg_pool", lambda x: F.avg_pool2d(x, [3, 2], [2, 1], [1, 0], False, True), IMAGE),
    case("avg_pool inside", lambda x: F.avg_pool2d(x, [3, 3], [1, 2], 1, False, False), IMAGE),
    case("max_pool", lambda x: F.max_pool2d(x, [3, 2], [2, 1], [1, 0], 1, False), IMAGE),
]  # fmt: skip


def by_openvino(call: Callable[..., torch.Tensor], *running: torch.Tensor) -> torch.Tensor:
    made = Graph(library(), Staging())
    traced = call(*(made.parameter(n, tensor) for n, tensor in enumerate(running)))
    assert isinstance(traced, Traced)
    parameters = [parameter.node.get_node() for parameter in made.parameters.values()]
    model = library().Model([made.ops.result(traced.node)], parameters)
    request = compiled(model, settings(1)).create_infer_request()
    for n, tensor in enumerate(running):
        array = tensor.contiguous().numpy()
        request.set_input_tensor(n, library().Tensor(array, shared_memory=False))
    request.infer()
    return torch.from_numpy(request.get_output_tensor(0).data.copy())


class _Wide(torch.overrides.TorchFunctionMode):
    """torch computes with 16 bits as with the 32 that they stand for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        wide = [
            value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.float16
            else value
            for value in args
        ]  # fmt: skip
        return func(*wide, **(kwargs or {}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_is_what_torch_makes_of_it(case: Case) -> None:
    with _Wide():
        want = case.call(*case.running)
    got = by_openvino(case.call, *case.running)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if want.dtype.is_floating_point:
        torch.testing.assert_close(got, want, rtol=2e-5, atol=2e-5)
    else:
        assert torch.equal(got, want)


def test_every_translation_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = set()
    call = Graph.call

    def noted(self: Graph, name: str, *rest: Any) -> Traced:
        tried.add(name)
        return call(self, name, *rest)

    monkeypatch.setattr(Graph, "call", noted)
    for each in CASES:
        made = Graph(library(), Staging())
        each.call(*(made.parameter(n, tensor) for n, tensor in enumerate(each.running)))
    assert TRANSLATIONS.keys() == tried & TRANSLATIONS.keys()


LEFT = [
    case("floor_divide", lambda x: torch.floor_divide(x, 2.0), X),
    case("sqrt of ints", torch.sqrt, _ints(1, 9, 3)),
    case("several places", lambda x, n: x[n, n], X, _ints(0, 2, 2, kind=torch.int64)),
    case("negative padding", lambda x: F.pad(x, [-1, 0]), X),
    case("padding around", lambda x: F.pad(x, [1, 1], "circular"), X),
    case("pooling up", lambda x: F.max_pool2d(x, [2, 2], [2, 2], [0, 0], 1, True), IMAGE),
    case("product with a vector", torch.matmul, X, _floats(4)),
    case("area", lambda x: F.interpolate(x, [4, 4], None, "area"), IMAGE),
    case("many doubles", lambda x: x.double(), X),
    case("nothing", lambda x: x[:0], X),
]


@pytest.mark.parametrize("case", LEFT, ids=lambda case: case.name)
def test_what_cannot_be_said_alike_is_left_to_torch(case: Case) -> None:
    made = Graph(library(), Staging())
    with pytest.raises(UntranslatableError):
        case.call(*(made.parameter(n, tensor) for n, tensor in enumerate(case.running)))
