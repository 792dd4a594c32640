"""Depth and line networks as preprocessors, on real package files whose answers are known."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gui import paths
from gui.control_use import Preprocessor
from gui.coreml.map_network import inspect_map_network
from gui.coreml.portable import PortableRuntime
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.map_network import MapNetwork
from gui.pipeline.preprocess import Preprocessing
from gui.request import ComputeUnit

SIDE = 64


class _Call(nn.Module):
    def __init__(self, call: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.forward = call  # type: ignore[method-assign]


def network(path: Path, call: Callable[[Tensor], Any], image: str = "", **facts: str) -> Path:
    """Write a network that takes one picture.

    Args:
        image: colour layout where Core ML is to take a picture itself.
    """
    import coremltools as ct

    logging.getLogger("coremltools").setLevel(logging.ERROR)
    shape = (1, 3, SIDE, SIDE)
    given: Any = ct.TensorType("x", shape)
    if image:
        given = ct.ImageType("x", shape, color_layout=getattr(ct.colorlayout, image))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_Call(call).eval(), torch.rand(shape))
        model: Any = ct.convert(
            traced, convert_to="mlprogram", inputs=[given], skip_model_load=True,
            compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.macOS13,
        )  # fmt: skip
    model.user_defined_metadata.update(facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(str(path))
    return path


def loaded(path: Path) -> MapNetwork:
    return MapNetwork(inspect_map_network(path), PortableRuntime(), ComputeUnit.CPU_ONLY)


def picture() -> Image.Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    pixels = np.stack([4 * x, 4 * y, np.where(x > 40, 220, 30)], -1).astype(np.uint8)
    return Image.fromarray(pixels)


def stretched(values: np.ndarray) -> np.ndarray:
    return 255 * (values - values.min()) / np.ptp(values)


def grey(tensor: Tensor) -> Tensor:
    return tensor.mean(1)


def test_depth_from_minus_one_to_one(tmp_path: Path) -> None:
    """A network of depths that are neither 0…1 nor 0…255, and saturates beyond its own range."""
    path = network(tmp_path / "Deep.mlpackage", lambda x: 10 + 3 * torch.tanh(2 * grey(x)))
    net = loaded(path)
    assert net.range == (-1.0, 1.0) and net.gives is None
    made = np.asarray(net.map_of(picture()))
    pixels = np.asarray(picture(), np.float32).mean(-1) / 255
    expected = stretched(np.tanh(2 * (2 * pixels - 1)))
    assert made.shape == (SIDE, SIDE, 3)
    np.testing.assert_allclose(made[..., 0], expected, atol=1)


def test_lines_from_a_picture_that_core_ml_takes_in_bgr(tmp_path: Path) -> None:
    """Its edges are those of blue, which the file has first; bytes in, 0…1 out."""

    def lines(x: Tensor) -> Tensor:
        blue = x[:, :1] / 255
        return nn.functional.pad((blue[..., 1:] - blue[..., :-1]).abs(), (0, 1)).clamp(0, 1)

    net = loaded(network(tmp_path / "Lines.mlpackage", lines, image="BGR"))
    assert net.range == (0.0, 255.0)
    made = np.asarray(net.map_of(picture()))[..., 0].astype(int)
    assert made[:, 40].min() > 150  # where blue changes
    assert np.delete(made, [39, 40, 41], axis=1).max() == 0  # red changes everywhere


def test_what_a_file_states_goes_before_what_is_found(tmp_path: Path) -> None:
    path = network(tmp_path / "Stated.mlpackage", lambda x: x[:, :1], range="0 255", channels="bgr")
    net = loaded(path)
    assert net.range == (0.0, 255.0) and net.swapped
    made = np.asarray(net.map_of(picture()))[..., 0]
    assert set(np.unique(made)) == {30, 220}  # its first channel is blue


def test_what_is_none_says_so(tmp_path: Path) -> None:
    two = network(tmp_path / "Two.mlpackage", lambda x: (x[:, :1], x[:, 1:]))
    with pytest.raises(SfumatoError, match=r"Two\.mlpackage prepares no control pictures"):
        inspect_map_network(two)
    noise = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    deaf = network(tmp_path / "Deaf.mlpackage", lambda x: noise + 1e-6 * grey(x))
    with pytest.raises(SfumatoError) as error:
        loaded(deaf)
    assert error.value.kind is ErrorKind.UNSUPPORTED
    assert "has nothing to do with its picture" in error.value.message


def test_one_of_the_library_prepares_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    network(paths.preprocessors_dir() / "My Depth.mlpackage", lambda x: grey(x)[:, None])
    file = tmp_path / "given.png"
    picture().save(file)
    preprocessing = Preprocessing(PortableRuntime, ComputeUnit.CPU_ONLY)
    made = preprocessing.picture(file, 128, 128, Preprocessor.NETWORK, "my depth")
    assert made.size == (128, 128) and made.mode == "RGB"
    middle = np.asarray(made, np.float32)[64, 64]
    assert abs(middle - np.asarray(picture(), np.float32)[32, 32].mean()).max() < 12
    with pytest.raises(SfumatoError, match="choose one of these: “My Depth”"):
        preprocessing.picture(file, 128, 128, Preprocessor.NETWORK, "lines")
