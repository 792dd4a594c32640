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
from PIL import Image

import gui
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


def test_plist_says_what_macos_must_know(parsed: dict) -> None:
    plist = parsed["plist"]
    assert plist["CFBundleIdentifier"].count(".") == 2
    assert plist["CFBundleShortVersionString"] == plist["CFBundleVersion"] == gui.__version__
    assert plist["LSMinimumSystemVersion"] == "14.0"
    assert plist["NSHighResolutionCapable"] is True
    assert plist["NSRequiresAquaSystemAppearance"] is False
    kinds = [
        kind for entry in plist["CFBundleDocumentTypes"] for kind in entry["LSItemContentTypes"]
    ]
    assert {"public.png", "public.jpeg", "com.apple.coreml.mlpackage"} <= set(kinds)
    imported = {entry["UTTypeIdentifier"] for entry in plist["UTImportedTypeDeclarations"]}
    assert "com.apple.coreml.mlpackage" in imported, "macOS knows this type only if Xcode is there"
    assert all(entry["LSHandlerRank"] == "Alternate" for entry in plist["CFBundleDocumentTypes"])


def test_every_package_exists() -> None:
    only_on_a_mac = {"AppKit", "CoreFoundation", "Foundation", "PyObjCTools", "objc"}
    wanted = set(setup_app.PACKAGES) - only_on_a_mac
    assert [name for name in sorted(wanted) if importlib.util.find_spec(name) is None] == []


def test_nothing_is_both_wanted_and_excluded() -> None:
    assert not set(setup_app.PACKAGES) & set(setup_app.EXCLUDES)


def test_every_dependency_is_kept_whole() -> None:
    """Each distribution that pyproject.toml depends on is listed by its import name."""
    import_names = {
        "PySide6-Essentials": "PySide6", "Pillow": "PIL", "pyobjc-framework-Cocoa": "AppKit",
        "PyYAML": "yaml", "c2pa-python": "c2pa", "pillow-heif": "pillow_heif",
    }  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = requirement.split(">")[0].split("=")[0]
        assert import_names.get(name, name) in setup_app.PACKAGES


def test_files_that_the_options_name_exist(parsed: dict) -> None:
    for name in [*parsed["targets"], *parsed["extra_scripts"], parsed["iconfile"]]:
        assert (ROOT / name).is_file()
    for name in setup_app.OPTIONS["resources"]:
        assert (ROOT / name).is_dir()


@pytest.mark.parametrize("name", ["Sfumato", "engine"])
def test_launchers_import_nothing_before_the_environment_is_prepared(name: str) -> None:
    tree = ast.parse((ROOT / "packaging/launchers" / f"{name}.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [getattr(node, "module", None) for node in imports] == ["gui.bundle_main"]


def test_icon_has_every_size_macos_shows() -> None:
    with Image.open(ROOT / "resources/icon.icns") as icon:
        sizes = {(width * scale) for width, _height, scale in icon.info["sizes"]}  # type: ignore[index]
        assert {32, 64, 128, 256, 512, 1024} <= sizes
    with Image.open(ROOT / "resources/icon.png") as picture:
        assert picture.size == (1024, 1024) and picture.mode == "RGBA"
        alpha = picture.getchannel("A")
        assert alpha.getpixel((0, 0)) == 0 and alpha.getpixel((512, 512)) == 255


def test_finder_hands_over_every_form_that_is_read() -> None:
    """Apple's name of each ending in the one list of pictures is among the document types."""
    from gui.library.picture_forms import SUFFIXES

    types = {
        ".png": "public.png", ".jpg": "public.jpeg", ".jpeg": "public.jpeg",
        ".webp": "org.webmproject.webp", ".avif": "public.avif", ".heic": "public.heic",
        ".heif": "public.heif", ".gif": "com.compuserve.gif", ".bmp": "com.microsoft.bmp",
        ".tif": "public.tiff", ".tiff": "public.tiff", ".apng": "public.png",
        ".jpe": "public.jpeg", ".jfif": "public.jpeg", ".hif": "public.heif",
    }  # fmt: skip
    assert set(types) == set(SUFFIXES)
    (pictures,) = [
        kind["LSItemContentTypes"]
        for kind in setup_app.PLIST["CFBundleDocumentTypes"]
        if kind["CFBundleTypeName"] == "Picture"
    ]
    assert set(pictures) == set(types.values())
