"""Read a diffusers folder: family, configurations and weights' places.

Only JSON files and the headers of `.safetensors` files are opened.  No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gui import words
from gui.convert.checkpoint import checkpoint as base
from gui.convert.checkpoint import unsupported
from gui.convert.checkpoint.checkpoint import Checkpoint
from gui.convert.checkpoint.weights import Part, Stored, compressed, stored
from gui.coreml import prediction as predictions
from gui.coreml.few_steps import few_steps
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.files import UnreadableFile, children, is_file, read_json_object
from gui.library.safetensors_header import pickle_refusal, read_header
from gui.paths import resource

MAX_JSON = 32_000_000
"""Bytes; a sharded model's index or a tokenizer has a few million at most."""

_PARTS = {
    "text_encoder": ("CLIPTextModel", "CLIPTextModelWithProjection"),
    "text_encoder_2": ("CLIPTextModelWithProjection", "CLIPTextModel"),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "safety_checker": ("StableDiffusionSafetyChecker",),
}
"""Parts of a pipeline that are converted, and the classes they may have."""

_DOWN = ("DownBlock2D", "CrossAttnDownBlock2D")
_UP = ("UpBlock2D", "CrossAttnUpBlock2D")
_MIDDLE = ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None)
"""The last two are those of distilled networks (SSD-1B, small-sd)."""
_PLAIN = {
    "class_embed_type": None,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "num_class_embeds": None,
    "dual_cross_attention": False,
    "only_cross_attention": False,
    "time_embedding_type": "positional",
    "attention_type": "default",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "resnet_time_scale_shift": "default",
}
"""Settings of a UNet that must be as Stable Diffusion has them."""


def read_folder(folder: Path) -> Checkpoint:
    """Read the folder's configurations and the headers of its weights.

    Raises:
        SfumatoError: one sentence on what is wrong or not supported.
    """
    index = _index(folder)
    class_name = str(index.get("_class_name", ""))
    if family := unsupported.family_of_class(class_name):
        raise unsupported.unsupported(family, f"{folder}: {class_name}")
    notes: list[str] = []
    parts = _parts(folder, index, class_name, notes)
    unet = parts["unet"].config
    _check_unet(unet, folder)
    context, family = _family(unet, parts, index)
    base.check_parts(parts, family, folder.name, context)
    check_vae(parts["vae"].config, folder)
    scheduler = _scheduler(folder, family, parts["unet"], notes)
    prediction = str(scheduler["prediction_type"])
    _check_vocabulary(folder, parts)
    return Checkpoint(
        info=base.make_info(
            folder,
            name_of(folder),
            parts,
            family,
            prediction,
            _size(unet, family, prediction),
            notes,
        ),
        parts=parts,
        scheduler_config=scheduler,
        pad_token_ids=tuple(_pad(folder, p, family) for p in parts if p.startswith("text_")),
        force_zeros_for_empty_prompt=bool(
            index.get("force_zeros_for_empty_prompt", family is Family.SDXL)
        ),
    )


