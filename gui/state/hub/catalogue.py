"""What the Hub has to offer, as an item model: one row per search result.

Rows keep the Hub's order.  Filters that only a repository's files can settle hold a result back
until they have been read, a few at a time and in order, so that rows are only ever appended.
Nothing is remembered here between runs; the Hub process does that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)

from gui import words
from gui.errors import ErrorKind, SfumatoError
from gui.hub.messages import Details, DetailsAnswer, FetchPicture, Search, SearchAnswer
from gui.hub.types import DownloadStatus, ModelSummary, RepoDetails, SearchQuery
from gui.state.hub.catalogue_rows import CatalogueRow, CatalogueState, catalogue_sentence
from gui.state.hub.thread import Hub

__all__ = ["CatalogueRow", "CatalogueState", "HubCatalogue"]

_Index = QModelIndex | QPersistentModelIndex

DEBOUNCE_MS = 250
"""Typing must rest this long before it is searched for."""

SCREENFUL = 20
"""Rows that a filtered search tries to find before it stops by itself …"""

PAGES_AT_ONCE = 8
"""… or else, so many pages looked through, it leaves going on to the person."""

CHECKS_AT_ONCE = 6
"""Repositories whose files are read at a time to settle a filter."""

_REMEMBERED = 1000


@dataclass
class _Held:
    """A result in line behind those that are still being judged."""

    summary: ModelSummary
    fits: bool | None
    details: RepoDetails | None = None
    request: int = 0


class HubCatalogue(QAbstractListModel):
    """Search results.  Rows carry `CatalogueRow` as UserRole.

    The view calls `want` with the rows it shows; details and pictures come for those only.

    Args:
        hub: the Hub process.
    """

    state_changed = Signal(CatalogueState)
    """`CatalogueState`"""
    row_changed = Signal(str)
    """Repository whose row has changed."""
    details_arrived = Signal(str, object)
    """Repository and its `RepoDetails`."""

    def __init__(self, hub: Hub, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self._rows: list[CatalogueRow] = []
        self._row_of: dict[str, int] = {}
        self._state = CatalogueState()
        self._query = SearchQuery()
        self._cursor = ""
        self._searching = 0
        self._pages_in_a_row = 0
        self._rows_before = 0
        self._failed_checks = 0
        self._unreachable: SfumatoError | None = None
        self._line: deque[_Held] = deque()
        self._seen: set[str] = set()
        self._asked_details: dict[str, int] = {}
        self._asked_pictures: dict[str, int] = {}
        self._wanted: list[str] = []
        # Of rows that a new search took away, and another may bring back.
        self._known: dict[str, RepoDetails] = {}
        self._pictures: dict[str, str] = {}
        self._installed: frozenset[str] = frozenset()
        self._downloads: dict[str, DownloadStatus] = {}
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(DEBOUNCE_MS)
        self._typing.timeout.connect(self.refresh)

    # -- what there is ------------------------------------------------------------------------

    @property
    def state(self) -> CatalogueState:
        return self._state

    @property
    def query(self) -> SearchQuery:
        return self._query

    def row(self, repo: str) -> CatalogueRow | None:
        number = self._row_of.get(repo)
        return None if number is None else self._rows[number]

    def row_of(self, repo: str) -> int:
        """Number of a repository's row, or -1."""
        return self._row_of.get(repo, -1)

    # -- what to look for ---------------------------------------------------------------------

    def set_query(self, query: SearchQuery) -> None:
        """Look for something else; a new text only once typing rests."""
        if query == self._query and self._state.phase != "idle":
            return
        only_text = replace(query, text=self._query.text) == self._query
        self._query = query
        if only_text and self._state.phase != "idle" and query.text:
            self._typing.start()
        else:
            self.refresh()

    def search_now(self) -> None:
        """Do not wait until typing rests."""
        if self._typing.isActive():
            self.refresh()

    def refresh(self) -> None:
        """Search anew from the first result."""
        self._typing.stop()
        self._forget_questions()
        self.beginResetModel()
        self._rows.clear()
        self._row_of.clear()
        self.endResetModel()
        self._seen.clear()
        self._cursor = ""
        self._failed_checks = 0
        self._unreachable = None
        self._set(CatalogueState("loading"))
        self._begin_round()

    def retry(self) -> None:
        """Try again what failed: the next page, or the whole search."""
        if self._rows and self._cursor and self._state.phase == "error":
            self._set(replace(self._state, phase="ready", message="", error=None))
            self._begin_round()
        else:
            self.refresh()

    def canFetchMore(self, parent: _Index = QModelIndex()) -> bool:  # noqa: B008
        idle = not self._searching and not self._line and self._state.phase != "error"
        wanted = bool(self._cursor) and not self._state.resting
        return not parent.isValid() and idle and wanted

    def fetchMore(self, parent: _Index = QModelIndex()) -> None:  # noqa: B008
        """Get the next page, or as many as give the next screenful of fitting rows."""
        if self.canFetchMore(parent):
            self._begin_round()

    def look_further(self) -> None:
        """Go on looking where the search has come to rest for want of results that fit."""
        if self._state.resting and self._cursor:
            self._set(replace(self._state, resting=False))
            self._begin_round()

    # -- what the view shows ------------------------------------------------------------------

    def want(self, repos: Iterable[str]) -> None:
        """Say which rows are visible.  Their details and pictures are fetched, newest wish first;
        what was wished for before and is not visible any more is let go."""
        self._wanted = wanted = [repo for repo in repos if repo in self._row_of]
        keep = set(wanted)
        for asked in (self._asked_details, self._asked_pictures):
            for repo in [repo for repo in asked if repo not in keep]:
                self._hub.forget(asked.pop(repo))
        # The last asked is answered first: the topmost row.
        for repo in reversed(wanted):
            row = self._rows[self._row_of[repo]]
            if row.details is None and not row.problem and repo not in self._asked_details:
                self._ask_details(repo)
            if repo not in self._pictures and repo not in self._asked_pictures:
                self._ask_picture(row.summary)

    def forget_problems(self) -> None:
        """Ask again for what was refused, of the visible rows."""
        for repo in [row.summary.id for row in self._rows if row.problem]:
            self._change(repo, problem="")
        self.want(self._wanted)

    def set_installed(self, repos: Iterable[str]) -> None:
        """Repositories of which the library has a variant."""
        installed = frozenset(repos)
        changed = installed ^ self._installed
        self._installed = installed
        for repo in changed:
            self._change(repo, installed=repo in installed)

    def set_download(self, status: DownloadStatus, over: bool) -> None:
        """Show where a repository's download stands; `over`: it is no more."""
        if over:
            self._downloads.pop(status.repo, None)
        else:
            self._downloads[status.repo] = status
        self._change(status.repo, download=None if over else status)

    def set_details(self, details: RepoDetails) -> None:
        """Show details that were asked for elsewhere."""
        repo = details.summary.id
        _remember(self._known, repo, details)
        self._change(repo, details=details, problem="")

    # -- searching ----------------------------------------------------------------------------

    def _begin_round(self) -> None:
        """Fetch pages until a screenful more fits."""
        self._pages_in_a_row = 0
        self._rows_before = len(self._rows)
        self._fetch()

    def _fetch(self) -> None:
        self._pages_in_a_row += 1
        query = self._query

        def arrived(answer: SearchAnswer) -> None:
            self._searching = 0
            self._on_page(answer)

        def failed(error: SfumatoError) -> None:
            self._searching = 0
            self._on_failure(error)

        self._searching = self._hub.ask(Search(query, self._cursor), arrived, failed)
        if self._rows:
            self._set(replace(self._state, loading_more=True))

    def _on_failure(self, error: SfumatoError) -> None:
        offline = error.kind is ErrorKind.NETWORK and not self._rows
        self._set(
            replace(
                self._state,
                phase="offline" if offline else "error",
                message=error.message,
                error=error,
                loading_more=False,
            )
        )

    def _on_page(self, answer: SearchAnswer) -> None:
        page = answer.page
        self._cursor = page.cursor
        fresh = [
            _Held(summary, fits)
            for summary, fits in zip(page.models, answer.fits, strict=False)
            if summary.id not in self._seen
        ]
        self._seen.update(held.summary.id for held in fresh)
        phase = "offline" if page.stale else self._state.phase
        if phase == "offline" and not page.stale:
            phase = "loading"  # the connection is back
        self._set(
            replace(
                self._state,
                phase=phase,
                error=page.stale_reason,
                message=_stale_text(page.stale, page.stale_reason) if page.stale else "",
                examined=self._state.examined + len(fresh),
                reference=answer.reference,
            )
        )
        self._line.extend(held for held in fresh if held.fits is not False)
        self._go_on()

    def _go_on(self) -> None:
        """Release results from the head of the line, judge the next ones, and see what is next."""
        released: list[CatalogueRow] = []
        while self._line and self._line[0].fits is not None:
            held = self._line.popleft()
            if held.fits:
                released.append(self._new_row(held))
        self._append(released)
        in_hand = [held for held in self._line if held.request]
        for held in self._line:
            if len(in_hand) >= CHECKS_AT_ONCE:
                break
            if held.fits is None and not held.request:
                in_hand.append(held)
                self._check(held)
        if self._line or self._searching:
            self._settle(loading=True)
            return
        few = len(self._rows) - self._rows_before < SCREENFUL and bool(self._cursor)
        if few and self._pages_in_a_row < PAGES_AT_ONCE:
            self._settle(loading=True)
            self._fetch()
        elif self._unreachable is not None and not self._rows:
            self._on_failure(self._unreachable)  # rather than that nothing fits
        else:
            self._settle(loading=False, resting=few)

    def _check(self, held: _Held) -> None:
        """Read a repository's files to see whether it passes the filters."""
        query = self._query

        def judged(answer: DetailsAnswer) -> None:
            held.request = 0
            held.details = answer.details
            _remember(self._known, held.summary.id, answer.details)
            held.fits = bool(answer.fits)
            self.details_arrived.emit(held.summary.id, answer.details)
            self._go_on()

        def failed(error: SfumatoError) -> None:
            held.request = 0
            held.fits = False
            self._failed_checks += 1
            if error.kind is ErrorKind.NETWORK:
                self._unreachable = error
            self._go_on()

        # Whether it fits can be told from sizes; what kind of network it is, only from files.
        probe = bool(query.attentions or query.compressions)
        held.request = self._hub.ask(Details(held.summary.id, probe, query), judged, failed)

    def _new_row(self, held: _Held) -> CatalogueRow:
        repo = held.summary.id
        known = self._known.get(repo)
        if known is not None and known.revision != held.summary.revision:
            known = None
        return CatalogueRow(
            held.summary,
            held.details or known,
            self._pictures.get(repo, ""),
            installed=repo in self._installed,
            download=self._downloads.get(repo),
        )

    def _append(self, rows: list[CatalogueRow]) -> None:
        if not rows:
            return
        first = len(self._rows)
        self.beginInsertRows(QModelIndex(), first, first + len(rows) - 1)
        for row in rows:
            self._row_of[row.summary.id] = len(self._rows)
            self._rows.append(row)
        self.endInsertRows()

    def _settle(self, loading: bool, resting: bool = False) -> None:
        """Say where the search stands, now that rows may have come."""
        state = self._state
        phase = state.phase
        if phase not in ("offline", "error"):
            phase = "ready" if self._rows else "loading" if loading else "empty"
        message = state.message
        if state.phase not in ("offline", "error"):
            message = self._sum_up(phase)
        checking = sum(1 for held in self._line if held.fits is None)
        self._set(
            replace(
                state,
                phase=phase,
                message=message,
                more=bool(self._cursor),
                checking=checking,
                loading_more=loading and bool(self._rows),
                resting=resting,
            )
        )

    def _sum_up(self, phase: str) -> str:
        examined, fitting = self._state.examined, len(self._rows)
        if phase == "empty" and not examined:
            return "No model of that name was found." if self._query.text else "No model was found."
        if examined == fitting:
            return ""
        models = words.plural(examined, "model")
        fit = "none fits" if not fitting else "1 fits" if fitting == 1 else f"{fitting:,} fit"
        text = f"Looked through {models}, {fit}"
        if self._failed_checks:
            text += f"; {self._failed_checks} could not be read"
        return text + "."

    def _set(self, state: CatalogueState) -> None:
        state = replace(state, more=bool(self._cursor))
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)

    def _forget_questions(self) -> None:
        asked = [self._searching, *self._asked_details.values(), *self._asked_pictures.values()]
        asked += [held.request for held in self._line]
        for request in asked:
            if request:
                self._hub.forget(request)
        self._searching = 0
        self._asked_details.clear()
        self._asked_pictures.clear()
        self._line.clear()

    # -- details and pictures of visible rows -------------------------------------------------

    def _ask_details(self, repo: str) -> None:
        def arrived(answer: DetailsAnswer) -> None:
            self._asked_details.pop(repo, None)
            self.set_details(answer.details)
            self.details_arrived.emit(repo, answer.details)

        def failed(error: SfumatoError) -> None:
            self._asked_details.pop(repo, None)
            if error.kind is not ErrorKind.NETWORK:  # which may pass: asked again when next seen
                self._change(repo, problem=error.message)

        self._asked_details[repo] = self._hub.ask(Details(repo), arrived, failed)

    def _ask_picture(self, summary: ModelSummary) -> None:
        repo = summary.id

        def arrived(path: str) -> None:
            self._asked_pictures.pop(repo, None)
            _remember(self._pictures, repo, path)
            self._change(repo, picture=path)

        def failed(error: SfumatoError) -> None:
            if error.kind is ErrorKind.NETWORK:  # which may pass: asked again when next seen
                self._asked_pictures.pop(repo, None)
            else:
                arrived("")  # a card without a picture is a card all the same

        self._asked_pictures[repo] = self._hub.ask(FetchPicture(summary), arrived, failed)

    def _change(self, repo: str, **values: Any) -> None:
        number = self._row_of.get(repo)
        if number is None:
            return
        row = replace(self._rows[number], **values)
        if row != self._rows[number]:
            self._rows[number] = row
            index = self.index(number)
            self.dataChanged.emit(index, index)
            self.row_changed.emit(repo)

    # -- QAbstractListModel -------------------------------------------------------------------

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.summary.name
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return catalogue_sentence(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return words.plain_tip(row.problem or row.summary.id)
        return None


def _remember(kept: dict[str, Any], repo: str, value: Any) -> None:
    """Keep the newest of many."""
    kept.pop(repo, None)
    kept[repo] = value
    while len(kept) > _REMEMBERED:
        del kept[next(iter(kept))]


def _stale_text(fetched: str, reason: SfumatoError | None) -> str:
    why = reason.what if reason is not None else "No connection."
    day = words.day(fetched)
    if day and day == words.day(datetime.now(UTC).isoformat()):
        day = "earlier today"
    return f"{why} These are the results of {day}." if day else why
