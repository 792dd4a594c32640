"""What a model card says: the first paragraph, the picture, the base model, example prompts.

A card is a README by anyone: it is read as text, never rendered, and its YAML only safely.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from gui.records import Record

MAX_CARD = 512 * 1024
"""Bytes of a README that are read."""

_MAX_FRONT = 64 * 1024
_MAX_BODY = 64 * 1024
"""Characters after the front matter that are looked at: what is shown stands at the top."""
_MAX_BLOCK = 4000
"""Characters of one paragraph that are looked at."""
_MAX_TEXT = 600
_NULLS = ("null", "Null", "NULL", "~")
_TRUSTED = (".huggingface.co", ".hf.co")
_TRUSTED_HOSTS = ("huggingface.co", "hf.co")
_NOT_PICTURES = (".svg", ".gif", ".mp4", ".webm", ".mov")
_FRONT = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.DOTALL | re.MULTILINE)
# None of these may take long on any text: no part that repeats can match what follows it, or run
# on for more than some hundred characters.
_IMAGE = re.compile(
    r"!\[[^\[\]]{0,500}\]\([ \t]{0,9}(?:<([^<>\n]{1,1000})>|([^\s()<>]{1,1000}))"
    r"(?:[ \t][^()\n]{0,300})?\)"
    r"|<img\b[^<>]{0,500}?\bsrc[ \t]{0,9}=[ \t]{0,9}[\"']([^\"'<>\n]{1,1000})",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[([^\[\]]{0,500})\]\([^()]{0,1000}\)")
_TAG = re.compile(r"<[^<>]{0,1000}>")


@dataclass(frozen=True)
class Card(Record):
    """The part of a model card that is worth showing in a list or a sheet."""

    description: str = ""
    """First plain paragraph."""
    base_model: str = ""
    """``owner/name``, where the card says one."""
    examples: tuple[str, ...] = ()
    """Prompts from the card's widget."""
    licence: str = ""
    picture_url: str = ""
    """Of the first picture that lies on the Hub: looking at a model tells nobody else."""
    triggers: tuple[str, ...] = ()
    """Of a LoRA: the words that call up what it was taught."""


def read_card(text: str, repo: str, revision: str, endpoint: str) -> Card:
    """A README as a `Card`.  Never raises; what is unreadable is left empty."""
    front: Any = {}
    match = _FRONT.match(text[: _MAX_FRONT + 16])
    if match:
        text = text[match.end() :]
        front = _yaml(match.group(1))
    if not isinstance(front, dict):
        front = {}
    body = _FENCE.sub("", text[:_MAX_BODY])
    return Card(
        description=_paragraph(body),
        base_model=_first(front.get("base_model")),
        examples=_examples(front),
        licence=_first(front.get("license")),
        picture_url=_picture(body, front, repo, revision, endpoint),
        triggers=triggers_of(front),
    )


def triggers_of(front: dict[str, Any]) -> tuple[str, ...]:
    """What the front matter calls ``instance_prompt``: the words that a LoRA was taught."""
    stated = _first(front.get("instance_prompt")).strip(" ,")
    plain = "".join(c for c in stated if c.isprintable())
    return (plain,) if plain and plain.lower() != "none" else ()


def card_picture(front: dict[str, Any], repo: str, revision: str, endpoint: str) -> str:
    """The address of the picture that the front matter names: its thumbnail, or the first of the
    gallery (``widget``); empty where it names none on the Hub."""
    return _picture("", front, repo, revision, endpoint)


def _yaml(text: str) -> Any:
    """Lists, mappings and strings only: a value of any other type is of no use here, and what
    makes them in yaml can be led to fail, or to merge mappings until the memory is full."""
    import yaml

    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}


def _first(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value.strip()[:200] if isinstance(value, str) and value not in _NULLS else ""


def _examples(front: dict[str, Any]) -> tuple[str, ...]:
    widget = front.get("widget")
    found = []
    for item in widget if isinstance(widget, list) else []:
        prompt = item.get("text") if isinstance(item, dict) else None
        if isinstance(prompt, str) and prompt.strip() and prompt.strip() != "-":
            found.append(prompt.strip()[:_MAX_TEXT])
    return tuple(found[:5])


def _paragraph(body: str) -> str:
    """The first run of prose: no heading, picture, list, quote, table, badge or rule."""
    for block in re.split(r"\n\s*\n", body.replace("\r\n", "\n")):
        lines = [line.strip() for line in block.strip().splitlines()]
        lines = [line for line in lines if not line.startswith("#")]
        if not lines or re.match(r"[-*+>|]\s|\d+\.\s|\||---|===|<!--", lines[0]):
            continue
        plain = _plain(" ".join(lines)[:_MAX_BLOCK])
        if len(plain) >= 10 and re.search(r"\w", plain):
            return _cut(plain)
    return ""


def _plain(text: str) -> str:
    text = _IMAGE.sub("", text)
    text = _TAG.sub("", text)
    text = re.sub(r"\[\]\([^)]*\)", "", text)
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)
    text = re.sub(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text)
    text = text.replace("\\", "")
    for entity, character in (("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    text = "".join(c for c in text if c.isprintable())
    return re.sub(r"\s+", " ", text).strip()


def _cut(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return text[:_MAX_TEXT].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def _picture(body: str, front: dict[str, Any], repo: str, revision: str, endpoint: str) -> str:
    candidates = ["".join(found) for found in _IMAGE.findall(body)]
    candidates.insert(0, _first(front.get("thumbnail")))
    widget = front.get("widget")
    for item in widget if isinstance(widget, list) else []:
        output = item.get("output") if isinstance(item, dict) else None
        if isinstance(output, dict) and isinstance(output.get("url"), str):
            candidates.append(output["url"])
    for candidate in candidates:
        if url := _address(candidate.strip(), repo, revision, endpoint):
            return url
    return ""


def _address(link: str, repo: str, revision: str, endpoint: str) -> str:
    """An absolute address on the Hub; empty for anything else."""
    if not link or any(ord(c) < 32 for c in link):
        return ""
    base = f"{endpoint}/{repo}/resolve/{revision or 'main'}/"
    try:
        if urlsplit(link).scheme:
            url = link.replace("/blob/", "/resolve/", 1)
        else:
            url = urljoin(base, quote(link.lstrip("/"), safe="/%?=&"))
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:
        return ""
    ours = urlsplit(endpoint)
    trusted = split.scheme == "https" and (host in _TRUSTED_HOSTS or host.endswith(_TRUSTED))
    if not trusted and (split.scheme, split.netloc) != (ours.scheme, ours.netloc):
        return ""
    if split.path.lower().endswith(_NOT_PICTURES) or "badge" in url or "colab" in url:
        return ""
    return url