def name_of(folder: Path) -> str:
    """A model's name for people, also from the folders that downloads are kept in.

    The Hub's cache has ``models--owner--name/snapshots/<commit>``, the app's ``owner--name``.
    """
    if folder.parent.name == "snapshots":
        folder = folder.parent.parent
    return folder.name.split("--")[-1] or folder.name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of at most `MAX_JSON` bytes.

    Raises:
        SfumatoError: BAD_MODEL where it is missing, too large, or no JSON object.
    """
    try:
        return read_json_object(path, MAX_JSON)
    except FileNotFoundError as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{path.parent.name}/{path.name}” is missing; download the model again.",
            str(path),
        ) from error
    except UnreadableFile as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{path.parent.name}/{path.name}” {error}; download the model again.",
            str(path),
        ) from error


def _index(folder: Path) -> dict[str, Any]:
    if is_file(folder / "model_index.json"):
        return read_json(folder / "model_index.json")
    files = [child.name for child in children(folder)]
    if any(name.endswith((".mlpackage", ".mlmodelc")) for name in files):
        hint = "holds Core ML files already; add it to the models instead"
    elif "config.json" in files:
        hint = "holds one network of a model; choose the folder above it"
    elif any(name.endswith(".safetensors") for name in files):
        hint = "is no diffusers folder; choose the “.safetensors” file in it"
    elif any(name.endswith((".ckpt", ".pt", ".pth", ".bin")) for name in files):
        raise pickle_refusal(folder.name, str(folder))
    else:
        hint = "holds no model; choose a folder with “model_index.json” or a “.safetensors” file"
    raise SfumatoError(ErrorKind.BAD_MODEL, f"“{folder.name}” {hint}.", ", ".join(files[:20]))


# --- networks -----------------------------------------------------------------------------------


def _parts(
    folder: Path, index: Mapping[str, Any], class_name: str, notes: list[str]
) -> dict[str, Part]:
    for name in ("transformer", "prior", "decoder", "unet"):
        entry = index.get(name)
        class_of = str(entry[1]) if isinstance(entry, list) and len(entry) == 2 else ""
        if family := unsupported.family_of_class(class_of):
            raise unsupported.unsupported(family, f"{folder}: {class_of}")
    if "transformer" in index or "unet" not in index:
        what = f"a model of the kind “{class_name}”" if class_name else "a model of unknown kind"
        raise unsupported.unsupported(what, str(folder))
    parts = {}
    for name, classes in _PARTS.items():
        entry = index.get(name)
        if not (isinstance(entry, list) and len(entry) == 2 and entry[1]):
            continue
        if entry[1] not in classes:
            raise unsupported.unsupported(
                f"a model whose {words.component(name)} is of the kind “{entry[1]}”", str(folder)
            )
        if name == "safety_checker" and not _has_weights(folder / name):
            notes.append(
                "The safety checker is left out: its weights are missing, or a pickle, which "
                "could run hidden programs."
            )
            continue
        parts[name] = read_part(name, str(entry[1]), folder / name)
    if "unet" not in parts:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{folder.name}” has no UNet; download the model again.",
            str(folder),
        )
    return parts


def _has_weights(folder: Path) -> bool:
    """Whether a part that pictures can be made without is there."""
    files = [p for p in folder.glob("*.safetensors") if p.is_file()]
    plain = [p for p in files if not p.name.startswith(".")]  # what macOS adds on foreign disks
    return bool(plain) and (folder / "config.json").is_file()


def read_part(name: str, network: str, folder: Path) -> Part:
    """One network: its `config.json` and the headers of its weights.

    Raises:
        SfumatoError: BAD_MODEL, or UNSUPPORTED where there are only pickles.
    """
    config = read_json(folder / "config.json")
    if name == "safety_checker":
        _check_sane(config.get("text_config") or {}, folder)
        _check_sane(config.get("vision_config") or {}, folder)
    _check_sane(config, folder)
    if config.get("quantization_config"):
        raise compressed(
            f"The {words.component(name)}", f"{folder}: {config['quantization_config']}"
        )
    tensors: dict[str, Stored] = {}
    for file in _weight_files(folder):
        tensors |= stored(read_header(file))
    return Part(name, network, _completed(name, config, folder), tensors, str(folder))


def _completed(name: str, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The configuration with the settings that are read here; an old one may leave some out."""
    needed: dict[str, Any] = {}
    if name.startswith("text_"):
        needed = {"hidden_size": None, "vocab_size": base.CLIP_VOCABULARY}
    elif name in ("unet", "vae"):
        needed = {"block_out_channels": None}
    for key, default in needed.items():
        value = config.get(key, default)
        if not value:
            raise _nonsense(folder, f"no {key}")
        config[key] = value
    return config


