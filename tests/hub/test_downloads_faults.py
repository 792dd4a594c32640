"""What goes wrong on the way: the network, the Hub, the disk, hostile names."""

from __future__ import annotations

import dataclasses
import time

import pytest

from gui.errors import ErrorKind
from gui.hub import session
from gui.hub.downloads import Backoff, Downloads
from gui.hub.types import DownloadState
from gui.library.models.folders import model_folders
from tests.hub.fog_downloads import (
    ABOUT,
    SIZE,
    SMALL,
    WEIGHT,
    begin,
    failed,
    get,
    pause,
    until,
    whole,
)
from tests.support.hub_downloads import HASTY, random_bytes, variant_of
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, STRANGER_TOKEN
from tests.support.proxy import Proxy

# The network


@pytest.mark.parametrize("silence", [{"delay": 300.0}, {"bytes_per_second": 10}])
def test_a_server_that_falls_silent_is_given_up_and_asked_again(
    one, server, repo, monkeypatch, silence
):
    """Before its answer or in mid-file, it neither sends nor closes: no byte for too long."""
    monkeypatch.setattr(session, "READ_SECONDS", 1.5)
    server.fault(f"/cdn/*{WEIGHT}", times=2, **silence)
    assert whole(get(one, repo), repo)
    assert server.count(f"/cdn/{repo.id}") > 1


def test_downloads_go_through_the_proxy(server, repo, models, monkeypatch):
    """Requests for a host that does not exist, the content network's too, arrive by the proxy."""
    from huggingface_hub.utils import close_session

    with Proxy({"hub.invalid:80": server.endpoint}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("https_proxy", proxy.address)
        close_session()
        try:
            with Downloads(endpoint="http://hub.invalid", backoff=HASTY) as downloads:
                assert whole(get(downloads, repo), repo)
            asked = {(method, host) for method, host, _ in proxy.log}
            assert asked == {("GET", "hub.invalid:80"), ("GET", server.cdn.split("//")[1])}
            proxy.log.clear()
            with Downloads(models / "other", endpoint="https://hub.invalid", backoff=HASTY) as d:
                failed(get(d, repo), ErrorKind.NETWORK, "connection")
            assert {(m, h) for m, h, _ in proxy.log} == {("CONNECT", "hub.invalid:443")}
            assert not any("authorization" in headers for _, _, headers in proxy.log)
        finally:
            close_session()


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_after": 700_000},
        {"hang_up": True},
        {"status": 500},
        {"status": 503, "retry_after": 0},
        {"status": 503, "rate_limit": '"resolvers";r=2900;t=240'},
        {"status": 408},
        {"truncate_to": 900_000},
        {"html": True},
    ],
    ids=lambda f: "-".join(f),
)
def test_a_passing_trouble_is_got_over(one, server, repo, fault):
    server.fault("*/weight.bin", times=2, **fault)
    assert whole(get(one, repo), repo)


def test_what_arrived_before_a_drop_is_not_asked_for_again(one, server, repo):
    server.fault("/cdn/*", times=3, drop_after=600_000)
    status = get(one, repo)
    assert whole(status, repo)
    starts = [r.range for r in server.log if r.cdn]
    assert len(starts) == 4
    # A reset may cost what lies unread in the buffers, and never more.
    assert server.sent(f"ada/fog/{WEIGHT}") < SIZE + 3 * 300_000
    assert status.bytes_fetched == status.bytes_total


def test_a_trouble_that_lasts_says_so_and_keeps_what_is_there(one, server, repo, models):
    fault = server.fault("/cdn/*", drop_after=400_000, times=1)
    again = server.fault("*/weight.bin", skip=2, hang_up=True)
    status = get(one, repo)
    failed(status, ErrorKind.NETWORK, "connection to the Hub broke off")
    kept = status.bytes_done
    assert kept > 0
    assert list(model_folders(models)) == []
    states = [e.state for e in one.events]
    assert DownloadState.WAITING in states
    waiting = next(e for e in one.events if e.state is DownloadState.WAITING)
    assert waiting.retry_in > 0
    server.faults.remove(fault)
    server.faults.remove(again)
    one.resume(status.id)
    status = one.wait(status.id, 30)
    assert whole(status, repo)
    assert status.bytes_fetched == status.bytes_total


def test_the_server_being_gone_is_said_and_got_over(hub_server, one, server, repo):
    server.close()
    failed(get(one, repo), ErrorKind.NETWORK, "check the network")


