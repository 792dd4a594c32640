"""One reader for every picture: upright, sRGB, whatever its metadata says."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_forms import FORMS, SUFFIXES, is_picture_name
from gui.library.picture_reader import opaque, read_picture, size_of
from tests.library.metadata import forms

RED, BLUE = (255, 0, 0), (0, 0, 255)
pillow_heif.register_heif_opener()


def halves() -> Image.Image:
    """Left half red, right half blue; 48 × 32."""
    picture = Image.new("RGB", (48, 32), RED)
    picture.paste(BLUE, (24, 0, 48, 32))
    return picture


def near(pixel: object, wanted: tuple[int, ...], tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - wanted).max() <= tolerance)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_form_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix.upper()}"
    halves().save(path, quality=95)
    assert is_picture_name(path.name)
    read = read_picture(path)
    assert (read.mode, read.size, size_of(path)) == ("RGB", (48, 32), (48, 32))
    assert near(read.getpixel((6, 16)), RED) and near(read.getpixel((42, 16)), BLUE)


def test_what_it_is_decides_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(forms.picture("WEBP"))
    assert read_picture(tmp_path / "a.png").size == (24, 16)
    # PostScript and its kin run programs: never opened, whatever Pillow could do.
    (tmp_path / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(SfumatoError, match="no picture that Sfumato can read"):
        read_picture(tmp_path / "b.png")
    assert "EPS" not in FORMS and "PSD" not in FORMS


# -- colours ----------------------------------------------------------------------------------


def display_p3() -> bytes:
    """A profile of Display P3: its primaries from SMPTE EG 432-1 adapted to D50, sRGB's curve.

    Written from the ICC specification's tag table; the expected colour in the test is Apple's.
    """

    def s15(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(n * 65536)) for n in numbers)

    def xyz(*numbers: float) -> bytes:
        return b"XYZ \0\0\0\0" + s15(*numbers)

    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + s15(2.4, 1 / 1.055, 0.055 / 1.055,
                                                            1 / 12.92, 0.04045)  # fmt: skip
    text = b"mluc\0\0\0\0" + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", 4, 28) + \
        "P3".encode("utf-16-be")  # fmt: skip
    tags = {
        b"desc": text, b"cprt": text, b"wtpt": xyz(0.96420288, 1.0, 0.82490540),
        b"rXYZ": xyz(0.51512146, 0.24119568, -0.00105286),
        b"gXYZ": xyz(0.29197693, 0.69224548, 0.04188538),
        b"bXYZ": xyz(0.15710449, 0.06657410, 0.78407288),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x04000000, b"mntr", b"RGB ", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp" + bytes(28) + s15(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".heic"])
def test_colour_profiles_are_honoured(tmp_path: Path, suffix: str) -> None:
    """Display P3 (60, 170, 90) is sRGB (0, 173, 80)."""
    path = tmp_path / f"p3{suffix}"
    options: dict[str, Any] = {} if suffix in (".png", ".tif") else {"quality": 100}
    if suffix == ".jpg":
        options["subsampling"] = 0
    Image.new("RGB", (32, 32), (60, 170, 90)).save(path, icc_profile=display_p3(), **options)
    assert near(read_picture(path).getpixel((9, 9)), (0, 173, 80), 4)


def test_grey_and_cmyk_profiles_and_those_that_fit_nothing(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, image, profile in (
        ("grey", Image.new("L", (8, 8), 100), srgb),
        ("cmyk", Image.new("CMYK", (8, 8), (255, 0, 0, 0)), srgb),
        ("damaged", Image.new("RGB", (8, 8), (9, 99, 199)), display_p3()[:200]),
        ("noise", Image.new("RGB", (8, 8), (9, 99, 199)), os.urandom(500)),
    ):
        path = tmp_path / f"{name}.tif"
        image.save(path, icc_profile=profile)
        read = read_picture(path)
        assert (read.mode, read.size) == ("RGB", (8, 8)), name
        if name in ("damaged", "noise"):
            assert read.getpixel((3, 3)) == (9, 99, 199)


# -- turned -----------------------------------------------------------------------------------

CORNERS = {  # where the stored top left is seen, for each EXIF orientation
    1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    picture = Image.new("RGB", (48, 32), "black")
    picture.paste(RED, (0, 0, 16, 16))
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif, quality=95)
    read = read_picture(path)
    size = (32, 48) if orientation >= 5 else (48, 32)
    assert (read.size, size_of(path)) == (size, size)
    x, y = CORNERS[orientation]
    assert near(read.getpixel((x * (size[0] - 7) + 3, y * (size[1] - 7) + 3)), RED, 40)


# -- odd metadata -----------------------------------------------------------------------------

ORIENTATION, SOFTWARE = 0x0112, 0x0131
ODD_TAGS: dict[str, dict[int, tuple[int, bytes]]] = {
    "orientation as text": {ORIENTATION: (2, b"six\0")},
    "orientation as a fraction": {ORIENTATION: (5, bytes(8))},
    "orientation empty": {ORIENTATION: (3, b"")},
    "orientation of 77": {ORIENTATION: (3, b"\x4d\0")},
    "an unknown type": {SOFTWARE: (99, b"abcd"), ORIENTATION: (3, b"\1\0")},
    "a text that is numbers": {SOFTWARE: (4, bytes(12))},
    "an undefined date": {0x0132: (7, b"\xff" * 20)},
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("odd", ODD_TAGS)
def test_mistyped_exif_never_stops_the_pixels(tmp_path: Path, odd: str, suffix: str) -> None:
    block = forms.tiff_structure(ODD_TAGS[odd])
    path = tmp_path / f"a{suffix}"
    halves().save(path, exif=b"Exif\0\0" + block if suffix == ".jpg" else block, quality=95)
    assert near(read_picture(path).getpixel((6, 16)), RED)


@pytest.mark.parametrize(
    "exif", [b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0garbage", b"\0" * 7]
)
def test_lying_exif_never_stops_the_pixels(tmp_path: Path, exif: bytes) -> None:
    halves().save(tmp_path / "a.webp", exif=exif)
    assert read_picture(tmp_path / "a.webp").size == (48, 32)


@pytest.mark.parametrize("zipped", [False, True])
def test_texts_of_megabytes_never_stop_the_pixels(tmp_path: Path, zipped: bool) -> None:
    info = PngInfo()
    info.add_text("workflow", "x" * 3_000_000, zip=zipped)
    info.add_itxt("parameters", "y" * 2_500_000, zip=zipped)
    halves().save(tmp_path / "a.png", pnginfo=info)
    assert near(read_picture(tmp_path / "a.png").getpixel((6, 16)), RED)
    assert size_of(tmp_path / "a.png") == (48, 32)


def test_a_damaged_text_or_checksum_beside_the_pixels_is_passed_over(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    halves().save(buffer, "PNG")
    data = buffer.getvalue()
    bad = struct.pack(">I", 9) + b"zTXt" + b"a\0\0broken" + b"\0\0\0\0"
    (tmp_path / "a.png").write_bytes(data[:33] + bad + data[33:])
    assert near(read_picture(tmp_path / "a.png").getpixel((42, 16)), BLUE)


# -- large, small, damaged --------------------------------------------------------------------


def test_a_picture_of_144_megapixels_is_large_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    rows = zlib.compress((b"\0" + b"\x80" * 1500) * 12000, 1)  # one bit a pixel
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + forms.chunk(b"IHDR", struct.pack(">IIBBBBB", 12000, 12000, 1, 0, 0, 0, 0))
        + forms.chunk(b"IDAT", rows)
        + forms.chunk(b"IEND", b"")
    )
    assert size_of(path) == (12000, 12000)
    assert read_picture(path, longest=256).size == (256, 256)


def test_a_picture_beyond_every_use_says_how_large_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + forms.chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
        + forms.chunk(b"IDAT", zlib.compress(bytes(1000)))
        + forms.chunk(b"IEND", b"")
    )
    with pytest.raises(SfumatoError, match="100000 × 100000 pixels large") as caught:
        read_picture(path)
    assert caught.value.kind is ErrorKind.BAD_IMAGE and "scale it down" in caught.value.message


def test_a_large_jpeg_is_decoded_small(tmp_path: Path) -> None:
    Image.new("RGB", (4000, 3000), RED).save(tmp_path / "a.jpg")
    read = read_picture(tmp_path / "a.jpg", longest=300)
    assert read.size == (300, 225) and near(read.getpixel((9, 9)), RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "I;16", "F", "YCbCr"])
def test_every_mode_becomes_colour(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 32896, np.uint16))
    elif mode == "I":
        image = Image.new("I", (8, 8), 32896)
    elif mode == "F":
        image = Image.new("F", (8, 8), 128 / 255)
    else:
        image = Image.new("L", (8, 8), 255 if mode == "1" else 128).convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I", "F", "YCbCr") else "a.png")
    image.save(path)
    read = opaque(read_picture(path))
    assert read.mode == "RGB"
    assert near(read.getpixel((3, 3)), (255, 255, 255) if mode == "1" else (128, 128, 128), 3)


def test_transparency_is_kept_until_it_must_go(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    picture.paste((10, 20, 30, 0), (0, 0, 16, 8))
    picture.save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png")
    assert read.mode == "RGBA" and read.getchannel("A").getpixel((3, 3)) == 0
    assert opaque(read).getpixel((3, 3)) == (255, 255, 255)


def test_what_cannot_be_read_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    halves().save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.heic").write_text("hello")
    (tmp_path / "empty.avif").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere")
    names = ("half.png", "text.heic", "empty.avif", "folder.png", "pipe.png", "dead.png", "no.png")
    for name in names:
        with pytest.raises(SfumatoError) as caught:
            read_picture(tmp_path / name)
        assert caught.value.kind is ErrorKind.BAD_IMAGE
        assert name in caught.value.message and caught.value.message.endswith(".")
    for odd in ("a" * 300 + ".png", "a\0b.png", "~nobody/x.png"):
        with pytest.raises(SfumatoError) as caught:
            read_picture(tmp_path / odd)
        assert len(caught.value.message) < 200


def test_reading_names_costs_no_decoder() -> None:
    """The window asks for names before it has loaded anything."""
    code = "import sys, gui.library.picture_reader; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
