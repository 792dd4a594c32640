"""The bundle's options: accepted by py2app itself, complete, and true to the project."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import setup_app

ROOT = Path(__file__).resolve().parents[2]

# py2app's own parser; `finalized` options are what its build would work with.
PARSE = """
import json
from distutils.core import run_setup
import setuptools
distribution = run_setup("setup_app.py", ["py2app"], stop_after="commandline")
command = distribution.get_command_obj("py2app")
command.ensure_finalized()
print(json.dumps({
    "arch": command.arch, "packages": sorted(command.packages),
    "excludes": sorted(command.excludes), "includes": sorted(command.includes),
    "extra_scripts": list(command.extra_scripts), "plist": command.plist,
    "resources": command.resources, "iconfile": command.iconfile, "optimize": command.optimize,
    "no_chdir": bool(command.no_chdir), "argv_emulation": bool(command.argv_emulation),
    "semi_standalone": bool(command.semi_standalone), "strip": bool(command.strip),
    "install_requires": distribution.install_requires,
    "targets": list(distribution.app),
}))
"""


@pytest.fixture(scope="module")
def parsed() -> dict:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PARSE],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_py2app_accepts_every_option(parsed: dict) -> None:
    assert parsed["arch"] == "arm64"
    assert parsed["packages"] == sorted(setup_app.PACKAGES)
    assert parsed["targets"] == ["packaging/launchers/Sfumato.py"]
    assert parsed["extra_scripts"] == ["packaging/launchers/engine.py"]
    assert parsed["install_requires"] in ([], None), "py2app refuses dependencies"
    assert parsed["no_chdir"] and parsed["optimize"] == 0
    assert not parsed["argv_emulation"] and not parsed["semi_standalone"] and not parsed["strip"]


def test_py2app_takes_the_plist_as_it_is(parsed: dict) -> None:
    assert parsed["plist"] == json.loads(json.dumps(setup_app.PLIST))


def test_every_package_exists() -> None:
    only_on_a_mac = {
        "AppKit", "CoreFoundation", "CoreML", "Foundation", "Quartz", "Vision",
        "objc",
    }  # fmt: skip
    wanted = set(setup_app.PACKAGES) - only_on_a_mac
    assert [name for name in sorted(wanted) if importlib.util.find_spec(name) is None] == []


def test_no_package_is_a_namespace() -> None:
    """py2app takes such a one for a module that is not there, or for any folder of that name."""
    specs = {name: importlib.util.find_spec(name) for name in setup_app.PACKAGES}
    assert [name for name, spec in specs.items() if spec is not None and spec.origin is None] == []


def test_no_package_is_a_path_of_the_checkout() -> None:
    """py2app would take the path, as it once took our `packaging` for PyPI's."""
    assert [name for name in setup_app.PACKAGES if (ROOT / name).exists()] == ["gui"]


def test_recipes_that_delay_every_start_are_passed_over() -> None:
    """In a process of its own, for py2app's modules are changed."""
    code = (
        "import setup_app; from py2app import recipes; setup_app.without_recipes();"
        "print([getattr(recipes, n).check(None, None) for n in setup_app.UNWANTED_RECIPES])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[None, None, None]", done.stderr


def test_nothing_is_both_wanted_and_excluded() -> None:
    assert not set(setup_app.PACKAGES) & set(setup_app.EXCLUDES)


def test_every_dependency_is_kept_whole() -> None:
    """Each distribution that pyproject.toml depends on is listed by its import name."""
    import_names = {
        "PySide6-Essentials": "PySide6", "Pillow": "PIL", "pyobjc-framework-Cocoa": "AppKit",
        "pyobjc-framework-Vision": "Vision", "PyYAML": "yaml", "c2pa-python": "c2pa",
        "pillow-heif": "pillow_heif",
    }  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = requirement.split(">")[0].split("=")[0]
        assert import_names.get(name, name) in setup_app.PACKAGES


def test_files_that_the_options_name_exist(parsed: dict) -> None:
    for name in [*parsed["targets"], *parsed["extra_scripts"], parsed["iconfile"]]:
        assert (ROOT / name).is_file()
    for name in setup_app.OPTIONS["resources"]:
        assert (ROOT / name).exists()


@pytest.mark.parametrize("name", ["Sfumato", "engine"])
def test_launchers_import_nothing_before_the_environment_is_prepared(name: str) -> None:
    tree = ast.parse((ROOT / "packaging/launchers" / f"{name}.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [getattr(node, "module", None) for node in imports] == ["gui.bundle_main"]