def _check_sane(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse sizes that no real network has, before anything is built from them."""
    for key, value in config.items():
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > 1000:
            raise _nonsense(folder, f"{key} has {len(numbers)} entries")
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int):
                continue
            many = key in ("num_hidden_layers", "layers_per_block", "transformer_layers_per_block")
            if abs(number) > (200 if many else 1_000_000):
                raise _nonsense(folder, f"{key} is {number}")
            if number <= 0 and key in ("block_out_channels", "hidden_size", "in_channels"):
                raise _nonsense(folder, f"{key} is {number}")


def _nonsense(folder: Path, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"“{folder.name}/config.json” has a value that makes no sense; download the model again.",
        f"{folder}: {detail}",
    )


def _weight_files(folder: Path) -> list[Path]:
    """The network's weights: one file, or those an index names; full precision before variants."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    stems = ("diffusion_pytorch_model", "model")
    for stem in stems:
        if f"{stem}.safetensors" in names:
            return [folder / f"{stem}.safetensors"]
        if f"{stem}.safetensors.index.json" in names:
            return _shards(folder, f"{stem}.safetensors.index.json")
    for stem in stems:
        plain = [n for n in names if n.startswith(f"{stem}.") and n.endswith(".safetensors")]
        whole = [n for n in plain if "-of-" not in n]
        if whole:
            half = f"{stem}.fp16.safetensors"
            return [folder / (half if half in whole else whole[0])]
        indices = [n for n in names if n.startswith(f"{stem}.safetensors.index.")]
        if indices:
            return _shards(folder, indices[0])
    if any(n.endswith((".bin", ".pt", ".ckpt", ".pth")) for n in names):
        raise pickle_refusal(f"{folder.parent.name}/{folder.name}", str(folder))
    raise SfumatoError(
        ErrorKind.BAD_MODEL,
        f"“{folder.name}” holds no weights (“.safetensors”); download the model again.",
        f"{folder}: {', '.join(names[:20])}",
    )


def _shards(folder: Path, index: str) -> list[Path]:
    weights = read_json(folder / index).get("weight_map")
    found = sorted({str(v) for v in weights.values()}) if isinstance(weights, dict) else []
    if not found or any(Path(n).name != n or not n.endswith(".safetensors") for n in found):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{folder.name}/{index}” makes no sense; download the model again.",
            f"{folder}: {found[:5]}",
        )
    missing = [n for n in found if not (folder / n).is_file()]
    if missing:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{folder.name}/{missing[0]}” is missing; download the model again.",
            f"{folder}: {len(missing)} of {len(found)} missing",
        )
    return [folder / n for n in found]


# --- what the configurations say ----------------------------------------------------------------


def _check_unet(unet: Mapping[str, Any], folder: Path) -> None:
    unsupported.refuse_channels(unet.get("in_channels", 4), str(folder))
    odd = [f"{k}: {unet[k]}" for k, plain in _PLAIN.items() if unet.get(k, plain) != plain]
    if unet.get("addition_embed_type") not in (None, "text_time"):
        odd.append(f"addition_embed_type: {unet['addition_embed_type']}")
    odd += [f"block: {b}" for b in unet.get("down_block_types", ()) if b not in _DOWN]
    odd += [f"block: {b}" for b in unet.get("up_block_types", ()) if b not in _UP]
    if unet.get("mid_block_type", _MIDDLE[0]) not in _MIDDLE:
        odd.append(f"block: {unet['mid_block_type']}")
    if not isinstance(unet.get("cross_attention_dim", 1280), int):
        odd.append(f"cross_attention_dim: {unet['cross_attention_dim']}")
    if odd:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"The UNet of “{folder.name}” is built differently from Stable Diffusion's and cannot "
            f"be converted; choose a checkpoint of {unsupported.CONVERTED}.",
            "; ".join(odd),
        )


def check_vae(vae: Mapping[str, Any], folder: Path) -> None:
    """Raise unless a VAE has Stable Diffusion's latents."""
    if vae.get("latents_mean") is not None or vae.get("latents_std") is not None:
        raise unsupported.unsupported(
            "a model that scales each latent channel differently (like Playground 2.5)", str(folder)
        )
    if vae.get("latent_channels", 4) != 4:
        raise unsupported.unsupported(
            f"a model with {vae['latent_channels']} latent channels", str(folder)
        )


