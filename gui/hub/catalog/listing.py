"""One repository in the Hub's JSON, as a `ModelSummary` and as a `RepoTree`; filters over them.

The JSON is whatever a server sent: wrong types are treated as absent, names that could leave a
folder are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from gui.coreml.model import Attention, Family
from gui.hub.catalog.card import card_picture, triggers_of
from gui.hub.types import (
    Level,
    ModelKind,
    ModelSummary,
    RemoteFile,
    RepoDetails,
    SearchQuery,
    Variant,
)
from gui.hub.variants import heuristics
from gui.names import MAX_PATH_BYTES, is_safe

EXPAND = ("author", "cardData", "downloads", "gated", "lastModified", "likes", "pipeline_tag",
          "private", "sha", "siblings", "tags", "usedStorage")  # fmt: skip
"""Fields to ask for in listings and of single models."""

NEW_MACOS = 15
"""The newest macOS that published models need."""

TEXT_TO_IMAGE = "text-to-image"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_TELLING = re.compile(r"sample|example|preview|cover|thumb|grid|showcase|demo", re.IGNORECASE)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX40 = re.compile(r"[0-9a-f]{40}")
_CORE_ML = re.compile(r"\.(?:mlpackage|mlmodelc)(?:/|$)|\.mlmodel$", re.IGNORECASE)
_ARCHIVE = re.compile(r"(?:compiled|packages?|split[-_]einsum|original|core-?ml).*\.zip$", re.I)
_DIFFUSION = re.compile(
    r"stable[-_ ]?diffusion|\bsdxl\b|\bsd[-_]?(?:1|2|3|15|21|xl)\b|text-to-image|dreambooth|"
    r"latent-consistency|\blcm\b",
    re.IGNORECASE,
)
_UNET = re.compile(
    r"(?:^|[/_])(?:control(?:led)?[-_]?)?unet(?:[-_]?chunk[12])?\.(?:mlpackage|mlmodelc)/|"
    r"MultiModalDiffusionTransformer\.mlmodelc/|_mmdit\.mlpackage/",
    re.IGNORECASE,
)
_APP_ZIP = re.compile(r"(?:split[-_ ]?einsum|original|_compiled|_packages)[^/]*\.zip$", re.I)
"""How archives for the Swift apps are named: ``<repository>_<attention>_compiled.zip``."""
_CONTROLNET = re.compile(r"(?:^|/)controlnet[^/]*[/.]|(?:^|/)CN[^/]{0,10}/", re.IGNORECASE)
_ZIPPED = re.compile(r"\.(?:mlpackage|mlmodelc)\.zip$", re.IGNORECASE)
_SPEAKS_OF_CORE_ML = re.compile(r"core[-_ ]?ml", re.IGNORECASE)
_FOREIGN = re.compile(
    r"flux|qwen|\bwan[-_. ]?2|hunyuan|\bltx|z[-_]image|kolors|pixart|sana\b|auraflow|lumina|hidream"
    r"|cogv|chroma|krea|ideogram|stable-diffusion-3|\bsd-?3|kandinsky|cascade",
    re.IGNORECASE,
)
"""Models of other makes, whose LoRAs fit none that Sfumato has."""


def summary(data: Any, endpoint: str) -> ModelSummary | None:
    """A repository as listed; None where the JSON describes none."""
    if not isinstance(data, dict) or not isinstance(data.get("id"), str) or "/" not in data["id"]:
        return None
    repo = data["id"]
    tags = tuple(t for t in _list(data.get("tags")) if isinstance(t, str))
    files = [s["rfilename"] for s in _list(data.get("siblings"))
             if isinstance(s, dict) and isinstance(s.get("rfilename"), str)
             and len(s["rfilename"]) <= MAX_PATH_BYTES]  # fmt: skip
    task = data.get("pipeline_tag")
    kind = _kind(repo, tags, files, task if isinstance(task, str) else "")
    base = _base_model(data, tags)
    gated = data.get("gated")
    revision = str(data.get("sha") or "")
    picture = _picture(files)
    picture_url = f"{endpoint}/{repo}/resolve/{revision or 'main'}/{quote(picture)}"
    card = data.get("cardData")
    if kind is ModelKind.LORA and isinstance(card, dict):
        shown = card_picture(card, repo, revision, endpoint)
        picture, picture_url = shown or picture, shown or picture_url
    return ModelSummary(
        id=repo,
        revision=revision if _HEX40.fullmatch(revision) else "",
        likes=_count(data.get("likes")),
        downloads=_count(data.get("downloads")),
        updated=str(data.get("lastModified") or ""),
        gated=gated if gated in ("auto", "manual") else ("auto" if gated is True else ""),
        private=data.get("private") is True,
        licence=_licence(data, tags),
        tags=tags,
        family=_lora_family(repo, base, tags)
        if kind is ModelKind.LORA
        else _family(repo, tags, files),
        kind=kind,
        total_bytes=_count(data.get("usedStorage")),
        picture_url=picture_url if picture else "",
        base_model=base,
        triggers=triggers_of(card) if isinstance(card, dict) else (),
    )


def has_core_ml(data: Any) -> bool:
    """Whether the files listed are, or may hold, Core ML models."""
    names = (s.get("rfilename") for s in _list(data.get("siblings")) if isinstance(s, dict))
    names = (n for n in names if isinstance(n, str) and len(n) <= MAX_PATH_BYTES)
    # In a repository that calls itself Core ML, a zip holds just that.
    own = isinstance(data, dict) and bool(_SPEAKS_OF_CORE_ML.search(str(data.get("id"))))
    return any(
        _CORE_ML.search(n)
        or _ARCHIVE.search(n)
        or _ZIPPED.search(n)
        or (own and n.lower().endswith(".zip"))
        for n in names
    )


def is_foreign(model: ModelSummary) -> bool:
    """Whether a LoRA was made for a model of another make than Sfumato's."""
    if model.family is not Family.UNKNOWN:
        return model.family is Family.SD3
    return bool(_FOREIGN.search(" ".join((model.base_model, model.name, *model.tags))))


