"""The Hub's vocabulary, for widgets: they know the Hub only through the window's state."""

from gui.coreml.model import Attention, Family, FileFormat
from gui.hub.types import (
    Account,
    DownloadState,
    DownloadStatus,
    FileProblem,
    Level,
    Machine,
    ModelKind,
    ModelSummary,
    Orphan,
    RepoDetails,
    SearchQuery,
    Sort,
    Variant,
    Verdict,
)

__all__ = [
    "Account",
    "Attention",
    "DownloadState",
    "DownloadStatus",
    "Family",
    "FileFormat",
    "FileProblem",
    "Level",
    "Machine",
    "ModelKind",
    "ModelSummary",
    "Orphan",
    "RepoDetails",
    "SearchQuery",
    "Sort",
    "Variant",
    "Verdict",
]
