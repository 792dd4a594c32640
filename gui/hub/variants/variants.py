"""What a repository offers for download, from its file list and a few small reads.

Nothing is believed of a folder's name while a file can say it: each model that the files make
(`gui.hub.variants.candidates`) has its UNet's description read where it can be, inside zips too.
Without a probe, or past its limit, sizes and names stand in and `Variant.attention_known` is False.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from gui.coreml import fit
from gui.coreml.control_networks import GENERIC
from gui.coreml.inspect import role_by_inputs
from gui.coreml.model import ComponentKind, FileFormat
from gui.coreml.names import FileRole
from gui.coreml.survey import Description
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import ModelKind, RemoteFile, RepoTree, Variant
from gui.hub.variants import assembly, heuristics
from gui.hub.variants.assembly import Place
from gui.hub.variants.candidates import Candidate, Part, find_candidates
from gui.hub.variants.descriptions import THREADS, Reader
from gui.hub.variants.inventory import Bundle, Inventory, take_inventory
from gui.hub.variants.probe import Budget, Probe, ProbeLimit
from gui.hub.variants.zip_directory import ZipProbe
from gui.names import is_debris

K = ComponentKind

MAX_FILE_READS = 12
"""Small files read per repository …"""
MAX_DIRECTORY_READS = 12
"""… and stretches of zips' directories besides."""
COLLECTION_READS = 60
"""Either, of a collection of ControlNets: dozens of zips, whose small files are short."""

MAX_VARIANTS = 200
"""More than any honest repository has."""

_MAX_BROKEN = 3
"""Folders without a whole model that are named."""

_TORCH = (".safetensors", ".ckpt", ".pt", ".pth")


def find_variants(
    tree: RepoTree, probe: Probe | None = None
) -> tuple[tuple[Variant, ...], tuple[str, ...]]:
    """Every model that can be had from a repository, unjudged, and what to know besides.

    Args:
        tree: all files of the repository.
        probe: reads small stretches of them; None: names and sizes must do.

    Returns:
        Variants by folder, and sentences: why there are none, what was left aside.
    """
    finder = _Finder(tree, probe)
    variants = finder.find()
    return variants, tuple(map(fit.plain, dict.fromkeys(finder.notes)))


