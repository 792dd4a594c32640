"""The lock files name exact versions and satisfy what pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(lock: str) -> dict[str, str]:
    """Versions by canonical package name; fails on any line that pins none."""
    found = {}
    for line in (ROOT / "packaging" / "locks" / lock).read_text().splitlines():
        if line.startswith("#"):
            continue
        requirement = Requirement(line)
        specifiers = list(requirement.specifier)
        assert [s.operator for s in specifiers] == ["=="], f"{lock} does not pin: {line}"
        assert requirement.url is None, f"{lock} names a host: {line}"
        assert "+" not in specifiers[0].version, f"{lock} names one platform's build: {line}"
        found[canonicalize_name(requirement.name)] = specifiers[0].version
    return found


@pytest.mark.parametrize(
    "wanted", PROJECT["dependencies"] + EXTRAS["dev"] + EXTRAS["bundle"] + EXTRAS["train"]
)
def test_development_lock_satisfies_the_project(wanted: str) -> None:
    requirement = Requirement(wanted)
    version = pins("development.txt")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)
