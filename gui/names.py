"""Names: what people type that means a repository, what strangers call their files, and what we
call ours.  Nothing here looks at a disk (`gui.files` does).  Standard library only.

A name from outside is made into a file only when it stays below the folder it is meant for, on
every file system this app meets: macOS folds case and Unicode normal forms, so that two names
which differ only by those would be one file there.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from gui.errors import ErrorKind, SfumatoError

# -- repositories ------------------------------------------------------------------------------

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co", "hf-mirror.com")
_NOT_OWNERS = frozenset(
    [
        "api", "blog", "chat", "collections", "datasets", "docs", "enterprise", "join", "learn",
        "login", "models", "new", "organizations", "papers", "posts", "pricing", "settings",
        "spaces", "tasks",
    ]
)  # fmt: skip
"""First parts of the Hub's own pages."""
_FILES = ("tree", "blob", "resolve", "raw", "commit", "commits")
"""What follows the name in addresses that go on with a revision."""
_PAGES = (*_FILES, "discussions")
_PART = re.compile(r"\w(?:[\w.-]{0,94}\w)?", re.ASCII)
_NEWEST = "main"
_MAX_TYPED = 2000


@dataclass(frozen=True)
class Reference:
    """A repository on the Hub, as somebody named it."""

    repo: str
    """``owner/name``."""
    revision: str = ""
    """Branch, tag or commit that the address points at; empty: the newest (``main``)."""


def parse_reference(text: str) -> Reference | None:
    """What was typed, pasted or dropped, as a repository; None where it means none.

    Understands ``owner/name``, addresses of any page of a model on the Hub (or on HF_ENDPOINT),
    ``hf.co/…``, ``hf://…@revision/…``, ``git clone …``, and ``owner/name/tree/main/…``.
    """
    text = _bare(text)
    if not text or len(text) > _MAX_TYPED or any(c.isspace() for c in text):
        return None
    if text[:5].lower() == "hf://":
        return _scheme_reference(text[5:])
    if "://" not in text:
        parts = re.split(r"[?#]", text)[0].rstrip("/").split("/")
        if not _is_host(parts[0]):
            whole = len(parts) == 2 or (len(parts) > 2 and parts[2] in _PAGES)
            return _good(parts) if whole else None
        text = f"https://{text}"
    try:
        split = urlsplit(text)
        host = split.netloc.lower()
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or not _is_host(host):
        return None
    path = split.path
    own_host, own_path = _own_endpoint()
    if host == own_host and own_path and path.startswith(f"{own_path}/"):
        path = path[len(own_path) :]
    return _repository([unquote(part) for part in path.strip("/").split("/")])


def parse_repository(text: str) -> str | None:
    """`parse_reference` of a text, as ``owner/name``, whatever revision it points at."""
    found = parse_reference(text)
    return found.repo if found is not None else None


def is_address(text: str) -> bool:
    """Whether what was typed can only be an address, of whatever it may be."""
    text = _bare(text)
    return re.match(r"[a-z]+://", text, re.IGNORECASE) is not None or (
        "/" in text and _is_host(text.split("/")[0])
    )


def same_repository(one: str, other: str) -> bool:
    """Whether two ``owner/name`` are one on the Hub, which leaves case out of account."""
    return one.lower() == other.lower()


def endpoint() -> str:
    """Base address of the Hub: HF_ENDPOINT, or huggingface.co; no slash at the end."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"


def repository_page(repo: str) -> str:
    """Address of a repository's page, where its terms can be accepted."""
    return f"{endpoint()}/{quote(repo, safe='/')}"


def token_page() -> str:
    """Address of the page where access tokens are made."""
    return f"{endpoint()}/settings/tokens"


def _bare(text: str) -> str:
    """Without what stands around it in a text; no name ends in a stop."""
    text = text.strip().removeprefix("git clone").strip()
    return text.lstrip("<(\"'“").rstrip("/.,;:>)\"'”")


def _is_host(text: str) -> bool:
    host, _ = _own_endpoint()
    return text.lower() in (*_HOSTS, host)


def _own_endpoint() -> tuple[str, str]:
    """Host and path of HF_ENDPOINT."""
    try:
        split = urlsplit(endpoint())
    except ValueError:
        return "", ""
    return split.netloc.lower(), split.path.rstrip("/")


