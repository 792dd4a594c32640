"""Unpacking zips that mean well and zips that do not."""

from __future__ import annotations

import copy
import io
import os
import shutil
import stat
import struct
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads import archive, storage
from tests.support.hub_downloads import contents, random_bytes

MODEL = {
    "Unet.mlmodelc/model.mil": b"program(1.0)",
    "Unet.mlmodelc/weights/weight.bin": random_bytes(200_000),
    "TextEncoder.mlmodelc/model.mil": b"program(1.0)",
    "vocab.json": b"{}",
}


def zipped(
    path: Path, files: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def unpack(source: Path, folder: Path, **options: object) -> dict[str, tuple[int, str]] | None:
    with archive.translated(source.name), source.open("rb") as file:
        return archive.unpack(file, folder, **options)  # type: ignore[arg-type]


def refused(source: Path, folder: Path, words: str) -> None:
    with pytest.raises(SfumatoError) as caught:
        unpack(source, folder)
    assert caught.value.kind is ErrorKind.BAD_MODEL
    assert words in caught.value.message
    assert caught.value.message.endswith(".")
    outside = [p for p in folder.parent.rglob("*") if p not in (source, folder)]
    assert all(folder in p.parents for p in outside), "something was written elsewhere"


@pytest.mark.parametrize("wrapper", ["", "fog_compiled/", "fog/compiled/", "a b/Ünï/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_folders_that_only_wrap_the_model_come_off(tmp_path, wrapper, method):
    source = zipped(tmp_path / "m.zip", {wrapper + k: v for k, v in MODEL.items()}, method)
    found = unpack(source, tmp_path / "out")
    want = zipped(tmp_path / "plain.zip", MODEL)
    with zipfile.ZipFile(want) as file:
        assert set(contents(tmp_path / "out")) == set(file.namelist())
    assert found is not None
    assert {k: v[1] for k, v in found.items()} == contents(tmp_path / "out")
    assert found["Unet.mlmodelc/weights/weight.bin"][0] == 200_000


def test_what_the_zip_program_makes_is_read(tmp_path):
    """Against another implementation of the format than Python's."""
    for name, data in MODEL.items():
        path = tmp_path / "tree" / "fog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    script = "import shutil,sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2])"
    program = ["zip", "-qr", str(tmp_path / "m.zip"), "fog"]
    try:
        subprocess.run(program, cwd=tmp_path / "tree", check=True)
    except FileNotFoundError:
        subprocess.run(
            ["python3", "-c", script, str(tmp_path / "m"), str(tmp_path / "tree")], check=True
        )
    unpack(tmp_path / "m.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "tree" / "fog")


def test_litter_of_finder_and_windows_stays_behind(tmp_path):
    litter = {
        "__MACOSX/._Unet.mlmodelc": b"x",
        "__MACOSX/fog/._x": b"x",
        ".DS_Store": b"x",
        "fog/.DS_Store": b"x",
        "fog/._vocab.json": b"x",
    }
    files = {"fog/" + k: v for k, v in MODEL.items()}
    unpack(zipped(tmp_path / "m.zip", litter | files), tmp_path / "out")
    assert set(contents(tmp_path / "out")) == set(MODEL)


def test_a_read_me_beside_the_wrapper_stays_behind(tmp_path):
    files = {"fog/" + k: v for k, v in MODEL.items()} | {"README.txt": b"hello"}
    unpack(zipped(tmp_path / "m.zip", files), tmp_path / "out")
    assert set(contents(tmp_path / "out")) == set(MODEL)


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/evil", "a\\..\\evil", "C:/evil", "C:\\evil", "a//b", "./a"],
)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    refused(zipped(tmp_path / "m.zip", MODEL | {name: b"x"}), tmp_path / "out", "name")
    assert not (tmp_path / "evil").exists()


def test_a_name_cut_by_nul_is_refused(tmp_path):
    source = zipped(tmp_path / "m.zip", MODEL | {"evilXname": b"x"})
    source.write_bytes(source.read_bytes().replace(b"evilXname", b"evil\0name"))
    refused(source, tmp_path / "out", "name")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        for name, data in MODEL.items():
            file.writestr(name, data)
        info = zipfile.ZipInfo("link")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    refused(tmp_path / "m.zip", tmp_path / "out", "link or a device")


@pytest.mark.parametrize(
    "pair",
    [("Unet.mlmodelc/x", "unet.mlmodelc/x"), ("caf\u00e9", "cafe\u0301"), ("a", "a/b")],
)
def test_names_that_a_mac_takes_for_one_are_refused(tmp_path, pair):
    files = MODEL | dict.fromkeys(pair, b"x")
    refused(zipped(tmp_path / "m.zip", files), tmp_path / "out", "same file")


def test_names_in_utf_8_of_which_nothing_says_so_are_read_as_that(tmp_path):
    """Finder writes them; older programs wrote code page 437."""
    source = zipped(tmp_path / "m.zip", MODEL | {"Unet.mlmodelc/Größe 絵.bin": b"1", "été": b"2"})
    data = bytearray(source.read_bytes())
    data = data.replace("été".encode(), "été??".encode("cp437"))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = -1
        while (place := data.find(signature, place + 1)) >= 0:
            flags = struct.unpack_from("<H", data, place + offset)[0]
            struct.pack_into("<H", data, place + offset, flags & ~0x800)
    source.write_bytes(data)
    found = unpack(source, tmp_path / "out")
    assert found is not None
    assert set(found) == {*MODEL, "Unet.mlmodelc/Größe 絵.bin", "été??"}
    assert set(contents(tmp_path / "out")) == set(found)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr("a", "1")
        file.writestr("a", "2")
    refused(tmp_path / "m.zip", tmp_path / "out", "same file")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    bomb = {"bomb.bin": bytes(64 << 20)}
    refused(zipped(tmp_path / "m.zip", MODEL | bomb), tmp_path / "out", "absurd size")
    assert not (tmp_path / "out").exists()


def test_a_bomb_whose_files_share_their_bytes_is_refused(tmp_path):
    """Every entry compresses modestly, and all of them are the same kilobytes."""
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in MODEL.items():
            file.writestr(name, data)
        file.writestr("Unet.mlmodelc/0.bin", bytes(10_000_000) + os.urandom(100_000))
        first = file.getinfo("Unet.mlmodelc/0.bin")
        for k in range(1, 500):
            entry = copy.copy(first)
            entry.filename = entry.orig_filename = f"Unet.mlmodelc/{k}.bin"
            file.filelist.append(entry)
    refused(tmp_path / "m.zip", tmp_path / "out", "share their bytes")
    assert not (tmp_path / "out").exists()


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 100)
    files = {f"{k}.json": b"" for k in range(101)}
    refused(zipped(tmp_path / "m.zip", files), tmp_path / "out", "more than 100 files")


