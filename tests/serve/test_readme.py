"""What README tells programs to send is answered as it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import requests

from gui.serve import limits
from tests.serve.conftest import ROOT, Served

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Other programs\n")[2].partition("\n## ")[0]
COMMANDS = [
    command.replace("\\\n", " ")
    for block in re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL)
    for command in re.findall(r"^curl (?:.*\\\n)*.*$", block, re.MULTILINE)
]


def send(served: Served, command: str) -> requests.Response:
    """A curl command, sent by another client."""
    words = shlex.split(command.replace("$TOKEN", served.token))[1:]
    method, data, url = "", None, ""
    headers: dict[str, str] = {}
    auth: tuple[str, str] | None = None
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = words.pop(0)
        elif word == "-X":
            method = words.pop(0)
        elif word == "-u":
            user, _, password = words.pop(0).partition(":")
            auth = (user, password)
        elif word != "-N":
            url = word
    url = url.replace("http://127.0.0.1:7860", served.url)
    return requests.request(
        method or ("POST" if data else "GET"), url, headers=headers, auth=auth,
        data=data, timeout=60, stream=True,
    )  # fmt: skip


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_each_example_is_answered(served: Served, command: str) -> None:
    with send(served, command) as answer:
        assert answer.status_code in (200, 201), answer.text
        if "events" in command:
            assert next(answer.iter_lines()).startswith(b"event: queue")


def test_the_limits_are_those() -> None:

    assert f"larger\nthan {limits.MAX_BODY // 2**20} MB" in SECTION
    assert f"{limits.MAX_PICTURES} pictures or {limits.MAX_STEPS} steps" in SECTION
    for name in re.findall(r"`([a-z0-9]+-[a-z-]+)`", SECTION.partition("| pictures |")[2]):
        assert any(
            f'"/{name}"' in path.read_text() for path in Path(ROOT / "gui/serve").rglob("*.py")
        )
