"""The language of the two processes, and what happens to noise on the line."""

from __future__ import annotations

import json
import random
import struct

import pytest

from gui.engine import messages
from gui.errors import ErrorKind, SfumatoError
from gui.request import PictureRecord, PictureRequest, StartImage

REQUEST = PictureRequest(
    'a "b"\n漢字 \ud800', "/m", seed=2**32 - 1, start_image=StartImage("/a", 0.5), count=2
)
MESSAGES = [
    messages.Generate("j", REQUEST, 1),
    messages.Ready(7, "portable", {"torch": "2"}),
    messages.Loading("j", "unet", 1, 3, 0.5),
    messages.Prepared("j", "name", 512, 768),
    messages.Step("j", 0, 1, 20, 0.25, messages.Preview(3, 2, bytes(range(18)))),
    messages.Step("j", 0, 2, 20, 0.25, None),
    messages.Image("j", 0, "/p.png", PictureRecord(REQUEST, 1, 1, "m", notes=("a", "b"))),
    messages.Finished("j"),
    messages.Cancelled("j"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_arrives_as_it_was_sent(message: messages.Message) -> None:
    assert messages.decode(messages.encode(message)) == message


def test_an_error_arrives_with_kind_sentence_and_detail() -> None:
    error = SfumatoError(ErrorKind.MEMORY, "Not enough.", "trace\nback")
    got = messages.decode(messages.encode(messages.Failed("j", error)))
    assert isinstance(got, messages.Failed)
    assert got.error.to_json() == error.to_json()


def test_a_preview_is_a_header_and_raw_bytes() -> None:
    """The layout other tools may rely on: big-endian length, JSON, then the pixels as they are."""
    frame = messages.encode(MESSAGES[4])
    (length,) = struct.unpack(">I", frame[:4])
    header = json.loads(frame[4 : 4 + length])
    assert header["type"] == "step" and header["preview"] == [3, 2]
    assert frame[4 + length :] == bytes(range(18))


@pytest.mark.parametrize(
    "frame",
    [b"", b"\0", b"\0\0\0\x05{}", struct.pack(">I", 2) + b"[]", struct.pack(">I", 2) + b"{}",
     struct.pack(">I", 17) + b'{"type":"nobody"}', struct.pack(">I", 15) + b'{"type":"step"}',
     messages.encode(MESSAGES[4])[:-1], messages.encode(MESSAGES[7]) + b"x",
     b"\x80\x04\x95pickle"],
)  # fmt: skip
def test_anything_else_is_refused(frame: bytes) -> None:
    with pytest.raises(messages.ProtocolError):
        messages.decode(frame)


def test_damaged_frames_are_refused_or_still_messages() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        frame = bytearray(messages.encode(chance.choice(MESSAGES)))
        for _ in range(chance.randint(1, 4)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        try:
            messages.encode(messages.decode(bytes(frame)))
        except messages.ProtocolError:
            continue
