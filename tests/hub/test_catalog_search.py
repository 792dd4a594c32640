"""Search against a Hub with layouts like the real one's, through the real client library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import pytest

from gui.cli.models_hub import results
from gui.coreml.model import Attention, Family
from gui.errors import ErrorKind, SfumatoError
from gui.hub.catalog.catalog import Catalog, passes
from gui.hub.types import (
    Level,
    ModelKind,
    ModelSummary,
    RepoDetails,
    SearchQuery,
    Sort,
    Variant,
    Verdict,
)
from tests.support.hub_repo import Repo
from tests.support.hub_repos import crowd, standard_repos
from tests.support.hub_server import HubServer

Start = Callable[..., HubServer]


@pytest.fixture(scope="module")
def standard() -> Iterator[HubServer]:
    with HubServer(standard_repos()) as server:
        yield server


def everything(catalog: Catalog, query: SearchQuery) -> list[ModelSummary]:
    """All pages."""
    found: list[ModelSummary] = []
    cursor = ""
    for _ in range(100):
        page = catalog.search(query, cursor)
        assert not page.stale
        found += page.models
        cursor = page.cursor
        if not cursor:
            return found
    raise AssertionError("the cursor never ends")


def ids(models: list[ModelSummary]) -> list[str]:
    return [m.id for m in models]


def test_what_the_tag_misses_is_found_and_what_makes_no_pictures_is_not(
    standard: HubServer,
) -> None:
    found = {m.id: m for m in everything(Catalog(standard.endpoint), SearchQuery())}
    for repo, kind in {
        "apple/coreml-stable-diffusion-v1-5": ModelKind.TEXT_TO_IMAGE,
        "apple/coreml-stable-diffusion-mixed-bit-palettization": ModelKind.TEXT_TO_IMAGE,
        "pcuenq/coreml-stable-diffusion-1-5": ModelKind.TEXT_TO_IMAGE,
        "coreml-community/ControlNet-Models-For-Core-ML": ModelKind.CONTROLNET,
        "enlarge/coreml-RealESRGAN-x4": ModelKind.UPSCALER,
    }.items():
        assert found[repo].kind is kind
    for junk in ("speech/whisper", "talk/", "vision/"):
        assert not [repo for repo in found if repo.startswith(junk)]


def test_text_to_image_comes_first_in_the_hubs_order(standard: HubServer) -> None:
    found = everything(Catalog(standard.endpoint), SearchQuery(sort=Sort.DOWNLOADS))
    tagged = [m for m in found if "text-to-image" in m.tags]
    assert found[: len(tagged)] == tagged
    downloads = [m.downloads for m in tagged]
    assert downloads == sorted(downloads, reverse=True)


def test_a_summary_says_what_the_hub_knows(standard: HubServer) -> None:
    from huggingface_hub import HfApi

    found = {m.id: m for m in everything(Catalog(standard.endpoint), SearchQuery())}
    api = HfApi(endpoint=standard.endpoint, token=False)
    for repo in ("apple/coreml-stable-diffusion-xl-base", "ada-lab/coreml-gated-diffusion"):
        info, ours = api.model_info(repo), found[repo]
        assert (ours.likes, ours.downloads) == (info.likes, info.downloads)
        assert ours.revision == info.sha
        assert ours.updated[:10] == str(info.last_modified)[:10]
        assert ours.gated == (info.gated or "")
        assert ours.tags == tuple(info.tags or ())
        assert ours.total_bytes == info.used_storage
        assert ours.licence == next(t[8:] for t in info.tags or () if t.startswith("license:"))


@pytest.mark.parametrize(
    ("repo", "family"),
    [
        ("apple/coreml-stable-diffusion-v1-5", Family.SD1),
        ("apple/coreml-stable-diffusion-xl-base", Family.SDXL),
        ("argmaxinc/coreml-stable-diffusion-3-medium", Family.SD3),
        ("mallory/coreml-hostile", Family.UNKNOWN),
    ],
)
def test_the_family_is_guessed_and_said_to_be_a_guess(
    standard: HubServer, repo: str, family: Family
) -> None:
    found = Catalog(standard.endpoint).summary(repo)
    assert (found.family, found.family_stated) == (family, False)


def test_an_authors_untagged_models_are_found_when_the_author_is_asked_for(
    standard: HubServer,
) -> None:
    found = ids(everything(Catalog(standard.endpoint), SearchQuery(author="pcuenq")))
    assert found == ["pcuenq/coreml-stable-diffusion-1-5", "pcuenq/coreml-dreamlike-2"]


def test_words_find_anything_with_the_core_ml_tag(standard: HubServer) -> None:
    catalog = Catalog(standard.endpoint)
    assert ids(everything(catalog, SearchQuery(text="llama"))) == ["talk/coreml-Llama-3-8B"]
    other = everything(catalog, SearchQuery(kinds=(ModelKind.OTHER,)))
    assert "speech/whisper-base-coreml" in ids(other)


def test_a_licence_is_asked_of_the_hub(standard: HubServer) -> None:
    standard.clear_log()
    found = everything(Catalog(standard.endpoint), SearchQuery(licence="openrail++"))
    assert sorted(ids(found)) == [
        "apple/coreml-stable-diffusion-mixed-bit-palettization",
        "apple/coreml-stable-diffusion-xl-base",
    ]
    assert all("license:openrail++" in r.query["filter"] for r in standard.log)


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_give_every_model_once_in_order(hub_server: Start, sort: Sort) -> None:
    repos = crowd(95)
    for n, repo in enumerate(repos):
        repo.modified = f"2025-01-01T00:{n // 60:02d}:{n % 60:02d}.000Z"
    untagged = [
        Repo(f"z/stable-diffusion-{n}", tags=("coreml",), likes=500 + n) for n in range(130)
    ]
    junk = [Repo(f"j/whisper-{n}", tags=("coreml",), likes=900 + n) for n in range(250)]
    server = hub_server([*junk, *untagged, *repos])
    found = everything(Catalog(server.endpoint), SearchQuery(sort=sort))
    tagged = ids(found[:95])
    keys = {
        Sort.LIKES: lambda r: r.likes,
        Sort.DOWNLOADS: lambda r: r.downloads,
        Sort.TRENDING: lambda r: r.trending,
        Sort.RECENT: lambda r: r.modified,
    }
    assert [keys[sort](server.repos[i]) for i in tagged] == sorted(
        (keys[sort](r) for r in repos), reverse=True
    )
    assert sorted(ids(found)) == sorted(r.id for r in [*untagged, *repos])
    assert len(set(ids(found))) == len(found) == 225


def test_the_command_lists_none_twice(hub_server: Start) -> None:
    """A model that loses its likes while pages are read stands on two of them."""
    server = hub_server(crowd(70))
    first = server.repos["author5/coreml-model-00005"]
    server.fault("/api/models", times=1, skip=1, action=lambda: setattr(first, "likes", 30))
    found = ids(list(results(Catalog(server.endpoint), SearchQuery(), 100, lambda _: None)))
    assert len(set(found)) == len(found) and found.count(first.id) == 1


def test_fields_asked_for_are_ones_the_hub_knows(hub_server: Start) -> None:
    """By the client library's own list of what `expand` takes."""
    from huggingface_hub.hf_api import ExpandModelProperty_T

    server = hub_server(crowd(1))
    Catalog(server.endpoint).search(SearchQuery(sort=Sort.RECENT))
    known = set(get_args(ExpandModelProperty_T))
    assert set(server.log[0].query["expand"]) <= known
    assert server.log[0].query["sort"] == ["lastModified"]


