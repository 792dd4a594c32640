"""The index of pictures: found by words and facts, marked for good, made again when lost."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest

from gui.library.picture_facts import PictureFacts, PictureFilter, PictureKind
from gui.library.picture_index import FILE_NAME, PictureIndex
from gui.library.picture_marks import FILE_NAME as MARKS_NAME
from gui.library.picture_query import match_of


def at(day: int, hour: int = 12) -> float:
    return datetime(2026, 11, day, hour).timestamp()


FACTS = (
    PictureFacts("/p/1/a.png", at(1), 512, 512, "a red Apple, oil painting", "blurry", "Tiny SD",
                 "Euler a", 7, 20, 7.5, PictureKind.MADE, 10, 1, "fp-a", "Café notes"),
    PictureFacts("/p/2/b.png", at(2, 9), 512, 768, "lighthouse in fog", "", "Tiny XL", "DDIM", 8,
                 30, 5.0, PictureKind.MADE, 20, 2, "fp-b"),
    PictureFacts("/p/2/c.png", at(2, 15), 768, 512, "fog over the sea, painting in oil", "apple",
                 "Tiny SD", "DDIM", 9, 20, 7.5, PictureKind.IMPORTED, 30, 3, "fp-c"),
    PictureFacts("/p/2/d.jpg", at(3), 100, 100, kind=PictureKind.IMPORTED, bytes=40, modified_ns=4,
                 fingerprint="fp-d"),
)  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> PictureIndex:
    made = PictureIndex(tmp_path / FILE_NAME)
    made.put(FACTS)
    return made


def names(index: PictureIndex, **wanted: object) -> str:
    found = index.find(PictureFilter(**wanted))  # type: ignore[arg-type]
    return "".join(Path(row.facts.path).stem for row in index.rows(found.ids))


def test_all_are_found_newest_first_and_grouped_by_day(index: PictureIndex) -> None:
    found = index.find()
    assert [row.facts for row in index.rows(found.ids)] == [
        replace(facts, words="") for facts in reversed(FACTS)
    ]
    assert found.days == [(date(2026, 11, 3), 0), (date(2026, 11, 2), 1), (date(2026, 11, 1), 3)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("fog", "cb"),
        ("light", "b"),  # a word's beginning
        ("oil paint", "ca"),  # any order
        ('"oil painting"', "a"),  # kept together
        ("fog -sea", "b"),
        ("apple", "ca"),  # the negative prompt counts
        ("cafe", "a"),  # without accents
        ("APPLE EULER", "a"),  # model and scheduler count
        ("d.jpg", "d"),
        ("", "dcba"),
        ('"', "dcba"),
        ("* OR NEAR( )", ""),
        ("-fog", "da"),
        ("prompt:fog", ""),  # no query language
    ],
)
def test_words_find_pictures(index: PictureIndex, text: str, wanted: str) -> None:
    assert names(index, text=text) == wanted


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"model": "Tiny SD"}, "ca"),
        ({"scheduler": "DDIM"}, "cb"),
        ({"size": (512, 768)}, "b"),
        ({"since": date(2026, 11, 2)}, "dcb"),
        ({"until": date(2026, 11, 2)}, "cba"),
        ({"since": date(2026, 11, 2), "until": date(2026, 11, 2)}, "cb"),
        ({"kind": PictureKind.IMPORTED}, "dc"),
        ({"kind": PictureKind.MADE, "text": "fog"}, "b"),
    ],
)
def test_facts_filter(index: PictureIndex, wanted: dict[str, object], found: str) -> None:
    assert names(index, **wanted) == found


def test_choices_count_what_there_is(index: PictureIndex) -> None:
    choices = index.choices()
    assert choices.models == (("Tiny SD", 2), ("Tiny XL", 1))
    assert choices.schedulers == (("DDIM", 2), ("Euler a", 1))
    assert dict(choices.sizes) == {(512, 512): 1, (512, 768): 1, (768, 512): 1, (100, 100): 1}
    assert choices.total == 4


def test_a_file_that_changed_or_went_is_followed(index: PictureIndex) -> None:
    before = index.by_path("/p/2/b.png")
    assert before is not None
    index.put([replace(FACTS[1], prompt="a castle", bytes=21)])
    assert (names(index, text="lighthouse"), names(index, text="castle")) == ("", "b")
    after = index.by_path("/p/2/b.png")
    assert after is not None and after.id == before.id
    assert index.drop(["/p/2/b.png", "/p/2/never.png"]) == 1
    assert names(index) == "dca" and names(index, text="castle") == ""
    assert sorted(index.known_files("/p/2")) == ["c.png", "d.jpg"]
    assert index.known_files("/p/2")["c.png"].bytes == 30
    assert sorted(index.folders()) == ["/p/1", "/p/2"]


def test_marks_survive_the_index_and_a_move(index: PictureIndex, tmp_path: Path) -> None:
    a, b = index.by_path("/p/1/a.png"), index.by_path("/p/2/b.png")
    assert a is not None and b is not None
    index.marks.set_favourite([a.id, b.id], True)
    index.marks.set_favourite([b.id], False)
    index.marks.set_tags(a.id, ["  still  life ", "red", "red", ""])
    assert names(index, favourites=True) == "a"
    assert names(index, tag="still life") == "a"
    assert index.choices().tags == (("red", 1), ("still life", 1))
    index.close()
    (tmp_path / FILE_NAME).unlink()
    again = PictureIndex(tmp_path / FILE_NAME)
    assert again.rebuilt and again.find().ids.tolist() == []
    again.put([replace(FACTS[0], path="/elsewhere/x.png")])
    moved = again.by_path("/elsewhere/x.png")
    assert moved is not None and moved.favourite and moved.tags == ("red", "still life")


def test_a_damaged_index_is_made_again(index: PictureIndex, tmp_path: Path) -> None:
    index.close()
    file = tmp_path / FILE_NAME
    file.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    again = PictureIndex(file)
    assert again.rebuilt
    again.put(FACTS[:1])
    assert names(again, text="apple") == "a"


def test_an_index_of_another_version_is_made_again(index: PictureIndex, tmp_path: Path) -> None:
    index.close()
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("PRAGMA user_version = 99")
    other.close()
    assert PictureIndex(tmp_path / FILE_NAME).rebuilt


def test_an_index_that_is_whole_is_kept(index: PictureIndex, tmp_path: Path) -> None:
    index.close()
    again = PictureIndex(tmp_path / FILE_NAME)
    assert not again.rebuilt and names(again) == "dcba"
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_costs_no_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    index = PictureIndex(tmp_path / "file" / FILE_NAME)
    index.put(FACTS)
    assert names(index) == "dcba" and "cannot be kept" in index.notice


def test_a_cut_or_odd_journal_costs_only_its_lines(index: PictureIndex, tmp_path: Path) -> None:
    a = index.by_path("/p/1/a.png")
    assert a is not None
    index.marks.set_favourite([a.id], True)
    index.close()
    journal = tmp_path / MARKS_NAME
    assert json.loads(journal.read_text().strip())["picture"] == "fp-a"
    with journal.open("ab") as file:
        file.write(b'{"picture": "fp-b", "favour\n\xff\xfe\n[1]\n{"picture": 3}\n' + b"[" * 9999)
    (tmp_path / FILE_NAME).unlink()
    again = PictureIndex(tmp_path / FILE_NAME)
    again.put(FACTS)
    assert names(again, favourites=True) == "a"
    a = again.by_path("/p/1/a.png")
    assert a is not None
    again.marks.set_tags(a.id, ["kept"])
    assert PictureIndex(None, journal).marks.of("fp-a").tags == ("kept",)


def test_every_word_is_quoted() -> None:
    assert match_of('red "oil paint" -cat') == ('"red" * AND "oil paint"', '"cat" *')
    assert match_of("  \t") == ("", "")


def test_damaged_pages_behind_a_good_beginning_make_the_index_anew(tmp_path: Path) -> None:
    index = PictureIndex(tmp_path / FILE_NAME)
    index.put(
        replace(FACTS[0], path=f"/p/{k}.png", prompt=f"fox {k} " * 60, fingerprint=str(k))
        for k in range(600)
    )
    index.close()
    data = bytearray((tmp_path / FILE_NAME).read_bytes())
    for at in range(40_960, len(data) - 8192, 20_480):
        data[at : at + 4096] = b"\xa5" * 4096
    (tmp_path / FILE_NAME).write_bytes(data)
    again = PictureIndex(tmp_path / FILE_NAME)
    assert again.rebuilt
    again.put(FACTS[:1])
    assert names(again, text="apple") == "a"
