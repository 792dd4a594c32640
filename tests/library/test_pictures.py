"""Saving pictures: names, metadata that other programs read, and full or locked disks."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gui.control_use import Control
from gui.errors import ErrorKind, SfumatoError
from gui.library import picture_record, pictures, places, temporaries
from gui.request import (
    Enlargement,
    PictureRecord,
    PictureRequest,
    Provenance,
    RandomSource,
    StartImage,
)

NASTY = [
    "a cat; a dog, Steps: 9, and a: colon",
    "first line\nsecond line\n\nfourth",
    "emoji 🦊, 漢字, עברית, Ñandú, e\u0301",
    'quotes "here" and \\ backslashes \' too',
    "ends with Seed: 77",
]


def make(prompt: str = "a red apple", **changes: object) -> tuple[PictureRequest, PictureRecord]:
    request = PictureRequest(prompt, "/models/m", steps=20, guidance_scale=7.5, seed=42)
    request = replace(request, scheduler="DPM++ 2M Karras", **changes)
    alone = replace(request, count=1)
    record = PictureRecord(
        alone, 16, 8, "m", model_hash="abcd1234", created="2026-05-04T13:14:15+02:00"
    )
    return request, record


def noise(height: int = 8, width: int = 16) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def read_as_web_ui(text: str) -> tuple[str, str, dict[str, str]]:
    """The published format as a Stable Diffusion web UI reads it: the last line holds the pairs,
    a line that starts with "Negative prompt:" begins the negative prompt."""
    *lines, last = text.strip().split("\n")
    values = {}
    for match in re.finditer(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last):
        value = match[2]
        values[match[1]] = json.loads(value) if value.startswith('"') else value
    prompt: list[str] = []
    negative: list[str] = []
    into = prompt
    for line in lines:
        if line.startswith("Negative prompt:"):
            into = negative
            line = line.removeprefix("Negative prompt:").strip()
        into.append(line)
    return "\n".join(prompt), "\n".join(negative), values


class TestMetadata:
    @pytest.mark.parametrize("prompt", NASTY)
    def test_other_programs_read_prompt_and_settings(self, home: Path, prompt: str) -> None:
        request, record = make(prompt, negative_prompt="blurry; bad, 悪い\nugly")
        path = pictures.save_picture(noise(), record, request)
        with Image.open(path) as image:
            text = image.info["parameters"]
        got, negative, values = read_as_web_ui(text)
        assert got == prompt
        assert negative == "blurry; bad, 悪い\nugly"
        assert values["Steps"] == "20"
        assert values["Sampler"] == "DPM++ 2M Karras"
        assert values["CFG scale"] == "7.5"
        assert values["Seed"] == "42"
        assert values["Size"] == "16x8"
        assert values["Model"] == "m"
        assert "Model hash" not in values, "it would be taken for the hash of a checkpoint file"

    def test_a_branch_is_told_and_disturbs_no_reader(self, home: Path) -> None:
        request, record = make("a red apple", negative_prompt="blurry, ugly")
        branch = replace(request.branched(8), prompt='a "pear"', scheduler="Euler", seed=7)
        branch = replace(branch.branched(12), seed=8)
        record = replace(record, request=branch)
        path = pictures.save_picture(noise(), record, branch)
        with Image.open(path) as image:
            prompt, negative, values = read_as_web_ui(image.info["parameters"])
        assert (prompt, negative) == ('a "pear"', "blurry, ugly")
        assert (values["Seed"], values["Sampler"], values["Branch step"]) == ("8", "Euler", "12")
        told = values["Branch from"]
        assert told.startswith('a "pear", ') and "Seed: 7" in told and "Branch step: 8" in told
        assert "a red apple" in told and "DPM++ 2M Karras" in told
        places.remember(record)
        assert picture_record.read_record(path) == record

    def test_an_enlarged_picture_tells_the_size_that_was_drawn(self, home: Path) -> None:
        request, record = make(enlargement=Enlargement.X4)
        record = replace(record, request=replace(record.request, enlargement=Enlargement.X4))
        path = pictures.save_picture(noise(), record, request)
        with Image.open(path) as image:
            values = read_as_web_ui(image.info["parameters"])[2]
        assert (values["Size"], values["Postprocess upscale by"]) == ("4x2", "4")

    def test_a_model_name_with_a_comma_does_not_break_the_line(self, home: Path) -> None:
        request, record = make()
        record = replace(record, model_name='big, "bold": model')
        path = pictures.save_picture(noise(), record, request)
        with Image.open(path) as image:
            values = read_as_web_ui(image.info["parameters"])[2]
        assert values["Model"] == 'big, "bold": model'
        assert "Version" in values

    @pytest.mark.parametrize("prompt", [*NASTY, "nul \0 inside", "lone \ud800 surrogate", ""])
    def test_our_own_record_survives_any_prompt(self, home: Path, prompt: str) -> None:
        request, record = make(prompt, random_source=RandomSource.NVIDIA)
        record = replace(record, notes=("a; note",), safety="off", seconds=1.5)
        path = pictures.save_picture(noise(), record, request)
        places.remember(record)
        assert picture_record.read_record(path) == record

    def test_pixels_are_exact(self, home: Path) -> None:
        request, record = make()
        path = pictures.save_picture(noise(), record, request)
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), noise())

    def test_a_picture_given_away_does_not_tell_the_home_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "jane"))
        inside = str(tmp_path / "jane" / "models" / "m")
        request, record = make()
        request = replace(
            record.request, model=inside, output_dir=str(tmp_path / "jane" / "out"),
            start_image=StartImage(str(tmp_path / "jane" / "me.png"), 0.5),
        )  # fmt: skip
        record = replace(record, request=request, provenance=Provenance(start_fingerprint="77"))
        path = pictures.save_picture(noise(), record, request)
        assert b"jane" not in path.read_bytes()
        read = picture_record.read_record(path)
        assert read is not None, "on another computer names are left"
        assert (read.request.model, read.request.start_image) == ("m", StartImage("me.png", 0.5))
        places.remember(record)
        read = picture_record.read_record(path)
        assert read is not None, "on this one the way back is known"
        assert read.request.model == inside
        assert read.request.start_image == request.start_image

    def test_no_place_outside_the_home_folder_is_given_away_either(self, home: Path) -> None:
        _, record = make(start_image=StartImage("/Volumes/Jane’s disk/me.png", 0.5))
        changed = replace(record.request, model="/Volumes/Jane’s disk/m")
        data = pictures.png_bytes(noise(), replace(record, request=changed))
        assert b"Jane" not in data and b"Volumes" not in data

    def test_pictures_that_led_are_found_again_and_not_told(self, home: Path) -> None:
        led = (Control("/Volumes/Jane/Edges.mlmodelc", "/Volumes/Jane/a.png"),
               Control("Depth", "/Volumes/Jane/b.png"))  # fmt: skip
        request, record = make(controls=led)
        record = replace(record, provenance=Provenance(control_fingerprints=("11", "22")))
        path = pictures.save_picture(noise(), record, request)
        assert b"Jane" not in path.read_bytes()
        read = picture_record.read_record(path)
        assert read is not None
        assert [(c.network, c.picture) for c in read.request.controls] == [
            ("Edges.mlmodelc", "a.png"), ("Depth", "b.png"),
        ]  # fmt: skip
        places.remember(record)
        read = picture_record.read_record(path)
        assert read is not None and read.request.controls == led

    def test_what_was_remembered_last_counts_and_damage_costs_one_place(self, home: Path) -> None:
        _, record = make()
        for folder in ("/one/m", "/two/m", "/two/m"):
            places.remember(replace(record, request=replace(record.request, model=folder)))
        assert places.place_of(places.model_key("abcd1234")) == "/two/m"
        file = home / "data" / places.FILE_NAME
        assert len(file.read_text().split("\n\n")) == 2, "nothing is said twice"
        assert file.stat().st_mode & 0o077 == 0, "it holds paths"
        file.write_bytes(file.read_bytes() + b'{"what": "mod\xff\n[1]\n')
        assert places.place_of(places.model_key("abcd1234")) == "/two/m"
        file.unlink()
        assert places.place_of(places.model_key("abcd1234")) == ""

    def test_a_foreign_picture_has_no_record(self, tmp_path: Path) -> None:
        Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
        Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
        assert picture_record.read_record(tmp_path / "a.png") is None
        assert picture_record.read_record(tmp_path / "a.jpg") is None

    def test_no_picture_or_a_damaged_record_is_said_so(self, tmp_path: Path) -> None:
        from PIL.PngImagePlugin import PngInfo

        (tmp_path / "text.png").write_text("no picture")
        info = PngInfo()
        info.add_itxt("sfumato", '{"record": {"request": 5}}')
        Image.new("RGB", (4, 4)).save(tmp_path / "bad.png", pnginfo=info)
        for name in ("text.png", "bad.png", "absent.png"):
            with pytest.raises(SfumatoError) as caught:
                picture_record.read_record(tmp_path / name)
            assert caught.value.kind is ErrorKind.BAD_IMAGE

    def test_damaged_files_of_any_kind_raise_nothing_else(self, tmp_path: Path) -> None:
        request, record = make("漢字\nx", output_dir=str(tmp_path))
        path = pictures.save_picture(noise(), record, request)
        sources = [path.read_bytes()]
        with Image.open(path) as image:
            for form in ("TIFF", "GIF", "WEBP", "JPEG"):
                buffer = io.BytesIO()
                image.save(buffer, form)
                sources.append(buffer.getvalue())
        chance = random.Random(3)
        file = tmp_path / "damaged.png"
        for _ in range(1500):
            data = bytearray(chance.choice(sources))
            if chance.random() < 0.3:
                del data[chance.randrange(len(data)) :]
            for _ in range(chance.randint(0, 6)):
                if data:
                    data[chance.randrange(min(len(data), 500))] = chance.randrange(256)
            file.write_bytes(data)
            with warnings.catch_warnings(), contextlib.suppress(SfumatoError):
                warnings.simplefilter("ignore")
                assert isinstance(picture_record.read_record(file), PictureRecord | None)


class TestNames:
    def test_day_folder_time_seed_and_prompt(self, home: Path) -> None:
        request, record = make("A Red Apple, on blue!")
        path = pictures.save_picture(noise(), record, request)
        assert path == home / "Pictures" / "2026-05-04" / "131415-42-a-red-apple-on-blue.png"

    def test_never_overwrites(self, home: Path) -> None:
        request, record = make()
        first = pictures.save_picture(noise(), record, request)
        before = first.read_bytes()
        second = pictures.save_picture(noise()[::-1], record, request)
        third = pictures.save_picture(noise(), record, request)
        assert len({first, second, third}) == 3
        assert first.read_bytes() == before

    def test_never_overwrites_where_there_are_no_hard_links(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "not here")

        monkeypatch.setattr(os, "link", no_links)
        request, record = make()
        first = pictures.save_picture(noise(), record, request)
        before = first.read_bytes()
        second = pictures.save_picture(noise()[::-1], record, request)
        assert first != second
        assert first.read_bytes() == before
        assert sorted(p.name for p in first.parent.iterdir()) == sorted([first.name, second.name])

    @pytest.mark.parametrize(
        "prompt",
        ["../../etc/passwd", "a/b\\c:d*e?f\"g<h>i|j", "...", " ", "\n\t", "x" * 500, "漢" * 300,
         "CON", "e\u0301" * 200, "🦊 fox", "tab\there", "nul\0", "\ud800", "word " * 100],
    )  # fmt: skip
    def test_a_prompt_makes_a_safe_name(self, home: Path, prompt: str) -> None:
        request, record = make(prompt)
        path = pictures.save_picture(noise(), record, request)
        assert path.parent == home / "Pictures" / "2026-05-04"
        assert path.name.startswith("131415-42")
        assert not set(path.name) & set('/\\:*?"<>|\n\t\0 ')
        assert len(os.fsencode(path.name)) <= 143

    def test_an_exact_file_is_replaced_and_numbered_by_count(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "picture.png"
        request, record = make(output_file=str(target))
        assert pictures.save_picture(noise(), record, request) == target
        assert pictures.save_picture(noise(4, 4), record, request) == target
        with Image.open(target) as image:
            assert image.size == (4, 4)
        several = replace(request, count=12, seed=2**32 - 1)
        wrapped = replace(record, request=replace(record.request, seed=1))
        assert pictures.save_picture(noise(), wrapped, several).name == "picture-03.png"
        assert sorted(p.name for p in target.parent.iterdir()) == ["picture-03.png", "picture.png"]


WRITER = """
import resource, signal, sys
import numpy as np
from tests.library.test_pictures import make, noise
from gui.library import picture_record, pictures
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
request, record = make(output_dir=sys.argv[1])
try:
    pictures.save_picture(noise(256, 256), record, request)
