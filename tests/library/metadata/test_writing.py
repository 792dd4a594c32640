"""What we write is read by others: Pillow, expat's kin, and the forms other programs document."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gui.library.metadata.containers import read_fields_of
from gui.library.metadata.tools import read_draw_things, read_settings
from gui.library.metadata.writing import draw_things_json, xmp_of
from gui.library.pictures import png_bytes
from gui.request import (
    Enlargement,
    PictureRecord,
    PictureRequest,
    Provenance,
    RandomSource,
    StartImage,
)

NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
RECORD = PictureRecord(
    PictureRequest("a fox & a <boat>", "/Users/me/Models/x", "blurry", 12, 3.5, "Euler a", 5,
                   random_source=RandomSource.NVIDIA), 24, 16, "Tiny SD")  # fmt: skip


def packet_in(data: bytes) -> ET.Element:
    """The packet as Pillow finds it, parsed by the standard library's own parser."""
    with Image.open(io.BytesIO(data)) as image:
        text = image.info["XML:com.adobe.xmp"]
    return ET.fromstring(text)


def text_of(packet: ET.Element, path: str) -> str | None:
    return packet.findtext(f".//{path}", None, NAMES)


def png(record: PictureRecord) -> bytes:
    return png_bytes(np.zeros((record.height, record.width, 3), np.uint8), record)


def test_a_picture_says_what_it_shows_and_that_a_model_made_it() -> None:
    packet = packet_in(png(RECORD))
    assert text_of(packet, "dc:description//rdf:li") == "a fox & a <boat>"
    assert (text_of(packet, "xmp:CreatorTool") or "").startswith("Sfumato ")
    kind = text_of(packet, "ext:DigitalSourceType") or ""
    assert kind == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    begun = replace(RECORD, request=replace(RECORD.request, start_image=StartImage("/x.png", 0.4)))
    kind = text_of(packet_in(png(begun)), "ext:DigitalSourceType") or ""
    assert kind.endswith("/compositeWithTrainedAlgorithmicMedia")
    again = replace(begun, provenance=Provenance(start_by_model=True))
    kind = text_of(packet_in(png(again)), "ext:DigitalSourceType") or ""
    assert kind.endswith("/trainedAlgorithmicMedia"), "no picture of a person's went into it"


def test_draw_things_gets_its_own_form() -> None:
    comment = text_of(packet_in(png(RECORD)), "exif:UserComment//rdf:li") or ""
    assert json.loads(comment) == {
        "c": "a fox & a <boat>", "uc": "blurry", "steps": 12, "sampler": "Euler Ancestral",
        "scale": 3.5, "seed": 5, "size": "24x16", "model": "Tiny SD", "strength": 1.0,
        "seed_mode": "NVIDIA GPU Compatible",
    }  # fmt: skip
    enlarged = replace(RECORD.request, enlargement=Enlargement.X2)
    asked = json.loads(draw_things_json(replace(RECORD, request=enlarged)))
    assert asked["size"] == "12x8", "as the model drew it: enlarging comes on top"
    numpy_ = replace(RECORD, request=replace(RECORD.request, random_source=RandomSource.NUMPY))
    assert "seed_mode" not in json.loads(draw_things_json(numpy_)), "none of theirs is claimed"


def test_no_place_on_this_computer_is_given_away() -> None:
    begun = replace(
        RECORD, request=replace(RECORD.request, start_image=StartImage("/Users/me/secret.png", 0.4))
    )
    assert "secret" not in xmp_of(begun) and "Models" not in xmp_of(begun)


@pytest.mark.parametrize(
    "prompt", ["", "two\nlines", "\ud83d half", "nul\0 and \x07bell", "]]> <!-- & 狐", "x" * 20_000]
)
def test_any_prompt_makes_a_packet_that_others_parse(prompt: str) -> None:
    record = replace(RECORD, request=replace(RECORD.request, prompt=prompt))
    packet = ET.fromstring(xmp_of(record))
    shown = text_of(packet, "dc:description//rdf:li") or ""
    assert shown == "".join(c for c in prompt if c not in "\0\x07\ud83d")
    fields = read_fields_of(io.BytesIO(png(record)))
    found = read_draw_things(fields)
    assert found is not None and found.seed == 5


def test_a_prompt_that_speaks_of_negative_prompts_comes_back_whole() -> None:
    prompt = "a sign\nNegative prompt: no entry\nin fog"
    record = replace(RECORD, request=replace(RECORD.request, prompt=prompt))
    with Image.open(io.BytesIO(png(record))) as image:
        lines = image.info["parameters"].split("\n")
    assert [line for line in lines if line.startswith("Negative prompt:")] == [
        "Negative prompt: blurry"
    ]
    found = read_settings(read_fields_of(io.BytesIO(png(record))))
    assert found is not None and found.negative_prompt == "blurry"
    assert found.prompt.replace("\u200b", "") == prompt
