"""Normal noise from three generators, each reproducing another program's pictures.

Every draw of one picture (starting latents, encoder sample, noise added at each step) comes from
one source seeded with the picture's own seed, in a fixed order, so that a picture is reproducible
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gui.request import RandomSource


class NoiseSource(Protocol):
    """A seeded stream of standard normal numbers."""

    encoder_sample_first: bool
    """Image-to-image: whether the program reproduced samples the encoder before it draws the
    noise (diffusers) or after (Apple's Swift pipeline)."""

    def normal(self, shape: Sequence[int]) -> Tensor:
        """The next numbers of the stream, float32, in row-major order."""
        ...


class NumpyNoise:
    """NumPy's legacy generator (Mersenne Twister, polar method), as Apple's pipelines use it."""

    encoder_sample_first = False

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed)

    def normal(self, shape: Sequence[int]) -> Tensor:
        return torch.from_numpy(self._state.standard_normal(tuple(shape)).astype(np.float32))


class TorchNoise:
    """torch's CPU generator, as diffusers uses it."""

    encoder_sample_first = True

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def normal(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator, dtype=torch.float32)


class PhiloxNoise:
    """Philox 4x32-10 as CUDA's `torch.randn` uses it, one counter offset per draw.

    Agrees with an NVIDIA GPU while a draw has no more elements than the GPU runs threads, which
    holds for latents.  Algorithm: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
    (SC'11); normals by Box-Muller, of which only the sine branch is used.
    """

    encoder_sample_first = False

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._offset = 0

    def normal(self, shape: Sequence[int]) -> Tensor:
        count = int(np.prod(tuple(shape)))
        first, second = _philox(self._seed, self._offset, count)
        self._offset += 1
        # uniforms on (0, 1) and (0, 2π), offset by half a unit so that the logarithm is finite
        u = first * _UNIT + _UNIT / 2
        v = second * _ANGLE_UNIT + _ANGLE_UNIT / 2
        values = np.sqrt(-2.0 * np.log(u)) * np.sin(v)
        return torch.from_numpy(values.astype(np.float32).reshape(tuple(shape)))


_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_UNIT = 2.0**-32
_ANGLE_UNIT = 2.0**-32 * 2 * np.pi
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def _philox(seed: int, offset: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first two 32-bit words of each element's Philox block, as arrays [count]."""
    c0 = np.full(count, offset, np.uint64)
    c1 = np.zeros(count, np.uint64)
    c2 = np.arange(count, dtype=np.uint64)
    c3 = np.zeros(count, np.uint64)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(_ROUNDS):
        # products of two 32-bit numbers fit 64 bits exactly
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (product1 >> _HALF) ^ c1 ^ np.uint64(k0), product1 & _LOW
        c2, c3 = (product0 >> _HALF) ^ c3 ^ np.uint64(k1), product0 & _LOW
        k0 = (k0 + _KEY_INCREMENTS[0]) & 0xFFFFFFFF
        k1 = (k1 + _KEY_INCREMENTS[1]) & 0xFFFFFFFF
    return c0, c1


def make_noise(source: RandomSource, seed: int) -> NoiseSource:
    """A fresh stream for one picture."""
    match source:
        case RandomSource.TORCH:
            return TorchNoise(seed)
        case RandomSource.NVIDIA:
            return PhiloxNoise(seed)
        case _:
            return NumpyNoise(seed)


_PARALLEL = 0.9995
"""Mean cosine above which two noises are one."""


def slerp(low: Tensor, high: Tensor, share: float) -> Tensor:
    """Noise part of the way from one to another along a sphere, so that it stays noise.

    As Stable Diffusion web UIs do it for their variation seeds (`modules/rng.py`): with noise
    [channels, height, width] they turn each column of each channel by itself.

    Args:
        low, high: latents [batch, channels, height, width].
        share: 0 gives `low`, 1 gives `high`.
    """
    rows = 2
    unit_low = low / low.norm(dim=rows, keepdim=True)
    unit_high = high / high.norm(dim=rows, keepdim=True)
    cosine = (unit_low * unit_high).sum(rows, keepdim=True)
    if cosine.mean() > _PARALLEL:
        return low * share + high * (1 - share)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    return torch.sin((1 - share) * angle) / sine * low + torch.sin(share * angle) / sine * high


class BrownianNoise:
    """Noise for DPM++ SDE: increments of one Brownian path over noise levels.

    The scheduler asks twice per step from the same start, first to the middle and then to the end
    of the step; both answers must belong to one path, or the step adds too much noise.

    Args:
        noise: where the increments are drawn from, in the order they are asked for.
        shape: shape of the latents.
    """

    def __init__(self, noise: NoiseSource, shape: Sequence[int]) -> None:
        self._noise = noise
        self._shape = tuple(shape)
        self._start = self._reached = float("nan")
        self._path = torch.zeros(self._shape)

    def __call__(self, sigma: Tensor | float, sigma_next: Tensor | float) -> Tensor:
        """The path's increment from `sigma` down to `sigma_next`, scaled to unit variance."""
        start, end = float(sigma), float(sigma_next)
        if start != self._start or end > self._reached:
            self._start = self._reached = start
            self._path = torch.zeros(self._shape)
        stretch = self._reached - end
        if stretch > 0:
            self._path = self._path + stretch**0.5 * self._noise.normal(self._shape)
            self._reached = end
        return self._path / max(start - end, 1e-12) ** 0.5
