"""A small picture of the prediction at every step, by a linear map from latents to colours."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gui.coreml.model import Family
from gui.coreml.sidecar import Preview, Sidecar

# ComfyUI's published factors for the two autoencoders (latent_formats.py); rows are channels.
_SD = Preview(
    (
        (0.3512, 0.2297, 0.3227),
        (0.3250, 0.4974, 0.2350),
        (-0.2829, 0.1762, 0.2721),
        (-0.2120, -0.2616, -0.7177),
    )
)
_SDXL = Preview(
    (
        (0.3651, 0.4232, 0.4341),
        (-0.2533, -0.0042, 0.1068),
        (0.1076, 0.1111, -0.0362),
        (-0.3165, -0.2492, -0.2188),
    ),
    (0.1084, -0.0175, -0.0011),
)
_PUBLISHED = {
    (Family.SD1, 0.18215): _SD,
    (Family.SD2, 0.18215): _SD,
    (Family.SDXL, 0.13025): _SDXL,
}

FIT_SAMPLES = 2048
"""Latent positions to fit on: hundreds of times the unknowns, and one decode at 64 × 64."""
MAX_FIT_DECODES = 8


def published_preview(family: Family, latent_channels: int, sidecar: Sidecar) -> Preview | None:
    """The known map for a family's autoencoder; None for any other autoencoder."""
    if latent_channels != 4 or sidecar.shift_factor:
        return None
    return _PUBLISHED.get((family, round(sidecar.scaling_factor, 5)))


class Previewer:
    """Applies one linear map."""

    def __init__(self, preview: Preview) -> None:
        self._matrix = np.array(preview.matrix, np.float32) * 127.5  # [channels, 3]
        self._bias = np.array(preview.bias, np.float32) * 127.5 + 127.5
        self.channels = len(preview.matrix)

    def __call__(self, x0: Tensor) -> np.ndarray:
        """Predicted latents [1, channels, h, w], in the sampler's scale, to uint8 [h, w, 3]."""
        channels, height, width = x0.shape[1:]
        flat = x0[0].reshape(channels, -1).numpy().T  # [h·w, channels]
        colours = flat @ self._matrix + self._bias
        return colours.clip(0, 255).round().astype(np.uint8).reshape(height, width, 3)


def fit_preview(
    decode: Callable[[Tensor], np.ndarray], channels: int, height: int, width: int
) -> Preview:
    """Fit a map by least squares on what the decoder makes of smooth random latents.

    Args:
        decode: latents [1, channels, h, w] in the sampler's scale → image [H, W, 3] in 0…1.
        channels, height, width: shape of the latents.
    """
    generator = torch.Generator().manual_seed(0)
    decodes = min(MAX_FIT_DECODES, max(1, math.ceil(FIT_SAMPLES / (height * width))))
    inputs, outputs = [], []
    for _ in range(decodes):
        latents = _smooth_latents(channels, height, width, generator)
        image = torch.from_numpy(decode(latents)).permute(2, 0, 1)[None].float()
        small = torch.nn.functional.adaptive_avg_pool2d(image, (height, width))
        inputs.append(latents[0].reshape(channels, -1).T)
        outputs.append(small[0].reshape(3, -1).T * 2 - 1)
    x = torch.cat(inputs)
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1).double()
    # a little damping keeps the map tame where latents hardly matter to the picture
    damping = 1e-3 * len(x) * torch.eye(channels + 1, dtype=torch.float64)
    solution = torch.linalg.solve(x.T @ x + damping, x.T @ torch.cat(outputs).double())
    rows = [tuple(round(v, 4) for v in row) for row in solution.tolist()]
    return Preview(tuple(rows[:-1]), rows[-1])  # type: ignore[arg-type]


def _smooth_latents(channels: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Normal latents of unit variance, half of it in patches of four: pictures are patchy too."""
    coarse_size = (1, channels, max(1, height // 4), max(1, width // 4))
    coarse = torch.randn(coarse_size, generator=generator)
    fine = torch.randn((1, channels, height, width), generator=generator)
    patches = torch.nn.functional.interpolate(coarse, (height, width), mode="nearest")
    return (patches + fine) * 0.5**0.5