def test_too_large_a_total_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gui.hub.zip_rules.MAX_BYTES", 100_000)
    refused(zipped(tmp_path / "m.zip", MODEL), tmp_path / "out", "absurd size")


def test_more_bytes_than_declared_are_not_written(tmp_path):
    """The directory says 10 bytes of a file that holds 200,000."""
    source = zipped(tmp_path / "m.zip", MODEL, zipfile.ZIP_DEFLATED)
    data = bytearray(source.read_bytes())
    name = b"Unet.mlmodelc/weights/weight.bin"
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.rindex(name) if signature == b"PK\x01\x02" else data.index(name)
        header = data.rindex(signature, 0, place)
        struct.pack_into("<I", data, header + offset, 10)
    source.write_bytes(data)
    refused(source, tmp_path / "out", "damaged")
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*.bin")) <= 10


def test_a_wrong_checksum_is_damage(tmp_path):
    source = zipped(tmp_path / "m.zip", MODEL, zipfile.ZIP_STORED)
    data = bytearray(source.read_bytes())
    data[data.index(MODEL["Unet.mlmodelc/weights/weight.bin"]) + 1000] ^= 1
    source.write_bytes(data)
    refused(source, tmp_path / "out", "damaged")


@pytest.mark.parametrize("keep", [0, 10, 1000, 100_000, -1, -30])
def test_an_archive_cut_short_is_damage(tmp_path, keep):
    source = zipped(tmp_path / "m.zip", MODEL, zipfile.ZIP_STORED)
    source.write_bytes(source.read_bytes()[:keep])
    refused(source, tmp_path / "out", "damaged")