def _scheme_reference(text: str) -> Reference | None:
    """From ``[models/]owner/name[@revision][/path]``, as `huggingface_hub.HfFileSystem` has it."""
    head, at, tail = text.partition("@")
    found = _repository(head.split("/"))
    if found is None or not at or found.revision:
        return found
    return Reference(found.repo, _revision(unquote(tail).split("/")))


def _repository(parts: list[str]) -> Reference | None:
    """From the parts of a path: ``[api/]models/owner/name/…`` or ``owner/name/…``."""
    if parts and parts[0] == "api":
        parts = parts[1:]
        if parts[:1] != ["models"]:
            return None
    if parts and parts[0] == "models":
        parts = parts[1:]
    if len(parts) < 2 or parts[0].lower() in _NOT_OWNERS:
        return None
    return _good(parts)


def _good(parts: list[str]) -> Reference | None:
    owner, name = parts[0], parts[1].removesuffix(".git")
    if not all(_PART.fullmatch(p) and "--" not in p and ".." not in p for p in (owner, name)):
        return None
    pinned = len(parts) > 3 and parts[2] in _FILES
    return Reference(f"{owner}/{name}", _revision(parts[3:]) if pinned else "")


def _revision(parts: list[str]) -> str:
    """The revision that a path begins with; a pull request's has slashes (``refs/pr/1``)."""
    if "/" in parts[0]:  # it was escaped, and is whole
        parts = parts[0].split("/")
    revision = "/".join(parts[:3]) if parts[0] == "refs" else parts[0]
    return "" if revision == _NEWEST else revision


# -- names from outside ------------------------------------------------------------------------

MAX_NAME_BYTES = 255
"""Longest name of one file in UTF-8: the limit of APFS and ext4."""
MAX_PATH_BYTES = 900
"""Longest path below a model's folder: macOS's PATH_MAX of 1024, less room for that folder."""
MAX_DEPTH = 20
"""Most parts of a path below a model's folder; real ones have nine at most."""

_DRIVE = re.compile(r"^[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def path_fault(path: str) -> str:
    """Why a relative POSIX path from outside cannot be a file of ours, as the end of a sentence
    that begins “a file whose name …”; empty: it can."""
    if not path:
        return "is empty"
    if path.startswith("/") or _DRIVE.match(path):
        return "points outside its folder"
    if "\\" in path or _CONTROL.search(path):
        return "has characters that file names cannot have"
    try:
        encoded = [part.encode("utf-8") for part in path.split("/")]
    except UnicodeEncodeError:  # half of a surrogate pair
        return "is not readable text"
    if b".." in encoded:
        return "points outside its folder"
    if b"" in encoded or b"." in encoded:
        return "has an empty part"
    length = sum(map(len, encoded)) + len(encoded) - 1
    if length > MAX_PATH_BYTES or max(map(len, encoded)) > MAX_NAME_BYTES:
        return "is too long"
    return "lies too deep" if len(encoded) > MAX_DEPTH else ""


def is_safe(path: str) -> bool:
    """Whether a relative path from outside may be joined to a folder of ours."""
    return not path_fault(path)


def checked_path(path: str) -> tuple[str, ...]:
    """The components of a relative POSIX path.

    Raises:
        SfumatoError: BAD_MODEL where the path leaves its folder or cannot be a file's name.
    """
    if fault := path_fault(path):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model holds a file whose name {fault}, so it was not downloaded; choose "
            "another variant.",
            repr(path),
        )
    return tuple(path.split("/"))


def folded(path: str) -> str:
    """What a file system that ignores case and Unicode normal forms takes the path for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths that would be one file on a Mac's usual disk, if there are any.

    Folders count too: ``A/x`` and ``a/y`` would become one folder, and ``a`` cannot be a file
    where ``a/y`` is another.
    """
    spelled: dict[tuple[int, str], str] = {}
    numbers = {"": 0}  # of folders, each of which is looked at once however many files it holds
    files: set[str] = set()
    folders: set[str] = set()
    for whole in paths:
        new, path = [], whole
        while path not in numbers:
            new.append(path)
            path = path.rpartition("/")[0]
        for path in reversed(new):
            folder, _, name = path.rpartition("/")
            other = spelled.setdefault((numbers[folder], folded(name)), path)
            if other != path:
                return other, path
            numbers[path] = len(numbers)
        if whole in files:
            return whole, whole
        files.add(whole)
        folders.add(whole.rpartition("/")[0])
        if new[1:]:
            folders.update(new[1:])
    if both := files & folders:
        name = min(both)
        return name, f"{name}/"
    return None


