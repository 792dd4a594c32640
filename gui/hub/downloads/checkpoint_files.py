"""Which files of a checkpoint's repository are worth fetching to convert it.  Light."""

from __future__ import annotations

import posixpath
import re

from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import RemoteFile, RepoTree

_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle")
_COMPONENTS = (
    "feature_extractor",
    "safety_checker",
    "scheduler",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "unet",
    "vae",
)
"""Folders of a diffusers Stable Diffusion checkpoint, as its `model_index.json` names them.  Others
(SD3's transformer, IP adapters, ONNX exports …) are not converted."""
_SMALL = 16 << 20
"""Configurations and vocabularies are smaller; what is larger is no configuration."""


def pick(tree: RepoTree) -> tuple[RemoteFile, ...]:
    """The files that converting needs, each component's weights once.

    Safetensors only, half precision where it is offered (conversion makes float16 of it anyway),
    with configurations, vocabularies and shard indexes.  A repository without `model_index.json`
    counts as a ControlNet (`config.json` beside the weights) or as a single-file checkpoint.

    Raises:
        SfumatoError: UNSUPPORTED where there is nothing of the sort.
    """
    by_path = {file.path: file for file in tree.files}
    if "model_index.json" in by_path:
        chosen = [by_path["model_index.json"]]
        weights = 0
        for folder in _COMPONENTS:
            files = [f for f in tree.files if posixpath.dirname(f.path) == folder]
            picked = _weights(files)
            weights += len(picked)
            chosen += picked
            chosen += [f for f in files if _is_setting(f) and f not in picked]
        unet = any(f.path.startswith("unet/") and f.path.endswith(".safetensors") for f in chosen)
        if weights and unet:
            return tuple(chosen)
        if any(f.path.startswith("transformer/") for f in tree.files):
            raise _unsupported("is not a Stable Diffusion 1, 2 or XL model", tree.id)
    elif "config.json" in by_path and (picked := _weights(_at_root(tree))):
        return (by_path["config.json"], *(f for f in picked if f.path != "config.json"))
    singles = [f for f in _at_root(tree) if f.path.endswith(".safetensors")]
    if singles:
        return (_best_single(singles),)
    if any(f.path.lower().endswith(_PICKLES) for f in tree.files):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This repository offers its weights only as pickle files, which can run programs when "
            "opened; look for a version with .safetensors files.",
            tree.id,
        )
    raise _unsupported("holds no checkpoint", tree.id)


def _unsupported(what: str, repo: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"This repository {what} that Sfumato could convert; choose a Stable Diffusion 1, 2 or XL "
        "checkpoint with .safetensors files."
        if what.startswith("holds")
        else f"This repository {what}, so Sfumato cannot convert it; choose another.",
        repo,
    )


def _at_root(tree: RepoTree) -> list[RemoteFile]:
    return [f for f in tree.files if "/" not in f.path]


def _is_setting(file: RemoteFile) -> bool:
    name = posixpath.basename(file.path)
    if name.endswith(".index.json") or file.size > _SMALL:
        return False  # shard indexes go with their weights
    return name.endswith((".json", ".txt", ".model"))


def _weights(files: list[RemoteFile]) -> list[RemoteFile]:
    """One set of safetensors out of those in a folder, with its shard index."""
    sets: dict[str, list[RemoteFile]] = {}
    for file in files:
        name = posixpath.basename(file.path)
        if name.endswith(".safetensors"):
            sets.setdefault(_set_name(name.removesuffix(".safetensors")), []).append(file)
    for name in sorted(sets, key=_rank):
        index = [
            f
            for f in files
            if f.path.endswith(".safetensors.index.json") or ".safetensors.index." in f.path
            if _index_name(posixpath.basename(f.path)) == name
        ]
        whole = [f for f in sets[name] if not _is_shard(f)]
        if whole:
            return whole[:1]
        if index:
            return [*sets[name], *index]
    return []


def _set_name(stem: str) -> str:
    """``model.fp16-00001-of-00002`` and ``model-00001-of-00002.fp16`` → ``model.fp16``."""
    if stem.endswith(".fp16"):
        return _SHARD.sub("", stem.removesuffix(".fp16")) + ".fp16"
    return _SHARD.sub("", stem)


def _index_name(name: str) -> str:
    """Likewise of ``model.safetensors.index.fp16.json``, or ``.fp16`` before the suffix."""
    stem, _, rest = name.partition(".safetensors.index")
    return stem + (".fp16" if rest.startswith(".fp16") and not stem.endswith(".fp16") else "")


def _is_shard(file: RemoteFile) -> bool:
    stem = posixpath.basename(file.path).removesuffix(".safetensors").removesuffix(".fp16")
    return bool(_SHARD.search(stem))


def _rank(name: str) -> tuple[int, int, str]:
    """Half precision first, then plain; other variants (``.non_ema``, ``.ema`` …) last."""
    known = ("model", "diffusion_pytorch_model")
    plain = name.removesuffix(".fp16")
    return (plain not in known, name == plain, name)


def _best_single(files: list[RemoteFile]) -> RemoteFile:
    """Among several single-file checkpoints: pruned (the one without training's own weights)
    before others, then the smallest that is large enough to be a whole model."""
    whole = [f for f in files if f.size >= 1 << 30] or files
    return min(whole, key=lambda f: ("inpaint" in f.path.lower(), f.size, f.path))