def test_a_first_page_takes_one_request(hub_server: Start) -> None:
    server = hub_server(crowd(95))
    assert len(Catalog(server.endpoint).search(SearchQuery()).models) == 30
    assert server.count("/api/models") == 1


def test_a_page_never_takes_many_requests_even_where_all_is_junk(hub_server: Start) -> None:
    junk = [Repo(f"j/whisper-{n}", tags=("coreml",), likes=n) for n in range(1500)]
    server = hub_server([*junk, Repo("a/sdxl-coreml", tags=("coreml",), likes=-1)])
    catalog = Catalog(server.endpoint)
    first = catalog.search(SearchQuery())
    assert first.cursor
    assert server.count("/api/models") <= 4
    assert ids(everything(catalog, SearchQuery())) == ["a/sdxl-coreml"]


@pytest.mark.parametrize(
    "cursor", ["nonsense", '[0, "http://evil.example/api/models"]', "{}", "[1"]
)
def test_a_foreign_cursor_is_refused(standard: HubServer, cursor: str) -> None:
    with pytest.raises(SfumatoError) as caught:
        Catalog(standard.endpoint).search(SearchQuery(), cursor)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_entries_that_make_no_sense_are_passed_over(hub_server: Start) -> None:
    server = hub_server()
    server.fault(
        "/api/models",
        body=b'[null, 3, {"id": 7}, {"id": "noslash"}, {"id": "a/sdxl", "likes": "many",'
        b' "tags": [1, null, "coreml"], "siblings": [{}, 4, {"rfilename": null}], "sha": "x",'
        b' "gated": "maybe", "downloads": -4, "usedStorage": 1e99, "cardData": []}]',
    )
    (found, *more) = Catalog(server.endpoint).search(SearchQuery(text="a")).models
    assert not more
    assert found.id == "a/sdxl"
    assert (found.likes, found.downloads, found.total_bytes, found.gated) == (0, 0, 0, "")
    assert found.tags == ("coreml",)


