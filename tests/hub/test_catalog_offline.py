"""The Hub away, slow, busy, or replaced by a hotel's sign-in page."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub import session
from gui.hub.catalog.catalog import Catalog
from gui.hub.catalog.response_cache import Memory
from gui.hub.types import SearchQuery, Sort
from tests.support.hub_repo import Repo
from tests.support.hub_repos import apple_v1_5, apple_v1_5_palettized, crowd
from tests.support.hub_server import HubServer

Start = Callable[..., HubServer]


def failure(act: Callable[[], object]) -> SfumatoError:
    with pytest.raises(SfumatoError) as caught:
        act()
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message
    return caught.value


def test_nobody_else_can_read_what_was_looked_for(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "Hub")
    memory.put("page", "a search", {"models": []})
    modes = {f.name: f.stat().st_mode & 0o777 for f in (tmp_path / "Hub").iterdir()}
    memory.close()
    assert len(modes) == 3 and set(modes.values()) == {0o600}


def test_the_last_results_remain_without_a_connection(hub_server: Start) -> None:
    server = hub_server(crowd(70))
    catalog = Catalog(server.endpoint)
    live = catalog.search(SearchQuery())
    second = catalog.search(SearchQuery(), live.cursor)
    server.close()
    # Another start of the app.
    later = Catalog(server.endpoint)
    page = later.search(SearchQuery())
    assert page.models == live.models
    assert page.stale and page.stale_reason is not None
    assert page.stale_reason.kind is ErrorKind.NETWORK
    assert later.search(SearchQuery(), page.cursor).models == second.models
    # The third page was never seen: the second says there is no more, rather than fail.
    assert later.search(SearchQuery(), page.cursor).cursor == ""


def test_words_are_searched_among_everything_seen_before(hub_server: Start) -> None:
    server = hub_server([*crowd(40), apple_v1_5()])
    catalog = Catalog(server.endpoint)
    page = catalog.search(SearchQuery())
    while page.cursor:
        page = catalog.search(SearchQuery(), page.cursor)
    server.close()
    page = catalog.search(SearchQuery(text="Diffusion APPLE"))
    assert [m.id for m in page.models] == ["apple/coreml-stable-diffusion-v1-5"]
    assert page.stale
    page = catalog.search(SearchQuery(text="model-0001", sort=Sort.DOWNLOADS))
    downloads = [m.downloads for m in page.models]
    assert downloads == sorted(range(10, 20), reverse=True)
    assert catalog.search(SearchQuery(text="no such thing")).models == ()


def test_models_trees_and_cards_seen_before_can_be_looked_at_again(hub_server: Start) -> None:
    server = hub_server([apple_v1_5()])
    repo = "apple/coreml-stable-diffusion-v1-5"
    catalog = Catalog(server.endpoint)
    seen = (catalog.summary(repo), catalog.tree(repo), catalog.card(repo, server.repos[repo].sha))
    server.close()
    later = Catalog(server.endpoint)
    summary = later.summary(repo)
    assert "cannot be reached" in summary.remembered and not seen[0].remembered
    assert replace(summary, remembered="") == seen[0]
    assert (later.tree(repo), later.card(repo, seen[1].revision)) == seen[1:]


def test_a_model_asked_for_by_name_says_that_it_is_remembered(hub_server: Start) -> None:
    server = hub_server([apple_v1_5()])
    repo = "apple/coreml-stable-diffusion-v1-5"
    catalog = Catalog(server.endpoint)
    page, named = catalog.look_for(SearchQuery(text=f"hf.co/{repo}"))
    assert (named, page.stale, page.models[0].remembered) == (repo, "", "")
    server.close()
    for text in (repo, f"https://huggingface.co/{repo}?library=coreml"):
        page, named = catalog.look_for(SearchQuery(text=text))
        assert named == repo and page.stale and page.stale_reason is not None
        assert page.stale_reason.kind is ErrorKind.NETWORK
        assert [m.remembered for m in page.models] == [page.stale_reason.message]
    # What looks like a name may be words; what can only be an address is not searched for.
    page, named = catalog.look_for(SearchQuery(text="apple/coreml"))
    assert [m.id for m in page.models] == [repo] and page.stale and not named
    for text in ("nobody/nothing", "https://huggingface.co/apple/coreml"):
        error = failure(lambda t=text: catalog.look_for(SearchQuery(text=t)))
        assert error.kind is ErrorKind.NETWORK


def test_what_another_version_remembered_is_asked_for_again(
    hub_server: Start, tmp_path: Path
) -> None:
    server = hub_server([apple_v1_5()])
    repo = "apple/coreml-stable-diffusion-v1-5"
    catalog = Catalog(server.endpoint, cache=tmp_path)
    seen = catalog.tree(repo, server.repos[repo].sha), catalog.card(repo, server.repos[repo].sha)
    memory = Memory(tmp_path)
    for kind in ("tree", "card"):
        memory.put(kind, f"{repo}@{server.repos[repo].sha}", {"id": 1, "files": 2, "examples": 3})
    assert catalog.tree(repo, server.repos[repo].sha) == seen[0]
    assert catalog.card(repo, server.repos[repo].sha) == seen[1]
    page = catalog.search(SearchQuery())
    memory.put("page", catalog._key(SearchQuery(), ""), {"models": 7})
    server.close()
    assert catalog.search(SearchQuery()).models == page.models


def test_half_characters_are_no_obstacle(hub_server: Start) -> None:
    """As a terminal hands over bytes that are no text, or a hostile Hub writes them."""
    server = hub_server(crowd(2))
    assert Catalog(server.endpoint).search(SearchQuery(text="\udcff")).models == ()
    server.fault(body=b'[{"id": "a/\\ud800", "tags": ["coreml"], "pipeline_tag": "text-to-image"}]')
    (found,) = Catalog(server.endpoint).search(SearchQuery()).models
    assert found.id == "a/\ud800"


def test_pages_without_end_are_given_up(hub_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from gui.hub.catalog import catalog as module

    monkeypatch.setattr(module, "MAX_PAGES", 5)
    server = hub_server(crowd(1))
    repo = "author0/coreml-model-00000"
    page = f"{server.endpoint}/api/models/{repo}/tree/main"
    monkeypatch.setattr(module, "get_json", lambda *_, **__: ([], page))
    with pytest.raises(SfumatoError, match="makes no sense"):
        Catalog(server.endpoint).tree(repo, "0" * 40)


def test_with_nothing_remembered_the_reason_is_said(hub_server: Start) -> None:
    server = hub_server(crowd(3))
    server.close()
    error = failure(lambda: Catalog(server.endpoint).search(SearchQuery()))
    assert error.kind is ErrorKind.NETWORK and "connection" in error.message
    assert failure(lambda: Catalog(server.endpoint).tree("a/b")).kind is ErrorKind.NETWORK


def test_a_damaged_memory_is_replaced(hub_server: Start, tmp_path: Path) -> None:
    server = hub_server(crowd(5))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "memory.sqlite").write_bytes(b"not a database at all" * 500)
    catalog = Catalog(server.endpoint, cache=cache)
    assert len(catalog.search(SearchQuery()).models) == 5
    assert len(catalog.search(SearchQuery()).models) == 5
    server.close()
    assert len(catalog.search(SearchQuery()).models) == 5


def test_a_cache_that_cannot_be_written_is_no_obstacle(hub_server: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    catalog = Catalog(hub_server(crowd(5)).endpoint, cache=tmp_path / "file" / "Hub")
    assert len(catalog.search(SearchQuery()).models) == 5
    assert catalog.tree("author0/coreml-model-00000").files


def test_what_was_remembered_holds_no_token(hub_server: Start, tmp_path: Path) -> None:
    catalog = Catalog(hub_server(crowd(5)).endpoint, "hf_goodtoken", tmp_path)
    catalog.search(SearchQuery())
    catalog.whoami()
    catalog.close()
    for file in tmp_path.rglob("*"):
        assert b"hf_goodtoken" not in file.read_bytes()
    with sqlite3.connect(tmp_path / "memory.sqlite") as base:
        assert base.execute("SELECT COUNT(*) FROM models").fetchone() == (5,)


# The network's moods


def test_a_captive_portal_is_named(hub_server: Start) -> None:
    server = hub_server(crowd(5))
    server.fault(html=True)
    error = failure(lambda: Catalog(server.endpoint).search(SearchQuery()))
    assert error.kind is ErrorKind.NETWORK and "sign-in page" in error.message
    server.faults.clear()
    # Pages that say they are JSON but are not, and JSON that is not the Hub's.
    nonsense = (
        b"<html>",
        b"",
        b"[1, 2",
        b'{"error": "x"}',
        b"\xff\xfe",
        b"[" * 10**6,
        b"9" * 10**5,
    )
    for body in nonsense:
        server.faults.clear()
        server.fault(body=body)
        assert failure(lambda: Catalog(server.endpoint).search(SearchQuery())).kind in (
            ErrorKind.NETWORK,
        )
        assert failure(lambda: Catalog(server.endpoint).tree("a/b")).kind is ErrorKind.NETWORK


def test_a_sign_in_page_is_not_remembered_as_card_or_picture(
    hub_server: Start, tmp_path: Path
) -> None:
    server = hub_server([apple_v1_5_palettized()])
    catalog = Catalog(server.endpoint)
    model = catalog.summary("apple/coreml-stable-diffusion-v1-5-palettized")
    server.fault(html=True)
    for act in (
        lambda: catalog.card(model.id, model.revision),
        lambda: catalog.picture(model, tmp_path),
    ):
        assert "sign-in page" in failure(act).message
    server.faults.clear()
    assert catalog.card(model.id, model.revision).description.startswith("The same")
    assert catalog.picture(model, tmp_path) is not None


def test_an_answer_without_end_is_not_read_to_it(
    hub_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hub_server(crowd(5))
    monkeypatch.setattr(session, "MAX_JSON", 2**20)
    server.fault(body=b" " * 2**26)
    assert failure(lambda: Catalog(server.endpoint).search(SearchQuery())).kind is ErrorKind.NETWORK
    server.close()
    (request,) = server.log
    assert request.sent < 2**25


def test_a_redirect_to_nowhere(hub_server: Start) -> None:
    server = hub_server(crowd(5))
    server.fault(redirect="http://127.0.0.1:9/login")
    assert failure(lambda: Catalog(server.endpoint).summary("a/b")).kind is ErrorKind.NETWORK
    server.faults.clear()
    server.fault(redirect=f"{server.endpoint}/api/models/a/b")
    assert failure(lambda: Catalog(server.endpoint).summary("a/b")).kind is ErrorKind.NETWORK


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_hiccup_of_the_hub_is_not_noticed(hub_server: Start, status: int) -> None:
    server = hub_server(crowd(5))
    server.fault("/api/models", status=status, times=1)
    assert not Catalog(server.endpoint).search(SearchQuery()).stale


def test_a_broken_connection_is_tried_again(hub_server: Start) -> None:
    server = hub_server(crowd(5))
    server.fault("/api/models", hang_up=True, times=1)
    server.fault("/api/models", drop_after=20, times=1, skip=1)
    assert not Catalog(server.endpoint).search(SearchQuery()).stale


def test_a_hub_that_stays_ill_is_said_to_be(hub_server: Start) -> None:
    server = hub_server(crowd(5))
    server.fault("/api/models", status=503)
    start = time.monotonic()
    error = failure(lambda: Catalog(server.endpoint).search(SearchQuery()))
    assert error.kind is ErrorKind.NETWORK and "503" in error.message
    assert server.count("/api/models") == 3
    assert time.monotonic() - start < 60


def test_too_many_requests(hub_server: Start) -> None:
    server = hub_server(crowd(5))
    server.fault("/api/models", status=429, retry_after=1, times=1)
    assert len(Catalog(server.endpoint).search(SearchQuery()).models) == 5
    server.fault("/api/models*", status=429, retry_after=240)
    asked = server.count("/api/models")
    error = failure(lambda: Catalog(server.endpoint).summary("a/b"))
    assert error.kind is ErrorKind.NETWORK and "4 minutes" in error.message
    assert server.count("/api/models") == asked + 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_healthy_quota_beside_a_passing_fault_is_no_order_to_wait(
    hub_server: Start, status: int
) -> None:
    server = hub_server(crowd(5))
    server.fault("/api/models", status=status, rate_limit='"api";r=480;t=3000', times=1)
    assert len(Catalog(server.endpoint).search(SearchQuery()).models) == 5


def test_a_mirror_that_knows_models_by_branch_alone(hub_server: Start) -> None:
    """olah and its kin answer 401 on the bare route, and huggingface_hub downloads all the same."""
    server = hub_server(crowd(2))
    repo = next(iter(server.repos))
    server.fault(f"/api/models/{repo}", status=401)
    catalog = Catalog(server.endpoint)
    assert catalog.summary(repo).id == repo
    assert catalog.tree(repo).revision == server.repos[repo].sha
    error = failure(lambda: catalog.summary("nobody/nothing"))
    assert error.kind is ErrorKind.NOT_FOUND and "nobody/nothing" in error.message


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_mirror_without_a_listing_says_that_names_still_open(
    hub_server: Start, status: int
) -> None:
    server = hub_server(crowd(2))
    server.fault("/api/models", status=status)
    catalog = Catalog(server.endpoint)
    error = failure(lambda: catalog.search(SearchQuery("fog")))
    assert "does not list its models; type a model's whole name" in error.message
    repo = next(iter(server.repos))
    assert catalog.summary(repo).id == repo


def test_a_hub_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Accepts the connection, then says nothing.  By itself the client library waits for ever."""
    monkeypatch.setattr(session, "READ_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        start = time.monotonic()
        error = failure(lambda: Catalog(endpoint, cache=tmp_path).search(SearchQuery()))
    assert error.kind is ErrorKind.NETWORK and "in time" in error.message
    assert time.monotonic() - start < 60


def test_names_that_cannot_be_looked_up(tmp_path: Path) -> None:
    catalog = Catalog("http://hub.invalid", cache=tmp_path)
    error = failure(lambda: catalog.search(SearchQuery()))
    assert error.kind is ErrorKind.NETWORK and "cannot be reached" in error.message


@pytest.mark.parametrize("endpoint", ["nonsense", "file:///etc"])
def test_an_address_that_is_none(tmp_path: Path, endpoint: str) -> None:
    error = failure(lambda: Catalog(endpoint, cache=tmp_path).search(SearchQuery()))
    assert error.kind is ErrorKind.NETWORK and "HF_ENDPOINT" in error.message


def test_a_proxy_is_used(
    hub_server: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Requests to a host that does not exist arrive at the proxy named in the environment."""
    proxy = hub_server(crowd(5))
    monkeypatch.setenv("http_proxy", proxy.endpoint)
    from huggingface_hub.utils import close_session

    close_session()
    try:
        catalog = Catalog("http://hub.invalid", cache=tmp_path)
        assert catalog.summary("author0/coreml-model-00000").likes == 5
        assert [r.headers["host"] for r in proxy.log] == ["hub.invalid"]
    finally:
        close_session()


def test_a_model_that_goes_away_between_two_pages(hub_server: Start) -> None:
    server = hub_server([Repo("a/b", {f"{n}.txt": "x" for n in range(50)})], tree_page=10)
    server.delete_after("a/b", 0)
    error = failure(lambda: Catalog(server.endpoint).tree("a/b"))
    assert error.kind is ErrorKind.NOT_FOUND and "“a/b”" in error.message


def test_many_threads_at_once(hub_server: Start) -> None:
    server = hub_server(crowd(100))
    catalog = Catalog(server.endpoint)
    problems: list[BaseException] = []

    def look(n: int) -> None:
        try:
            for k in range(n, 100, 8):
                repo = f"author{k % 37}/coreml-model-{k:05d}"
                assert catalog.summary(repo).id == repo
                assert catalog.tree(repo).files
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=look, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
