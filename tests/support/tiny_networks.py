"""Tiny seeded Stable Diffusion networks, as diffusers pipelines.

Norm weights are randomised: untrained ones are 1 and 0 and would fold away in conversion.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gui.coreml.model import Family

TOKENIZER = Path(__file__).parents[2] / "resources" / "tokenizer"
TOKENS = 77
RESIDUALS = {"sd1": 5, "sd2v": 5, "sdxl": 5}
"""Residuals a tiny ControlNet hands to a tiny UNet: four from the way down, one from the middle."""


@dataclass(frozen=True)
class Shape:
    """What sets one kind of tiny model apart."""

    family: Family
    text_widths: tuple[int, ...]
    context: int
    latent: tuple[int, int]
    prediction_type: str
    scaling_factor: float
    pad_token_ids: tuple[int, ...]
    scheduler: dict[str, Any]
    seed: int


_BETAS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}

SHAPES: dict[str, Shape] = {
    "sd1": Shape(Family.SD1, (32,), 32, (8, 8), "epsilon", 0.18215, (49407,), dict(_BETAS), 101),
    "sd2v": Shape(
        Family.SD2,
        (32,),
        32,
        (8, 12),
        "v_prediction",
        0.18215,
        (0,),
        {**_BETAS, "prediction_type": "v_prediction"},
        202,
    ),
    "sdxl": Shape(
        Family.SDXL,
        (32, 48),
        80,
        (16, 16),
        "epsilon",
        0.13025,
        (49407, 0),
        {**_BETAS, "timestep_spacing": "leading"},
        303,
    ),
}

POOLED_WIDTH = 40
"""Width of SDXL's projected text embedding (`text_embeds`)."""


def tiny_pipeline(kind: str, *, safety: bool = False, latent: tuple[int, int] | None = None) -> Any:
    """The seeded diffusers pipeline, float32, on the CPU."""
    diffusers = _library("diffusers")
    shape = SHAPES[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(shape.seed)
        unet = _unet(kind, latent or shape.latent)
        vae = _vae(shape, latent or shape.latent)
        text = [_text_encoder(kind, n) for n in range(len(shape.text_widths))]
        checker = _safety_checker() if safety else None
    tokenizers = [clip_tokenizer(pad) for pad in shape.pad_token_ids]
    if kind == "sdxl":
        pipe = diffusers.StableDiffusionXLPipeline(
            vae=vae,
            text_encoder=text[0],
            text_encoder_2=text[1],
            tokenizer=tokenizers[0],
            tokenizer_2=tokenizers[1],
            unet=unet,
            scheduler=diffusers.EulerDiscreteScheduler(**shape.scheduler),
            force_zeros_for_empty_prompt=True,
            add_watermarker=False,
        )
    else:
        scheduler = (
            diffusers.PNDMScheduler(**shape.scheduler, skip_prk_steps=True, set_alpha_to_one=False)
            if kind == "sd1"
            else diffusers.DDIMScheduler(
                **shape.scheduler, clip_sample=False, set_alpha_to_one=False
            )
        )
        pipe = diffusers.StableDiffusionPipeline(
            vae=vae,
            text_encoder=text[0],
            tokenizer=tokenizers[0],
            unet=unet,
            scheduler=scheduler,
            safety_checker=checker,
            feature_extractor=_feature_extractor() if safety else None,
            requires_safety_checker=safety,
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def clip_tokenizer(pad: int) -> Any:
    """CLIP's tokenizer from the shipped vocabulary, padding with token `pad` (49407 or 0)."""
    return _library("transformers").CLIPTokenizer(
        vocab=str(TOKENIZER / "vocab.json"),
        merges=str(TOKENIZER / "merges.txt"),
        model_max_length=TOKENS,
        pad_token="!" if pad == 0 else "<|endoftext|>",
    )


def _unet(kind: str, latent: tuple[int, int]) -> Any:
    xl: dict[str, Any] = {}
    if kind == "sdxl":
        xl = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": POOLED_WIDTH + 6 * 8,
            "transformer_layers_per_block": (1, 2),
        }
    unet = _library("diffusers").UNet2DConditionModel(
        sample_size=max(latent),
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 4),
        norm_num_groups=8,
        cross_attention_dim=SHAPES[kind].context,
        use_linear_projection=kind != "sd1",
        **xl,
    )
    _randomise_norms(unet)
    for name, parameter in unet.named_parameters():
        if "attn2.to_out" in name:  # let the prompt matter
            parameter.data *= 4.0
    unet.conv_out.weight.data *= 3.0  # noise of about unit variance
    return unet.eval()


def _vae(shape: Shape, latent: tuple[int, int]) -> Any:
    vae = _library("diffusers").AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=8 * max(latent),
        scaling_factor=shape.scaling_factor,
    )
    _randomise_norms(vae)
    return vae.eval()


def _text_encoder(kind: str, index: int) -> Any:
    transformers = _library("transformers")
    width = SHAPES[kind].text_widths[index]
    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2 if kind != "sdxl" else 3,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=POOLED_WIDTH,
        hidden_act="quick_gelu" if index == 0 and kind != "sd2v" else "gelu",
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=SHAPES[kind].pad_token_ids[index],
    )
    model = (
        transformers.CLIPTextModelWithProjection if index == 1 else transformers.CLIPTextModel
    )(config)
    _randomise_norms(model)
    for name, parameter in model.named_parameters():
        if "embedding" in name:  # words apart from one another
            parameter.data.normal_(std=0.5)
        elif name.endswith("proj.weight") or ("fc" in name and name.endswith("weight")):
            parameter.data.normal_(std=parameter.shape[1] ** -0.5)
    return model.eval()


def _safety_checker() -> Any:
    safety = _library("diffusers.pipelines.stable_diffusion.safety_checker")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = _library("transformers").CLIPConfig(
        text_config={**tower, "num_attention_heads": 4},
        vision_config={**tower, "num_attention_heads": 4, "image_size": 224, "patch_size": 32},
        projection_dim=24,
    )
    checker = safety.StableDiffusionSafetyChecker(config)
    _randomise_norms(checker)
    checker.concept_embeds.data.normal_()
    checker.special_care_embeds.data.normal_()
    checker.concept_embeds_weights.data.fill_(0.9)  # a cosine no picture here reaches
    checker.special_care_embeds_weights.data.fill_(0.9)
    return checker.eval()


def _feature_extractor() -> Any:
    return _library("transformers").CLIPImageProcessorPil()


def tiny_controlnet(kind: str, pipe: Any) -> Any:
    """The seeded diffusers ControlNet that suits `pipe`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SHAPES[kind].seed + 1)
        control = _library("diffusers").ControlNetModel.from_unet(
            pipe.unet, conditioning_channels=3
        )
        for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
            layer.weight.data.normal_(std=0.1)  # untrained ones are zero
    return control.eval()


def _randomise_norms(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, (nn.GroupNorm, nn.LayerNorm)):
            layer.weight.data = 1.0 + 0.2 * torch.randn_like(layer.weight)
            layer.bias.data = 0.1 * torch.randn_like(layer.bias)


def _library(name: str) -> Any:
    """A library whose lazy exports and annotations type checkers do not follow."""
    return importlib.import_module(name)
