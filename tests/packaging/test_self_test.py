"""The bundle's entry points and ``--self-test``, run as a person or a release script runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gui.bundle_main import prepare_environment

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SFUMATO_HOME": str(home), "OMP_NUM_THREADS": "2", **environment}
    env.pop("DISPLAY", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=280,
    )  # fmt: skip


def test_self_test_makes_a_picture_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    report = tmp_path / "report.json"
    command = ("-m", "gui", "--self-test", "--report", str(report))
    done = start(*command, home=tmp_path / "home", TMPDIR=str(temporary))
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[-1] == "self-test passed"
    checks = [line.split()[1:] for line in lines[:-1]]
    assert all(line.startswith("ok ") for line in lines[:-1])
    names = ["models:", "hub:", "conversion:", "picture:", "enlarging:", "service:"]
    assert [words[0] for words in checks[-6:]] == names
    assert float(checks[-4][1]) > 35, "decibels"
    assert "128 × 64" in lines[-5]
    assert list(temporary.rglob("*.png")) == []
    told = json.loads(report.read_text())
    assert told["passed"] and [one["name"] for one in told["checks"]][-6:] == [
        name.rstrip(":") for name in names
    ]


def test_a_failed_check_is_reported_and_the_others_still_run(tmp_path: Path) -> None:
    code = (
        "import sys; import gui.self_test as self_test;"
        "self_test.checks.RESOURCES = ('LICENSES.md', 'no-such-file');"
        "self_test.checks.ENGINE_MODULES = ('json', 'no_such_module');"
        "sys.exit(self_test.main(['--no-picture', '--report', sys.argv[1]]))"
    )
    done = start("-c", code, str(tmp_path / "report.json"), home=tmp_path)
    assert done.returncode == 1
    told = json.loads((tmp_path / "report.json").read_text())
    assert not told["passed"] and len([one for one in told["checks"] if not one["passed"]]) == 2
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2
    assert "resources" in failed[0] and "no-such-file" in failed[0]
    assert "engine modules" in failed[1] and "no_such_module" in failed[1]
    assert "ok     certificates" in done.stdout
    assert done.stdout.splitlines()[-1] == "self-test FAILED: 2 of 9"


def test_a_module_that_quits_does_not_take_the_self_test_along(tmp_path: Path) -> None:
    (tmp_path / "quitter.py").write_text("raise SystemExit(0)\n")
    code = (
        "import sys; import gui.self_test as self_test;"
        "self_test.checks.WINDOW_MODULES = ('quitter',); self_test.checks.ENGINE_MODULES = ();"
        "sys.exit(self_test.main(['--no-picture']))"
    )
    done = start("-c", code, home=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 1
    assert "FAILED window modules: SystemExit" in done.stdout


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_launcher_drops_certificates_that_are_not_there(name: str, tmp_path: Path) -> None:
    environment = {name: str(tmp_path / "gone")}
    before = sys.dont_write_bytecode
    try:
        prepare_environment(environment)
        assert name not in environment
        environment[name] = str(tmp_path)
        prepare_environment(environment)
        assert environment[name] == str(tmp_path), "a place that exists is the person's choice"
        assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    finally:
        sys.dont_write_bytecode = before


def test_launcher_passes_the_command_line_on(tmp_path: Path) -> None:
    """As the bundle's main executable does, with the argument Finder may add."""
    done = start("packaging/launchers/Sfumato.py", "-psn_0_12345", "--version",
                 home=tmp_path, PYTHONPATH=str(ROOT))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0." in done.stdout


def test_engine_launcher_ends_without_a_traceback_dialog(tmp_path: Path) -> None:
    """Started by hand it has no socket to talk to: it says so and ends by itself."""
    done = start("packaging/launchers/engine.py", home=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode not in (0, -6, -11)
    assert "socket-fd" in done.stderr and "Traceback" not in done.stderr
