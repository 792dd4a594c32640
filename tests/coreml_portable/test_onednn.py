"""oneDNN's own operations and steps done in place, against torch's public ones in float64."""

from __future__ import annotations

import operator
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from gui.coreml.portable import PortableRuntime, onednn
from gui.coreml.portable.blobs import Blob, WeightFile
from gui.coreml.portable.in_place import overwrite
from gui.coreml.portable.later import Packing
from gui.coreml.portable.plan import ExecutionPlan, PlanStep, Symbol
from tests.coreml_portable.support import decibels

needs_onednn = pytest.mark.skipif(
    not onednn.is_available(), reason="this build of torch has no oneDNN; its public ops are used"
)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@needs_onednn
@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 5), (2, 3, 4, 5), (1, 1, 5)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_packed_linear(shape: tuple[int, ...], has_bias: bool) -> None:
    x, weight, bias = random(*shape), random(6, 5), random(6) if has_bias else None
    packed = onednn.pack_linear(weight, x.numel() // 5)
    want = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    for given in (x, x.transpose(0, -1).contiguous().transpose(0, -1)):  # in any layout
        got = onednn.linear(given, packed, bias)
        assert decibels(got.numpy(), want.numpy()) > 120


@needs_onednn
@pytest.mark.parametrize(
    ("queries", "keys", "channels"), [(256, 77, 40), (300, 300, 33), (1024, 1024, 64)]
)
@pytest.mark.parametrize("in_blocks", [False, True])
def test_attention(
    queries: int, keys: int, channels: int, in_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "beats_mkl", lambda: True)
    if in_blocks:  # the last of them smaller than the others
        monkeypatch.setattr(onednn, "_SCORES_PER_THREAD", 130 * keys)
    query = random(2, queries, 3, channels).transpose(1, 2)
    key, value = random(2, 3, keys, channels), random(2, 3, keys, channels) * 2
    assert onednn.takes_attention(query, key, value)
    got = onednn.attention(query, key, value, 0.3)
    want = F.scaled_dot_product_attention(query.double(), key.double(), value.double(), scale=0.3)
    assert decibels(got.numpy(), want.numpy()) > 120


def test_attention_of_other_forms_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "beats_mkl", lambda: True)
    plain = random(1, 2, 256, 32)
    assert onednn.takes_attention(plain, plain, plain)
    assert not onednn.takes_attention(plain.double(), plain.double(), plain.double())
    assert not onednn.takes_attention(plain, plain[:, :1], plain[:, :1])  # heads broadcast
    assert not onednn.takes_attention(plain[0], plain[0], plain[0])
    meta = plain.to("meta")
    assert not onednn.takes_attention(meta, meta, meta)


def step(function: Any, *arguments: Any, output: int) -> PlanStep:
    return PlanStep(function, list(arguments), {}, output, "test")


def run(steps: list[PlanStep], outputs: list[Any], *inputs: torch.Tensor) -> list[torch.Tensor]:
    overwrite(steps, outputs)
    plan = ExecutionPlan(steps, range(len(inputs)), outputs, 10)
    return plan(*inputs)


def test_a_sum_takes_the_place_of_what_only_it_reads() -> None:
    x, y = random(2, 3), random(2, 3)
    steps = [
        step(F.silu, Symbol(0), output=2),
        step(operator.add, Symbol(1), Symbol(2), output=3),
        step(F.silu, Symbol(3), output=4),
    ]
    before = (x.clone(), y.clone())
    (got,) = run(steps, [Symbol(4)], x, y)
    assert torch.equal(got, F.silu(y + F.silu(x)))
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])  # inputs stay as they were
    assert steps[1].function is not operator.add and steps[2].function is not F.silu


@pytest.mark.parametrize("function", [operator.add, operator.sub, operator.mul])
@pytest.mark.parametrize("other", [(3,), (2, 1), (2, 3), (4, 2, 3), ()])
@pytest.mark.parametrize("swapped", [False, True])
def test_operands_of_other_shapes(function: Any, other: tuple[int, ...], swapped: bool) -> None:
    x, y = random(2, 3), random(*other)
    operands = [Symbol(2), Symbol(1)] if swapped else [Symbol(1), Symbol(2)]
    steps = [
        step(F.silu, Symbol(0), output=2),
        step(function, *operands, output=3),
    ]
    (got,) = run(steps, [Symbol(3)], x, y)
    made = F.silu(x)
    assert torch.equal(got, function(made, y) if swapped else function(y, made))


def test_a_number_and_integers() -> None:
    steps = [
        step(operator.add, Symbol(0), 1, output=1),
        step(operator.mul, Symbol(1), 0.5, output=2),  # integers become floats
        step(operator.mul, Symbol(2), 3, output=3),
    ]
    (got,) = run(steps, [Symbol(3)], torch.tensor([1, 2]))
    assert got.tolist() == [3.0, 4.5]


def test_what_others_read_is_not_overwritten() -> None:
    x = random(2, 3)
    steps = [
        step(F.silu, Symbol(0), output=1),
        step(torch.reshape, Symbol(1), [3, 2], output=2),  # a view of it
        step(operator.mul, Symbol(1), 2.0, output=3),
        step(F.silu, Symbol(2), output=4),  # of a view: not its own memory
        step(F.silu, Symbol(0), output=5),
        step(operator.add, Symbol(5), Symbol(5), output=6),
        step(F.silu, Symbol(0), output=7),
        step(operator.mul, Symbol(7), 3.0, output=8),
    ]
    outputs = [Symbol(n) for n in (1, 2, 3, 4, 6, 7, 8)]
    got = run(steps, outputs, x)
    a = F.silu(x)
    want = [a, a.reshape(3, 2), a * 2, F.silu(a.reshape(3, 2)), a + a, a, a * 3]
    assert all(torch.equal(g, w) for g, w in zip(got, want, strict=True))


def test_what_fails_in_packing_is_raised_where_the_plan_is_made() -> None:
    def fail() -> torch.Tensor:
        raise MemoryError("no room")

    with Packing() as packing:
        weights = [packing.promise(lambda n=n: torch.full((2,), n)) for n in range(20)]
        steps = [step(torch.neg, weight, output=n) for n, weight in enumerate(weights)]
        packing.keep(steps)
        assert [s.arguments[0][0].item() for s in steps] == list(range(20))
        with pytest.raises(MemoryError):
            packing.keep([step(torch.neg, packing.promise(fail), output=0)])


def test_pages_let_go_of_are_read_again(tmp_path: Path) -> None:
    values = np.arange(1 << 15, dtype=np.float16)
    record = struct.pack("<IIQQQ", 0xDEADBEEF, 1, values.nbytes, 128, 0)
    path = tmp_path / "weight.bin"
    path.write_bytes(bytes(64) + record.ljust(64, b"\0") + values.tobytes())
    blob = Blob(WeightFile(path), 64, "fp16", values.shape)
    before = blob.numpy()
    blob.release()
    assert np.array_equal(before, values) and np.array_equal(blob.numpy(), values)


@pytest.mark.parametrize(
    ("cores", "asked", "taken"),
    [(1, None, 1), (64, None, 16), (8, None, 8), (64, 40, 40), (8, 0, 1)],
)
def test_threads(
    cores: int, asked: int | None, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = [cores]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr("gui.coreml.portable.runtime.usable_cores", lambda: cores)
    PortableRuntime(threads=asked)
    assert threads[-1] == taken
