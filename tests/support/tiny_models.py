"""Tiny seeded Stable Diffusion models, as diffusers pipelines and as Core ML packages.

The packages carry Apple's file names and Apple's tensor contract (names, shapes, dtypes, the
[B, C, 1, 77] context), so that everything which reads them is tested on what it will meet.
"""

from __future__ import annotations

import copy
import logging
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gui.convert.package.watch import verified_once
from gui.coreml import sidecar as sidecars
from gui.coreml.sidecar import Sidecar
from tests.support.apple_layout import use_apple_layout
from tests.support.built import built
from tests.support.tiny_networks import (
    POOLED_WIDTH,
    RESIDUALS,
    SHAPES,
    TOKENS,
    tiny_controlnet,
    tiny_pipeline,
)


@dataclass
class TinyModel:
    """A folder of packages and the diffusers pipeline with the same float32 weights."""

    folder: Path
    pipe: Any
    kind: str
    attention: str
    controlnet: Any = None
    """The diffusers ControlNet, where one was asked for."""


def tiny_model(
    kind: str,
    folder: Path,
    *,
    attention: str = "original",
    precision: str = "fp16",
    unet_batch: int = 2,
    encoder: bool = True,
    safety: bool = False,
    chunked: bool = False,
    sidecar: bool = True,
    controlnet: bool = False,
    latent: tuple[int, int] | None = None,
    target: str = "macOS13",
) -> TinyModel:
    """Build, convert and write one tiny model.

    Args:
        kind: ``sd1`` (epsilon), ``sd2v`` (v-prediction) or ``sdxl`` (two text encoders).
        folder: receives the packages; made if missing.
        attention: Apple's layout (``original``, ``split_einsum``, ``split_einsum_v2``) or ``none``
            for diffusers' own attention.
        precision: ``fp16`` as Apple ships, or ``fp32`` for tight comparisons.
        unet_batch: 2 for classifier-free guidance in one call, 1 for two calls.
        encoder: also write the VAE encoder.
        safety: also write the safety checker.
        chunked: write the UNet as two chunks instead of whole.
        sidecar: write `sfumato.json`, without which a tiny model's family cannot be told.
        controlnet: also write a ControlNet, and the control-ready UNet beside the plain one.
        latent: latent height and width; default: the kind's own.  `split_einsum_v2` slices queries
            only from 512 positions up, so it defaults to 32 × 32.
        target: oldest macOS, e.g. ``macOS13``.
    """
    if safety and kind == "sdxl":
        raise ValueError("SDXL has no safety checker")
    if latent is None and attention == "split_einsum_v2":
        latent = (32, 32)
    size = latent or SHAPES[kind].latent
    pipe = tiny_pipeline(kind, safety=safety, latent=size)
    alike = f"{kind}-{precision}-{target}-{size[0]}x{size[1]}"
    write = _Writer(folder, f"tiny_{kind}", precision, target, alike)
    folder.mkdir(parents=True, exist_ok=True)
    _write_text_encoders(write, kind, pipe)
    _write_vae(write, pipe, size, encoder)
    if safety:
        _write_safety_checker(write, pipe, size)
    _write_unet(write, kind, pipe, size, attention, unet_batch, chunked)
    control = tiny_controlnet(kind, pipe) if controlnet else None
    if controlnet:
        _write_controlnet(write, kind, pipe, control, size, attention, unet_batch)
    if sidecar:
        sidecars.write(folder, tiny_sidecar(kind))
    return TinyModel(folder, pipe, kind, attention, control)


def tiny_sidecar(kind: str) -> Sidecar:
    """The `sfumato.json` of a tiny model."""
    shape = SHAPES[kind]
    return Sidecar(
        family=shape.family,
        prediction_type=shape.prediction_type,
        scaling_factor=shape.scaling_factor,
        scheduler_config=dict(shape.scheduler),
        default_scheduler={"sd1": "PNDM", "sd2v": "DDIM", "sdxl": "Euler"}[kind],
        default_steps=10,
        default_guidance_scale=5.0,
        pad_token_ids=shape.pad_token_ids,
        force_zeros_for_empty_prompt=kind == "sdxl",
        name=f"Tiny {kind}",
    )


# The Core ML side: wrappers with Apple's inputs and outputs


