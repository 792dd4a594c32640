"""Models on disk that came from the Hub: what there is, whether it is sound, what is left over.

A model's `sfumato.json` says where it came from (`extra["hub"]`) and the SHA-256 of every file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gui import paths
from gui.coreml import sidecar as sidecars
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.hub.downloads import names
from gui.hub.downloads.origin import (
    FINDERS,
    Origin,
    holds_files,
    holds_packages,
    model_folders,
    origin_of,
)
from gui.hub.downloads.plan import (
    FOLDER,
    Plan,
    Purpose,
    WorkFolder,
    digest_of,
    download_id,
    local_path,
)
from gui.hub.downloads.storage import reading_error
from gui.hub.types import (
    DownloadStatus,
    FileProblem,
    InstalledModel,
    Orphan,
    RepoTree,
    Variant,
)

if TYPE_CHECKING:
    from gui.hub.catalog.catalog import Catalog
    from gui.hub.downloads import Downloads

_PIECE = 1 << 20
_LITTER = re.compile(r"\.removed-|\..*\.old-")
"""What a model is called while it is deleted, or has made room for its successor."""


def _plan_of(origin: Origin, target: str) -> Plan:
    variant = Variant(
        id=origin.variant,
        title=origin.title,
        files=origin.remote,
        folder=origin.prefix,
        archive=origin.archive,
        download_bytes=sum(file.size for file in origin.remote),
        disk_bytes=sum(origin.sizes.values()),
    )
    return Plan(
        id=download_id(origin.repo, origin.variant, Purpose.MODEL),
        repo=origin.repo,
        revision=origin.revision,
        title=Path(target).name if target else origin.title,
        purpose=Purpose.MODEL,
        variant=variant,
        target=target,
    )


def installed(root: Path | None = None) -> tuple[InstalledModel, ...]:
    """The models below `root` that came from the Hub."""
    found = []
    for folder in model_folders(root or paths.models_dir()):
        origin = origin_of(folder)
        if origin is not None:
            found.append(
                InstalledModel(
                    folder=str(folder),
                    repo=origin.repo,
                    revision=origin.revision,
                    variant=origin.variant,
                    bytes=folder_bytes(folder),
                    installed=origin.installed,
                )
            )
    return tuple(found)


# Verifying and repairing


def verify(
    folder: Path,
    on_progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[FileProblem, ...]:
    """Compare every file of an installed model with what was installed.

    Args:
        folder: the model.
        on_progress: told the fraction that is done, 0 … 1.
        cancelled: asked often; True: give up and return what was found so far.

    Raises:
        SfumatoError: NOT_FOUND where the model's files are not known; STORAGE where the folder
            cannot be read.
    """
    hashes, sizes = _expected(folder)
    total = sum(sizes.get(path, 0) for path in hashes) or 1
    done = 0
    problems = []
    for path, expected in sorted(hashes.items()):
        if cancelled():
            break
        size = sizes.get(path)
        before = done

        def on_bytes(count: int, before: int = before) -> None:
            on_progress(min(1.0, (before + count) / total))

        what = _problem(folder / path, size, expected, on_bytes, cancelled)
        if what:
            problems.append(FileProblem(path, what))
        done += size or 0
        on_progress(min(1.0, done / total))
    return tuple(problems)


def _expected(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """SHA-256 and size by path."""
    try:
        sidecar = sidecars.read(folder)
    except SfumatoError:
        sidecar = None
    if sidecar is None or not sidecar.hashes:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"Sfumato does not know what the files of “{folder.name}” should be, as it did not "
            "download them; get the model from the Hub to have it checked.",
            str(folder),
        )
    hub = sidecar.extra.get("hub")
    sizes = hub.get("sizes") if isinstance(hub, dict) else None
    sound: dict[str, str] = {}
    for path, digest in sidecar.hashes.items():
        with contextlib.suppress(SfumatoError):
            names.checked_path(path)
            sound[path] = str(digest)
    known = sizes if isinstance(sizes, dict) else {}
    return sound, {str(k): v for k, v in known.items() if isinstance(v, int)}


def _problem(
    path: Path,
    size: int | None,
    expected: str,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> str:
    """What is wrong with a file: `FileProblem.what`, or nothing."""
    try:
        if not path.is_file():
            return "missing"
        if size is not None and path.stat().st_size != size:
            return "size"
        digest = hashlib.sha256()
        count = 0
        with path.open("rb") as file:
            while data := file.read(_PIECE):
                if cancelled():
                    return ""
                digest.update(data)
                count += len(data)
                on_bytes(count)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        if error.errno == errno.EIO:
            return "hash"  # a worn-out place of the disk: of no more use than wrong bytes
        raise reading_error(error, path) from error
    return "" if digest.hexdigest() == expected else "hash"


def repair(
    downloads: Downloads,
    catalog: Catalog | None,
    folder: Path,
    problems: tuple[FileProblem, ...] | None = None,
) -> DownloadStatus | None:
    """Fetch the bad files of an installed model again, from the commit it was installed from.

    Files that came in an archive cannot be had singly: the archive is fetched again then.

    Args:
        downloads: does the fetching; the returned status's id follows it.
        catalog: not needed; kept so that callers need not care.
        folder: the model.
        problems: what `verify` found; None: verify first.

    Returns:
        None where nothing is wrong.

    Raises:
        SfumatoError: NOT_FOUND where the model did not come from the Hub; and as
            `Downloads.start`.
    """
    del catalog
    found = verify(folder) if problems is None else problems
    if not found:
        return None
    origin = origin_of(folder)
    if origin is None:
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"“{folder.name}” did not come from the Hub, so its files cannot be fetched again; "
            "get it where it came from.",
            str(folder),
        )
    plan = _plan_of(origin, str(folder.absolute()))
    if origin.archive:
        return downloads.start_plan(plan)
    bad = {problem.path for problem in found}
    files = tuple(file for file in origin.remote if origin.local_path(file) in bad)
    return downloads.start_repair(
        folder.absolute(), origin.repo, origin.revision, plan.variant, files
    )


# Updates


def update_available(catalog: Catalog, model: InstalledModel) -> str:
    """The revision to which this variant could be updated; empty: it is as the Hub has it.

    A newer commit that leaves the variant's files alone is none.

    Raises:
        SfumatoError: NOT_FOUND where the Hub does not have the variant any more; the Hub cannot be
            asked.
    """
    summary = catalog.summary(model.repo)
    if summary.remembered:
        raise SfumatoError(ErrorKind.NETWORK, summary.remembered)
    revision = summary.revision
    if not revision or revision == model.revision:
        return ""
    origin = origin_of(Path(model.folder))
    if origin is None:
        return ""
    tree = catalog.tree(model.repo, revision)
    there = {file.path: file for file in tree.files}
    if _is_gone(origin, tree):
        raise SfumatoError(
            ErrorKind.NOT_FOUND,
            f"The newest version of “{model.repo}” does not have this variant any more; keep what "
            "is installed, or choose another variant.",
            f"{origin.variant} at {revision}",
        )
    for file in origin.remote:
        other = there.get(file.path)
        if other is None or digest_of(other) != digest_of(file):
            return revision
    if origin.archive:
        return ""
    # A new file inside a package is an update too; a new read-me beside the packages is not.
    known = {file.path for file in origin.remote}
    tops = {_top(origin, path) for path in known}
    return revision if any(_top(origin, p) in tops for p in set(there) - known) else ""


def _is_gone(origin: Origin, tree: RepoTree) -> bool:
    """Whether a newer version of the repository offers something else in place of a variant."""
    if origin.archive:
        return not {file.path for file in origin.remote} <= {file.path for file in tree.files}
    tops = {_top(origin, file.path) for file in tree.files}
    if all(_top(origin, file.path) in tops for file in origin.remote):
        return False
    # Some of its packages have gone; it may be complete without them.
    from gui.hub.variants.variants import find_variants

    variants, _ = find_variants(tree)
    return not any(variant.id == origin.variant for variant in variants)


def _top(origin: Origin, path: str) -> str:
    """The package (or file) of the model that a path in the repository belongs to; empty: none."""
    prefix = origin.prefix.strip("/")
    if prefix not in ("", ".") and not path.startswith(prefix + "/"):
        return ""
    return local_path(prefix, path).partition("/")[0]


# Leftovers and disk use


def orphans(root: Path | None = None) -> tuple[Orphan, ...]:
    """What lies in the models' folder and belongs to no model and no download under way."""
    root = root or paths.models_dir()
    found = []
    for entry in _children(root / FOLDER):
        work = WorkFolder(root, entry.name)
        if entry.is_dir() and (work.is_locked() or not _children(entry)):
            continue  # under way, or just going away
        plan = work.load() if entry.is_dir() else None
        found.append(
            Orphan(
                path=str(entry),
                bytes=folder_bytes(entry),
                repo=plan.repo if plan else "",
                download=plan.id if plan else "",
            )
        )
    models = set(model_folders(root))
    for top in _children(root):
        if top in models or not top.is_dir():
            continue
        inner = [child for child in _children(top) if child.is_dir()]
        owner = any(child in models or _is_litter(child) for child in inner)
        found += [
            Orphan(path=str(folder), bytes=folder_bytes(folder))
            for folder in (inner if owner else [top])
            if folder not in models and _is_leftover(folder)
        ]
    return tuple(found)


