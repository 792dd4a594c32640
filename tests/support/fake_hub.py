"""A Hub without a Hub process: stands where `HubThread` stands, driven by the test.

Every question is kept in `asked`.  With models given to it, it answers searches, details, pictures
and the account by itself, at the next turn of the event loop; a question named in `silent` waits
for the test to `answer` or `refuse` it, and one named in `errors` is refused.  Downloads only move
when the test moves them: `progress`, `finish`, `fail_download`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from gui.coreml.model import Attention, Family, FileFormat
from gui.errors import ErrorKind, SfumatoError
from gui.hub.messages import DetailsAnswer, DownloadMoved, SearchAnswer, VerifyProgress
from gui.hub.types import (
    Account,
    DownloadState,
    DownloadStatus,
    Level,
    Machine,
    ModelKind,
    ModelSummary,
    Orphan,
    RemoteFile,
    RepoDetails,
    SearchPage,
    SearchQuery,
    Variant,
    Verdict,
)
from gui.process.messages import A, Event, Question
from gui.state.hub.thread import OnError

PAGE = 30
GB = 1_000_000_000


def summary(repo: str, **values: Any) -> ModelSummary:
    """A search result with plausible values."""
    plain: dict[str, Any] = {
        "revision": "a" * 40,
        "likes": 120,
        "downloads": 3400,
        "updated": "2024-05-03T10:00:00+00:00",
        "licence": "creativeml-openrail-m",
        "tags": ("coreml", "text-to-image"),
        "family": Family.SD1,
        "total_bytes": 6 * GB,
    }
    return ModelSummary(repo, **{**plain, **values})


def variant(variant_id: str, **values: Any) -> Variant:
    """A variant that does well here."""
    plain: dict[str, Any] = {
        "title": variant_id.replace("_", " ").replace("/", " · ").capitalize(),
        "files": (RemoteFile(f"{variant_id}/weight.bin", 1_600_000_000, "0" * 64),),
        "folder": variant_id,
        "format": FileFormat.COMPILED if "compiled" in variant_id else FileFormat.PACKAGE,
        "family": Family.SD1,
        "attention": Attention.SPLIT_EINSUM if "split" in variant_id else Attention.ORIGINAL,
        "attention_known": True,
        "components": ("text_encoder", "unet", "vae_decoder", "vae_encoder"),
        "has_encoder": True,
        "image_width": 512,
        "image_height": 512,
        "minimum_macos": "13",
        "download_bytes": 1_600_000_000,
        "disk_bytes": 1_600_000_000,
        "memory_bytes": 2_400_000_000,
        "verdict": Verdict(Level.GOOD, ("Runs well on this machine.",)),
    }
    return Variant(variant_id, **{**plain, **values})


def details(model: ModelSummary, **values: Any) -> RepoDetails:
    """Two good variants and one that will not run."""
    no = Verdict(Level.NO, ("Needs macOS 15; this Mac has 14.5.",))
    plain: dict[str, Any] = {
        "revision": model.revision,
        "variants": (
            variant("split_einsum/compiled", recommended=True),
            variant("original/packages"),
            variant("quantized/packages", verdict=no, minimum_macos="15"),
        ),
        "description": "Draws what it is told.",
        "base_model": "somebody/base",
        "examples": ("a lighthouse at dusk",),
        "probed": True,
    }
    return RepoDetails(model, **{**plain, **values})


MACHINE = Machine("Darwin", "14.5", "Apple M2", True, 8, 4, 16 * 2**30, 200 * GB)


@dataclass
class Asked:
    """One question of the window."""

    number: int
    question: Question[Any]
    on_result: Callable[[Any], None] | None
    on_error: OnError | None
    open: bool = True
    forgotten: bool = field(default=False)

    @property
    def do(self) -> str:
        """What is asked, in short: ``start_source`` for `StartSource`, ``machine`` for
        `AskMachine`."""
        name = re.sub("(?<!^)(?=[A-Z])", "_", type(self.question).__name__).lower()
        return name.removeprefix("ask_").removeprefix("fetch_")

    @property
    def arguments(self) -> dict[str, Any]:
        return vars(self.question)


class FakeHub(QObject):
    """See the module."""

    event_received = Signal(Event)
    lost = Signal(SfumatoError, bool)

    def __init__(self, models: Iterable[ModelSummary] = ()) -> None:
        super().__init__()
        self.models = list(models)
        self.details: dict[str, RepoDetails] = {}
        """Those of models whose details should differ from `details(model)`."""
        self.pictures: dict[str, str] = {}
        self.downloads: dict[str, DownloadStatus] = {}
        self.account = Account()
        self.accounts: dict[str, Account] = {}
        """The account behind each token the Hub accepts."""
        self.machine = MACHINE
        self.orphans: list[Orphan] = []
        self.updates: dict[str, str] = {}
        self.problems: dict[str, list] = {}
        """What `verify` finds, by folder."""
        self.silent: set[str] = set()
        self.errors: dict[str, SfumatoError] = {}
        self.stale = ""
        self.asked: list[Asked] = []
        self.is_closed = False
        self._numbers = itertools.count(1)

    # -- what the window calls ----------------------------------------------------------------

    def ask(
        self,
        question: Question[A],
        on_result: Callable[[A], None] | None = None,
        on_error: OnError | None = None,
    ) -> int:
        asked = Asked(next(self._numbers), question, on_result, on_error)
        self.asked.append(asked)
        if asked.do not in self.silent:
            QTimer.singleShot(0, self, lambda: self._answer_by_itself(asked))
        return asked.number

    def forget(self, request: int) -> None:
        for asked in self.asked:
            if asked.number == request and asked.open:
                asked.open, asked.forgotten = False, True

    def close(self) -> None:
        self.is_closed = True
        for asked in self.asked:
            asked.open = False

    # -- the Hub's part, played by the test ---------------------------------------------------

    def open_questions(self, do: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.open and asked.do == do]

    def count(self, do: str) -> int:
        """How often this was asked."""
        return sum(asked.do == do for asked in self.asked)

    def answer(self, do: str, result: Any) -> None:
        """Answer the oldest open question of this name."""
        asked = self.open_questions(do)[0]
        asked.open = False
        if asked.on_result is not None:
            asked.on_result(result)

    def refuse(self, do: str, error: SfumatoError) -> None:
        asked = self.open_questions(do)[0]
        asked.open = False
        if asked.on_error is not None:
            asked.on_error(error)

    def move(self, status: DownloadStatus) -> DownloadStatus:
        """A download moved."""
        self.downloads[status.id] = status
        self.event_received.emit(DownloadMoved(status))
        return status

    def progress(self, download_id: str, fraction: float, speed: float = 24e6) -> DownloadStatus:
        status = self.downloads[download_id]
        done = int(status.bytes_total * fraction)
        return self.move(
            replace(
                status,
                state=DownloadState.FETCHING,
                bytes_done=done,
                bytes_fetched=done,
                bytes_per_second=speed,
                seconds_left=(status.bytes_total - done) / speed,
                interrupted=False,
            )
        )

    def finish(self, download_id: str, folder: str = "") -> DownloadStatus:
        status = self.downloads.pop(download_id)
        moved = replace(
            status, state=DownloadState.DONE, bytes_done=status.bytes_total, folder=folder
        )
        self.event_received.emit(DownloadMoved(moved))
        return moved

    def fail_download(self, download_id: str, error: SfumatoError) -> DownloadStatus:
        status = replace(self.downloads[download_id], state=DownloadState.FAILED, error=error)
        return self.move(status)

    def verify_progress(self, folder: str, fraction: float) -> None:
        self.event_received.emit(VerifyProgress(folder, fraction))

    # -- answers ------------------------------------------------------------------------------

    def _answer_by_itself(self, asked: Asked) -> None:
        if not asked.open:
            return
        asked.open = False
        try:
            if asked.do in self.errors:
                raise self.errors[asked.do]
            result = getattr(self, f"_{asked.do}")(**asked.arguments)
        except SfumatoError as error:
            if asked.on_error is not None:
                asked.on_error(error)
            return
        if asked.on_result is not None:
            asked.on_result(result)

    def _search(self, query: SearchQuery, cursor: str) -> SearchAnswer:
        wanted = query
        text = wanted.text.lower().strip()
        if "://" in text or text.count("/") == 1:
            repo = "/".join(text.split("://")[-1].rstrip("/").split("/")[-2:])
            found = [m for m in self.models if m.id.lower() == repo]
            if not found:
                message = f"There is no model “{repo}” on the Hub; check the address."
                raise SfumatoError(ErrorKind.NOT_FOUND, message)
            return SearchAnswer(SearchPage(tuple(found)), (True,), found[0].id)
        found = [m for m in self.models if text in m.id.lower() and wanted.author in ("", m.author)]
        start = int(cursor or 0)
        page = found[start : start + PAGE]
        following = str(start + PAGE) if start + PAGE < len(found) else ""
        reason = SfumatoError(ErrorKind.NETWORK, "The Hub cannot be reached.")
        return SearchAnswer(
            SearchPage(tuple(page), following, self.stale, reason if self.stale else None),
            tuple(self._fits(wanted, model) for model in page),
        )

    def _fits(self, query: SearchQuery, model: ModelSummary) -> bool | None:
        if query.families and model.family not in query.families:
            return False
        if query.kinds and model.kind not in query.kinds:
            return False
        if query.licence and model.licence != query.licence:
            return False
        return None if query.needs_details else True

    def _details(self, repo: str, probe: bool, query: SearchQuery | None) -> DetailsAnswer:
        model = next((m for m in self.models if m.id == repo), None)
        if model is None:
            message = f"There is no model “{repo}” on the Hub; check the address."
            raise SfumatoError(ErrorKind.NOT_FOUND, message)
        found = replace(self.details.get(repo) or details(model), probed=probe)
        return DetailsAnswer(found, _passes(query, found) if query else None)

    def _picture(self, summary: ModelSummary) -> str:
        return self.pictures.get(summary.id, "")

    def _start(self, repo: str, revision: str, variant: str) -> DownloadStatus:
        for status in self.downloads.values():
            if (status.repo, status.variant) == (repo, variant):
                return status
        found = self._details(repo, True, None).details
        chosen = found.variant(variant)
        assert chosen is not None
        status = DownloadStatus(
            f"d{len(self.downloads) + 1}-{repo.replace('/', '--')}",
            repo,
            variant,
            f"{found.summary.name} · {chosen.title}",
            revision or found.revision,
            DownloadState.QUEUED,
            chosen.download_bytes,
            files_total=12,
        )
        self.downloads[status.id] = status
        return status

    def _start_source(self, repo: str) -> DownloadStatus:
        status = DownloadStatus(
            f"s-{repo.replace('/', '--')}", repo, "", repo, "a" * 40, DownloadState.QUEUED, GB
        )
        self.downloads[status.id] = status
        return status

    def _pause(self, download: str) -> None:
        self.move(replace(self.downloads[download], state=DownloadState.PAUSED))

    def _resume(self, download: str) -> None:
        status = self.downloads[download]
        self.move(replace(status, state=DownloadState.FETCHING, interrupted=False, error=None))

    def _cancel(self, download: str) -> None:
        self.orphans = [orphan for orphan in self.orphans if orphan.download != download]
        status = self.downloads.pop(download)
        self.event_received.emit(DownloadMoved(replace(status, state=DownloadState.CANCELLED)))

    def _downloads(self) -> list[DownloadStatus]:
        return list(self.downloads.values())

    def _account(self) -> Account:
        return self.account

    def _set_token(self, token: str) -> Account:
        if token and token not in self.accounts:
            raise SfumatoError(ErrorKind.ACCESS, "The Hub does not know this token.")
        self.account = self.accounts.get(token, Account())
        return self.account

    def _machine(self) -> Machine:
        return self.machine

    def _verify(self, folder: str) -> list:
        return self.problems.get(folder, [])

    def _repair(self, folder: str) -> DownloadStatus | None:
        self.problems.pop(folder, None)
        return None

    def _orphans(self) -> list[Orphan]:
        return self.orphans

    def _remove_orphan(self, path: str) -> None:
        self.orphans = [orphan for orphan in self.orphans if orphan.path != path]

    def _updates(self) -> dict[str, str]:
        return self.updates


def _passes(query: SearchQuery, found: RepoDetails) -> bool:
    """Whether one variant passes all of a query's filters."""
    kinds = query.kinds or (ModelKind.TEXT_TO_IMAGE,)
    return found.summary.kind in kinds and any(
        (not query.attentions or v.attention in query.attentions)
        and (not query.max_bytes or v.download_bytes <= query.max_bytes)
        and (not query.fits or v.verdict.level is not Level.NO)
        for v in found.variants
    )
