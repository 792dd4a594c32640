"""What only running can tell: branches, loops, states, and shapes that depend on values.

Each program is run from its package and from its text as a compiled model has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gui.coreml.portable import PortableModel
from gui.errors import ErrorKind, SfumatoError
from tests.coreml_portable.support import load
from tests.support.mil_programs import builder, coremltools, save_program
from tests.support.mil_text import write_compiled

pytestmark = pytest.mark.usefixtures("back_end")

Runner = Callable[..., PortableModel]
X = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
WEIGHT = np.random.default_rng(4).standard_normal((4, 4)).astype(np.float32)


@pytest.fixture(params=["package", "text"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Runner:
    """Saves a program and loads it, as the one or the other."""

    def prepare(build: Callable[..., Any], inputs: dict[str, Any], **options: Any) -> PortableModel:
        path = save_program(tmp_path / "net.mlpackage", build, inputs, target="macOS15", **options)
        if request.param == "text":
            path = write_compiled(path, tmp_path / "net.mlmodelc", "new")
        return load(path)

    return prepare


def only(results: dict[str, np.ndarray]) -> np.ndarray:
    (result,) = results.values()
    return result


def test_each_branch_is_taken_and_reads_what_is_around_it(run: Runner) -> None:
    def build(mb: Any, x: Any, y: Any) -> Any:
        total = mb.reduce_sum(x=x, keep_dims=False)
        squares = mb.mul(x=x, y=x)  # read by one branch alone
        return mb.cond(
            pred=mb.greater(x=total, y=0.0),
            _true_fn=lambda: mb.matmul(x=squares, y=WEIGHT),
            _false_fn=lambda: mb.sub(x=y, y=1.0),
        )

    model = run(build, {"x": X, "y": X})
    y = np.full_like(X, 7)
    np.testing.assert_allclose(only(model({"x": X, "y": y})), X**2 @ WEIGHT, rtol=1e-5)
    np.testing.assert_array_equal(only(model({"x": X - 9, "y": y})), y - 1)


def test_a_loop_within_a_loop_runs_as_often_as_the_values_say(run: Runner) -> None:
    def build(mb: Any, count: Any, x: Any) -> Any:
        def add_twice(left: Any, value: Any) -> Any:
            inner = mb.while_loop(
                _cond=lambda step, _: mb.less(x=step, y=2.0),
                _body=lambda step, grown: (mb.add(x=step, y=1.0), mb.add(x=grown, y=x)),
                loop_vars=(np.float32(0), value),
            )
            return mb.sub(x=left, y=1.0), inner[1]

        return mb.while_loop(
            _cond=lambda left, value: mb.greater(x=left, y=0.0),
            _body=add_twice,
            loop_vars=(mb.squeeze(x=count), x),
        )[1]

    model = run(build, {"count": np.zeros(1, np.float32), "x": X})
    for count in (0, 1, 4):
        got = only(model({"count": np.array([count]), "x": X}))
        np.testing.assert_array_equal(got, X * (1 + 2 * count))


def _accumulating(tmp_path: Path, form: str) -> PortableModel:
    """A program that adds its input to a state, and gives what stood there before and after."""
    ct, mb = coremltools(), builder()
    from coremltools.converters.mil.mil import types

    specs = [
        mb.TensorSpec((2, 3), types.fp16),
        mb.StateTensorSpec((2, 3), types.fp16),
    ]

    @mb.program(input_specs=specs, opset_version=ct.target.iOS18)
    def program(x: Any, memory: Any) -> Any:
        before = mb.read_state(input=memory)
        after = mb.coreml_update_state(state=memory, value=mb.add(x=before, y=x))
        return before, mb.mul(x=after, y=np.float16(2))

    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    path = tmp_path / "state.mlpackage"
    model.save(str(path))
    if form == "text":
        path = write_compiled(path, tmp_path / "state.mlmodelc", "new")
    return load(path)


@pytest.mark.parametrize("form", ["package", "text"])
def test_a_state_lasts_from_call_to_call(form: str, tmp_path: Path) -> None:
    model = _accumulating(tmp_path, form)
    assert list(model.inputs) == ["x"], "a state is no input"
    state, x = model.make_state(), np.full((2, 3), 1.5)
    for n in range(3):
        before, doubled = model({"x": x}, state).values()
        np.testing.assert_array_equal(before, np.full((2, 3), 1.5 * n))
        np.testing.assert_array_equal(doubled, np.full((2, 3), 3.0 * (n + 1)))
    # Another state is another memory, and without one every call begins with zeros
    assert not next(iter(model({"x": x}, model.make_state()).values())).any()
    for _ in range(2):
        assert not next(iter(model({"x": x}).values())).any()


def test_a_state_overwritten_in_a_branch_is_overwritten(tmp_path: Path) -> None:
    ct, mb = coremltools(), builder()
    from coremltools.converters.mil.mil import types

    specs = [mb.TensorSpec((2,), types.fp16), mb.StateTensorSpec((2,), types.fp16)]

    @mb.program(input_specs=specs, opset_version=ct.target.iOS18)
    def program(x: Any, memory: Any) -> Any:
        held = mb.read_state(input=memory)
        return mb.cond(
            pred=mb.greater(x=mb.reduce_sum(x=x, keep_dims=False), y=np.float16(0)),
            _true_fn=lambda: mb.coreml_update_state(state=memory, value=mb.add(x=held, y=x)),
            _false_fn=lambda: mb.identity(x=held),
        )

    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "state.mlpackage"))
    ours = load(tmp_path / "state.mlpackage")
    state = ours.make_state()
    seen = [only(ours({"x": np.full(2, x)}, state))[0] for x in (1.0, -1.0, 2.0, -5.0)]
    assert seen == [1.0, 1.0, 3.0, 3.0]


def test_shapes_follow_the_values(run: Runner) -> None:
    """Indices of what is not zero, rows picked by them, and what is computed with those."""

    def build(mb: Any, x: Any) -> Any:
        places = mb.non_zero(x=mb.greater(x=x, y=0.0))
        picked = mb.gather_nd(x=x, indices=places)
        filled = mb.scatter_nd(
            data=x,
            indices=places,
            updates=mb.fill_like(ref_tensor=picked, value=-1.0),
            mode="update",
        )
        return places, mb.mul(x=picked, y=2.0), mb.relu(x=mb.add(x=filled, y=3.0))

    model = run(build, {"x": X})
    for x in (X, X - 100, X + 100):
        places, doubled, filled = model({"x": x}).values()
        np.testing.assert_array_equal(places, np.argwhere(x > 0))
        np.testing.assert_array_equal(doubled, 2 * x[x > 0])
        np.testing.assert_array_equal(filled, np.maximum(np.where(x > 0, -1, x) + 3, 0))


def test_sizes_and_bounds_may_be_inputs(run: Runner) -> None:
    def build(mb: Any, x: Any, begin: Any, size: Any, stop: Any, reps: Any) -> Any:
        stop = mb.squeeze(x=stop)
        return (
            mb.slice_by_size(x=x, begin=begin, size=[2, 2]),
            mb.slice_by_index(x=x, begin=begin, end=[3, 4]),
            mb.fill(shape=size, value=2.5),
            mb.range_1d(start=0, end=stop, step=1),
            mb.tile(x=x, reps=reps),
            mb.one_hot(indices=[0, 2], one_hot_vector_size=stop),
            mb.reshape(x=mb.tile(x=x, reps=reps), shape=[-1, 2]),
        )

    arrays = {
        "x": X,
        "begin": np.array([1, 1], np.int32),
        "size": np.array([2, 5], np.int32),
        "stop": np.array([3], np.int32),
        "reps": np.array([2, 3], np.int32),
    }
    model = run(build, arrays)
    for begin, size, stop, reps in (((1, 1), (2, 5), 3, (2, 3)), ((0, 2), (1, 4), 6, (1, 2))):
        given = zip(("begin", "size", "stop", "reps"), (begin, size, [stop], reps), strict=True)
        got = list(model({"x": X, **{name: np.array(value) for name, value in given}}).values())
        tiled = np.tile(X, reps)
        wanted = [
            X[begin[0] : begin[0] + 2, begin[1] : begin[1] + 2],
            X[begin[0] : 3, begin[1] : 4],
            np.full(size, 2.5),
            np.arange(stop),
            tiled,
            np.eye(stop)[[0, 2]],
            tiled.reshape(-1, 2),
        ]
        for have, want in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(have, want)


def test_values_that_make_no_sense_are_told_in_one_sentence(run: Runner) -> None:
    model = run(
        lambda mb, x, reps: mb.add(x=mb.tile(x=x, reps=reps), y=X),
        {"x": X, "reps": np.ones(2, np.int32)},
    )
    assert model({"x": X, "reps": np.ones(2)})
    with pytest.raises(SfumatoError) as caught:
        model({"x": X, "reps": np.full(2, 3)})
    assert caught.value.kind is ErrorKind.INTERNAL
    assert "add" in caught.value.detail


def test_a_seed_gives_the_same_numbers_and_none_gives_others(run: Runner) -> None:
    def build(mb: Any, shape: Any) -> Any:
        return (
            mb.random_normal(shape=shape, mean=3.0, stddev=2.0, seed=5),
            mb.random_uniform(shape=[4000], low=-1.0, high=3.0, seed=5),
            mb.random_bernoulli(shape=[4000], prob=0.2, seed=5),
            mb.random_categorical(x=np.log([[0.1, 0.6, 0.3]]).astype("f4"), size=4000, seed=5),
            mb.random_normal(shape=[4000]),
        )

    model = run(build, {"shape": np.array([40, 100], np.int32)})
    kept = torch.random.get_rng_state()
    first, second = (list(model({"shape": np.array([40, 100])}).values()) for _ in range(2))
    assert torch.equal(kept, torch.random.get_rng_state()), "nobody else's numbers change"
    for one, other in zip(first[:-1], second[:-1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[-1], second[-1])
    normal, uniform, bernoulli, category, _ = first
    assert normal.shape == (40, 100)
    assert abs(normal.mean() - 3) < 0.15 and abs(normal.std() - 2) < 0.15
    assert abs(uniform.mean() - 1) < 0.1 and uniform.min() >= -1 and uniform.max() < 3
    assert abs(bernoulli.mean() - 0.2) < 0.03
    shares = np.bincount(category.reshape(-1).astype(int)) / 4000
    np.testing.assert_allclose(shares, [0.1, 0.6, 0.3], atol=0.03)
