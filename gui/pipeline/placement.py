"""Where in the picture its subject stands, for models that know one place only.

A small network that was taught on centred subjects draws every seed of a prompt in the same place,
size and direction.  Here the seed decides all three, without another call of the network:

- size: early, while the network still follows what it is shown, the picture predicted then is
  resized about its middle and noised again to the same level (as SDEdit starts from a coarse
  picture: Meng et al., "Guided image synthesis and editing with stochastic differential
  equations"); the network settles the detail at the new size;
- place: the finished latents are moved by whole cells as far as the plain ground around the subject
  allows, and the ground is continued;
- direction: every other seed is seen in a mirror.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from gui.request import Composition, PictureRequest, Tiling

SIZES = (0.5, 1.2)
"""What the early picture is resized by; the network takes about half of it back."""
RESIZE_AFTER = 0.25
"""The share of the steps after which it is resized."""
SUBJECT = 1.6
"""A cell belongs to the subject where its latents are farther than this from the ground's: between
the ground's unevenness (below 1 in the starter model) and a subject's (2 to 6)."""
_SPREAD = 1.2207440846057596
"""The root of x⁴ = x + 1: multiples of its inverse powers, modulo 1, fill a cube evenly (Roberts,
"The unreasonable effectiveness of quasirandom sequences"), so that the seeds of a batch differ."""


@dataclass(frozen=True)
class Placement:
    """What a seed decides."""

    size: float
    """The early picture is resized by it."""
    across: float
    down: float
    """0…1: from as far left and as far up as the ground allows to as far right and down."""
    mirrored: bool

    @classmethod
    def of(cls, request: PictureRequest) -> Self | None:
        """For a request of one picture; None where it stays as the model draws it: a picture
        that something else places."""
        led = request.start_image is not None or request.controls
        led = led or request.tiling is not Tiling.OFF
        if request.composition is not Composition.VARIED or led:
            return None
        size, across, down = ((request.seed * _SPREAD**-k) % 1.0 for k in (1, 2, 3))
        low, high = SIZES
        return cls(low + (high - low) * size, across, down, bool(request.seed % 2))

    def resized(self, x0: Tensor) -> Tensor:
        """A predicted picture's latents [1, c, h, w], resized about the middle; a ground that is
        laid open continues the edge."""
        zoom = torch.tensor([[[1 / self.size, 0, 0], [0, 1 / self.size, 0]]], dtype=torch.float32)
        places = functional.affine_grid(zoom, list(x0.shape), align_corners=False)
        return functional.grid_sample(
            x0.float(), places, mode="bicubic", padding_mode="border", align_corners=False
        )

    def placed(self, x0: Tensor) -> Tensor:
        """A predicted or finished picture's latents [1, c, h, w], moved to their place."""
        left, right, up, down = _room(x0)
        return _moved(
            x0,
            round(-left + self.across * (left + right)),
            round(-up + self.down * (up + down)),
        )

    def seen(self, latents: Tensor) -> Tensor:
        """For a preview: in its place and direction."""
        placed = self.placed(latents)
        return placed.flip(-1) if self.mirrored else placed

    def turned(self, pixels: np.ndarray) -> np.ndarray:
        """The finished picture [h, w, 3] in its direction."""
        return np.ascontiguousarray(pixels[:, ::-1]) if self.mirrored else pixels


def resize_after(steps: int) -> int:
    """The step after which a picture is resized; 0: there are too few."""
    return round(steps * RESIZE_AFTER)


def _room(x0: Tensor) -> tuple[int, int, int, int]:
    """How far the subject can go left, right, up and down; one cell of ground stays around it."""
    cells = x0[0].float()
    edge = torch.cat([cells[:, 0], cells[:, -1], cells[:, :, 0], cells[:, :, -1]], dim=1)
    ground = edge.median(dim=1).values[:, None, None]
    subject = (cells - ground).norm(dim=0) > SUBJECT
    columns, rows = subject.any(0).nonzero(), subject.any(1).nonzero()
    if not len(columns):
        return 0, 0, 0, 0
    height, width = subject.shape
    left, right, up, down = (
        max(0, int(cells) - 1)
        for cells in (columns[0], width - 1 - columns[-1], rows[0], height - 1 - rows[-1])
    )
    return left, right, up, down


def _moved(x: Tensor, right: int, down: int) -> Tensor:
    """[1, c, h, w] moved by whole cells; its edge is continued."""
    height, width = x.shape[-2:]
    rows = (torch.arange(height) - down).clamp(0, height - 1)
    columns = (torch.arange(width) - right).clamp(0, width - 1)
    return x[..., rows[:, None], columns]
