"""The sentences of errors: every one that the source holds is read here, and all obey the form."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gui
from gui.errors import ErrorKind, SfumatoError, as_sfumato_error, disk_error, unusable

SOURCE = Path(gui.__file__).parent
LONGEST = 260
"""Characters of a sentence without what is put into it: four lines of a banner."""

_VERBS = (
    "accept add allow ask branch cancel change check choose close connect convert copy cut delete "
    "download end enlarge enter export fetch finish follow free get give go install keep leave "
    "list log look make mend move name open paste pick press put quit remove rename report "
    "restart resume run save say scale search see send set sign start take tell try turn type "
    "unlock unset update use wait write"
)
WHAT_TO_DO = frozenset(_VERBS.split())
"""Imperatives, one of which begins what a person can do."""

JARGON = re.compile(
    r"exception|traceback|\berrno\b|(?-i:\bNone\b|\bNaN\b)|invalid|\bnull\b|stack|assert"
    r"|bytes object|\bdict\b|\btuple\b|subprocess|socket|failed to|unable to|error occurred",
    re.IGNORECASE,
)


def _text(node: ast.expr) -> str | None:
    """A literal or an f-string, its values as ``…``; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None or right is None else left + right
    return None


def _texts(node: ast.expr) -> Iterator[str]:
    """The same of every branch of a condition."""
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif (text := _text(node)) is not None:
        yield text


def _sentences() -> Iterator[tuple[str, str]]:
    """Where and what: the message of every `SfumatoError` that is written out."""
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text()
        if "SfumatoError(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            if getattr(node.func, "id", "") == "SfumatoError":
                for text in _texts(node.args[1]):
                    if re.search(r"[a-z]{2}.* .*[a-z]{2}", text):  # not one value alone
                        yield f"{path.relative_to(SOURCE)}:{node.lineno}", text


SENTENCES = list(_sentences())


def test_there_are_sentences_to_read():
    assert len(SENTENCES) > 200


@pytest.mark.parametrize(("where", "text"), SENTENCES, ids=[where for where, _ in SENTENCES])
def test_every_error_says_what_happened_and_what_to_do_next(where: str, text: str) -> None:
    assert text.endswith((".", "?", "…")), "a sentence ends with a full stop"
    assert not re.search(r"\s$|^\s|[^\S ]", text)
    assert len(text) <= LONGEST
    assert not JARGON.search(text)
    assert text.lower().count("try again") <= 1
    assert text[:1] == text[:1].upper()
    clauses = re.split(r"[;.:,?] | and | or | then ", text.lower())
    begins = {clause.strip(" “").split(" ")[0].strip(".") for clause in clauses}
    told = "must be" in text or text.endswith("…")
    assert begins & WHAT_TO_DO or told, "it says what a person can do"


NUMBERS = [
    "ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EPERM", "EROFS", "ENOENT", "EIO", "ENODEV", "ENXIO",
    "ESTALE", "ENOTDIR", "EEXIST", "EISDIR", "ENAMETOOLONG", "EILSEQ", "EINVAL", "EMFILE", "EBUSY",
]  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_the_systems_errors_become_sentences(name: str) -> None:
    number = getattr(errno, name)
    error = disk_error(OSError(number, os.strerror(number)), "The picture could not be saved")
    assert error.kind is ErrorKind.STORAGE
    assert error.message.startswith("The picture could not be saved: ")
    assert error.message.endswith(", then try again.")
    assert os.strerror(number).lower() not in error.message.lower()
    assert (
        name in error.detail or str(number) in error.detail or os.strerror(number) in error.detail
    )


def test_a_full_disk_is_told_as_one():
    error = disk_error(OSError(errno.ENOSPC, ""), "The model cannot be written", then="go on")
    assert error.message == (
        "The model cannot be written: the disk is full; free some space, then go on."
    )
    assert error.what == "The model cannot be written: the disk is full."


def test_any_exception_can_be_shown():
    assert "memory" in as_sfumato_error(MemoryError()).message
    assert "permissions" in as_sfumato_error(PermissionError(errno.EACCES, "x")).message
    strange = as_sfumato_error(RuntimeError("odd"))
    assert strange.kind is ErrorKind.INTERNAL and "odd" not in strange.message
    assert "RuntimeError: odd" in strange.detail
    own = SfumatoError(ErrorKind.STORAGE, "The disk is full; free some space.")
    assert as_sfumato_error(own) is own


def test_a_models_fault_is_said_once_with_advice():
    said = unusable("The UNet is missing.").message
    assert said == "The UNet is missing; choose another model, or get this one again."
    whole = "There are two of the UNet; keep one model per folder."
    assert unusable(whole).message == whole
