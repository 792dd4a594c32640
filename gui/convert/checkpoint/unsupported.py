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
    ("StableDiffusionDepth2Img", "a depth-to-image model"),
    ("StableDiffusionInstructPix2Pix", "an InstructPix2Pix model"),
    ("StableDiffusionInpaint", "an inpainting model"),
    ("StableDiffusionXLInpaint", "an inpainting model"),
    ("StableDiffusionXLInstructPix2Pix", "an InstructPix2Pix model"),
    ("StableDiffusionGLIGEN", "GLIGEN"),
)
"""Beginning of a pipeline's or network's class name in diffusers, and the family."""

_CHANNELS = {
    5: "a depth-to-image model",
    7: "a Stable Diffusion upscaler",
    8: "an InstructPix2Pix model",
    9: "an inpainting model",
}
"""Input channels of a UNet that also takes a picture, a mask or a depth map."""


def family_of_class(class_name: str) -> str:
    """The unsupported family of a diffusers class; empty if none is recognised."""
    return next((family for start, family in _CLASSES if class_name.startswith(start)), "")


def refuse_channels(channels: int, path: str) -> None:
    """Raise unless a UNet takes four latent channels and nothing else."""
    if channels == 4:
        return
    what = _CHANNELS.get(channels, f"a network with {channels} input channels")
    raise unsupported(what, path)


def unsupported(family: str, detail: str = "") -> SfumatoError:
    """The refusal that names a family."""
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"This is {family}, which cannot be converted; choose a text-to-image checkpoint of "
        f"{CONVERTED}.",
        detail,
    )
