"""ControlNets and T2I-Adapters to convert along with a model: look at one, see that it fits, take
its network out.

A diffusers folder, or a single `.safetensors` file in diffusers' or the original layout.
`look_controlnet` and `check_controlnet` need no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui.convert.checkpoint import checkpoint as base
from gui.convert.checkpoint import original_layout as original
from gui.convert.checkpoint import unsupported, weights
from gui.convert.checkpoint.diffusers_folder import read_json, read_part
from gui.convert.checkpoint.reading import read_checkpoint
from gui.convert.checkpoint.single_file import renamed
from gui.convert.checkpoint.weights import Part, Stored, stored
from gui.convert.types import SourceInfo
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.library.lora_files.families import family_of_names
from gui.library.safetensors_header import read_header

if TYPE_CHECKING:
    from torch import nn

_TIME_WIDTH = 256
"""Sinusoidal width of each of XL's six numbers of added conditioning."""

ADAPTER = "T2IAdapter"
"""diffusers' class of T2I-Adapters."""
_XL_ADAPTER = "full_adapter_xl"
_ADAPTER_CHANNELS = (320, 640, 1280, 1280)
"""What diffusers takes one to have that does not say."""

_UNION = ("task_embedding", "control_type_embedding", "control_add_embedding.")
"""Beginnings of names that only ControlNets for several kinds of pictures have."""

_SHARED = {
    "block_out_channels": None,
    "layers_per_block": 2,
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": None,
}
"""Settings that a ControlNet has in common with its UNet, and diffusers' defaults."""


@dataclass(frozen=True)
class ControlNetSource:
    name: str
    """For files and for people: the folder's or file's name."""
    family: Family
    """Of a T2I-Adapter, which reads no text, UNKNOWN unless it is XL's."""
    part: Part

    @property
    def parameters(self) -> int:
        return self.part.parameters

    def network(self) -> nn.Module:
        """diffusers' ControlNetModel or T2IAdapter, float32, evaluation mode.

        Raises:
            SfumatoError: BAD_MODEL, UNSUPPORTED or MEMORY.
        """
        return weights.build(self.part)


def look_controlnet(path: Path | str) -> ControlNetSource:
    """Read headers and configurations.

    Raises:
        SfumatoError: one sentence on why it cannot be converted.
    """
    path = Path(path)
    try:
        return _looked_at(path)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The configuration of the ControlNet “{path.name}” makes no sense; download it again.",
            f"{path}: {error!r}",
        ) from error


def _looked_at(path: Path) -> ControlNetSource:
    part = _from_folder(path) if path.is_dir() else _from_file(path)
    config = part.config
    name = path.stem if path.is_file() else path.name
    if part.network == ADAPTER:
        xl = config.get("adapter_type") == _XL_ADAPTER
        return ControlNetSource(name, Family.SDXL if xl else Family.UNKNOWN, part)
    family = base.family_of_unet(
        int(config.get("cross_attention_dim", 1280)),
        added=config.get("addition_embed_type") == "text_time",
        linear=bool(config.get("use_linear_projection", False)),
        two_encoders=True,
    )
    return ControlNetSource(name, family, part)


def open_controlnet(path: Path | str) -> nn.Module:
    """The network of a ControlNet: float32, evaluation mode.

    Raises:
        SfumatoError: as `look_controlnet` and `ControlNetSource.network`.
    """
    return look_controlnet(path).network()


def check_controlnet(path: Path | str, info: SourceInfo) -> ControlNetSource:
    """See that a ControlNet suits a source; reads headers only.

    Raises:
        SfumatoError: naming both families where they differ.
    """
    return check_fit(path, info, read_checkpoint(info.path).parts["unet"].config)


def check_fit(path: Path | str, info: SourceInfo, unet: Mapping[str, Any]) -> ControlNetSource:
    """`check_controlnet`, for a source whose UNet's configuration is at hand."""
    found = look_controlnet(path)
    if found.part.network == ADAPTER:
        return _fitting_adapter(found, info, unet)
    if found.family is not info.family:
        ours, theirs = base.family_name(info.family), base.family_name(found.family)
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{found.name}” is a ControlNet for {theirs}, but the model is {ours}; choose one "
            f"made for {ours}.",
            str(path),
        )
    for key, default in _SHARED.items():
        if found.part.config.get(key, default) != unet.get(key, default):
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"The ControlNet “{found.name}” is built for another UNet; choose one made for "
                "this model.",
                f"{key}: {found.part.config.get(key)}, the UNet has {unet.get(key)}",
            )
    if Path(path).is_file() and "addition_time_embed_dim" in unet:
        # one thing that a file does not tell
        width = {"addition_time_embed_dim": unet["addition_time_embed_dim"]}
        return replace(found, part=replace(found.part, config={**found.part.config, **width}))
    return found


