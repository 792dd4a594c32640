"""Name the model families that cannot be converted, so that the refusal says which one it is.

Recognised by class names (diffusers folders) and by the UNet's number of input channels; single
files by names of tensors (`gui.library.lora_files.families`).  Standard library only.
"""

from __future__ import annotations

from gui.errors import ErrorKind, SfumatoError

CONVERTED = "Stable Diffusion 1, 2 and XL"

_CLASSES: tuple[tuple[str, str], ...] = (
    ("Flux2", "FLUX.2"),
    ("Flux", "FLUX.1"),
    ("StableDiffusion3", "Stable Diffusion 3"),
    ("SD3", "Stable Diffusion 3"),
    ("PixArt", "PixArt"),
    ("WanVACE", "Wan"),
    ("Wan", "Wan"),
    ("HunyuanDiT", "Hunyuan-DiT"),
    ("HunyuanVideo", "HunyuanVideo"),
    ("StableCascade", "Stable Cascade"),
    ("Wuerstchen", "Würstchen"),
    ("Kandinsky", "Kandinsky"),
    ("AuraFlow", "AuraFlow"),
    ("LTX", "LTX Video"),
    ("Lumina", "Lumina"),
    ("Sana", "Sana"),
    ("Kolors", "Kolors"),
    ("Chroma", "Chroma"),
    ("CogVideo", "CogVideoX"),
    ("CogView", "CogView"),
    ("Mochi", "Mochi"),
    ("HiDream", "HiDream"),
    ("QwenImage", "Qwen-Image"),
    ("Cosmos", "Cosmos"),
    ("OmniGen", "OmniGen"),
    ("Allegro", "Allegro"),
    ("ZImage", "Z-Image"),
    ("AltDiffusion", "AltDiffusion"),
    ("StableUnCLIP", "Stable unCLIP"),
    ("UnCLIP", "unCLIP"),
    ("StableVideo", "Stable Video Diffusion"),
    ("AnimateDiff", "AnimateDiff"),
    ("StableAudio", "Stable Audio"),
    ("AudioLDM", "AudioLDM"),
    ("IFPipeline", "DeepFloyd IF"),
    ("IFImg2Img", "DeepFloyd IF"),
    ("IFSuperResolution", "DeepFloyd IF"),
    ("PaintByExample", "Paint by Example"),
    ("LDMTextToImage", "Latent Diffusion"),
    ("StableDiffusionUpscale", "a Stable Diffusion upscaler"),
    ("StableDiffusionLatentUpscale", "a Stable Diffusion upscaler"),
    ("StableDiffusionGLIGEN", "GLIGEN"),
)
"""Beginning of a pipeline's or network's class name in diffusers, and the family."""

LATENTS = 4
SHOWN = {
    5: "It is led by a depth map.",
    8: "It edits pictures as it is told.",
    9: "It paints parts of pictures anew.",
}
"""Input channels of a UNet that is shown more than latents, and what a model with it does."""
_OTHERS = {7: "a Stable Diffusion upscaler"}


def family_of_class(class_name: str) -> str:
    """The unsupported family of a diffusers class; empty if none is recognised."""
    return next((family for start, family in _CLASSES if class_name.startswith(start)), "")


def refuse_channels(channels: int, path: str, *, shown: bool = True) -> None:
    """Raise unless a network takes four latent channels and nothing else, or also a picture, a mask
    or a depth map.

    Args:
        shown: whether it may be shown any of these.
    """
    if channels == LATENTS or (shown and channels in SHOWN):
        return
    what = _OTHERS.get(channels, f"a network with {channels} input channels")
    raise unsupported(what, path)


def unsupported(family: str, detail: str = "") -> SfumatoError:
    """The refusal that names a family."""
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"This is {family}, which cannot be converted; choose a text-to-image checkpoint of "
        f"{CONVERTED}.",
        detail,
    )
