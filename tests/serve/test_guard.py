"""Who is not answered: strangers, hostile web pages, and those who send too much or too slowly."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import requests
import uvicorn
from PIL import Image

from gui.errors import SfumatoError
from gui.process.serve import Call, Server
from gui.serve import limits
from gui.serve.guard import Guard, Policy
from gui.serve.messages import Listen, ServiceOptions
from gui.serve.patience import PatientProtocol
from gui.serve.refusals import Refusal
from gui.serve.server import Service, bound
from tests.serve.conftest import STANDIN, Served, encoded, picture
from tests.serve.test_web_ui import until


def raw(served: Served, text: bytes, seconds: float = 20.0) -> bytes:
    """What comes back for these very bytes."""
    with socket.create_connection((served.host, served.port), timeout=seconds) as line:
        line.sendall(text)
        found = b""
        while piece := line.recv(65536):
            found += piece
        return found


def headers(served: Served, **more: str) -> dict[str, str]:
    told = {name.replace("_", "-"): value for name, value in more.items()}
    return {"Authorization": f"Bearer {served.token}", **told}


class TestToken:
    @pytest.mark.parametrize("given", ["", "Bearer wrong", "Bearer ", "Basic !!!", "Digest x",
                                       "Basic YW55Ym9keTp3cm9uZw=="])  # fmt: skip
    def test_a_wrong_one_is_refused(self, served: Served, given: str) -> None:
        told = {"Authorization": given} if given else {"X": "y"}
        for method, path in (("GET", "/sdapi/v1/options"), ("POST", "/sdapi/v1/txt2img"),
                             ("GET", "/openapi.json"), ("GET", "/nowhere")):  # fmt: skip
            answer = served.ask(method, path, headers=told)
            assert answer.status_code == 401 and "token" in answer.json()["detail"]

    def test_the_person_alone_may_read_it(self, served: Served) -> None:
        file = served.home / "data" / "Service" / "token"
        assert file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0

    def test_as_a_bearer_or_as_a_password(self, served: Served) -> None:
        assert served.ask("GET", "/internal/ping").status_code == 200
        answer = served.ask("GET", "/internal/ping", headers={}, auth=("me", served.token))
        assert answer.status_code == 200


class TestHostilePage:
    def test_a_name_that_leads_here_by_rebinding(self, served: Served) -> None:
        for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost@x",
                     "127.0.0.1:80:80", "[::1"):  # fmt: skip
            answer = served.ask("GET", "/sdapi/v1/options", headers=headers(served, Host=name))
            assert answer.status_code in (400, 421), name
        assert served.ask("GET", "/internal/ping", headers=headers(served, Host="LOCALHOST:1")).ok

    def test_two_names_are_none(self, served: Served) -> None:
        lines = f"Host: 127.0.0.1\r\nHost: evil.example\r\nAuthorization: Bearer {served.token}"
        told = raw(served, f"GET /internal/ping HTTP/1.1\r\n{lines}\r\n\r\n".encode())
        assert told.split()[1] in (b"400", b"421")

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000",
                                        "http://127.0.0.1"])  # fmt: skip
    def test_a_page_that_asks(self, served: Served, origin: str) -> None:
        told = headers(served, Origin=origin)
        answer = served.ask("POST", "/sdapi/v1/txt2img", json={"prompt": "page"}, headers=told)
        assert answer.status_code == 403 and "Access-Control-Allow-Origin" not in answer.headers
        preflight = served.ask(
            "OPTIONS", "/sdapi/v1/txt2img",
            headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
        )  # fmt: skip
        assert preflight.status_code == 403
        assert not any(job.request.prompt == "page" for job in served.jobs())

    def test_a_picture_or_script_of_a_page(self, served: Served) -> None:
        told = headers(served, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
        assert served.ask("GET", "/sdapi/v1/progress", headers=told).status_code == 403

    def test_a_form_that_is_posted(self, served: Served) -> None:
        told = headers(served, Content_Type="text/plain")
        for body in ("prompt=x", '{"prompt": "form"}'):
            answer = served.ask("POST", "/sdapi/v1/txt2img", data=body, headers=told)
            assert answer.status_code == 415 and "JSON" in answer.json()["detail"]
        assert not any(job.request.prompt == "form" for job in served.jobs())


class TestSize:
    def test_a_hundred_megabytes_are_refused_unread(self, served: Served) -> None:
        line = http.client.HTTPConnection(served.host, served.port, timeout=20)
        line.putrequest("POST", "/sdapi/v1/img2img")
        for name, value in headers(
            served, Content_Length="100000000", Content_Type="application/json"
        ).items():
            line.putheader(name, value)
        line.endheaders()  # not a byte of the body
        answer = line.getresponse()
        assert answer.status == 413 and "64 MB" in json.loads(answer.read())["detail"]

    def test_one_that_hides_its_size(self, served: Served) -> None:
        def pieces() -> Iterator[bytes]:
            for _ in range(70):
                yield b"x" * 2**20

        told = headers(served, Content_Type="application/json")
        answer = served.ask("POST", "/sdapi/v1/img2img", data=pieces(), headers=told)
        assert answer.status_code == 413

    def test_a_picture_with_too_many_pixels(self, served: Served) -> None:
        large = encoded(Image.new("1", (9000, 9000)))
        answer = served.ask("POST", "/sdapi/v1/img2img", json={"init_images": [large]})
        assert answer.status_code == 422 and "9000 × 9000" in answer.json()["detail"]


def test_odd_bodies_are_answered_in_one_sentence(served: Served) -> None:
    chance = random.Random(5)
    units = {"controlnet": {"args": [{"model": "x"}]}}
    first = encoded(picture())
    whole = json.dumps({"prompt": "p", "init_images": [first], "alwayson_scripts": units})
    bodies = [
        b"", b"[]", b"null", b"1", b'"x"', b"{", b"\xff\xfe", b'{"prompt": NaN}',
        b'{"steps": 1e999}', b"[" * 5000, b'{"a":' * 5000, b'{"prompt": "\\ud800", "steps": -1}',
        b'{"init_images": {"a": 1}}', b'{"init_images": [null]}', b'{"styles": [1, null]}',
    ]  # fmt: skip
    for _ in range(60):
        data = bytearray(whole.encode())
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        bodies.append(
            bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.3 else bytes(data)
        )
    told = headers(served, Content_Type="application/json")
    for body in bodies:
        for where in ("/sdapi/v1/img2img", "/api/v1/queue", "/sdapi/v1/options"):
            if where.endswith("img2img") or not body.startswith(b'{"prompt": "p"'):
                answer = served.ask("POST", where, data=body, headers=told)
                assert answer.status_code < 500, (where, body, answer.text)
                if answer.status_code >= 400:
                    detail = answer.json()["detail"]
                    assert isinstance(detail, str) and "\n" not in detail, body
    assert served.ask("GET", "/internal/ping").ok


def test_slow_ones_hold_up_nobody(served: Served) -> None:
    lines = [socket.create_connection((served.host, served.port)) for _ in range(40)]
    try:
        for line in lines:
            line.sendall(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert served.ask("GET", "/internal/ping").ok
        body = {"prompt": "beside slow ones", "save_images": False}
        assert len(served.post("/sdapi/v1/txt2img", body)["images"]) == 1
    finally:
        for line in lines:
            line.close()


class TestSlowPrograms:
    def test_a_body_that_does_not_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
        monkeypatch.setattr(limits, "BODY_RATE", 10**9)
        pieces = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> dict[str, Any]:
            return pieces.pop() if pieces else await asyncio.sleep(60, {})

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            assert (await receive())["body"] == b"{"
            with pytest.raises(Refusal, match="did not come in time"):
                await receive()

        asyncio.run(guarded(app, receive, take))

    def test_an_answer_that_nobody_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "SEND_SECONDS", 0.05)

        async def send(_message: Any) -> None:
            await asyncio.sleep(60)

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        with pytest.raises(ConnectionAbortedError):
            asyncio.run(guarded(app, take, send))


async def take(*_: Any) -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def guarded(app: Any, receive: Any, send: Any) -> None:
    """One request that may be asked."""
    told = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer t"), (b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": told}
    await Guard(app, lambda: Policy("t"))(scope, receive, send)


def test_who_begins_and_does_not_go_on_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEADER_SECONDS", 0.2)

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        app, port=0, http=PatientProtocol, loop="none", ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    with socket.create_connection(listening.getsockname(), timeout=30) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 204")
        line.sendall(b"GET / HTT")  # and nothing more
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(100) == b""
    server.should_exit = True
    thread.join(10)


def test_fifty_at_once_all_get_their_pictures(served: Served) -> None:
    def one(number: int) -> bool:
        body = {"prompt": "one of fifty", "seed": number, "steps": 1, "save_images": False}
        told = served.post("/sdapi/v1/txt2img", body)
        return json.loads(told["info"])["seed"] == number and len(told["images"]) == 1

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(50)))
    until(lambda: not any(job.request.prompt == "one of fifty" for job in served.jobs()))


def test_only_one_service_at_a_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(served.home))
    second = Service()
    second.server = cast(Server, object())
    with pytest.raises(SfumatoError, match="on already"):
        second.listen(Listen(ServiceOptions("token", port=0)), cast(Call, None))


def test_a_place_where_it_cannot_be_heard_is_said(served: Served) -> None:
    for host, port, said in (
        (served.host, served.port, "another program uses that port"),
        ("192.0.2.1", 0, "no address of this computer"),
    ):
        with pytest.raises(SfumatoError, match=said):
            bound(host, port)


def test_a_listed_page_may(elsewhere: Served) -> None:
    page = {"Origin": PAGE}
    preflight = elsewhere.ask(
        "OPTIONS", "/sdapi/v1/txt2img", headers={**page, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == PAGE
    answer = elsewhere.ask("GET", "/internal/ping", headers=headers(elsewhere, **page))
    assert answer.ok and answer.headers["Access-Control-Allow-Origin"] == PAGE
    for stranger in (f"{PAGE}.evil.example", "http://app.example", f"{PAGE}:8443"):
        told = headers(elsewhere, Origin=stranger)
        assert elsewhere.ask("GET", "/internal/ping", headers=told).status_code == 403
    assert elsewhere.ask("GET", "/internal/ping", headers=page).status_code == 401


def test_another_address_is_served_by_tls_alone(elsewhere: Served) -> None:
    place = f"://localhost:{elsewhere.port}/internal/ping"
    told = headers(elsewhere)
    key = elsewhere.home / "data" / "Service" / "key.pem"
    assert key.stat().st_mode & 0o077 == 0
    assert elsewhere.ask("GET", "/internal/ping").ok, "by its certificate"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https{place}", headers=told, timeout=20)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"http{place}", headers=told, timeout=20)
    assert elsewhere.ask("GET", "/internal/ping", headers={}).status_code == 401
    foreign = headers(elsewhere, Host="evil.example")
    assert elsewhere.ask("GET", "/internal/ping", headers=foreign).status_code == 421


PAGE = "https://app.example"


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Heard by other computers too, and by a page."""
    home = tmp_path_factory.mktemp("elsewhere")
    service = Served(home, STANDIN, "--host", "0.0.0.0", "--allow-origin", PAGE)
    assert service.url.startswith("https://") and "0.0.0.0" not in service.url
    service.url = f"https://localhost:{service.port}"
    service.certificate = str(home / "data" / "Service" / "certificate.pem")
    yield service
    assert "fingerprint" in service.close()
