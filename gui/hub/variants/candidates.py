"""Which bundles make up one model: a folder's, in each form that the folder offers.

A folder may hold a whole UNet and its two chunks, packages and compiled models side by side, or
several models told apart by the first part of their names; each becomes a candidate of its own, so
that nobody downloads a network twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from gui import words
from gui.coreml.control_networks import GENERIC
from gui.coreml.model import ComponentKind, FileFormat
from gui.coreml.names import CONTROLNET_FOLDER, FileRole
from gui.coreml.sidecar import FILE_NAME as SIDECAR
from gui.hub.types import WITH_REFINER, ModelKind, RemoteFile
from gui.hub.variants.inventory import Bundle, Inventory

K = ComponentKind
DENOISERS = (K.UNET, K.CONTROL_UNET, K.REFINER, K.MMDIT)
_COMPANION_FOLDERS = ("", "tokenizer", "tokenizer_2", "scheduler")
_FORM_NAMES = {FileFormat.PACKAGE: "packages", FileFormat.COMPILED: "compiled"}

MAX_CONTROLNETS = 100
"""Of one folder that go with a model in it; more than anyone has made."""

Role = Callable[[Bundle], FileRole | None]


@dataclass(frozen=True)
class Part:
    """One network: its bundle, or its two chunks in running order."""

    kind: ComponentKind
    bundles: tuple[Bundle, ...]
    name: str = ""
    """A ControlNet's own."""

    @property
    def weight_bytes(self) -> int:
        return sum(b.weight_bytes for b in self.bundles)


@dataclass(frozen=True)
class Candidate:
    """A model as it could be downloaded; `gui.hub.variants.variants` adds what its files say."""

    folder: str
    """In the repository or in the archive; empty: the root."""
    kind: ModelKind
    parts: tuple[Part, ...]
    companions: tuple[RemoteFile, ...] = ()
    model: str = ""
    """Name of the model where one folder holds several."""
    suffix: str = ""
    """What tells candidates of one folder apart; empty for the only one."""
    faults: tuple[str, ...] = ()
    """Networks that are there, but not whole: ``UNet: its weights are missing``."""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        found = [f for part in self.parts for bundle in part.bundles for f in bundle.files]
        return (*found, *self.companions)

    def part(self, kind: ComponentKind) -> Part | None:
        return next((p for p in self.parts if p.kind is kind), None)

    @property
    def denoiser(self) -> Part | None:
        return next((p for kind in DENOISERS if (p := self.part(kind))), None)

    @property
    def has_refiner(self) -> bool:
        """Whether a refiner comes with it."""
        return self.part(K.REFINER) is not None and self.part(K.UNET) is not None

    @property
    def sidecar(self) -> RemoteFile | None:
        """Its `sfumato.json`, which models that Sfumato converted have."""
        path = f"{self.folder}/{SIDECAR}" if self.folder else SIDECAR
        return next((f for f in self.companions if f.path == path), None)

    @property
    def chunked(self) -> bool:
        return any(len(p.bundles) > 1 for p in self.parts)

    @property
    def format(self) -> FileFormat:
        part = self.denoiser or next(iter(self.parts), None)
        return part.bundles[0].format if part else FileFormat.PACKAGE


@dataclass
class _Shelf:
    """One network's bundles in one folder, by form: whole ones and each chunk."""

    whole: dict[FileFormat, Bundle] = field(default_factory=dict)
    halves: dict[tuple[FileFormat, int], Bundle] = field(default_factory=dict)

    def pick(self, form: FileFormat, chunks: bool) -> tuple[Bundle, ...]:
        """In the wanted form, else in the other; nothing where there is neither."""
        for each in (form, *(f for f in FileFormat if f is not form)):
            whole = (self.whole[each],) if each in self.whole else ()
            pair = tuple(self.halves[each, n] for n in (1, 2) if (each, n) in self.halves)
            pair = pair if len(pair) == 2 else ()
            if found := (pair or whole) if chunks else (whole or pair):
                return found
        return ()


