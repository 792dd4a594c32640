"""The Hub process: answers the window's questions about the Hub, and fetches models.

Each question is worked on by a thread of its pool and answered when it is done, in any order.  When
the window hangs up, downloads are brought to rest where they are and the process ends.

huggingface_hub is imported here (by what is imported here), never in the window's process.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gui import paths
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.hub import messages
from gui.hub.messages import HUB, DetailsAnswer, SearchAnswer, VerifyProgress
from gui.hub.types import Account, DownloadStatus, FileProblem, Orphan, RepoDetails, Variant
from gui.names import parse_repository
from gui.process.messages import Question
from gui.process.serve import Call, Handler, Server, run_child
from gui.process.worker_pool import WorkerPool

if TYPE_CHECKING:
    from gui.hub.catalog.catalog import Catalog
    from gui.hub.downloads import Downloads
    from gui.hub.types import Machine

CLOSE_SECONDS = 1.0
"""How long downloads may take to come to rest after a hang-up; what is not on disk by then is
fetched again another time."""

_REMEMBERED_DETAILS = 64
_MACHINE_SECONDS = 30.0
_PROGRESS_SECONDS = 0.1
_TOKEN_SECONDS = 3.0
"""How long questions wait for the keychain, which may be asking the person; then they go without a
token until there is one."""


class Service:
    """What the Hub process does.

    Args:
        connection: the window's socket.
    """

    def __init__(self, connection: Connection) -> None:
        self._details: dict[tuple[str, str], RepoDetails] = {}
        self._details_lock = threading.Lock()
        self._machine: tuple[float, Machine] | None = None
        self._token: str | None = None
        self._token_source = ""
        self._ready = threading.Event()
        self._catalog: Catalog | None = None
        self._downloads: Downloads | None = None
        general = WorkerPool("general", 3)
        search = WorkerPool("search", 2, newest_first=True)
        details = WorkerPool("details", 4, newest_first=True)
        pictures = WorkerPool("pictures", 4, newest_first=True)
        long = WorkerPool("files", 2)
        answers: dict[type[Question[Any]], tuple[WorkerPool, Callable[[Any, Call], Any]]] = {
            messages.Search: (search, self._search),
            messages.Details: (details, self._details_of),
            messages.FetchPicture: (pictures, self._picture),
            messages.AskMachine: (general, lambda *_: self._this_machine()),
            messages.Start: (general, self._start),
            messages.StartSource: (general, self._start_source),
            messages.Pause: (general, self._pause),
            messages.Resume: (general, self._resume),
            messages.Cancel: (general, self._cancel),
            messages.Downloads: (general, lambda *_: self._the_downloads().all()),
            messages.Verify: (long, self._verify),
            messages.Repair: (long, self._repair),
            messages.Orphans: (long, self._orphans),
            messages.RemoveOrphan: (long, self._remove_orphan),
            messages.Updates: (long, self._updates),
            messages.AskAccount: (general, self._account),
            messages.SetToken: (general, self._set_token),
        }
        handlers = {kind: self._prepared(handler) for kind, (_, handler) in answers.items()}
        pools = {kind: pool for kind, (pool, _) in answers.items()}
        self._server = Server(connection, HUB, handlers, pools, _as_error)

    # -- life ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the window hangs up."""
        threading.Thread(target=self._prepare, name="prepare", daemon=True).start()
        self._server.run()
        self._rest()

    def _prepared(self, handler: Handler) -> Handler:
        def handle(question: Any, call: Call) -> Any:
            self._ready.wait(_TOKEN_SECONDS)
            return handler(question, call)

        return handle

    def _prepare(self) -> None:
        """Import what is slow to import, and find the token, before anyone has to wait for it."""
        try:
            from gui.hub import downloads  # noqa: F401
            from gui.hub.account import load_token

            self._use_token(*load_token())
        except SfumatoError as error:  # a locked keychain: the account says so when it is asked
            print(error.detail or error.message, flush=True)
        except Exception:
            traceback.print_exc()
        finally:
            self._ready.set()

    def _rest(self) -> None:
        """Bring downloads to rest.  What takes too long is ended with the process."""
        downloads = self._downloads
        if downloads is not None:
            closing = threading.Thread(target=downloads.close, daemon=True)
            closing.start()
            closing.join(CLOSE_SECONDS)

    # -- what the answers need ----------------------------------------------------------------

    def _the_catalog(self) -> Catalog:
        with self._details_lock:
            if self._catalog is None:
                from gui.hub.catalog.catalog import Catalog

                self._catalog = Catalog(token=self._token)
            return self._catalog

    def _the_downloads(self) -> Downloads:
        with self._details_lock:
            if self._downloads is None:
                from gui.hub.downloads import Downloads

                self._downloads = Downloads(token=lambda: self._token, on_change=self._on_download)
            return self._downloads

    def _on_download(self, status: DownloadStatus) -> None:
        self._server.tell(messages.DownloadMoved(status))

    def _this_machine(self) -> Machine:
        from gui.hub.machine import this_machine

        known = self._machine
        if known is None or time.monotonic() - known[0] > _MACHINE_SECONDS:
            known = self._machine = (time.monotonic(), this_machine())
        return known[1]

    # -- search -------------------------------------------------------------------------------

    def _search(self, ask: messages.Search, _call: Call) -> SearchAnswer:
        from gui.hub.catalog.catalog import passes

        page, reference = self._the_catalog().look_for(ask.query, ask.cursor)
        fits = (bool(reference) or passes(ask.query, model, None) for model in page.models)
        return SearchAnswer(page, tuple(fits), reference)

    def _details_of(self, ask: messages.Details, _call: Call) -> DetailsAnswer:
        from gui.hub.catalog.catalog import passes

        repo = parse_repository(ask.repo) or ask.repo
        found = self._read_details(repo, ask.probe)
        fits = None
        if ask.query is not None:
            answer = passes(ask.query, found.summary, found, self._this_machine().macos)
            if answer is None and not ask.probe:
                found = self._read_details(repo, True)
                answer = passes(ask.query, found.summary, found)
            fits = bool(answer)
        return DetailsAnswer(_light(found), fits)

    def _read_details(self, repo: str, probe: bool) -> RepoDetails:
        from gui.hub.catalog.details import details

        found = details(self._the_catalog(), repo, self._this_machine(), probe)
        with self._details_lock:
            self._details.pop((repo, found.revision), None)
            self._details[repo, found.revision] = found
            while len(self._details) > _REMEMBERED_DETAILS:
                del self._details[next(iter(self._details))]
        return found

    def _variant(self, repo: str, revision: str, variant_id: str) -> tuple[RepoDetails, Variant]:
        """A variant with its files, as the person saw it: from memory, or read again."""
        with self._details_lock:
            kept = [d for (name, _), d in self._details.items() if name == repo]
        for known in reversed(kept):
            if revision in ("", known.revision) and (chosen := known.variant(variant_id)):
                return known, chosen
        found = self._read_details(repo, True)
        chosen = found.variant(variant_id)
        if chosen is None:
            raise SfumatoError(
                ErrorKind.NOT_FOUND,
                f"“{repo}” no longer offers this variant; look at its variants again.",
                f"{variant_id} at {found.revision}",
            )
        return found, chosen

    def _picture(self, ask: messages.FetchPicture, _call: Call) -> str:
        folder = paths.cache_dir() / "Hub" / "Pictures"
        picture = self._the_catalog().picture(ask.summary, folder)
        return str(picture) if picture is not None else ""

    # -- downloads ----------------------------------------------------------------------------

    def _start(self, ask: messages.Start, _call: Call) -> DownloadStatus:
        found, chosen = self._variant(ask.repo, ask.revision, ask.variant)
        return self._the_downloads().start(
            ask.repo, found.revision, chosen, title=found.summary.name, about=found
        )

    def _start_source(self, ask: messages.StartSource, _call: Call) -> DownloadStatus:
        tree = self._the_catalog().tree(ask.repo)
        return self._the_downloads().start_source(ask.repo, tree.revision, tree)

    def _pause(self, ask: messages.Pause, _call: Call) -> None:
        self._the_downloads().pause(ask.download)

    def _resume(self, ask: messages.Resume, _call: Call) -> None:
        self._the_downloads().resume(ask.download)

    def _cancel(self, ask: messages.Cancel, _call: Call) -> None:
        self._the_downloads().cancel(ask.download)

    # -- installed models ---------------------------------------------------------------------

    def _verify(self, ask: messages.Verify, call: Call) -> tuple[FileProblem, ...]:
        from gui.library.models.verify import verify

        last = 0.0

        def on_progress(fraction: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_SECONDS:
                last = now
                call.tell(VerifyProgress(ask.folder, float(fraction)))

        problems = verify(Path(ask.folder), on_progress, call.cancelled)
        if call.cancelled():
            raise Cancelled
        return problems

    def _repair(self, ask: messages.Repair, _call: Call) -> DownloadStatus | None:
        from gui.hub.installed import repair

        return repair(self._the_downloads(), self._the_catalog(), Path(ask.folder))

    def _orphans(self, _ask: messages.Orphans, _call: Call) -> tuple[Orphan, ...]:
        from gui.hub.leftovers import leftovers

        return leftovers(paths.models_dir())

    def _remove_orphan(self, ask: messages.RemoveOrphan, _call: Call) -> None:
        from gui.hub.leftovers import remove_leftover

        remove_leftover(Path(ask.path), paths.models_dir())

    def _updates(self, _ask: messages.Updates, _call: Call) -> dict[str, str]:
        from gui.hub.installed import update_available
        from gui.library import addons
        from gui.library.models.folders import from_hub

        catalog = self._the_catalog()
        found = {}
        for model in (*from_hub(), *addons.from_hub()):
            try:
                found[model.folder] = update_available(catalog, model)
            except SfumatoError as error:
                if error.kind is ErrorKind.NETWORK:
                    raise
                found[model.folder] = ""  # gone, or closed to us: nothing to update to
        return found

    # -- account ------------------------------------------------------------------------------

    def _account(self, _ask: messages.AskAccount, _call: Call) -> Account:
        from gui.hub.account import load_token

        self._use_token(*load_token())
        return self._who()

    def _who(self) -> Account:
        if not self._token:
            return Account()
        try:
            return replace(self._the_catalog().whoami(), source=self._token_source)
        except SfumatoError as error:
            # Offline, say: the token is kept and used, only nobody can tell whose it is.
            return Account(source=self._token_source, problem=error.message)

    def _set_token(self, ask: messages.SetToken, _call: Call) -> Account:
        from gui.hub.account import forget_token, load_token, save_token

        token = ask.token
        if not token:
            forget_token()
            self._use_token(*load_token())
            return self._who()
        before = (self._token, self._token_source)
        self._use_token(token, "keychain")
        try:
            account = replace(self._the_catalog().whoami(), source="keychain")
            if not account.signed_in:
                message = account.problem or "The Hub does not know this token; check it."
                raise SfumatoError(ErrorKind.ACCESS, message)
            save_token(token)
        except BaseException:
            self._use_token(*before)
            raise
        return account

    def _use_token(self, token: str | None, source: str) -> None:
        with self._details_lock:  # or a catalogue that is just being made would miss it
            self._token, self._token_source = token or None, source
            if self._catalog is not None:
                self._catalog.token = self._token


def _light(found: RepoDetails) -> RepoDetails:
    """Without the variants' file lists, of which a repository may have thousands."""
    return replace(found, variants=tuple(replace(v, files=()) for v in found.variants))


def _as_error(error: Exception, question: Question[Any]) -> SfumatoError:
    from gui.hub.errors import translate

    return translate(error, str(getattr(question, "repo", "")))


def _serve(connection: Connection) -> None:
    Service(connection).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the Hub process."""
    run_child("hub", _serve, arguments)
