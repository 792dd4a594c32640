"""Every network of a model behind the inputs and outputs that Core ML Stable Diffusion models have.

Names, shapes and types are those of Apple's converter, so that its Python pipeline and the Swift
apps can load what is written here: batch and size are fixed, inputs float16 and outputs float32
except where a comment says why not, text states laid out [B, C, 1, 77].

`Contract` holds one network so prepared; `contract_*` make them from diffusers' and transformers'
own modules.  `Contract.reference` calls the untouched source network by its own public interface:
it is what the finished package is compared with, and knows nothing of the wrappers here.

Text encoders, denoisers and ControlNets are here; the networks that handle pictures are in
`gui.convert.networks.picture_components`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gui import words
from gui.convert.networks.layout import use_core_ml_layout
from gui.coreml.dialect import ADAPTER
from gui.coreml.model import CLIP_PLACES, Attention, ComponentKind, Family, clip_skip_output

K = ComponentKind

TOKENS = CLIP_PLACES
"""Length of CLIP's text."""

LATENT_SCALE = 8
"""Pixels per latent along each side."""

CHECK_TIMESTEPS = (981.0, 500.0, 1.0)
"""Where a denoiser is compared: the first of a 50-step schedule, the middle, and the last."""

Arrays = dict[str, np.ndarray]

_PHRASE = (49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407)
"""CLIP's tokens of ``a photo of an astronaut riding a horse on mars``."""

_DESCRIPTIONS = {
    "input_ids": "The tokens of the text, padded to the encoder's length",
    "last_hidden_state": "The state of every token after the last layer",
    "hidden_embeds": "The state of every token before the last layer",
    "pooled_outputs": "The state of the whole text",
    "sample": "The noisy latents",
    "timestep": "How noisy they are: a step of the training schedule, 0 to 999",
    "timestep_cond": "An embedding of the guidance scale",
    "encoder_hidden_states": "The text encoder's states, channels before positions",
    "time_ids": "Sizes in pixels (original, crop, target), or the aesthetic score",
    "text_embeds": "The state of the whole text",
    "controlnet_cond": "The picture to follow, from 0 to 1",
    "noise_pred": "The predicted noise (or velocity), like the latents",
    "z": "Latents, divided by the model's latent scale",
    "image": "The picture, from -1 to 1",
    "x": "The picture, from -1 to 1",
    "latent": "Means, then logarithms of variances, of the latents",
    "clip_input": "The picture at 224 pixels, with CLIP's normalisation",
    "images": "The picture, from 0 to 1",
    "adjustment": "Added to every concept's score: above 0 is stricter",
    "filtered_images": "The picture, black where it was objected to",
    "has_nsfw_concepts": "1 where the picture was objected to, else 0",
    "concept_scores": "By how much each concept exceeds its limit",
}


@dataclass
class Contract:
    """One network with its inputs and outputs, ready to trace."""

    kind: ComponentKind
    title: str
    """For people, e.g. ``UNet``."""
    description: str
    """For the package's metadata."""
    source: Any
    """The network as its library has it."""
    wrap: Callable[[], nn.Module]
    """Makes the module to trace: positional arguments in the order of `example`.  May rewrite
    `source` in place: call `reference` before it."""
    example: dict[str, Tensor]
    """Inputs to trace with, float32, by name, in order."""
    outputs: tuple[str, ...]
    checks: tuple[Arrays, ...]
    """Seeded inputs for comparing, float32 but rounded to what the package takes."""
    reference: Callable[[Arrays], Arrays]
    """The untouched network's outputs, by name; only those worth comparing."""
    compared: str
    """What `checks` are, for the report."""
    float32_inputs: bool = False
    float32: bool = False
    """Compute and store everything in float32."""
    descriptions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = (*self.example, *self.outputs)
        self.descriptions = {n: _DESCRIPTIONS.get(n, _residual_text(n)) for n in names}

    def release(self) -> None:
        """Let go of the network, which then belongs to whoever traced it."""
        self.source = None
        self.wrap = _released
        self.reference = _released


def _released(*_: Any) -> Any:
    raise RuntimeError("the network was released")


def _residual_text(name: str) -> str:
    if name.startswith("clip_skip_"):
        return f"The state of every token {name.rpartition('_')[2]} layers from the end"
    return f"A ControlNet's residual {name.rpartition('_')[2]}, added on the way"


