"""Put together what is known of one candidate: from descriptions where they were read, then from
the inventory, then from sizes, then from names."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gui import words
from gui.coreml import fit, flexible
from gui.coreml.dialect import RESIDUAL
from gui.coreml.few_steps import few_steps
from gui.coreml.inspect import component_of, oldest_macos
from gui.coreml.model import Attention, ComponentInfo, ComponentKind, Family, FileFormat
from gui.coreml.names import MODEL_PATH, FileRole
from gui.coreml.sidecar import Sidecar
from gui.coreml.survey import Description
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Distilled, ModelKind, RemoteFile, Span, Variant
from gui.hub.variants import heuristics
from gui.hub.variants.candidates import Candidate
from gui.hub.variants.descriptions import Reader
from gui.hub.variants.inventory import Bundle
from gui.hub.variants.probe import Probe
from gui.names import clash

K = ComponentKind
Components = dict[ComponentKind, ComponentInfo]

OLD_KIND = "This is an older kind of Core ML model (.mlmodel), which cannot be used."

MENTIONED_BYTES = 100_000_000
"""Of an archive that serve nothing; less is nobody's concern."""

_SAME_WEIGHTS = 0.02
"""Chunks and the whole network they were cut from differ by less."""


@dataclass(frozen=True)
class Place:
    """A candidate, and where its files lie."""

    candidate: Candidate
    probe: Probe | None
    archive: RemoteFile | None = None
    beside: tuple[Bundle, ...] = ()
    """All bundles of the same folder."""
    unpacked: int = 0
    """Bytes of everything in the archive: all of it is unpacked, used or not."""
    spans: tuple[Span, ...] = ()
    """Of an archive of which this is a part: the bytes that are fetched."""

    @property
    def id(self) -> str:
        if self.archive is not None:
            suffix = self.candidate.suffix
            return f"{self.archive.path}#{suffix}" if suffix else self.archive.path
        folder = self.candidate.folder or "."
        return f"{folder}#{self.candidate.suffix}" if self.candidate.suffix else folder

    @property
    def inside(self) -> tuple[str, ...]:
        """The folders and files that are wanted of an archive."""
        bundles = [bundle.path for part in self.candidate.parts for bundle in part.bundles]
        return (*bundles, *(file.path for file in self.candidate.companions))


def assemble(
    repo: str, place: Place, reader: Reader, role: Callable[[Bundle], FileRole | None]
) -> Variant:
    """The variant that a candidate makes.

    Args:
        repo: ``owner/name``, for what its words suggest.
        place: the candidate.
        reader: knows the descriptions that were read.
        role: what a bundle is.
    """
    candidate, name = place.candidate, f"{repo}/{place.id}"
    components, wrong = _components(candidate, reader)
    whole = _whole_beside(place, components, reader, role)
    if whole is not None:
        components[whole.kind] = whole
    own = reader.sidecar(candidate.sidecar)
    if isinstance(own, SfumatoError):
        wrong.append(own.what)
        own = None
    family = _family(candidate, components, name, own)
    kind = candidate.denoiser.kind if candidate.denoiser else K.CONTROLNET
    unet = components.get(kind)
    attention = unet.attention if unet else Attention.UNKNOWN
    problems = [*candidate.problems, *_problems(candidate, components, family, own), *wrong]
    kinds = {p.kind for p in candidate.parts}
    files = (place.archive,) if place.archive else candidate.files
    used = sum(f.size for f in candidate.files)
    width, height = _size(components)
    idle = {K.VAE_ENCODER, K.CONTROLNET}
    if K.UNET in kinds:
        idle |= {K.CONTROL_UNET, K.REFINER}  # one of them is loaded where memory is short
    resident = [p for p in candidate.parts if p.kind not in idle]
    variant = Variant(
        id=place.id,
        title="",
        files=files,
        folder="" if place.archive else candidate.folder,
        archive=place.archive is not None,
        spans=place.spans,
        inside=place.inside if place.spans else (),
        format=candidate.format,
        family=family,
        kind=candidate.kind,
        attention=attention if attention is not Attention.UNKNOWN else heuristics.attention(name),
        attention_known=attention is not Attention.UNKNOWN,
        compression=unet.compression if unet else _compression(candidate, family, name),
        distilled=_distilled(heuristics.names_of(repo, place.id), candidate.kind, unet, own),
        components=tuple(dict.fromkeys(p.kind.value for p in candidate.parts)),
        chunked=candidate.chunked,
        has_encoder=K.VAE_ENCODER in kinds,
        has_safety_checker=K.SAFETY_CHECKER in kinds,
        controlnet_ready=_takes_controlnets(components, kinds),
        controlnets=tuple(p.name for p in candidate.parts if p.kind is K.CONTROLNET),
        image_width=width,
        image_height=height,
        minimum_macos=oldest_macos(max((c.spec_version for c in components.values()), default=0)),
        download_bytes=sum(s.bytes for s in place.spans) or sum(f.size for f in files),
        disk_bytes=used if place.spans else place.unpacked or used,
        weight_bytes=sum(p.weight_bytes for p in resident),
        unet_bytes=candidate.denoiser.weight_bytes if candidate.denoiser else 0,
        missing=_missing(candidate, family),
        problems=tuple(dict.fromkeys(map(fit.plain, problems))),
        notes=(*candidate.notes, *_unused(place, used)),
    )
    return dataclasses.replace(variant, title=_title(variant, candidate))


