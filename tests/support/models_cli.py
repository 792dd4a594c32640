"""`sfumato models` in processes of its own, against a loopback Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.cli_zygote import run_command

ROOT = Path(__file__).parents[2]


class Cli:
    """Runs `sfumato models` with an empty home."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.home = home
        self.models = home / "data" / "Models"
        self.started: list[subprocess.Popen[str]] = []
        kept = {k: v for k, v in os.environ.items()
                if not k.lower().endswith("_proxy") and k != "HF_TOKEN"}  # fmt: skip
        self.environment = {
            **kept,
            "SFUMATO_HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "HF_ENDPOINT": endpoint,
            "PYTHON_KEYRING_BACKEND": "tests.support.file_keyring.FileKeyring",
            "SFUMATO_TEST_KEYRING": str(home / "keychain.json"),
            "PYTHONPATH": str(ROOT),
            "OMP_WAIT_POLICY": "passive",
        }

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            "env": self.environment, "cwd": self.home, "text": True,
        }  # fmt: skip
        command = [sys.executable, "-m", "gui.cli.main", *arguments]
        self.started.append(subprocess.Popen(command, **{**options, **more}))
        return self.started[-1]

    def run(
        self, *arguments: str, answer: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """`answer` goes to its stdin."""
        given = {**self.environment, **environment}
        if any(name.startswith("PYTHON") for name in environment):  # read when Python starts
            process = self.start(*arguments, stdin=subprocess.PIPE, env=given)
            out, err = process.communicate(answer, timeout=120)
            done = subprocess.CompletedProcess([], process.returncode, out, err)
        else:
            done = run_command(arguments, given, self.home, answer)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def __call__(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run("models", *arguments, **more)

    def good(self, *arguments: str, **more: str) -> str:
        """Stdout of a command that must succeed."""
        done = self(*arguments, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data(self, *arguments: str, **more: str) -> Any:
        return json.loads(self.good(*arguments, "--json", **more))
