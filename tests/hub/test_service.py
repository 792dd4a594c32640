"""The Hub process itself, spoken to as the window does, with the real client and a loopback Hub."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gui import paths
from gui.coreml.model import Family
from gui.errors import ErrorKind, SfumatoError
from gui.hub.messages import (
    CLOSE_SECONDS,
    HUB,
    AskAccount,
    AskMachine,
    Cancel,
    Details,
    DownloadMoved,
    Downloads,
    Pause,
    RemoveOrphan,
    Repair,
    Resume,
    Search,
    SearchAnswer,
    SetToken,
    Start,
    Updates,
    Verify,
    VerifyProgress,
)  # fmt: skip
from gui.hub.types import (
    DownloadState,
    DownloadStatus,
    ModelKind,
    ModelSummary,
    SearchQuery,
    Sort,
    Variant,
)
from gui.library.models.folders import installed
from gui.process.messages import A, Answer, Event, Question, Told
from gui.process.supervisor import Supervisor
from tests.support.hub_models import contents, long_model, offered
from tests.support.hub_repo import Repo
from tests.support.hub_repos import (
    STARTER_REPO,
    apple_v1_5,
    controlnets,
    crowd,
    gated,
    junk,
    many_files,
    starter,
)
from tests.support.hub_server import GOOD_TOKEN, HubServer
from tests.support.hub_shelf import zipped

PATIENCE = 60.0


class Talk:
    """A Hub process and its answers, one question after the other."""

    def __init__(self) -> None:
        self.hub = Supervisor(HUB)
        self.events: list[Event] = []
        self.answers: dict[int, Answer] = {}

    def put(self, question: Question) -> int:
        self.hub.start()
        return self.hub.put(question)

    def take(self, request: int) -> Any:
        """The answer to a question; an error is raised."""
        self.until(lambda: request in self.answers)
        answer = self.answers.pop(request)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def ask(self, question: Question[A]) -> A:
        return self.take(self.put(question))

    def search(self, query: SearchQuery | None = None, cursor: str = "") -> SearchAnswer:
        return self.ask(Search(query or SearchQuery(), cursor))

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"nothing came; log: {self.hub.log_tail()}"
            if self.hub.wait(0.05):
                message = self.hub.receive()
                if isinstance(message, Told):
                    self.events.append(message.event)
                elif message is not None:
                    self.answers[message.number] = message

    def statuses(self, download: str) -> list[DownloadStatus]:
        found = [e.status for e in self.events if isinstance(e, DownloadMoved)]
        return [status for status in found if status.id == download]

    def wait_for(self, download: str, *states: DownloadState) -> DownloadStatus:
        self.until(lambda: any(s.state in states for s in self.statuses(download)))
        return next(s for s in self.statuses(download) if s.state in states)

    def get(self, repo: str, variant: str = "") -> DownloadStatus:
        """Begin a download: of this variant, or of the recommended one."""
        if not variant:
            variant = recommended(self.ask(Details(repo))).id
        return self.ask(Start(repo, variant))


def recommended(answer: Any) -> Variant:
    chosen = answer.details.recommended
    assert chosen is not None
    return chosen


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    repos = [apple_v1_5(), starter(), gated(), controlnets(), *junk(), *crowd(60)]
    with HubServer(repos) as running:
        yield running


@pytest.fixture
def talk(server: HubServer, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Callable]:
    """Start Hub processes; each is ended with the test."""
    server.faults.clear()
    server.clear_log()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.support.file_keyring.FileKeyring")
    started: list[Talk] = []

    def start() -> Talk:
        started.append(Talk())
        return started[-1]

    yield start
    for one in started:
        one.hub.close(CLOSE_SECONDS)


# -- search and details -----------------------------------------------------------------------


def test_pages_of_results_hold_every_model_once_and_in_order(talk, server: HubServer) -> None:
    hub = talk()
    found: list[ModelSummary] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        answer = hub.search(SearchQuery(sort=Sort.LIKES), cursor)
        assert len(answer.fits) == len(answer.page.models)
        found += answer.page.models
        cursor = answer.page.cursor
        pages += 1
    ids = [model.id for model in found]
    assert len(set(ids)) == len(ids) and pages > 1
    offered = {id_ for id_, repo in server.repos.items() if repo.pipeline_tag == "text-to-image"}
    assert offered <= set(ids)
    tagged = [server.repos[i].likes for i in ids if i in offered]
    assert tagged == sorted(tagged, reverse=True)


def test_a_name_or_an_address_finds_its_repository(talk, server: HubServer) -> None:
    hub = talk()
    for text in (STARTER_REPO, f"https://huggingface.co/{STARTER_REPO}/tree/main"):
        answer = hub.search(SearchQuery(text=text))
        assert answer.reference == STARTER_REPO
        assert [model.id for model in answer.page.models] == [STARTER_REPO]
    with pytest.raises(SfumatoError) as refusal:
        hub.search(SearchQuery(text="https://huggingface.co/nobody/nothing"))
    assert refusal.value.kind is ErrorKind.NOT_FOUND


def test_details_come_with_verdicts_and_without_file_lists(talk) -> None:
    hub = talk()
    query = SearchQuery(fits=True)
    repo = "apple/coreml-stable-diffusion-v1-5"
    answer = hub.ask(Details(repo, True, query))
    assert answer.fits is True and answer.details.probed
    assert sum(v.recommended for v in answer.details.variants) == 1
    assert all(v.verdict.reasons and not v.files for v in answer.details.variants)
    too_small = SearchQuery(max_bytes=1)
    assert hub.ask(Details(repo, False, too_small)).fits is False


def test_a_slow_question_holds_up_no_other(talk, server: HubServer) -> None:
    hub = talk()
    hub.ask(AskMachine())  # up and running
    go_on = threading.Event()
    server.fault("/api/models/apple/*", action=lambda: go_on.wait(PATIENCE), times=1)
    slow = hub.put(Details("apple/coreml-stable-diffusion-v1-5"))
    assert hub.ask(Details(STARTER_REPO)).details.variants
    hub.ask(AskMachine())
    assert slow not in hub.answers
    go_on.set()
    assert hub.take(slow).details.variants


def test_a_question_that_is_taken_back_is_not_answered(talk, server: HubServer) -> None:
    hub = talk()
    hub.ask(AskMachine())
    go_on = threading.Event()
    held = server.fault("/api/models/*", action=lambda: go_on.wait(PATIENCE), times=1)
    taken_back = hub.put(Details(STARTER_REPO))
    hub.until(lambda: held.hits == 1)
    hub.hub.forget(taken_back)
    assert hub.ask(Details(STARTER_REPO)).details.variants
    go_on.set()
    for _ in range(8):
        assert hub.ask(Details(STARTER_REPO)).details.variants
    assert taken_back not in hub.answers


def test_nothing_that_is_asked_ends_the_process(talk, server: HubServer) -> None:
    hub = talk()
    nonsense = SearchQuery(sort="by colour")  # type: ignore[arg-type]
    for question in (
        Search(nonsense),
        Search(SearchQuery(), 7),  # type: ignore[arg-type]
        Details("../../etc", probe=True),
        Details("nobody/nothing", probe=True),
        Start(STARTER_REPO, "no such variant"),
        Pause("no such download"),
        Verify("/nowhere"),
        RemoveOrphan(str(Path.home())),
    ):
        with pytest.raises(SfumatoError) as refusal:
            hub.ask(question)
        assert refusal.value.message.endswith("."), question
    unseen = "apple/coreml-stable-diffusion-v1-5"
    server.fault("/api/models*", html=True)
    with pytest.raises(SfumatoError) as refusal:
        hub.ask(Details(unseen))
    assert refusal.value.kind is ErrorKind.NETWORK
    server.faults.clear()
    assert hub.ask(Details(unseen)).details.variants


def test_the_last_results_can_be_seen_offline(talk, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer([starter()]) as short_lived:
        monkeypatch.setenv("HF_ENDPOINT", short_lived.endpoint)
        hub = talk()
        online = hub.search()
        assert online.page.stale == ""
    hub = talk()
    offline = hub.search()
    assert [m.id for m in offline.page.models] == [m.id for m in online.page.models]
    assert offline.page.stale and offline.page.stale_reason.kind is ErrorKind.NETWORK
    # By its address too, which is no search.
    for text in (STARTER_REPO, f"https://huggingface.co/{STARTER_REPO}/tree/main"):
        found = hub.search(SearchQuery(text=text, families=(Family.SDXL,)))
        assert (found.reference, found.fits) == (STARTER_REPO, (True,))
        assert found.page.stale and found.page.stale_reason.kind is ErrorKind.NETWORK
        assert found.page.models[0].remembered == found.page.stale_reason.message


def test_an_archive_is_looked_into_before_it_passes_a_filter(talk, server: HubServer) -> None:
    """Lists of files say that there is a zip; what network it holds, only the zip."""
    repo = server.add(Repo("someone/coreml-dream", {"dream.zip": zipped("d", "dream", "xl")}))
    hub = talk()

    def fits(**filters: Any) -> tuple[bool, bool]:
        query = SearchQuery(**filters)
        answer = hub.ask(Details(repo.id, False, query))
        return answer.fits, answer.details.probed

    assert fits(families=(Family.SDXL,)) == (True, True)
    assert fits(families=(Family.SD1,)) == (False, True)
    assert fits(fits=True) == (True, True)
    assert fits(kinds=(ModelKind.CONTROLNET,)) == (False, False)
    assert fits(max_bytes=1) == (False, False)


# -- the account ------------------------------------------------------------------------------


def test_a_token_is_tried_kept_and_forgotten(talk) -> None:
    hub = talk()
    assert not hub.ask(AskAccount()).signed_in
    with pytest.raises(SfumatoError) as refusal:
        hub.ask(SetToken("hf_nonsense"))
    assert refusal.value.kind is ErrorKind.ACCESS
    assert not hub.ask(AskAccount()).signed_in
    assert hub.ask(SetToken(GOOD_TOKEN)).name == "ada"
    again = talk().ask(AskAccount())  # another process, another day
    assert (again.signed_in, again.name, again.source) == (True, "ada", "keychain")
    assert not hub.ask(SetToken("")).signed_in
    assert not talk().ask(AskAccount()).signed_in


def test_the_token_is_in_no_log(talk) -> None:
    hub = talk()
    hub.ask(SetToken(GOOD_TOKEN))
    with pytest.raises(SfumatoError):
        hub.ask(Details("nobody/nothing", probe=True))
    log = (paths.logs_dir() / "hub.log").read_text()
    assert GOOD_TOKEN not in log


# -- downloads --------------------------------------------------------------------------------


def test_a_download_from_the_button_to_the_verified_and_mended_model(
    talk, server: HubServer
) -> None:
    hub = talk()
    begun = hub.get(STARTER_REPO)
    done = hub.wait_for(begun.id, DownloadState.DONE, DownloadState.FAILED)
    assert done.error is None and done.bytes_done == done.bytes_total > 0
    folder = Path(done.folder)
    assert folder.is_relative_to(paths.models_dir())
    assert hub.ask(Downloads()) == () or all(
        s.state is DownloadState.DONE for s in hub.ask(Downloads())
    )
    [model] = installed(paths.models_dir())
    assert (model.repo, model.folder, model.variant) == (STARTER_REPO, str(folder), begun.variant)
    assert hub.ask(Verify(str(folder))) == ()
    assert hub.ask(Repair(str(folder))) is None
    assert hub.ask(Updates()) == {str(folder): ""}
    victim = max(folder.rglob("weight.bin"), key=lambda path: path.stat().st_size)
    sound = victim.read_bytes()
    victim.write_bytes(sound[:1000] + bytes([sound[1000] ^ 255]) + sound[1001:])
    [problem] = hub.ask(Verify(str(folder)))
    assert (problem.path, problem.what) == (victim.relative_to(folder).as_posix(), "hash")
    assert any(isinstance(e, VerifyProgress) and e.folder == str(folder) for e in hub.events)
    server.clear_log()
    mending = hub.ask(Repair(str(folder)))
    hub.wait_for(mending.id, DownloadState.DONE, DownloadState.FAILED)
    assert victim.read_bytes() == sound
    fetched = {r.file for r in server.log if r.file and r.sent}
    assert len(fetched) == 1 and fetched.pop().endswith(f"/{problem.path}")


def test_hanging_up_pauses_downloads_and_the_next_process_goes_on(talk, server: HubServer) -> None:
    repo = server.add(long_model())
    throttle = server.fault("/cdn/slow/model/*", bytes_per_second=1e6)
    first = talk()
    begun = first.get("slow/model")
    first.until(lambda: any(s.bytes_done > 2**20 for s in first.statuses(begun.id)))
    process = first.hub._process
    assert process is not None
    first.hub.stop(PATIENCE)
    assert process._process.returncode == 0  # by itself, not by force
    assert not list(paths.models_dir().glob("[!.]*/*/*.mlpackage"))  # no half model is offered
    server.faults.remove(throttle)
    second = talk()
    [left] = second.ask(Downloads())
    assert (left.id, left.state, left.interrupted) == (begun.id, DownloadState.PAUSED, True)
    assert left.bytes_done >= 2**20
    second.ask(Resume(left.id))
    done = second.wait_for(left.id, DownloadState.DONE, DownloadState.FAILED)
    assert contents(Path(done.folder)) == offered(repo)


def test_the_person_pauses_goes_on_and_gives_up(talk, server: HubServer) -> None:
    server.add(long_model())
    server.fault("/cdn/slow/model/*", bytes_per_second=1e6)
    hub = talk()
    begun = hub.get("slow/model")
    hub.until(lambda: any(s.bytes_done for s in hub.statuses(begun.id)))
    hub.ask(Pause(begun.id))
    paused = hub.wait_for(begun.id, DownloadState.PAUSED)
    assert not paused.interrupted
    hub.events.clear()
    hub.ask(Resume(begun.id))
    hub.wait_for(begun.id, DownloadState.FETCHING)
    hub.ask(Cancel(begun.id))
    hub.wait_for(begun.id, DownloadState.CANCELLED)
    assert hub.ask(Downloads()) == ()
    assert list((paths.models_dir() / ".downloads").iterdir()) == []


def test_a_gated_model_is_fetched_once_someone_with_access_has_signed_in(
    talk, server: HubServer
) -> None:
    repo = "ada-lab/coreml-gated-diffusion"
    hub = talk()
    found = hub.ask(Details(repo, probe=True)).details
    assert found.summary.gated == "auto" and found.variants  # what is in it, anyone may see
    begun = hub.ask(Start(repo, found.variants[0].id, ""))
    failed = hub.wait_for(begun.id, DownloadState.FAILED, DownloadState.DONE)
    assert failed.error is not None and failed.error.kind is ErrorKind.ACCESS
    hub.ask(SetToken(GOOD_TOKEN))
    hub.events.clear()
    hub.ask(Resume(begun.id))
    assert hub.wait_for(begun.id, DownloadState.DONE, DownloadState.FAILED).error is None


def test_a_new_revision_is_found_and_takes_the_old_ones_place(talk, server: HubServer) -> None:
    repo = server.add(long_model("moving/model", 1))
    hub = talk()
    begun = hub.get("moving/model")
    folder = Path(hub.wait_for(begun.id, DownloadState.DONE).folder)
    before = repo.sha
    files = {path: blob.content for path, blob in repo.blobs.items()}
    largest = max(repo.blobs, key=lambda path: repo.blobs[path].size)
    repo.commit({**files, largest: repo.blobs[largest].read() + b"better"})
    assert hub.ask(Updates()) == {str(folder): repo.sha} and repo.sha != before
    hub.events.clear()
    again = hub.ask(Start("moving/model", begun.variant, repo.sha))
    assert hub.wait_for(again.id, DownloadState.DONE, DownloadState.FAILED).folder == str(folder)
    assert contents(folder) == offered(repo)
    assert [model.revision for model in installed(paths.models_dir())] == [repo.sha]
    assert hub.ask(Updates()) == {str(folder): ""}


def test_ten_thousand_files_are_listed_without_being_sent(talk, server: HubServer) -> None:
    repo = server.add(many_files())
    hub = talk()
    hub.ask(AskMachine())
    found = hub.ask(Details(repo.id, probe=True)).details
    assert found.summary.id == repo.id
    assert len(json.dumps(found.to_json())) < 100_000
