"""What `sfumato models` does with the Hub and with the models' folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gui import files, paths
from gui.cli import models_text
from gui.cli.progress import say
from gui.convert.client import Unfinished, is_at_work
from gui.convert.client import unfinished as unfinished_conversions
from gui.errors import ErrorKind, SfumatoError
from gui.hub.account import load_token
from gui.hub.catalog.catalog import Catalog, passes
from gui.hub.catalog.details import details
from gui.hub.downloads import Downloads
from gui.hub.downloads.plan import FOLDER
from gui.hub.installed import repair, update_available
from gui.hub.machine import this_machine
from gui.hub.types import (
    DownloadState,
    DownloadStatus,
    FileProblem,
    InstalledModel,
    ModelSummary,
    Orphan,
    RepoDetails,
    SearchQuery,
    Variant,
)
from gui.library.addons import addons
from gui.library.models.folders import installed
from gui.library.models.leftovers import kept_sources, not_read
from gui.library.models.removal import delete_model
from gui.library.models.verify import verify
from gui.names import parse_reference, parse_repository, same_repository

if TYPE_CHECKING:
    from gui.cli.progress import ProgressLine

_TICK = 0.2
_READERS = 4
"""File lists that are read at a time where a filter needs them."""
_MAX_EXAMINED = 1000
_MAX_PAGES = 100
"""Some may be empty."""


def open_catalog() -> Catalog:
    """The Hub, with this person's token."""
    try:
        token, _ = load_token()
    except SfumatoError as error:  # a locked keychain: most models need no token
        say(error.message)
        token = None
    return Catalog(token=token)


# Search


def results(
    catalog: Catalog, query: SearchQuery, limit: int, on_stale: Callable[[str], None]
) -> Iterator[ModelSummary]:
    """Results that pass the filters.

    Args:
        on_stale: told, for each page, when it was fetched (ISO 8601; empty: not known) if the Hub
            cannot be reached.

    Raises:
        SfumatoError: NETWORK, ACCESS.
    """
    cursor, given, examined = "", 0, 0
    seen: set[str] = set()
    for _ in range(_MAX_PAGES):
        page, reference = catalog.look_for(query, cursor)
        if page.stale:
            on_stale(page.stale)
        # Results move from page to page while people like and download.
        fresh = tuple(model for model in page.models if model.id not in seen)
        seen.update(model.id for model in fresh)
        for model in fresh if reference else _passing(catalog, query, fresh):
            yield model
            given += 1
            if given == limit:
                return
        examined += len(page.models)
        cursor = page.cursor
        if not cursor or examined >= _MAX_EXAMINED:
            return


def _passing(
    catalog: Catalog, query: SearchQuery, models: tuple[ModelSummary, ...]
) -> Iterator[ModelSummary]:
    machine = this_machine()

    def judge(model: ModelSummary) -> bool:
        verdict = passes(query, model, None)
        if verdict is None:
            try:
                verdict = passes(query, model, details(catalog, model.id, machine))
            except SfumatoError:  # gated, or gone since: it cannot be shown to fit
                verdict = False
        return bool(verdict)

    pool = ThreadPoolExecutor(_READERS)
    try:
        for model, good in zip(models, pool.map(judge, models), strict=True):
            if good:
                yield model
    finally:  # as soon as there are enough results, nothing more is read
        pool.shutdown(wait=False, cancel_futures=True)


class _Pinned(Catalog):
    """A catalogue in which one repository stands at another commit than its newest."""

    def __init__(self, catalog: Catalog, commit: str) -> None:
        super().__init__(catalog.endpoint, catalog.token)
        self._pinned = commit

    def summary(self, repo: str) -> ModelSummary:
        return replace(super().summary(repo), revision=self._pinned)


def details_at(
    catalog: Catalog, reference: str, revision: str = "", *, probe: bool = True
) -> RepoDetails:
    """What can be had of a repository.

    Args:
        reference: ``owner/name`` or an address.
        revision: branch, tag or commit; empty: what the address says, else the newest.

    Raises:
        SfumatoError: BAD_REQUEST, NOT_FOUND, ACCESS, NETWORK.
    """
    named = parse_reference(reference)
    if named is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{reference}” does not name a model on the Hub; write it as owner/name.",
        )
    if revision := revision or named.revision:
        catalog = _Pinned(catalog, catalog.tree(named.repo, revision).revision)
    return details(catalog, named.repo, this_machine(), probe)


