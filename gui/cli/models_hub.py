"""What `sfumato models` does with the Hub and with the models' folder."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths
from gui.cli import models_text
from gui.convert.client import Unfinished, is_at_work
from gui.convert.client import unfinished as unfinished_conversions
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.hub.catalog.catalog import Catalog, parse_reference, passes
from gui.hub.catalog.details import details
from gui.hub.downloads import Downloads
from gui.hub.downloads.plan import FOLDER
from gui.hub.installed import (
    folder_bytes,
    installed,
    model_folders,
    repair,
    update_available,
    verify,
)
from gui.hub.leftovers import kept_sources, not_read
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

if TYPE_CHECKING:
    from gui.cli.progress import Progress

_TICK = 0.2
_READERS = 4
"""File lists that are read at a time where a filter needs them."""
_MAX_EXAMINED = 1000
_MAX_PAGES = 100
"""Some may be empty."""


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
        revision: branch, tag or commit; empty: the newest.

    Raises:
        SfumatoError: BAD_REQUEST, NOT_FOUND, ACCESS, NETWORK.
    """
    repo = parse_reference(reference)
    if repo is None:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"“{reference}” does not name a model on the Hub; write it as owner/name.",
        )
    if revision:
        catalog = _Pinned(catalog, catalog.tree(repo, revision).revision)
    return details(catalog, repo, this_machine(), probe)


# Downloads


def fetch(
    start: Callable[[Downloads], DownloadStatus],
    catalog: Catalog,
    progress: Progress,
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
    """Every model in the models' folder (without a repository where it came from elsewhere), and
    downloads that can go on."""
    known = {model.folder: model for model in installed(paths.models_dir())}
    found = [
        known.get(str(folder)) or InstalledModel(str(folder), "", "", "", folder_bytes(folder))
        for folder in model_folders(paths.models_dir())
    ]
    return found, unfinished()


def updates(
    catalog: Catalog, models: list[InstalledModel]
) -> tuple[dict[str, str], dict[str, SfumatoError]]:
    """New revisions by folder; and why there are none where the Hub has the model no more.

    Raises:
        SfumatoError: NETWORK.
    """
    newer, closed = {}, {}
    for model in models:
        if not model.repo:
            continue
        try:
            revision = update_available(catalog, model)
        except SfumatoError as error:
            if error.kind is ErrorKind.NETWORK:
                raise
            closed[model.folder] = error  # gone from the Hub, or closed to us
            continue
        if revision:
            newer[model.folder] = revision
    return newer, closed


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
    repo = parse_reference(text)
    for model in models:
        if _is_same(text, model.folder):
            return model
    found = [m for m in models if m.repo == repo and variant in ("", m.variant)]
    if len(found) == 1:
        return found[0]
    if not found:
        what = f"variant {variant} of {text}" if variant else f"model {text}"
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"There is no installed {what}; see what there is with `sfumato models list`.",
        )
    raise _several(text, "installed", found)


def _several(
    text: str, what: str, found: Sequence[InstalledModel | DownloadStatus]
) -> SfumatoError:
    names = ", ".join(one.variant for one in found)
    return SfumatoError(
        ErrorKind.BAD_REQUEST, f"Several variants of {text} are {what}; add --variant: {names}."
    )


def _is_same(text: str, folder: str) -> bool:
    """Whether what was typed is the path of a folder."""
    try:
        typed = Path(text).expanduser().absolute()
        return typed == Path(folder) or typed.samefile(folder)
    except (OSError, RuntimeError, ValueError):  # no such file, no such home, no such name
        return False


def verify_model(model: InstalledModel, progress: Progress) -> tuple[FileProblem, ...]:
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
    progress: Progress,
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
                delete(self.folder)


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
        repo = parse_reference(text)
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
    repo = parse_reference(text)
    checkpoints = [source for source in kept_sources() if source.checkpoint]
    return next((s for s in checkpoints if _is_same(text, s.path) or s.repo == repo), None)


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
        if text == begun.title or any(_is_same(text, place) for place in places):
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
    return Removable(begun.folder, title, folder_bytes(begun.folder))


def delete(folder: Path) -> None:
    """Delete a model or a checkpoint: all of it, or it stays as it was.

    Raises:
        SfumatoError: STORAGE.
    """
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        # Under a hidden name first: what is deleted half-way must not look like a model.
        doomed = folder.with_name(f".removed-{uuid.uuid4().hex[:8]}")
        folder.rename(doomed)
        shutil.rmtree(doomed)
        if folder.parent != paths.models_dir():
            with contextlib.suppress(OSError):  # other variants are still in it
                folder.parent.rmdir()
    except OSError as error:
        raise disk_error(error, f"{folder} could not be deleted") from error