def test_retry_after_is_obeyed(one, server, repo):
    server.fault("*/weight.bin", times=1, status=429, retry_after=2)
    started = time.monotonic()
    assert whole(get(one, repo), repo)
    assert time.monotonic() - started >= 2.0
    waiting = [e for e in one.events if e.state is DownloadState.WAITING]
    assert waiting
    assert HASTY.longest < waiting[0].retry_in <= 2.0


def test_one_pause_asked_of_many_connections_counts_once(hub_server):
    """Eight connections are turned away at the same moment: that is one failure, not eight."""
    files = {f"packages/U.mlpackage/{k}.bin": random_bytes(1000, k) for k in range(16)}
    repo = Repo("ada/fog", files)
    server = hub_server([repo])
    server.fault("*/resolve/*", times=8, status=429, retry_after=1, delay=0.05)
    with Downloads(endpoint=server.endpoint, backoff=HASTY, connections=8) as one:
        assert whole(get(one, repo), repo)


def test_compression_that_was_not_asked_for_is_undone(hub_server, monkeypatch):
    """A proxy that compresses text whatever the client says."""
    from gui.hub.downloads import transport

    real = transport.session.headers_for

    def headers_for(*arguments: object) -> dict[str, str]:
        class Deaf(dict[str, str]):
            def __setitem__(self, name: str, value: str) -> None:
                super().__setitem__(name, "gzip" if name == "Accept-Encoding" else value)

        return Deaf(real(*arguments))  # type: ignore[arg-type]

    monkeypatch.setattr(transport.session, "headers_for", headers_for)
    repo = Repo("ada/fog", {SMALL: '{"a": 1}' * 500, WEIGHT: random_bytes(1000)})
    server = hub_server([repo], gzip_text=True)
    with Downloads(endpoint=server.endpoint, backoff=HASTY) as one:
        assert whole(get(one, repo), repo)
    assert server.sent(f"ada/fog/{SMALL}") < 4000, "it was not compressed"


def test_a_damaged_copy_on_this_machine_does_not_count_as_damage_on_the_way(
    one, server, repo, home
):
    blobs = home / "huggingface" / "hub" / "models--ada--fog" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / repo.blobs[WEIGHT].sha256).write_bytes(bytes(SIZE))
    server.fault("/cdn/*", times=1, corrupt_at=10)
    assert whole(get(one, repo), repo)


def test_too_many_requests_for_good_is_worded(one, server, repo):
    server.fault("*/weight.bin", status=429)
    failed(get(one, repo), ErrorKind.NETWORK, "asks for a pause")


def test_waiting_can_be_paused_at_once(one, server, repo):
    server.fault("*/weight.bin", status=429, retry_after=300)
    name = begin(one, repo)
    until(lambda: one.status(name).state is DownloadState.WAITING)
    pause(one, name)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-999/3000000"},
        {"Content-Range": "bytes 0-999/1000"},
        {"Content-Range": "bytes ²-999/3000000"},
        {"Content-Range": "bytes " + "9" * 5000 + "-/*"},
        {"Content-Range": ""},
    ],
    ids=["other part", "other file", "no number", "endless number", "none"],
)
def test_a_part_that_is_not_what_was_asked_for_is_not_taken(
    one, server, repo, monkeypatch, headers
):
    """Told by its headers, before a byte of it is written."""
    from tests.support import hub_server

    real = hub_server.Routes.cdn

    def cdn(self: hub_server.Routes) -> hub_server.Answer:
        answer = real(self)
        if answer.status == 206:
            answer.headers.update(headers)
        return answer

    server.fault("/cdn/*", times=1, drop_after=1_000_000)
    monkeypatch.setattr(hub_server.Routes, "cdn", cdn)
    status = get(one, repo)
    failed(status, ErrorKind.NETWORK, "changed on the Hub")
    monkeypatch.setattr(hub_server.Routes, "cdn", real)
    one.resume(status.id)
    assert whole(one.wait(status.id, 30), repo)


def test_headers_in_an_odd_but_lawful_form_are_understood(one, server, repo, monkeypatch):
    from tests.support import hub_server

    real = hub_server.Routes.cdn

    def cdn(self: hub_server.Routes) -> hub_server.Answer:
        answer = real(self)
        if answer.status == 206:
            stated = answer.headers.pop("Content-Range")
            answer.headers["content-range"] = " " + stated.replace("bytes", "Bytes") + " "
        return answer

    server.fault("/cdn/*", times=1, drop_after=1_000_000)
    monkeypatch.setattr(hub_server.Routes, "cdn", cdn)
    status = get(one, repo)
    assert whole(status, repo)
    assert server.sent(f"ada/fog/{WEIGHT}") < SIZE + 300_000, "not from the front again"


