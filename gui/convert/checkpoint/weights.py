"""One network of a source: its configuration, and where each of its weights lies.

`build` makes the network as a float32 module whose weights are read one by one from memory-mapped
files, straight to where the network wants them: no second copy of a checkpoint is ever in memory.
torch, diffusers and transformers are imported only by `build` and `check_shapes`.
"""

from __future__ import annotations

import gc
import importlib
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import words
from gui.convert.memory import ran_out
from gui.errors import ErrorKind, SfumatoError
from gui.library.safetensors_header import FLOATS, Header

if TYPE_CHECKING:
    import torch
    from torch import nn

_NETWORKS = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "ControlNetModel": "diffusers",
    "T2IAdapter": "diffusers",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
    "StableDiffusionSafetyChecker": "diffusers.pipelines.stable_diffusion.safety_checker",
}

_OPTIONAL = re.compile(r"(^|\.)(position_ids|logit_scale)$")
"""Tensors that files may hold although networks count them out themselves, or do not need them."""

_COMPRESSED = re.compile(
    r"\.(absmax|quant_map|SCB|scale_weight|weight_scale|weight\._data|comfy_quant)$"
    r"|\.quant_state\.|(^|\.)scaled_fp8$"
)
"""Tensors that stand beside compressed weights: of bitsandbytes, quanto and ComfyUI.  Without them
the weights are other numbers."""

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names that attention layers had in diffusers before version 0.18, still found in files."""


@dataclass(frozen=True)
class Stored:
    """Where one weight lies, and what to do with it on the way."""

    file: Path
    key: str
    dtype: str
    stored_shape: tuple[int, ...]
    rows: tuple[int, int] | None = None
    """Take these rows only (of OpenCLIP's fused query, key and value)."""
    transpose: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        if self.rows is not None:
            return (self.rows[1] - self.rows[0], *self.stored_shape[1:])
        return self.stored_shape[::-1] if self.transpose else self.stored_shape

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Part:
    """One network."""

    name: str
    """A key of `gui.words.COMPONENTS`."""
    network: str
    """Its class, one of `NETWORKS`."""
    config: Mapping[str, Any]
    tensors: Mapping[str, Stored] = field(repr=False)
    """By diffusers' or transformers' names, perhaps by old spellings of these."""
    where: str = ""
    """File or folder, for errors."""

    @property
    def parameters(self) -> int:
        return sum(t.count for name, t in self.tensors.items() if not _OPTIONAL.search(name))

    @property
    def title(self) -> str:
        return words.component(self.name)


def stored(header: Header) -> dict[str, Stored]:
    """Every tensor of a file, by its own name.

    Raises:
        SfumatoError: UNSUPPORTED where the weights are compressed.
    """
    if mark := next((name for name in header.tensors if _COMPRESSED.search(name)), ""):
        raise compressed(f"“{header.path.name}”", f"{header.path}: {mark}")
    return {
        name: Stored(header.path, name, tensor.dtype, tensor.shape)
        for name, tensor in header.tensors.items()
    }


def compressed(what: str, detail: str) -> SfumatoError:
    """The refusal of weights that are compressed already."""
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"{what} is stored in compressed numbers, which cannot be converted; choose a version of "
        "the model in float16 or float32.",
        detail,
    )


def canonical(name: str) -> str:
    """A spelling that names of all versions of the libraries share.

    transformers 5.6 dropped the wrappers `text_model` and `vision_model` from some classes' names.
    """
    parts = [p for p in name.split(".") if p not in ("text_model", "vision_model")]
    if "attentions" in parts[:-1] and parts[-2] in _OLD_ATTENTION:
        parts[-2] = _OLD_ATTENTION[parts[-2]]
    return ".".join(parts)


def empty_network(part: Part) -> nn.Module:
    """The network without weights (on the meta device), in evaluation mode.

    Raises:
        SfumatoError: UNSUPPORTED for a class or configuration the libraries do not take.
    """
    accelerate: Any = importlib.import_module("accelerate")
    library: Any = importlib.import_module(_NETWORKS[part.network])
    network = getattr(library, part.network)
    try:
        with accelerate.init_empty_weights(include_buffers=False):
            if hasattr(network, "config_class") and network.config_class is not None:
                made = network(network.config_class.from_dict(dict(part.config)))
            else:
                made = network.from_config(dict(part.config))
    except SfumatoError:
        raise
    except Exception as error:  # whatever a library thinks of a foreign configuration
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"The {part.title} has a configuration that cannot be converted; choose another model.",
            f"{part.where}: {type(error).__name__}: {error}",
        ) from error
    return made.eval()


def check_shapes(part: Part) -> None:
    """Build the network without weights and see that the file has each weight in the right shape.

    Raises:
        SfumatoError: BAD_MODEL naming the first weight that is missing or wrong.
    """
    _matched(part, empty_network(part).state_dict())