class _Wrapper(nn.Module):
    """A network behind a plain positional signature."""

    def __init__(self, network: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network
        self.call = call

    def forward(self, *arrays: Tensor) -> Any:
        return self.call(self.network, *arrays)


class _Writer:
    """Traces a module, converts it, saves it under Apple's name.

    Args:
        alike: names all that models have in common whose packages are the same; each is then
            converted once for all of them.  Empty: they are converted here and now.
    """

    def __init__(
        self, folder: Path, version: str, precision: str, target: str, alike: str = ""
    ) -> None:
        self.folder = folder
        self.version = version
        self.precision = precision
        self.target = target
        self.alike = alike

    def package(self, suffix: str) -> Path:
        return self.folder / f"Stable_Diffusion_version_{self.version}_{suffix}.mlpackage"

    def shape(self, _name: str, example: Tensor) -> Any:
        """What is stated of an input's shape."""
        return example.shape

    def __call__(
        self,
        path: Path,
        network: nn.Module,
        call: Callable[..., Any],
        examples: Mapping[str, Tensor],
        outputs: Sequence[str],
        keep_float32: bool = False,
        form: str = "",
    ) -> None:
        """Write a package.

        Args:
            keep_float32: declare float32 inputs even in an fp16 package (token ids).
            form: what else two packages of this name may differ in.
        """

        def convert(place: Path) -> None:
            self._convert(place, network, call, examples, outputs, keep_float32)

        if not self.alike:
            convert(path)
            return
        name = f"{self.alike}-{form}-{path.name}"
        shutil.copytree(built(name, convert, __file__), path)

    def _convert(
        self,
        path: Path,
        network: nn.Module,
        call: Callable[..., Any],
        examples: Mapping[str, Tensor],
        outputs: Sequence[str],
        keep_float32: bool,
    ) -> None:
        import coremltools as ct

        wrapper = _Wrapper(network, call).eval()
        with warnings.catch_warnings(), torch.no_grad(), verified_once():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(wrapper, tuple(examples.values()), check_trace=False)
            half = self.precision == "fp16" and not keep_float32
            inputs = [
                ct.TensorType(name, self.shape(name, t), dtype=np.float16 if half else np.float32)
                for name, t in examples.items()
            ]
            logging.getLogger("coremltools").setLevel(logging.ERROR)
            model = ct.convert(
                traced,
                convert_to="mlprogram",
                inputs=inputs,
                outputs=[ct.TensorType(name, dtype=np.float32) for name in outputs],
                minimum_deployment_target=getattr(ct.target, self.target),
                compute_precision=(
                    ct.precision.FLOAT16 if self.precision == "fp16" else ct.precision.FLOAT32
                ),
                skip_model_load=True,
            )
        model.author = "Sfumato tests"  # type: ignore[union-attr]
        model.version = self.version  # type: ignore[union-attr]
        model.save(str(path))  # type: ignore[union-attr]


def _write_text_encoders(write: _Writer, kind: str, pipe: Any) -> None:
    ids = torch.full((1, TOKENS), 49407.0)
    ids[0, :3] = torch.tensor([49406.0, 320.0, 736.0])

    def plain(network: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
        out = network(ids.long(), return_dict=True)
        return out.last_hidden_state, out.pooler_output

    def xl(network: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
        out = network(ids.long(), output_hidden_states=True, return_dict=True)
        # diffusers takes the state before the last layer, and pools the second encoder only
        return out.hidden_states[-2], out[0]

    call, name = (xl, "hidden_embeds") if kind == "sdxl" else (plain, "last_hidden_state")
    encoders = [("text_encoder", pipe.text_encoder)]
    if kind == "sdxl":
        encoders.append(("text_encoder_2", pipe.text_encoder_2))
    for suffix, encoder in encoders:
        write(
            write.package(suffix),
            encoder,
            call,
            {"input_ids": ids},
            (name, "pooled_outputs"),
            keep_float32=True,
        )


def _write_vae(write: _Writer, pipe: Any, latent: tuple[int, int], encoder: bool) -> None:
    h, w = latent
    write(
        write.package("vae_decoder"),
        copy.deepcopy(pipe.vae),
        lambda vae, z: vae.decoder(vae.post_quant_conv(z)),
        {"z": torch.randn(1, 4, h, w)},
        ("image",),
    )
    if encoder:
        write(
            write.package("vae_encoder"),
            copy.deepcopy(pipe.vae),
            lambda vae, x: vae.quant_conv(vae.encoder(x)),
            {"x": torch.rand(1, 3, 8 * h, 8 * w)},
            ("latent",),
        )


def _write_safety_checker(write: _Writer, pipe: Any, latent: tuple[int, int]) -> None:
    def call(
        checker: Any, clip_input: Tensor, images: Tensor, adjustment: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        embeds = checker.visual_projection(checker.vision_model(clip_input)[1])
        embeds = nn.functional.normalize(embeds)

        def scores(concepts: Tensor, limits: Tensor, extra: Tensor | float) -> Tensor:
            return embeds @ nn.functional.normalize(concepts).t() - limits + extra

        # As in the reference checker: a special hit makes the other concepts 0.01 stricter.
        special_limits = checker.special_care_embeds_weights - adjustment
        special = scores(checker.special_care_embeds, special_limits, 0.0)
        stricter = (special > 0).float().amax(dim=1, keepdim=True) * 0.01
        concept = scores(checker.concept_embeds, checker.concept_embeds_weights, stricter)
        found = (concept > 0).float().amax(dim=1)[:, None, None, None]
        # Blanked by a mask, as Apple's converter has it: `non_zero` and `scatter_nd` in Core ML.
        blank, _ = torch.broadcast_tensors(found > 0, images)
        images[blank] = 0.0
        return images, found, concept

    h, w = latent
    write(
        write.package("safety_checker"),
        copy.deepcopy(pipe.safety_checker),
        call,
        {
            "clip_input": torch.rand(1, 3, 224, 224),
            "images": torch.rand(1, 8 * h, 8 * w, 3),
            "adjustment": torch.zeros(1),
        },
        ("filtered_images", "has_nsfw_concepts", "concept_scores"),
    )


def unet_examples(kind: str, latent: tuple[int, int], batch: int) -> dict[str, Tensor]:
    """Example inputs of a tiny UNet, by Apple's names."""
    examples = {
        "sample": torch.randn(batch, 4, *latent),
        "timestep": torch.full((batch,), 500.0),
        "encoder_hidden_states": torch.randn(batch, SHAPES[kind].context, 1, TOKENS),
    }
    if kind == "sdxl":
        examples["time_ids"] = torch.full((batch, 6), 64.0)
        examples["text_embeds"] = torch.randn(batch, POOLED_WIDTH)
    return examples


def residual_shapes(latent: tuple[int, int], batch: int) -> list[tuple[int, ...]]:
    """Shapes of `additional_residual_N` for the tiny UNet: conv_in, two per level, middle."""
    h, w = latent
    big, small = (h, w), ((h + 1) // 2, (w + 1) // 2)
    return [
        (batch, 32, *big),
        (batch, 32, *big),
        (batch, 32, *small),
        (batch, 64, *small),
        (batch, 64, *small),
    ]


def _write_unet(
    write: _Writer,
    kind: str,
    pipe: Any,
    latent: tuple[int, int],
    attention: str,
    batch: int,
    chunked: bool,
) -> None:
    path = write.package("unet")
    network = _in_layout(pipe.unet, attention)
    examples = unet_examples(kind, latent, batch)
    form = f"{attention}-{batch}"
    write(path, network, _unet_call(kind, attention), examples, ("noise_pred",), form=form)
    if chunked:
        chunk_unet(path)


def chunk_unet(path: Path) -> None:
    """Split a UNet package in two, named as Apple names chunks, and remove the whole one."""
    import coremltools as ct

    scratch = path.with_suffix(".halves")
    scratch.mkdir()
    with verified_once():
        ct.models.utils.bisect_model(str(path), str(scratch), check_output_correctness=False)
    for n in (1, 2):
        (half,) = scratch.glob(f"*chunk{n}.mlpackage")
        half.rename(path.with_name(f"{path.stem}_chunk{n}.mlpackage"))
    shutil.rmtree(scratch)
    shutil.rmtree(path)


def _in_layout(network: Any, attention: str) -> Any:
    network = copy.deepcopy(network)
    if attention != "none":
        use_apple_layout(network, attention)
    return network


def _unet_call(kind: str, attention: str) -> Callable[..., Tensor]:
    def call(unet: Any, sample: Tensor, timestep: Tensor, context: Tensor, *rest: Tensor) -> Tensor:
        if attention == "none":
            context = context.squeeze(2).transpose(1, 2)
        extra: dict[str, Any] = {}
        if kind == "sdxl":
            time_ids, text_embeds, *rest = rest  # type: ignore[assignment]
            extra["added_cond_kwargs"] = {"time_ids": time_ids, "text_embeds": text_embeds}
        if rest:
            extra["down_block_additional_residuals"] = tuple(rest[:-1])
            extra["mid_block_additional_residual"] = rest[-1]
        return unet(sample, timestep, encoder_hidden_states=context, return_dict=False, **extra)[0]

    return call


def _write_controlnet(
    write: _Writer,
    kind: str,
    pipe: Any,
    control: Any,
    latent: tuple[int, int],
    attention: str,
    batch: int,
) -> None:
    examples = unet_examples(kind, latent, batch)
    names = [f"additional_residual_{n}" for n in range(RESIDUALS[kind])]
    with_residuals = {
        **examples,
        **{
            name: torch.randn(shape)
            for name, shape in zip(names, residual_shapes(latent, batch), strict=True)
        },
    }
    write(
        write.package("control-unet"),
        _in_layout(pipe.unet, attention),
        _unet_call(kind, attention),
        with_residuals,
        ("noise_pred",),
        form=f"{attention}-{batch}",
    )

    def call(
        network: Any, sample: Tensor, timestep: Tensor, context: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        *extra, condition = rest
        added = {"time_ids": extra[0], "text_embeds": extra[1]} if extra else None
        if attention == "none":
            context = context.squeeze(2).transpose(1, 2)
        down, middle = network(
            sample,
            timestep,
            encoder_hidden_states=context,
            controlnet_cond=condition,
            added_cond_kwargs=added,
            return_dict=False,
        )
        return (*down, middle)

    h, w = latent
    write(
        write.folder / "ControlNet_tiny_edges.mlpackage",
        _in_layout(control, attention),
        call,
        {**examples, "controlnet_cond": torch.rand(batch, 3, 8 * h, 8 * w)},
        names,
        form=f"{attention}-{batch}",
    )