def _unused(place: Place, used: int) -> list[str]:
    """What to say of an archive that holds more than the model, such as its UNet a second time."""
    if place.archive is None:
        return []
    if place.spans:
        size = place.archive.size - sum(span.bytes for span in place.spans)
        return [
            f"The archive holds more: {words.size(size)} of its {words.size(place.archive.size)} "
            "are not downloaded."
        ]
    size = place.unpacked - used
    if size < MENTIONED_BYTES:
        return []
    return [f"{words.size(size)} of what the archive holds is not used."]


def _components(candidate: Candidate, reader: Reader) -> tuple[Components, list[str]]:
    """Networks whose descriptions were read, and what is wrong with others."""
    found: Components = {}
    wrong: list[str] = []
    for part in candidate.parts:
        known = [reader.known(b) for b in part.bundles]
        texts = tuple(k for k in known if isinstance(k, Description))
        try:
            for each in known:
                if isinstance(each, SfumatoError):
                    raise each
            if len(texts) != len(known):
                continue
            component = component_of(
                FileRole(part.kind, prefix=part.name), texts, sum(b.size for b in part.bundles)
            )
            for bundle, text in zip(part.bundles, texts, strict=True):
                _check_weights(bundle, text)
            if len(texts) > 1:
                fit.check_chain(texts)
            fit.check_contract(component)
            found.setdefault(part.kind, component)
        except SfumatoError as error:
            if part.kind is not K.CONTROLNET or candidate.kind is ModelKind.CONTROLNET:
                wrong.append(error.what)
    found, _, contradiction = flexible.settled_on_own(found)
    return found, [*wrong, contradiction] if contradiction else wrong


def _check_weights(bundle: Bundle, description: Description) -> None:
    """Check that the weight files a package's program speaks of are in the list, and long enough.

    Raises:
        SfumatoError: BAD_MODEL, as `Survey.check_blobs` does for files on disk.
    """
    if bundle.specification is None:
        return
    folder = bundle.specification.path.rpartition("/")[0]
    sizes = {file.path: file.size for file in bundle.files}
    for name, needed in description.survey.weight_files.items():
        relative = name.removeprefix(MODEL_PATH)
        size = sizes.get(f"{folder}/{relative}")
        if size is None:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"{bundle.name} lacks its weights ({_name(relative)}); choose another variant.",
                name,
            )
        if size < needed:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"The weights of {bundle.name} are cut short; choose another variant.",
                f"{name}: {size} bytes, at least {needed} needed",
            )


