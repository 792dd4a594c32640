"""Settings › Other programs, in the real window with the real service behind it."""

from __future__ import annotations

import socket

import requests
from PySide6.QtGui import QGuiApplication

from gui.serve.client import token_file
from gui.state.service import ServiceState


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def ping(url: str, token: str) -> int:
    told = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{url}/internal/ping", headers=told, timeout=20).status_code


def test_on_and_off(workspace, qtbot) -> None:
    service, bar = workspace.studio.service, workspace.tool_bar.service
    workspace.actions_.settings.trigger()
    section = workspace.window_desk.dialogs["settings"].service
    assert not section.switch.isChecked() and section.details.isHidden() and bar.isHidden()
    service.set_port(free_port())
    section.switch.click()
    qtbot.waitUntil(lambda: bool(service.state.url), timeout=30_000)
    assert section.state.whole_text() == service.state.url
    assert "127.0.0.1" in service.state.url and section.danger.isHidden()
    assert bar.text() == "Other programs may ask"
    section.details.click()
    dialog = section.dialog
    dialog.copy_token.click()
    token = QGuiApplication.clipboard().text()
    assert token == token_file().read_text().strip()
    assert ping(service.state.url, token) == 200
    url = service.state.url
    section.switch.click()
    assert dialog.isHidden() and bar.isHidden() and service.state == ServiceState()
    qtbot.waitUntil(lambda: not heard(url, token), timeout=30_000)
    section.switch.click()
    qtbot.waitUntil(lambda: bool(service.state.url), timeout=30_000)
    assert heard(service.state.url, token)


def heard(url: str, token: str) -> bool:
    try:
        return ping(url, token) == 200
    except requests.exceptions.RequestException:  # not there, or gone in the middle of an answer
        return False


def test_whom_to_let_in(workspace, qtbot) -> None:
    service = workspace.studio.service
    service.set_port(free_port())
    service.switch(True)
    qtbot.waitUntil(lambda: bool(service.state.url), timeout=30_000)
    workspace.actions_.settings.trigger()
    section = workspace.window_desk.dialogs["settings"].service
    section.details.click()
    dialog = section.dialog
    dialog.origins.setText("example.org")
    dialog.origins.editingFinished.emit()
    assert "“example.org” is no origin" in dialog.problem.text() and dialog.problem.isVisible()
    dialog.origins.setText("https://Example.org/, http://localhost:3000")
    dialog.origins.editingFinished.emit()
    assert not dialog.problem.isVisible()
    kept = workspace.studio.settings.service_origins
    assert kept == ["https://example.org", "http://localhost:3000"]
    dialog.port.setText("80")
    dialog.port.editingFinished.emit()
    assert "from 1024 to 65535" in dialog.problem.text()
    dialog.elsewhere.click()
    qtbot.waitUntil(lambda: bool(service.state.fingerprint), timeout=30_000)
    assert service.state.url.startswith("https://") and section.danger.isVisible()
    first = service.state.fingerprint.split(":")[:8]
    assert ":".join(first) in dialog.danger.text() and dialog.danger.isVisible()


def test_a_port_that_is_taken_is_said(workspace, qtbot) -> None:
    service = workspace.studio.service
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service.set_port(str(taken.getsockname()[1]))
        service.switch(True)
        qtbot.waitUntil(lambda: bool(service.state.problem), timeout=30_000)
    assert "another program uses that port" in service.state.problem
    assert workspace.tool_bar.service.text() == "Other programs: not heard"
    service.set_port(free_port())
    qtbot.waitUntil(lambda: bool(service.state.url), timeout=30_000)
    assert not service.state.problem
