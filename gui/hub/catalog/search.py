"""Search results page by page, from several listings of the Hub one after the other.

The tag that means Core ML text-to-image misses models whose authors did not set it, so the tagged
ones come first, then what else has the Core ML tag and looks like Stable Diffusion, then, where an
author is asked for, what that author has without any tag.  ControlNets mostly have no tag at all:
those that are called so are looked through.  LoRAs have a tag of their own, and are only listed
where they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

from gui import records
from gui.errors import ErrorKind, SfumatoError
from gui.hub.catalog import listing
from gui.hub.errors import BadTokenError
from gui.hub.session import get_json
from gui.hub.types import ModelKind, ModelSummary, SearchQuery, Sort
from gui.records import RecordError

PAGE = 30
"""Results asked for at a time; a page may have more or fewer."""

_REST_PAGE = 100
"""Of the listings most of which is left aside."""
_MAX_REQUESTS = 4
"""Per page, so that a page comes soon even where a listing has nothing for us."""
_ENOUGH = 12
_SORTS = {
    Sort.LIKES: "likes",
    Sort.DOWNLOADS: "downloads",
    Sort.TRENDING: "trendingScore",
    Sort.RECENT: "lastModified",
}
_CORE_ML = "coreml"
_LORA = "lora"
_NETS = "controlnet"


class _From(Enum):
    """What a listing is for."""

    TAGGED = auto()
    """Core ML, by its tag, for pictures from words."""
    OTHERS = auto()
    """Core ML, by its tag, without that task."""
    UNTAGGED = auto()
    """Of one author, without the tag."""
    NETS = auto()
    """Called a ControlNet, without the tag."""
    LORAS = auto()


_Parameters = dict[str, str | list[str]]


@dataclass(frozen=True)
class SearchPlace:
    """Where a search stands: which listing, and the address of its next page (empty: its start)."""

    stream: int = 0
    next: str = ""

    def cursor(self) -> str:
        """For the caller to hand back; opaque."""
        return records.dumps([self.stream, self.next])

    @classmethod
    def parse(cls, cursor: str, endpoint: str) -> SearchPlace:
        """Raises SfumatoError (BAD_REQUEST) where the cursor is none of ours."""
        if not cursor:
            return cls()
        try:
            place = cls(*records.loads(tuple[int, str], cursor))
        except RecordError as error:
            raise _bad_cursor(cursor) from error
        if place.next and urlsplit(place.next).netloc != urlsplit(endpoint).netloc:
            raise _bad_cursor(cursor)
        return place


def _bad_cursor(cursor: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_REQUEST, "The search cannot be continued; search again.", cursor
    )


def search_page(
    query: SearchQuery, place: SearchPlace, endpoint: str, token: str | None
) -> tuple[list[ModelSummary], SearchPlace | None]:
    """The next results and the place after them; None: that was all.

    Raises:
        SfumatoError: NETWORK, ACCESS.
    """
    found: dict[str, ModelSummary] = {}
    streams = _streams(query)
    for _ in range(_MAX_REQUESTS):
        if not 0 <= place.stream < len(streams):
            return list(found.values()), None
        url = place.next or f"{endpoint}/api/models"
        kind, params = streams[place.stream]
        try:
            data, following = get_json(
                url, endpoint=endpoint, token=token, what="", params=None if place.next else params
            )
        except SfumatoError as error:
            if error.kind in (ErrorKind.ACCESS, ErrorKind.NOT_FOUND) and not isinstance(
                error, BadTokenError
            ):
                raise _no_listing(endpoint, error) from error
            raise
        for model in _kept(query, kind, data, endpoint):
            found.setdefault(model.id, model)
        more = following and following != url  # else it would never end
        place = SearchPlace(place.stream, following) if more else SearchPlace(place.stream + 1)
        if len(found) >= _ENOUGH:
            break
    return list(found.values()), place if place.stream < len(streams) else None


def _no_listing(endpoint: str, error: SfumatoError) -> SfumatoError:
    """A Hub that serves models and lists none, as small mirrors are."""
    return SfumatoError(
        error.kind,
        f"{urlsplit(endpoint).netloc} does not list its models; type a model's whole name "
        "(owner/name) to open it.",
        error.detail,
    )


def _streams(query: SearchQuery) -> list[tuple[_From, _Parameters]]:
    """The listings that make up a search, with their parameters."""
    tags = [f"license:{query.licence}"] if query.licence else []
    common: _Parameters = {
        "sort": _SORTS[query.sort], "expand": list(listing.EXPAND),
    }  # fmt: skip
    if query.author:
        common["author"] = query.author
    # What a terminal could not decode is no text that a name could have.
    if words := query.text.encode("utf-8", "replace").decode().strip():
        common["search"] = words
    core_ml: _Parameters = {**common, "filter": [_CORE_ML, *tags]}
    untagged: _Parameters = {**common, "limit": str(_REST_PAGE)}
    if tags:
        untagged["filter"] = tags
    task: _Parameters = {"pipeline_tag": listing.TEXT_TO_IMAGE, "limit": str(PAGE)}
    streams: list[tuple[_From, _Parameters]] = []
    if ModelKind.LORA in query.kinds:
        streams.append((_From.LORAS, {**common, **task, "filter": [_LORA, *tags]}))
    if query.kinds == (ModelKind.LORA,):
        return streams
    streams += [
        (_From.TAGGED, {**core_ml, **task}),
        (_From.OTHERS, {**core_ml, "limit": str(_REST_PAGE)}),
    ]
    if query.author:
        streams.append((_From.UNTAGGED, untagged))
    elif ModelKind.CONTROLNET in query.kinds:
        streams.append((_From.NETS, {"search": _NETS, **untagged}))
    return streams


def _kept(query: SearchQuery, kind: _From, data: Any, endpoint: str) -> Iterator[ModelSummary]:
    """The models of one answer that belong into this listing, and to no earlier one."""
    if not isinstance(data, list):
        raise SfumatoError(
            ErrorKind.NETWORK, "The Hub's answer makes no sense; try again later.", str(data)[:500]
        )
    # Words that were typed may mean anything; without them, only what makes pictures.
    anything = bool(query.text.strip()) or ModelKind.OTHER in query.kinds
    for entry in data:
        model = listing.summary(entry, endpoint)
        if model is None:
            continue
        tagged = entry.get("pipeline_tag") == listing.TEXT_TO_IMAGE
        if kind is _From.OTHERS and tagged:
            continue
        if kind in (_From.UNTAGGED, _From.NETS) and (
            _CORE_ML in model.tags or not listing.has_core_ml(entry)
        ):
            continue
        if kind is _From.LORAS and not anything and listing.is_foreign(model):
            continue
        if (kind is _From.LORAS) is not (model.kind is ModelKind.LORA):
            continue
        if model.kind is ModelKind.OTHER and not anything:
            continue
        yield model


def remembered(
    query: SearchQuery, models: list[ModelSummary], limit: int = 300
) -> list[ModelSummary]:
    """The same search among models seen before: every word in name or tags."""
    words = query.text.lower().split()
    anything = bool(words) or ModelKind.OTHER in query.kinds

    def fits(model: ModelSummary) -> bool:
        text = " ".join((model.id, *model.tags)).lower()
        return (
            all(word in text for word in words)
            and query.author.lower() in ("", model.author.lower())
            and query.licence.lower() in ("", model.licence.lower())
            and (anything or model.kind is not ModelKind.OTHER)
        )

    found = [m for m in models if fits(m)]
    found.sort(key=lambda m: m.id.lower())
    if query.sort is Sort.RECENT:
        found.sort(key=lambda m: m.updated, reverse=True)
    elif query.sort is Sort.DOWNLOADS:
        found.sort(key=lambda m: m.downloads, reverse=True)
    else:  # the trend of some other day tells nothing
        found.sort(key=lambda m: m.likes, reverse=True)
    return found[:limit]
