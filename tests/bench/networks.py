"""Seeded networks of the sizes people run, as diffusers has them and as Core ML packages.

A package is converted once and kept in the user's cache, as long as this file and the libraries
that make it stay as they are.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

OUTPUT = "out"
_BATCH = 2
"""Both halves of guidance."""
_TOKENS = 77


@dataclass(frozen=True)
class Network:
    """One to compare.

    Args:
        layout: of its attention: ``none`` is diffusers' own, the others are Apple's.
        channels: of the latents.
        side: of the latents.
        context: width of the text's encodings; 0: it is a VAE's decoder.
    """

    title: str
    settings: dict[str, Any]
    side: int
    channels: int = 4
    context: int = 768
    layout: str = "none"

    def build(self) -> Any:
        """diffusers' network, its norms such that they do not fold away in conversion."""
        import diffusers

        torch.manual_seed(7)
        kind = "UNet2DConditionModel" if self.context else "AutoencoderKL"
        network = getattr(diffusers, kind)(**self.settings).eval().requires_grad_(False)
        for layer in network.modules():
            if isinstance(layer, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
                layer.weight.data = 1.0 + 0.1 * torch.randn_like(layer.weight)
                layer.bias.data = 0.1 * torch.randn_like(layer.bias)
        return network

    def inputs(self) -> dict[str, torch.Tensor]:
        """Examples, by Apple's names and in Apple's shapes."""
        generator = torch.Generator().manual_seed(8)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        if not self.context:
            return {"z": random(1, self.channels, self.side, self.side)}
        return {
            "sample": random(_BATCH, self.channels, self.side, self.side),
            "timestep": torch.full((_BATCH,), 480.0),
            "encoder_hidden_states": random(_BATCH, self.context, 1, _TOKENS),
        }


def _unet(side: int, *channels: int) -> dict[str, Any]:
    return {
        "sample_size": side,
        "block_out_channels": channels,
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "norm_num_groups": 32,
    }


_STARTER = {
    "sample_size": 16,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (64, 192, 256),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 192,
    "attention_head_dim": (2, 6, 8),
    "norm_num_groups": 16,
}
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
}
_MIDDLE = _unet(32, 128, 256, 512, 512)

NETWORKS = {
    "starter": Network("the starter’s UNet", _STARTER, 16, 8, 192),
    "small": Network("35 M UNet", _unet(32, 64, 128, 256, 256), 32),
    "middle": Network("140 M UNet, plain attention", _MIDDLE, 32),
    "original": Network("140 M UNet, ORIGINAL", _MIDDLE, 32, layout="original"),
    "split": Network("140 M UNet, SPLIT_EINSUM", _MIDDLE, 32, layout="split_einsum"),
    "vae": Network("VAE decoder at 512 × 512", _VAE, 64, context=0),
    "full": Network("860 M UNet of Stable Diffusion 1.5", _unet(64, 320, 640, 1280, 1280), 64),
}


class Called(torch.nn.Module):
    """A network behind Apple's inputs."""

    def __init__(self, network: Any, shape: Network, *, plain: bool) -> None:
        super().__init__()
        self.network, self.shape, self.plain = network, shape, plain

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        if not self.shape.context:
            return self.network.decode(*given, return_dict=False)[0]
        sample, timestep, context = given
        if self.plain:
            context = context.squeeze(2).transpose(1, 2)
        return self.network(sample, timestep, encoder_hidden_states=context, return_dict=False)[0]


def package(name: str) -> Path:
    """The converted network, from the cache or made now."""
    key = hashlib.sha256(Path(__file__).read_bytes())
    for library in ("torch", "coremltools", "diffusers"):
        key.update(importlib.metadata.version(library).encode())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "sfumato-bench" / key.hexdigest()[:16]
    path = folder / f"{name}.mlpackage"
    if not path.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder))
        try:
            _convert(NETWORKS[name], scratch / path.name)
            (scratch / path.name).rename(path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return path


def _convert(shape: Network, path: Path) -> None:
    import coremltools as ct

    from tests.support.apple_layout import use_apple_layout

    network, examples = shape.build(), shape.inputs()
    plain = shape.layout == "none"
    if not plain:
        use_apple_layout(network, shape.layout)
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        called = Called(network, shape, plain=plain)
        traced = torch.jit.trace(called, tuple(examples.values()), check_trace=False)
        model: Any = ct.convert(
            traced,
            convert_to="mlprogram",
            inputs=[ct.TensorType(n, t.shape, dtype=np.float16) for n, t in examples.items()],
            outputs=[ct.TensorType(OUTPUT, dtype=np.float32)],
            minimum_deployment_target=ct.target.macOS13,
            compute_precision=ct.precision.FLOAT16,
            skip_model_load=True,
        )
    model.save(str(path))
