"""The Hub process: answers the window's questions about the Hub, and fetches models.

The main thread reads the socket; each question is worked on by a thread of its lane and answered
when it is done, in any order.  Nothing that goes wrong with one question ends the process.  When
the window hangs up, downloads are brought to rest where they are and the process ends.

huggingface_hub is imported here (by what is imported here), never in the window's process.
"""

from __future__ import annotations

import argparse
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gui import paths
from gui.errors import ErrorKind, SfumatoError
from gui.hub.client import DetailsAnswer, SearchAnswer, VerifyProgress
from gui.hub.types import (
    Account,
    DownloadStatus,
    ModelSummary,
    RepoDetails,
    SearchQuery,
    Variant,
)
from gui.hub.worker_pool import WorkerPool
from gui.process.child import MAX_MESSAGE, decode_json, encode_json, run_child
from gui.records import Record

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

Answer = Callable[[dict[str, Any]], Any]


class RequestCancelled(Exception):  # noqa: N818 - a request, not an error
    """Raised in the middle of work whose answer nobody waits for any more."""


class Service:
    """What the Hub process does.

    Args:
        connection: the window's socket.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._cancelled: set[int] = set()
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
        self._answers: dict[str, tuple[WorkerPool, Answer]] = {
            "search": (search, self._search),
            "details": (details, self._details_of),
            "picture": (pictures, self._picture),
            "reference": (general, self._reference),
            "machine": (general, lambda _: self._this_machine()),
            "start": (general, self._start),
            "start_source": (general, self._start_source),
            "pause": (general, lambda message: self._download(message, "pause")),
            "resume": (general, lambda message: self._download(message, "resume")),
            "cancel": (general, lambda message: self._download(message, "cancel")),
            "downloads": (general, lambda _: self._the_downloads().all()),
            "installed": (general, self._installed),
            "verify": (long, self._verify),
            "repair": (long, self._repair),
            "orphans": (long, self._orphans),
            "remove_orphan": (long, self._remove_orphan),
            "updates": (long, self._updates),
            "account": (general, self._account),
            "set_token": (general, self._set_token),
        }

    # -- messages -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the window hangs up."""
        threading.Thread(target=self._prepare, name="prepare", daemon=True).start()
        try:
            while True:
                self._take(decode_json(self._connection.recv_bytes(MAX_MESSAGE)))
        except (EOFError, OSError, ValueError):
            pass  # the window is gone, or no longer itself
        self._rest()

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

    def _take(self, message: dict[str, Any]) -> None:
        do, request = message.get("do"), message.get("id", 0)
        if do == "cancel_request":
            self._cancel(message.get("request", 0))
            return
        lane, answer = self._answers.get(str(do), (None, None))
        if lane is None or answer is None:
            self._send({"id": request, "error": _unknown(str(do)).to_json()})
            return
        lane.put(request, lambda: self._work(request, answer, message))

    def _cancel(self, request: int) -> None:
        if not any(lane.drop(request) for lane, _ in self._answers.values()):
            self._cancelled.add(request)

    def _work(self, request: int, answer: Answer, message: dict[str, Any]) -> None:
        self._ready.wait(_TOKEN_SECONDS)
        try:
            reply: dict[str, Any] = {"id": request, "result": _plain(answer(message))}
        except RequestCancelled:
            reply = {}
        except Exception as error:
            reply = {"id": request, "error": self._error(error, message).to_json()}
        if request in self._cancelled:
            self._cancelled.discard(request)
        elif reply:
            self._send(reply)

    def _error(self, error: Exception, message: dict[str, Any]) -> SfumatoError:
        if isinstance(error, SfumatoError):
            return error
        from gui.hub.errors import translate

        traceback.print_exc()
        return translate(error, str(message.get("repo") or ""))

    def _send(self, message: dict[str, Any]) -> None:
        data = encode_json(message)
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError:
            pass  # the window is gone; the reader has seen it too

    def _say(self, event: str, value: Record) -> None:
        self._send({"event": event, "value": value.to_json()})

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
        self._say("download", status)

    def _this_machine(self) -> Machine:
        from gui.hub.machine import this_machine

        known = self._machine
        if known is None or time.monotonic() - known[0] > _MACHINE_SECONDS:
            known = self._machine = (time.monotonic(), this_machine())
        return known[1]

    # -- search -------------------------------------------------------------------------------

    def _search(self, message: dict[str, Any]) -> SearchAnswer:
        from gui.hub.catalog.catalog import passes

        query = SearchQuery.from_json(message["query"])
        page, reference = self._the_catalog().look_for(query, str(message.get("cursor", "")))
        fits = (bool(reference) or passes(query, model, None) for model in page.models)
        return SearchAnswer(page, tuple(fits), reference)

    def _reference(self, message: dict[str, Any]) -> str:
        from gui.hub.catalog.catalog import parse_reference

        return parse_reference(str(message["text"])) or ""

    def _details_of(self, message: dict[str, Any]) -> DetailsAnswer:
        from gui.hub.catalog.catalog import parse_reference, passes

        repo = parse_reference(str(message["repo"])) or str(message["repo"])
        found = self._read_details(repo, bool(message.get("probe")))
        fits = None
        if message.get("query"):
            query = SearchQuery.from_json(message["query"])
            answer = passes(query, found.summary, found, self._this_machine().macos)
            if answer is None and not message.get("probe"):
                found = self._read_details(repo, True)
                answer = passes(query, found.summary, found)
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

    def _picture(self, message: dict[str, Any]) -> str:
        summary = ModelSummary.from_json(message["summary"])
        folder = paths.cache_dir() / "Hub" / "Pictures"
        picture = self._the_catalog().picture(summary, folder)
        return str(picture) if picture is not None else ""

    # -- downloads ----------------------------------------------------------------------------

    def _start(self, message: dict[str, Any]) -> DownloadStatus:
        repo, variant_id = str(message["repo"]), str(message["variant"])
        found, chosen = self._variant(repo, str(message.get("revision", "")), variant_id)
        return self._the_downloads().start(
            repo, found.revision, chosen, title=found.summary.name, about=found
        )

    def _start_source(self, message: dict[str, Any]) -> DownloadStatus:
        repo = str(message["repo"])
        tree = self._the_catalog().tree(repo)
        return self._the_downloads().start_source(repo, tree.revision, tree)

    def _download(self, message: dict[str, Any], what: str) -> None:
        getattr(self._the_downloads(), what)(str(message["download"]))

    # -- installed models ---------------------------------------------------------------------

    def _installed(self, _message: dict[str, Any]) -> Any:
        from gui.hub.installed import installed

        return installed(paths.models_dir())

    def _verify(self, message: dict[str, Any]) -> Any:
        from gui.hub.installed import verify

        folder, request = str(message["folder"]), int(message["id"])
        last = 0.0

        def on_progress(fraction: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_SECONDS:
                last = now
                self._say("verify", VerifyProgress(folder, float(fraction)))

        problems = verify(Path(folder), on_progress, lambda: request in self._cancelled)
        if request in self._cancelled:
            raise RequestCancelled
        return problems

    def _repair(self, message: dict[str, Any]) -> DownloadStatus | None:
        from gui.hub.installed import repair

        return repair(self._the_downloads(), self._the_catalog(), Path(str(message["folder"])))

    def _orphans(self, _message: dict[str, Any]) -> Any:
        from gui.hub.leftovers import leftovers

        return leftovers(paths.models_dir())

    def _remove_orphan(self, message: dict[str, Any]) -> None:
        from gui.hub.leftovers import remove_leftover

        remove_leftover(Path(str(message["path"])), paths.models_dir())

    def _updates(self, _message: dict[str, Any]) -> dict[str, str]:
        from gui.hub.installed import installed, update_available

        catalog = self._the_catalog()
        found = {}
        for model in installed(paths.models_dir()):
            try:
                found[model.folder] = update_available(catalog, model)
            except SfumatoError as error:
                if error.kind is ErrorKind.NETWORK:
                    raise
                found[model.folder] = ""  # gone, or closed to us: nothing to update to
        return found

    # -- account ------------------------------------------------------------------------------

    def _account(self, _message: dict[str, Any]) -> Account:
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

    def _set_token(self, message: dict[str, Any]) -> Account:
        from gui.hub.account import forget_token, load_token, save_token

        token = str(message["token"])
        if not token:
            forget_token()
            self._use_token(*load_token())
            return self._who()
        before = (self._token, self._token_source)
        self._use_token(token, "keychain")
        try:
            account = replace(self._the_catalog().whoami(), source="keychain")
            if not account.signed_in:
                message_ = account.problem or "The Hub does not know this token; check it."
                raise SfumatoError(ErrorKind.ACCESS, message_)
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


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _unknown(do: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.INTERNAL, "Something went wrong inside Sfumato; the details say what.", do
    )


def _serve(connection: Connection, _options: argparse.Namespace) -> None:
    Service(connection).run()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry of the Hub process."""
    run_child("hub", _serve, arguments)
