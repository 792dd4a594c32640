"""A conversion at full size: time, peak memory and parity.

Networks of Stable Diffusion 1.5's published configuration (UNet of 860 million parameters, CLIP-L,
autoencoder) with seeded random weights are written as a checkpoint and converted in a process of
their own, once plain and once with 6-bit palettes.  About a quarter of an hour on two cores, so it
runs only when named: ``make bench ONLY=convert``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MEMORY_BUDGET = 16.0
"""GB that a conversion of this size may take at most."""
PSNR_FLOOR = 35.0

_UNET: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 1,
}


def write_checkpoint(folder: Path) -> None:
    """The networks as a diffusers folder in half precision (2.1 GB)."""
    import diffusers
    import torch
    import transformers

    from tests.support.tiny_networks import clip_tokenizer

    torch.manual_seed(15)
    unet = diffusers.UNet2DConditionModel(**_UNET)  # type: ignore[attr-defined]
    vae = diffusers.AutoencoderKL(**_VAE)  # type: ignore[attr-defined]
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**_TEXT))
    for network in (unet, vae, text):
        for layer in network.modules():  # untouched norms would fold away in conversion
            if isinstance(layer, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
                layer.weight.data = 1.0 + 0.1 * torch.randn_like(layer.weight)
                layer.bias.data = 0.1 * torch.randn_like(layer.bias)
        network.half().eval()
    pipe = diffusers.StableDiffusionPipeline(  # type: ignore[attr-defined]
        vae=vae,
        text_encoder=text,
        tokenizer=clip_tokenizer(49407),
        unet=unet,
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1),  # type: ignore[attr-defined]
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)


def convert(source: Path, output: Path, compression: str) -> dict[str, Any]:
    """Convert; returns the report.  Run in a process of its own, for the peak memory's sake."""
    from gui.convert.job import run
    from gui.convert.types import Compression, ConvertRequest, Progress

    def on_progress(progress: Progress) -> None:
        if progress.message:
            print(progress.message, progress.parity, flush=True)

    request = ConvertRequest(
        source=str(source), output=str(output), compression=Compression(compression)
    )
    report = run(request, on_progress, lambda: False)
    return report.to_json()


def _apart(function: str, *arguments: str) -> None:
    """Call a function of this module in a fresh process."""
    code = (
        "import sys, json, pathlib; from tests.bench import bench_convert as b; a = sys.argv[1:]; "
        f"r = b.{function}(*[pathlib.Path(x) if '/' in x else x for x in a]); print(r is None)"
    )
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)


def run() -> list[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix="sfumato-full-size-"))
    rows: list[dict[str, Any]] = []
    try:
        _apart("write_checkpoint", str(folder / "source"))
        for compression in ("none", "palette-6"):
            output = folder / compression
            _apart("convert", str(folder / "source"), str(output), compression)
            report = json.loads((output / "conversion.json").read_text(encoding="utf-8"))
            rows += _rows(report, compression)
            shutil.rmtree(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def _rows(report: dict[str, Any], compression: str) -> list[dict[str, Any]]:
    name = f"SD 1.5 size, {compression}"
    parities = {p["component"]: p["psnr"] for p in report["parities"]}
    listed = ", ".join(f"{k} {v:.1f} dB" for k, v in parities.items())

    def row(what: str, value: float, unit: str, budget: float | None, note: str = "") -> Any:
        return {
            "name": f"{name}: {what}",
            "value": round(value, 2),
            "unit": unit,
            "budget": budget,
            "note": note,
        }

    return [
        row("time", report["seconds"], "s", None),
        row("peak memory", report["peak_memory_bytes"] / 1e9, "GB", MEMORY_BUDGET),
        row("on disk", report["disk_bytes"] / 1e9, "GB", None),
        # less is better in this table, so the loss against the least there may be
        row("short of parity", max(0.0, PSNR_FLOOR - min(parities.values())), "dB", 0.0, listed),
    ]
