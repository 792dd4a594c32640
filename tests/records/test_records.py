"""The one serialiser: what is written comes back, what does not fit is refused in words."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import pkgutil
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest

import gui
from gui import records
from gui.errors import ErrorKind, SfumatoError
from gui.records import MAX_DEPTH, Mode, NotZero, OneOf, Range, Record, RecordError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Named:
    words: str


@dataclass(frozen=True)
class Wheel(Record):
    size: Annotated[float, Range(0, 10), Named("The size")]
    spokes: int = 0


@dataclass(frozen=True)
class Cart(Record):
    wheels: tuple[Wheel, ...] = ()
    colour: Colour = Colour.RED
    load: Path | None = None
    corners: tuple[int, int] = (0, 0)
    names: list[str] = field(default_factory=list)
    by_colour: dict[Colour, Wheel] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)
    error: SfumatoError | None = None
    ratio: Annotated[float, NotZero()] = 1.0
    kind: Annotated[str, OneOf(("hand", "horse"))] = "hand"
    open: bool = False


CART = Cart(
    (Wheel(1.5, 8), Wheel(2)),
    Colour.BLUE,
    Path("/a/b"),
    (3, -4),
    ["x", "\ud800 漢字"],
    {Colour.RED: Wheel(3.0)},
    {"deep": [{"er": None}], "n": 1e300},
    None,
    -0.5,
    "horse",
    True,
)


def test_what_is_written_comes_back() -> None:
    assert records.loads(Cart, records.dumps(CART)) == CART
    assert records.loads(Cart, records.dumps(CART, indent=1).encode()) == CART
    assert Cart.from_json(json.loads(json.dumps(CART.to_json()))) == CART


def test_an_error_comes_back_with_kind_sentence_and_detail() -> None:
    error = SfumatoError(ErrorKind.MEMORY, "Not enough.", "trace")
    got = records.loads(Cart, records.dumps(Cart(error=error))).error
    assert got is not None
    assert (got.kind, got.message, got.detail) == (ErrorKind.MEMORY, "Not enough.", "trace")
    newer = {"kind": "of-a-newer-version", "message": "Oh."}
    assert records.from_plain(SfumatoError, newer).kind is ErrorKind.INTERNAL


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"wheels": [{"size": 11}]}, "The size must be a number from 0 to 10, not 11."),
        ({"wheels": [{"size": "2"}]}, "The size must be a number from 0 to 10, not '2'."),
        ({"wheels": [{"size": math.inf}]}, "The size must be a number from 0 to 10, not inf."),
        ({"wheels": [{}]}, "The size is missing."),
        ({"wheels": [{"size": 1, "spokes": 1.5}]},
         "“wheels.0.spokes” must be a whole number, not 1.5."),
        ({"wheels": [{"size": 1, "spokes": True}]},
         "“wheels.0.spokes” must be a whole number, not True."),
        ({"wheels": "ab"}, "“wheels” must be a list, not 'ab'."),
        ({"wheels": {"size": 1}}, "“wheels” must be a list, not an object."),
        ({"wheels": [5]}, "“wheels.0” must be an object, not 5."),
        ({"colour": "green"}, "“colour” must be red or blue, not 'green'."),
        ({"colour": ["red"]}, "“colour” must be red or blue, not a list."),
        ({"load": "a\0b"}, "“load” must be a path, not 'a\\x00b'."),
        ({"corners": [1, 2, 3]}, "“corners” must be a list of 2, not a list."),
        ({"names": [1]}, "“names.0” must be text, not 1."),
        ({"by_colour": {"ox": {"size": 1}}}, "“by_colour.ox” must be red or blue, not 'ox'."),
        ({"anything": []}, "“anything” must be an object, not a list."),
        ({"error": "no"}, "“error” must be an object, not 'no'."),
        ({"ratio": 0}, "“ratio” must be a number other than 0, not 0."),
        ({"kind": "ox"}, "“kind” must be hand or horse, not 'ox'."),
        ({"open": 1}, "“open” must be true or false, not 1."),
        ({"open": None}, "“open” must be true or false, not nothing."),
        ([], "This must be an object, not a list."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(data: Any, sentence: str) -> None:
    with pytest.raises(RecordError) as caught:
        Cart.from_json(data)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[" * 100_000, "nests too many"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nests too many"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nests too many"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("1e999", "1e999"),
        ("-1e999", "1e999"),
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[1] 2", "is not JSON"),
        ("1" * 5000, "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'"\xed\xa0\x80"', "is not JSON"),
    ],
    ids=range(13),
)
def test_no_text_does_more_than_be_refused(text: str | bytes, part: str) -> None:
    with pytest.raises(RecordError, match=part):
        records.parse(text)


def test_what_is_deep_but_not_too_deep_is_read() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert records.dumps(records.parse(text)) == text


def test_a_mark_at_the_beginning_is_passed_over() -> None:
    assert records.parse(b"\xef\xbb\xbf{}") == {} == records.parse("\ufeff{}")


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {"a": math.nan}, b"", object()])
def test_what_json_does_not_know_is_not_written(value: object) -> None:
    with pytest.raises(RecordError):
        records.dumps(value)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecordError, match="nests too many"):
        records.dumps(loop)


def test_unknown_fields_are_passed_over_or_refused_as_the_reader_needs() -> None:
    data = {"size": 1, "tyre": "rubber"}
    assert Wheel.from_json(data) == Wheel(1)
    with pytest.raises(RecordError, match="“tyre” is unknown"):
        records.from_plain(Wheel, data, Mode.REFUSE)
    with pytest.raises(RecordError, match=r"“wheels\.0\.tyre” is unknown"):
        records.from_plain(Cart, {"wheels": [data]}, Mode.REFUSE)


def test_what_can_be_saved_of_a_damaged_record_is_saved() -> None:
    data = {**CART.to_json(), "colour": 5, "open": "yes", "load": 3, "later": 1}
    assert records.from_plain(Cart, data, Mode.SALVAGE) == replace(
        CART, colour=Colour.RED, open=False, load=None
    )
    with pytest.raises(RecordError, match="The size is missing"):
        records.from_plain(Wheel, {"spokes": 1}, Mode.SALVAGE)


def test_a_record_made_in_code_is_held_against_its_types() -> None:
    records.check(CART)
    with pytest.raises(RecordError, match="The size must be a number from 0 to 10"):
        records.check(Cart(wheels=(Wheel(-1),)))
    with pytest.raises(RecordError, match="“open” must be true or false"):
        records.check(Cart(open="x"))  # type: ignore[arg-type]


def test_every_record_there_is_can_be_read() -> None:
    """A field of a type that has no form in JSON is noticed here, not when a file is read."""
    for module in pkgutil.walk_packages(gui.__path__, "gui."):
        if (
            not module.name.startswith(("gui.mac", "gui.bundle_main"))
            and "__main__" not in module.name
        ):
            importlib.import_module(module.name)
    ours = (kind for kind in _below(Record) if kind.__module__.startswith("gui."))
    kinds = [kind for kind in ours if dataclasses.is_dataclass(kind)]
    assert len(kinds) > 30
    for kind in kinds:
        with pytest.raises(RecordError, match="must be an object"):
            records.from_plain(kind, 5)


def _below(kind: type) -> list[type]:
    return [inner for each in kind.__subclasses__() for inner in (each, *_below(each))]