def test_a_server_that_sends_less_than_was_asked_for_is_asked_for_the_rest(
    one, server, repo, monkeypatch
):
    """A part may be answered by a part of it (RFC 9110, 14.2)."""
    from tests.support import hub_server

    real = hub_server.Routes.cdn

    def cdn(self: hub_server.Routes) -> hub_server.Answer:
        answer = real(self)
        if answer.status == 206 and answer.length > 600_000:
            answer.length = 600_000
            end = answer.start + answer.length - 1
            answer.headers["Content-Range"] = f"bytes {answer.start}-{end}/{SIZE}"
        return answer

    server.fault("/cdn/*", times=1, drop_after=1_000_000)
    monkeypatch.setattr(hub_server.Routes, "cdn", cdn)
    status = get(one, repo)
    assert whole(status, repo)
    assert status.bytes_fetched == status.bytes_total


def test_a_server_without_ranges_is_read_from_the_front(one, server, repo):
    server.fault("/cdn/*", times=1, drop_after=1_000_000)
    server.fault("/cdn/*", ignore_range=True)
    assert whole(get(one, repo), repo)


def test_a_large_file_from_a_server_without_ranges(one, server, repo, monkeypatch):
    from gui.hub.downloads import fetch

    monkeypatch.setattr(fetch, "LARGE", 1 << 19)
    monkeypatch.setattr(fetch, "PIECE", 1 << 19)
    server.fault("/cdn/*", ignore_range=True)
    assert whole(get(one, repo), repo)


def test_wrong_bytes_once_are_fetched_again(one, server, repo):
    server.fault("/cdn/*", times=1, corrupt_at=1_234_567)
    status = get(one, repo)
    assert whole(status, repo)
    assert server.sent(f"ada/fog/{WEIGHT}") == 2 * SIZE


def test_wrong_bytes_in_a_small_file_are_noticed_too(one, server, repo):
    server.fault(f"*{SMALL}", times=1, corrupt_at=3)
    assert whole(get(one, repo), repo)


def test_wrong_bytes_twice_are_an_error_and_no_model(one, server, repo, models):
    fault = server.fault("/cdn/*", corrupt_at=-1)
    status = get(one, repo)
    failed(status, ErrorKind.NETWORK, "damaged twice")
    assert status.error is not None
    assert "weight.bin" in status.error.message
    assert list(model_folders(models)) == []
    server.faults.remove(fault)
    one.resume(status.id)
    assert whole(one.wait(status.id, 30), repo)


def test_bytes_spoilt_on_the_disk_while_paused_are_noticed(one, server, repo, models):
    fault = server.fault("/cdn/*", bytes_per_second=5e5)
    name = begin(one, repo)
    until(lambda: one.status(name).bytes_done > 600_000)
    pause(one, name)
    (partial,) = models.glob(".downloads/*/model/**/weight.bin")
    with partial.open("r+b") as file:
        file.seek(500_000)
        file.write(b"a power failure")
    server.faults.remove(fault)
    one.resume(name)
    assert whole(one.wait(name, 30), repo)


def test_a_sign_in_page_instead_of_the_file_is_worded(one, server, repo):
    server.fault("*", html=True)
    failed(get(one, repo), ErrorKind.NETWORK, "sign in")


# The Hub


@pytest.mark.parametrize("token", [None, GOOD_TOKEN], ids=["anonymous", "signed-in"])
def test_a_model_deleted_while_downloading(server, repo, models, token):
    server.fault("/cdn/*", times=1, drop_after=1_500_000)
    server.fault("*/weight.bin", skip=2, times=1, action=lambda: server.delete("ada/fog"))
    with Downloads(
        endpoint=server.endpoint, backoff=HASTY, connections=1, token=lambda: token
    ) as one:
        failed(get(one, repo), ErrorKind.NOT_FOUND, "taken off the Hub")
    assert list(model_folders(models)) == []


def test_a_repository_renamed_while_downloading(server, repo, models):
    """The Hub sends on those who ask for the old name; the token goes along, but no further."""
    repo.gated, repo.granted = "auto", ("ada",)
    new = Repo("eve/mist", repo.files, gated="auto", granted=("ada",))

    def rename() -> None:
        server.add(new).commits[repo.sha] = repo.blobs
        server.delete(repo.id)
        server.renamed[repo.id] = new.id

    server.fault("/cdn/*", times=1, drop_after=1_500_000)
    server.fault("*/resolve/*/weight.bin", skip=1, times=1, action=rename)
    with Downloads(
        endpoint=server.endpoint, backoff=HASTY, connections=1, token=lambda: GOOD_TOKEN
    ) as one:
        assert whole(get(one, repo), repo)
    hub = [r for r in server.log if not r.cdn]
    assert any(r.path.startswith("/eve/mist/resolve/") for r in hub)
    assert {r.authorization for r in hub} == {f"Bearer {GOOD_TOKEN}"}
    assert not any(r.authorization for r in server.log if r.cdn)


