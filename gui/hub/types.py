"""What is said of models on the Hub: the vocabulary of search, verdicts and downloads.

Plain frozen dataclasses that cross the process boundary as JSON.  Standard library only: the window
imports this.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gui.coreml.model import Attention, Family, FileFormat
from gui.errors import SfumatoError
from gui.library.models.records import FileProblem as FileProblem
from gui.library.models.records import InstalledModel as InstalledModel
from gui.library.models.records import ModelKind as ModelKind
from gui.library.models.records import Orphan as Orphan
from gui.library.models.records import RemoteFile as RemoteFile
from gui.library.models.records import Span as Span
from gui.records import Record

# Search


class Sort(StrEnum):
    LIKES = "likes"
    DOWNLOADS = "downloads"
    TRENDING = "trending"
    RECENT = "recent"


@dataclass(frozen=True)
class SearchQuery(Record):
    """What to look for.  Text, author and sort are the Hub's work; the rest is judged here, from
    each repository's files."""

    text: str = ""
    author: str = ""
    """``apple``, ``coreml-community`` …; empty: anyone."""
    sort: Sort = Sort.LIKES
    families: tuple[Family, ...] = ()
    """Empty: every family.  Likewise below."""
    kinds: tuple[ModelKind, ...] = ()
    attentions: tuple[Attention, ...] = ()
    compressions: tuple[str, ...] = ()
    """``none``, ``palette`` or ``linear``."""
    max_bytes: int = 0
    """Largest download; 0: any."""
    fits: bool = False
    """Only models with a variant that runs well or passably on this machine."""
    licence: str = ""
    """A licence tag such as ``creativeml-openrail-m``; empty: any."""

    @property
    def needs_details(self) -> bool:
        """Whether a filter can only be judged from a repository's file list."""
        return bool(self.attentions or self.compressions or self.max_bytes or self.fits)


@dataclass(frozen=True)
class ModelSummary(Record):
    """One search result, from the listing alone."""

    id: str
    """``owner/name``"""
    revision: str = ""
    """Commit hash of the main branch."""
    likes: int = 0
    downloads: int = 0
    updated: str = ""
    """ISO 8601."""
    gated: str = ""
    """Empty, ``auto`` or ``manual``."""
    private: bool = False
    licence: str = ""
    tags: tuple[str, ...] = ()
    family: Family = Family.UNKNOWN
    family_stated: bool = False
    """False: a guess from name and tags."""
    kind: ModelKind = ModelKind.TEXT_TO_IMAGE
    total_bytes: int = 0
    """Of the whole repository; 0: not stated."""
    picture_url: str = ""
    """Of a picture in the model card or repository; empty: none known yet."""
    base_model: str = ""
    """Repository of the model that it was made from or for, where the card says it."""
    triggers: tuple[str, ...] = ()
    """Of a LoRA: the words that call up what it was taught."""
    remembered: str = ""
    """Why the Hub could not be asked, one sentence, where this is what it said before."""

    @property
    def author(self) -> str:
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        return self.id.partition("/")[2] or self.id


@dataclass(frozen=True)
class SearchPage(Record):
    """A stretch of results."""

    models: tuple[ModelSummary, ...]
    cursor: str = ""
    """Pass it to get the next page; empty: that was all."""
    stale: str = ""
    """Set when the Hub could not be reached and these are remembered results: when they were
    fetched, ISO 8601."""
    stale_reason: SfumatoError | None = None


# Repositories


@dataclass(frozen=True)
class RepoTree(Record):
    """All a repository's files at one commit."""

    id: str
    revision: str
    files: tuple[RemoteFile, ...]


class Level(StrEnum):
    """How well a variant will do on this machine."""

    GOOD = "good"
    FAIR = "fair"
    """Runs, but slowly or narrowly; the reasons say why."""
    NO = "no"
    """Will not run here, or Sfumato cannot run it."""


@dataclass(frozen=True)
class Verdict(Record):
    level: Level = Level.FAIR
    reasons: tuple[str, ...] = ()
    """One short sentence each, the weightiest first; never empty."""


@dataclass(frozen=True)
class Distilled(Record):
    """How a model is used that was distilled to make pictures in a few steps."""

    steps: int
    method: str = ""
    """``LCM``, ``Lightning`` …; empty: not known."""
    is_guess: bool = True
    """Only names suggest it."""


WITH_REFINER = "with-refiner"
"""Ends the id of a variant that brings its refiner along."""


