"""What window and Hub process say to each other, in the dialect of `gui.process.messages`.

No Qt and nothing heavy: huggingface_hub lives in the child (`gui.hub.service`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gui.hub.types import (
    Account,
    DownloadStatus,
    FileProblem,
    Machine,
    ModelSummary,
    Orphan,
    RepoDetails,
    SearchPage,
    SearchQuery,
)
from gui.process.messages import Event, Interface, Question
from gui.records import Record

CLOSE_SECONDS = 2.0
"""How long the child may take to bring its downloads safely to rest after a hang-up."""


# What is answered.


@dataclass(frozen=True)
class SearchAnswer(Record):
    """A page of results, and what the filters make of each."""

    page: SearchPage
    fits: tuple[bool | None, ...] = ()
    """One per result: whether it passes the query's filters; None: only its files can tell."""
    reference: str = ""
    """``owner/name`` where the text named one repository, which is then the only result."""


@dataclass(frozen=True)
class DetailsAnswer(Record):
    """A repository's details.  The variants' `files` are left out, as there may be thousands."""

    details: RepoDetails
    fits: bool | None = None
    """Whether it passes the filters of the query that was given along."""


# What is asked.


@dataclass(frozen=True)
class Search(Question[SearchAnswer]):
    query: SearchQuery
    cursor: str = ""
    """`SearchPage.cursor` of the page before."""


@dataclass(frozen=True)
class Details(Question[DetailsAnswer]):
    repo: str
    """``owner/name``, or an address on the Hub."""
    probe: bool = False
    """Whether to read its small files, for facts instead of guesses."""
    query: SearchQuery | None = None


@dataclass(frozen=True)
class FetchPicture(Question[str]):
    """The picture of a repository: a file; empty: it has none."""

    summary: ModelSummary


@dataclass(frozen=True)
class AskMachine(Question[Machine]):
    """What verdicts are for."""


@dataclass(frozen=True)
class Start(Question[DownloadStatus]):
    """Get a variant of a repository, or go on with getting it."""

    repo: str
    variant: str
    revision: str = ""


@dataclass(frozen=True)
class StartSource(Question[DownloadStatus]):
    """Get a repository's diffusers checkpoint, to convert it."""

    repo: str


@dataclass(frozen=True)
class Pause(Question[None]):
    download: str


@dataclass(frozen=True)
class Resume(Question[None]):
    download: str


@dataclass(frozen=True)
class Cancel(Question[None]):
    download: str


@dataclass(frozen=True)
class Downloads(Question[tuple[DownloadStatus, ...]]):
    """Every download that is not finished."""


@dataclass(frozen=True)
class Verify(Question[tuple[FileProblem, ...]]):
    """Check every file of an installed model."""

    folder: str


@dataclass(frozen=True)
class Repair(Question[DownloadStatus | None]):
    """Fetch the bad files of an installed model again; None: there are none."""

    folder: str


@dataclass(frozen=True)
class Orphans(Question[tuple[Orphan, ...]]):
    """Leftovers in the models folder."""


@dataclass(frozen=True)
class RemoveOrphan(Question[None]):
    path: str


@dataclass(frozen=True)
class Updates(Question[dict[str, str]]):
    """The newer revision of each installed model by its folder; empty: there is none."""


@dataclass(frozen=True)
class AskAccount(Question[Account]):
    """Who is signed in."""


@dataclass(frozen=True)
class SetToken(Question[Account]):
    """Keep a token and use it, if the Hub accepts it; empty: forget the one that is kept."""

    token: str


# What is told.


@dataclass(frozen=True)
class DownloadMoved(Event):
    status: DownloadStatus


@dataclass(frozen=True)
class VerifyProgress(Event):
    """How far the files of an installed model have been checked."""

    folder: str
    fraction: float


HUB = Interface(
    "hub",
    "The connection to the Hub",
    (
        Search, Details, FetchPicture, AskMachine, Start, StartSource, Pause, Resume, Cancel,
        Downloads, Verify, Repair, Orphans, RemoveOrphan, Updates, AskAccount, SetToken,
    ),
    (DownloadMoved, VerifyProgress),
    has_tokens=True,
    answers_while_busy=True,
)  # fmt: skip

REPEATABLE: frozenset[type[Question[Any]]] = frozenset(
    {Search, Details, FetchPicture, AskMachine, Start, StartSource, Resume, Downloads, Verify,
     Orphans, Updates, AskAccount}
)  # fmt: skip
"""Questions of which a second one does no more than the first, so that one lost with the child may
be asked again."""

PATIENCE: dict[type[Question[Any]], float] = {
    Search: 90.0, Details: 90.0, FetchPicture: 60.0, AskAccount: 120.0
}  # fmt: skip
"""Seconds after which a question counts as lost in the child, which has shorter limits itself for
everything the network does.  Others may take as long as they need."""
