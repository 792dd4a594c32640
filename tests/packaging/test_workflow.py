"""The release workflow: pinned, without secrets where none belong, and made of scripts of ours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / ".github/workflows/release.yml"
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE.read_text())
JOBS: dict[str, Any] = WORKFLOW["jobs"]
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
SCRIPTS = sorted((ROOT / "packaging/macos").glob("*.sh"))


def runners(job: dict[str, Any]) -> list[str]:
    if job["runs-on"] == "${{ matrix.os }}":
        return job["strategy"]["matrix"]["os"]
    return [job["runs-on"]]


def test_machines_are_named_and_never_the_latest() -> None:
    """`macos-latest` moved within a year, and Intel has other labels."""
    for job in JOBS.values():
        for label in runners(job):
            assert re.fullmatch(r"macos-(14|15|26)|ubuntu-24\.04", label)


def test_it_is_proved_and_tested_on_every_macos_that_is_promised() -> None:
    for name in ("prove", "test"):
        assert runners(JOBS[name]) == ["macos-14", "macos-15", "macos-26"]
        assert JOBS[name]["strategy"]["fail-fast"] is False
    assert JOBS["test"]["env"]["SFUMATO_COMPUTE_UNIT"] == "CPU_ONLY"


def test_actions_are_pinned_by_their_commit() -> None:
    used = [step["uses"] for _job, step in STEPS if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
    comments = re.findall(r"uses: \S+@[0-9a-f]{40}(.*)", FILE.read_text())
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", comment) for comment in comments)


def test_every_step_is_a_command_that_runs_on_its_own() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for _job, step in STEPS:
        if "run" not in step:
            continue
        command = step["run"].split()
        assert "\n" not in step["run"].strip(), "more than a line belongs in a script"
        assert "${{" not in step["run"], "what others can write never becomes code"
        if command[0] == "make":
            assert command[1] in targets
        else:
            assert (ROOT / command[0]).stat().st_mode & 0o100


def test_secrets_reach_only_the_steps_that_use_them() -> None:
    holders: dict[str, set[str]] = {}
    for job, step in STEPS:
        for secret in re.findall(r"secrets\.(\w+)", str(step.get("env", {}))):
            holders.setdefault(secret, set()).add(job)
    assert holders == {
        "CERTIFICATE_P12": {"build"}, "CERTIFICATE_PASSWORD": {"build"},
        "NOTARY_KEY": {"build"}, "NOTARY_KEY_ID": {"build"}, "NOTARY_ISSUER": {"build"},
        "SFUMATO_UPDATE_KEY": {"publish"}, "SFUMATO_UPDATE_PASSPHRASE": {"publish"},
    }  # fmt: skip
    assert FILE.read_text().count("secrets.") == 7
    described = (ROOT / "packaging/macos/README.md").read_text()
    assert all(f"`{secret}`" in described for secret in holders)


def test_only_publishing_may_write_and_only_for_a_tag() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert [name for name, job in JOBS.items() if "permissions" in job] == ["publish"]
    assert JOBS["publish"]["if"] == "github.ref_type == 'tag'"
    assert set(JOBS["publish"]["needs"]) == {"build", "prove", "test"}
    for _job, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_certificate_goes_whatever_happens() -> None:
    steps = JOBS["build"]["steps"]
    commands = [step.get("run", "") for step in steps]
    removing = commands.index("packaging/macos/keychain.sh remove")
    assert steps[removing]["if"] == "always()"
    assert commands.index("packaging/macos/keychain.sh import") < removing


def test_results_are_kept_even_of_failures() -> None:
    for name in ("build", "prove", "test"):
        kept = [s for s in JOBS[name]["steps"] if "upload-artifact" in s.get("uses", "")]
        assert kept and all(step["if"] == "always()" for step in kept)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_programs_of_the_plain_shell(script: Path) -> None:
    assert script.stat().st_mode & 0o100
    assert script.read_text().startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_keychain_script_without_a_certificate_says_so_and_goes_on() -> None:
    script = ROOT / "packaging/macos/keychain.sh"
    done = subprocess.run(
        [str(script), "import"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0 and "ad hoc" in done.stderr
    assert subprocess.run([str(script)], capture_output=True).returncode == 2
