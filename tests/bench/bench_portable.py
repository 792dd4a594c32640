"""The portable runtime beside the same network run by diffusers on torch.

A UNet of Stable Diffusion 1's shape at 0.4 of its width (140 million parameters) is converted once
in each layout and kept in the user's cache.  Both sides run on one thread, taking turns, and their
process CPU times are compared, so that another load on the machine hits both alike.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import logging
import os
import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

LAYOUTS = ("none", "original", "split_einsum")
"""``none`` is diffusers' own attention; the others are Apple's."""
BUDGET = 0.67
LATENT = (32, 32)
BATCH = 2
CONTEXT = 768
TURNS = 5
_NAMES = {"none": "plain attention", "original": "ORIGINAL", "split_einsum": "SPLIT_EINSUM"}


def build_unet() -> Any:
    """The seeded diffusers network."""
    import diffusers

    torch.manual_seed(7)
    unet = diffusers.UNet2DConditionModel(  # type: ignore[attr-defined]
        sample_size=LATENT[0],
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        cross_attention_dim=CONTEXT,
        attention_head_dim=8,
        norm_num_groups=32,
    ).eval()
    for layer in unet.modules():  # untouched norms would fold away in conversion
        if isinstance(layer, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
            layer.weight.data = 1.0 + 0.1 * torch.randn_like(layer.weight)
            layer.bias.data = 0.1 * torch.randn_like(layer.bias)
    return unet


def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(8)
    return {
        "sample": torch.randn(BATCH, 4, *LATENT, generator=generator),
        "timestep": torch.full((BATCH,), 480.0),
        "encoder_hidden_states": torch.randn(BATCH, CONTEXT, 1, 77, generator=generator),
    }


class _AppleSignature(torch.nn.Module):
    """The network behind Apple's inputs."""

    def __init__(self, unet: torch.nn.Module, is_plain: bool) -> None:
        super().__init__()
        self.unet, self.is_plain = unet, is_plain

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor
    ) -> torch.Tensor:
        if self.is_plain:
            context = context.squeeze(2).transpose(1, 2)
        return self.unet(sample, timestep, encoder_hidden_states=context, return_dict=False)[0]


def package(layout: str, unet: Any) -> Path:
    """The converted network, from the cache or made now."""
    key = hashlib.sha256(Path(__file__).read_bytes())
    for library in ("torch", "coremltools", "diffusers"):
        key.update(importlib.metadata.version(library).encode())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "sfumato-bench" / key.hexdigest()[:16]
    path = folder / f"{layout}.mlpackage"
    if not path.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder))
        try:
            _convert(layout, copy.deepcopy(unet), scratch / path.name)
            (scratch / path.name).rename(path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return path


def _convert(layout: str, unet: Any, path: Path) -> None:
    import coremltools as ct

    from tests.support.apple_layout import use_apple_layout

    if layout != "none":
        use_apple_layout(unet, layout)
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    examples = inputs()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        wrapper = _AppleSignature(unet, layout == "none")
        traced = torch.jit.trace(wrapper, tuple(examples.values()), check_trace=False)
        model: Any = ct.convert(
            traced,
            convert_to="mlprogram",
            inputs=[ct.TensorType(n, t.shape, dtype=np.float16) for n, t in examples.items()],
            outputs=[ct.TensorType("noise_pred", dtype=np.float32)],
            minimum_deployment_target=ct.target.macOS13,
            compute_precision=ct.precision.FLOAT16,
            skip_model_load=True,
        )
    model.save(str(path))


def _cpu_seconds(action: Any) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def compare(layout: str, unet: Any) -> dict[str, Any]:
    """CPU time of the portable runtime ÷ that of diffusers, median over the turns."""
    from gui.coreml.portable import PortableModel, read_stages

    path = package(layout, unet)
    start = time.perf_counter()
    model = PortableModel(read_stages(path))
    load = time.perf_counter() - start
    tensors = inputs()
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    reference = _AppleSignature(unet, True)

    def diffusers_step() -> torch.Tensor:
        with torch.inference_mode():
            return reference(*tensors.values())

    expected = diffusers_step().numpy()
    error = float(np.mean((model(arrays)["noise_pred"] - expected) ** 2))
    decibels = 10 * np.log10(float(np.abs(expected).max()) ** 2 / error)
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(_cpu_seconds(lambda: model(arrays)))
        theirs.append(_cpu_seconds(diffusers_step))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    note = (
        f"{statistics.median(ours):.2f} s against {statistics.median(theirs):.2f} s of CPU, "
        f"{decibels:.0f} dB, load {load:.1f} s"
    )
    return {
        "name": f"portable runtime ÷ diffusers, 140 M UNet, {_NAMES[layout]}",
        "value": round(ratio, 3),
        "unit": "×",
        "budget": BUDGET,
        "note": note,
    }


def run() -> list[dict[str, Any]]:
    """One figure per layout."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        unet = build_unet()
        return [compare(layout, unet) for layout in LAYOUTS]
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    for row in run():
        print(f"{row['value']:7.3f} {row['unit']}  {row['name']}  ({row['note']})")
