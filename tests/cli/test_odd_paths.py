"""Every path that a command takes goes through one boundary: one sentence, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gui.cli.main import main
from tests.coreml.editing import copy_of
from tests.support.tiny_models import TinyModel

NOBODY = "~no-such-person/fog"
ODD = {
    "nul": "a\0b",
    "long": "霧" * 90,
    "long inside": "/tmp/" + "x" * 300 + "/fog.png",
    "endless": "/".join(["x" * 200] * 30),
    "half": "fog-\ud800",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of a command that must fail: one line."""
    try:
        code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
    said = capsys.readouterr().err
    assert code in (1, 2), said
    assert said.count("\n") == 1 and "Traceback" not in said, said
    return said


COMMANDS = {
    "inspect": ["inspect", "{}"],
    "generate --image": ["generate", "--prompt", "x", "--image", "{}"],
    "generate -o": ["generate", "--prompt", "x", "-o", "{}"],
    "generate -o png": ["generate", "--prompt", "x", "-o", "{}.png"],
    "generate --model": ["generate", "--prompt", "x", "--model", "{}"],
    "convert": ["convert", "{}"],
    "convert -o": ["convert", "x.safetensors", "-o", "{}"],
    "convert --lora": ["convert", "x.safetensors", "--lora", "{}"],
    "convert --lora scale": ["convert", "x.safetensors", "--lora", "{}:0.5"],
    "convert --convert-controlnet": ["convert", "x.safetensors", "--convert-controlnet", "{}"],
    "verify": ["models", "verify", "{}"],
    "remove": ["models", "remove", "--yes", "{}"],
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_can_be_no_path(
    capsys: pytest.CaptureFixture[str], command: list[str], odd: str, home: Path
) -> None:
    (home / "x.safetensors").write_bytes(b"x")
    said = refusal(capsys, *(part.format(odd) for part in command))
    assert said.startswith("sfumato")


def test_names_that_look_like_somebodys_home(
    capsys: pytest.CaptureFixture[str], tiny_sd1: TinyModel, home: Path
) -> None:
    assert "does not exist" in refusal(capsys, "inspect", NOBODY)
    assert "no file or folder" in refusal(capsys, "convert", NOBODY)
    folder = copy_of(tiny_sd1.folder, home / "~fog")
    assert main(["inspect", "~fog"]) == 0
    assert str(folder) in capsys.readouterr().out


def test_a_link_that_leads_back_to_itself(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    (home / "circle").symlink_to("circle")
    for command in (["inspect", "circle"], ["convert", "circle"]):
        assert "leads back to itself" in refusal(capsys, *command)


def test_what_the_system_refuses_later_is_a_sentence_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, os.strerror(13), "/closed/fog")

    monkeypatch.setattr("gui.cli.main.checked", refuse)
    assert "“/closed/fog” is closed to Sfumato" in refusal(capsys, "inspect", "x")