# Downloads


def fetch(
    start: Callable[[Downloads], DownloadStatus],
    catalog: Catalog,
    progress: ProgressLine,
    again: str,
    offline: str = "",
) -> DownloadStatus | None:
    """Run one download to its end; None: stopped with Ctrl-C, and kept.

    Args:
        start: starts it.
        again: the command that goes on with it.
        offline: set where the Hub could not be reached a moment ago, one sentence: what is not on
            this machine already is then not waited for.

    Raises:
        SfumatoError: what it failed with; what was fetched is kept.
    """
    try:
        with Downloads(endpoint=catalog.endpoint, token=lambda: catalog.token) as downloads:
            status = start(downloads)
            while status.state.live:
                if offline and status.state is DownloadState.WAITING:
                    status = downloads.pause(status.id)
                    break
                part = status.bytes_done / status.bytes_total if status.bytes_total else 0.0
                progress.bar(min(part, 1.0), models_text.download_text(status))
                status = downloads.wait(status.id, _TICK)
            if status.state is not DownloadState.DONE and not status.bytes_done:
                downloads.cancel(status.id)  # there is nothing to go on from
    except KeyboardInterrupt:
        progress.line(f"Stopped; what was fetched is kept.  `{again}` goes on from there.")
        return None
    finally:
        progress.clear()
    if status.state is DownloadState.DONE:
        return status
    if offline:
        raise SfumatoError(ErrorKind.NETWORK, offline)
    raise status.error or SfumatoError(
        ErrorKind.NETWORK, f"The download has stopped; go on with `{again}`."
    )


def half_fetched(found: RepoDetails) -> Variant | None:
    """The variant of a repository of which part is on the disk, if it is one only."""
    repo = found.summary.id
    begun = [found.variant(status.variant) for status in unfinished() if status.repo == repo]
    return begun[0] if len(begun) == 1 else None


def unfinished() -> tuple[DownloadStatus, ...]:
    """Downloads that can go on."""
    with Downloads() as downloads:
        return downloads.all()


def under_way() -> tuple[DownloadStatus, ...]:
    """Downloads that the window or another command is at."""
    with Downloads() as downloads:
        return downloads.elsewhere()


# The library


def library() -> tuple[list[InstalledModel], tuple[DownloadStatus, ...]]:
    """Every model in the models' folder (without a repository where it came from elsewhere), the
    ControlNets, LoRAs and upscalers, and downloads that can go on."""
    return [*installed(), *addons()], unfinished()


@dataclass
class UpdateReport:
    """What the Hub says of installed models."""

    newer: dict[str, str] = field(default_factory=dict)
    """New revision by folder."""
    closed: dict[str, SfumatoError] = field(default_factory=dict)
    """By folder: why the Hub has the model no more."""
    offline: SfumatoError | None = None
    """Why it could not be asked, from some model on."""


def updates(catalog: Catalog, models: list[InstalledModel]) -> UpdateReport:
    """Ask the Hub for newer versions."""
    found = UpdateReport()
    for model in models:
        if not model.repo:
            continue
        try:
            revision = update_available(catalog, model)
        except SfumatoError as error:
            if error.kind is ErrorKind.NETWORK:
                found.offline = error
                break
            found.closed[model.folder] = error  # gone from the Hub, or closed to us
            continue
        if revision:
            found.newer[model.folder] = revision
    return found


def chosen_models(model: str, variant: str = "", *, or_all: bool = False) -> list[InstalledModel]:
    """The installed model that was named, or all that came from the Hub.

    Raises:
        SfumatoError: NOT_FOUND; BAD_REQUEST where several are meant.
    """
    models, _ = library()
    if not model and or_all:
        return [m for m in models if m.repo]
    return [_named(model, variant, models)]


def _named(text: str, variant: str, models: list[InstalledModel]) -> InstalledModel:
    for model in models:
        if files.same(text, model.folder):
            return model
    repo = parse_repository(text) or ""
    found = _of(repo, variant, models)
    if repo and not found and (renamed := _present_name(repo)):
        found = _of(renamed, variant, models)
    if len(found) == 1:
        return found[0]
    if not found:
        what = f"variant {variant} of {text}" if variant else f"model {text}"
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no installed {what}; see what there is with `sfumato models list`.",
        )
    raise _several(text, "installed", found)


def _of(repo: str, variant: str, models: list[InstalledModel]) -> list[InstalledModel]:
    return [
        model
        for model in models
        if model.repo and same_repository(model.repo, repo) and variant in ("", model.variant)
    ]


