"""Styles around a prompt, and back; files of styles that other programs wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.library.style_files import read_style_file
from gui.request import PictureRequest
from gui.state.draft import Draft
from gui.styles import BUILT_IN, PromptStyle, styled, unstyled, words_before

FILM = PromptStyle("Film", "film still of {prompt}, grain", "cartoon")
GOOD = PromptStyle("Good", "best quality", "{prompt}, worst quality")
TWICE = PromptStyle("Twice", "{prompt} beside {prompt}!", "")


def test_the_rule_is_the_web_uis() -> None:
    """By hand, from its documentation: at the placeholder, else behind a comma; one after the
    other."""
    assert styled("a fox", "snow", [FILM]) == ("film still of a fox, grain", "snow, cartoon")
    assert styled("a fox", "", [FILM, GOOD]) == (
        "film still of a fox, grain, best quality",
        "cartoon, worst quality",
    )
    assert styled("a fox", "", [GOOD, FILM]) == (
        "film still of a fox, best quality, grain",
        "worst quality, cartoon",
    )
    assert styled("a", "b", [TWICE]) == ("a beside a!", "b")
    assert styled("a", "b", []) == ("a", "b")


WORDS = (
    "a fox",
    "",
    "a, b",
    "best quality",
    "film still of x, grain",
    "{prompt}",
    "a\nb",
    "日本 🦊",
)


@pytest.mark.parametrize("styles", [(FILM,), (GOOD, FILM), (TWICE, GOOD), (FILM, FILM), BUILT_IN])
@pytest.mark.parametrize("prompt", WORDS)
@pytest.mark.parametrize("negative", ["", "snow, rain"])
def test_it_can_be_turned_round(
    styles: tuple[PromptStyle, ...], prompt: str, negative: str
) -> None:
    whole = styled(prompt, negative, styles)
    own = unstyled(*whole, styles)
    assert own is not None and styled(*own, styles) == whole
    if prompt != "{prompt}":
        assert own == (prompt, negative)


def test_a_text_that_was_changed_since_is_not_taken_apart() -> None:
    prompt, negative = styled("a fox", "", [FILM])
    assert unstyled(prompt + "!", negative, [FILM]) is None
    assert unstyled("a fox", "", [FILM]) is None
    assert unstyled("a beside b!", "", [TWICE]) is None


def test_the_words_place_is_known() -> None:
    assert words_before([FILM, GOOD]) == len("film still of ")
    assert words_before([GOOD], negative=True) == 0


def test_a_request_carries_the_whole_text_and_a_draft_gets_its_own_back() -> None:
    draft = Draft().with_value("prompt", " a fox ").with_value("styles", (FILM, GOOD))
    request = draft.request_for("/m")
    assert request.prompt == "film still of a fox, grain, best quality"
    assert request.negative_prompt == "cartoon, worst quality"
    again = PictureRequest.from_json(json.loads(json.dumps(request.to_json())))
    back = Draft.from_request(again)
    assert (back.request.prompt, back.request.negative_prompt) == ("a fox", "")
    assert back.request.styles == (FILM, GOOD)
    assert back.request_for("/m").prompt == request.prompt
    changed = Draft.from_request(PictureRequest("another", "", styles=(FILM,)))
    assert (changed.request.prompt, changed.request.styles) == ("another", ())
    assert Draft.from_json(draft.to_json()) == draft


# -- files ------------------------------------------------------------------------------------


def write_csv(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8-sig") -> Path:
    """As the web UI does: the csv module, a mark at the beginning."""
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def test_a_web_uis_table_is_read(tmp_path: Path) -> None:
    rows = [
        {"name": "Film", "prompt": 'still of {prompt}, "grain"', "negative_prompt": "a, b"},
        {"name": "Lines", "prompt": "one\ntwo", "negative_prompt": ""},
        {"name": "--- divider ---", "prompt": "", "negative_prompt": ""},
        {"name": "Film", "prompt": "the later one", "negative_prompt": ""},
        {"name": "日本", "prompt": "", "negative_prompt": "snow"},
    ]
    assert read_style_file(write_csv(tmp_path / "styles.csv", rows)) == [
        PromptStyle("Film", "the later one", ""),
        PromptStyle("Lines", "one two", ""),
        PromptStyle("日本", "", "snow"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_oldest_tables_and_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    rows = [{"name": "Old", "text": "von früher"}]
    assert read_style_file(write_csv(tmp_path / "s.csv", rows, encoding)) == [
        PromptStyle("Old", "von früher")
    ]


def test_lists_of_fooocus_and_tables_by_name_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sdxl_styles.json"
    rows = [
        {"name": "sai-anime", "prompt": "anime {prompt} . vibrant", "negative_prompt": "photo"},
        {"name": "no text"},
        {"prompt": "no name"},
        "nothing",
        {"name": 5, "prompt": ["x"]},
    ]
    wanted = [PromptStyle("sai-anime", "anime {prompt} . vibrant", "photo")]
    path.write_text(json.dumps(rows))
    assert read_style_file(path) == wanted
    path.write_text(json.dumps({"sai-anime": rows[0], "version": 3}))
    assert read_style_file(path) == wanted


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no columns called name and prompt"),
        (b"just words\nin lines", "has no columns called name and prompt"),
        (b"name,prompt\n,\n", "holds no styles"),
        (b'{"a": ', "is not JSON"),
        (b"[1, 2]", "holds no styles"),
        (b"[" * 100_000, "too many lists"),
        (b"\xff\xd8\xff\xe0" + bytes(range(256)), "is not text in UTF-8"),
        (b"name,prompt\nx,\0\n", "holds no styles"),
        (b'name,prompt\nx,"' + b"y" * 200_000 + b'"\n', "is no table"),
        (b"name,prompt\n" + b"".join(b"s%d,x\n" % n for n in range(6000)), "more than 5000"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(SfumatoError) as caught:
        read_style_file(path)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert says in caught.value.message
    assert caught.value.message.startswith("“bad.csv” ") and "styles.csv" in caught.value.message


def test_a_file_that_is_gone_or_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match="no longer there"):
        read_style_file(tmp_path / "gone.csv")
    with pytest.raises(SfumatoError, match="cannot be read"):
        read_style_file(tmp_path)