def build(part: Part) -> nn.Module:
    """The network, float32, in evaluation mode, on the CPU, taking no gradients.

    Raises:
        SfumatoError: BAD_MODEL where weights are missing, misshapen or unreadable; MEMORY.
    """
    from safetensors import SafetensorError

    network = empty_network(part)
    places = _matched(part, network.state_dict())
    try:
        with ExitStack() as files:
            opened: dict[Path, Any] = {}
            for name, place in places.items():
                if place.file not in opened:
                    opened[place.file] = files.enter_context(_open(place.file))
                value = _read(opened[place.file], place)
                if not value.isfinite().all():
                    raise _bad(part, "has weights that are no numbers", f"{name}: NaN or infinite")
                _set(network, name, value)
    except (MemoryError, OSError, ValueError, RuntimeError, SafetensorError) as error:
        if ran_out(error):
            raise SfumatoError(
                ErrorKind.MEMORY,
                f"There is not enough memory to read the {part.title}; close other programs and "
                "convert again: finished parts are kept.",
                f"{part.where}: {error!r}",
            ) from error
        if isinstance(error, FileNotFoundError):
            raise SfumatoError(
                ErrorKind.STORAGE,
                f"The weights of the {part.title} are not there any more; see that their disk is "
                "there and convert again: finished parts are kept.",
                f"{part.where}: {error}",
            ) from error
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The weights of the {part.title} cannot be read; download the model again.",
            f"{part.where}: {type(error).__name__}: {error}",
        ) from error
    gc.collect()
    return network.requires_grad_(False)


def read_tensor(place: Stored) -> torch.Tensor:
    """One weight, float32.

    Raises:
        OSError, SafetensorError: it cannot be read.
    """
    with _open(place.file) as file:
        return _read(file, place)


def _open(path: Path) -> Any:
    safetensors: Any = importlib.import_module("safetensors")
    return safetensors.safe_open(str(path), framework="pt", device="cpu")


def _read(file: Any, place: Stored) -> torch.Tensor:
    import torch

    if place.rows is not None:
        tensor = file.get_slice(place.key)[place.rows[0] : place.rows[1]]
    else:
        tensor = file.get_tensor(place.key)
    if place.transpose:
        tensor = tensor.T
    # A copy even of float32: a view would keep the whole file mapped, and change under our feet
    # if the file did.
    return tensor.to(torch.float32, copy=True).contiguous()


def _set(network: nn.Module, name: str, value: torch.Tensor) -> None:
    import torch

    owner, _, leaf = name.rpartition(".")
    module = network.get_submodule(owner)
    if leaf in module._parameters:
        wanted = module._parameters[leaf]
        assert wanted is not None
        value = value.reshape(wanted.shape)
        module._parameters[leaf] = torch.nn.Parameter(value, requires_grad=False)
    else:
        wanted = module._buffers[leaf]
        assert wanted is not None
        module._buffers[leaf] = value.reshape(wanted.shape).to(wanted.dtype)


def _matched(part: Part, state: Mapping[str, Any]) -> dict[str, Stored]:
    """The place of each weight of the network, checked."""
    by_canon = {canonical(name): place for name, place in part.tensors.items()}
    found: dict[str, Stored] = {}
    for name, wanted in state.items():
        place = part.tensors.get(name) or by_canon.get(canonical(name))
        if place is None:
            if _OPTIONAL.search(name):
                continue
            raise _bad(part, "lacks some of its weights", f"{name} is missing")
        if place.dtype not in FLOATS:
            raise compressed(f"The {part.title}", f"{part.where}: {name}: {place.dtype}")
        if _stripped(place.shape) != _stripped(tuple(wanted.shape)):
            detail = f"{name}: {list(place.shape)}, not {list(wanted.shape)}"
            raise _bad(part, "has weights of the wrong shape", detail)
        found[name] = place
    _refuse_left_over(part, state)
    return found


def _refuse_left_over(part: Part, state: Mapping[str, Any]) -> None:
    """More blocks in the file than in the configuration: the two do not belong together.

    A ControlNet may have nothing more at all: there are kinds that differ by a layer.
    """
    if part.name not in ("unet", "controlnet", "vae"):
        return
    known = {canonical(name) for name in state}
    more = [n for n in part.tensors if canonical(n) not in known]
    if part.name != "controlnet":
        more = [n for n in more if "_blocks." in n]
    if more:
        raise _bad(part, "has more weights than its configuration says", ", ".join(more[:3]))


def _stripped(shape: Iterable[int]) -> tuple[int, ...]:
    """Without trailing ones: a linear layer and a 1×1 convolution hold the same numbers."""
    numbers = list(shape)
    while len(numbers) > 2 and numbers[-1] == 1:
        numbers.pop()
    return tuple(numbers)


def _bad(part: Part, what: str, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The {part.title} {what}: the model is incomplete or damaged; download it again.",
        f"{part.where}: {detail}",
    )
