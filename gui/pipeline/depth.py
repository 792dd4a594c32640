"""Depth maps, as a depth model is shown them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_reader import opaque, read_picture
from gui.pipeline.start_image import fitted


def depth_latents(
    path: Path, height: int, width: int, latent_height: int, latent_width: int
) -> Tensor:
    """A depth map beside the latents, [1, 1, latent height, latent width]: from -1, farthest, to 1,
    nearest, whatever part of that the file uses (as diffusers' StableDiffusionDepth2ImgPipeline).

    Args:
        height, width: of the picture, to whose proportions the map is cut.

    Raises:
        SfumatoError: BAD_IMAGE for a file that is no picture, or is the same all over.
    """
    picture = fitted(opaque(read_picture(path)).convert("L"), width, height)
    depth = torch.from_numpy(np.asarray(picture, np.float32))[None, None]
    small = torch.nn.functional.interpolate(
        depth, (latent_height, latent_width), mode="bicubic", align_corners=False
    )
    low, high = small.min(), small.max()
    if high - low < 1:
        raise SfumatoError(
            ErrorKind.BAD_IMAGE,
            f"The depth map “{path.name}” is the same grey all over, so it shows nothing near or "
            "far; choose another.",
        )
    return 2 * (small - low) / (high - low) - 1
