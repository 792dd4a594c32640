"""News of a newer version, from a real server on this computer, with a key made for the test."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gui.state.settings import Settings
from gui.state.updates import DAY_SECONDS, UpdateCheck, by_homebrew
from gui.ui.update_sheet import UpdateSheet
from gui.updates import PURPOSE, Source, key_name

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def signed_list(version: str = "99.1", serial: int = 5) -> bytes:
    release = {
        "version": version, "published": "2026-11-30", "minimum_macos": "14.0",
        "page": "https://example.org/sfumato", "notes": "- <b>Faster</b>",
        "downloads": [{"name": "Sfumato.dmg", "size": 180_000_000, "sha256": "0" * 64}],
    }  # fmt: skip
    text = json.dumps({"schema": 1, "serial": serial, "releases": [release]})
    proof = base64.b64encode(KEY.sign(PURPOSE + text.encode())).decode()
    return json.dumps(
        {"signed": text, "signatures": [{"key": key_name(PUBLIC), "signature": proof}]}
    ).encode()


class Server(HTTPServer):
    body = signed_list()
    heard: list[dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Server = self.server  # type: ignore[assignment]
        server.heard.append(dict(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server():
    made = Server(("127.0.0.1", 0), Handler)
    made.heard = []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def settings(qapp, home) -> Settings:
    return Settings()


@pytest.fixture
def check(server, settings):
    source = Source(
        f"http://127.0.0.1:{server.server_port}/updates.json",
        (base64.b64encode(PUBLIC).decode(),),
    )
    made = UpdateCheck(settings, source=source)
    yield made
    made.close()


def test_the_person_asks(check, server, qtbot) -> None:
    with qtbot.waitSignal(check.found) as found:
        check.check()
    assert found.args[0].version == "99.1"
    (heard,) = server.heard
    assert heard["User-Agent"] == "Sfumato"
    assert set(heard) <= {"Accept-Encoding", "Host", "User-Agent", "Connection"}, "nothing else"


def test_nothing_newer(check, server, qtbot) -> None:
    server.body = signed_list("0.0.1")
    with qtbot.waitSignal(check.up_to_date):
        check.check()


def test_a_list_that_somebody_else_signed(check, server, qtbot) -> None:
    server.body = signed_list().replace(b"99.1", b"99.2")
    with qtbot.waitSignal(check.failed) as failed:
        check.check()
    assert "not signed by Sfumato" in failed.args[0].message


def test_an_older_list_after_a_newer_one(check, server, qtbot) -> None:
    with qtbot.waitSignal(check.found):
        check.check()
    server.body = signed_list("99.3", serial=4)
    with qtbot.waitSignal(check.failed) as failed:
        check.check()
    assert "older" in failed.args[0].message


@pytest.mark.parametrize("body", [b"", b"<html>", b"x" * 400_000])
def test_no_list_at_all(check, server, qtbot, body: bytes) -> None:
    server.body = body
    with qtbot.waitSignal(check.failed) as failed:
        check.check()
    assert "try again later" in failed.args[0].message


def test_no_connection(check, server, qtbot) -> None:
    server.server_close()
    with qtbot.waitSignal(check.failed) as failed:
        check.check()
    assert "check the connection" in failed.args[0].message


def test_it_looks_by_itself_only_where_that_is_wanted_and_once_a_day(
    check, server, settings, qtbot
) -> None:
    check._look()
    assert not settings.updates and not server.heard, "off unless it is switched on"
    with qtbot.waitSignal(check.found):
        settings.updates = True
    check._look()
    qtbot.wait(50)
    assert len(server.heard) == 1, "once a day"
    settings.updates_looked = str(int(float(settings.updates_looked)) - DAY_SECONDS)
    with qtbot.waitSignal(check.found):
        check._look()
    settings.updates_looked = "9999999999999"  # the clock was wrong that day
    with qtbot.waitSignal(check.found):
        check._look()


def test_a_skipped_version_is_not_told_again_unless_asked_for(check, settings, qtbot) -> None:
    with qtbot.waitSignal(check.found) as found:
        check.check()
    check.skip(found.args[0])
    settings.updates_looked = ""
    told: list[object] = []
    check.found.connect(told.append)
    settings.updates = True
    qtbot.waitUntil(lambda: settings.updates_looked != "")
    assert not told
    with qtbot.waitSignal(check.found):
        check.check()


def test_by_itself_it_fails_without_a_word(check, server, settings, qtbot) -> None:
    server.body = b"<html>"
    said: list[object] = []
    check.failed.connect(said.append)
    settings.updates = True
    qtbot.waitUntil(lambda: len(server.heard) == 1)
    qtbot.wait(100)
    assert not said and settings.updates_looked == ""


def test_a_copy_that_was_not_released(settings, qtbot) -> None:
    check = UpdateCheck(settings, source=Source())
    with qtbot.waitSignal(check.failed) as failed:
        check.check()
    assert "was not released" in failed.args[0].message
    check.close()


def test_the_sheet(workspace, server, check, qtbot, monkeypatch) -> None:
    """In the real window: the notes stand as they are, and Skip is remembered."""
    with qtbot.waitSignal(check.found) as found:
        check.check()
    workspace.studio.updates.found.emit(found.args[0])
    sheet = workspace.updates_desk.sheet
    assert isinstance(sheet, UpdateSheet) and sheet.isVisible()
    assert "99.1" in sheet.heading.text() and "180 MB" in sheet.told.text()
    assert sheet.notes.toPlainText() == "- <b>Faster</b>"
    sheet._show_homebrew(True)
    assert "brew upgrade" in sheet.brew.text() and sheet.copy_command.isVisible()
    sheet.skip.click()
    assert not sheet.isVisible() and workspace.studio.settings.update_skipped == "99.1"


def test_homebrew_is_seen_by_its_folder(tmp_path) -> None:
    assert not by_homebrew((tmp_path / "absent",))
    (tmp_path / "Caskroom" / "sfumato").mkdir(parents=True)
    assert by_homebrew((tmp_path / "Caskroom" / "sfumato",))