def _whole_beside(
    place: Place,
    components: Components,
    reader: Reader,
    role: Callable[[Bundle], FileRole | None],
) -> ComponentInfo | None:
    """What a pair of chunks is that was not itself described: the whole network it was cut from.

    That is the one in the same folder with as many bytes of weights.  Chunks may be compressed in
    another way than the network beside them, and are then not taken for it.
    """
    part = place.candidate.denoiser
    if part is None or len(part.bundles) < 2 or part.kind in components:
        return None
    for bundle in place.beside:
        if bundle.format is not part.bundles[0].format:
            continue
        its, known = role(bundle), reader.known(bundle)
        alike = abs(bundle.weight_bytes - part.weight_bytes) < _SAME_WEIGHTS * part.weight_bytes
        if its is None or its.kind is not part.kind or its.chunk:
            continue
        if alike and isinstance(known, Description):
            whole = component_of(its, (known,), bundle.size)
            with contextlib.suppress(SfumatoError):
                fit.check_contract(whole)
                return whole
    return None


def _family(candidate: Candidate, components: Components, name: str, own: Sidecar | None) -> Family:
    """What the UNet takes; else what its sidecar says, what networks there are and how large;
    else names."""
    if candidate.kind is ModelKind.TEXT_TO_IMAGE:
        if candidate.denoiser is not None and candidate.denoiser.kind in components:
            return fit.family(components, own)[0]
        if own is not None:
            return own.family
        weights = {p.kind: p.weight_bytes for p in candidate.parts}
        return heuristics.family_by_sizes(weights, heuristics.family(name))
    net = components.get(K.CONTROLNET)
    if net is not None:
        return fit.family({K.UNET: net}, None)[0]
    return heuristics.family(name)


def _compression(candidate: Candidate, family: Family, name: str) -> str:
    """From bytes per weight where the family is known, else from names."""
    size = candidate.denoiser.weight_bytes if candidate.denoiser else 0
    measured = heuristics.compression_by_size(size, family)
    return heuristics.compression(name) if measured is None else measured


def _distilled(
    names: Sequence[str],
    kind: ModelKind,
    unet: ComponentInfo | None = None,
    own: Sidecar | None = None,
) -> Distilled | None:
    """By what its UNet takes, its sidecar, or what it is called."""
    if kind is not ModelKind.TEXT_TO_IMAGE:
        return None
    called = [own.source_repo, own.name] if own is not None else []
    called += [unet.metadata.get("versionString", "")] if unet is not None else []
    few = few_steps(
        [*filter(None, called), *names],
        own.scheduler_config if own is not None else None,
        takes_guidance=unet is not None and unet.input("timestep_cond") is not None,
    )
    if few is None:
        return None
    steps = own.default_steps if own is not None and own.default_steps else few.steps
    return Distilled(steps, few.method, few.is_guess)


def _size(components: Components) -> tuple[int, int]:
    """Width and height of pictures; of a lone ControlNet, those of the picture it is shown."""
    net = components.get(K.CONTROLNET)
    condition = net.input("controlnet_cond") if net else None
    if fit.denoiser(components) is None and condition is not None and len(condition.shape) == 4:
        return condition.shape[3] or 0, condition.shape[2] or 0
    sizes = fit.sizes(components)
    return sizes.image_width, sizes.image_height


def _takes_controlnets(components: Components, kinds: set[ComponentKind]) -> bool:
    if K.CONTROL_UNET in kinds:
        return True
    unet = components.get(K.UNET)
    return unet is not None and any(t.name.startswith(RESIDUAL) for t in unet.inputs)


def _problems(
    candidate: Candidate, components: Components, family: Family, own: Sidecar | None
) -> list[str]:
    """Why it cannot be used whatever the machine: the same sentences that a folder gets."""
    found = []
    if pair := clash(f.path for f in candidate.files):
        found.append(
            f"{_name(pair[0])} and {_name(pair[1])} differ in upper and lower case only, which a "
            "Mac's disk cannot keep apart."
        )
    if candidate.kind is ModelKind.CONTROLNET:
        return found
    networks = {k: c for k, c in components.items() if k is not K.CONTROLNET}
    if not candidate.denoiser or candidate.denoiser.kind not in networks:
        # Nothing was read: the family alone can speak, through a stand-in that takes nothing.
        return _family_problem(family) + found
    unusable = fit.not_yet(networks, family)
    if unusable:
        return [unusable, *found]
    if set(networks) == {p.kind for p in candidate.parts} - {K.CONTROLNET}:
        missing = {f"The {words.component(k)} is missing." for k in ComponentKind}
        found += [p for p in fit.problems(networks, family, own) if p not in missing]
    return found


