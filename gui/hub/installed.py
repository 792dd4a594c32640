"""What installed models need the Hub for: files fetched again, and newer versions.

Which models there are, and whether they are whole, is `gui.library.models`' to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.plan import Plan, Purpose, digest_of, download_id
from gui.hub.types import DownloadStatus, RepoTree, Variant
from gui.library.models.origin import ModelOrigin, local_path, origin_of
from gui.library.models.records import FileProblem, InstalledModel
from gui.library.models.verify import verify

if TYPE_CHECKING:
    from gui.hub.catalog.catalog import Catalog
    from gui.hub.downloads import Downloads


def _plan_of(origin: ModelOrigin, target: str) -> Plan:
    variant = Variant(
        id=origin.variant,
        title=origin.title,
        files=origin.remote,
        folder=origin.prefix,
        archive=origin.archive,
        spans=origin.spans,
        inside=origin.inside,
        kind=origin.kind,
        download_bytes=sum(span.bytes for span in origin.spans)
        or sum(file.size for file in origin.remote),
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


def _is_gone(origin: ModelOrigin, tree: RepoTree) -> bool:
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


def _top(origin: ModelOrigin, path: str) -> str:
    """The package (or file) of the model that a path in the repository belongs to; empty: none."""
    prefix = origin.prefix.strip("/")
    if prefix not in ("", ".") and not path.startswith(prefix + "/"):
        return ""
    return local_path(prefix, path).partition("/")[0]