class PlainCall(nn.Module):
    """A network behind a plain positional signature."""

    def __init__(self, network: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network
        self._call = call

    def forward(self, *tensors: Tensor) -> Any:
        return self._call(self.network, *tensors)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def as_given(tensors: Mapping[str, Tensor], half: bool) -> Arrays:
    """As arrays, rounded to what the package's inputs can hold, so that only the network's own
    precision is measured."""
    arrays = {name: t.detach().float().numpy() for name, t in tensors.items()}
    if half:
        arrays = {name: a.astype(np.float16).astype(np.float32) for name, a in arrays.items()}
    return arrays


def _tensors(arrays: Arrays) -> list[Tensor]:
    return [torch.from_numpy(a) for a in arrays.values()]


# Text encoders


def contract_text_encoder(
    kind: ComponentKind, network: Any, family: Family, pad_token_id: int, clip_skip: int = 1
) -> Contract:
    """A CLIP text encoder.

    Stable Diffusion 1 and 2 read the states after the last layer, XL those before it.
    Token ids are float32, as in Apple's packages: float16 holds whole numbers only up to 2048.

    Args:
        clip_skip: up to which layer from the end the states are outputs too, as diffusers'
            `clip_skip` gives them: of SD 1 and 2 through the last normalisation, of XL as they are.
    """
    xl = family in (Family.SDXL, Family.SDXL_REFINER)
    states = "hidden_embeds" if xl else "last_hidden_state"
    # XL's own states are those of clip skip 2
    skips = range(2, min(clip_skip, network.config.num_hidden_layers) + 1)
    names = (states, "pooled_outputs", *map(clip_skip_output, skips))

    def outputs(ids: Tensor) -> tuple[Tensor, ...]:
        out = network(input_ids=ids.long(), output_hidden_states=True, return_dict=True)
        pooled = getattr(out, "text_embeds", None)
        if pooled is None:
            pooled = out.pooler_output
        earlier = (out.hidden_states[-layers] for layers in skips)
        if not xl:
            norm = getattr(network, "text_model", network).final_layer_norm
            earlier = (norm(hidden) for hidden in earlier)
        return (out.hidden_states[-2] if xl else out.last_hidden_state), pooled, *earlier

    ids = _token_rows(network, pad_token_id)

    def reference(arrays: Arrays) -> Arrays:
        values = outputs(torch.from_numpy(arrays["input_ids"]))
        return {n: v.numpy() for n, v in zip(names, values, strict=True)}

    return Contract(
        kind=kind,
        title=words.component(kind),
        description=f"The {words.component(kind)}: what the prompt means, as numbers",
        source=network,
        wrap=lambda: PlainCall(network, lambda _network, ids: outputs(ids)),
        example={"input_ids": ids[:1]},
        outputs=names,
        checks=tuple({"input_ids": row[None].numpy()} for row in ids),
        reference=reference,
        compared="the tokens of a prompt of ten words and of an empty one",
        float32_inputs=True,
    )


def _token_rows(network: Any, pad_token_id: int) -> Tensor:
    """A prompt and the empty prompt, float32 [2, 77], within the network's vocabulary."""
    begin, *_, end = _PHRASE
    rows = [
        [*_PHRASE, *[pad_token_id] * (TOKENS - len(_PHRASE))],
        [begin, end, *[pad_token_id] * (TOKENS - 2)],
    ]
    ids = torch.tensor(rows, dtype=torch.float32)
    return ids.clamp(max=network.config.vocab_size - 1)


# Denoisers


def contract_unet(
    kind: ComponentKind,
    network: Any,
    attention: Attention,
    latent: tuple[int, int],
    batch: int,
    *,
    residuals: bool = False,
    adapter_features: int = 0,
    text_tokens: int = CLIP_PLACES,
) -> Contract:
    """A UNet, plain or (`residuals`) one that adds a ControlNet's residuals; or XL's refiner.

    Args:
        kind: UNET, CONTROL_UNET or REFINER.
        network: diffusers' UNet2DConditionModel; rewritten in place by `wrap`.
        attention: form of attention to write.
        latent: height and width of the latents.
        batch: pictures per call; 2 for guidance in one call.
        adapter_features: how many a T2I-Adapter gives that it is to add; 0: it takes none.
        text_tokens: of the text that it reads.
    """
    config = network.config
    extras = _conditions(config)
    shapes = residual_shapes(config, latent) if residuals else []
    names = [f"additional_residual_{n}" for n in range(len(shapes))]
    adapted = adapter_shapes(config, latent, adapter_features)
    names += [f"{ADAPTER}{n:02}" for n in range(len(adapted))]
    shapes += adapted

    def inputs(seed: int, timestep: float) -> dict[str, Tensor]:
        generator = seeded(seed)
        refiner = kind is K.REFINER
        tensors = _denoiser_inputs(config, latent, batch, timestep, generator, text_tokens, refiner)
        for name, shape in zip(names, shapes, strict=True):
            tensors[name] = 0.3 * torch.randn(batch, *shape, generator=generator)
        return tensors

    def call(unet: Any, *tensors: Tensor) -> Tensor:
        given = dict(zip(example, tensors, strict=True))
        return _call_unet(unet, given, extras, names)

    def reference(arrays: Arrays) -> Arrays:
        given = dict(zip(arrays, _tensors(arrays), strict=True))
        given["encoder_hidden_states"] = _by_position(given["encoder_hidden_states"])
        return {"noise_pred": _call_unet(network, given, extras, names).numpy()}

    def wrap() -> nn.Module:
        use_core_ml_layout(network, attention)
        return PlainCall(network, call)

    example = inputs(0, CHECK_TIMESTEPS[1])
    what = "residuals of a ControlNet, " if residuals else ""
    return Contract(
        kind=kind,
        title=words.component(kind),
        description="The UNet: takes noise out of the latents, step by step",
        source=network,
        wrap=wrap,
        example=example,
        outputs=("noise_pred",),
        checks=_checks(inputs),
        reference=reference,
        compared=(
            f"normally distributed latents and text states, {what}at timesteps "
            f"{_timesteps()}, batch of {batch}"
        ),
    )


def _timesteps() -> str:
    return words.listed(f"{t:g}" for t in CHECK_TIMESTEPS)


def _checks(inputs: Callable[[int, float], dict[str, Tensor]]) -> tuple[Arrays, ...]:
    return tuple(as_given(inputs(n + 1, t), True) for n, t in enumerate(CHECK_TIMESTEPS))


def _conditions(config: Any) -> tuple[str, ...]:
    """Inputs beyond latents, timestep and text that a network of this configuration takes."""
    extras: list[str] = []
    if getattr(config, "time_cond_proj_dim", None):
        extras.append("timestep_cond")
    if getattr(config, "addition_embed_type", None) == "text_time":
        extras += ["time_ids", "text_embeds"]
    return tuple(extras)


def _denoiser_inputs(
    config: Any,
    latent: tuple[int, int],
    batch: int,
    timestep: float,
    generator: torch.Generator,
    text_tokens: int,
    refiner: bool = False,
) -> dict[str, Tensor]:
    """Plausible inputs of a UNet or ControlNet, by Apple's names."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    context = config.cross_attention_dim
    context = max(context) if isinstance(context, (list, tuple)) else context
    tensors = {
        "sample": normal(batch, config.in_channels, *latent),
        "timestep": torch.full((batch,), timestep),
        "encoder_hidden_states": normal(batch, context, 1, text_tokens),
    }
    extras = _conditions(config)
    if "timestep_cond" in extras:
        tensors["timestep_cond"] = normal(batch, config.time_cond_proj_dim)
    if "time_ids" in extras:
        height, width = (float(LATENT_SCALE * size) for size in latent)
        # original size, crop, then target size or (refiner) aesthetic score
        ids = [height, width, 0.0, 0.0, *([6.0] if refiner else [height, width])]
        tensors["time_ids"] = torch.tensor([ids] * batch)
        # the embedding layer takes the pooled text and a sinusoid per id, side by side
        sinusoids = len(ids) * config.addition_time_embed_dim
        pooled = config.projection_class_embeddings_input_dim - sinusoids
        tensors["text_embeds"] = normal(batch, pooled)
    return tensors


def _call_unet(
    unet: Any, given: Mapping[str, Tensor], extras: tuple[str, ...], residuals: list[str]
) -> Tensor:
    arguments: dict[str, Any] = {}
    if "timestep_cond" in extras:
        arguments["timestep_cond"] = given["timestep_cond"]
    if "time_ids" in extras:
        added = {name: given[name] for name in ("time_ids", "text_embeds")}
        arguments["added_cond_kwargs"] = added
    features = [given[name] for name in residuals if name.startswith(ADAPTER)]
    if features:
        arguments["down_intrablock_additional_residuals"] = features
    if len(residuals) > len(features):
        *down, middle = (given[name] for name in residuals if not name.startswith(ADAPTER))
        arguments["down_block_additional_residuals"] = tuple(down)
        arguments["mid_block_additional_residual"] = middle
    states = given["encoder_hidden_states"]
    return unet(given["sample"], given["timestep"], states, return_dict=False, **arguments)[0]


def _by_position(states: Tensor) -> Tensor:
    """[B, C, 1, S] as diffusers has it: [B, S, C]."""
    return states[:, :, 0].transpose(1, 2)


def residual_shapes(config: Any, latent: tuple[int, int]) -> list[tuple[int, int, int]]:
    """[channels, height, width] of every residual a ControlNet hands to a UNet.

    One after the first convolution, one after every ResNet layer and one after every downsampler
    on the way down, and one from the middle.
    """
    height, width = latent
    channels = config.block_out_channels
    layers = config.layers_per_block
    counts = [layers] * len(channels) if isinstance(layers, int) else list(layers)
    shapes = [(channels[0], height, width)]
    for level, (depth, count) in enumerate(zip(channels, counts, strict=True)):
        shapes += [(depth, height, width)] * count
        if level < len(channels) - 1:
            height, width = (height + 1) // 2, (width + 1) // 2
            shapes.append((depth, height, width))
    shapes.append((channels[-1], height, width))
    return shapes


def adapter_shapes(
    config: Any, latent: tuple[int, int], features: int
) -> list[tuple[int, int, int]]:
    """[channels, height, width] of what a T2I-Adapter hands to a UNet, where it gives `features`.

    One at the end of each block on the way down, before the downsampler where the block attends to
    the text and after it where it does not; one more, of XL's adapters, from the middle.
    """
    height, width = latent
    shapes: list[tuple[int, int, int]] = []
    last = len(config.block_out_channels) - 1
    blocks = zip(config.block_out_channels, config.down_block_types, strict=True)
    for level, (depth, kind) in enumerate(blocks):
        attends = "Attn" in kind
        halved = (height + 1) // 2, (width + 1) // 2
        if level < last and not attends:
            height, width = halved
        shapes.append((depth, height, width))
        if level < last and attends:
            height, width = halved
    shapes.append((config.block_out_channels[-1], height, width))
    return shapes[:features]


def contract_adapter(network: Any, latent: tuple[int, int], name: str) -> Contract:
    """A T2I-Adapter (diffusers' T2IAdapter): it sees a picture alone, and is run once for it."""
    size = tuple(LATENT_SCALE * s for s in latent)
    channels = network.config.in_channels
    example = {"input": torch.rand(1, channels, *size, generator=seeded(0))}
    with torch.no_grad():
        count = len(network(example["input"]))
    outputs = tuple(f"{ADAPTER}{n:02}" for n in range(count))

    def reference(arrays: Arrays) -> Arrays:
        given = network(torch.from_numpy(arrays["input"]))
        return {n: v.numpy() for n, v in zip(outputs, given, strict=True)}

    picture = torch.rand(1, channels, *size, generator=seeded(1))
    return Contract(
        kind=K.CONTROLNET,
        title=f"T2I-Adapter {name}",
        description="A T2I-Adapter: makes the UNet follow a picture",
        source=network,
        wrap=lambda: PlainCall(network, lambda net, picture: tuple(net(picture))),
        example=example,
        outputs=outputs,
        checks=(as_given({"input": picture}, True),),
        reference=reference,
        compared="a picture of noise",
    )


# ControlNets


def contract_controlnet(
    network: Any,
    attention: Attention,
    latent: tuple[int, int],
    batch: int,
    name: str,
    text_tokens: int = CLIP_PLACES,
) -> Contract:
    """A ControlNet (diffusers' ControlNetModel), rewritten in place by `wrap`; arguments as in
    `contract_unet`."""
    config = network.config
    extras = _conditions(config)
    shapes = residual_shapes(config, latent)
    outputs = tuple(f"additional_residual_{n}" for n in range(len(shapes)))
    size = tuple(LATENT_SCALE * s for s in latent)

    def inputs(seed: int, timestep: float) -> dict[str, Tensor]:
        generator = seeded(seed)
        tensors = _denoiser_inputs(config, latent, batch, timestep, generator, text_tokens)
        channels = getattr(config, "conditioning_channels", 3)
        tensors["controlnet_cond"] = torch.rand(batch, channels, *size, generator=generator)
        return tensors

    def run(net: Any, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        added = {n: given[n] for n in ("time_ids", "text_embeds")} if "time_ids" in extras else None
        down, middle = net(
            given["sample"],
            given["timestep"],
            given["encoder_hidden_states"],
            controlnet_cond=given["controlnet_cond"],
            added_cond_kwargs=added,
            return_dict=False,
        )
        # one that follows the picture as a whole (`global_pool_conditions`) gives one value per
        # channel, and the UNet takes one per position
        given_out = zip((*down, middle), shapes, strict=True)
        return tuple(value.expand(-1, *shape) for value, shape in given_out)

    def reference(arrays: Arrays) -> Arrays:
        given = dict(zip(arrays, _tensors(arrays), strict=True))
        given["encoder_hidden_states"] = _by_position(given["encoder_hidden_states"])
        return {n: v.numpy() for n, v in zip(outputs, run(network, given), strict=True)}

    def wrap() -> nn.Module:
        use_core_ml_layout(network, attention)
        return PlainCall(network, lambda net, *t: run(net, dict(zip(example, t, strict=True))))

    example = inputs(0, CHECK_TIMESTEPS[1])
    return Contract(
        kind=K.CONTROLNET,
        title=f"ControlNet {name}",
        description="A ControlNet: makes the UNet follow a picture",
        source=network,
        wrap=wrap,
        example=example,
        outputs=outputs,
        checks=_checks(inputs),
        reference=reference,
        compared=(
            "normally distributed latents and text states with a picture of noise, at timesteps "
            f"{_timesteps()}, batch of {batch}"
        ),
    )