def files(entries: Iterable[Any]) -> Iterable[RemoteFile]:
    """The files of a tree page; folders, nonsense and unsafe paths are left out."""
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("type") != "file":
            continue
        path, size, oid = entry.get("path"), entry.get("size"), str(entry.get("oid") or "")
        if not isinstance(path, str) or not is_safe(path):
            continue
        large = entry.get("lfs")
        sha256 = ""
        if isinstance(large, dict):
            sha256 = str(large.get("oid") or large.get("sha256") or "").removeprefix("sha256:")
            size = large.get("size", size)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            continue
        if _HEX64.fullmatch(sha256):
            yield RemoteFile(path, size, sha256=sha256)
        else:
            yield RemoteFile(path, size, blob=oid if _HEX40.fullmatch(oid) else "")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _licence(data: dict[str, Any], tags: tuple[str, ...]) -> str:
    for tag in tags:
        if tag.startswith("license:"):
            return tag.removeprefix("license:")
    card = data.get("cardData")
    licence = card.get("license") if isinstance(card, dict) else None
    return licence if isinstance(licence, str) else ""


def _base_model(data: dict[str, Any], tags: tuple[str, ...]) -> str:
    """From the card, else from the Hub's own tags (``base_model:adapter:owner/name``)."""
    card = data.get("cardData")
    stated = card.get("base_model") if isinstance(card, dict) else None
    if isinstance(stated, list):
        stated = next((one for one in stated if isinstance(one, str)), None)
    if isinstance(stated, str) and stated:
        return stated[:200]
    named = [tag.rpartition(":")[2] for tag in tags if tag.startswith("base_model:")]
    return next((name[:200] for name in named if "/" in name), "")


def _lora_family(repo: str, base: str, tags: tuple[str, ...]) -> Family:
    """A guess: what its base model is called, else its own name, else its tags."""
    for name in (base.rpartition("/")[2], repo.partition("/")[2], *tags):
        if _FOREIGN.search(name) and heuristics.family(name) is not Family.SD3:
            return Family.UNKNOWN
        plain = name.rpartition(":")[2].rpartition("/")[2]
        if (found := heuristics.family(plain)) is not Family.UNKNOWN:
            return found
    return Family.UNKNOWN


def _picture(names: list[str]) -> str:
    """A picture among the files, one that is named as an example first."""
    found = [
        n for n in names
        if n.lower().endswith(_PICTURES) and is_safe(n) and not _CORE_ML.search(n)
    ]  # fmt: skip
    return min(found, key=lambda n: (not _TELLING.search(n), n.count("/"), n), default="")


def _family(repo: str, tags: tuple[str, ...], names: list[str]) -> Family:
    """A guess: from files that only one family has, else from name, tags and base model."""
    flat = "\n".join(names).lower()
    if "textencodert5." in flat or "multimodaldiffusiontransformer." in flat or "_mmdit." in flat:
        return Family.SD3
    name = heuristics.family(repo.partition("/")[2])
    if "textencoder2." in flat or "_text_encoder_2." in flat:
        return Family.SDXL_REFINER if name is Family.SDXL_REFINER else Family.SDXL
    if name is not Family.UNKNOWN:
        return name
    for tag in tags:
        words = tag.rpartition(":")[2].rpartition("/")[2]
        if (found := heuristics.family(words)) is not Family.UNKNOWN:
            return found
    return Family.UNKNOWN


