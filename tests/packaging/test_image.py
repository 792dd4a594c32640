"""The disk image: its form, its window, its background."""

from __future__ import annotations

import lzma
import struct
import sys
import zlib
from pathlib import Path

import apple_platform
import pytest
from ds_store import DSStore
from mac_alias import Alias
from macos import image, udif
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import signable

APP = Path("/somewhere/Sfumato.app")


@pytest.fixture
def store(tmp_path: Path) -> dict[tuple[str, str], object]:
    """What a reader of `.DS_Store` finds in ours, by file and kind."""
    path = tmp_path / ".DS_Store"
    image.write_store(path, APP.name)
    with DSStore.open(str(path), "r") as found:
        return {(entry.filename, entry.code.decode()): entry.value for entry in found}


def test_the_window_is_the_one_that_dmgbuild_would_make(store: dict) -> None:
    settings = image.settings(APP)
    for name, place in settings["icon_locations"].items():
        assert tuple(store[name, "Iloc"])[:2] == place
    (left, top), (width, height) = settings["window_rect"]
    assert store[".", "bwsp"]["WindowBounds"] == f"{{{{{left}, {top}}}, {{{width}, {height}}}}}"
    view = store[".", "icvp"]
    assert view["iconSize"] == settings["icon_size"] and view["backgroundType"] == 2
    assert store[".", "bwsp"]["ShowToolbar"] is settings["show_toolbar"] is False


def test_the_background_is_named_by_its_place_on_the_volume(store: dict) -> None:
    alias = Alias.from_bytes(store[".", "icvp"]["backgroundImageAlias"])
    assert alias.volume is not None and alias.target is not None
    assert alias.volume.name in (b"Sfumato", "Sfumato")
    assert alias.target.posix_path.endswith(f".background/{image.BACKGROUND.name}")


def test_icons_stand_apart_and_inside_of_the_window() -> None:
    layout = image.LAYOUT
    for x, y in (layout.app, layout.applications):
        assert layout.icon / 2 < x < layout.width - layout.icon / 2
        assert layout.icon / 2 < y < layout.height - layout.icon / 2
    assert layout.applications[0] - layout.app[0] > 1.5 * layout.icon


def test_the_background_fits_the_window_on_every_screen() -> None:
    with Image.open(image.BACKGROUND) as background:
        pages = []
        for index in range(background.n_frames):  # type: ignore[attr-defined]
            background.seek(index)
            pages.append((background.size, round(background.info["dpi"][0])))
    layout = image.LAYOUT
    plain, fine = (layout.width, layout.height), (2 * layout.width, 2 * layout.height)
    assert pages == [(plain, 72), (fine, 144)]


def test_the_background_is_light_where_names_stand() -> None:
    """Finder writes them in black."""
    layout = image.LAYOUT
    with Image.open(image.BACKGROUND) as background:
        grey = background.convert("L")
        for x, y in (layout.app, layout.applications):
            below = (x - 60, y + layout.icon // 2, x + 60, y + layout.icon // 2 + 40)
            assert grey.crop(below).getextrema()[0] > 200  # type: ignore[operator]


def test_an_image_takes_the_version_into_its_name(tmp_path: Path) -> None:
    assert image.name_of(signable.bundle(tmp_path / "Sfumato.app")) == "Sfumato-1.2.0.dmg"


def unpack(data: bytes) -> bytes:
    """The volume of a UDIF image, by Apple's layout read from its end; checks every checksum."""
    trailer = data[-512:]
    assert trailer[:4] == b"koly" and struct.unpack_from(">I", trailer, 4)[0] == 4
    plist_place, plist_size = struct.unpack_from(">QQ", trailer, 216)
    data_size = struct.unpack_from(">Q", trailer, 32)[0]
    import plistlib

    (entry,) = plistlib.loads(data[plist_place : plist_place + plist_size])["resource-fork"]["blkx"]
    blocks = entry["Data"]
    assert blocks[:4] == b"mish"
    whole = bytearray()
    (count,) = struct.unpack_from(">I", blocks, 200)
    for number in range(count):
        kind, _, start, sectors, offset, size = struct.unpack_from(
            ">IIQQQQ", blocks, 204 + 40 * number
        )
        assert start * 512 == len(whole)
        if kind == 0x80000008:
            run = lzma.decompress(data[offset : offset + size])
            assert len(run) == sectors * 512
            whole += run
        elif kind == 2:
            whole += bytes(sectors * 512)
        else:
            assert kind == 0xFFFFFFFF and number == count - 1
    assert struct.unpack_from(">I", blocks, 72)[0] == zlib.crc32(whole)
    assert struct.unpack_from(">I", trailer, 88)[0] == zlib.crc32(data[:data_size])
    return bytes(whole)


@pytest.mark.parametrize("size", [0, 1, 511, 512, udif.RUN, 3 * udif.RUN + 700])
def test_a_volume_comes_back_out_of_its_image(size: int, tmp_path: Path) -> None:
    raw = tmp_path / "volume"
    pattern = bytes(range(1, 250)) * (size // 249 + 1)
    content = pattern[: size // 2] + bytes(size - size // 2)  # the latter half is empty
    raw.write_bytes(content)
    udif.pack(raw, tmp_path / "x.dmg")
    whole = unpack((tmp_path / "x.dmg").read_bytes())
    assert whole[:size] == content and whole.strip(b"\0") == content.strip(b"\0")


def test_rcodesign_takes_it_for_a_disk_image(tmp_path: Path) -> None:
    raw = tmp_path / "volume"
    raw.write_bytes(b"volume" * 1000)
    udif.pack(raw, tmp_path / "x.dmg")
    assert apple_platform.path_type(tmp_path / "x.dmg") == "dmg"
    apple_platform.sign(tmp_path / "x.dmg", binary_identifier="app.sfumato.image")
    entities = apple_platform.read_signature(tmp_path / "x.dmg")
    assert apple_platform.code_directory_identifier(entities) == "app.sfumato.image"
