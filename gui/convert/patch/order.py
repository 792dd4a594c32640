"""The layers of a network whose constants have lost their names, told by order and shapes.

A program computes layer after layer as the network's code does, so the sequence of its convolutions
and linear layers, with their shapes, has one reading alone: kernels of three by three part the
blocks, and what stands between them is counted.  Where it has none, or where names that are left
say otherwise, nothing is told.  Queries, keys and values are alike in shape; which is which is
held against what the attention does with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gui.convert.patch.names import parameter_of
from gui.coreml.portable.ir import Function, Op, Ref, constant_value

_PRODUCTS = frozenset({"matmul", "einsum", "scaled_dot_product_attention"})
_LEAVES = ("weight", "bias")
_BLOCK = 10
"""Layers of a transformer block: four and four of attention, two of the feed-forward."""


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer of a program."""

    file: int
    """Which of the network's files."""
    op: Op
    out: int
    into: int
    kernel: int
    """1 or 3; a linear layer has 1."""

    def constant(self, operand: str) -> str:
        value = self.op.inputs.get(operand)
        return value.name if isinstance(value, Ref) else ""


class _Unreadable(Exception):  # noqa: N818 - reads as what it says
    """The sequence is none of a known network's."""


def names_by_order(part: str, files: Sequence[Sequence[Function]]) -> list[dict[str, str]] | None:
    """Parameters by the names of their constants, for each of a network's files.

    Args:
        part: unet, text_encoder or text_encoder_2.
        files: the functions of each, in running order.

    Returns:
        None where order and shapes do not tell.
    """
    layers = list(_layers(files))
    try:
        names = _unet(layers) if part == "unet" else _text_encoder(layers)
    except (_Unreadable, IndexError):
        return None
    if len(names) != len(layers) or not _attention_agrees(files, layers, names):
        return None
    found: list[dict[str, str]] = [{} for _ in files]
    shared = Counter((layer.file, layer.constant(leaf)) for layer in layers for leaf in _LEAVES)
    for layer, name in zip(layers, names, strict=True):
        for leaf in _LEAVES:
            constant = layer.constant(leaf)
            if constant and shared[layer.file, constant] == 1:  # equal ones are stored once
                told = parameter_of(constant)
                if told and told != f"{name}.{leaf}":
                    return None
                found[layer.file][constant] = f"{name}.{leaf}"
    return found


def _layers(files: Sequence[Sequence[Function]]) -> Iterator[Layer]:
    for number, functions in enumerate(files):
        for function in functions:
            types = function.types()
            for op in function.ops:
                weight = op.inputs.get("weight")
                if op.type not in ("conv", "linear") or not isinstance(weight, Ref):
                    continue
                shape = types[weight.name].static_shape
                kernel = shape[2] if len(shape) == 4 else 1
                yield Layer(number, op, shape[0], shape[1], kernel)


# --- the sequence ---------------------------------------------------------------------------------


