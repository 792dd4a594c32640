"""Metadata that means harm or is beyond all measure: bounded memory, and the pixels are read."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from gui.library.metadata.comfy import read_comfy_graph
from gui.library.metadata.containers import MAX_TOTAL, Fields, read_fields
from gui.library.metadata.stealth import hidden_texts
from gui.library.metadata.tools import read_settings
from gui.library.metadata.web_ui import read_parameters
from gui.library.picture_origin import read_origin
from gui.library.picture_reader import read_picture
from tests.library.metadata import forms
from tests.library.metadata.test_tools import NOVELAI

# -- settings in the pixels -------------------------------------------------------------------

NOVELAI_TEXTS = {
    "Description": "a fox", "Software": "NovelAI", "Source": "NovelAI Diffusion V3 7BCCAA2C",
    "Comment": json.dumps(NOVELAI),
}  # fmt: skip


def bits_of(data: bytes) -> list[int]:
    return [byte >> k & 1 for byte in data for k in range(7, -1, -1)]


def hide(text: bytes, signature: str, *, length: int | None = None, size=(96, 128)) -> Image.Image:
    """Write settings into pixels as the form describes it: column by column, one bit a sample."""
    if signature.endswith("comp"):
        text = gzip.compress(text)
    count = 8 * len(text) if length is None else length
    bits = iter(bits_of(signature.encode() + count.to_bytes(4, "big") + text))
    in_alpha = "png" in signature
    image = Image.new("RGBA" if in_alpha else "RGB", size, (90, 140, 200, 255)[: 3 + in_alpha])
    for x in range(size[0]):
        for y in range(size[1]):
            pixel: list[int] = list(image.getpixel((x, y)))  # type: ignore[arg-type]
            for channel in (3,) if in_alpha else (0, 1, 2):
                bit = next(bits, None)
                if bit is None:
                    return image
                pixel[channel] = pixel[channel] & ~1 | bit
            image.putpixel((x, y), tuple(pixel))
    return image


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize(
    "signature", ["stealth_pngcomp", "stealth_pnginfo", "stealth_rgbcomp", "stealth_rgbinfo"]
)
def test_settings_in_the_pixels_are_read(tmp_path: Path, signature: str, form: str) -> None:
    path = tmp_path / f"a.{form.lower()}"
    hide(json.dumps(NOVELAI_TEXTS).encode(), signature).save(path, lossless=True, exact=True)
    found = read_origin(path).imported
    assert found is not None
    assert (found.program, found.prompt, found.seed) == ("NovelAI", "a fox", 9)
    assert (found.steps, found.scheduler, found.width) == (28, "Euler a", 832)
    hide(forms.A1111.encode(), signature).save(path, lossless=True, exact=True)
    found = read_origin(path).imported
    assert found is not None and (found.model, found.steps) == ("dreamy", 28)


@pytest.mark.parametrize("length", [2**32 - 1, 96 * 128, 7])
def test_a_hidden_length_that_lies_is_no_settings(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.png"
    hide(b"x" * 200, "stealth_pnginfo", length=length).save(path)
    assert read_origin(path).imported is None
    assert read_picture(path).size == (96, 128)


def test_a_hidden_bomb_is_no_settings() -> None:
    bomb = gzip.compress(bytes(64 * MEGA))
    side = 800
    head = b"stealth_pngcomp" + (8 * len(bomb)).to_bytes(4, "big")
    samples = bytes(bits_of(head + bomb)).ljust(side * side, b"\0")
    alpha = Image.frombytes("L", (side, side), samples).transpose(Image.Transpose.TRANSPOSE)
    image = Image.new("RGB", (side, side))
    image.putalpha(alpha)
    assert hidden_texts(image) == {}


def test_pictures_that_hide_nothing_say_nothing() -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    assert hidden_texts(noise) == {}
    assert hidden_texts(Image.new("RGBA", (3, 3))) == {}
    assert hidden_texts(Image.new("L", (64, 64))) == {}


# -- texts beyond all measure -----------------------------------------------------------------


def text(key: bytes, data: bytes) -> bytes:
    return forms.chunk(b"tEXt", key + b"\0" + data)


def packed(key: bytes, size: int) -> bytes:
    return forms.chunk(b"zTXt", key + b"\0\0" + zlib.compress(bytes(size), 9))


MEGA = 2**20
LARGE: dict[str, Callable[[], Iterable[bytes]]] = {
    "100 MB in one text": lambda: [text(b"parameters", bytes(100 * MEGA))],
    "100 MB in many": lambda: (text(b"k%d" % k, b"x" * (7 * MEGA)) for k in range(15)),
    "a bomb as web UI text": lambda: [packed(b"parameters", 30 * MEGA)],
    "a hundred bombs": lambda: [packed(b"k", 30 * MEGA)] * 100,
    "ten thousand small ones": lambda: [packed(b"k", MEGA)] * 10_000,
    "brackets": lambda: [text(b"prompt", b"[" * (7 * MEGA))],
    "keys without end": lambda: [
        text(b"invokeai_metadata", json.dumps({f"k{k}": k for k in range(300_000)}).encode())
    ],
    "EXIF of 7 MB": lambda: [forms.chunk(b"eXIf", b"II*\0\x08\0\0\0" + b"\xff" * (7 * MEGA))],
}
"""Chunks that go before the pixels."""


def with_chunks(path: Path, chunks: Iterable[bytes]) -> Path:
    plain = forms.png({})
    path.write_bytes(plain[:33] + b"".join(chunks) + plain[33:])
    return path


def memory_of(path: Path) -> int:
    """Most bytes that are held at a time while origin and pixels are read."""
    tracemalloc.start()
    try:
        assert read_origin(path).record is None
        assert read_picture(path).size == (24, 16)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", LARGE)
def test_large_texts_take_little_memory_and_leave_the_pixels(tmp_path: Path, name: str) -> None:
    path = with_chunks(tmp_path / "a.png", LARGE[name]())
    assert memory_of(path) < 150 * MEGA
    fields = read_fields(path)
    assert sum(map(len, fields.texts.values())) <= MAX_TOTAL


def test_what_was_left_out_is_one_sentence(tmp_path: Path) -> None:
    path = with_chunks(tmp_path / "a.png", [text(b"parameters", bytes(9 * MEGA))] * 2)
    assert read_fields(path).left_out == ["A text of more than 8 MB was left out."]
    assert read_origin(path).note == "A text of more than 8 MB was left out."


def test_a_colour_profile_of_a_press_is_read_and_a_bomb_in_its_place_passed_over(
    tmp_path: Path,
) -> None:
    for size in (3 * MEGA, 40 * MEGA):  # the first is larger than Pillow takes by itself
        data = b"icc\0\0" + zlib.compress(bytes(size), 9)
        path = with_chunks(tmp_path / "a.png", [forms.chunk(b"iCCP", data)])
        assert read_picture(path).size == (24, 16)


# -- texts that make readers go round ---------------------------------------------------------


def endless_texts() -> Iterator[str]:
    """What a careless pattern goes over again from each of its places: the square of it."""
    for unit in (
        "a",
        "[",
        "(",
        " ",
        "a: b, ",
        "a:",
        '"',
        "\\",
        "<lora:",
        "(a",
        "; Model",
        "=",
        "-s",
    ):
        yield unit * (300_000 // len(unit))


@pytest.mark.parametrize("key", ["parameters", "Dream", "prompt", "Comment"])
def test_long_texts_are_gone_over_once(key: str) -> None:
    for text in endless_texts():
        for whole in (
            text,
            f'"{text}" -s 20',
            f"x\nNegative prompt: {text}\nSteps: 1, Seed: 2, {text}",
        ):
            found = read_settings(Fields("PNG", texts={key: whole, "Software": "NovelAI"}))
            assert found is None or len(found.unmapped) <= 200


def test_captions_and_descriptions_without_end() -> None:
    for text in endless_texts():
        end = "Generator: Mochi Diffusion 5"
        read_settings(Fields("JPEG", iptc={"caption": text + end}))
        tool = {"xmp:CreatorTool": "Draw Things", "dc:description": text}
        read_settings(Fields("PNG", xmp=tool))
    assert (
        read_parameters("a\nSteps: 1, Sampler: Euler, Seed: 2, " + "x: 1, " * 200_000) is not None
    )


def test_a_graph_in_which_everything_leads_everywhere_ends() -> None:
    names = ("samples", "images", "model", "positive", "negative", "latent_image", "pixels")
    for sampler in (True, False):
        graph: dict[str, object] = {
            str(k): {"class_type": "Reroute" if k else "SaveImage", "inputs": {
                name: [str((k * 7 + n * 13) % 5000), 0] for n, name in enumerate(names)}}
            for k in range(6000)
        }  # fmt: skip
        if sampler:
            back = {key: ["77", 0] for key in ("positive", "model", "latent_image")}
            inputs = {"steps": 5, "cfg": 1, "seed": 3, **back}
            graph["77"] = {"class_type": "KSampler", "inputs": inputs}
        found = read_comfy_graph(graph)
        assert found.seed == (3 if sampler else None) and len(found.unmapped) <= 200


def test_odd_values_of_every_type_are_left_out() -> None:
    odd: list[object] = [None, True, [], {}, "", "nan", 1e400, -1, 10**400, [[1]], {"a": {}}, "\0"]
    names = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise", "positive", "model")
    for value in odd:
        graph = json.loads(json.dumps(forms.COMFY))
        graph["6"]["inputs"] |= dict.fromkeys(names, value)
        found = read_comfy_graph(graph)
        assert isinstance(found.prompt, str)


def test_a_picture_of_any_size_is_judged_before_it_is_decoded(tmp_path: Path) -> None:
    """A header that promises more than there can be."""
    for form, place in (("PNG", 16), ("GIF", 6)):
        buffer = io.BytesIO()
        Image.new("P", (24, 16)).save(buffer, form)
        data = bytearray(buffer.getvalue())
        if form == "PNG":
            data[place : place + 8] = (2**31 - 1).to_bytes(4, "big") * 2
            data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
        else:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        path = tmp_path / f"a.{form.lower()}"
        path.write_bytes(bytes(data))
        with pytest.raises(Exception, match="more than can be handled"):
            read_picture(path)
        assert read_origin(path).imported is None
