"""What a catalogue of the Hub shows: its rows, and where the search stands."""

from __future__ import annotations

from dataclasses import dataclass

from gui import words
from gui.errors import SfumatoError
from gui.hub.types import DownloadStatus, ModelSummary, RepoDetails
from gui.state import describe


@dataclass(frozen=True)
class CatalogueRow:
    """One search result with what has been found out about it."""

    summary: ModelSummary
    details: RepoDetails | None = None
    """None until they have been asked for (`HubCatalogue.want`) and have come."""
    picture: str = ""
    """Path of a small picture; empty: none (yet)."""
    installed: bool = False
    """Whether any variant is in the library."""
    download: DownloadStatus | None = None
    problem: str = ""
    """Why the details could not be had, in one sentence."""


@dataclass(frozen=True)
class CatalogueState:
    """Where the search stands."""

    phase: str = "idle"
    """``idle`` (nothing asked yet), ``loading`` (no rows yet), ``ready``, ``empty``, ``offline``
    (with remembered rows or none) or ``error`` (the rows so far stay)."""
    message: str = ""
    """One sentence for the person; empty where there is nothing to say."""
    error: SfumatoError | None = None
    more: bool = False
    """Whether there is another page to fetch."""
    examined: int = 0
    """Results seen, fitting or not."""
    checking: int = 0
    """Results held back until their files have been read."""
    loading_more: bool = False
    resting: bool = False
    """So many results were looked through for so few that fit, that going on is left to the person
    (`HubCatalogue.look_further`)."""
    reference: str = ""
    """``owner/name`` where the text named one repository, the only row."""


def catalogue_sentence(row: CatalogueRow) -> str:
    """All a result card shows, to be read aloud."""
    summary = row.summary
    parts = [f"{summary.name} by {summary.author}"]
    if summary.family.value != "unknown":
        parts.append(words.family(summary.family))
    if row.details is not None and (best := row.details.recommended) is not None:
        parts.append(f"{words.size(best.download_bytes)} to download")
    elif summary.total_bytes:
        parts.append(f"{words.size(summary.total_bytes)} in all")
    likes = words.plural(summary.likes, "like")
    parts.append(f"{likes}, {words.plural(summary.downloads, 'download')}")
    if day := words.day(summary.updated):
        parts.append(f"Updated {day}")
    if summary.gated:
        parts.append("Its terms must be accepted first")
    if row.installed:
        parts.append("Installed")
    if row.details is not None and (level := describe.best_level(row.details)):
        parts.append(words.LEVELS[level])
    if row.download is not None:
        parts.append(describe.download_state(row.download, ", ").rstrip(".…"))
    if row.problem:
        parts.append(row.problem.rstrip(".…"))
    return ". ".join(parts) + "."
