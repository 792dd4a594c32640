"""Repositories of LoRAs laid out like real ones on the Hub, with real small LoRAs inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.built import built
from tests.support.hub_repo import Content, Phantom, Repo
from tests.support.hub_shelf import picture

SD1 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
TAGS = ("diffusers", "text-to-image", "lora", "template:sd-lora")


def lora_file(kind: str, naming: str = "kohya") -> Path:
    """A LoRA of rank 4 for the tiny model of that kind."""
    from tests.support.tiny_loras import save_lora

    def build(path: Path) -> None:
        save_lora(kind, path, naming=naming, alpha=4.0)

    return built(f"lora-{kind}-{naming}.safetensors", build, __file__)


def header(
    tensors: dict[str, tuple[str, list[int]]], metadata: dict[str, str] | None = None
) -> bytes:
    """The beginning of a safetensors file with these tensors (type and shape), without numbers."""
    sizes = {"F16": 2, "F32": 4}
    stated: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, count = end, sizes[dtype]
        for side in shape:
            count *= side
        end = start + count
        stated[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(stated).encode()
    return len(text).to_bytes(8, "little") + text


def phantom(tensors: dict[str, tuple[str, list[int]]]) -> Phantom:
    """A file of these tensors, all zeros."""
    head = header(tensors)
    size = max(e["data_offsets"][1] for e in json.loads(head[8:]).values())
    return Phantom(len(head) + size, head=head)


def _repo(id: str, files: dict[str, Content], base: str, likes: int, **more: Any) -> Repo:
    card = {"base_model": base, **more.pop("card", {})}
    return Repo(
        id, files, likes=likes, tags=TAGS, pipeline_tag="text-to-image", library="diffusers",
        licence="openrail++", card_data=card, **more,
    )  # fmt: skip


def pixel_fog() -> Repo:
    """One file by a trainer, with the words it was taught and pictures in its gallery."""
    front = (
        f"---\nbase_model: {SD1}\ninstance_prompt: pixel fog\nwidget:\n- text: a fox, pixel fog\n"
        "  output:\n    url: images/fox.png\n---\n\n# Pixel Fog\n\nEverything in fog, in pixels.\n"
    )
    return _repo(
        "artist/pixel-fog",
        {
            "README.md": front,
            "images/fox.png": picture(seed=3),
            "pixel-fog-v1.safetensors": lora_file("sd1"),
        },
        SD1, 90,
        card={
            "instance_prompt": "pixel fog",
            "widget": [{"text": "a fox, pixel fog", "output": {"url": "images/fox.png"}}],
        },
    )  # fmt: skip


def xl_style() -> Repo:
    """diffusers' own layout, whose file is called like everybody's, and a second one."""
    return _repo(
        "artist/papercut-sdxl",
        {
            "README.md": f"---\nbase_model: {SDXL}\n---\n# Papercut\n\nCut out of paper, for XL.\n",
            "pytorch_lora_weights.safetensors": lora_file("sdxl", "peft"),
        },
        SDXL, 80,
    )  # fmt: skip


def flux() -> Repo:
    """For models that there are none of here."""
    tensors = {
        f"transformer.single_transformer_blocks.0.attn.to_k.{role}.weight": ("F16", shape)
        for role, shape in (("lora_A", [16, 3072]), ("lora_B", [3072, 16]))
    }
    return _repo(
        "artist/flux-fog", {"flux-fog.safetensors": phantom(tensors)},
        "black-forest-labs/FLUX.1-dev", 500,
    )  # fmt: skip


def pickled() -> Repo:
    return _repo("artist/old-pickle", {"pytorch_lora_weights.bin": b"\x80\x02}q\x00."}, SD1, 30)


def huge() -> Repo:
    """Five gigabytes."""
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{stem}.lora_down.weight": ("F16", [2_300_000, 768]),
        f"{stem}.lora_up.weight": ("F16", [320, 2_300_000]),
    }
    return _repo("artist/huge", {"huge.safetensors": phantom(tensors)}, SD1, 20)


def closed() -> Repo:
    """Terms to accept; ``ada`` did."""
    return _repo(
        "artist/closed", {"closed.safetensors": lora_file("sd1")}, SD1, 10,
        gated="auto", granted=("ada",),
    )  # fmt: skip


def no_lora() -> Repo:
    """Called one, and none."""
    tensors = {"model.diffusion_model.out.2.weight": ("F16", [4, 320, 30, 30])}
    return _repo("artist/not-a-lora", {"lora.safetensors": phantom(tensors)}, "", 5)


def lora_repos() -> list[Repo]:
    return [pixel_fog(), xl_style(), flux(), pickled(), huge(), closed(), no_lora()]
