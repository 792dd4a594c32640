"""Tiny seeded Stable Diffusion checkpoints of every family, as files.

Each family keeps the structure of the published one (attention heads, group norms, kinds of blocks,
names of tensors, penultimate text layer, added conditioning) at a few per cent of its width, so
that whatever reads the real files reads these.  They are written by `save_pretrained`, and as
single files in the layout of the original code (CompVis' latent-diffusion for Stable Diffusion 1,
Stability's for 2 and XL), whose names `original_names` spells out; a test holds it against
diffusers' own reading of that layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests.support import tiny_networks
from tests.support.built import built
from tests.support.original_names import (
    Tensors,
    open_clip_text,
    openai_text,
    original_names,
    original_vae_name,
)
from tests.support.tiny_networks import TOKENS, clip_tokenizer

_CROSS = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")
_PLAIN = ("DownBlock2D", "UpBlock2D")

_BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}


@dataclass(frozen=True)
class Tiny:
    """What sets one tiny checkpoint apart."""

    text_widths: tuple[int, ...]
    """Of the text encoders; 64 for each attention head, as in CLIP."""
    channels: tuple[int, ...]
    blocks: tuple[tuple[str, str], ...]
    depths: tuple[int, ...]
    """Transformer blocks per level; the last is the middle block's too."""
    heads: int | tuple[int, ...]
    linear: bool
    scaling_factor: float
    pad_token_ids: tuple[int, ...]
    seed: int
    prediction_type: str = "epsilon"
    time_ids: int = 0
    """Numbers of added conditioning: 6 for XL, 5 for its refiner."""
    safety: bool = False
    latent: int = 8
    in_channels: int = 4
    """More than the latents' where the UNet is shown something beside them."""
    pooled: int = 48
    """Width of the projected text embedding, XL."""
    scheduler: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> int:
        return sum(self.text_widths)


_SD1 = {
    "text_widths": (64,),
    "channels": (32, 64),
    "blocks": (_CROSS, _PLAIN),
    "depths": (1, 1),
    "heads": 8,
    "linear": False,
    "scaling_factor": 0.18215,
    "pad_token_ids": (49407,),
}
_SD2 = {
    "text_widths": (128,),
    "channels": (64, 128),
    "blocks": (_CROSS, _PLAIN),
    "depths": (1, 1),
    "heads": (1, 2),
    "linear": True,
    "scaling_factor": 0.18215,
    "pad_token_ids": (0,),
}
_XL = {
    "text_widths": (64, 128),
    "channels": (64, 128),
    "blocks": (_PLAIN, _CROSS),
    "depths": (1, 2),
    "heads": (1, 2),
    "linear": True,
    "scaling_factor": 0.13025,
    "pad_token_ids": (49407, 0),
    "time_ids": 6,
}
TINY: dict[str, Tiny] = {
    "sd1": Tiny(**_SD1, seed=11),
    "sd1-safety": Tiny(**_SD1, seed=12, safety=True),
    "sd2": Tiny(**_SD2, seed=21),
    "sd2-v": Tiny(**_SD2, seed=22, prediction_type="v_prediction", latent=12),
    "sdxl": Tiny(**_XL, seed=31),
    "sdxl-inpaint": Tiny(**_XL, seed=33, in_channels=9),
    "sdxl-instruct": Tiny(**_XL, seed=34, in_channels=8),
    "sd1-inpaint": Tiny(**_SD1, seed=13, in_channels=9),
    "sd1-instruct": Tiny(**_SD1, seed=14, in_channels=8),
    "sd2-depth": Tiny(**_SD2, seed=23, in_channels=5),
    "sdxl-refiner": Tiny(
        text_widths=(128,),
        channels=(64, 64, 128),
        blocks=(_PLAIN, _CROSS, _PLAIN),
        depths=(2, 2, 2),
        heads=(1, 1, 2),
        linear=True,
        scaling_factor=0.13025,
        pad_token_ids=(0,),
        seed=32,
        time_ids=5,
    ),
}
"""Kinds of tiny checkpoints."""

_CLASSES = {
    4: "StableDiffusionPipeline",
    5: "StableDiffusionDepth2ImgPipeline",
    8: "StableDiffusionInstructPix2PixPipeline",
    9: "StableDiffusionInpaintPipeline",
}
_XL_CLASSES = {
    4: "StableDiffusionXLPipeline",
    8: "StableDiffusionXLInstructPix2PixPipeline",
    9: "StableDiffusionXLInpaintPipeline",
}
"""diffusers' pipelines by the input channels of their UNets."""

TIME_WIDTH = 32
"""Sinusoidal width of one number of added conditioning (256 in the published networks)."""


# --- networks ---------------------------------------------------------------------------------


