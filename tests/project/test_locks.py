"""The lock files name exact versions and satisfy what pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from write_lock import frozen_lines

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
    "wanted",
    [
        *PROJECT["dependencies"],
        *(each for extra in ("dev", "bundle", "train", "fast") for each in EXTRAS[extra]),
    ],
)
def test_development_lock_satisfies_the_project(wanted: str) -> None:
    requirement = Requirement(wanted)
    version = pins("development.txt")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("wanted", PROJECT["dependencies"] + EXTRAS["bundle"])
def test_bundle_lock_satisfies_the_project(wanted: str) -> None:
    requirement = Requirement(wanted)
    version = pins("bundle.txt")[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def test_bundle_lock_keeps_the_versions_that_run_on_the_oldest_macos() -> None:
    """Later PySide6 wheels ask for macOS 15 and 26; coremltools 9.0 was tested up to torch 2.7."""
    bundle = pins("bundle.txt")
    assert bundle["pyside6-essentials"] == bundle["shiboken6"] == "6.9.3"
    assert bundle["torch"] == "2.7.1"
    assert not {"pyside6", "pyside6-addons", "triton"} & bundle.keys()


def test_locks_differ_only_where_they_must() -> None:
    """What is tested here is what ships, but for torch and what depends on the Python version."""
    development, bundle = pins("development.txt"), pins("bundle.txt")
    both = development.keys() & bundle.keys()
    assert {name for name in both if development[name] != bundle[name]} <= {"torch", "networkx"}


def test_lock_leaves_out_what_differs_between_platforms() -> None:
    freeze = "Foo==1.0\ntorch==2.13.0+cpu\nnvidia-cublas==13.0\npip==26.3\n-e .\n# note\n"
    lines = frozen_lines(freeze)
    assert [line for line in lines if ";" not in line] == ["Foo==1.0", "torch==2.13.0"]
    with pytest.raises(ValueError, match="bar"):
        frozen_lines("bar @ file:///somewhere/bar.whl\n")
