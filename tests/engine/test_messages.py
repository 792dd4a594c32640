"""The language of the two processes, and what happens to noise on the line."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest

from gui.engine import messages
from gui.errors import ErrorKind, SfumatoError
from gui.process import messages as wire
from gui.process.messages import Question
from gui.request import ComputeUnit, PictureRecord, PictureRequest, StartImage

REQUEST = PictureRequest(
    'a "b"\n漢字 \ud800', "/m", seed=2**32 - 1, start_image=StartImage("/a", 0.5), count=2
)
MESSAGES = [
    messages.Generate("j", REQUEST, 1),
    messages.Ready(7, "portable", {"torch": "2"}),
    messages.Loading("unet", 1, 3, 0.5, preparing=True),
    messages.Prepared("name", 512, 768),
    messages.Step(0, 1, 20, 0.25, messages.Preview(3, 2, bytes(range(18)))),
    messages.Step(0, 2, 20, 0.25, None),
    messages.Image(0, "/p.png", PictureRecord(REQUEST, 1, 1, "m", notes=("a", "b"))),
    messages.UnitInUse("0123456789", ComputeUnit.CPU_AND_NE),
]
PREVIEW = 4


def encode(message: Any) -> bytes:
    return wire.ask(7, message) if isinstance(message, Question) else wire.tell(7, message)


def decode(frame: bytes) -> Any:
    header, block = wire.unpack(frame)
    if "ask" in header:
        return wire.read_question(messages.ENGINE, header)
    return wire.read_event(messages.ENGINE, header, block).event


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_arrives_as_it_was_sent(message: Any) -> None:
    assert decode(encode(message)) == message


def test_an_error_arrives_with_kind_sentence_and_detail() -> None:
    error = SfumatoError(ErrorKind.MEMORY, "Not enough.", "trace\nback")
    header, _ = wire.unpack(wire.error(7, error))
    answer = wire.read_answer(header, messages.Generate)
    assert answer.error is not None and answer.error.to_json() == error.to_json()


def test_a_preview_is_a_header_and_raw_bytes() -> None:
    """The layout other tools may rely on: big-endian length, JSON, then the pixels as they are."""
    frame = encode(MESSAGES[PREVIEW])
    (length,) = struct.unpack(">I", frame[:4])
    header = json.loads(frame[4 : 4 + length])
    assert header["event"] == "Step" and header["with"]["preview"] == {"width": 3, "height": 2}
    assert frame[4 + length :] == bytes(range(18))


def event(name: str, text: str, block: bytes = b"") -> bytes:
    header = f'{{"event": "{name}", "id": 0, "with": {text}}}'.encode()
    return struct.pack(">I", len(header)) + header + block


def step(preview: str, seconds: str = "0.5") -> str:
    return (
        f'{{"picture_index": 0, "step": 1, "steps": 2, "seconds_per_step": {seconds},'
        f' "preview": {preview}}}'
    )


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "frame",
    [b"", b"\0", b"\0\0\0\x05{}", struct.pack(">I", 2) + b"[]", struct.pack(">I", 2) + b"{}",
     b"\xff\xff\xff\xff{}", event("Nobody", "{}"), event("Step", "{}"), event("Step", "[]"),
     encode(MESSAGES[PREVIEW])[:-1], encode(MESSAGES[3]) + b"x", b"\x80\x04\x95pickle",
     event("Prepared", NESTED), event("Step", step(NESTED)), event("Step", step("null", "1e999")),
     event("Step", step("null", "NaN")), event("Step", step('{"width": 1e999, "height": 1}')),
     event("Step", step('{"width": -3, "height": -1}'), b"123456789"),
     event("Step", step('{"width": 1, "height": 1, "rgb": "abc"}'), b"123"),
     event("Step", step('{"width": 99999999999999, "height": 99999999999999}'), b"123"),
     event("Image", '{"picture_index": 0, "path": "p", "record": {"request": 3}}'),
     event("Image", '{"picture_index": "0", "path": "p", "record": null}'),
     event("Loading", '{"component": [], "index": {}, "total": null, "elapsed": "x"}')],
    ids=lambda frame: repr(frame[:40]),
)  # fmt: skip
def test_anything_else_is_refused(frame: bytes) -> None:
    with pytest.raises(wire.ProtocolError) as refused:
        decode(frame)
    assert len(str(refused.value)) < 2000


def test_damaged_frames_are_refused_or_still_messages() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        frame = bytearray(encode(chance.choice(MESSAGES)))
        for _ in range(chance.randint(1, 4)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        try:
            encode(decode(bytes(frame)))
        except wire.ProtocolError:
            continue


ODD = (None, True, -1, 2**70, 0.5, "", "x" * 5000, "\ud800", [], [[[]]], {}, {"kind": []},
       {"request": {"prompt": {}}}, ["a", 1, None])  # fmt: skip
"""What may stand where something else should."""


def swapped(value: Any, chance: random.Random) -> Any:
    """A JSON value with something odd in one place."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        return {**value, key: swapped(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], swapped(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def test_wrong_types_anywhere_are_refused_or_still_messages() -> None:
    chance = random.Random(2)
    for _ in range(3000):
        header, block = wire.unpack(encode(chance.choice(MESSAGES)))
        odd = swapped(header, chance)
        try:
            frame = wire.pack(odd, block)
            encode(decode(frame))
        except wire.ProtocolError:
            continue
