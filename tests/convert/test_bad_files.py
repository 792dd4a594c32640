"""Damaged, hostile and foreign files: every way in which a `.safetensors` file can be bad."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gui.convert.checkpoint.source import look, open_source
from gui.convert.estimate import check
from gui.convert.types import ConvertRequest
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.library.safetensors_header import read_header
from tests.convert.conftest import refusal

K = ComponentKind
Make = Callable[[str], Path]


def refused(path: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        look(path)
    refusal(error)
    return error.value


def test_cut_short_anywhere(tiny_single: Make, tmp_path: Path) -> None:
    whole = tiny_single("sd1").read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    path = tmp_path / "a.safetensors"
    for length in (
        1,
        7,
        8,
        9,
        100,
        header - 1,
        header,
        header + 1,
        len(whole) // 2,
        len(whole) - 1,
    ):
        path.write_bytes(whole[:length])
        error = refused(path)
        assert error.kind is ErrorKind.BAD_MODEL
        if length > 100:
            assert "cut short" in error.message
    path.write_bytes(whole + b"x")
    assert "damaged" in refused(path).message


def raw(path: Path, header: object, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def entry(start: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE: dict[str, tuple[object, bytes]] = {
    "overlap": ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, b"\0" * 12),
    "gap": ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, b"\0" * 12),
    "negative offset": ({"a": entry(-4, 0, [1])}, b""),
    "negative shape": ({"a": entry(0, 4, [-1, -1])}, b"\0" * 4),
    "backwards": ({"a": entry(8, 4, [1])}, b"\0" * 8),
    "shape and bytes differ": ({"a": entry(0, 8, [1])}, b"\0" * 8),
    "huge shape": ({"a": entry(0, 4, [2**62, 2**62])}, b"\0" * 4),
    "shape of text": ({"a": entry(0, 4, ["1"])}, b"\0" * 4),
    "shape of booleans": ({"a": entry(0, 4, [True])}, b"\0" * 4),
    "no offsets": ({"a": {"dtype": "F32", "shape": [1]}}, b""),
    "three offsets": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, b""),
    "entry is text": ({"a": "F32"}, b""),
    "metadata is a list": ({"__metadata__": [1], "a": entry(0, 4, [1])}, b"\0" * 4),
    "metadata of numbers": ({"__metadata__": {"step": 1}, "a": entry(0, 4, [1])}, b"\0" * 4),
    "nested metadata": ({"__metadata__": {"a": {"b": "c"}}, "a": entry(0, 4, [1])}, b"\0" * 4),
    "a byte-order mark": (
        b'\xef\xbb\xbf{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b"\0" * 4,
    ),
    "half of a character": ({"\ud800": entry(0, 4, [1])}, b"\0" * 4),
    "a list": ([1, 2], b""),
    "not utf-8": (b'{"\xff\xfe": 1}', b""),
    "not json": (b'{"a": }', b""),
    "deeply nested": (b'{"a": ' * 200_000, b""),
    "twice the same name": (
        b'{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b"\0" * 4,
    ),
    "empty": ({}, b""),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_headers(name: str, tmp_path: Path) -> None:
    header, body = HOSTILE[name]
    path = raw(tmp_path / "a.safetensors", header, body)
    with pytest.raises(SfumatoError) as error:
        read_header(path)
    assert error.value.kind is ErrorKind.BAD_MODEL
    refusal(error)


def test_a_huge_header_length_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**40) + b"{}")
        file.truncate(2**41)
    assert "not a safetensors file" in refused(path).message


@pytest.mark.parametrize(
    ("dtype", "count"), [("F4", 16), ("F8_E8M0", 8), ("C64", 1), ("Q4_0", 8), ("f32", 2)]
)
def test_types_of_numbers_that_no_network_has(dtype: str, count: int, tmp_path: Path) -> None:
    """Whether safetensors knows them or not."""
    path = raw(tmp_path / "a.safetensors", {"a": entry(0, 8, [count], dtype)}, b"\0" * 8)
    error = refused(path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "float16" in error.message


def _pickled(protocol: int) -> bytes:
    return pickle.dumps({"state_dict": [1, 2, 3]}, protocol=protocol)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.safetensors", b"", "is empty"),
        ("a.safetensors", b"PK\x03\x04" + b"\0" * 100, "pickle"),
        ("a.safetensors", _pickled(2), "pickle"),
        ("a.safetensors", _pickled(4), "pickle"),
        ("a.ckpt", b"PK\x03\x04" + b"\0" * 100, "pickle"),
        ("a.ckpt", b"anything at all", "pickle"),
        ("a.pt", b"anything at all", "pickle"),
        ("a.bin", b"anything at all", "pickle"),
        ("a.gguf", b"GGUF\x03\0\0\0" + b"\0" * 100, "GGUF"),
        ("a.safetensors", b"GGUF\x03\0\0\0" + b"\0" * 100, "GGUF"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch" + b"\0" * 100, "ONNX"),
        (
            "a.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265146304\n",
            "Git LFS pointer",
        ),
        ("a.safetensors", b"\n<!DOCTYPE html><html><body>401</body>", "web page"),
        ("a.safetensors", b"<html>" + b"x" * 100, "web page"),
        ("a.safetensors", b"Not found", "not a safetensors file"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "not a safetensors file"),
    ],
)
def test_files_that_are_something_else(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in refused(tmp_path / name).message


def test_a_file_damaged_after_it_was_looked_at(tiny_single: Make, tmp_path: Path) -> None:
    """What was checked may be gone when it is read."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(tiny_single("sd1").read_bytes())
    source = open_source(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SfumatoError) as error:
        source.component(K.UNET)
    assert error.value.kind is ErrorKind.BAD_MODEL
    refusal(error)
    assert load_file(tiny_single("sd1"))


ODD: list[Any] = [None, "x", -1, {}, [], [None], 2**40, True]


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("unet", "in_channels"),
        ("unet", "down_block_types"),
        ("unet", "cross_attention_dim"),
        ("text_encoder_2", "vocab_size"),
        ("text_encoder_2", "hidden_size"),
        ("vae", "block_out_channels"),
    ],
)
def test_settings_of_a_kind_nobody_would_write(
    part: str, setting: str, copied: Make, tmp_path: Path
) -> None:
    folder = copied("sdxl")
    file = folder / part / "config.json"
    stated = json.loads(file.read_text())
    refused = 0
    for value in ODD:
        file.write_text(json.dumps({**stated, setting: value}))
        try:
            info = look(folder)
            check(ConvertRequest(source=str(folder), output=str(tmp_path / "out")), info)
        except SfumatoError as error:
            assert error.message.endswith(".") and "\n" not in error.message
            refused += 1
    assert refused >= 4
