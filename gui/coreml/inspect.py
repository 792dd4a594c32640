"""See what is in a folder of Core ML files, without loading weights.

Reads manifests, specifications and program text only, and imports neither numpy nor torch nor
coremltools: the window process uses it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gui import words
from gui.coreml import dialect, fit, flexible, sidecar
from gui.coreml.compiled import describe_compiled
from gui.coreml.infer import complete, with_inferences
from gui.coreml.model import (
    Attention,
    ComponentInfo,
    ComponentKind,
    FileFormat,
    ModelInfo,
    TensorSpec,
    UNetKind,
)
from gui.coreml.names import (
    EXTENSIONS,
    VARIANT_FOLDERS,
    FileRole,
    controlnet_files,
    find_variants,
    model_files,
    role_of,
)
from gui.coreml.operations import unknown_to_portable
from gui.coreml.package import describe_package
from gui.coreml.sidecar import Sidecar
from gui.coreml.survey import Description
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.files import content_bytes, everything, exists, is_folder

_MACOS = {6: "12", 7: "13", 8: "14", 9: "15", 10: "26"}
"""Oldest macOS by Core ML specification version (coremltools' deployment targets)."""

_ATTENTIVE = frozenset(
    {
        ComponentKind.UNET,
        ComponentKind.CONTROL_UNET,
        ComponentKind.REFINER,
        ComponentKind.MMDIT,
        ComponentKind.CONTROLNET,
    }
)
_HASH_SAMPLE = 65536
PICTURE_CHANNELS = 3
_NAMED = 4
"""Folders or inputs that a sentence names."""


# One component


def inspect_component(path: Path) -> ComponentInfo:
    """Describe one `.mlpackage` or `.mlmodelc`.

    The kind comes from the file's name, or from its inputs where the name says nothing.

    Raises:
        SfumatoError: BAD_MODEL for a missing, damaged or foreign file, UNSUPPORTED for a Core ML
            model that is not an ML Program.
    """
    description = describe_file(path)
    role = role_of(path) or role_by_inputs(description)
    return component_of(role, (description,))


def describe_file(path: Path) -> Description:
    """Read one file; every way in which it can be broken becomes a `SfumatoError`."""
    form = EXTENSIONS.get(path.suffix.lower())
    if form is None:
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"{path.name} is no Core ML model; get the model again.", str(path)
        )
    if not is_folder(path):
        what = "is a file, not a folder" if exists(path) else "does not exist"
        raise SfumatoError(
            ErrorKind.BAD_MODEL, f"{path.name} {what}; get the model again.", str(path)
        )
    try:
        describe = describe_package if form is FileFormat.PACKAGE else describe_compiled
        found = describe(path)
        metadata = {**dialect.facts_beside(path), **found.metadata}
        return dataclasses.replace(found, metadata=metadata)
    except OSError as error:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{path.name} cannot be read; get the model again.",
            f"{path}: {error}",
        ) from error
    except (ValueError, LookupError, ArithmeticError, TypeError, RecursionError) as error:
        # A file may parse and yet say what makes no sense (a size of a thousand digits).
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The description in {path.name} makes no sense; get the model again.",
            repr(error),
        ) from error


def role_by_inputs(description: Description) -> FileRole:
    """The network that takes a file's inputs.

    Raises:
        SfumatoError: BAD_MODEL where it is none of Stable Diffusion's.
    """
    names = {t.name for t in description.inputs}
    kind = fit.kind_by_inputs(names)
    channels = description.inputs[0].shape[1:2] if description.inputs else ()
    if any(t.name.startswith(dialect.ADAPTER) for t in description.outputs) and len(names) == 1:
        return FileRole(ComponentKind.CONTROLNET, prefix=description.path.stem)
    if kind is ComponentKind.VAE_DECODER and channels == (PICTURE_CHANNELS,):
        kind = ComponentKind.VAE_ENCODER  # by Guernika's name for its input
    if kind is None:
        listed = ", ".join(sorted(names)[:_NAMED]) or "nothing"
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{description.path.name} is no part of a Stable Diffusion model (it takes "
            f"{listed}); choose another folder.",
            str(description.path),
        )
    return FileRole(kind)


