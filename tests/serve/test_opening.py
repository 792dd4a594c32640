"""Pictures from outside, in the process that opens them: as the one reader gives them, and hostile
ones."""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from gui.errors import ErrorKind, SfumatoError
from gui.library.picture_reader import read_picture
from gui.serve import limits
from gui.serve.opening import Opener
from gui.serve.uploads import Uploads


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFUMATO_HOME", str(tmp_path_factory.mktemp("opening")))
        opener = Opener()
        yield opener
        opener.close()


@pytest.fixture
def uploads(opener: Opener, tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", opener)


@pytest.mark.parametrize(("mode", "longest"), [("RGB", None), ("RGBA", None), ("RGBA", 16)])
def test_it_is_what_the_reader_gives(
    opener: Opener, tmp_path: Path, mode: str, longest: int | None
) -> None:
    file = tmp_path / "picture.png"
    Image.linear_gradient("L").resize((40, 24)).convert(mode).save(file)
    made, expected = opener.open(file, longest), read_picture(file, longest)
    assert (made.mode, made.size, made.tobytes()) == (mode, expected.size, expected.tobytes())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes) -> bytes:
    """Of grey pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


def frames(count: int) -> bytes:
    """An animation, of which one picture is wanted."""
    made, buffer = [Image.new("L", (64, 64), k % 255) for k in range(count)], io.BytesIO()
    made[0].save(buffer, "GIF", save_all=True, append_images=made[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (png(30_000, 30_000, b""), "scale it down first"),
        (png(9_000, 9_000, zlib.compress(bytes(9_001) * 9_000, 1)), "more than is taken here"),
        (png(2**31 - 1, 2**31 - 1, b""), "choose another picture|scale it down"),
        (png(64, 64, b"no zlib"), "is damaged and cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that Sfumato can read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", "no picture that Sfumato"),
    ],
    ids=["30,000 sides", "81 million pixels", "2³¹", "damaged", "SVG", "PostScript"],
)
def test_a_bomb_is_refused_in_one_sentence(uploads: Uploads, data: bytes, why: str) -> None:
    with pytest.raises(SfumatoError, match=why) as told:
        uploads.read(data, "image")
    assert told.value.kind is ErrorKind.BAD_IMAGE
    assert not list(uploads.folder.iterdir())


def test_of_many_frames_one_is_taken(uploads: Uploads) -> None:
    assert uploads.read(frames(200), "image").size == (64, 64)


def test_one_that_takes_the_decoder_down_is_refused_and_the_next_is_opened(
    opener: Opener, uploads: Uploads
) -> None:
    dying = Opener([sys.executable, "-c", "import os; os.abort()"])
    try:
        with pytest.raises(SfumatoError, match="cannot be opened; send another picture") as told:
            Uploads(uploads.folder, dying).read(png(8, 8, b""), "image")
        assert told.value.kind is ErrorKind.BAD_IMAGE
    finally:
        dying.close()
    # The same process, killed between two.
    good = png(8, 8, zlib.compress(bytes(9) * 8))
    uploads.read(good, "image")
    pid = opener._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for _ in range(2):
        try:
            assert uploads.read(good, "image").size == (8, 8)
            break
        except SfumatoError:  # it was not known to be dead yet
            continue
    else:
        pytest.fail("no process is started again")


def test_one_that_takes_for_ever_is_given_up(uploads: Uploads) -> None:
    stuck = Opener([sys.executable, "-c", "import time; time.sleep(100)"], 0.2)
    try:
        with pytest.raises(SfumatoError, match="takes too long to be opened; send another"):
            Uploads(uploads.folder, stuck).read(png(8, 8, b""), "image")
    finally:
        stuck.close()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS limits no address space")
def test_the_decoder_may_not_take_all_memory(opener: Opener, uploads: Uploads) -> None:
    uploads.read(png(8, 8, zlib.compress(bytes(9) * 8)), "image")
    told = Path(f"/proc/{opener._process.pid}/limits").read_text()
    (line,) = (line for line in told.splitlines() if line.startswith("Max address space"))
    assert str(limits.OPEN_MEMORY) in line
