"""Random sources by the programs whose pictures they reproduce.  Standard library only."""

from __future__ import annotations

from gui.request import RandomSource

RANDOM_SOURCE_NAMES: dict[RandomSource, str] = {
    RandomSource.NUMPY: "NumPy: same noise as Apple's Core ML programs and Mochi Diffusion",
    RandomSource.TORCH: "PyTorch: same noise as diffusers on the CPU",
    RandomSource.NVIDIA: "NVIDIA: same noise as Stable Diffusion web UIs on an NVIDIA GPU",
}
"""In the order they are shown."""
