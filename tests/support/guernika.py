"""Tiny models in the form of Guernika's converter: other names, optional residuals, own metadata.

Names, order of inputs and metadata are those its published source writes; the networks are
`tiny_networks`' own, so that diffusers makes the same pictures.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gui.coreml import proto
from tests.support.built import built
from tests.support.compiled_writer import compile_package
from tests.support.tiny_models import (
    _in_layout,
    _Writer,
    chunk_unet,
    residual_shapes,
    unet_examples,
)
from tests.support.tiny_networks import SHAPES, TOKENIZER, TOKENS, tiny_pipeline

IDENTIFIER = "acme/tiny"
RESIDUALS = [*(f"down_block_res_samples_{n:02}" for n in range(4)), "mid_block_res_sample"]
ADAPTERS = ["adapter_res_samples_00", "adapter_res_samples_01"]
RESOURCES = {
    "text_encoder": "TextEncoder",
    "text_encoder_2": "TextEncoder2",
    "unet": "Unet",
    "unet_chunk1": "UnetChunk1",
    "unet_chunk2": "UnetChunk2",
    "vae_decoder": "VAEDecoder",
    "vae_encoder": "VAEEncoder",
}


class _GuernikaWriter(_Writer):
    def package(self, suffix: str) -> Path:
        return self.folder / f"{IDENTIFIER.replace('/', '_')}_{suffix}.mlpackage"


def guernika_model(kind: str, folder: Path, write: _GuernikaWriter | None = None) -> Path:
    """Write the packages of a tiny model, float32; returns `folder`.

    Its UNet takes what a ControlNet and a T2I-Adapter would give, optionally.
    """
    pipe = tiny_pipeline(kind)
    latent = SHAPES[kind].latent
    write = write or _GuernikaWriter(folder, IDENTIFIER, "fp32", "macOS13")
    folder.mkdir(parents=True)
    _text_encoders(write, kind, pipe)
    h, w = latent
    scale = {"scaling_factor": str(SHAPES[kind].scaling_factor)}
    write(write.package("vae_decoder"), copy.deepcopy(pipe.vae),
          lambda vae, z: vae.decoder(vae.post_quant_conv(z)),
          {"z": torch.randn(1, 4, h, w)}, ("image",))  # fmt: skip
    write(write.package("vae_encoder"), copy.deepcopy(pipe.vae),
          lambda vae, z: vae.quant_conv(vae.encoder(z)),
          {"z": torch.rand(1, 3, 8 * h, 8 * w)}, ("latent",))  # fmt: skip
    for part in ("vae_decoder", "vae_encoder"):
        _describe(write.package(part), **scale)
    _unet(write, kind, pipe, latent)
    return folder


def kept_guernika_model(kind: str) -> Path:
    """`guernika_model`, converted once and kept; only to be read."""
    return built(f"guernika-{kind}", lambda place: guernika_model(kind, place), __file__)


def kept_controlnet(kind: str, network: Any, number: int) -> Path:
    """`guernika_controlnet`, converted once and kept.

    Args:
        network: always the same for a number.
    """

    def build(place: Path) -> None:
        place.mkdir()
        guernika_controlnet(kind, network, place / "ControlNet.mlpackage")

    return built(f"guernika-net-{kind}-{number}", build, __file__) / "ControlNet.mlpackage"


def chunk(folder: Path) -> None:
    """Cut the UNet in two: the residuals stay optional, and the halves state nothing."""
    (whole,) = folder.glob("*_unet.mlpackage")
    chunk_unet(whole)
    for n in (1, 2):
        _make_optional(whole.with_name(f"{whole.stem}_chunk{n}.mlpackage"))


def _text_encoders(write: _GuernikaWriter, kind: str, pipe: Any) -> None:
    ids = torch.full((1, TOKENS), 49407.0)
    ids[0, :3] = torch.tensor([49406.0, 320.0, 736.0])

    def plain(network: Any, ids: Tensor) -> tuple[Tensor, ...]:
        return network(ids.long(), return_dict=False)[:2]

    def xl(network: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
        out = network(ids.long(), output_hidden_states=True)
        return out.hidden_states[-2], out[0]

    names = ["text_encoder", "text_encoder_2"] if kind == "sdxl" else ["text_encoder"]
    for name in names:
        encoder = getattr(pipe, name)
        write(write.package(name), encoder, xl if kind == "sdxl" else plain, {"input_ids": ids},
              ("last_hidden_state", "pooled_outputs"), keep_float32=True)  # fmt: skip
        _describe(write.package(name), hidden_size=str(encoder.config.hidden_size))


def _added(given: list[Tensor]) -> dict[str, Any]:
    """XL's added conditioning, as diffusers takes it."""
    if not given:
        return {}
    time_ids, text_embeds = given
    return {"added_cond_kwargs": {"time_ids": time_ids, "text_embeds": text_embeds}}


