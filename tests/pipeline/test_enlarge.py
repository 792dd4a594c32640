"""Enlarging: any size of picture, no seams, and in one sentence what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gui import paths
from gui.coreml.picture_network import find_upscaler, inspect_picture_network, upscalers
from gui.coreml.portable import PortableRuntime
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.pipeline.enlarge import Enlarger, starts
from gui.request import ComputeUnit

SIDE = 64


class Network(nn.Module):
    """What `compute` does, as a module that can be traced."""

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x)


def plain(factor: int) -> Callable[[Tensor], Tensor]:
    """Every pixel becomes a square."""
    return lambda x: nn.functional.interpolate(x, scale_factor=float(factor))


def package(folder: Path, name: str, compute: Callable[[Tensor], Tensor]) -> Path:
    """An upscaler in float32 that takes pieces of 64 × 64 and says nothing of itself."""
    import coremltools as ct

    traced = torch.jit.trace(Network(compute), torch.rand(1, 3, SIDE, SIDE))
    model: Any = ct.convert(
        traced,
        inputs=[ct.TensorType("x", (1, 3, SIDE, SIDE))],
        outputs=[ct.TensorType("y")],
        minimum_deployment_target=ct.target.macOS13,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    path = folder / f"{name}.mlpackage"
    model.save(str(path))
    return path


def loaded(path: Path) -> Enlarger:
    return Enlarger(inspect_picture_network(path), PortableRuntime(), ComputeUnit.ALL)


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Enlarger:
    return loaded(package(tmp_path_factory.mktemp("twice"), "Twice", plain(2)))


def some_picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * width).integers(
        0, 256, (height, width, channels), np.uint8
    )


SIZES = ((1, 1), (1, 300), (63, 65), (64, 64), (65, 64), (130, 201), (77, 640))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_network_that_repeats_pixels_gives_plain_enlargement_at_every_size(
    twice: Enlarger, height: int, width: int
) -> None:
    pixels = some_picture(height, width)
    told: list[tuple[int, int]] = []
    enlarged = twice.enlarge(pixels, 2, lambda done, of: told.append((done, of)))
    np.testing.assert_array_equal(enlarged, pixels.repeat(2, 0).repeat(2, 1))
    assert told == [(k + 1, len(told)) for k in range(len(told))]


def test_by_less_than_the_network_does_is_the_mean_of_its_pixels(
    tmp_path: Path,
) -> None:
    four = loaded(package(tmp_path, "Four", plain(4)))
    assert four.factors() == (2, 4)
    pixels = some_picture(70, 100)
    np.testing.assert_array_equal(four.enlarge(pixels, 2), pixels.repeat(2, 0).repeat(2, 1))


def test_alpha_is_kept_and_enlarged_smoothly(twice: Enlarger) -> None:
    pixels = some_picture(20, 30, 4)
    enlarged = twice.enlarge(pixels, 2)
    np.testing.assert_array_equal(enlarged[..., :3], pixels[..., :3].repeat(2, 0).repeat(2, 1))
    expected = Image.fromarray(pixels[..., 3]).resize((60, 40), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(enlarged[..., 3], np.asarray(expected))


@pytest.mark.parametrize(
    "compute",
    [
        pytest.param(lambda x: plain(2)(x).clamp(12, 243), id="0 to 255"),
        pytest.param(lambda x: plain(2)(x - 1).clamp(-0.9, 0.9) + 1 - (x * 0).mean(), id="0 to 1"),
        pytest.param(lambda x: plain(2)(x[:, [2, 1, 0]]), id="blue comes out first"),
    ],
)
def test_range_and_order_of_channels_are_found(
    tmp_path: Path, compute: Callable[[Tensor], Tensor]
) -> None:
    network = loaded(package(tmp_path, "Unlabelled", compute))
    pixels = some_picture(40, 40) // 2 + 64  # away from black and white, which they clip
    np.testing.assert_array_equal(network.enlarge(pixels, 2), pixels.repeat(2, 0).repeat(2, 1))


def test_no_seam_can_be_seen_with_a_real_network() -> None:
    """Pieces of 128 against one of 256; its margin is repeated there, so only what is far from
    the right and lower edge is the same picture."""
    network = Enlarger(find_upscaler("drawings X4"), PortableRuntime(), ComputeUnit.ALL)
    with Image.open(paths.resource("screenshot.png")) as screenshot:
        pixels = np.asarray(screenshot.convert("RGB").crop((400, 100, 610, 300)))
    assert len(starts(210, 128)) == 3
    network.sides = (256,)
    whole = network.enlarge(pixels, 4)[:640, :680].astype(int)
    network.sides = (128,)
    pieces = network.enlarge(pixels, 4)[:640, :680].astype(int)
    assert np.abs(whole - pieces).max() <= 1
    network.close()


def test_the_networks_that_ship_say_what_they_are() -> None:
    found = {network.name: network for network in upscalers()}
    assert list(found) == ["Drawings x4", "Photographs x4"]
    for network in found.values():
        assert network.factor == 4 and network.range == (0, 1) and network.sides == (256, 128)
        assert "Real-ESRGAN" in network.summary
        assert network.component.metadata["license"] == "BSD-3-Clause"


def test_a_persons_own_network_is_found_by_name_and_other_files_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))
    folder = paths.upscalers_dir()
    folder.mkdir(parents=True)
    package(folder, "My Own", plain(2))
    (folder / "Damaged.mlpackage").mkdir()
    (folder / "notes.txt").write_text("about these")
    assert [n.name for n in upscalers()] == ["Drawings x4", "Photographs x4", "My Own"]
    assert find_upscaler("my own").sides == (SIDE,)
    with pytest.raises(SfumatoError) as refused:
        find_upscaler("Paintings")
    assert refused.value.message == (
        "There is no upscaler called “Paintings”; choose one of these: “Drawings x4”, "
        "“Photographs x4”, “My Own”."
    )


def test_what_is_no_upscaler_is_refused(tmp_path: Path) -> None:
    unet = next(paths.starter_model().glob("*unet.mlpackage"))
    with pytest.raises(SfumatoError, match="takes one picture and gives one") as refused:
        inspect_picture_network(unet)
    assert refused.value.kind is ErrorKind.UNSUPPORTED
    with pytest.raises(SfumatoError, match="1 times as large"):
        loaded(package(tmp_path, "Same", lambda x: x * 1.0))
    with pytest.raises(SfumatoError, match="does not give back the picture enlarged"):
        loaded(package(tmp_path, "Negative", lambda x: 1 - plain(2)(x)))


def test_a_factor_or_size_that_cannot_be_is_refused(twice: Enlarger) -> None:
    with pytest.raises(SfumatoError, match="enlarges by 2, not by 4"):
        twice.enlarge(some_picture(8, 8), 4)
    large = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (20_000, 20_000, 3))
    with pytest.raises(SfumatoError, match="40000 × 40000 pixels, more than can be opened"):
        twice.enlarge(large, 2)


def test_a_stop_is_heeded_between_two_pieces(twice: Enlarger) -> None:
    done: list[int] = []
    with pytest.raises(Cancelled):
        twice.enlarge(
            some_picture(300, 300), 2, lambda k, _: done.append(k), lambda: len(done) == 3
        )
    assert done == [1, 2, 3]


def test_numbers_out_of_range_are_told_and_not_drawn(tmp_path: Path) -> None:
    """Only a bright piece overflows, so the probe, which is softer, does not see it."""
    huge = loaded(
        package(tmp_path, "Huge", lambda x: plain(2)(x) / ((0.99 - x.amax()).clamp(0, 0.01) * 100))
    )
    with pytest.raises(SfumatoError, match="went out of range on these compute units"):
        huge.enlarge(np.full((10, 10, 3), 255, np.uint8), 2)
