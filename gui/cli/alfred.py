"""Lists as Alfred's Script Filter reads them: https://www.alfredapp.com/help/workflows/inputs/script-filter/json/."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gui import words

if TYPE_CHECKING:
    from gui.hub.types import InstalledModel
    from gui.library.picture_index import IndexedPicture

Item = dict[str, Any]


def add_option(parser: Any) -> None:
    """Give a command ``--alfred``."""
    parser.add_argument(
        "--alfred", action="store_true", help="print JSON for Alfred's Script Filter"
    )


def tell(items: list[Item]) -> None:
    """Print a list."""
    print(json.dumps({"items": items}))


def nothing(sentence: str) -> Item:
    """A row that says why there are no others."""
    return {"title": sentence, "valid": False}


def picture(found: IndexedPicture) -> Item:
    """Enter hands its file on; it can be looked at, and its prompt be copied."""
    facts = found.facts
    prompt = " ".join(facts.prompt.split())
    seed = "" if facts.seed is None else f"seed {facts.seed}"
    moment = datetime.fromtimestamp(facts.created).strftime("%Y-%m-%d %H:%M")
    told = [moment, facts.model, seed, "favourite" if found.favourite else ""]
    return {
        "uid": facts.path,
        "type": "file",
        "title": words.shortened(prompt, 100) or Path(facts.path).name,
        "subtitle": "  ".join(each for each in told if each),
        "arg": facts.path,
        "icon": {"path": facts.path},
        "quicklookurl": facts.path,
        "text": {"copy": facts.prompt or facts.path, "largetype": facts.prompt or facts.path},
        "variables": {"prompt": facts.prompt, "number": str(found.id)},
    }


def model(found: InstalledModel) -> Item:
    """Enter hands its folder on, which `generate --model` takes."""
    name = found.repo or Path(found.folder).name
    told = [found.variant, words.size(found.bytes)]
    return {
        "uid": found.folder,
        "title": name,
        "subtitle": "  ".join(each for each in told if each),
        "arg": found.folder,
        "match": f"{name} {found.variant}".replace("/", " ").replace("-", " "),
        "variables": {"name": name},
    }
