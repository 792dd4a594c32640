"""Tiny seeded Stable Diffusion checkpoints of every family, as files.

Each family keeps the structure of the published one (attention heads, group norms, kinds of blocks,
names of tensors, penultimate text layer, added conditioning) at a few per cent of its width, so
that whatever reads the real files reads these.  They are written by `save_pretrained`, and as
single files in the layout of the original code (CompVis' latent-diffusion for Stable Diffusion 1,
Stability's for 2 and XL), whose names `original_names` spells out; a test holds it against
diffusers' own reading of that layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests.support import tiny_networks
from tests.support.tiny_networks import TOKENS, clip_tokenizer

Tensors = dict[str, torch.Tensor]

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
TINY: dict[str, Tiny] = {
    "sd1": Tiny(**_SD1, seed=11),
    "sd1-safety": Tiny(**_SD1, seed=12, safety=True),
    "sd2": Tiny(**_SD2, seed=21),
    "sd2-v": Tiny(**_SD2, seed=22, prediction_type="v_prediction", latent=12),
    "sdxl": Tiny(
        text_widths=(64, 128),
        channels=(64, 128),
        blocks=(_PLAIN, _CROSS),
        depths=(1, 2),
        heads=(1, 2),
        linear=True,
        scaling_factor=0.13025,
        pad_token_ids=(49407, 0),
        seed=31,
        time_ids=6,
    ),
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
        pipe = (
            diffusers.StableDiffusionXLImg2ImgPipeline
            if refiner
            else diffusers.StableDiffusionXLPipeline
        )(
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
        pipe = diffusers.StableDiffusionPipeline(
            **parts,
            text_encoder=texts[0],
            tokenizer=tokenizers[0],
            safety_checker=checker,
            feature_extractor=tiny_networks._feature_extractor() if checker else None,
            requires_safety_checker=shape.safety,
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
    openai = kind.startswith("sd1") or (kind == "sdxl" and index == 0)
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
    save_file(_plain(tensors), path)
    return path


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
    save_file(_plain(floats), path, metadata=metadata)
    return path


def single_tensors(kind: str) -> Tensors:
    """The checkpoint's tensors by their original names."""
    pipe = pipeline(kind)
    found: Tensors = {}
    unet = dict(pipe.unet.state_dict())
    for old, new in original_names(pipe.unet.config, unet).items():
        found["model.diffusion_model." + new] = unet[old]
    for old, value in pipe.vae.state_dict().items():
        name, is_attention = _original_vae_name(old, len(pipe.vae.config.block_out_channels))
        if is_attention and value.ndim == 2:
            value = value[:, :, None, None]
        found["first_stage_model." + name] = value
    if kind.startswith("sd1"):
        found |= _openai("cond_stage_model.transformer.", pipe.text_encoder)
        positions = torch.arange(TOKENS)[None]
        found["cond_stage_model.transformer.text_model.embeddings.position_ids"] = positions
    elif kind.startswith("sd2"):
        found |= _open_clip("cond_stage_model.model.", pipe.text_encoder, extra_layer=True)
    else:
        place = 0
        if pipe.text_encoder is not None:
            found |= _openai("conditioner.embedders.0.transformer.", pipe.text_encoder)
            place = 1
        prefix = f"conditioner.embedders.{place}.model."
        found |= _open_clip(prefix, pipe.text_encoder_2, extra_layer=False)
    found["alphas_cumprod"] = torch.linspace(0.99, 0.01, 1000)  # noise schedule, as LDM saves it
    return found


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}


def original_names(config: Any, names: Any) -> dict[str, str]:
    """Original name of each UNet or ControlNet tensor, by its diffusers name."""
    per_level = config["layers_per_block"] + 1
    attends = [bool(re.match("CrossAttn", kind)) for kind in config["down_block_types"]][::-1]
    found = {}
    for name in names:
        module, _, leaf = name.rpartition(".")
        found[name] = f"{_original_module(module, per_level, attends)}.{leaf}"
    return found


def _original_module(module: str, per_level: int, up_attends: list[bool]) -> str:
    if module in _ENDS:
        return _ENDS[module]
    head, *rest = module.split(".")
    if head == "controlnet_down_blocks":
        return f"zero_convs.{rest[0]}.0"
    if head == "controlnet_cond_embedding":
        return f"input_hint_block.{2 * int(rest[1]) + 2}"
    if head == "mid_block":
        place = 1 if rest[0] == "attentions" else 2 * int(rest[1])
        inner = rest[2:] if rest[0] == "attentions" else [_RESNET[rest[2]]]
        return ".".join(["middle_block", str(place), *inner])
    level, part, number, *inner = rest
    if head == "down_blocks":
        if part == "downsamplers":
            return f"input_blocks.{(int(level) + 1) * per_level}.0.op"
        place = 1 + int(level) * per_level + int(number)
        stem = "input_blocks"
    else:
        if part == "upsamplers":
            last = (int(level) + 1) * per_level - 1
            return f"output_blocks.{last}.{2 if up_attends[int(level)] else 1}.conv"
        place = int(level) * per_level + int(number)
        stem = "output_blocks"
    if part == "resnets":
        return f"{stem}.{place}.0.{_RESNET[inner[0]]}"
    return ".".join([stem, str(place), "1", *inner])


def _original_vae_name(name: str, levels: int) -> tuple[str, bool]:
    """The original name, and whether it is a weight of attention (a 1×1 convolution there)."""
    name = name.replace("conv_norm_out", "norm_out")
    attention = "attentions" in name
    if attention:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        renames = ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v")
        for new, old in (*renames, ("to_out.0", "proj_out")):
            name = name.replace(new, old)
        return name, name.endswith("weight") and ".norm." not in name
    name = re.sub(
        r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name
    ).replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", name)
    name = re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name
    )
    return name, False


