"""What the Makefile's commands would do (``make -n`` prints it and does nothing)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def would_do(*arguments: str, **environment: str) -> str:
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        ["make", "-n", *arguments],
        cwd=ROOT, env={**base, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tests_run_last_so_that_their_summary_ends_the_output() -> None:
    lines = would_do("test").splitlines()
    assert "pytest" in lines[-1]
    tools = ("setup_dev.sh test", "ruff check", "pyright", "lint-imports", "pytest")
    order = [next(n for n, line in enumerate(lines) if tool in line) for tool in tools]
    assert order == sorted(order)


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