def _family_problem(family: Family) -> list[str]:
    """`fit.not_yet` of a model that is known by its family only."""
    kind = {Family.SD3: K.MMDIT, Family.SDXL_REFINER: K.REFINER}.get(family)
    if kind is None:
        return []
    stand_in = ComponentInfo(kind, (), FileFormat.PACKAGE, (), ())
    return [fit.not_yet({kind: stand_in}, family)]


def _missing(candidate: Candidate, family: Family) -> tuple[str, ...]:
    """Networks without which there is no picture; a broken one says what it lacks."""
    if candidate.kind is not ModelKind.TEXT_TO_IMAGE or family in (Family.SD3, Family.SDXL_REFINER):
        return ()
    told = {fault.partition(":")[0]: fault for fault in candidate.faults}
    kinds = fit.missing_kinds({p.kind for p in candidate.parts}, family)
    return tuple(told.get(words.component(k), words.component(k)) for k in kinds)


def _title(variant: Variant, candidate: Candidate) -> str:
    """``Split einsum v2 · compiled · 6-bit palette``."""
    parts = [candidate.model]
    if variant.kind is ModelKind.CONTROLNET:
        count = len(variant.controlnets)
        parts = list(variant.controlnets) if count < 3 else [f"{count} ControlNets"]
    elif candidate.denoiser is None and len(candidate.parts) == 1:
        parts.append(words.component(candidate.parts[0].kind))
    parts += [_attention(variant), words.FORMATS[variant.format], variant.compression]
    parts += ["in chunks"] if variant.chunked else []
    parts += [words.CONTROLNET_READY] if variant.controlnet_ready else []
    parts += ["with refiner"] if candidate.has_refiner else []
    parts += ["zip"] if variant.archive else []
    return _joined(parts)


def looked_into(variant: Variant) -> bool:
    """Whether a variant's facts come from its files rather than from names and sizes."""
    known = variant.attention_known or variant.image_width > 0
    return known or bool(variant.minimum_macos) or bool(variant.made_of)


# Without a candidate


def closed_archive(repo: str, archive: RemoteFile, why: str) -> Variant:
    """A zip that was not looked into: only its name and size speak.

    Args:
        why: what is wrong with it, one sentence; empty: nothing that is known.
    """
    name = f"{repo}/{archive.path}"
    kind = heuristics.kind(_name(archive.path)) or ModelKind.TEXT_TO_IMAGE
    family = heuristics.family(name)
    problems = [why] if why else _family_problem(family)
    if kind is not ModelKind.TEXT_TO_IMAGE and not why:
        problems = []
    variant = Variant(
        id=archive.path,
        title="",
        files=(archive,),
        archive=True,
        format=heuristics.file_format(name),
        family=family,
        kind=kind,
        attention=heuristics.attention(name),
        compression=heuristics.compression(name),
        distilled=_distilled(heuristics.names_of(repo, archive.path), kind),
        controlnet_ready=heuristics.controlnet_ready(_name(archive.path)),
        download_bytes=archive.size,
        problems=tuple(problems),
    )
    parts = [
        _attention(variant),
        words.FORMATS[variant.format],
        variant.compression,
        words.CONTROLNET_READY if variant.controlnet_ready else "",
        "zip",
    ]
    return dataclasses.replace(variant, title=_joined(parts))


def upscaler(
    path: str, files: tuple[RemoteFile, ...], form: FileFormat, problem: str = ""
) -> Variant:
    """A network that enlarges pictures.  What it takes shows when it is first used."""
    size = sum(f.size for f in files)
    return Variant(
        id=path,
        title=f"{PurePosixPath(path).stem} · upscaler",
        files=files,
        folder=path.rpartition("/")[0],
        format=form,
        kind=ModelKind.UPSCALER,
        download_bytes=size,
        disk_bytes=size,
        problems=(problem,) if problem else (),
    )


def _joined(parts: list[str]) -> str:
    return words.capital(fit.plain(" · ".join(filter(None, parts))))


def _attention(variant: Variant) -> str:
    known = variant.attention is not Attention.UNKNOWN
    return words.attention(variant.attention) if known else ""


def _name(path: str) -> str:
    return PurePosixPath(path).name
