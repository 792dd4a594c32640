"""Checkpoints of the published networks' true shapes, without their weights.

Configurations are those of CompVis/stable-diffusion-v1-4, stabilityai/stable-diffusion-2-1,
-xl-base-1.0 and -xl-refiner-1.0 on the Hub.  Files are as long as the real ones, but sparse: only
their headers take room on the disk.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tests.support.tiny_checkpoints import tensors_of

_CROSS, _PLAIN = "CrossAttn", ""


def _blocks(*kinds: str) -> dict[str, Any]:
    return {
        "down_block_types": tuple(f"{k}DownBlock2D" for k in kinds),
        "up_block_types": tuple(f"{k}UpBlock2D" for k in reversed(kinds)),
    }


UNETS: dict[str, dict[str, Any]] = {
    "sd1": {
        **_blocks(_CROSS, _CROSS, _CROSS, _PLAIN),
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
    },
    "sd2": {
        **_blocks(_CROSS, _CROSS, _CROSS, _PLAIN),
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
    },
    "sdxl": {
        **_blocks(_PLAIN, _CROSS, _CROSS),
        "block_out_channels": (320, 640, 1280),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "transformer_layers_per_block": (1, 2, 10),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "sdxl-refiner": {
        **_blocks(_PLAIN, _CROSS, _CROSS, _PLAIN),
        "block_out_channels": (384, 768, 1536, 1536),
        "attention_head_dim": (6, 12, 24, 24),
        "cross_attention_dim": 1280,
        "use_linear_projection": True,
        "transformer_layers_per_block": 4,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2560,
    },
}
PARAMETERS = {
    "sd1": {"unet": 859_520_964, "text_encoder": 123_060_480, "vae": 83_653_863},
    "sd2": {"unet": 865_910_724, "text_encoder": 340_387_840, "vae": 83_653_863},
    "sdxl": {
        "unet": 2_567_463_684,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
        "vae": 83_653_863,
    },
}
"""As published."""

_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "layers": 12, "heads": 12}
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "layers": 23, "heads": 16}
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "layers": 32, "heads": 20}


def published(kind: str) -> Any:
    """The published networks of a kind, on the meta device, arranged like a pipeline."""
    accelerate: Any = importlib.import_module("accelerate")
    diffusers: Any = importlib.import_module("diffusers")
    with accelerate.init_empty_weights(include_buffers=False):
        vae = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
        unet = diffusers.UNet2DConditionModel(**UNETS[kind])
        first = {"sd1": _CLIP_L, "sd2": _CLIP_H, "sdxl": _CLIP_L}.get(kind)
        return SimpleNamespace(
            unet=unet,
            vae=vae,
            text_encoder=_clip(first, False) if first else None,
            text_encoder_2=_clip(_CLIP_G, True) if kind.startswith("sdxl") else None,
        )


def _clip(shape: dict[str, int], projected: bool) -> Any:
    transformers: Any = importlib.import_module("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=shape["hidden_size"],
        intermediate_size=shape["intermediate_size"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        projection_dim=shape["hidden_size"],
    )
    name = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return getattr(transformers, name)(config)


def save_sparse(kind: str, path: Path) -> Path:
    """A float16 single file of the published shapes, all zeros."""
    write_sparse(path, {name: t.shape for name, t in tensors_of(published(kind), kind).items()})
    return path


def write_sparse(path: Path, shapes: dict[str, Any], dtype: str = "F16") -> None:
    """A safetensors file with these shapes and no numbers."""
    header, place = {}, 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel() * (4 if dtype == "F32" else 2)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + place)