def _is_litter(folder: Path) -> bool:
    """Whether a deletion or an exchange of folders was ended before it could tidy up."""
    return bool(_LITTER.match(folder.name))


def _is_leftover(folder: Path) -> bool:
    """Not what a person may have put there: files that did not come from the Hub, other hidden
    folders, models deeper down than the library looks, or a conversion under way."""
    if folder.name.startswith("."):
        return _is_litter(folder)
    return not folder.name.endswith(".partial") and not holds_packages(folder) and _is_ours(folder)


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds no files, or what is left of models from the Hub and nothing else."""
    if not holds_files(folder) or origin_of(folder) is not None:
        return True
    return all(
        child.is_dir() and (not holds_files(child) or origin_of(child) is not None)
        for child in _children(folder)
        if child.name not in FINDERS
    )


def delete(path: Path) -> None:
    """Delete a leftover.

    Raises:
        SfumatoError: STORAGE where it cannot be deleted.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise undeletable(path, error) from error


def undeletable(path: Path, error: OSError) -> SfumatoError:
    """A leftover that stays."""
    return disk_error(error, f"“{path.name}” could not be deleted", detail=f"{path}: {error!r}")


def disk_use(root: Path | None = None) -> int:
    """Bytes that the models' folder takes, unfinished downloads included."""
    return folder_bytes(root or paths.models_dir())


def folder_bytes(folder: Path) -> int:
    """Bytes on the disk of a folder or file; parts not fetched yet count nothing."""
    total = 0
    with contextlib.suppress(OSError):
        if not folder.is_dir() or folder.is_symlink():
            return folder.lstat().st_blocks * 512
    for base, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_blocks * 512  # noqa: PTH118
    return total


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
