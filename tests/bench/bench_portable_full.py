"""The portable runtime beside diffusers with a UNet of Stable Diffusion 1.5's own size."""

from __future__ import annotations

from typing import Any

from tests.bench import bench_portable


def run() -> list[dict[str, Any]]:
    """Two figures; minutes, and 8 GB of memory."""
    return bench_portable.rows_of(["full"])