# Names and addresses


def test_addresses_of_other_things_have_a_sentence_of_their_own(standard: HubServer) -> None:
    catalog = Catalog(standard.endpoint)
    standard.clear_log()
    for text in (
        "https://huggingface.co/spaces/stabilityai/stable-diffusion",
        "https://huggingface.co/datasets/someone/pictures",
        "https://huggingface.co/apple",
        "https://example.com/a/b",
        "hf.co/collections/apple/core-ml-1234",
    ):
        with pytest.raises(SfumatoError) as caught:
            catalog.look_for(SearchQuery(text=text))
        assert caught.value.kind is ErrorKind.BAD_REQUEST
        assert "not the address of a model" in caught.value.message
    assert standard.log == []


def test_a_name_that_is_none_is_searched_for(standard: HubServer) -> None:
    catalog = Catalog(standard.endpoint)
    page, named = catalog.look_for(SearchQuery(text="apple/coreml-stable"))
    assert len(page.models) >= 4 and not named
    for text in ("nobody/nothing", "https://huggingface.co/nobody/nothing"):
        with pytest.raises(SfumatoError) as caught:
            catalog.look_for(SearchQuery(text=text))
        assert caught.value.kind is ErrorKind.NOT_FOUND


@pytest.mark.parametrize("author", ["", "apple", "coreml-community", "pcuenq"])
@pytest.mark.parametrize("sort", list(Sort))
def test_text_author_and_order_hold_together(standard: HubServer, author: str, sort: Sort) -> None:
    query = SearchQuery(text="CoreML", author=author, sort=sort)
    found = everything(Catalog(standard.endpoint), query)
    assert found and len({m.id for m in found}) == len(found)
    assert all("coreml" in m.id.lower() and author in ("", m.author) for m in found)
    tagged = [standard.repos[m.id] for m in found if "text-to-image" in m.tags]
    keys = {
        Sort.LIKES: lambda r: r.likes,
        Sort.DOWNLOADS: lambda r: r.downloads,
        Sort.TRENDING: lambda r: r.trending,
        Sort.RECENT: lambda r: r.modified,
    }
    assert [keys[sort](r) for r in tagged] == sorted(map(keys[sort], tagged), reverse=True)


# Filters


MODEL = ModelSummary("a/b", family=Family.SD1, licence="mit")


def variant(name: str, **facts: object) -> Variant:
    known = Variant(name, name, (), components=("unet",))
    return replace(known, family=Family.SD1, **facts)  # type: ignore[arg-type]


PALETTE = variant("p", attention=Attention.SPLIT_EINSUM, compression="6-bit palette",
                  download_bytes=900, verdict=Verdict(Level.NO, ("Too large.",)))  # fmt: skip
PLAIN = variant("o", attention=Attention.ORIGINAL, download_bytes=3000,
                verdict=Verdict(Level.GOOD, ("Fine.",)))  # fmt: skip
