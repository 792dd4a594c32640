"""Make the disk image: the app, a link to Applications, and a window that says what to do.

Usage: ``python packaging/macos/image.py dist/Sfumato.app``; makes `dist/Sfumato-1.2.0.dmg`.

On a Mac `dmgbuild` makes it (HFS+, LZMA).  Elsewhere `xorriso` makes the volume and `udif`
wraps it: such an image has the same files and layout and opens on a Mac, but it is a hybrid of
ISO 9660 and HFS+, for which reason it is a preview and never a release.
"""

from __future__ import annotations

import datetime
import plistlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import udif

BACKGROUND = Path(__file__).parent / "icons" / "background.tiff"
"""660 × 400 points, for plain and for Retina screens in one file."""


@dataclass(frozen=True)
class Layout:
    """Finder's window of the volume, in points."""

    volume: str = "Sfumato"
    left: int = 240
    top: int = 160
    width: int = 660
    height: int = 400
    icon: int = 128
    text: int = 13
    app: tuple[int, int] = (170, 205)
    """Centre of its icon."""
    applications: tuple[int, int] = (490, 205)


LAYOUT = Layout()


def settings(app: Path, layout: Layout = LAYOUT) -> dict[str, Any]:
    """The layout as dmgbuild takes it."""
    return {
        "format": "ULMO",  # LZMA: a tenth less to download than zlib; macOS 10.15 and later read it
        "filesystem": "HFS+",
        "files": [str(app)],
        "symlinks": {"Applications": "/Applications"},
        "background": str(BACKGROUND),
        "window_rect": ((layout.left, layout.top), (layout.width, layout.height)),
        "icon_locations": {app.name: layout.app, "Applications": layout.applications},
        "icon_size": layout.icon,
        "text_size": layout.text,
        "default_view": "icon-view",
        "arrange_by": None,
        "show_status_bar": False,
        "show_tab_view": False,
        "show_toolbar": False,
        "show_pathbar": False,
        "show_sidebar": False,
    }


def make(app: Path, image: Path) -> None:
    """Make the image, over one that is there."""
    image.unlink(missing_ok=True)
    if sys.platform == "darwin":
        import dmgbuild  # type: ignore[import-not-found]

        dmgbuild.build_dmg(str(image), LAYOUT.volume, settings=settings(app))
    else:
        make_elsewhere(app, image)


def make_elsewhere(app: Path, image: Path, layout: Layout = LAYOUT) -> None:
    """`make` without a Mac.

    Raises:
        FileNotFoundError: there is no xorriso.
    """
    xorriso = shutil.which("xorriso")
    if xorriso is None:
        raise FileNotFoundError("A disk image is made by xorriso here; install it.")
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        extras = Path(folder) / "extras"
        (extras / ".background").mkdir(parents=True)
        shutil.copy(BACKGROUND, extras / ".background" / BACKGROUND.name)
        (extras / "Applications").symlink_to("/Applications")
        write_store(extras / ".DS_Store", app.name, layout)
        raw = Path(folder) / "volume"
        mapped = ["-map", str(app.absolute()), f"/{app.name}"]
        for path in sorted(extras.iterdir()):
            mapped += ["-map", str(path), f"/{path.name}"]
        subprocess.run(
            [xorriso, "-report_about", "WARNING", "-hfsplus", "on", "-follow", "off",
             "-outdev", str(raw), "-volid", layout.volume, *mapped, "-commit"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        udif.pack(raw, image)


def write_store(path: Path, app: str, layout: Layout = LAYOUT) -> None:
    """Write the `.DS_Store` that dmgbuild would write on a Mac."""
    from ds_store import DSStore

    bounds = f"{{{{{layout.left}, {layout.top}}}, {{{layout.width}, {layout.height}}}}}"
    window = {
        "ContainerShowSidebar": False,
        "ShowPathbar": False,
        "ShowSidebar": False,
        "ShowStatusBar": False,
        "ShowTabView": False,
        "ShowToolbar": False,
        "WindowBounds": bounds,
    }
    view = {
        "arrangeBy": "none",
        "backgroundColorBlue": 1.0,
        "backgroundColorGreen": 1.0,
        "backgroundColorRed": 1.0,
        "backgroundImageAlias": _alias(layout).to_bytes(),
        "backgroundType": 2,
        "gridOffsetX": 0.0,
        "gridOffsetY": 0.0,
        "gridSpacing": 100.0,
        "iconSize": float(layout.icon),
        "labelOnBottom": True,
        "showIconPreview": False,
        "showItemInfo": False,
        "textSize": float(layout.text),
        "viewOptionsVersion": 1,
    }
    with DSStore.open(str(path), "w+") as store:
        store["."]["vSrn"] = ("long", 1)
        store["."]["icvl"] = ("type", b"icnv")
        store["."]["bwsp"] = window
        store["."]["icvp"] = view
        store[app]["Iloc"] = layout.app
        store["Applications"]["Iloc"] = layout.applications


def _alias(layout: Layout) -> Any:
    """Where the background lies, by path: its numbers on the volume are not known beforehand."""
    from mac_alias import Alias
    from mac_alias.alias import (
        ALIAS_FIXED_DISK,
        ALIAS_HFS_VOLUME_SIGNATURE,
        ALIAS_KIND_FILE,
        TargetInfo,
        VolumeInfo,
    )

    made = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    volume = VolumeInfo(
        layout.volume, made, ALIAS_HFS_VOLUME_SIGNATURE, ALIAS_FIXED_DISK, 0, b"\0\0"
    )
    target = TargetInfo(ALIAS_KIND_FILE, BACKGROUND.name, 0, 0, made, b"\0" * 4, b"\0" * 4)
    target.folder_name = ".background"
    target.carbon_path = f"{layout.volume}:.background:{BACKGROUND.name}"
    target.posix_path = f"/.background/{BACKGROUND.name}"
    volume.posix_path = f"/Volumes/{layout.volume}"
    return Alias(volume=volume, target=target)


def name_of(app: Path) -> str:
    """The image's file name: ``Sfumato-1.2.0.dmg``."""
    plist = plistlib.loads((app / "Contents/Info.plist").read_bytes())
    return f"{app.stem}-{plist['CFBundleShortVersionString']}.dmg"


if __name__ == "__main__":
    bundle = Path(sys.argv[1]).absolute()
    make(bundle, bundle.with_name(name_of(bundle)))
    print(bundle.with_name(name_of(bundle)))
