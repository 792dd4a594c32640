"""What a person looks for, as SQL over the index's tables."""

from __future__ import annotations

import re

from gui.library.picture_facts import PictureFilter


def conditions(wanted: PictureFilter) -> tuple[str, list[object]]:
    """A WHERE clause and its values."""
    parts: list[str] = []
    values: list[object] = []

    def want(part: str, *given: object) -> None:
        parts.append(part)
        values.extend(given)

    match, without = match_of(wanted.text)
    if match:
        want("p.id IN (SELECT rowid FROM words WHERE words MATCH ?)", match)
    if without:
        want("p.id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)", without)
    if wanted.model:
        want("p.model = ?", wanted.model)
    if wanted.scheduler:
        want("p.scheduler = ?", wanted.scheduler)
    if wanted.size is not None:
        want("p.width = ? AND p.height = ?", *wanted.size)
    if wanted.since is not None:
        want("p.day >= ?", wanted.since.toordinal())
    if wanted.until is not None:
        want("p.day <= ?", wanted.until.toordinal())
    if wanted.favourites:
        want("p.favourite")
    if wanted.kind is not None:
        want("p.kind = ?", wanted.kind.value)
    if wanted.tag:
        want("p.id IN (SELECT picture FROM tags WHERE tag = ?)", wanted.tag)
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


_TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


def match_of(text: str) -> tuple[str, str]:
    """What a person typed as two FTS5 queries: what must occur, and what must not.

    Every word is quoted, so nothing typed is read as FTS5's own language; a word matches where
    another begins with it.
    """
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, word in _TERM.findall(text):
        words = re.findall(r"\w+", phrase or word)
        if not words:
            continue
        quoted = '"' + " ".join(words) + '"'
        term = quoted if phrase else f"{quoted} *"
        (unwanted if minus else wanted).append(term)
    return " AND ".join(wanted), " OR ".join(unwanted)
