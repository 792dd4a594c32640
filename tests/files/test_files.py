"""Paths, text and sizes of files that somebody else named or wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gui import files, records
from gui.errors import ErrorKind, SfumatoError

BOM = b"\xef\xbb\xbf"


# -- paths -----------------------------------------------------------------------------------------


def test_home_folders_and_names_that_only_look_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert files.expanded("~/fog.png") == tmp_path / "fog.png"
    assert files.expanded("~no-such-person.png") == tmp_path / "~no-such-person.png"
    assert files.checked("~no-such-person/x") == tmp_path / "~no-such-person" / "x"
    (tmp_path / "~draft").mkdir()
    assert files.found("~draft") == tmp_path / "~draft"
    assert files.found("~other") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("a\0b", "no name can have"),
        ("\0", "no name can have"),
        ("x" * 256, "more than 255 bytes"),
        ("霧" * 90, "more than 255 bytes"),
        ("/nowhere/" + "霧" * 90 + "/fog.png", "more than 255 bytes"),
        ("/".join(["x" * 200] * 30), "too long"),
        ("half \ud800", "not readable text"),
    ],
)
def test_what_can_be_no_path(text: str, says: str) -> None:
    with pytest.raises(SfumatoError, match=says) as caught:
        files.checked(text)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert caught.value.message.endswith(".") and "\0" not in caught.value.message
    assert len(caught.value.message) < 300
    assert files.found(text) is None
    assert not files.exists(text) and not files.is_file(text) and not files.is_folder(text)
    assert files.children(Path(text or "nowhere")) == []


def test_a_name_of_just_the_length_that_a_disk_takes(tmp_path: Path) -> None:
    file = tmp_path / ("霧" * 85)
    file.write_text("x")
    assert files.checked(str(file)) == file and files.found(file) == file


def test_a_link_to_itself_and_one_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(SfumatoError, match="leads back to itself"):
        files.checked(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to("gone")
    assert files.checked(tmp_path / "dangling") == tmp_path / "dangling"  # may be written
    assert files.found(tmp_path / "dangling") is None


def test_a_folder_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path, **_: object) -> os.stat_result:  # root may look everywhere
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)
    with pytest.raises(SfumatoError, match="closed to Sfumato"):
        files.checked(tmp_path / "closed" / "fog.png")


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (13, ErrorKind.STORAGE, "closed to Sfumato"),
        (1, ErrorKind.STORAGE, "closed to Sfumato"),
        (36, ErrorKind.BAD_REQUEST, "too long"),
        (5, ErrorKind.STORAGE, "check that its disk is connected"),
        (116, ErrorKind.STORAGE, "check that its disk is connected"),
        (2, ErrorKind.BAD_REQUEST, "does not exist"),
    ],
)
def test_every_refusal_of_a_system_is_a_sentence(number: int, kind: ErrorKind, says: str) -> None:
    error = files.path_error("/a/b", OSError(number, os.strerror(number)))
    assert error.kind is kind and says in error.message and error.message.endswith(".")


def test_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SfumatoError, match="does not exist"):
        files.expanded("fog.png")
    assert files.found("fog.png") is None


def test_debris_is_no_content(tmp_path: Path) -> None:
    for name in ("b", "a", ".DS_Store", "._a", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    assert [child.name for child in files.children(tmp_path)] == ["a", "b"]


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        '{"a": "naïve"}'.encode(),
        BOM + '{"a": "naïve"}'.encode(),
        '{"a": "naïve"}'.encode("utf-16"),
        b"\xfe\xff" + '{"a": "naïve"}'.encode("utf-16-be"),
        BOM + '\r\n{"a":\r\n "naïve"}\r\n'.encode(),
        b'{"a": "first", "a": "na\\u00efve"}',
    ],
)
def test_json_as_editors_save_it(tmp_path: Path, data: bytes) -> None:
    assert files.parse_json(data) == {"a": "naïve"}
    (tmp_path / "x.json").write_bytes(data)
    assert files.read_json_object(tmp_path / "x.json") == {"a": "naïve"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON .*line 1"),
        (b"{\n\n'a': 1}", "line 3"),
        (b"\xff\x00", "is not text in UTF-8"),
        (b"\x00" * 10, "is not JSON"),
        (b"9" * 10_000, "is not JSON"),
        (b"[" * 100_000, "nests too many"),
        (b"[" * 200 + b"]" * 200, "nests too many"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nests too many"),
    ],
)
def test_json_that_is_none(data: bytes, says: str) -> None:
    with pytest.raises(files.UnreadableFile, match=says):
        files.parse_json(data)


def test_json_of_the_deepest_nesting_can_be_walked() -> None:
    depth = records.MAX_DEPTH
    value = files.parse_json("[" * depth + "]" * depth)
    assert json.loads(json.dumps(value)) == value
    with pytest.raises(files.UnreadableFile):
        files.parse_json("[" * (depth + 2) + "]" * (depth + 2))


def test_halves_of_characters_can_be_written_afterwards() -> None:
    value = files.parse_json(rb'{"\ud83d": ["\ud83d\ude00", "x\udc00y"]}')
    assert value == {"\ufffd": ["😀", "x\ufffdy"]}
    assert json.dumps(value, ensure_ascii=False).encode()


def test_numbers_that_schedulers_hold_pass() -> None:
    assert files.parse_json(b'{"lambda_min_clipped": -Infinity}') == {
        "lambda_min_clipped": float("-inf")
    }


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_text(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        files.read_text(tmp_path / "gone" / "x")
    (tmp_path / "file").write_text("x" * 100)
    with pytest.raises(FileNotFoundError):
        files.read_text(tmp_path / "file" / "x")
    with pytest.raises(files.UnreadableFile, match="too long"):
        files.read_text(tmp_path / "file", 99)
    assert files.read_text(tmp_path / "file", 100) == "x" * 100
    with pytest.raises(files.UnreadableFile):
        files.read_text(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(files.UnreadableFile, match="no plain file"):
        files.read_text(tmp_path / "pipe")
    with pytest.raises(files.UnreadableFile):
        files.read_bytes(Path("a\0b"), 10)
    with pytest.raises(files.UnreadableFile):
        files.read_bytes(Path("x" * 300), 10)


# -- sizes -----------------------------------------------------------------------------------------


def test_what_linked_files_and_folders_weigh(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    (real / "a.bin").write_bytes(b"x" * 10_000)
    (real / "sub" / "b.bin").write_bytes(b"x" * 5_000)
    (real / "twice.bin").symlink_to("a.bin")
    (real / "sub" / "up").symlink_to("..")  # a loop
    (real / "nowhere").symlink_to("gone")
    (tmp_path / "link").symlink_to(real)
    for folder in (real, tmp_path / "link"):
        assert files.content_bytes(folder) == 15_000
        assert files.disk_bytes(folder) >= 15_000
    assert files.disk_bytes(tmp_path / "link", follow=False) <= 4096
    assert files.content_bytes(real / "a.bin") == 10_000
    assert files.content_bytes(tmp_path / "gone") == 0