def test_a_file_deleted_while_downloading(one, server, repo):
    server.fault("*/weight.bin", status=404, error_code="EntryNotFound")
    failed(get(one, repo), ErrorKind.NOT_FOUND, "no longer on the Hub")


def test_a_gated_model_says_what_to_do(one, server, repo):
    repo.gated = "manual"
    failed(get(one, repo), ErrorKind.ACCESS, "terms")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_content_network_that_refuses_is_named(one, server, repo, status):
    """As companies' firewalls do; the Hub's own refusals are about the model, these are not."""
    refusal = server.fault("/cdn/*", status=status)
    status = get(one, repo)
    failed(status, ErrorKind.NETWORK, "at 127.0.0.1, which refused them")
    server.faults.remove(refusal)
    server.fault("/cdn/*", status=403, times=2)  # an address that has expired
    one.resume(status.id)
    assert whole(one.wait(status.id, 30), repo)


def test_the_hub_behind_a_mirror_says_why(hub_server, repo, models):
    """A mirror that sends on to the Hub, where nobody is signed in: no token goes there."""
    repo.gated = "manual"
    hub = hub_server([repo])
    mirror = hub_server([repo])
    place = f"{hub.endpoint}/{repo.id}/resolve/{repo.sha}/{WEIGHT}"
    mirror.fault("*/resolve/*", redirect=place)
    with Downloads(endpoint=mirror.endpoint, backoff=HASTY, token=lambda: GOOD_TOKEN) as one:
        failed(get(one, repo), ErrorKind.ACCESS, "terms")
    assert not any(r.authorization for r in hub.log)


@pytest.mark.parametrize(
    ("url", "endpoint", "same"),
    [
        ("https://huggingface.co/a/b", "https://huggingface.co:443", True),
        ("http://Hub.local:80/a", "http://hub.local", True),
        ("https://huggingface.co/a", "http://huggingface.co", False),
        ("https://huggingface.co:8443/a", "https://huggingface.co", False),
        ("https://huggingface.co@evil.example/a", "https://huggingface.co", False),
        ("https://huggingface.co.evil.example/a", "https://huggingface.co", False),
        ("https://huggingface.co:x/a", "https://huggingface.co:x", False),
    ],
)
def test_whose_address_it_is(url, endpoint, same):
    assert session.same_origin(url, endpoint) is same
    sent = session.headers_for(url, endpoint, GOOD_TOKEN).get("authorization", "")
    assert (sent == f"Bearer {GOOD_TOKEN}") is same


def test_a_token_without_access(hub_server, repo):
    repo.gated = "manual"
    server = hub_server([repo])
    with Downloads(endpoint=server.endpoint, backoff=HASTY, token=lambda: STRANGER_TOKEN) as one:
        failed(get(one, repo), ErrorKind.ACCESS, "terms")


def test_an_old_token_hinders_no_public_download(hub_server, repo):
    server = hub_server([repo])
    with Downloads(endpoint=server.endpoint, backoff=HASTY, token=lambda: "hf_expired") as one:
        assert whole(get(one, repo), repo)
    assert 1 <= sum(r.status == 401 for r in server.log) <= 8  # once per connection at most


def test_an_old_token_is_the_reason_where_one_is_needed(hub_server, repo):
    repo.gated = "manual"
    server = hub_server([repo])
    with Downloads(endpoint=server.endpoint, backoff=HASTY, token=lambda: "hf_expired") as one:
        failed(get(one, repo), ErrorKind.ACCESS, "does not accept your token")


def test_a_file_that_is_another_one_now(one, server, repo):
    stale = tuple(
        dataclasses.replace(file, sha256="0" * 64) if file.sha256 else file
        for file in variant_of(repo, "packages").files
    )
    variant = dataclasses.replace(variant_of(repo, "packages"), files=stale)
    name = one.start(repo.id, repo.sha, variant, about=ABOUT).id
    failed(one.wait(name, 30), ErrorKind.NETWORK, "changed on the Hub")


def test_patience_grows_and_is_bounded():
    patience = Backoff(first=1, longest=60, attempts=8)
    delays = [patience.delay(k, 0) for k in range(1, 12)]
    assert all(0.5 * min(60, 2**k) <= d <= min(60, 2**k) for k, d in enumerate(delays))
    assert patience.delay(1, 90) == 90
