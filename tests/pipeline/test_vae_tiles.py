"""Decoding and encoding in tiles: beside diffusers' own, without a seam, and to the last place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import diffusers as _diffusers
import numpy as np
import pytest
import torch

from gui.coreml.inspect import inspect_model, load_sidecar
from gui.coreml.model import ComponentKind, TensorSpec
from gui.coreml.portable import PortableRuntime
from gui.coreml.tiles import wants_tiles
from gui.paths import starter_model
from gui.pipeline import vae, vae_tiles
from gui.pipeline.vae_tiles import OVERLAP, blended, in_tiles, places
from gui.request import ComputeUnit
from tests.support.tiny_networks import _randomise_norms

diffusers: Any = _diffusers
GREY = 127.5
"""Grey levels per unit of what a decoder gives."""


@pytest.fixture(scope="module")
def tiled_vae() -> Any:
    """diffusers' own VAE in the shape of Stable Diffusion's, with tiles of 16 × 16 latents."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(16, 16, 32, 32), norm_num_groups=8, sample_size=128,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )  # fmt: skip
        _randomise_norms(vae)
    vae.enable_tiling()
    assert vae.tile_latent_min_size == 16
    return vae.eval()


def run_by(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    def run(part: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(part)).numpy()

    return run


def test_a_picture_is_decoded_in_tiles_as_diffusers_decodes_it(tiled_vae: Any) -> None:
    """Its last tiles are narrower than Core ML's networks can be; up to there it is the same."""
    z = torch.randn(1, 4, 28, 40, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        theirs = tiled_vae.tiled_decode(z, return_dict=False)[0].numpy()
        whole = tiled_vae.decoder(tiled_vae.post_quant_conv(z)).numpy()
    run = run_by(lambda part: tiled_vae.decoder(tiled_vae.post_quant_conv(part)))
    ours = blended(z.numpy(), (16, 16), run)
    assert ours.shape == theirs.shape == whole.shape
    assert np.abs(ours - theirs)[..., : 24 * 8, : 36 * 8].max() * GREY <= 1
    assert np.abs(ours - whole).max() * GREY > 1, "tiles are normalised by themselves"


def test_a_picture_is_encoded_in_tiles_as_diffusers_encodes_it(tiled_vae: Any) -> None:
    x = torch.rand(1, 3, 224, 128, generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.no_grad():
        theirs = tiled_vae._tiled_encode(x).numpy()
    run = run_by(lambda part: tiled_vae.quant_conv(tiled_vae.encoder(part)))
    ours = blended(x.numpy(), (128, 128), run, step=8)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[..., :24, :12], theirs[..., :24, :12], atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 16), (28, 40), (33, 65), (100, 31)])
def test_what_sees_no_neighbours_is_the_same_in_tiles(height: int, width: int) -> None:
    whole = np.random.default_rng(0).normal(size=(1, 4, height, width)).astype(np.float32)
    seen: list[tuple[int, ...]] = []

    def enlarge(part: np.ndarray) -> np.ndarray:
        seen.append(part.shape)
        return np.kron(np.tanh(part[:, :3]), np.ones((1, 1, 8, 8), np.float32))

    made = blended(whole, (16, 16), enlarge)
    assert set(seen) == {(1, 4, 16, 16)}
    np.testing.assert_allclose(made, enlarge(whole), atol=1e-6)
    small = blended(made, (128, 128), lambda part: part[..., ::8, ::8], step=8)
    np.testing.assert_allclose(small, np.tanh(whole[:, :3]), atol=1e-6)


@pytest.mark.parametrize("whole", [*range(16, 60), 128, 255, 256])
def test_tiles_lie_evenly_and_have_a_quarter_in_common(whole: int) -> None:
    starts = places(whole, 16, OVERLAP)
    assert starts[0] == 0 and starts[-1] + 16 == whole
    assert all(0 < b - a <= 12 for a, b in pairwise(starts))