def _present_name(repo: str) -> str:
    """What the Hub calls a repository now, which may have been renamed; empty: it is not known."""
    try:
        return open_catalog().summary(repo).id
    except SfumatoError:
        return ""


def _several(
    text: str, what: str, found: Sequence[InstalledModel | DownloadStatus]
) -> SfumatoError:
    names = ", ".join(one.variant for one in found)
    return SfumatoError(
        ErrorKind.BAD_REQUEST, f"Several variants of {text} are {what}; add --variant: {names}."
    )


def verify_model(model: InstalledModel, progress: ProgressLine) -> tuple[FileProblem, ...]:
    """Raises SfumatoError (NOT_FOUND) where nothing says what the files should be."""
    name = Path(model.folder).name
    try:
        return verify(Path(model.folder), lambda part: progress.bar(part, f"checking {name}"))
    finally:
        progress.clear()


def repair_model(
    model: InstalledModel,
    problems: tuple[FileProblem, ...],
    catalog: Catalog,
    progress: ProgressLine,
) -> DownloadStatus | None:
    """Fetch bad files again; None: stopped with Ctrl-C.

    Raises:
        SfumatoError: NETWORK, ACCESS, NOT_FOUND, STORAGE.
    """

    def start(downloads: Downloads) -> DownloadStatus:
        status = repair(downloads, catalog, Path(model.folder), problems)
        assert status is not None  # there are problems
        return status

    return fetch(start, catalog, progress, f"sfumato models verify --repair {model.repo}")


@dataclass(frozen=True)
class Removable:
    """Something that can be removed: a model, an unfinished download or conversion, or a kept
    checkpoint."""

    folder: Path
    title: str
    bytes: int
    download: str = ""
    """Id of an unfinished download."""

    def remove(self) -> None:
        """Delete it.

        Raises:
            SfumatoError: STORAGE; NOT_FOUND for a download that has ended meanwhile; BAD_REQUEST
                for a checkpoint that is being converted.
        """
        if self.download:
            with Downloads() as downloads:
                downloads.cancel(self.download)
        else:
            with not_read(self.folder):
                delete_model(self.folder)


def to_remove(text: str, variant: str) -> Removable:
    """What was named.

    Raises:
        SfumatoError: NOT_FOUND, BAD_REQUEST.
    """
    models, downloads = library()
    try:
        model = _named(text, variant, models)
    except SfumatoError as error:
        if not variant and (begun := _conversion(text)):
            return begun
        repo = parse_repository(text)
        left = [
            d for d in (*downloads, *under_way()) if d.repo == repo and variant in ("", d.variant)
        ]
        if not left and not variant and (kept := _kept_source(text)):
            return Removable(Path(kept.path), f"the checkpoint of {kept.repo}", kept.bytes)
        if error.kind is not ErrorKind.NOT_FOUND or not left:
            raise
        if len(left) > 1:
            raise _several(text, "being downloaded", left) from None
        folder = paths.models_dir() / FOLDER / left[0].id
        title = f"the unfinished download of {repo}"
        return Removable(folder, title, left[0].bytes_done, left[0].id)
    folder = Path(model.folder)
    return Removable(folder, model.repo or folder.name, model.bytes)


def _kept_source(text: str) -> Orphan | None:
    """A checkpoint kept for conversion, by its repository or its folder."""
    repo = parse_repository(text)
    checkpoints = [source for source in kept_sources() if source.checkpoint]
    return next((s for s in checkpoints if files.same(text, s.path) or s.repo == repo), None)


def conversions() -> list[Unfinished]:
    """Conversions in the models' folder that have not ended: interrupted, or under way."""
    return unfinished_conversions(paths.models_dir(), at_work=True)


def _conversion(text: str) -> Removable | None:
    """A conversion, by its title or its folder.

    Raises:
        SfumatoError: BAD_REQUEST for one that is under way.
    """
    for begun in conversions():
        places = (str(begun.folder), begun.request.output)
        if text == begun.title or any(files.same(text, place) for place in places):
            break
    else:
        return None
    if is_at_work(begun.folder):
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"{begun.title} is being converted; cancel that first, and nothing is left of it.",
            str(begun.folder),
        )
    title = f"the unfinished conversion of {begun.title}"
    return Removable(begun.folder, title, files.disk_bytes(begun.folder))