def find_candidates(inventory: Inventory, role: Role, *, whole: bool = False) -> list[Candidate]:
    """Every model that an inventory's bundles make, folder by folder.

    Args:
        whole: all of it comes at once, as it lies in an archive.
    """
    folders: dict[str, list[Bundle]] = {}
    for bundle in inventory.bundles:
        parent = bundle.parent
        head, _, last = parent.rpartition("/")
        if last.lower() == CONTROLNET_FOLDER:
            parent = head
        folders.setdefault(parent, []).append(bundle)
    candidates: list[Candidate] = []
    for folder, bundles in folders.items():
        companions = _companions(inventory, folder)
        candidates += _folder_candidates(folder, bundles, companions, role, whole)
    if any(d.denoiser for d in candidates):  # lone text encoders and the like are no models then
        candidates = [d for d in candidates if d.denoiser or d.kind is not ModelKind.TEXT_TO_IMAGE]
    return candidates


def _companions(inventory: Inventory, folder: str) -> tuple[RemoteFile, ...]:
    places = ["/".join(filter(None, (folder, sub))) for sub in _COMPANION_FOLDERS]
    return tuple(f for place in places for f in inventory.companions.get(place, ()))


def _folder_candidates(
    folder: str,
    bundles: list[Bundle],
    companions: tuple[RemoteFile, ...],
    role: Role,
    whole: bool,
) -> list[Candidate]:
    roles = {b.path: r for b in bundles if (r := role(b)) is not None}
    controlnets = [
        Part(K.CONTROLNET, (b,), _net_name(b, roles[b.path]))
        for b in bundles
        if b.path in roles and roles[b.path].kind is K.CONTROLNET and not b.fault
    ]
    own = [b for b in bundles if b.path in roles and roles[b.path].kind is not K.CONTROLNET]
    if not own:
        return [_controlnet_candidate(part) for part in controlnets]
    candidates = []
    beside = tuple(controlnets[:MAX_CONTROLNETS])
    for prefix, members in _by_model(own, roles).items():
        candidates += _model_candidates(folder, prefix, members, roles, beside, companions, whole)
    return candidates


def _net_name(bundle: Bundle, role: FileRole) -> str:
    """What a ControlNet is called: by its folder where its file is called just that."""
    name = role.prefix or bundle.name.rpartition(".")[0]
    return bundle.parent.rpartition("/")[2] or name if name.lower() in GENERIC else name


def _controlnet_candidate(part: Part) -> Candidate:
    bundle = part.bundles[0]
    return Candidate(bundle.parent, ModelKind.CONTROLNET, (part,), suffix=bundle.name)


def _by_model(bundles: list[Bundle], roles: dict[str, FileRole]) -> dict[str, list[Bundle]]:
    """A folder's bundles, model by model where the names tell several apart.

    Apple's package names begin with the model's; one folder may hold a dozen.  What belongs to no
    one of them by name (a shared text encoder) belongs to all.
    """
    keys = [(roles[b.path].kind, roles[b.path].chunk, b.format) for b in bundles if not b.fault]
    if len(keys) == len(set(keys)):
        return {"": bundles}
    names = dict.fromkeys(roles[b.path].prefix for b in bundles if roles[b.path].kind in DENOISERS)
    if len(names) < 2:
        return {"": bundles}
    models: dict[str, list[Bundle]] = {name: [] for name in names}
    shared: list[Bundle] = []
    seen: Counter[tuple[object, ...]] = Counter()
    for bundle in bundles:
        role = roles[bundle.path]
        if role.prefix in models:
            models[role.prefix].append(bundle)
            continue
        key = (role.kind, role.chunk, bundle.format, bool(bundle.fault))
        seen[key] += 1
        if seen[key] <= 2:  # two suffice to say that there are two
            shared.append(bundle)
    for mine in models.values():
        kinds = {roles[b.path].kind for b in mine}
        mine += [b for b in shared if roles[b.path].kind not in kinds]
    return models