def component_of(
    role: FileRole, parts: tuple[Description, ...], size_bytes: int | None = None
) -> ComponentInfo:
    """One component from its file, or from its two chunks in running order.

    `size_bytes` is given for files that are not on disk.
    """
    inputs: dict[str, TensorSpec] = {}
    produced: dict[str, TensorSpec] = {}
    for part in parts:
        for tensor in part.inputs:
            if tensor.name not in produced:
                inputs.setdefault(tensor.name, tensor)
        produced.update({t.name: t for t in part.outputs})
    attentions = {p.survey.attention for p in parts} - {Attention.UNKNOWN}
    attention = Attention.UNKNOWN
    if role.kind in _ATTENTIVE and attentions:
        attention = max(attentions, key=list(Attention).index)  # one chunk may show less
    forms = dict.fromkeys(p.survey.compression for p in parts)
    first = parts[0]
    component = ComponentInfo(
        kind=role.kind,
        files=tuple(p.path for p in parts),
        format=first.format,
        inputs=tuple(inputs.values()),
        outputs=parts[-1].outputs,
        attention=attention,
        compression="; ".join(filter(None, forms)),
        spec_version=max(p.spec_version for p in parts),
        function=first.function,
        functions=first.functions,
        size_bytes=sum(content_bytes(p.path) for p in parts) if size_bytes is None else size_bytes,
        name=role.prefix if role.kind is ComponentKind.CONTROLNET else "",
        unknown_operations=unknown_to_portable(o for p in parts for o in p.survey.operations),
        metadata=first.metadata,
        halvings=sum(p.survey.halvings for p in parts) if role.kind in _ATTENTIVE else 0,
    )
    return dialect.canonical(component)


# A folder


@dataclass
class _Findings:
    """What the files of one folder came to."""

    components: dict[ComponentKind, ComponentInfo] = field(default_factory=dict)
    controlnets: list[ComponentInfo] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    prefix: str = ""
    """The model's name as Apple's file names give it."""


def inspect_model(folder: Path) -> ModelInfo:
    """Describe the model in `folder`; never raises for a bad one, but says so in `problems`.

    A folder such as a repository's root, with the files one or two levels below, is followed to
    them if there is only one such place (`ModelInfo.folder` is then that place).
    """
    folder = folder.absolute()
    found = _Findings()
    place = _locate(folder, found)
    if place is not None:
        try:
            _gather(place, found)
        except OSError as error:
            found.problems.append(disk_error(error, "The folder cannot be read").what)
    place = place or folder
    stated = None
    try:
        stated = _read_sidecar(place)
    except SfumatoError as error:
        found.problems.append(error.what)
    own, fields = stated or (None, frozenset())
    return with_inferences(_model(place, found, own), own, fields)


def _locate(folder: Path, found: _Findings) -> Path | None:
    """The folder that holds the model's files, or None with the reason among the problems."""
    try:
        if not is_folder(folder):
            what = "is no folder" if exists(folder) else "does not exist"
            found.problems.append(f"{folder.name or folder} {what}.")
            return None
        if folder.suffix.lower() in EXTENSIONS:
            found.problems.append(
                f"{folder.name} is one part of a model; choose the folder that holds all its parts."
            )
            return None
        variants = find_variants(folder)
    except OSError as error:
        found.problems.append(disk_error(error, "The folder cannot be read").what)
        return None
    if not variants:
        found.problems.append("There are no Core ML models in this folder.")
        return None
    if len(variants) > 1:
        names = ", ".join(str(v.relative_to(folder)) for v in variants[:_NAMED])
        names += ", …" if len(variants) > _NAMED else ""
        found.problems.append(f"This folder holds several variants ({names}); choose one of them.")
        return None
    return variants[0]