def adapter_shapes(latent: tuple[int, int], batch: int) -> list[tuple[int, ...]]:
    """Of what a T2I-Adapter hands to the tiny UNet: one picture per level."""
    h, w = latent
    return [(batch, 32, h, w), (batch, 64, h // 2, w // 2)]


def _unet(write: _GuernikaWriter, kind: str, pipe: Any, latent: tuple[int, int]) -> None:
    examples = unet_examples(kind, latent, 2)
    plain = len(examples)
    shapes = residual_shapes(latent, 2)
    examples |= {n: torch.randn(s) for n, s in zip(RESIDUALS, shapes, strict=True)}
    examples |= {
        n: torch.randn(s) for n, s in zip(ADAPTERS, adapter_shapes(latent, 2), strict=True)
    }

    def call(unet: Any, *arrays: Tensor) -> Tensor:
        (sample, timestep, context, *added), more = arrays[:plain], arrays[plain:]
        residuals, adapted = more[: len(RESIDUALS)], more[len(RESIDUALS) :]
        return unet(
            sample,
            timestep,
            encoder_hidden_states=context,
            down_block_additional_residuals=residuals[:-1],
            mid_block_additional_residual=residuals[-1],
            down_intrablock_additional_residuals=list(adapted),
            return_dict=False,
            **_added(added),
        )[0]

    path = write.package("unet")
    write(path, _in_layout(pipe.unet, "original"), call, examples, ("noise_pred",))
    _describe(
        path,
        prediction_type=SHAPES[kind].prediction_type,
        hidden_size=str(SHAPES[kind].context),
    )
    _make_optional(path)


def guernika_controlnet(
    kind: str, network: Any, path: Path, write: _GuernikaWriter | None = None
) -> Path:
    """Write a diffusers ControlNet under their names; XL's takes the added conditioning too."""
    latent = SHAPES[kind].latent
    examples = unet_examples(kind, latent, 2)
    h, w = latent

    def call(net: Any, sample: Tensor, timestep: Tensor, context: Tensor, *rest: Tensor) -> Any:
        *added, condition = rest
        down, middle = net(
            sample,
            timestep,
            encoder_hidden_states=context,
            controlnet_cond=condition,
            return_dict=False,
            **_added(added),
        )
        return (*down, middle)

    write = write or _GuernikaWriter(path.parent, IDENTIFIER, "fp32", "macOS13")
    examples["controlnet_cond"] = torch.rand(2, 3, 8 * h, 8 * w)
    write(path, _in_layout(network, "original"), call, examples, RESIDUALS)
    _describe(path, method="canny")
    return path


def guernika_adapter(kind: str, adapter: Any, path: Path) -> Path:
    """Write a diffusers T2I-Adapter under their names."""
    h, w = SHAPES[kind].latent
    channels = adapter.config.in_channels
    write = _GuernikaWriter(path.parent, IDENTIFIER, "fp32", "macOS13")
    write(path, copy.deepcopy(adapter), lambda net, picture: tuple(net(picture)),
          {"input": torch.rand(1, channels, 8 * h, 8 * w)}, ADAPTERS)  # fmt: skip
    _describe(path, method="sketch", adapter_type="full_adapter")
    return path


def tiny_adapter(seed: int, channels: int = 3) -> Any:
    """A seeded diffusers T2I-Adapter that suits the tiny UNets."""
    from diffusers import T2IAdapter  # type: ignore[attr-defined]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = T2IAdapter(
            in_channels=channels, channels=[32, 64], num_res_blocks=1, downscale_factor=8
        )
    return made.eval()


def _describe(package: Path, **facts: str) -> None:
    spec, root = proto.read_package_spec(package)
    found = {
        "identifier": IDENTIFIER,
        "converter_version": "7.0.0",
        "attention_implementation": "ORIGINAL",
        "compute_unit": "CPU_AND_GPU",
        **facts,
    }
    spec.description.metadata.userDefined.update(found)
    spec.description.metadata.versionString = IDENTIFIER
    (root / "model.mlmodel").write_bytes(spec.SerializeToString())


def _make_optional(package: Path) -> None:
    spec, root = proto.read_package_spec(package)
    for feature in spec.description.input:
        if "res_sample" in feature.name:
            feature.type.isOptional = True
    (root / "model.mlmodel").write_bytes(spec.SerializeToString())


def guernika_resources(
    packages: Path, folder: Path, *, facts: dict[str, str] | None = None
) -> Path:
    """The packages compiled as Guernika ships them: vocabulary inside the text encoders.

    Args:
        facts: a `guernika.json` for the UNet, as older versions wrote instead of metadata.
    """
    for package in packages.glob("*.mlpackage"):
        part = package.stem.removeprefix(f"{IDENTIFIER.replace('/', '_')}_")
        place = compile_package(package, folder / f"{RESOURCES[part]}.mlmodelc")
        if part.startswith("text_"):
            for name in ("vocab.json", "merges.txt"):
                shutil.copyfile(TOKENIZER / name, place / name)
            (place / "added_vocab.json").write_text("{}")
        if facts is not None:
            data = json.loads((place / "metadata.json").read_text())
            data[0]["userDefinedMetadata"] = {}
            (place / "metadata.json").write_text(json.dumps(data))
        if facts is not None and part == "unet":
            (place / "guernika.json").write_text(json.dumps(facts))
    return folder