def _model_candidates(
    folder: str,
    prefix: str,
    bundles: list[Bundle],
    roles: dict[str, FileRole],
    controlnets: tuple[Part, ...],
    companions: tuple[RemoteFile, ...],
    whole: bool,
) -> list[Candidate]:
    shelves, faults, problems = _shelve(bundles, roles)
    denoisers = [shelves[k] for k in DENOISERS if k in shelves]
    forms = [f for f in FileFormat if any(f in _forms(s) for s in denoisers or shelves.values())]
    candidates: dict[tuple[str, ...], Candidate] = {}
    for form in forms:
        split = any(form in s.whole and len(s.pick(form, True)) == 2 for s in denoisers)
        for chunks in (False, True) if split else (False,):
            parts = _choose(shelves, form, chunks)
            terms = [prefix] if prefix else []
            terms += [_FORM_NAMES[form]] if len(forms) > 1 else []
            terms += ["chunks" if chunks else "unet"] if split else []
            nets = _one_each(controlnets, form)
            candidate = Candidate(
                folder, ModelKind.TEXT_TO_IMAGE, (*parts, *nets), companions, prefix,
                "+".join(terms), faults, problems,
            )  # fmt: skip
            candidates.setdefault(tuple(f.path for f in candidate.files), candidate)
    if not candidates and faults:
        return [Candidate(folder, ModelKind.TEXT_TO_IMAGE, (), faults=faults)]
    found = list(candidates.values())
    if len(found) == 1:
        found = [replace(found[0], suffix=prefix)]
    return found if whole else _refiner_apart(found)


def _shelve(
    bundles: Iterable[Bundle], roles: dict[str, FileRole]
) -> tuple[dict[ComponentKind, _Shelf], tuple[str, ...], tuple[str, ...]]:
    """Bundles by network; what is broken, and what is there twice."""
    shelves: dict[ComponentKind, _Shelf] = {}
    broken: list[tuple[ComponentKind, str]] = []
    twice: dict[ComponentKind, str] = {}
    for bundle in bundles:
        role = roles[bundle.path]
        if bundle.fault:
            broken.append((role.kind, f"{words.component(role.kind)}: {bundle.fault}"))
            continue
        shelf = shelves.setdefault(role.kind, _Shelf())
        if role.chunk:
            other = shelf.halves.setdefault((bundle.format, role.chunk), bundle)
        else:
            other = shelf.whole.setdefault(bundle.format, bundle)
        if other is not bundle:
            twice.setdefault(
                role.kind,
                f"There are two of the {words.component(role.kind)} "
                f"({other.name} and {bundle.name}).",
            )
    faults = []
    for kind, fault in broken:
        if kind not in shelves or not any(shelves[kind].pick(f, False) for f in FileFormat):
            faults.append(fault)
    for kind, shelf in shelves.items():
        if shelf.halves and not any(shelf.pick(f, False) for f in FileFormat):
            faults.append(f"{words.component(kind)}: one of its two chunks is missing")
    return shelves, tuple(dict.fromkeys(faults)), tuple(twice.values())


def _forms(shelf: _Shelf) -> set[FileFormat]:
    return {*shelf.whole, *(form for form, _ in shelf.halves)}


def _choose(shelves: dict[ComponentKind, _Shelf], form: FileFormat, chunks: bool) -> list[Part]:
    parts = []
    for kind in ComponentKind:
        if kind in shelves and (bundles := shelves[kind].pick(form, chunks)):
            parts.append(Part(kind, bundles))
    return parts


def _one_each(controlnets: tuple[Part, ...], form: FileFormat) -> list[Part]:
    """Every ControlNet once, in the wanted form where it comes in two."""
    found: dict[str, Part] = {}
    for part in controlnets:
        key = part.name.lower()
        if key not in found or part.bundles[0].format is form:
            found[key] = part
    return list(found.values())


def _refiner_apart(candidates: list[Candidate]) -> list[Candidate]:
    """A model with a refiner beside it is offered twice: alone, as the refiner nearly doubles the
    download, and together with it."""
    found: list[Candidate] = []
    for candidate in candidates:
        refiner = candidate.part(K.REFINER)
        if refiner is None or candidate.part(K.UNET) is None:
            found.append(candidate)
            continue
        parts = tuple(part for part in candidate.parts if part is not refiner)
        size = words.size(sum(f.size for bundle in refiner.bundles for f in bundle.files))
        suffix = "+".join(filter(None, (candidate.suffix, WITH_REFINER)))
        alone = f"There is a refiner, too, for the last steps; it is {size} more."
        with_it = f"The refiner makes the last steps; it is {size} of the download."
        notes = candidate.notes
        found.append(replace(candidate, parts=parts, notes=(*notes, alone)))
        found.append(replace(candidate, suffix=suffix, notes=(*notes, with_it)))
    return found
