"""Reads networks in ncnn's form (a ``.param`` of text and a ``.bin`` of weights) as torch modules.

Only the layers that Real-ESRGAN's networks are made of; anything else is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_HALF = 0x01306B47
"""Tag before weights that are stored as float16."""
_LEAKY = "2"
_SLOPE = 0.2


@dataclass(frozen=True)
class Layer:
    """One line of the ``.param``, with its place among the weights where it has any."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict[str, str])
    weights: str = ""


class NcnnNetwork(nn.Module):
    """Runs the layers one after the other: float [1, 3, h, w] RGB in 0…1 → [1, 3, h·f, w·f]."""

    def __init__(self, layers: list[Layer], tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.layers = layers
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, picture: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        last = picture
        for layer in self.layers:
            inputs = [values[name] for name in layer.inputs] or [picture]
            last = self._run(layer, inputs)
            values.update(dict.fromkeys(layer.outputs, last))
        return last

    def _run(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        first, options = inputs[0], layer.options
        match layer.kind:
            case "Input" | "Split":
                return first
            case "Convolution":
                weight = self.get_buffer(f"{layer.weights}_weight")
                bias = self.get_buffer(f"{layer.weights}_bias")
                result = functional.conv2d(first, weight, bias, padding=weight.shape[-1] // 2)
                leaky = options.get("9") == _LEAKY
                return functional.leaky_relu(result, _SLOPE) if leaky else result
            case "PReLU":
                return functional.prelu(first, self.get_buffer(f"{layer.weights}_slope"))
            case "PixelShuffle":
                return functional.pixel_shuffle(first, int(options["0"]))
            case "Interp":
                return functional.interpolate(first, scale_factor=float(options["1"]))
            case "Concat":
                return torch.cat(inputs, 1)
            case "BinaryOp":
                return first + inputs[1]
            case "Eltwise":
                a, b = (float(x) for x in options["-23301"].split(",")[1:])
                return a * first + b * inputs[1]
            case other:
                raise ValueError(f"a layer of the unknown kind {other}")


def read_network(param: Path) -> NcnnNetwork:
    """The network of a ``.param`` and the ``.bin`` beside it.

    Raises:
        ValueError: a layer or option that is not known, or weights that are left over.
    """
    data = param.with_suffix(".bin").read_bytes()
    layers: list[Layer] = []
    tensors: dict[str, Tensor] = {}
    at = 0

    def floats(count: int, dtype: type = np.float32) -> Tensor:
        nonlocal at
        array = np.frombuffer(data, dtype, count, at).astype(np.float32)
        at += -(-array.size * np.dtype(dtype).itemsize // 4) * 4
        return torch.from_numpy(array)

    for line in param.read_text().splitlines()[2:]:
        if not (words := line.split()):
            continue
        kind, name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
        names = words[4:]
        options = dict(word.split("=", 1) for word in names[inputs + outputs :])
        key = f"n{len(layers)}"
        if kind == "Convolution":
            _check_convolution(name, options)
            side, out = int(options["1"]), int(options["0"])
            count = int(options["6"])
            tag = int.from_bytes(data[at : at + 4], "little")
            at += 4
            if tag not in (0, _HALF):
                raise ValueError(f"{name}: weights in an unknown form ({tag:#x})")
            weight = floats(count, np.float16 if tag else np.float32)
            tensors[f"{key}_weight"] = weight.reshape(out, -1, side, side)
            tensors[f"{key}_bias"] = floats(out)
        elif kind == "PReLU":
            tensors[f"{key}_slope"] = floats(int(options["0"]))
        layers.append(
            Layer(
                kind,
                tuple(names[:inputs]),
                tuple(names[inputs : inputs + outputs]),
                options,
                key,
            )
        )
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes of the weights belong to no layer")
    return NcnnNetwork(layers, tensors).eval()


def _check_convolution(name: str, options: dict[str, str]) -> None:
    side = int(options["1"])
    slope = float(options.get("-23310", f"1,{_SLOPE}").split(",")[-1])
    known = (
        options.get("4") == str(side // 2)
        and options.get("5") == "1"
        and options.get("9", "0") in ("0", _LEAKY)
        and abs(slope - _SLOPE) < 1e-6
        and options.get("3", "1") == "1"
    )
    if not known:
        raise ValueError(f"{name}: a convolution with the unknown options {options}")