def _kind(repo: str, tags: tuple[str, ...], names: list[str], task: str) -> ModelKind:
    name = repo.partition("/")[2]
    whole = any(_UNET.search(n) for n in names)
    if whole:
        return ModelKind.TEXT_TO_IMAGE
    adapter = "lora" in tags and "coreml" not in tags
    if adapter and task in ("", TEXT_TO_IMAGE, "image-to-image"):
        return ModelKind.LORA
    named = heuristics.kind(name)
    # Names of several purposes ("stable-diffusion-controlnet") mean the narrower one, unless the
    # author says text-to-image.
    if task == TEXT_TO_IMAGE and named is not ModelKind.UPSCALER:
        return ModelKind.TEXT_TO_IMAGE
    if named is not None:
        return named
    if "controlnet" in tags or any(_CONTROLNET.search(n) for n in names):
        return ModelKind.CONTROLNET
    if {"super-resolution", "upscaler", "image-upscaling"} & set(tags):
        return ModelKind.UPSCALER
    if not task and any(_APP_ZIP.search(n) for n in names):
        return ModelKind.TEXT_TO_IMAGE
    if task in ("", "image-to-image") and _DIFFUSION.search(" ".join((name, *tags))):
        return ModelKind.TEXT_TO_IMAGE
    return ModelKind.OTHER


# Filters that the Hub cannot apply


def passes(
    query: SearchQuery, model: ModelSummary, details: RepoDetails | None, macos: str = ""
) -> bool | None:
    """Whether a result survives the filters.

    Filters on variants hold together: one variant must satisfy them all.

    Args:
        details: None, or without `RepoDetails.probed`: what was not read is not known.
        macos: the machine's; empty where that does not matter.

    Returns:
        None: only its file list can tell, or, where `details` are given, only its files.
    """
    if query.licence and model.licence.lower() != query.licence.lower():
        return False
    if query.author and model.author.lower() != query.author.lower():
        return False
    if details is not None:
        if details.variants:
            # Which macOS a model needs is told by its files alone; few need one as new as this.
            major = macos.partition(".")[0]
            old = major.isdecimal() and int(major) < NEW_MACOS
            found = {
                _variant_passes(query, v, model, details.probed, old) for v in details.variants
            }
            return True if True in found else None if None in found else False
        return not query.needs_details and (
            _in(model.kind, query.kinds) and _in(model.family, query.families)
        )
    if not _in(model.kind, query.kinds):
        return False
    if query.families and model.family is Family.UNKNOWN:
        return None
    if not _in(model.family, query.families):
        # A guess from the name may be wrong, but reading every file list to find out is not worth
        # the wait.
        return False
    return None if query.needs_details else True


def _in(value: Any, wanted: tuple[Any, ...]) -> bool:
    return not wanted or value in wanted


def _variant_passes(
    query: SearchQuery, variant: Variant, model: ModelSummary, probed: bool, old: bool
) -> bool | None:
    """Whether a variant satisfies every filter; None: nobody has looked into its files yet."""
    if (
        not _in(variant.kind, query.kinds)
        or (query.max_bytes and variant.download_bytes > query.max_bytes)
        or (query.fits and variant.verdict.level is Level.NO)
        or (query.needs_details and variant.missing)  # a part of a model is none that was meant
    ):
        return False
    closed = not variant.components and variant.kind is ModelKind.TEXT_TO_IMAGE
    stored = variant.compression
    family = variant.family if variant.family is not Family.UNKNOWN else model.family
    wanted = [
        (query.families, family, family is not Family.UNKNOWN),
        (query.attentions, variant.attention, variant.attention is not Attention.UNKNOWN),
        (query.compressions, _storage(stored), bool(stored) or not closed),
    ]
    if any(known and not _in(value, choices) for choices, value, known in wanted):
        return False
    unknown = any(choices and not known for choices, _, known in wanted)
    if probed:  # as well as it could be; what an archive holds may still be open
        return not unknown
    doubtful = closed or (old and not variant.minimum_macos)
    return None if unknown or (query.fits and doubtful) else True


def _storage(compression: str) -> str:
    """The filter's word for a storage form."""
    if "palett" in compression:
        return "palette"
    return "linear" if "linear" in compression else (compression or "none")