def _fitting_adapter(
    found: ControlNetSource, info: SourceInfo, unet: Mapping[str, Any]
) -> ControlNetSource:
    """A T2I-Adapter has the UNet's widths; its features are added where they are."""
    widths = list(unet.get("block_out_channels") or ())
    xl = info.family is Family.SDXL
    own = list(found.part.config.get("channels") or ())
    if (found.family is Family.SDXL) != xl or own[: len(widths)] != widths:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The T2I-Adapter “{found.name}” is built for another UNet; choose one made for "
            f"{base.family_name(info.family)}.",
            f"channels {own}, the UNet has {widths}; {found.part.config.get('adapter_type')}",
        )
    return found


# --- reading --------------------------------------------------------------------------------------


def _from_folder(folder: Path) -> Part:
    if not (folder / "config.json").is_file():
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{folder.name}” holds no ControlNet; choose its folder, or its “.safetensors” file.",
            str(folder),
        )
    class_name = str(read_json(folder / "config.json").get("_class_name", ""))
    if class_name == ADAPTER:
        part = read_part("controlnet", class_name, folder)
        return replace(part, config={"channels": list(_ADAPTER_CHANNELS), **part.config})
    if class_name != "ControlNetModel":
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"“{folder.name}” is not a ControlNet that can be converted"
            f"{f' but of the kind “{class_name}”' if class_name else ''}; choose another.",
            str(folder),
        )
    part = read_part("controlnet", class_name, folder)
    return replace(part, config={"layers_per_block": 2, **part.config})


def _from_file(path: Path) -> Part:
    tensors = stored(read_header(path))
    tensors = {name.removeprefix("control_model."): t for name, t in tensors.items()}
    if what := _other_kind(tensors):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED, f"“{path.name}” is {what}; choose another.", str(path)
        )
    if "controlnet_cond_embedding.conv_in.weight" in tensors:
        return _diffusers_file(tensors, path)
    shape = original.unet_shape(tensors, path.name)
    names = original.unet_names(shape, control=True)
    config = _config(tensors, shape, path)
    return Part("controlnet", "ControlNetModel", config, renamed(tensors, names), str(path))


def _other_kind(tensors: Mapping[str, Stored]) -> str:
    """What a file is that is no ControlNet as diffusers' ControlNetModel; else empty."""
    if any("lora" in name for name in tensors):
        return "a Control-LoRA, which needs its model's weights and cannot be converted"
    if any(name.startswith(_UNION) for name in tensors):
        return "a ControlNet for many kinds of pictures (Union), which cannot be converted"
    if family := family_of_names(tensors):
        return f"for {family}, which cannot be converted"
    hints = ("controlnet_cond_embedding.conv_in.weight", "input_hint_block.0.weight")
    return "" if any(name in tensors for name in hints) else "not a ControlNet"


def _diffusers_file(tensors: Mapping[str, Stored], path: Path) -> Part:
    """A file in diffusers' layout states no configuration; its names in the original layout do."""
    levels = {n.split(".")[1] for n in tensors if n.startswith("down_blocks.")}
    layers = {n.split(".")[3] for n in tensors if n.startswith("down_blocks.0.resnets.")}
    if not levels or not layers:
        raise _incomplete(path, "no down_blocks")
    # every level may have attention: names that none bears do no harm
    guess = original.UNetShape(
        4, 4, (0,) * len(levels), len(layers), (1,) * len(levels), 1, 0, False
    )
    names = original.unet_names(guess, control=True)
    old = {names.to_original(name) or name: place for name, place in tensors.items()}
    shape = original.unet_shape(old, path.name)
    return Part("controlnet", "ControlNetModel", _config(old, shape, path), tensors, str(path))


def _config(tensors: Mapping[str, Stored], shape: original.UNetShape, path: Path) -> dict[str, Any]:
    unsupported.refuse_channels(shape.in_channels, str(path), shown=False)
    xl = bool(shape.added)
    family = base.family_of_unet(shape.context, added=xl, linear=shape.linear, two_encoders=xl)
    sd1 = family is Family.SD1
    pooled = max(0, shape.added - 6 * _TIME_WIDTH)
    config = original.unet_config(
        shape, linear_heads=not sd1, time_ids=6 if xl else 0, pooled=pooled
    )
    for key in ("out_channels", "up_block_types"):
        del config[key]
    try:
        last = tensors["input_hint_block.14.weight"].shape[1]
        hints = [tensors[f"input_hint_block.{2 * n}.weight"].shape for n in range(7)]
    except (KeyError, IndexError) as error:
        raise _incomplete(path, repr(error)) from error
    config["conditioning_channels"] = hints[0][1]
    # one convolution keeps the width, the next changes it
    config["conditioning_embedding_out_channels"] = [hints[n][0] for n in (0, 2, 4)] + [last]
    return config


def _incomplete(path: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The ControlNet “{path.name}” lacks some of its weights; download it again.",
        f"{path}: {detail}",
    )
