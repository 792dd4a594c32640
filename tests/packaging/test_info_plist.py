"""Info.plist: what macOS is told, as Apple's documentation wants it, and true to the project."""

from __future__ import annotations

import plistlib
import re
from typing import Any

import pytest
from macos import info_plist

import gui

PLIST = info_plist.info_plist(gui.__version__)


def test_it_can_be_written_as_a_property_list() -> None:
    assert plistlib.loads(plistlib.dumps(PLIST)) == PLIST


def test_version_has_one_home() -> None:
    assert PLIST["CFBundleShortVersionString"] == PLIST["CFBundleVersion"] == gui.__version__
    assert info_plist.info_plist("12.3.4")["CFBundleVersion"] == "12.3.4"


@pytest.mark.parametrize("version", ["1.2.3rc1", "1.2.3.4", "", "v1", "1.2-3"])
def test_a_version_that_macos_would_not_read_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="version"):
        info_plist.info_plist(version)


def test_it_says_what_macos_must_know() -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+){2}", PLIST["CFBundleIdentifier"])
    expected = {
        "CFBundleName": "Sfumato",
        "LSMinimumSystemVersion": "14.0",
        "LSArchitecturePriority": ["arm64"],
        "NSHighResolutionCapable": True,
        "NSRequiresAquaSystemAppearance": False,
        "NSSupportsSuddenTermination": False,
        "LSMultipleInstancesProhibited": True,
    }
    assert {key: PLIST[key] for key in expected} == expected
    assert "LSFileQuarantineEnabled" not in PLIST, "downloaded models would be quarantined"
    assert "LSUIElement" not in PLIST


def kinds(name: str) -> list[str]:
    (found,) = [
        entry["LSItemContentTypes"]
        for entry in PLIST["CFBundleDocumentTypes"]
        if entry["CFBundleTypeName"] == name
    ]
    return found


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
    assert set(kinds("Picture")) == set(types.values())


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("Core ML model", "mlpackage"), ("Core ML model", "mlmodelc"),
        ("LoRA or checkpoint", "safetensors"), ("LoRA or checkpoint", "ckpt"),
    ],
)  # fmt: skip
def test_finder_hands_over_models_too(kind: str, ending: str) -> None:
    declared: dict[str, Any] = {
        found: entry["UTTypeIdentifier"]
        for entry in PLIST["UTImportedTypeDeclarations"]
        for found in entry["UTTypeTagSpecification"]["public.filename-extension"]
    }
    assert declared[ending] in kinds(kind)


def test_nobody_elses_files_become_ours() -> None:
    """Double-clicked files go on opening with what they opened with."""
    assert {entry["LSHandlerRank"] for entry in PLIST["CFBundleDocumentTypes"]} == {"Alternate"}
    assert "UTExportedTypeDeclarations" not in PLIST


def test_declared_types_descend_from_apples() -> None:
    for entry in PLIST["UTImportedTypeDeclarations"]:
        assert entry["UTTypeConformsTo"][0] in {"public.data", "public.folder", "com.apple.package"}


def test_addresses_and_the_service_reach_the_app() -> None:
    (address,) = PLIST["CFBundleURLTypes"]
    assert address["CFBundleURLSchemes"] == ["sfumato"]
    (service,) = PLIST["NSServices"]
    assert service["NSMenuItem"] == {"default": "Make a Picture of the Selection"}
    assert service["NSPortName"] == PLIST["CFBundleName"], "macOS looks for the app by this name"
    assert service["NSMessage"].isidentifier()
    assert "NSStringPboardType" in service["NSSendTypes"] and "NSReturnTypes" not in service


def strings(text: str) -> dict[str, str]:
    """A `.strings` file; fails on a line of any other form."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r'"((?:[^"\\]|\\.)+)" = "((?:[^"\\]|\\.)+)";', line)
        assert match is not None, line
        assert match[1] not in found
        found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("folder", info_plist.STRINGS, ids=lambda folder: folder.stem)
def test_every_text_has_its_words_in_every_language(folder: Any) -> None:
    for name, keys in info_plist.translatable(PLIST).items():
        assert set(strings((folder / name).read_text("utf-8"))) == keys


def test_english_is_what_the_plist_says() -> None:
    (english,) = [folder for folder in info_plist.STRINGS if folder.stem == "en"]
    for name, keys in info_plist.translatable(PLIST).items():
        words = strings((english / name).read_text("utf-8"))
        assert words == {key: PLIST.get(key, key) for key in keys}


def test_icons_that_it_names_are_there() -> None:
    named = {entry["CFBundleTypeIconFile"] for entry in PLIST["CFBundleDocumentTypes"]}
    assert named == {info_plist.DOCUMENT_ICON.name} and info_plist.DOCUMENT_ICON.is_file()
    assert ("CFBundleIconName" in PLIST) == info_plist.COMPILED_ICON.exists()