def test_what_is_decoded_in_tiles() -> None:
    def sizes(shape: tuple[int | None, ...], *, sparing: bool, height: int, width: int) -> set[Any]:
        seen: set[Any] = set()

        def run(part: np.ndarray) -> np.ndarray:
            seen.add(part.shape[2:])
            return part

        spec = TensorSpec("z", "fp16", shape)
        in_tiles(np.zeros((1, 4, height, width), np.float32), spec, 8, run, sparing=sparing)
        return seen

    open_sides = (1, 4, None, None)
    assert sizes(open_sides, sparing=False, height=128, width=128) == {(128, 128)}
    assert sizes(open_sides, sparing=True, height=128, width=128) == {(64, 64)}
    assert sizes(open_sides, sparing=True, height=32, width=96) == {(32, 96)}
    assert sizes(open_sides, sparing=False, height=136, width=128) == {(64, 64)}
    assert sizes(open_sides, sparing=False, height=32, width=600) == {(32, 64)}
    assert sizes((1, 4, 64, 64), sparing=False, height=96, width=64) == {(64, 64)}
    assert sizes((1, 4, 96, 64), sparing=True, height=96, width=64) == {(96, 64)}
    assert not wants_tiles(1024, 1024, sparing=False) and not wants_tiles(512, 512, sparing=True)


class Starter:
    """The starter model's VAE, which is trained, and the latents of a picture larger than it."""

    def __init__(self, side: int) -> None:
        info = inspect_model(starter_model())
        self.sidecar = load_sidecar(info)
        both = (ComponentKind.VAE_ENCODER, ComponentKind.VAE_DECODER)
        encoder, self.decoder = (
            PortableRuntime().load(info.components[kind], ComputeUnit.ALL) for kind in both
        )
        self.tile = info.latent_width
        self.scale = info.image_width // info.latent_width
        shape = (1, info.latent_channels, side, side)
        self.latents = vae.encode(encoder, hills(side * self.scale), self.sidecar, shape).mean


def hills(side: int) -> np.ndarray:
    """A picture, float32 [side, side, 3]."""
    y, x = np.mgrid[:side, :side] / side
    red, green, blue = x * y, 0.5 + 0.4 * np.sin(5 * x + 3 * y), 1 - y
    return np.stack([red, green, blue], -1).astype(np.float32)


def test_with_a_trained_vae_it_is_diffusers_picture_everywhere(tiled_vae: Any) -> None:
    starter = Starter(40)
    tile = starter.tile

    class Decoder(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            if z.shape[2:] != (tile, tile):  # narrower ones are beyond what is compared
                return torch.zeros(1, 3, *(starter.scale * side for side in z.shape[2:]))
            (image,) = starter.decoder({"z": z.numpy()}).values()
            return torch.from_numpy(image)

    theirs = diffusers.AutoencoderKL(
        block_out_channels=(16, 16, 32, 32), norm_num_groups=8, sample_size=tile * 8,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        use_post_quant_conv=False,
    )  # fmt: skip
    theirs.decoder = Decoder()
    theirs.tile_latent_min_size, theirs.tile_sample_min_size = tile, tile * starter.scale
    latents, sidecar = starter.latents, starter.sidecar
    with torch.no_grad():
        z = latents / sidecar.scaling_factor + sidecar.shift_factor
        image = theirs.tiled_decode(z, return_dict=False)[0][0].permute(1, 2, 0).numpy()
    ours = vae.decode(starter.decoder, latents, sidecar)
    till = starter.scale * 3 * tile * 3 // 4
    difference = np.abs(ours - (image / 2 + 0.5).clip(0, 1))[:till, :till]
    assert difference.max() * 255 <= 1


def test_no_seam_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two tiles meet, it changes from one column to the next no more than elsewhere; put side
    by side without being blended, they show."""
    side = 40
    starter = Starter(side)

    def seams(overlap: float) -> float:
        monkeypatch.setattr(vae_tiles, "OVERLAP", overlap)
        made = vae.decode(starter.decoder, starter.latents, starter.sidecar)
        assert made.shape == (side * starter.scale, side * starter.scale, 3)
        steps = np.abs(np.diff(made, axis=1)).mean((0, 2))
        starts = places(side, starter.tile, overlap)
        ends = [(a + starter.tile + b) * starter.scale // 2 - 1 for a, b in pairwise(starts)]
        near = max(steps[at - 2 : at + 3].max() for at in ends)
        return float(near / np.median(steps))

    assert seams(0.25) < 1.6
    hard = seams(0.0)
    assert hard > 2 * seams(0.25), hard
