"""What the Makefile's commands would do (``make -n`` prints it and does nothing)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def would_do(*arguments: str, **environment: str) -> str:
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        ["make", "-n", *arguments],
        cwd=ROOT, env={**base, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("linters", "tests"), [(0, 0), (1, 0), (0, 5), (1, 1)])
def test_what_is_not_in_order_is_heard_of(tmp_path: Path, linters: int, tests: int) -> None:
    """The linters run beside the tests, whose summary ends the output, unless a linter complains.
    Both are played here."""
    setup, recipe = would_do("test").split("\n", 1)
    assert setup.endswith("setup_dev.sh test")
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    ruff = f"echo 'a complaint'; exit {linters}"
    for name, script in (
        ("lint-imports", "exit 0"),
        ("python", f"case $2 in pytest) echo summary; exit {tests};; ruff) {ruff};; esac"),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    for tool in ("ruff check", "ruff format --check", "pyright", "lint-imports", "pytest -n"):
        assert tool in recipe
    done = subprocess.run(["sh", "-c", recipe], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) == (linters == tests == 0)
    last = done.stdout.splitlines()[-1]
    assert last == ("a complaint" if linters else "summary")


def test_a_screen_opens_the_window() -> None:
    said = would_do("run", DISPLAY=":7")
    assert said.splitlines()[-1].endswith("-m gui")


def test_no_screen_runs_the_window_offscreen() -> None:
    last = would_do("run", "SCREEN=no", 'PROMPT=a "big" apple').splitlines()[-1]
    assert "QT_QPA_PLATFORM=offscreen" in last
    assert last.endswith('--offscreen-run --out build/run -- "$PROMPT"')
    assert "$PROMPT" not in would_do("run", "SCREEN=no")


def test_continuous_integration_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert script.read_text().splitlines()[-1] == "exec make test"
