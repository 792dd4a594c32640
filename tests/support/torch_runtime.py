"""A runtime over diffusers' own modules, behind Apple's tensor contract.

It stands in for Core ML where a test is about the pipeline alone: float32, exact, and nothing to
convert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gui.coreml.model import (
    Attention,
    ComponentInfo,
    ComponentKind,
    FileFormat,
    ModelInfo,
    TensorSpec,
    UNetKind,
)
from gui.pipeline.pipeline import Pipeline
from gui.request import ComputeUnit
from tests.support.tiny_models import residual_shapes, tiny_sidecar
from tests.support.tiny_networks import POOLED_WIDTH, RESIDUALS, SHAPES, TOKENS

_KINDS = {
    4: UNetKind.STANDARD, 5: UNetKind.DEPTH, 8: UNetKind.INSTRUCT, 9: UNetKind.INPAINT
}  # fmt: skip
Network = Callable[[dict[str, Tensor]], dict[str, Tensor]]


class TorchModel:
    """One network.  Checks names and shapes as a real runtime does, and counts its calls."""

    def __init__(self, component: ComponentInfo, network: Network) -> None:
        self.inputs: Mapping[str, TensorSpec] = {t.name: t for t in component.inputs}
        self.outputs: Mapping[str, TensorSpec] = {t.name: t for t in component.outputs}
        self.calls = 0
        self.last: dict[str, np.ndarray] = {}
        self._network = network

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert set(arrays) == set(self.inputs)
        for name, array in arrays.items():
            wanted = self.inputs[name].shape
            assert len(array.shape) == len(wanted), (name, array.shape)
            for has, wants in zip(array.shape, wanted, strict=True):
                assert wants in (None, has), (name, array.shape)
        self.calls += 1
        self.last = {name: np.array(array) for name, array in arrays.items()}
        tensors = {name: torch.from_numpy(np.array(a, np.float32)) for name, a in arrays.items()}
        with torch.no_grad():
            results = self._network(tensors)
        return {name: tensor.float().numpy() for name, tensor in results.items()}

    def close(self) -> None:
        self._network = _closed


def _closed(_: dict[str, Tensor]) -> dict[str, Tensor]:
    raise AssertionError("called after close")


class TorchRuntime:
    """Loads components of a diffusers pipeline."""

    name = "torch stand-in"

    def __init__(self, networks: Mapping[ComponentKind | str, Network]) -> None:
        self._networks = networks
        self.loaded: dict[ComponentKind, TorchModel] = {}

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> TorchModel:
        known = component.name if component.kind is ComponentKind.CONTROLNET else component.kind
        model = TorchModel(component, self._networks[known])
        self.loaded[component.kind] = model
        return model


def torch_pipeline(
    kind: str,
    pipe: Any,
    *,
    unet_batch: int = 2,
    encoder: bool = True,
    safety: bool = False,
    flat_time_ids: bool = False,
    controls: Mapping[str, Any] | None = None,
    chunks: int | None = 1,
    clip_skip: int = 1,
    refiner: Any = None,
    **sidecar: Any,
) -> tuple[Pipeline, TorchRuntime]:
    """Our pipeline over the networks of the diffusers pipeline `pipe`.

    Args:
        kind, pipe: as for `tiny_pipeline`.
        unet_batch: 2 or 1.
        encoder, safety: whether the model has these components.
        controls: diffusers' ControlNets by their names; the model has a UNet ready for them too.
        chunks: of text that the UNet reads; None: any number.
        clip_skip: up to which layer from the end the text encoders give out.
        refiner: diffusers' UNet of a refiner that lies beside the model.
        flat_time_ids: SDXL's `time_ids` as one row of 12, as older conversions have it.
        sidecar: fields of the sidecar to change.
    """
    import dataclasses

    height, width = pipe_latent_size(kind)
    networks: dict[ComponentKind | str, Network] = {}
    components: dict[ComponentKind, ComponentInfo] = {}

    def add(
        kind: ComponentKind,
        network: Network,
        inputs: dict[str, tuple[int | None, ...]],
        outputs: tuple[str, ...],
    ) -> None:
        networks[kind] = network
        components[kind] = ComponentInfo(
            kind=kind,
            files=(Path(f"{kind.value}.mlpackage"),),
            format=FileFormat.PACKAGE,
            inputs=tuple(TensorSpec(name, "fp32", shape) for name, shape in inputs.items()),
            outputs=tuple(TensorSpec(name, "fp32", ()) for name in outputs),
        )

    _add_text(add, kind, pipe, clip_skip)
    _add_unet(add, kind, pipe, unet_batch, (height, width), flat_time_ids, chunks=chunks)
    _add_vae(add, pipe, (height, width), encoder)
    control_infos: list[ComponentInfo] = []
    if controls:
        _add_unet(add, kind, pipe, unet_batch, (height, width), flat_time_ids, residuals=True)
    for name, control in (controls or {}).items():
        networks[name], info = _control(components[ComponentKind.CONTROL_UNET], name, control, kind)
        control_infos.append(info)
    if refiner is not None:
        _add_refiner(add, refiner, unet_batch, (height, width))
    if safety:
        _add_safety(add, pipe, (8 * height, 8 * width))
    model = ModelInfo(
        folder=Path("no-such-folder"),
        name=kind,
        components=components,
        controlnets=tuple(control_infos),
        family=SHAPES[kind].family,
        attention=Attention.ORIGINAL,
        compression="",
        latent_channels=4,
        latent_height=height,
        latent_width=width,
        image_height=8 * height,
        image_width=8 * width,
        unet_batch=unet_batch,
        context_channels=SHAPES[kind].context,
        minimum_macos="13",
        size_bytes=0,
        unet_kind=_KINDS[pipe.unet.config.in_channels],
    )
    runtime = TorchRuntime(networks)
    described = dataclasses.replace(tiny_sidecar(kind), **sidecar)
    pipeline = Pipeline(model, described, runtime, ComputeUnit.CPU_ONLY, model_hash="0" * 10)
    return pipeline, runtime


def pipe_latent_size(kind: str) -> tuple[int, int]:
    return SHAPES[kind].latent


def _add_text(add: Callable[..., None], kind: str, pipe: Any, clip_skip: int) -> None:
    skips = [f"clip_skip_{layers}" for layers in range(2, clip_skip + 1)]

    def earlier(out: Any, norm: Any) -> dict[str, Tensor]:
        return {name: norm(out.hidden_states[-2 - n]) for n, name in enumerate(skips)}

    def plain(encoder: Any) -> Network:
        def run(x: dict[str, Tensor]) -> dict[str, Tensor]:
            out = encoder(x["input_ids"].long(), output_hidden_states=True)
            return {
                "last_hidden_state": out.last_hidden_state,
                "pooled_outputs": out.pooler_output,
                **earlier(out, encoder.final_layer_norm),
            }

        return run

    def xl(encoder: Any) -> Network:
        def run(x: dict[str, Tensor]) -> dict[str, Tensor]:
            out = encoder(x["input_ids"].long(), output_hidden_states=True)
            pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
            told = {"hidden_embeds": out.hidden_states[-2], "pooled_outputs": pooled}
            return {**told, **earlier(out, lambda hidden: hidden)}

        return run

    ids = {"input_ids": (1, TOKENS)}
    if kind == "sdxl":
        outputs = ("hidden_embeds", "pooled_outputs", *skips)
        add(ComponentKind.TEXT_ENCODER, xl(pipe.text_encoder), ids, outputs)
        add(ComponentKind.TEXT_ENCODER_2, xl(pipe.text_encoder_2), ids, outputs)
    else:
        outputs = ("last_hidden_state", "pooled_outputs", *skips)
        add(ComponentKind.TEXT_ENCODER, plain(pipe.text_encoder), ids, outputs)


def _add_unet(
    add: Callable[..., None],
    kind: str,
    pipe: Any,
    batch: int,
    latent: tuple[int, int],
    flat_time_ids: bool,
    residuals: bool = False,
    chunks: int | None = 1,
) -> None:
    def run(x: dict[str, Tensor]) -> dict[str, Tensor]:
        context = x["encoder_hidden_states"].squeeze(2).transpose(1, 2)
        extra: dict[str, Any] = {}
        if kind == "sdxl":
            extra["added_cond_kwargs"] = {
                "time_ids": x["time_ids"].reshape(batch, 6),
                "text_embeds": x["text_embeds"],
            }
        if residuals:
            said = [x[f"additional_residual_{n}"] for n in range(RESIDUALS[kind])]
            extra["down_block_additional_residuals"] = tuple(said[:-1])
            extra["mid_block_additional_residual"] = said[-1]
        prediction = pipe.unet(
            x["sample"], x["timestep"], encoder_hidden_states=context, return_dict=False, **extra
        )
        return {"noise_pred": prediction[0]}

    tokens = None if chunks is None else chunks * TOKENS
    inputs: dict[str, tuple[int | None, ...]] = {
        "sample": (batch, pipe.unet.config.in_channels, *latent),
        "timestep": (batch,),
        "encoder_hidden_states": (batch, SHAPES[kind].context, 1, tokens),
    }
    if kind == "sdxl":
        inputs["time_ids"] = (6 * batch,) if flat_time_ids else (batch, 6)
        inputs["text_embeds"] = (batch, POOLED_WIDTH)
    if residuals:
        for number, shape in enumerate(residual_shapes(latent, batch)):
            inputs[f"additional_residual_{number}"] = shape
    sort = ComponentKind.CONTROL_UNET if residuals else ComponentKind.UNET
    add(sort, run, inputs, ("noise_pred",))


def _add_refiner(
    add: Callable[..., None], refiner: Any, batch: int, latent: tuple[int, int]
) -> None:
    def run(x: dict[str, Tensor]) -> dict[str, Tensor]:
        added = {"time_ids": x["time_ids"], "text_embeds": x["text_embeds"]}
        context = x["encoder_hidden_states"].squeeze(2).transpose(1, 2)
        prediction = refiner(
            x["sample"], x["timestep"], encoder_hidden_states=context, added_cond_kwargs=added,
            return_dict=False,
        )  # fmt: skip
        return {"noise_pred": prediction[0]}

    inputs = {
        "sample": (batch, 4, *latent),
        "timestep": (batch,),
        "encoder_hidden_states": (batch, refiner.config.cross_attention_dim, 1, TOKENS),
        "time_ids": (batch, 5),
        "text_embeds": (batch, POOLED_WIDTH),
    }
    add(ComponentKind.REFINER, run, inputs, ("noise_pred",))


def _control(
    unet: ComponentInfo, name: str, control: Any, kind: str
) -> tuple[Network, ComponentInfo]:
    """A ControlNet as the pipeline sees it; it takes two rows, as published ones do."""
    batch = 2

    def run(x: dict[str, Tensor]) -> dict[str, Tensor]:
        context = x["encoder_hidden_states"].squeeze(2).transpose(1, 2)
        added: dict[str, Any] = {}
        if kind == "sdxl":
            added["added_cond_kwargs"] = {
                "time_ids": x["time_ids"].reshape(batch, 6), "text_embeds": x["text_embeds"]
            }  # fmt: skip
        down, middle = control(
            x["sample"], x["timestep"], encoder_hidden_states=context,
            controlnet_cond=x["controlnet_cond"], return_dict=False, **added,
        )  # fmt: skip
        return {f"additional_residual_{n}": t for n, t in enumerate((*down, middle))}

    own = [t for t in unet.inputs if not t.name.startswith("additional_residual_")]
    assert own[0].name == "sample"
    height, width = (8 * (n or 0) for n in own[0].shape[2:])
    inputs = [TensorSpec(t.name, t.dtype, (batch, *t.shape[1:])) for t in own]
    inputs.append(TensorSpec("controlnet_cond", "fp32", (batch, 3, height, width)))
    outputs = [
        TensorSpec(t.name, "fp32", ()) for t in unet.inputs if t.name.startswith("additional_")
    ]
    info = ComponentInfo(
        kind=ComponentKind.CONTROLNET,
        files=(Path(f"ControlNet_{name}.mlpackage"),),
        format=FileFormat.PACKAGE,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        name=name,
    )
    return run, info


def _add_vae(add: Callable[..., None], pipe: Any, latent: tuple[int, int], encoder: bool) -> None:
    h, w = latent
    add(
        ComponentKind.VAE_DECODER,
        lambda x: {"image": pipe.vae.decode(x["z"]).sample},
        {"z": (1, 4, h, w)},
        ("image",),
    )
    if encoder:
        add(
            ComponentKind.VAE_ENCODER,
            lambda x: {"latent": pipe.vae.encode(x["x"]).latent_dist.parameters},
            {"x": (1, 3, 8 * h, 8 * w)},
            ("latent",),
        )


def _add_safety(add: Callable[..., None], pipe: Any, size: tuple[int, int]) -> None:
    def run(x: dict[str, Tensor]) -> dict[str, Tensor]:
        blank = np.zeros((1, *size, 3), np.float32)
        _, found = pipe.safety_checker(clip_input=x["clip_input"], images=blank)
        return {"has_nsfw_concepts": torch.tensor(found).float().reshape(1, 1, 1, 1)}

    add(
        ComponentKind.SAFETY_CHECKER,
        run,
        {"clip_input": (1, 3, 224, 224), "images": (1, *size, 3), "adjustment": (1,)},
        ("has_nsfw_concepts",),
    )