def _gather(folder: Path, found: _Findings) -> None:
    """Describe every file and sort the descriptions into components."""
    whole: dict[ComponentKind, list[Path]] = {}
    chunks: dict[ComponentKind, dict[int, list[Path]]] = {}
    roles: dict[Path, FileRole] = {}
    for path in [*model_files(folder), *controlnet_files(folder)]:
        role = role_of(path)
        if role is None:
            try:
                role = role_by_inputs(describe_file(path))
            except SfumatoError as error:
                found.notes.append(f"Left aside: {error.what}")
                continue
        roles[path] = role
        if role.kind is ComponentKind.CONTROLNET:
            _add_controlnet(path, role, found)
        elif role.chunk:
            chunks.setdefault(role.kind, {}).setdefault(role.chunk, []).append(path)
        else:
            whole.setdefault(role.kind, []).append(path)
        if role.kind is ComponentKind.UNET:
            found.prefix = found.prefix or role.prefix
    for kind in ComponentKind:
        files = _choose(kind, whole.get(kind, []), chunks.get(kind, {}), found)
        if files:
            try:
                parts = tuple(describe_file(f) for f in files)
                component = component_of(roles[files[0]], parts)
                if len(parts) > 1:
                    fit.check_chain(parts)
                fit.check_contract(component)
                found.components[kind] = component
            except SfumatoError as error:
                found.problems.append(error.what)


def _add_controlnet(path: Path, role: FileRole, found: _Findings) -> None:
    """A ControlNet that is broken does not spoil the model."""
    try:
        component = component_of(role, (describe_file(path),))
        fit.check_contract(component)
        fit.check_operations(component)
        found.controlnets.append(component)
    except SfumatoError as error:
        found.notes.append(f"A ControlNet was left aside: {error.what}")


def _choose(
    kind: ComponentKind,
    whole: list[Path],
    chunks: dict[int, list[Path]],
    found: _Findings,
) -> list[Path]:
    """The files of one component.

    A whole network goes before its chunks (fewer files to load; chunks exist for phones' memory),
    a compiled file before a package (nothing left to compile).
    """
    if whole:
        if chunks:
            found.notes.append(f"The whole {words.component(kind)} is used, not its chunks.")
        return _one_of(kind, whole, found)
    if not chunks:
        return []
    if sorted(chunks) != [1, 2]:
        have = next(iter(chunks))
        found.problems.append(
            f"The {words.component(kind)} is in two chunks, and chunk {3 - have} is missing."
        )
        return []
    halves = [_one_of(kind, chunks[n], found) for n in (1, 2)]
    return halves[0] + halves[1] if all(halves) else []


def _one_of(kind: ComponentKind, files: list[Path], found: _Findings) -> list[Path]:
    """The one file to use, or none with a problem where two are alike."""
    for suffix in (".mlmodelc", ".mlpackage"):
        alike = [f for f in files if f.suffix.lower() == suffix]
        if len(alike) > 1:
            names = words.listed(f.name for f in alike[:2])
            found.problems.append(
                f"There are two of the {words.component(kind)} ({names}); "
                "keep one model per folder."
            )
            return []
        if alike:
            if len(files) > 1:
                found.notes.append(
                    f"The compiled {words.component(kind)} is used, not the package beside it."
                )
            return alike
    return []


def _model(folder: Path, found: _Findings, own: Sidecar | None) -> ModelInfo:
    components = dialect.with_text_states(found.components)
    components, sizes, contradiction = flexible.settled_on_own(components)
    found.problems += [contradiction] if contradiction else []
    found.components = components
    unet = fit.denoiser(components)
    family, family_notes = fit.family(components, own)
    size = fit.sizes(components)
    everything = [*components.values(), *found.controlnets]
    if components:
        found.problems += fit.problems(components, family, own)
        found.notes += family_notes
        found.notes += fit.notes(components, own)
    return ModelInfo(
        folder=folder,
        name=fit.plain(_name(folder, found, own)),
        components=components,
        controlnets=tuple(found.controlnets),
        family=family,
        attention=unet.attention if unet else Attention.UNKNOWN,
        compression=unet.compression if unet else "",
        latent_channels=size.channels,
        latent_height=size.latent_height,
        latent_width=size.latent_width,
        image_height=size.image_height,
        image_width=size.image_width,
        unet_batch=size.batch,
        context_channels=size.context,
        minimum_macos=oldest_macos(max((c.spec_version for c in everything), default=0)),
        size_bytes=sum(c.size_bytes for c in everything),
        problems=tuple(dict.fromkeys(map(fit.plain, found.problems))),
        notes=tuple(dict.fromkeys(map(fit.plain, found.notes))),
        unet_kind=fit.unet_kind(components) or UNetKind.STANDARD,
        sizes=sizes,
    )