def test_random_damage_never_escapes_as_anything_else(tmp_path):
    source = zipped(tmp_path / "m.zip", MODEL)
    good = source.read_bytes()
    for k in range(60):
        data = bytearray(good)
        for place in range(k * 7 % 50, len(data), 997):
            data[-1 - place] ^= 1 + k
        source.write_bytes(data)
        try:
            unpack(source, tmp_path / f"out{k}")
        except SfumatoError as error:
            assert error.kind is ErrorKind.BAD_MODEL


def test_a_password_is_named(tmp_path):
    source = zipped(tmp_path / "m.zip", {"a": b"x"})
    data = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(signature) + offset] |= 1
    source.write_bytes(data)
    refused(source, tmp_path / "out", "password")


def test_an_empty_archive_is_named(tmp_path):
    refused(zipped(tmp_path / "m.zip", {}), tmp_path / "out", "empty")
    refused(zipped(tmp_path / "m.zip", {".DS_Store": b"x"}), tmp_path / "out", "empty")


def test_no_room_is_said_before_unpacking(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=storage.SPARE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SfumatoError) as caught:
        unpack(zipped(tmp_path / "m.zip", MODEL), tmp_path / "out")
    assert caught.value.kind is ErrorKind.STORAGE
    assert not (tmp_path / "out").exists()


def test_progress_is_told_and_it_can_be_stopped(tmp_path):
    source = zipped(tmp_path / "m.zip", {f"{k}.bin": os.urandom(1000) for k in range(10)})
    told: list[int] = []
    unpack(source, tmp_path / "whole", on_bytes=told.append)
    assert told == sorted(told)
    assert told[-1] == 10_000
    with source.open("rb") as file:
        assert archive.declared_bytes(file) == 10_000
    told.clear()
    found = unpack(source, tmp_path / "out", on_bytes=told.append, stopped=lambda: len(told) >= 3)
    assert found is None
    assert len(told) == 3


def test_64_bit_sizes_are_understood(tmp_path):
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", allowZip64=True) as file,
        file.open("Unet.mlmodelc/weights/weight.bin", "w", force_zip64=True) as entry,
    ):
        entry.write(b"x" * 5000)
    (tmp_path / "m.zip").write_bytes(buffer.getvalue())
    found = unpack(tmp_path / "m.zip", tmp_path / "out")
    assert found is not None
    assert found["Unet.mlmodelc/weights/weight.bin"][0] == 5000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_without_bound_is_refused(tmp_path, method):
    """A megabyte of bzip2 makes gigabytes at one stroke, whatever size it declares."""
    source = zipped(tmp_path / "m.zip", MODEL, method)
    refused(source, tmp_path / "out", "compression that is not known")


def test_a_bomb_in_many_small_parts_is_refused(tmp_path):
    """Each file is small enough to compress as it likes; together they are absurd."""
    parts = {f"Unet.mlmodelc/{k}.bin": bytes(12 << 20) for k in range(6)}
    refused(zipped(tmp_path / "m.zip", parts), tmp_path / "out", "absurd size")
    assert not (tmp_path / "out").exists()


def test_a_directory_of_millions_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """The library makes an object of every entry; a long comment hides none of them."""
    source = zipped(tmp_path / "m.zip", {f"{k}.json": b"" for k in range(1000)})
    with zipfile.ZipFile(source, "a") as file:
        file.comment = bytes(60_000)
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 50_000)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the directory was read")

    monkeypatch.setattr(archive.zipfile, "ZipFile", never)
    refused(source, tmp_path / "out", "more than 50,000 files")
    with source.open("rb") as file:
        assert archive.declared_bytes(file) == 0
