"""Names by a template: what a person asks for, safe on every file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.library.export.naming import FIELDS, check_template, fill, values_of
from gui.library.metadata.imported import Imported
from gui.library.picture_origin import PictureOrigin
from gui.request import PictureRecord, PictureRequest

RECORD = PictureRecord(
    PictureRequest("A Red Apple, on blue!", "", steps=20, guidance_scale=7.5, seed=42,
                   scheduler="DPM++ 2M Karras"),
    512, 768, "Big: model/2", created="2026-05-04T13:14:15+02:00",
)  # fmt: skip


def name(template: str, record: PictureRecord | None = RECORD, path: str = "/x/pic.png") -> str:
    values = values_of(Path(path), PictureOrigin(record), 0.0)
    return fill(template, values, (256, 384), 7, 120)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{name}", "pic"),
        ("{date}-{seed}-{prompt}", "2026-05-04-42-a-red-apple-on-blue"),
        ("{number} {width}x{height}", "007 256x384"),
        ("{time}_{steps}_{guidance}", "131415_20_7.5"),
        ("{model} {scheduler}", "Big-model-2 DPM++ 2M Karras"),
        ("{ Seed }", "42"),
        ("fixed", "fixed"),
        ("a } brace", "a } brace"),
        ("../{name}/..\\x", "pic-x"),
        ("   .hidden", "hidden"),
        ("???", "pic"),
    ],
)
def test_a_template_becomes_a_name(template: str, expected: str) -> None:
    assert name(template) == expected


def test_what_a_picture_does_not_say_leaves_no_gap() -> None:
    assert name("{date}-{seed}-{prompt}-{name}", None) == "1970-01-01-pic"
    values = values_of(Path("/x/a.png"), PictureOrigin(imported=Imported("X", "owl", seed=0)), 0.0)
    assert fill("{seed}-{prompt}-{model}", values, (1, 1), 1, 1) == "0-owl"


@pytest.mark.parametrize("template", [*("{" + field + "}" for field in FIELDS), "{prompt}" * 60])
@pytest.mark.parametrize("prompt", ["漢" * 300, "../../etc", "🦊" * 200, "\ud800", "a\0b\nc", ""])
def test_any_prompt_makes_a_safe_name(template: str, prompt: str) -> None:
    request = PictureRequest(prompt, "", seed=1)
    made = name(template, PictureRecord(request, 1, 1, prompt), f"/x/{prompt[:60]}.png")
    assert made and not made.startswith((".", "-", " ")) and not set(made) & set('/\\:*?"<>|\n\0')
    assert len(os.fsencode(made)) <= 120


@pytest.mark.parametrize(
    ("template", "word"), [("{sed}", r"\{sed\}.*\{seed\}"), ("", "empty"), (" ", "empty")]
)
def test_a_template_that_says_nothing_known_is_refused(template: str, word: str) -> None:
    with pytest.raises(SfumatoError, match=word) as caught:
        check_template(template)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