class _Finder:
    def __init__(self, tree: RepoTree, probe: Probe | None) -> None:
        self.tree = tree
        self.notes: list[str] = []
        self.reader = Reader()
        many = heuristics.kind(tree.id) is ModelKind.CONTROLNET
        reads = COLLECTION_READS if many else MAX_FILE_READS
        directories = COLLECTION_READS if many else MAX_DIRECTORY_READS
        self.small = Budget(probe, reads) if probe else None
        self.directories = Budget(probe, directories) if probe else None

    def find(self) -> tuple[Variant, ...]:
        inventory = take_inventory(self.tree.files)
        places = self._folders(inventory)
        zipped, closed = self._zips(inventory)
        if zipped or closed:  # a text encoder beside an archive is a part of what is in it
            places = [p for p in places if p.candidate.denoiser or not _is_model(p.candidate)]
        places += zipped
        total = len(places) + len(closed)
        places = places[:MAX_VARIANTS]
        self.reader.read_sidecars(
            (p.candidate.sidecar, p.probe) for p in places if p.candidate.sidecar and p.probe
        )
        self.reader.read(_reading_order(places))
        variants = [assembly.assemble(self.tree.id, p, self.reader, self.role) for p in places]
        variants += [assembly.closed_archive(self.tree.id, a, why) for a, why in closed]
        if not variants:
            variants = self._upscalers(inventory)
        self._explain(inventory, variants)
        total = max(total, len(variants))
        if total > MAX_VARIANTS:
            self.notes.append(f"Only the first {MAX_VARIANTS} of {total} are listed.")
        return _distinct(variants[:MAX_VARIANTS])

    def role(self, bundle: Bundle) -> FileRole | None:
        """What a bundle is: its name says it, or the inputs it takes, or, unread, where it lies."""
        if bundle.role is not None:
            return bundle.role
        description = self.reader.known(bundle)
        if description is None and self._is_controlnet(bundle):
            return FileRole(K.CONTROLNET, prefix=PurePosixPath(bundle.path).stem)
        if not isinstance(description, Description):
            return None
        try:
            return role_by_inputs(description)
        except SfumatoError:
            return None

    def _is_controlnet(self, bundle: Bundle) -> bool:
        """Collections of ControlNets hold dozens, named after what they steer by."""
        return heuristics.kind(f"{self.tree.id}/{bundle.path}") is ModelKind.CONTROLNET

    def _folders(self, inventory: Inventory) -> list[Place]:
        self._identify(inventory, self.small)
        places = []
        broken = []
        folders = _by_folder(inventory)
        for candidate in find_candidates(inventory, self.role):
            if candidate.parts:
                beside = folders.get(candidate.folder, ())
                places.append(Place(candidate, self.small, beside=beside))
            else:
                broken.append(candidate)
        for candidate in broken[:_MAX_BROKEN]:
            where = candidate.folder or "This repository"
            self.notes.append(f"{where} holds no whole model ({'; '.join(candidate.faults)}).")
        if len(broken) > _MAX_BROKEN:
            self.notes.append(f"{len(broken) - _MAX_BROKEN} more folders hold no whole model.")
        return places

    def _identify(self, inventory: Inventory, probe: Probe | None) -> None:
        """Read bundles whose name says nothing, half of what may be read at most."""
        nameless = [b for b in inventory.bundles if b.role is None and not b.fault]
        if probe is None:
            return
        self.reader.read((b, probe) for b in nameless[: MAX_FILE_READS // 2])
        unread = sum(self.role(b) is None and self.reader.known(b) is None for b in nameless)
        if unread and self.reader.trouble is None:
            what = "One Core ML file" if unread == 1 else f"{unread} Core ML files"
            self.notes.append(f"{what} whose names say nothing were not looked into.")

    # Zips

    def _zips(self, inventory: Inventory) -> tuple[list[Place], list[tuple[RemoteFile, str]]]:
        """Zips that were looked into; the others, with what is wrong where that is known."""
        places: list[Place] = []
        closed: list[tuple[RemoteFile, str]] = []
        with ThreadPoolExecutor(THREADS, "zip") as pool:
            opened = list(pool.map(self._open, inventory.archives))
        for archive, result in zip(inventory.archives, opened, strict=True):
            if isinstance(result, str):
                closed.append((archive, result))
                continue
            inner = take_inventory(result.files)
            self._identify(inner, result)
            found = [d for d in find_candidates(inner, self.role, whole=True) if d.parts]
            candidates = _archive_candidates(archive, inner, found)
            folders = _by_folder(inner)
            unpacked = sum(f.size for f in result.files if not is_debris(f.path))
            for candidate in candidates:
                beside = folders.get(candidate.folder, ())
                place = Place(candidate, result, archive, beside, unpacked)
                places.append(_wanted_alone(place, result, len(candidates) > 1))
            if not candidates:
                name = PurePosixPath(archive.path).name
                self.notes.append(f"{name} holds no model that Sfumato knows.")
        return places, closed

    def _open(self, archive: RemoteFile) -> ZipProbe | str:
        """A zip's contents, else a sentence on what is wrong with it; empty: not known."""
        if self.directories is None or self.reader.trouble is not None:
            return ""
        try:
            return ZipProbe(self.directories, archive, self.small)
        except ProbeLimit:
            self.reader.limited = True
        except SfumatoError as error:
            if error.kind is ErrorKind.BAD_MODEL:
                return error.message
            self.reader.trouble = self.reader.trouble or error
        return ""

    # Words

    def _upscalers(self, inventory: Inventory) -> list[Variant]:
        """Networks of a repository that is about enlarging pictures."""
        found = []
        for bundle in inventory.bundles:
            if heuristics.kind(f"{self.tree.id}/{bundle.path}") is ModelKind.UPSCALER:
                found.append(assembly.upscaler(bundle.path, bundle.files, bundle.format))
        for file in inventory.single_models:
            if heuristics.kind(f"{self.tree.id}/{file.path}") is ModelKind.UPSCALER:
                form = FileFormat.PACKAGE
                found.append(assembly.upscaler(file.path, (file,), form, assembly.OLD_KIND))
        return found

    def _explain(self, inventory: Inventory, variants: Sequence[Variant]) -> None:
        """Notes on the whole: why there is nothing, and how far to trust what there is."""
        if not variants and not self.notes:
            self.notes.append(self._why_nothing(inventory))
        if inventory.foreign_archives:
            name = PurePosixPath(inventory.foreign_archives[0].path).name
            self.notes.append(f"Only zip archives can be unpacked, so {name} was left aside.")
        if inventory.unsafe:
            several = f"{inventory.unsafe} files with unsafe or repeated names were left aside."
            one = "A file with an unsafe or repeated name was left aside."
            self.notes.append(one if inventory.unsafe == 1 else several)
        if self.reader.trouble is not None:
            self.notes.append(
                "The files could not be looked into, so names and sizes had to do. "
                + self.reader.trouble.message
            )
        elif self.reader.limited and not all(assembly.looked_into(v) for v in variants):
            self.notes.append(
                "There is too much here to look into each file; some of this is judged from "
                "names and sizes."
            )

    def _why_nothing(self, inventory: Inventory) -> str:
        if inventory.bundles:
            return "This repository holds Core ML models, but none that Sfumato knows."
        if inventory.single_models:
            return "This repository holds only an older kind of Core ML model (.mlmodel)."
        if any(f.path.lower().endswith(_TORCH) for f in self.tree.files):
            return "This repository holds a model for PyTorch, which has to be converted first."
        return "This repository holds no Core ML model."


def _by_folder(inventory: Inventory) -> dict[str, tuple[Bundle, ...]]:
    found: dict[str, list[Bundle]] = {}
    for bundle in inventory.bundles:
        found.setdefault(bundle.parent, []).append(bundle)
    return {folder: tuple(bundles) for folder, bundles in found.items()}


def _archive_candidates(
    archive: RemoteFile, inner: Inventory, candidates: list[Candidate]
) -> list[Candidate]:
    """What can be had of an archive: of each model in it what would be used of a folder (compiled
    before packages, whole before chunks), and each ControlNet, often the same at several sizes."""
    chosen: dict[tuple[str, str], Candidate] = {}
    for one in sorted(candidates, key=lambda d: (d.format is not FileFormat.COMPILED, d.chunked)):
        own = one.model if _is_model(one) else one.suffix
        chosen.setdefault((one.folder, own), one)
    problems: tuple[str, ...] = ()
    if inner.unsafe:
        problems = ("The archive holds files with unsafe names, so it is not unpacked.",)
    found = []
    for (folder, own), one in sorted(chosen.items()):
        where = "/".join(filter(None, (folder, own))) or "."
        found.append(
            dataclasses.replace(
                one,
                parts=tuple(_named_by(archive, part) for part in one.parts),
                suffix=where if len(chosen) > 1 else "",
                problems=(*one.problems, *problems),
            )
        )
    return found


def _named_by(archive: RemoteFile, part: Part) -> Part:
    """A ControlNet whose file is called just that has the archive's name."""
    if part.kind is not K.CONTROLNET or part.name.lower() not in ("", *GENERIC):
        return part
    stem = re.sub(
        r"^(?:controlnet|t2iadapter)[-_ ]+",
        "",
        PurePosixPath(archive.path).stem,
        flags=re.IGNORECASE,
    )
    return dataclasses.replace(part, name=stem)


def _wanted_alone(place: Place, contents: ZipProbe, several: bool) -> Place:
    """Fetch only a part of an archive that holds other models too, or much that is not used."""
    assert place.archive is not None
    spans = contents.spans(place.inside)
    saved = place.archive.size - sum(span.bytes for span in spans)
    if not several and saved < assembly.MENTIONED_BYTES:
        return place
    return dataclasses.replace(place, spans=spans)


def _reading_order(places: Sequence[Place]) -> list[tuple[Bundle, Probe]]:
    """Bundles worth describing, most telling first: every UNet, then what there is besides."""
    ranked: list[tuple[int, Bundle, Probe]] = []
    for place in places:
        if place.probe is not None:
            for part in place.candidate.parts:
                rank = _rank(place.candidate, part)
                ranked += [(rank, b, place.probe) for b in part.bundles]
    ranked.sort(key=lambda entry: entry[0])
    return [(bundle, probe) for _, bundle, probe in ranked]


def _rank(candidate: Candidate, part: Part) -> int:
    if part is candidate.denoiser:
        return 1 if len(part.bundles) > 1 else 0  # the whole one beside tells what chunks are
    if candidate.kind is ModelKind.CONTROLNET:
        return 0
    return 2 if part.kind is K.VAE_DECODER else 3


def _is_model(candidate: Candidate) -> bool:
    return candidate.kind is ModelKind.TEXT_TO_IMAGE


def _distinct(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Titles that tell variants apart: by the pictures' size where that differs, then by where
    they lie."""
    found = list({v.id: v for v in reversed(variants)}.values())[::-1]
    for tell in (_sizes, _places, _ids):
        alike: dict[str, list[Variant]] = {}
        for v in found:
            alike.setdefault(v.title, []).append(v)
        more: dict[str, str] = {}
        for group in alike.values():
            if len(group) > 1:
                more.update(zip(_ids(group), map(fit.plain, tell(group)), strict=True))
        found = [
            dataclasses.replace(v, title=f"{v.title} · {more[v.id]}") if more.get(v.id) else v
            for v in found
        ]
    return tuple(found)


def _sizes(group: Sequence[Variant]) -> list[str]:
    texts = [f"{v.image_width} × {v.image_height}" if v.image_width else "" for v in group]
    return texts if len(set(texts)) > 1 else [""] * len(texts)


def _places(group: Sequence[Variant]) -> list[str]:
    """Where variants lie: the words of their paths that not all have in common."""
    places = [v.id.removesuffix(".zip").partition("#")[0] for v in group]
    words = [re.findall(r"[^/_\s]+", "" if place == "." else place) for place in places]
    common = set.intersection(*map(set, words))
    short = [" ".join(w for w in each if w not in common) for each in words]
    return short if len(set(short)) == len(short) else places


def _ids(group: Sequence[Variant]) -> list[str]:
    return [v.id for v in group]