DETAILS = RepoDetails(MODEL, "r", (PALETTE, PLAIN), probed=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (SearchQuery(), True),
        (SearchQuery(attentions=(Attention.SPLIT_EINSUM,)), True),
        (SearchQuery(attentions=(Attention.SPLIT_EINSUM_V2,)), False),
        (SearchQuery(compressions=("none",)), True),
        (SearchQuery(compressions=("linear",)), False),
        (SearchQuery(max_bytes=1000), True),
        (SearchQuery(max_bytes=100), False),
        (SearchQuery(fits=True), True),
        # Each holds for one of the variants, but not both for the same.
        (SearchQuery(fits=True, max_bytes=1000), False),
        (SearchQuery(fits=True, compressions=("palette",)), False),
        (SearchQuery(families=(Family.SD1, Family.SD2)), True),
        (SearchQuery(families=(Family.SDXL,)), False),
        (SearchQuery(licence="MIT"), True),
        (SearchQuery(licence="openrail"), False),
        (SearchQuery(kinds=(ModelKind.CONTROLNET,)), False),
    ],
)
def test_filters_hold_for_one_variant_together(query: SearchQuery, expected: bool) -> None:
    assert passes(query, MODEL, DETAILS) is expected


def test_filters_ask_for_files_only_where_they_must() -> None:
    unknown = replace(MODEL, family=Family.UNKNOWN)
    assert passes(SearchQuery(families=(Family.SD1,)), MODEL, None) is True
    assert passes(SearchQuery(families=(Family.SDXL,)), MODEL, None) is False
    assert passes(SearchQuery(families=(Family.SDXL,)), unknown, None) is None
    assert passes(SearchQuery(fits=True), MODEL, None) is None
    assert passes(SearchQuery(fits=True, licence="other"), MODEL, None) is False
    assert passes(SearchQuery(fits=True), MODEL, RepoDetails(MODEL, "r")) is False


@pytest.mark.parametrize(
    ("macos", "expected"), [("", True), ("14.5", None), ("15.2", True), ("26.0", True), ("x", True)]
)
def test_an_old_macos_is_compared_with_what_files_say(macos: str, expected: bool | None) -> None:
    unread = RepoDetails(MODEL, "r", (PLAIN,))
    assert passes(SearchQuery(fits=True), MODEL, unread, macos) is expected
    assert passes(SearchQuery(max_bytes=5000), MODEL, unread, macos) is True
    read = RepoDetails(MODEL, "r", (replace(PLAIN, minimum_macos="13"),))
    assert passes(SearchQuery(fits=True), MODEL, read, macos) is True


def test_a_part_of_a_model_passes_for_none() -> None:
    part = replace(PALETTE, missing=("text encoder",))
    only = RepoDetails(MODEL, "r", (part,), probed=True)
    assert passes(SearchQuery(max_bytes=1000), MODEL, DETAILS) is True
    assert passes(SearchQuery(max_bytes=1000), MODEL, only) is False
    assert passes(SearchQuery(), MODEL, only) is True


CLOSED = Variant("a.zip", "Zip", (), archive=True, download_bytes=900,
                 verdict=Verdict(Level.FAIR, ("Who knows.",)))  # fmt: skip


@pytest.mark.parametrize(
    ("query", "before", "after"),
    [
        (SearchQuery(), True, True),
        (SearchQuery(max_bytes=1000), True, True),
        (SearchQuery(max_bytes=100), False, False),
        (SearchQuery(kinds=(ModelKind.UPSCALER,)), False, False),
        (SearchQuery(fits=True), None, True),
        (SearchQuery(families=(Family.SD1,)), None, False),
        (SearchQuery(attentions=(Attention.ORIGINAL,)), None, False),
        (SearchQuery(compressions=("none",)), None, False),
        (SearchQuery(fits=True, max_bytes=100), False, False),
    ],
)
def test_what_is_not_known_of_an_archive_is_no_yes(
    query: SearchQuery, before: bool | None, after: bool
) -> None:
    """Before its contents were asked for, and where they could not be had."""
    model = replace(MODEL, family=Family.UNKNOWN)
    assert passes(query, model, RepoDetails(model, "r", (CLOSED,))) is before
    assert passes(query, model, RepoDetails(model, "r", (CLOSED,), probed=True)) is after
    # Another variant may do without being looked into.
    good = replace(CLOSED, id="b", components=("unet",), family=Family.SD1,
                   attention=Attention.ORIGINAL)  # fmt: skip
    both = RepoDetails(model, "r", (CLOSED, good))
    assert passes(query, model, both) is (before is not False)