def _openai(prefix: str, encoder: Any) -> Tensors:
    names = {
        k: k if k.startswith("text_model.") else f"text_model.{k}" for k in encoder.state_dict()
    }
    return {prefix + names[k]: v for k, v in encoder.state_dict().items()}


def _open_clip(prefix: str, encoder: Any, *, extra_layer: bool) -> Tensors:
    """A CLIP text encoder in OpenCLIP's names: fused q, k, v; transposed projection.

    Args:
        extra_layer: append a last layer, which diffusers' version of SD2 leaves out.
    """
    state = {k.removeprefix("text_model."): v for k, v in encoder.state_dict().items()}
    found: Tensors = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    width = found["positional_embedding"].shape[1]
    found["text_projection"] = (
        state["text_projection.weight"].T if "text_projection.weight" in state else torch.eye(width)
    )
    renames = {
        "self_attn.out_proj": "attn.out_proj",
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    layers = encoder.config.num_hidden_layers
    for layer in range(layers):
        old, new = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for leaf in ("weight", "bias"):
            parts = [state[f"{old}self_attn.{x}_proj.{leaf}"] for x in "qkv"]
            found[f"{new}attn.in_proj_{leaf}"] = torch.cat(parts)
            for a, b in renames.items():
                found[f"{new}{b}.{leaf}"] = state[f"{old}{a}.{leaf}"]
    if extra_layer:
        last, new = f"transformer.resblocks.{layers - 1}.", f"transformer.resblocks.{layers}."
        copies = {k: 0.5 * v for k, v in found.items() if k.startswith(last)}
        found |= {new + k.removeprefix(last): v for k, v in copies.items()}
    return {prefix + k: v for k, v in found.items()}


def _plain(tensors: Tensors) -> Tensors:
    """Tensors that share no memory, as safetensors wants them."""
    return {k: v.detach().clone().contiguous() for k, v in tensors.items()}


# --- LoRAs ------------------------------------------------------------------------------------


def lora_factors(kind: str, *, rank: int = 4, conv: bool = True, seed: int = 7) -> dict[str, Any]:
    """Low-rank factors (down, up) by part and diffusers module name.

    Covers attention, feed-forward and, with `conv`, convolutions of the UNet, and attention and
    feed-forward of the text encoders.
    """
    pipe = pipeline(kind)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = {}
    for part in ("unet", "text_encoder", "text_encoder_2"):
        network = getattr(pipe, part, None)
        if network is None:
            continue
        for name, layer in network.named_modules():
            if not _wants_lora(name, layer, conv):
                continue
            shape = layer.weight.shape
            down = torch.randn(rank, *shape[1:], generator=generator) * 0.2
            up = torch.randn(shape[0], rank, *(1,) * (len(shape) - 2), generator=generator) * 0.2
            found[f"{part}.{name}"] = (down, up)
    return found


def _wants_lora(name: str, layer: nn.Module, conv: bool) -> bool:
    if isinstance(layer, nn.Linear):
        ends = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
        return name.endswith((*ends, "q_proj", "v_proj", "out_proj", "fc1", "fc2", "proj_in"))
    if not isinstance(layer, nn.Conv2d):
        return False
    return name.endswith("proj_in") or (conv and name.endswith(("conv1", "conv_shortcut")))


def save_lora(
    kind: str,
    path: Path,
    *,
    naming: str = "peft",
    alpha: float | None = None,
    factors: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a LoRA.

    Args:
        naming: ``peft`` (diffusers), ``kohya`` (underscores, `alpha` tensors; SDXL's UNet by its
            original names, as that trainer writes them).
        alpha: None: none stated, which means the rank.
    """
    factors = lora_factors(kind) if factors is None else factors
    tensors: Tensors = {}
    extra = dict(metadata or {})
    for name, (down, up) in factors.items():
        if naming == "peft":
            tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = down, up
            continue
        stem = _kohya_stem(kind, name)
        tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = down, up
        if alpha is not None:
            tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
    if naming == "peft" and alpha is not None:
        extra["lora_adapter_metadata"] = json.dumps(_peft_settings(factors, alpha))
    save_file(_plain(tensors), path, metadata=extra or None)
    return path


def _peft_settings(factors: dict[str, Any], alpha: float) -> dict[str, Any]:
    """What diffusers writes into a LoRA's metadata: peft's configuration of each part."""
    rank = next(iter(factors.values()))[0].shape[0]
    settings: dict[str, Any] = {}
    for name in factors:
        part, _, module = name.partition(".")
        settings |= {f"{part}.r": rank, f"{part}.lora_alpha": alpha}
        settings.setdefault(f"{part}.target_modules", []).append(module)
    return settings


def _kohya_stem(kind: str, name: str) -> str:
    part, _, module = name.partition(".")
    if part == "unet":
        if kind.startswith("sdxl"):
            config = pipeline(kind).unet.config
            module = original_names(config, [f"{module}.weight"])[f"{module}.weight"]
            module = module.removesuffix(".weight")
        return "lora_unet_" + module.replace(".", "_")
    module = module if module.startswith("text_model.") else f"text_model.{module}"
    prefix = "lora_te_"
    if kind.startswith("sdxl"):
        prefix = "lora_te1_" if part == "text_encoder" else "lora_te2_"
    return prefix + module.replace(".", "_")
