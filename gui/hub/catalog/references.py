"""What a person types or drops that means one repository."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co")
_NOT_OWNERS = frozenset(
    [
        "api", "blog", "chat", "collections", "datasets", "docs", "enterprise", "join", "learn",
        "login", "models", "new", "organizations", "papers", "posts", "pricing", "settings",
        "spaces", "tasks",
    ]
)  # fmt: skip
"""First parts of the Hub's own pages."""
_PAGES = ("tree", "blob", "resolve", "raw", "commit", "commits", "discussions")
"""What follows the name in addresses of a model's pages."""
_PART = re.compile(r"\w(?:[\w.-]{0,94}\w)?", re.ASCII)


def parse_reference(text: str) -> str | None:
    """``owner/name`` of what was typed, pasted or dropped; None where it means no repository.

    Understands ``owner/name``, addresses of any page of a model on the Hub (or on HF_ENDPOINT),
    ``hf.co/…``, ``hf://…``, ``git clone …``, and ``owner/name/tree/main/…``.
    """
    text = _bare(text)
    if not text or len(text) > 2000 or any(c.isspace() for c in text):
        return None
    if text.startswith("hf://"):
        return _repository(text.removeprefix("hf://").split("@")[0].split("/"))
    if "://" not in text:
        parts = re.split(r"[?#]", text)[0].rstrip("/").split("/")
        if not _is_host(parts[0]):
            whole = len(parts) == 2 or (len(parts) > 2 and parts[2] in _PAGES)
            return _good(parts[0], parts[1]) if whole else None
        text = f"https://{text}"
    try:
        split = urlsplit(text)
        host = split.netloc.lower()
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or not _is_host(host):
        return None
    return _repository(unquote(split.path).strip("/").split("/"))


def is_address(text: str) -> bool:
    """Whether what was typed can only be an address, of whatever it may be."""
    text = _bare(text)
    return re.match(r"[a-z]+://", text, re.IGNORECASE) is not None or (
        "/" in text and _is_host(text.split("/")[0])
    )


def _bare(text: str) -> str:
    """Without what stands around it in a text; no name ends in a stop."""
    text = text.strip().removeprefix("git clone").strip()
    return text.lstrip("<(\"'“").rstrip("/.,;:>)\"'”")


def _is_host(text: str) -> bool:
    return text.lower() in (*_HOSTS, *_own_hosts())


def _own_hosts() -> tuple[str, ...]:
    endpoint = os.environ.get("HF_ENDPOINT", "")
    return (urlsplit(endpoint).netloc.lower(),) if "://" in endpoint else ()


def _repository(parts: list[str]) -> str | None:
    """From the parts of a path: ``[api/]models/owner/name/…`` or ``owner/name/…``."""
    if parts and parts[0] == "api":
        parts = parts[1:]
        if parts[:1] != ["models"]:
            return None
    if parts and parts[0] == "models":
        parts = parts[1:]
    if len(parts) < 2 or parts[0].lower() in _NOT_OWNERS:
        return None
    return _good(parts[0], parts[1])


def _good(owner: str, name: str) -> str | None:
    name = name.removesuffix(".git")
    good = all(_PART.fullmatch(p) and "--" not in p and ".." not in p for p in (owner, name))
    return f"{owner}/{name}" if good else None