@dataclass(frozen=True)
class Variant(Record):
    """One way to have a repository's model: files that together make one model folder."""

    id: str
    """Folder in the repository (``split_einsum/packages``), the zip's path, or ``.`` for the root.
    What follows a ``#`` tells the variants of one folder apart: ``unet`` or ``chunks``,
    ``packages`` or ``compiled``, a model's or ControlNet's name, several joined by ``+``."""
    title: str
    """For people: ``Split einsum v2 · compiled · 6-bit palette``."""
    files: tuple[RemoteFile, ...]
    """What has to be fetched; for a zip, the one archive."""
    folder: str = ""
    """Prefix that all `files` share and that is dropped on installing; empty: the root."""
    archive: bool = False
    spans: tuple[Span, ...] = ()
    """Of a part of an archive: the bytes of it that are fetched, in order and apart, its directory
    among them.  Empty: the whole files."""
    inside: tuple[str, ...] = ()
    """The part: folders and files in the archive.  Empty: all of it."""
    format: FileFormat = FileFormat.PACKAGE
    family: Family = Family.UNKNOWN
    kind: ModelKind = ModelKind.TEXT_TO_IMAGE
    attention: Attention = Attention.UNKNOWN
    attention_known: bool = False
    """True: read from files.  False: only names suggest it."""
    compression: str = ""
    """As `gui.coreml.survey.Survey.compression` words it; empty: none, or not known."""
    distilled: Distilled | None = None
    """None: it takes as many steps as its family, as far as is known."""
    components: tuple[str, ...] = ()
    """`ComponentKind` values."""
    chunked: bool = False
    has_encoder: bool = False
    has_safety_checker: bool = False
    controlnet_ready: bool = False
    controlnets: tuple[str, ...] = ()
    made_of: str = ""
    """Of a LoRA, for people: ``LoRA of rank 32``; empty: not looked into."""
    image_width: int = 0
    """0: not known before the download."""
    image_height: int = 0
    minimum_macos: str = ""
    download_bytes: int = 0
    disk_bytes: int = 0
    """When installed; during unpacking both are needed."""
    weight_bytes: int = 0
    """On disk, of all networks that make a picture (the VAE encoder is not among them)."""
    unet_bytes: int = 0
    """The UNet's share of them."""
    memory_bytes: int = 0
    """Expected peak while making a picture, on the machine of the verdict; 0: not known."""
    missing: tuple[str, ...] = ()
    """Components a complete model would need, in words."""
    problems: tuple[str, ...] = ()
    """Why Sfumato cannot run it on any machine, one sentence each; empty if it can."""
    notes: tuple[str, ...] = ()
    """Things worth knowing that do not stop use, one sentence each."""
    verdict: Verdict = Verdict()
    recommended: bool = False

    @property
    def without_refiner(self) -> str:
        """The id of the same without its refiner; empty: it has none that was left out there."""
        place, _, suffix = self.id.partition("#")
        rest = suffix.removesuffix(WITH_REFINER)
        if rest == suffix:
            return ""
        return f"{place}#{rest.removesuffix('+')}" if rest else place


@dataclass(frozen=True)
class RepoDetails(Record):
    """What is known of a repository once its file list has been read."""

    summary: ModelSummary
    revision: str
    variants: tuple[Variant, ...] = ()
    description: str = ""
    """First plain paragraph of the model card."""
    base_model: str = ""
    """Repository this was converted from, where the card says it."""
    examples: tuple[str, ...] = ()
    """Prompts from the card's widget."""
    triggers: tuple[str, ...] = ()
    """Of a LoRA: the words that call up what it was taught."""
    notes: tuple[str, ...] = ()
    """Why there is nothing to download, what was left aside …"""
    probed: bool = False
    """Small files were read too, so that attention, sizes and macOS are facts."""

    @property
    def recommended(self) -> Variant | None:
        return next((v for v in self.variants if v.recommended), None)

    def variant(self, variant_id: str) -> Variant | None:
        return next((v for v in self.variants if v.id == variant_id), None)


@dataclass(frozen=True)
class Machine(Record):
    """What a verdict is for."""

    system: str
    """``Darwin`` or ``Linux``."""
    macos: str = ""
    """``15.2``; empty elsewhere."""
    chip: str = ""
    """``Apple M2 Pro``, or the processor's name."""
    apple_silicon: bool = False
    cores: int = 1
    performance_cores: int = 0
    memory_bytes: int = 0
    free_disk_bytes: int = 0
    """On the disk that holds the models."""
    build: str = ""
    """Of the system: ``24C101``; elsewhere its kernel's release."""
    lacks: tuple[str, ...] = ()
    """Instructions that models are computed with and that the processor has not, as far as its
    system says: ``SSE4.2``, ``AVX2``."""


# Downloads and installed models


class DownloadState(StrEnum):
    QUEUED = "queued"
    FETCHING = "fetching"
    PAUSED = "paused"
    """By the person, or because the app was closed; goes on from the last byte."""
    WAITING = "waiting"
    """Between two attempts, after a network failure."""
    UNPACKING = "unpacking"
    VERIFYING = "verifying"
    DONE = "done"
    FAILED = "failed"
    """Needs the person; what was fetched is kept."""
    CANCELLED = "cancelled"
    """What was fetched is gone."""

    @property
    def live(self) -> bool:
        """Whether it still moves by itself."""
        return self in (
            DownloadState.QUEUED,
            DownloadState.FETCHING,
            DownloadState.WAITING,
            DownloadState.UNPACKING,
            DownloadState.VERIFYING,
        )


@dataclass(frozen=True)
class DownloadStatus(Record):
    """Where one download stands."""

    id: str
    """Stable across restarts; also the name of its folder."""
    repo: str
    variant: str
    title: str
    revision: str
    state: DownloadState
    bytes_total: int
    bytes_done: int = 0
    """Fetched and on disk, files already present counted."""
    bytes_fetched: int = 0
    """Over the network since this download began, repeated ones counted again."""
    files_total: int = 0
    files_done: int = 0
    bytes_per_second: float = 0.0
    seconds_left: float = 0.0
    """0: not known."""
    retry_in: float = 0.0
    """Seconds until the next attempt, while waiting."""
    folder: str = ""
    """Where the model was installed, once done."""
    error: SfumatoError | None = None
    interrupted: bool = False
    """Paused because the app ended or crashed, not by the person."""


@dataclass(frozen=True)
class Account(Record):
    """Who is signed in."""

    signed_in: bool = False
    name: str = ""
    source: str = ""
    """``keychain``, ``environment`` (HF_TOKEN) or ``file`` (huggingface-cli login); empty: none."""
    problem: str = ""
    """Why a token that is there does not work; one sentence."""
