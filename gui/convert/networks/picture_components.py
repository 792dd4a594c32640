"""The networks that handle pictures, behind their contracts: autoencoder and safety checker.

See `gui.convert.networks.components`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gui import words
from gui.convert.networks.components import (
    LATENT_SCALE,
    Arrays,
    Contract,
    PlainCall,
    as_given,
    seeded,
)
from gui.coreml.model import ComponentKind, Family

K = ComponentKind

# The autoencoder


def needs_float32(vae: Any, family: Family) -> bool:
    """Whether the autoencoder's numbers leave float16's range.

    Stable Diffusion XL's do; a repaired one says `force_upcast: false` in its configuration.
    """
    xl = family in (Family.SDXL, Family.SDXL_REFINER)
    return xl and bool(getattr(vae.config, "force_upcast", True))


def contract_vae_decoder(vae: Any, latent: tuple[int, int], float32: bool) -> Contract:
    """diffusers' AutoencoderKL from latents to a picture; the latents are already unscaled."""

    def decode(network: Any, z: Tensor) -> Tensor:
        if network.post_quant_conv is not None:
            z = network.post_quant_conv(z)
        return network.decoder(z)

    def inputs(seed: int) -> dict[str, Tensor]:
        scale = getattr(vae.config, "scaling_factor", None) or 1.0
        shape = (1, vae.config.latent_channels, *latent)
        return {"z": torch.randn(shape, generator=seeded(seed)) / scale}

    return Contract(
        kind=K.VAE_DECODER,
        title=words.component(K.VAE_DECODER),
        description="The decoder: turns latents into a picture",
        source=vae,
        wrap=lambda: PlainCall(vae, decode),
        example=inputs(0),
        outputs=("image",),
        checks=(as_given(inputs(1), not float32),),
        reference=lambda arrays: {
            "image": vae.decode(torch.from_numpy(arrays["z"]), return_dict=False)[0].numpy()
        },
        compared="normally distributed latents",
        float32_inputs=float32,
        float32=float32,
    )


def contract_vae_encoder(vae: Any, latent: tuple[int, int], float32: bool) -> Contract:
    """diffusers' AutoencoderKL from a picture to the moments of its latents."""

    def encode(network: Any, x: Tensor) -> Tensor:
        moments = network.encoder(x)
        return moments if network.quant_conv is None else network.quant_conv(moments)

    def inputs(seed: int) -> dict[str, Tensor]:
        height, width = (LATENT_SCALE * size for size in latent)
        return {"x": _soft_picture(height, width, seeded(seed))}

    def reference(arrays: Arrays) -> Arrays:
        posterior = vae.encode(torch.from_numpy(arrays["x"])).latent_dist
        return {"latent": posterior.parameters.numpy()}

    return Contract(
        kind=K.VAE_ENCODER,
        title=words.component(K.VAE_ENCODER),
        description="The encoder: turns a picture into latents to start from",
        source=vae,
        wrap=lambda: PlainCall(vae, encode),
        example=inputs(0),
        outputs=("latent",),
        checks=(as_given(inputs(1), not float32),),
        reference=reference,
        compared="a picture of soft coloured clouds with grain",
        float32_inputs=float32,
        float32=float32,
    )


def _soft_picture(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Clouds and grain, float32 [1, 3, height, width] in −1…1: all frequencies, as photographs."""
    coarse = torch.randn(1, 3, max(2, height // 32), max(2, width // 32), generator=generator)
    clouds = nn.functional.interpolate(
        coarse, size=(height, width), mode="bilinear", align_corners=False
    )
    grain = torch.randn(1, 3, height, width, generator=generator)
    return (0.6 * clouds + 0.05 * grain).clamp(-1, 1)


# The safety checker


def contract_safety_checker(checker: Any, size: tuple[int, int]) -> Contract:
    """diffusers' StableDiffusionSafetyChecker.

    Its rule: a picture is objected to where its CLIP embedding comes closer to a concept than the
    concept's limit; an embedding close to one of the special concepts makes the others stricter
    by 0.01.

    Args:
        size: height and width of the pictures in pixels.
    """
    edge = checker.config.vision_config.image_size

    def inputs(seed: int) -> dict[str, Tensor]:
        generator = seeded(seed)
        return {
            "clip_input": torch.randn(1, 3, edge, edge, generator=generator),
            "images": torch.rand(1, *size, 3, generator=generator),
            "adjustment": torch.zeros(1),
        }

    def reference(arrays: Arrays) -> Arrays:
        from diffusers.pipelines.stable_diffusion.safety_checker import cosine_distance

        seen = checker.vision_model(torch.from_numpy(arrays["clip_input"]))[1]
        embedding = checker.visual_projection(seen)
        near = cosine_distance(embedding, checker.concept_embeds) - checker.concept_embeds_weights
        special = cosine_distance(embedding, checker.special_care_embeds)
        special = special - checker.special_care_embeds_weights
        stricter = 0.01 if bool((special > 0).any()) else 0.0
        return {"concept_scores": (near + stricter).numpy()}

    return Contract(
        kind=K.SAFETY_CHECKER,
        title=words.component(K.SAFETY_CHECKER),
        description="The safety checker: objects to pictures that should not be shown",
        source=checker,
        wrap=lambda: PlainCall(checker, _check_safety),
        example=inputs(0),
        outputs=("filtered_images", "has_nsfw_concepts", "concept_scores"),
        checks=(as_given(inputs(1), True),),
        reference=reference,
        compared="the concepts' scores of a picture of noise",
    )


def _check_safety(
    checker: Any, clip_input: Tensor, images: Tensor, adjustment: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    embedding = checker.visual_projection(checker.vision_model(clip_input)[1])
    embedding = nn.functional.normalize(embedding)

    def scores(concepts: Tensor, limits: Tensor) -> Tensor:
        return embedding @ nn.functional.normalize(concepts).t() - limits + adjustment

    special = scores(checker.special_care_embeds, checker.special_care_embeds_weights)
    stricter = 0.01 * (special > 0).float().amax(dim=1, keepdim=True)
    concepts = scores(checker.concept_embeds, checker.concept_embeds_weights) + stricter
    found = (concepts > 0).float().amax(dim=1)[:, None, None, None]
    return images * (1.0 - found), found, concepts