def oldest_macos(spec_version: int) -> str:
    """Oldest macOS that knows a specification version; empty where unknown."""
    if 0 < spec_version < min(_MACOS):
        return "12"  # ML Programs began there
    return _MACOS.get(spec_version, "")


def _name(folder: Path, found: _Findings, own: Sidecar | None) -> str:
    """A name for people: the sidecar's, the source's, or the folder's."""
    if own is not None and own.name:
        return own.name
    unet = fit.denoiser(found.components)
    version = unet.metadata.get("versionString", "") if unet else ""
    if version.count("/") == 1 and not version.startswith(("/", ".", "~")):
        return version.split("/")[1]
    if found.prefix:
        return found.prefix
    place = folder
    while place.name.lower() in VARIANT_FOLDERS and place.parent != place:
        place = place.parent
    return place.name


# Sidecar and identity


def load_sidecar(info: ModelInfo) -> Sidecar:
    """The model's `sfumato.json`, with whatever it leaves out inferred from the files.

    Fields that were inferred are named in `Sidecar.inferred`.

    Raises:
        SfumatoError: BAD_MODEL for a `sfumato.json` that holds nonsense.
    """
    return complete(info, *(_read_sidecar(info.folder) or (None, frozenset())))


def _read_sidecar(folder: Path) -> tuple[Sidecar, frozenset[str]] | None:
    """The sidecar and the names of the fields it states."""
    return next((s for p in _sidecar_folders(folder) if (s := sidecar.read_stated(p))), None)


def _sidecar_folders(folder: Path) -> Iterable[Path]:
    """`folder`, then its parents as long as names only tell variants of one model apart."""
    yield folder
    while folder.name.lower() in VARIANT_FOLDERS and folder.parent != folder:
        folder = folder.parent
        yield folder


def model_hash(info: ModelInfo) -> str:
    """A short id of the model's files: ten hexadecimal digits, the same wherever they lie.

    Hashes every network's specification, and the size and three 64 KiB samples of its weights:
    fine-tunes of one model share their specification to the byte.  What was done to a finished
    model (`sidecar.PATCH`) counts too.

    Raises:
        SfumatoError: BAD_MODEL where a file cannot be read any more.
    """
    digest = hashlib.sha256()
    for kind in sorted(info.components):
        for path in info.components[kind].files:
            digest.update(kind.encode())
            try:
                for file in sorted(everything(path)):
                    if file.name in ("model.mlmodel", "model.mil") and file.is_file():
                        digest.update(hashlib.sha256(file.read_bytes()).digest())
                    elif file.suffix == ".bin" and file.parent.name == "weights":
                        _sample(file, digest)
            except OSError as error:
                raise SfumatoError(
                    ErrorKind.BAD_MODEL,
                    f"{path.name} cannot be read; get the model again.",
                    str(error),
                ) from error
    stated = _read_sidecar(info.folder)
    if stated and (patch := stated[0].extra.get(sidecar.PATCH)):
        # a LoRA changes weights between the samples
        digest.update(json.dumps(patch, sort_keys=True).encode())
    return digest.hexdigest()[:10]


def _sample(file: Path, digest: hashlib._Hash) -> None:
    size = file.stat().st_size
    digest.update(str(size).encode())
    with file.open("rb") as stream:
        for start in (0, (size - _HASH_SAMPLE) // 2, size - _HASH_SAMPLE):
            stream.seek(max(0, start))
            digest.update(stream.read(_HASH_SAMPLE))
