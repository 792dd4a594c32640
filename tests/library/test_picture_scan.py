"""Folders become the index, and the index follows them."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gui.library.picture_index import PictureFilter, PictureIndex, PictureKind
from gui.library.picture_scan import ScanReport, facts_of, scan, scan_changes, scan_folder
from gui.library.pictures import save_picture
from gui.request import PictureRecord, PictureRequest, StartImage
from tests.library.metadata import forms


def save(folder: Path, prompt: str, *, created: str = "2026-11-02T10:00:00+00:00") -> Path:
    request = PictureRequest(
        prompt, "", "blurry", 12, 3.5, "Euler a", 5, output_dir=str(folder),
        start_image=StartImage("/somewhere/harbour.png", 0.5),
    )  # fmt: skip
    record = PictureRecord(request, 24, 16, "Tiny SD", notes=("The prompt was cut.",),
                           created=created)  # fmt: skip
    pixels = np.full((16, 24, 3), abs(hash(prompt)) % 255, np.uint8)
    return save_picture(pixels, record, request)


def paths_of(index: PictureIndex, text: str = "") -> list[str]:
    found = index.find(PictureFilter(text))
    return [Path(row.facts.path).name for row in index.rows(found.ids)]


@pytest.fixture
def index() -> PictureIndex:
    return PictureIndex(None)


def test_a_picture_of_ours_says_everything(tmp_path: Path) -> None:
    path = save(tmp_path, "a fox in fog")
    facts = facts_of(path)
    assert (facts.width, facts.height, facts.kind) == (24, 16, PictureKind.MADE)
    assert (facts.prompt, facts.negative_prompt) == ("a fox in fog", "blurry")
    assert (facts.model, facts.scheduler, facts.seed) == ("Tiny SD", "Euler a", 5)
    assert (facts.steps, facts.guidance_scale) == (12, 3.5)
    assert facts.created == 1793613600.0 and facts.bytes == path.stat().st_size
    assert "harbour.png" in facts.words and "The prompt was cut." in facts.words


def test_foreign_pictures_are_imported_with_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "web.png"
    path.write_bytes(forms.png({"parameters": forms.A1111}))
    facts = facts_of(path)
    assert facts.kind is PictureKind.IMPORTED and facts.scheduler == "DPM++ 2M Karras"
    assert facts.seed == 2**32 - 1 and facts.created == pytest.approx(path.stat().st_mtime)
    plain = tmp_path / "plain.jpg"
    plain.write_bytes(forms.picture("JPEG"))
    assert facts_of(plain).prompt == "" and facts_of(plain).width == 24


def test_folders_are_read_once_and_then_followed(tmp_path: Path, index: PictureIndex) -> None:
    one, two = save(tmp_path / "a", "a fox"), save(tmp_path / "b" / "c", "a boat")
    (tmp_path / "a" / "letter.txt").write_text("dear reader")
    (tmp_path / "a" / ".hidden.png").write_bytes(one.read_bytes())
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (tmp_path / "a" / "no.jpg").write_text("no picture")
    report = scan(index, [tmp_path])
    assert sorted(paths_of(index)) == sorted([one.name, two.name])
    assert report.unreadable == 2
    assert not scan(index, [tmp_path]).changed, "a second look opens nothing"
    shutil.move(two, tmp_path / "a" / "moved.png")
    one.unlink()
    third = save(tmp_path / "a", "a castle")
    report = scan(index, [tmp_path])
    assert (report.read, report.gone) == (2, 2)
    assert sorted(paths_of(index)) == sorted(["moved.png", third.name])
    assert paths_of(index, "boat") == ["moved.png"]


def test_a_folder_that_went_is_forgotten_and_a_disk_that_went_is_not(
    tmp_path: Path, index: PictureIndex
) -> None:
    save(tmp_path / "disk" / "a", "a fox")
    save(tmp_path / "disk" / "b", "a boat")
    scan(index, [tmp_path / "disk"])
    shutil.rmtree(tmp_path / "disk" / "a")
    assert scan(index, [tmp_path / "disk"]).gone == 1
    (tmp_path / "disk").rename(tmp_path / "away")
    report = scan(index, [tmp_path / "disk"])
    assert report.gone == 0 and report.unreachable == (str(tmp_path / "disk"),)
    assert len(paths_of(index)) == 1


def test_one_folder_alone_can_be_looked_at(tmp_path: Path, index: PictureIndex) -> None:
    path = save(tmp_path / "a", "a fox")
    assert scan_folder(index, tmp_path / "a").read == 1
    os.utime(path, ns=(1, 1))
    assert scan_folder(index, tmp_path / "a").read == 1, "another date means to read it again"
    shutil.rmtree(tmp_path / "a")
    assert scan_folder(index, tmp_path / "a").gone == 1


def test_pipes_links_and_deep_folders_hold_nobody_up(tmp_path: Path, index: PictureIndex) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere.png")
    deep = tmp_path.joinpath(*"abcdefghijkl")
    save(deep, "too deep")
    save(tmp_path / "x", "a fox")
    report = scan(index, [tmp_path])
    assert report.read == 1 and len(paths_of(index)) == 1


def test_a_scan_can_be_stopped_and_keeps_what_it_read(tmp_path: Path, index: PictureIndex) -> None:
    for number in range(6):
        save(tmp_path / str(number), f"fox {number}")
    asked = iter(range(100))
    scan(index, [tmp_path], cancelled=lambda: next(asked) >= 3)
    some = len(paths_of(index))
    assert 0 < some < 6
    scan(index, [tmp_path])
    assert len(paths_of(index)) == 6


def test_damaged_settings_leave_a_picture_findable(tmp_path: Path) -> None:
    path = save(tmp_path, "a fox")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"steps":12', b'"steps":"x"'))
    facts = facts_of(path)
    assert facts.width == 24 and facts.prompt == "a fox", "the web UIs' text says it as well"
    assert replace(facts, path="") is not None


def test_what_happened_to_files_is_followed_without_a_look_at_the_rest(
    tmp_path: Path, index: PictureIndex
) -> None:
    root = tmp_path / "disk"
    one, two = save(root / "a", "a fox"), save(root / "a", "a boat")
    scan(index, [root])

    def follow(*paths: Path) -> ScanReport:
        *_, report = scan_changes(index, [root], map(str, paths))
        return report

    third = save(root / "b" / "c", "a castle")
    two.unlink()
    (root / "a" / "no.png").write_text("no picture")
    report = follow(third, two, root / "a" / "no.png", root / "a" / ".hidden.png", one)
    assert (report.read, report.gone, report.unreadable) == (1, 1, 1)
    assert sorted(paths_of(index)) == sorted([one.name, third.name])
    assert follow(root / "a" / "no.png").unreadable == 0, "opened once"
    one.write_bytes(b"no picture any more")
    assert follow(one).gone == 1
    shutil.move(root / "b", root / "a" / "moved")
    assert follow(root / "b", root / "a" / "moved").changed
    assert [Path(p).parent.name for p in (r.path for r in index.rows(index.find().ids))] == ["c"]
    root.rename(tmp_path / "away")
    assert not follow(root, root / "a" / "moved").changed, "a disk that went takes nothing with it"
    assert len(paths_of(index)) == 1


def test_a_name_that_is_no_text_is_passed_by(tmp_path: Path, index: PictureIndex) -> None:
    good = save(tmp_path / "a", "a fox")
    (tmp_path / "a" / "x\udc80y.png").write_bytes(good.read_bytes())
    (tmp_path / "z\udc80").mkdir()
    (tmp_path / "z\udc80" / "b.png").write_bytes(good.read_bytes())
    assert scan(index, [tmp_path]).read == 1


def test_an_empty_folder_is_taken_for_a_disk_that_is_not_there(
    tmp_path: Path, index: PictureIndex
) -> None:
    save(tmp_path / "disk", "a fox")
    scan(index, [tmp_path / "disk"])
    (tmp_path / "disk").rename(tmp_path / "away")
    (tmp_path / "disk").mkdir()
    assert scan(index, [tmp_path / "disk"]).gone == 0 and len(paths_of(index)) == 1
