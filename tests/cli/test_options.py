"""Numbers that several commands take."""

from __future__ import annotations

import pytest

from gui.cli.main import main


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
@pytest.mark.parametrize("command", [["queue", "run", "--linger"], ["bench", "--limit"]])
def test_seconds(command: list[str], value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, value])
    assert ended.value.code == 2
    assert "must be a number of seconds" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["-1", "65536", "³", "http"])
def test_ports(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["farm", "start", "--port", value])
    assert ended.value.code == 2
    assert "from 0 to 65535" in capsys.readouterr().err
