"""A wheel carries everything the app needs, and finds it where it was installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(source_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the built wheel's contents, installed by pip."""
    wheels = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(wheels), str(source_copy)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("sfumato-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
    target = tmp_path_factory.mktemp("installed")
    install = [*pip, "install", *offline, "--target", str(target), str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return target


def run(installed: Path, code: str) -> str:
    """Output of code that sees the installed copy and not the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed.parent, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_resources_are_found_in_the_installed_copy(installed: Path) -> None:
    code = "import gui; from gui import paths; print(gui.__file__); print(paths.resource_root())"
    module, resources = run(installed, code).splitlines()
    assert Path(module) == installed / "gui/__init__.py"
    assert Path(resources) == installed / "gui/_resources"


def test_every_resource_is_carried_unchanged(installed: Path) -> None:
    for_others = {"icon.icns", "screenshot.png"}
    shipped = installed / "gui/_resources"
    names = [path.relative_to(ROOT / "resources") for path in (ROOT / "resources").rglob("*")]
    files = [name for name in names if (ROOT / "resources" / name).is_file()]
    assert len(files) > 5
    for name in files:
        if name.name in for_others or name.name.startswith("."):
            continue
        assert (shipped / name).read_bytes() == (ROOT / "resources" / name).read_bytes()


def test_every_module_is_carried(installed: Path) -> None:
    modules = {path.relative_to(ROOT) for path in (ROOT / "gui").rglob("*.py")}
    carried = {path.relative_to(installed) for path in (installed / "gui").rglob("*.py")}
    assert modules == carried


def test_licences_and_the_command_are_carried(installed: Path) -> None:
    (info,) = installed.glob("sfumato-*.dist-info")
    assert (info / "licenses/LICENSE").is_file()
    assert (info / "licenses/resources/LICENSES.md").is_file()
    assert "sfumato = gui.cli.main:main" in (info / "entry_points.txt").read_text()