def _family(
    unet: Mapping[str, Any], parts: Mapping[str, Part], index: Mapping[str, Any]
) -> tuple[int, Family]:
    context = int(unet.get("cross_attention_dim", 1280))
    added = unet.get("addition_embed_type") == "text_time"
    family = base.family_of_unet(
        context,
        added=added,
        linear=bool(unet.get("use_linear_projection", False)),
        two_encoders="text_encoder" in parts and not index.get("requires_aesthetics_score"),
    )
    return context, family


def _scheduler(folder: Path, family: Family, unet: Part, notes: list[str]) -> dict[str, Any]:
    """The scheduler's settings, with the prediction type stated, and as few steps as the model was
    distilled to."""
    path = folder / "scheduler" / "scheduler_config.json"
    config = read_json(path) if path.is_file() else {}
    prediction = config.get("prediction_type")
    if prediction is None:
        prediction, reason = _prediction(folder, family, unet)
        if not config or family is Family.SD2:
            notes.append(predictions.assumed(prediction, reason))
    class_name = str(config.get("_class_name", ""))
    if prediction not in base.PREDICTIONS or class_name.startswith(("Flow", "EDM")):
        raise unsupported.unsupported(
            f"a model that is sampled in another way ({class_name or prediction})", str(path)
        )
    few = few_steps(
        (name_of(folder),),
        config or None,
        takes_guidance=bool(unet.config.get("time_cond_proj_dim")),
    )
    config = config or base.default_scheduler(family, prediction)
    if few is not None:
        config = {**config, **few.scheduler}
        if few.is_guess:
            notes.append(few.note)
    return {**config, "prediction_type": prediction}


def _prediction(folder: Path, family: Family, unet: Part) -> tuple[str, str]:
    """What the UNet predicts where nothing states it, and the reason."""
    if kind := predictions.by_name(name_of(folder), family):
        return kind, "by its name"
    if family is not Family.SD2:
        return predictions.EPSILON, "as its family does"
    place = unet.tensors.get(_VELOCITY_SIGN)
    if place and (kind := predictions.by_weights(read_header(place.file).numbers(place.key))):
        return kind, "by its weights"
    v = unet.config.get("sample_size") == predictions.VELOCITY_LATENT
    return (predictions.VELOCITY if v else predictions.EPSILON), "by the size of its pictures"


_VELOCITY_SIGN = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
"""What `gui.coreml.prediction` tells a prediction type from."""


def _size(unet: Mapping[str, Any], family: Family, prediction: str) -> int:
    latent = unet.get("sample_size")
    if isinstance(latent, int) and 0 < latent <= 512:
        return max(64, (latent * base.VAE_SCALE + 32) // 64 * 64)
    return base.default_size(family, prediction)


def _pad(folder: Path, part: str, family: Family) -> int:
    """The padding token's number, as the tokenizer's files state it."""
    tokenizer = folder / part.replace("text_encoder", "tokenizer")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if not (tokenizer / name).is_file():
            continue
        token = read_json(tokenizer / name).get("pad_token")
        text = token.get("content") if isinstance(token, dict) else token
        if text == "!":
            return 0
        if text == "<|endoftext|>":
            return 49407
    return base.default_pad(family, part)


def _check_vocabulary(folder: Path, parts: Mapping[str, Part]) -> None:
    """Refuse a tokenizer other than CLIP's: the app has that one only."""
    for part in parts:
        path = folder / part.replace("text_encoder", "tokenizer") / "vocab.json"
        if not part.startswith("text_") or not path.is_file():
            continue
        ours = resource("tokenizer") / "vocab.json"
        known = read_json(ours)
        if any(known.get(word) != number for word, number in _standard(read_json(path))):
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{folder.name}” reads text with a vocabulary of its own, which Sfumato cannot "
                "use; choose a model with the usual CLIP text encoder.",
                str(path),
            )


def _standard(vocabulary: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Its words without those added at the end (textual inversion)."""
    pairs = vocabulary.items()
    return [(w, n) for w, n in pairs if isinstance(n, int) and n < base.CLIP_VOCABULARY]