@cache
def pipeline(kind: str) -> Any:
    """The diffusers pipeline (float32, CPU).  Shared: do not change it."""
    shape = TINY[kind]
    diffusers = tiny_networks._library("diffusers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(shape.seed)
        unet, vae = _unet(shape), _vae(shape)
        texts = [_text_encoder(kind, n) for n in range(len(shape.text_widths))]
        checker = tiny_networks._safety_checker() if shape.safety else None
    tokenizers = [clip_tokenizer(pad) for pad in shape.pad_token_ids]
    parts: dict[str, Any] = {"vae": vae, "unet": unet}
    if kind.startswith("sdxl"):
        refiner = kind == "sdxl-refiner"
        parts["scheduler"] = diffusers.EulerDiscreteScheduler(
            **_BETAS, timestep_spacing="leading", prediction_type=shape.prediction_type
        )
        named = "StableDiffusionXLImg2ImgPipeline" if refiner else _XL_CLASSES[shape.in_channels]
        pipe = getattr(diffusers, named)(
            **parts,
            text_encoder=None if refiner else texts[0],
            text_encoder_2=texts[-1],
            tokenizer=None if refiner else tokenizers[0],
            tokenizer_2=tokenizers[-1],
            force_zeros_for_empty_prompt=not refiner,
            add_watermarker=False,
            **({"requires_aesthetics_score": True} if refiner else {}),
        )
    else:
        parts["scheduler"] = (
            diffusers.DDIMScheduler(
                **_BETAS,
                prediction_type=shape.prediction_type,
                clip_sample=False,
                set_alpha_to_one=False,
            )
            if kind == "sd2-v"
            else diffusers.PNDMScheduler(**_BETAS, skip_prk_steps=True, set_alpha_to_one=False)
        )
        unchecked: dict[str, Any] = {"depth_estimator": None, "feature_extractor": None}
        if shape.in_channels != 5:
            unchecked = {
                "safety_checker": checker,
                "feature_extractor": tiny_networks._feature_extractor() if checker else None,
                "requires_safety_checker": shape.safety,
            }
        pipe = getattr(diffusers, _CLASSES[shape.in_channels])(
            **parts, text_encoder=texts[0], tokenizer=tokenizers[0], **unchecked
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _unet(shape: Tiny) -> Any:
    xl: dict[str, Any] = {}
    if shape.time_ids:
        xl = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": TIME_WIDTH,
            "projection_class_embeddings_input_dim": shape.pooled + shape.time_ids * TIME_WIDTH,
        }
    unet = tiny_networks._library("diffusers").UNet2DConditionModel(
        sample_size=shape.latent,
        in_channels=shape.in_channels,
        block_out_channels=shape.channels,
        layers_per_block=1,
        down_block_types=tuple(down for down, _ in shape.blocks),
        up_block_types=tuple(up for _, up in reversed(shape.blocks)),
        transformer_layers_per_block=shape.depths,
        attention_head_dim=shape.heads,
        cross_attention_dim=shape.context,
        use_linear_projection=shape.linear,
        **xl,
    )
    tiny_networks._randomise_norms(unet)
    for name, parameter in unet.named_parameters():
        if "attn2.to_out" in name:  # let the prompt matter
            parameter.data *= 4.0
    unet.conv_out.weight.data *= 3.0  # noise of about unit variance
    return unet.eval()


def _vae(shape: Tiny) -> Any:
    vae = tiny_networks._library("diffusers").AutoencoderKL(
        block_out_channels=(32, 32, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=8 * shape.latent,
        scaling_factor=shape.scaling_factor,
    )
    tiny_networks._randomise_norms(vae)
    return vae.eval()


def _text_encoder(kind: str, index: int) -> Any:
    """CLIP for SD1 and XL's first encoder, OpenCLIP's shape for the others."""
    shape = TINY[kind]
    transformers = tiny_networks._library("transformers")
    projected = kind == "sdxl-refiner" or index == 1
    two = kind.startswith("sdxl") and kind != "sdxl-refiner"
    openai = kind.startswith("sd1") or (two and index == 0)
    width = shape.text_widths[index]
    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=3 if projected else 2,
        num_attention_heads=width // 64,
        max_position_embeddings=TOKENS,
        projection_dim=shape.pooled if projected else width,
        hidden_act="quick_gelu" if openai else "gelu",
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=shape.pad_token_ids[index],
    )
    kind_of = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    model = kind_of(config)
    tiny_networks._randomise_norms(model)
    for name, parameter in model.named_parameters():
        if "embedding" in name:  # words apart from one another
            parameter.data.normal_(std=0.5)
        elif name.endswith("proj.weight") or ("fc" in name and name.endswith("weight")):
            parameter.data.normal_(std=parameter.shape[1] ** -0.5)
    return model.eval()


@cache
def controlnet(kind: str) -> Any:
    """A diffusers ControlNet that suits `pipeline(kind)`.  Shared: do not change it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY[kind].seed + 100)
        control = tiny_networks._library("diffusers").ControlNetModel.from_unet(
            pipeline(kind).unet,
            conditioning_channels=3,
            conditioning_embedding_out_channels=(16, 32, 32, 48),
        )
        hint = control.controlnet_cond_embedding.conv_out
        for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block, hint):
            layer.weight.data.normal_(std=0.1)  # untrained ones are zero
    return control.eval()


# --- folders ----------------------------------------------------------------------------------


def save_folder(kind: str, folder: Path, *, variant: str = "", shard: str = "") -> Path:
    """Write the diffusers folder.

    Args:
        variant: ``fp16`` writes half-precision weights in files named so.
        shard: largest file, e.g. ``200KB``; more than one file then has an index.
    """
    options: dict[str, Any] = {"safe_serialization": True}
    if shard:
        options["max_shard_size"] = shard
    if variant:
        options["variant"] = variant
    pipe = pipeline(kind)
    if variant != "fp16":
        pipe.save_pretrained(folder, **options)
        return folder
    import copy

    half = type(pipe)(
        **{
            name: copy.deepcopy(part) if isinstance(part, nn.Module) else part
            for name, part in pipe.components.items()
        },
        **{
            name: pipe.config[name]
            for name in ("requires_safety_checker", "force_zeros_for_empty_prompt")
            if name in pipe.config
        },
    )
    half.to(dtype=torch.float16)
    half.save_pretrained(folder, **options)
    return folder


def save_controlnet(kind: str, path: Path, *, layout: str = "folder") -> Path:
    """Write the ControlNet: ``folder``, ``diffusers`` (one file) or ``original`` (one file)."""
    control = controlnet(kind)
    if layout == "folder":
        control.save_pretrained(path)
        return path
    tensors = dict(control.state_dict())
    if layout == "original":
        tensors = {
            "control_model." + new: tensors[old]
            for old, new in original_names(control.config, tensors).items()
        }
    save_file(plain(tensors), path)
    return path


def kept_folder(kind: str) -> Path:
    """The diffusers folder of a kind, written once; only to be read."""
    return built(kind, lambda place: save_folder(kind, place), __file__)


def kept_single(kind: str) -> Path:
    """The single file of a kind, written once; only to be read."""
    return built(f"{kind}.safetensors", lambda place: save_single(kind, place), __file__)


# --- single files -----------------------------------------------------------------------------


def save_single(
    kind: str,
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    metadata: dict[str, str] | None = None,
    edit: Callable[[Tensors], Tensors | None] | None = None,
) -> Path:
    """Write the whole checkpoint as one file in the original layout.

    Args:
        edit: may change the tensors before they are written.
    """
    tensors = single_tensors(kind)
    if edit is not None:
        tensors = edit(tensors) or tensors
    floats = {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(plain(floats), path, metadata=metadata)
    return path


def single_tensors(kind: str) -> Tensors:
    """The checkpoint's tensors by their original names."""
    return tensors_of(pipeline(kind), kind)


def tensors_of(pipe: Any, kind: str) -> Tensors:
    """A pipeline's tensors by their original names; `kind` tells the family."""
    found: Tensors = {}
    unet = dict(pipe.unet.state_dict())
    for old, new in original_names(pipe.unet.config, unet).items():
        found["model.diffusion_model." + new] = unet[old]
    for old, value in pipe.vae.state_dict().items():
        name, is_attention = original_vae_name(old, len(pipe.vae.config.block_out_channels))
        if is_attention and value.ndim == 2:
            value = value[:, :, None, None]
        found["first_stage_model." + name] = value
    if kind.startswith("sd1"):
        found |= openai_text("cond_stage_model.transformer.", pipe.text_encoder)
        positions = torch.arange(TOKENS)[None]
        found["cond_stage_model.transformer.text_model.embeddings.position_ids"] = positions
    elif kind.startswith("sd2"):
        found |= open_clip_text("cond_stage_model.model.", pipe.text_encoder, extra_layer=True)
    else:
        place = 0
        if pipe.text_encoder is not None:
            found |= openai_text("conditioner.embedders.0.transformer.", pipe.text_encoder)
            place = 1
        prefix = f"conditioner.embedders.{place}.model."
        found |= open_clip_text(prefix, pipe.text_encoder_2, extra_layer=False)
    found["alphas_cumprod"] = torch.linspace(0.99, 0.01, 1000)  # noise schedule, as LDM saves it
    return found


def plain(tensors: Tensors) -> Tensors:
    """Tensors that share no memory, as safetensors wants them."""
    return {k: v.detach().clone().contiguous() for k, v in tensors.items()}