class _Reader:
    """Goes through a UNet's layers in order."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self.names: list[str] = []
        self.time = 0
        self.channels = 0

    @property
    def rest(self) -> Sequence[Layer]:
        return self.layers[len(self.names) :]

    def take(self, name: str, kernel: int, out: int = 0, into: int = 0) -> Layer:
        """The next layer, which must be as stated; 0: anything."""
        layer = self.rest[0]
        wanted = (kernel, out or layer.out, into or layer.into)
        if (layer.kernel, layer.out, layer.into) != wanted:
            raise _Unreadable(name)
        self.names.append(name)
        return layer

    def ones(self) -> int:
        """How many layers come before the next kernel of three by three."""
        return next((n for n, layer in enumerate(self.rest) if layer.kernel != 1), len(self.rest))

    def is_resnet(self) -> bool:
        return len(self.rest) > 2 and self.ones() == 0 and self.rest[1].kernel == 1

    def resnet(self, name: str) -> None:
        first = self.take(f"{name}.conv1", 3)
        self.take(f"{name}.time_emb_proj", 1, first.out, self.time)
        self.take(f"{name}.conv2", 3, first.out, first.out)
        if first.into != first.out:
            self.take(f"{name}.conv_shortcut", 1, first.out, first.into)
        self.channels = first.out

    def attention(self, name: str) -> None:
        """If there is one."""
        count = self.ones()
        if not count:
            return
        if count < 2 + _BLOCK or (count - 2) % _BLOCK:
            raise _Unreadable(name)
        width = self.take(f"{name}.proj_in", 1, into=self.channels).out
        for number in range((count - 2) // _BLOCK):
            self._block(f"{name}.transformer_blocks.{number}", width)
        self.take(f"{name}.proj_out", 1, self.channels, width)

    def _block(self, name: str, width: int) -> None:
        for leaf in ("to_q", "to_k", "to_v", "to_out.0"):
            self.take(f"{name}.attn1.{leaf}", 1, width, width)
        self.take(f"{name}.attn2.to_q", 1, width, width)
        context = self.take(f"{name}.attn2.to_k", 1, width).into
        self.take(f"{name}.attn2.to_v", 1, width, context)
        self.take(f"{name}.attn2.to_out.0", 1, width, width)
        wide = self.take(f"{name}.ff.net.0.proj", 1, into=width).out
        self.take(f"{name}.ff.net.2", 1, width, wide // 2)


def _unet(layers: Sequence[Layer]) -> list[str]:
    read = _Reader(layers)
    first = read.ones()
    if first in (3, 5):
        read.take("time_embedding.cond_proj", 1)
    read.time = read.take("time_embedding.linear_1", 1).out
    read.take("time_embedding.linear_2", 1, read.time, read.time)
    if first in (4, 5):
        read.take("add_embedding.linear_1", 1, read.time)
        read.take("add_embedding.linear_2", 1, read.time, read.time)
    read.channels = read.take("conv_in", 3).out
    levels, each = _down(read)
    read.resnet("mid_block.resnets.0")
    read.attention("mid_block.attentions.0")
    read.resnet("mid_block.resnets.1")
    for level in range(levels):
        for number in range(each + 1):
            read.resnet(f"up_blocks.{level}.resnets.{number}")
            read.attention(f"up_blocks.{level}.attentions.{number}")
        if level < levels - 1:
            read.take(f"up_blocks.{level}.upsamplers.0.conv", 3, read.channels, read.channels)
    read.take("conv_out", 3, into=read.channels)
    return read.names


def _down(read: _Reader) -> tuple[int, int]:
    """The way down; returns its levels, and the ResNets of each."""
    each, level = 0, 0
    while True:
        number = 0
        while read.is_resnet() and (not each or number < each):
            read.resnet(f"down_blocks.{level}.resnets.{number}")
            read.attention(f"down_blocks.{level}.attentions.{number}")
            number += 1
        each = each or number
        if number != each:
            raise _Unreadable("down_blocks")
        if read.is_resnet():
            return level + 1, each
        read.take(f"down_blocks.{level}.downsamplers.0.conv", 3, read.channels, read.channels)
        level += 1


def _text_encoder(layers: Sequence[Layer]) -> list[str]:
    names: list[str] = []
    width = layers[0].out
    for number in range(len(layers) // 6):
        stem = f"encoder.layers.{number}"
        q, k, v, out, up, down = layers[6 * number : 6 * number + 6]
        square = all(each.out == each.into == width for each in (q, k, v, out))
        if not square or (up.into, down.out, down.into) != (width, width, up.out):
            raise _Unreadable(stem)
        names += [f"{stem}.self_attn.{leaf}_proj" for leaf in ("q", "k", "v", "out")]
        names += [f"{stem}.mlp.fc1", f"{stem}.mlp.fc2"]
    if len(layers) % 6 == 1 and layers[-1].into == width:
        names.append("text_projection")
    return names


# --- attention ------------------------------------------------------------------------------------


def _attention_agrees(
    files: Sequence[Sequence[Function]], layers: Sequence[Layer], names: Sequence[str]
) -> bool:
    """Whether every attention uses as queries, keys and values what the order says they are."""
    graphs = [_Graph(functions) for functions in files]
    place = dict(zip(names, layers, strict=True))
    for name, query in place.items():
        if not name.endswith(("to_q", "q_proj")):
            continue
        key, value = (place[_other(name, letter)] for letter in "kv")
        if not graphs[query.file].is_attention(query.op, key.op, value.op):
            return False
    return True


def _other(name: str, letter: str) -> str:
    stem, _, leaf = name.rpartition(".")
    return f"{stem}.{letter}_proj" if leaf == "q_proj" else f"{stem}.to_{letter}"


class _Graph:
    """Which operations read what, in one file."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._readers: dict[str, list[Op]] = {}
        self._constants: dict[str, Any] = {}
        for function in functions:
            for op in function.ops:
                if op.type == "const":
                    self._constants[op.name] = constant_value(op)
                for ref in op.refs():
                    self._readers.setdefault(ref.name, []).append(op)

    def is_attention(self, query: Op, key: Op, value: Op) -> bool:
        score, by_query = self._product(query)
        other, by_key = self._product(key)
        last, by_value = self._product(value)
        if score is None or score is not other or by_query == by_key:
            return False
        if score.type == "scaled_dot_product_attention":
            wanted = {"query": by_query, "key": by_key, "value": by_value}
            return last is score and all(score.inputs.get(n) == Ref(v) for n, v in wanted.items())
        return last is not None and last is not score and self._is_key(score, by_key)

    def _product(self, start: Op) -> tuple[Op | None, str]:
        """The first product that what an operation gives goes into, and by which name."""
        waiting = [name for name, _ in start.outputs]
        seen: set[str] = set()
        while waiting:
            name = waiting.pop(0)
            for reader in self._readers.get(name, ()):
                if reader.type in _PRODUCTS:
                    return reader, name
                if reader.name not in seen and reader.type not in ("conv", "linear", "softmax"):
                    seen.add(reader.name)
                    waiting += [output for output, _ in reader.outputs]
        return None, ""

    def _is_key(self, score: Op, name: str) -> bool:
        """Whether the softmax after a product goes over the positions of this operand."""
        waiting = [output for output, _ in score.outputs]
        for _ in range(8):
            readers = [reader for output in waiting for reader in self._readers.get(output, ())]
            softmax = next((reader for reader in readers if reader.type == "softmax"), None)
            if softmax is not None:
                return self._over(score, name, int(self._value(softmax, "axis")))
            waiting = [output for reader in readers for output, _ in reader.outputs]
        return False

    def _over(self, score: Op, name: str, axis: int) -> bool:
        rank = len(score.outputs[0][1].shape)
        if score.type == "matmul":  # the result's rows are x's, its columns y's
            side = {rank - 2: "x", rank - 1: "y"}.get(axis % rank, "")
            return score.inputs.get(side) == Ref(name)
        left, _, result = str(self._value(score, "equation")).replace(" ", "").partition("->")
        values = score.inputs.get("values")
        if not isinstance(values, list) or Ref(name) not in values:
            return False
        own = left.split(",")[values.index(Ref(name))]
        others = "".join(t for n, t in enumerate(left.split(",")) if values[n] != Ref(name))
        letter = result[axis % rank]
        return letter in own and letter not in others

    def _value(self, op: Op, operand: str) -> Any:
        value = op.inputs.get(operand)
        return self._constants.get(value.name) if isinstance(value, Ref) else value
