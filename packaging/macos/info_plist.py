"""What the bundle tells macOS: Info.plist, and the texts of it that can be translated.

Keys: Apple's “Information Property List” and “System Services”.  Sfumato speaks English; another
language is a folder `<code>.lproj` more, beside the others in `Contents/Resources`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

IDENTIFIER = "app.sfumato.Sfumato"

LOWEST_MACOS = "14.0"
"""Core ML reads the models that Sfumato makes from here on.  `postbuild` raises what the bundle
asks for where one of its files says in its load commands that it needs more."""

HERE = Path(__file__).resolve().parent
STRINGS = sorted(HERE.glob("*.lproj"))
DOCUMENT_ICON = HERE / "icons" / "document.icns"
LAYERED_ICON = HERE / "icons" / "AppIcon.icon"
COMPILED_ICON = HERE / "icons" / "Assets.car"
"""`LAYERED_ICON` as macOS 26 draws it; only a Mac compiles it (`compile_icon.sh`), so it is absent
until someone with one has committed it.  Older systems, and newer ones until then, take the
`.icns`."""

PICTURE_TYPES = [
    "public.png", "public.jpeg", "org.webmproject.webp", "public.avif", "public.heic",
    "public.heif", "com.compuserve.gif", "com.microsoft.bmp", "public.tiff",
]  # fmt: skip
"""The forms that `gui.library.picture_forms` names, by Apple's names."""

MODEL_PACKAGE = "com.apple.coreml.mlpackage"
COMPILED_MODEL = "app.sfumato.mlmodelc"
SAFETENSORS = "app.sfumato.safetensors"
CHECKPOINT = "app.sfumato.checkpoint"
"""Names of ours for what nobody has declared; where somebody does, macOS prefers theirs, for ours
are imported ones."""

SCHEME = "sfumato"
SERVICE = "makePicture"
"""The service's message: the app answers to ``makePicture:userData:error:``."""

NETWORK = "NSLocalNetworkUsageDescription"
FOLDERS = {
    "NSDesktopFolderUsageDescription": "on the desktop",
    "NSDocumentsFolderUsageDescription": "in the Documents folder",
    "NSDownloadsFolderUsageDescription": "in the Downloads folder",
    "NSNetworkVolumesUsageDescription": "on a network disk",
    "NSRemovableVolumesUsageDescription": "on a removable disk",
}


def info_plist(version: str) -> dict[str, Any]:
    """Info.plist, but for what py2app adds.

    Args:
        version: `gui.__version__`, numbers and points.

    Raises:
        ValueError: macOS would not read the version.
    """
    if not re.fullmatch(r"\d+(\.\d+){0,2}", version):
        raise ValueError(f"{version!r} is no version for a bundle; write at most three numbers")
    return {
        "CFBundleName": "Sfumato",
        "CFBundleDisplayName": "Sfumato",
        "CFBundleSpokenName": "Sfumato",
        "CFBundleIdentifier": IDENTIFIER,
        "CFBundleShortVersionString": version,
        "CFBundleVersion": version,
        "CFBundleDevelopmentRegion": "en",
        "CFBundleLocalizations": [folder.stem for folder in STRINGS],
        "LSHasLocalizedDisplayName": True,
        **({"CFBundleIconName": "AppIcon"} if COMPILED_ICON.is_file() else {}),
        "CFBundleDocumentTypes": [
            _document("Picture", PICTURE_TYPES),
            _document("Core ML model", [MODEL_PACKAGE, COMPILED_MODEL], package=True),
            _document("LoRA or checkpoint", [SAFETENSORS, CHECKPOINT]),
            _document("Folder of a model", ["public.folder"]),
        ],
        "UTImportedTypeDeclarations": [
            # Known to macOS only where Xcode is.
            _type(MODEL_PACKAGE, "Core ML model package", ["mlpackage"], "com.apple.package"),
            # A folder for everyone who looks into it, so not a package.
            _type(COMPILED_MODEL, "Compiled Core ML model", ["mlmodelc"], "public.folder"),
            _type(SAFETENSORS, "Safetensors file", ["safetensors"], "public.data"),
            _type(CHECKPOINT, "Checkpoint", ["ckpt"], "public.data"),
        ],
        "CFBundleURLTypes": [
            {
                "CFBundleURLName": f"{IDENTIFIER}.generate",
                "CFBundleURLSchemes": [SCHEME],
                "CFBundleTypeRole": "Viewer",
            }
        ],
        "NSServices": [
            {
                "NSMenuItem": {"default": "Make a Picture of the Selection"},
                "NSMessage": SERVICE,
                "NSPortName": "Sfumato",
                "NSSendTypes": ["public.utf8-plain-text", "NSStringPboardType"],
                "NSRequiredContext": {"NSTextContent": "Any"},
                "NSTimeout": "10000",
            }
        ],
        **{key: _usage(place) for key, place in FOLDERS.items()},
        "LSApplicationCategoryType": "public.app-category.graphics-design",
        "LSArchitecturePriority": ["arm64"],
        "LSMinimumSystemVersion": LOWEST_MACOS,
        "LSMultipleInstancesProhibited": True,
        "LSEnvironment": {"PYTHONNOUSERSITE": "1", "TOKENIZERS_PARALLELISM": "false"},
        "NSBonjourServices": ["_sfumato-farm._tcp"],
        "NSHighResolutionCapable": True,
        "NSHumanReadableCopyright": "MIT licence",
        NETWORK: "Sfumato draws on other Macs of this network that you have let into your farm.",
        "NSPrincipalClass": "NSApplication",
        "NSRequiresAquaSystemAppearance": False,  # dark where the system is
        "NSSupportsAutomaticGraphicsSwitching": True,
        "NSSupportsAutomaticTermination": False,  # a picture may be in the making
        "NSSupportsSuddenTermination": False,
    }


def _usage(place: str) -> str:
    return f"Sfumato opens the pictures and models that you choose, and saves yours, {place}."


def _document(name: str, types: list[str], package: bool = False) -> dict[str, Any]:
    """A kind of file that can be opened with the app, which never asks to be the usual one."""
    return {
        "CFBundleTypeName": name,
        "CFBundleTypeRole": "Viewer",
        "CFBundleTypeIconFile": DOCUMENT_ICON.name,
        "LSHandlerRank": "Alternate",
        "LSItemContentTypes": types,
        **({"LSTypeIsPackage": True} if package else {}),
    }


def _type(name: str, description: str, endings: list[str], parent: str) -> dict[str, Any]:
    return {
        "UTTypeIdentifier": name,
        "UTTypeDescription": description,
        "UTTypeConformsTo": [parent],
        "UTTypeTagSpecification": {"public.filename-extension": endings},
    }


def translatable(plist: dict[str, Any]) -> dict[str, set[str]]:
    """Texts of the plist that people see, by the file of a `.lproj` that holds them."""
    names = {entry["CFBundleTypeName"] for entry in plist["CFBundleDocumentTypes"]}
    types = {entry["UTTypeDescription"] for entry in plist["UTImportedTypeDeclarations"]}
    keys = {"CFBundleName", "CFBundleDisplayName", "NSHumanReadableCopyright", NETWORK, *FOLDERS}
    menu = {entry["NSMenuItem"]["default"] for entry in plist["NSServices"]}
    return {"InfoPlist.strings": keys | names | types, "ServicesMenu.strings": menu}
