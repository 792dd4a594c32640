"""Random sources, against NumPy, torch and the published Philox figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gui.pipeline.noise import BrownianNoise, _philox, make_noise
from gui.request import RandomSource

SHAPE = (1, 4, 8, 12)


@pytest.mark.parametrize("seed", [0, 93, 2**32 - 1])
def test_numpy_is_numpys_legacy_generator(seed: int) -> None:
    noise = make_noise(RandomSource.NUMPY, seed)
    reference = np.random.RandomState(seed)
    for _ in range(2):
        expected = reference.standard_normal(SHAPE).astype(np.float32)
        np.testing.assert_array_equal(noise.normal(SHAPE).numpy(), expected)


@pytest.mark.parametrize("seed", [0, 93, 2**32 - 1])
def test_torch_is_torchs_cpu_generator(seed: int) -> None:
    noise = make_noise(RandomSource.TORCH, seed)
    reference = torch.Generator("cpu").manual_seed(seed)
    for _ in range(2):
        assert torch.equal(noise.normal(SHAPE), torch.randn(SHAPE, generator=reference))


def test_nvidia_gives_the_published_numbers() -> None:
    """Seed 0, the first numbers, as the Stable Diffusion web UI documents them for its own
    CPU implementation of `torch.randn` on CUDA."""
    drawn = make_noise(RandomSource.NVIDIA, 0).normal((2, 2)).flatten().double().numpy()
    published = [-0.92466259, -0.42534415, -2.6438457, 0.14518388]
    np.testing.assert_allclose(drawn, published, rtol=2**-24)  # float32


def test_philox_known_answer() -> None:
    """Random123's published answer for a zero counter and key (kat_vectors, philox4x32 10)."""
    first, second = _philox(0, 0, 1)
    assert (int(first[0]), int(second[0])) == (0x6627E8D5, 0xE169C58D)


def test_philox_at_the_far_end_of_its_counters() -> None:
    low, high = 0x12345678, 0x9ABCDEF0
    first, second = _philox(low | high << 32, 0xFFFFFFFF, 3)
    for element in range(3):
        expected = plain_philox((0xFFFFFFFF, 0, element, 0), (low, high))
        assert (int(first[element]), int(second[element])) == expected[:2]


def plain_philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox 4x32-10 in Python integers, from the paper (Salmon et al., SC'11)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(c[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(c[2] * 0xCD9E8D57, 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return tuple(c)


def test_nvidia_draws_are_normal_and_differ() -> None:
    noise = make_noise(RandomSource.NVIDIA, 2**32 - 1)
    first, second = noise.normal((1, 4, 64, 64)), noise.normal((1, 4, 64, 64))
    for drawn in (first, second):
        assert abs(drawn.mean().item()) < 0.03
        assert abs(drawn.std().item() - 1) < 0.03
    assert abs((first * second).mean().item()) < 0.03


@pytest.mark.parametrize("source", list(RandomSource))
def test_every_source_is_repeatable(source: RandomSource) -> None:
    once = make_noise(source, 5).normal(SHAPE)
    assert once.dtype == torch.float32
    assert torch.equal(once, make_noise(source, 5).normal(SHAPE))
    assert not torch.equal(once, make_noise(source, 6).normal(SHAPE))


def test_brownian_noise_walks_one_path() -> None:
    """Both answers of a step have unit variance, and correlate as increments of one path do:
    √((start − middle) / (start − end))."""
    shape = (1, 1, 200, 200)
    brownian = BrownianNoise(make_noise(RandomSource.NUMPY, 1), shape)
    to_middle, to_end = brownian(10.0, 7.0), brownian(10.0, 2.0)
    following = brownian(2.0, 1.0)
    for drawn in (to_middle, to_end, following):
        assert abs(drawn.std().item() - 1) < 0.02
    assert (to_middle * to_end).mean().item() == pytest.approx((3 / 8) ** 0.5, abs=0.02)
    assert (following * to_end).mean().item() == pytest.approx(0, abs=0.02)