except pictures.SfumatoError as error:
    print(error.kind.value, "|", error.message)
"""


class TestTrouble:
    def test_full_disk_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.write

        def nearly_full(descriptor: int, data: bytes) -> int:
            if len(data) > 1000:
                return real(descriptor, bytes(data)[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", nearly_full)
        request, record = make(output_dir=str(tmp_path))
        with pytest.raises(SfumatoError) as caught:
            pictures.save_picture(noise(64, 64), record, request)
        assert caught.value.kind is ErrorKind.STORAGE
        assert "disk is full" in caught.value.message
        assert list(tmp_path.iterdir()) == []

    def test_the_system_refusing_more_bytes_leaves_nothing_behind(self, tmp_path: Path) -> None:
        assert hasattr(resource, "RLIMIT_FSIZE") and hasattr(signal, "SIGXFSZ")
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.stdout.startswith("storage | Pictures cannot be saved")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("x")
        request, record = make(output_dir=str(tmp_path / "taken"))
        for action in (
            lambda: pictures.save_picture(noise(), record, request),
            lambda: pictures.check_destination(request),
        ):
            with pytest.raises(SfumatoError) as caught:
                action()
            assert caught.value.kind is ErrorKind.STORAGE
            assert str(tmp_path / "taken") in caught.value.message

    def test_an_unwritable_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # The tests may run as root, whom no mode bits stop: refuse at the system call.
        real = os.open

        def refuse(path: object, flags: int, *rest: int, **more: object) -> int:
            if flags & os.O_CREAT and str(path).startswith(str(tmp_path)):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, flags, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)
        request, record = make(output_dir=str(tmp_path))
        with pytest.raises(SfumatoError) as caught:
            pictures.save_picture(noise(), record, request)
        assert caught.value.kind is ErrorKind.STORAGE
        assert "permissions" in caught.value.message

    def test_a_full_disk_is_said_before_the_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _p: SimpleNamespace(free=1000))
        request, _ = make(output_dir=str(tmp_path))
        with pytest.raises(SfumatoError) as caught:
            pictures.check_destination(request)
        assert caught.value.kind is ErrorKind.STORAGE
        assert "disk is full" in caught.value.message

    def test_a_name_that_is_no_png(self, tmp_path: Path) -> None:
        request, _ = make(output_file=str(tmp_path / "a.jpg"))
        with pytest.raises(SfumatoError) as caught:
            pictures.check_destination(request)
        assert caught.value.kind is ErrorKind.BAD_REQUEST

    def test_old_leftovers_of_a_killed_engine_are_swept(self, tmp_path: Path) -> None:
        stale = tmp_path / ".sfumato-1-dead.part"
        fresh = tmp_path / ".sfumato-2-live.part"
        for file in (stale, fresh):
            file.write_bytes(b"half")
        os.utime(stale, (1, 1))
        request, record = make(output_dir=str(tmp_path))
        path = pictures.save_picture(noise(), record, request)
        assert sorted(tmp_path.iterdir()) == sorted([fresh, path])


def test_leftovers_are_swept_from_every_folder_of_pictures(tmp_path: Path) -> None:
    left, day, deeper = tmp_path / "Dropped", tmp_path / "Pictures/2026-01-01", tmp_path / "x/y/z"
    stale = [folder / ".sfumato-1-dead.part" for folder in (left, day, day.parent, deeper)]
    kept = [day / ".sfumato-2-live.part", day / "picture.part", day / "120000-1-fog.png"]
    for file in (*stale, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
        os.utime(file, (1, 1))
    os.utime(kept[0])
    temporaries.sweep_pictures([tmp_path / "Pictures", left, tmp_path / "is not there"])
    assert [file.exists() for file in (*stale, *kept)] == [False] * 3 + [True] * 4


def test_two_control_pictures_of_one_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two folders, with the same settings: each comes back from where it was."""
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    controls = tuple(Control("edges", str(tmp_path / folder / "pose.png")) for folder in "ab")
    request = PictureRequest("a fox", "", controls=controls)
    record = PictureRecord(request, 8, 8, "Tiny")
    record = replace(record, provenance=Provenance(control_fingerprints=("11", "22")))
    places.remember(record)
    read = picture_record.record_of(picture_record.record_text(record))
    assert [control.picture for control in read.request.controls] == [c.picture for c in controls]