def check_distinct(paths: Iterable[str]) -> None:
    """Check every path, and that no two of them (nor their folders) would be one file on a Mac.

    Raises:
        SfumatoError: BAD_MODEL, naming the two.
    """
    known = list(paths)
    for path in known:
        checked_path(path)
    if both := clash(known):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"The model holds “{both[0]}” and “{both[1]}”, which would be the same file on a Mac, "
            "so it cannot be downloaded whole; choose another variant.",
            f"{both[0]!r} and {both[1]!r}",
        )


# -- debris ------------------------------------------------------------------------------------

_SYSTEMS = frozenset(
    [
        "__macosx", ".ds_store", ".localized", "icon\r", ".appledouble", ".lsoverride",
        ".spotlight-v100", ".fseventsd", ".trashes", ".temporaryitems",
        ".documentrevisions-v100", ".apdisk", "thumbs.db", "ehthumbs.db", "desktop.ini",
        "$recycle.bin", "system volume information", ".directory",
    ]
)  # fmt: skip
"""What Finder, Windows and KDE leave in people's folders, in lower case."""
_STARTS = ("._", ".nfs", ".fuse_hidden", ".trash-")
"""AppleDouble files beside others on foreign disks; files still open that were deleted."""
_TOOLS = frozenset([".git", ".svn", ".hg", ".cache", ".huggingface", "__pycache__"])
"""Folders of version controls and download tools: no content, but somebody's."""


def is_systems(name: str) -> bool:
    """Whether a file or folder was left by a system, so that nobody misses it."""
    return name.lower() in _SYSTEMS or name.lower().startswith(_STARTS)


def is_debris(path: str) -> bool:
    """Whether a relative path is what systems, archivers and tools leave beside people's files:
    no content, and never counted, listed, offered or kept."""
    return any(is_systems(part) or part.lower() in _TOOLS for part in path.split("/"))


# -- names that we give ------------------------------------------------------------------------

_ROOM = 40
"""Bytes left in a name of ours for a number, ``.partial`` and the names of temporary files."""
_ENDINGS = re.compile(r"(?:\.(?:mlpackage|mlmodelc|partial|zip)|[ .])+$", re.IGNORECASE)
"""A folder so named would be taken for a part of a model, or for one in the making."""


def file_name(text: str) -> str:
    """`text` as one file name: slashes become ``--``, other unusable characters ``-``."""
    text = _CONTROL.sub("-", text.replace("/", "--").replace("\\", "-").replace(":", "-"))
    return shortened(text, MAX_NAME_BYTES - _ROOM).strip(". ") or "model"


def folder_name(text: str, otherwise: str = "model") -> str:
    """A model's name as the name of its folder: letters and digits of any script, spaces and plain
    punctuation; never one that would be taken for a package or for something hidden."""
    plain = re.sub(r"[^\w.,()+ -]", " ", unicodedata.normalize("NFC", text))
    plain = shortened(re.sub(r"\s+", " ", plain)[:80], MAX_NAME_BYTES - _ROOM)
    return _ENDINGS.sub("", plain).strip(" .") or otherwise


def shortened(text: str, size: int) -> str:
    """The beginning of `text` that takes at most `size` bytes in UTF-8, whole characters."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def first_free(name: str, taken: Callable[[str], bool], joint: str = " ") -> str:
    """``name``, or the first of ``name 2``, ``name 3`` … that is not taken."""
    number, tried = 1, name
    while taken(tried):
        number += 1
        tried = f"{name}{joint}{number}"
    return tried


# -- LoRAs -------------------------------------------------------------------------------------

LORA_TAG = re.compile(r"<lora:([^:<>]+)((?::[^:<>]*)*)>")
"""In a prompt: ``<lora:name:weight>`` or ``<lora:name:unet weight:text weight>``, also with ``te=``
and ``unet=`` before the numbers."""
