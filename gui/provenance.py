"""What decided a picture's numbers beside its request.  Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gui.records import Record


@dataclass(frozen=True)
class Provenance(Record):
    """What decided a picture's numbers beside its request.  Empty: not known, as of pictures that
    an earlier version made."""

    source_repo: str = ""
    source_revision: str = ""
    """Of the model, where its sidecar names them."""
    runtime: str = ""
    """``native`` (Core ML) or ``portable``."""
    system: str = ""
    """Operating system and processor."""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    """Of the libraries that decide numbers, by name."""
    scheduler: dict[str, Any] = field(default_factory=dict[str, Any])
    """diffusers' class (``_class_name``) and its configuration as it was used."""
    scaling_factor: float = 0.0
    shift_factor: float = 0.0
    """Of the latents."""
    start_fingerprint: str = ""
    """Of the starting picture's file, by which it is known wherever it lies."""
    start_by_model: bool = False
    """Whether the starting picture itself says that a model made it."""
    control_fingerprints: tuple[str, ...] = ()
    """Of the pictures that led by ControlNets, in their order."""
    sketch: str = ""
    """Latents after each step in a few bytes (`gui.library.latent_sketch`)."""
    mask_fingerprint: str = ""
    """Of the mask's file."""
    depth_fingerprint: str = ""
    """Of the depth map's file."""
    precision: str = ""
    """What the portable runtime computed in, where that was not float32."""
