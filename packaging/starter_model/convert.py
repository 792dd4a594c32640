"""Stage "convert": the trained networks as the four Core ML packages that Sfumato ships.

Names and tensors are those of Apple's ml-stable-diffusion converter, so any app that reads its
packages can read these: see ``TENSORS``.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import torch
from torch import Tensor, nn

from .autoencoder import LATENT_CHANNELS, Autoencoder, load_autoencoder
from .data import PICTURE_SIZE
from .denoiser import (
    END_OF_TEXT,
    HIDDEN_SIZE,
    LATENT_SIZE,
    TOKENS,
    CompactText,
    Denoiser,
    load_denoiser,
)

VERSION = "sfumato-starter"
LICENCE = "MIT"

#: Input and output shapes per package.
TENSORS: dict[str, tuple[dict[str, tuple[int, ...]], tuple[str, ...]]] = {
    "text_encoder": ({"input_ids": (1, TOKENS)}, ("last_hidden_state", "pooled_outputs")),
    "unet": (
        {
            "sample": (2, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE),
            "timestep": (2,),
            "encoder_hidden_states": (2, HIDDEN_SIZE, 1, TOKENS),
        },
        ("noise_pred",),
    ),
    "vae_decoder": ({"z": (1, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE)}, ("image",)),
    "vae_encoder": ({"x": (1, 3, PICTURE_SIZE, PICTURE_SIZE)}, ("latent",)),
}
#: Bits per weight of the k-means palettes; the UNet's largest weights have fewer, since they are
#: nine tenths of the whole model's size and the least sensitive ones.
BITS, BITS_OF_LARGE, LARGE = 8, 6, 500_000


class TextStage(nn.Module):
    """Token ids arrive as floats, as Apple's packages have it; float32 holds them exactly."""

    def __init__(self, text: CompactText) -> None:
        super().__init__()
        self.clip = text.clip
        self.rows: Tensor
        self.register_buffer("rows", text.rows.int())

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [1, 77] to hidden states [1, 77, H] and the pooled state [1, H]."""
        rows = self.rows[input_ids.int()]
        output = self.clip(input_ids=rows)
        return output.last_hidden_state, output.pooler_output


class UnetStage(nn.Module):
    """Text states arrive as [B, H, 1, 77], the layout of Apple's packages."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        """See ``TENSORS``; returns the predicted velocity, like ``sample``."""
        states = encoder_hidden_states.squeeze(2).transpose(1, 2)
        return self.unet(sample, timestep, states, return_dict=False)[0]


def stages(autoencoder: Autoencoder, denoiser: Denoiser) -> dict[str, nn.Module]:
    """The four networks with the inputs and outputs of ``TENSORS``, in evaluation mode."""
    found = {
        "text_encoder": TextStage(denoiser.text),
        "unet": UnetStage(denoiser.unet),
        "vae_decoder": autoencoder.decoder,
        "vae_encoder": autoencoder.encoder,
    }
    return {name: module.eval().requires_grad_(False) for name, module in found.items()}


def example_inputs(name: str, seed: int = 0) -> dict[str, Tensor]:
    """Plausible inputs of one network."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for tensor, shape in TENSORS[name][0].items():
        inputs[tensor] = torch.randn(shape, generator=generator)
    if name == "text_encoder":
        ids = torch.full((1, TOKENS), float(END_OF_TEXT))
        ids[0, :5] = torch.tensor([END_OF_TEXT - 1, 320.0, 2368.0, 525.0, 1615.0])
        inputs["input_ids"] = ids
    if name == "unet":
        inputs["timestep"] = torch.full((2,), 500.0)
    if name == "vae_encoder":
        inputs["x"] = inputs["x"].clamp(-1, 1)
    return inputs


def convert_stage(name: str, module: nn.Module) -> Any:
    """One network as a 16 bit ``MLModel`` for macOS 13, its weights as palettes."""
    inputs = example_inputs(name)
    with torch.no_grad():
        traced = torch.jit.trace(module, tuple(inputs.values()), check_trace=False)
    kind = np.float32 if name == "text_encoder" else np.float16
    model: Any = ct.convert(
        traced,
        convert_to="mlprogram",
        inputs=[ct.TensorType(k, tuple(v.shape), dtype=kind) for k, v in inputs.items()],
        outputs=[ct.TensorType(output, dtype=np.float32) for output in TENSORS[name][1]],
        minimum_deployment_target=ct.target.macOS13,
        compute_precision=ct.precision.FLOAT16,
        skip_model_load=True,
    )
    model = palettize(model)
    model.author = "Sfumato"
    model.license = LICENCE
    model.version = VERSION
    model.short_description = f"Sfumato starter model: {name.replace('_', ' ')}"
    return model


def palettize(model: Any) -> Any:
    """Store every weight of 10,000 elements or more as a k-means palette."""

    def palette(bits: int) -> cto.OpPalettizerConfig:
        # Above 10,000 elements coremltools has an exact solver of its own for 16 bit weights.
        return cto.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=10_000)

    found = cto.get_weights_metadata(model, weight_threshold=LARGE)
    config = cto.OptimizationConfig(global_config=palette(BITS))
    for weight in found:
        config.set_op_name(weight, palette(BITS_OF_LARGE))
    return cto.palettize_weights(model, config)


def package_name(name: str) -> str:
    """File name of a component in Apple's fashion."""
    return f"Stable_Diffusion_version_{VERSION}_{name}.mlpackage"


def convert(training: Path, folder: Path, only: Sequence[str] = ()) -> None:
    """Convert the networks trained in ``training`` into ``folder``, replacing older packages."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in stages(load_autoencoder(training), load_denoiser(training)).items():
        if only and name not in only:
            continue
        path = folder / package_name(name)
        partial = folder / f"partial-{package_name(name)}"
        convert_stage(name, module).save(str(partial))
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the packages, by path relative to ``folder``."""
    files = sorted(p for p in folder.glob("*.mlpackage/**/*") if p.is_file())
    return {
        str(p.relative_to(folder).as_posix()): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }
