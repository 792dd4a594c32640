"""One repository: file tree, model card, picture, and who is signed in."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile
from PIL import Image

from gui.errors import ErrorKind, SfumatoError
from gui.hub.catalog.card import read_card
from gui.hub.catalog.catalog import Card, Catalog
from gui.hub.types import Account, ModelSummary, SearchQuery
from gui.names import is_safe
from tests.support import hub_repos
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, STRANGER_TOKEN, HubServer
from tests.support.hub_shelf import picture

Start = Callable[..., HubServer]


# The tree


def test_the_tree_is_what_the_clients_own_listing_says(hub_server: Start) -> None:
    server = hub_server([hub_repos.apple_v1_5_palettized(), hub_repos.community()])
    for repo in server.repos:
        reference = {
            (f.path, f.size, f.lfs.sha256 if f.lfs else "", "" if f.lfs else f.blob_id)
            for f in HfApi(endpoint=server.endpoint, token=False).list_repo_tree(
                repo, recursive=True
            )
            if isinstance(f, RepoFile)
        }
        tree = Catalog(server.endpoint).tree(repo)
        assert {(f.path, f.size, f.sha256, f.blob) for f in tree.files} == reference
        assert tree.revision == server.repos[repo].sha
        assert len(reference) > 5


def test_ten_thousand_files_come_in_pages_and_are_asked_for_once(hub_server: Start) -> None:
    server = hub_server([hub_repos.many_files()])
    repo = "crowd/coreml-ten-thousand-files"
    first = Catalog(server.endpoint).tree(repo)
    pages = server.count("/tree/")
    assert len(first.files) == len(server.repos[repo].blobs) > 10_000
    assert pages > 10
    # Another process: the same commit is remembered on disk.
    assert Catalog(server.endpoint).tree(repo) == first
    assert server.count("/tree/") == pages


def test_paths_that_could_leave_the_folder_are_left_out(hub_server: Start, tmp_path: Path) -> None:
    server = hub_server([hub_repos.hostile()])
    paths = {f.path for f in Catalog(server.endpoint).tree("mallory/coreml-hostile").files}
    assert {"Case.txt", "case.txt", "naïve — 絵.txt", "a folder/with spaces .txt"} <= paths
    for path in paths:
        place = (tmp_path / path).resolve()
        assert place.is_relative_to(tmp_path) and place.relative_to(tmp_path).as_posix() == path
    assert not [p for p in paths if "outside" in p or "windows" in p or "drive" in p]


@pytest.mark.parametrize(
    "path", ["", "/", "a/", "/a", "..", "a/../b", "./a", "a//b", "a\\b", "c:/x", "a\x00", "a\nb"]
)
def test_unsafe_paths(path: str) -> None:
    assert not is_safe(path)


def test_branches_commits_and_new_commits(hub_server: Start) -> None:
    repo = Repo("a/b", {"one.txt": "1"})
    old = repo.sha
    server = hub_server([repo])
    catalog = Catalog(server.endpoint)
    assert [f.path for f in catalog.tree("a/b").files] == ["one.txt"]
    new = repo.commit({"two.txt": "22"})
    assert [f.path for f in catalog.tree("a/b").files] == ["two.txt"]
    assert [f.path for f in catalog.tree("a/b", old).files] == ["one.txt"]
    assert catalog.tree("a/b", "main").revision == new
    with pytest.raises(SfumatoError) as caught:
        catalog.tree("a/b", "no-such-branch")
    assert caught.value.kind is ErrorKind.NOT_FOUND


# The card


def card(server: HubServer, repo: str) -> Card:
    return Catalog(server.endpoint).card(repo, server.repos[repo].sha)


def test_a_card_in_plain_words(hub_server: Start) -> None:
    server = hub_server([hub_repos.apple_v1_5(), hub_repos.apple_v1_5_palettized()])
    found = card(server, "apple/coreml-stable-diffusion-v1-5")
    assert found.description == (
        "Stable Diffusion v1-5 is a latent text-to-image model; this is Apple's conversion for "
        "Core ML."
    )
    assert found.base_model == "runwayml/stable-diffusion-v1-5"
    assert found.examples == ("a high tech solarpunk utopia in the Amazon rainforest",)
    assert found.licence == "creativeml-openrail-m"
    assert found.picture_url == ""  # it lies elsewhere: looking would tell that someone looked


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("", ""),
        ("# Only a title\n", ""),
        ("No front matter here, only text.", "No front matter here, only text."),
        ("---\nlicense: [unclosed\n---\nStill a text to read.", "Still a text to read."),
        ("---\n- a list\n---\nStill a text to read.", "Still a text to read."),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n\r\nWindows lines.\r\n", "Windows lines."),
        ("```python\nprint('not prose')\n```\n\nThe prose after it.", "The prose after it."),
        ("[![badge](https://x/y.svg)](https://x)\n\nText after badges.", "Text after badges."),
        ("<p align='center'><img src='a.png'></p>\n\n- a list\n\n> a quote\n\nPlain at last.",
         "Plain at last."),
        ("**Bold**, _thin_ and `code`; snake_case_name, [link](http://x).",
         "Bold, thin and code; snake_case_name, link."),
        ("<script>alert(1)</script> Text with a script.", "alert(1) Text with a script."),
        ("Bell \x07 and escape \x1b[31m are no text.", "Bell and escape [31m are no text."),
    ],
)  # fmt: skip
def test_first_paragraphs(hub_server: Start, readme: str, expected: str) -> None:
    server = hub_server([Repo("a/b", {"README.md": readme})])
    assert card(server, "a/b").description == expected


def test_front_matter_cannot_run_anything(hub_server: Start, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    readme = f"---\nlicense: !!python/object/apply:os.mkdir ['{mark}']\n---\nA text to read."
    server = hub_server([Repo("a/b", {"README.md": readme})])
    assert card(server, "a/b").description == "A text to read."
    assert not mark.exists()


def test_no_card_and_a_huge_one(hub_server: Start) -> None:
    server = hub_server(
        [Repo("a/none", {"x.txt": "x"}), Repo("a/huge", {"README.md": "word " * 4_000_000})],
        send_buffer=2**16,
    )
    assert card(server, "a/none") == Card()
    text = card(server, "a/huge").description
    assert text.startswith("word word") and text.endswith("…") and len(text) < 700
    assert server.sent("a/huge") < 10_000_000


# Pictures


def summary(server: HubServer, repo: str) -> ModelSummary:
    return Catalog(server.endpoint).summary(repo)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"zebra.png": picture(seed=4), "samples/one.png": picture(seed=5)}, "samples/one.png"),
        ({"README.md": "![x](images/a%20b.png)", "images/a b.png": picture(seed=6)},
         "images/a b.png"),
        ({"README.md": "<img width=3 src='./top.jpg'>", "top.jpg": picture(seed=7)}, "top.jpg"),
    ],
)  # fmt: skip
def test_a_picture_is_found_scaled_and_fetched_once(
    hub_server: Start, tmp_path: Path, files: dict[str, bytes | str], name: str
) -> None:
    server = hub_server([Repo("a/b", files)])
    catalog = Catalog(server.endpoint)
    path = catalog.picture(summary(server, "a/b"), tmp_path, longest=160)
    assert path is not None
    with Image.open(path) as image, Image.open(io.BytesIO(files[name])) as whole:  # type: ignore[arg-type]
        assert image.size == (160, 120)
        ours = image.convert("RGB").resize((4, 3), Image.Resampling.BOX)
        reference = whole.convert("RGB").resize((4, 3), Image.Resampling.BOX)
    pairs = zip(ours.tobytes(), reference.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 12
    sent = server.sent("a/b")
    assert catalog.picture(summary(server, "a/b"), tmp_path, longest=160) == path
    assert server.sent("a/b") == sent


def test_transparency_is_kept(hub_server: Start, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGBA", (50, 50), (255, 0, 0, 40)).save(stream, "PNG")
    server = hub_server([Repo("a/b", {"cover.png": stream.getvalue()})])
    path = Catalog(server.endpoint).picture(summary(server, "a/b"), tmp_path)
    assert path is not None
    with Image.open(path) as image:
        assert image.getpixel((25, 25)) == (255, 0, 0, 40)


def bomb() -> bytes:
    """A picture of a hundred million pixels in a few kilobytes."""
    stream = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"<html>no picture</html>", picture()[:2000], bomb(), b"\x89PNG" + bytes(9 * 2**20), b""],
    ids=["html", "cut off", "bomb", "too large", "empty"],
)
def test_what_is_no_picture_is_not_shown_nor_asked_for_again(
    hub_server: Start, tmp_path: Path, content: bytes
) -> None:
    server = hub_server([Repo("a/b", {"cover.png": content})])
    catalog = Catalog(server.endpoint)
    assert catalog.picture(summary(server, "a/b"), tmp_path) is None
    asked = server.count("cover.png")
    assert catalog.picture(summary(server, "a/b"), tmp_path) is None
    assert server.count("cover.png") == asked
    assert not list(tmp_path.glob("*.*"))


# Tokens


def test_who_is_signed_in(hub_server: Start) -> None:
    catalog = Catalog(hub_server().endpoint)
    assert catalog.whoami() == Account()
    catalog.token = GOOD_TOKEN
    assert (catalog.whoami().signed_in, catalog.whoami().name) == (True, "ada")
    catalog.token = "hf_revoked"
    account = catalog.whoami()
    assert not account.signed_in and "sign in again" in account.problem


def test_a_gated_model_opens_with_the_right_token_only(hub_server: Start) -> None:
    server = hub_server([hub_repos.gated()])
    repo = "ada-lab/coreml-gated-diffusion"
    for token, part in ((None, "then sign in"), (STRANGER_TOKEN, "no access")):
        catalog = Catalog(server.endpoint, token)
        assert catalog.summary(repo).gated == "auto"
        assert catalog.tree(repo).files  # the Hub shows what it would give
        with pytest.raises(SfumatoError) as caught:
            catalog.card(repo, server.repos[repo].sha)
        assert caught.value.kind is ErrorKind.ACCESS and part in caught.value.message
    assert Catalog(server.endpoint, GOOD_TOKEN).card(repo, server.repos[repo].sha).description


def test_the_token_goes_to_the_hub_alone(hub_server: Start, tmp_path: Path) -> None:
    """Not to the content network, not to a page that links elsewhere, not where a redirect
    points."""
    other = hub_server()
    server = hub_server([hub_repos.apple_v1_5_palettized(), hub_repos.many_files(1500)])
    catalog = Catalog(server.endpoint, GOOD_TOKEN)
    model = summary(server, "apple/coreml-stable-diffusion-v1-5-palettized")
    assert catalog.picture(model, tmp_path) is not None
    server.fault("*/README.md", redirect=f"{other.endpoint}/api/whoami-v2")
    catalog.card(model.id, model.revision)
    catalog.tree("crowd/coreml-ten-thousand-files")
    from_cdn = [r for r in server.log if r.cdn]
    assert from_cdn and other.log
    assert not [r for r in (*from_cdn, *other.log) if r.authorization]
    assert [r for r in server.log if r.authorization]


def test_an_expired_token_hides_nothing_public(hub_server: Start, tmp_path: Path) -> None:
    server = hub_server([hub_repos.apple_v1_5_palettized(), hub_repos.gated()])
    catalog = Catalog(server.endpoint, "hf_expired")
    (first, *_) = catalog.search(SearchQuery(author="apple")).models
    assert catalog.tree(first.id).files
    assert catalog.card(first.id, first.revision).description
    assert catalog.picture(first, tmp_path) is not None
    assert sum(r.status == 401 for r in server.log) == 1  # it is not tried again and again
    with pytest.raises(SfumatoError) as caught:
        catalog.card("ada-lab/coreml-gated-diffusion", "main")
    assert caught.value.kind is ErrorKind.ACCESS and "accept your token" in caught.value.message
    catalog.token = GOOD_TOKEN
    assert catalog.card("ada-lab/coreml-gated-diffusion", "main").description


def test_cards_as_the_hubs_front_sends_them(hub_server: Start) -> None:
    """Compressed, and by way of a relative redirect."""
    server = hub_server([hub_repos.apple_v1_5_palettized()], gzip_text=True, resolve_cache=True)
    assert card(server, "apple/coreml-stable-diffusion-v1-5-palettized").description


def test_nothing_but_the_request_is_told(hub_server: Start) -> None:
    """No cookies, no machine facts beyond the client's name and version."""
    server = hub_server(hub_repos.crowd(3))
    Catalog(server.endpoint).search(SearchQuery())
    request = server.log[0]
    assert "cookie" not in request.headers
    agent = request.headers["user-agent"]
    assert agent.startswith("sfumato/") and "agent/" not in agent and "torch" not in agent


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("cover.png", True),
        ("./pictures/cover.webp", True),
        ("https://huggingface.co/datasets/someone/pictures/resolve/main/cover.png", True),
        ("https://huggingface.co/a/b/blob/main/cover.png", True),
        ("https://cdn-uploads.huggingface.co/production/cover.jpeg", True),
        ("http://huggingface.co/a/b/resolve/main/cover.png", False),
        ("https://huggingface.co@evil.example/cover.png", False),
        ("https://evil.example/huggingface.co/cover.png", False),
        ("https://nothuggingface.co/cover.png", False),
        ("//evil.example/cover.png", True),  # taken for a path, as it lies in the repository
        ("file:///etc/cover.png", False),
        ("data:image/png;base64,AAAA", False),
        ("badge.svg", False),
        ("https://[bad/cover.png", False),
    ],
)
def test_pictures_are_taken_from_the_hub_alone(link: str, shown: bool) -> None:
    url = read_card(f"![x]({link})", "a/b", "main", "https://huggingface.co").picture_url
    assert bool(url) is shown
    host = httpx2.URL(url).host if url else ""
    assert host in ("", "huggingface.co", "cdn-uploads.huggingface.co")


@pytest.mark.parametrize(
    "text",
    ["![" * 100_000, "![](" + " " * 100_000, "<img " * 80_000, "<" * 400_000, "*a " * 100_000,
     "[](" * 100_000, "[" * 400_000, "~~~\n```\n" * 40_000],
    ids=["picture", "spaces", "tag", "angle", "star", "link", "bracket", "fence"],
)  # fmt: skip
def test_no_card_keeps_the_reader_busy(text: str) -> None:
    start = time.process_time()
    read_card(text, "a/b", "main", "https://huggingface.co")
    assert time.process_time() - start < 10  # quadratic patterns take minutes


def test_front_matter_can_neither_fail_nor_fill_the_memory() -> None:
    for value in ("!!int ''", "!!bool maybe", "!!timestamp soon", "!!python/object:os.system x"):
        card = read_card(f"---\nx: {value}\nlicense: mit\n---\n", "a/b", "main", "https://h")
        assert card.licence == "mit"
    levels = "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9)
    )
    bomb = f"---\na0: &a0 {{x: 1}}\n{levels}license: mit\n---\n"
    assert read_card(bomb, "a/b", "main", "https://h").licence == "mit"
    nothing = read_card("---\nlicense: null\nbase_model: ~\n---\n", "a/b", "main", "https://h")
    assert nothing == Card()


def test_pictures_in_all_of_markdowns_ways() -> None:
    for link in (
        '![](a.png "title")',
        "![](<a.png>)",
        "![alt]( a.png )",
        "<img alt=x src='a.png'>",
    ):
        url = read_card(f"text\n\n{link}", "a/b", "main", "https://h").picture_url
        assert url == "https://h/a/b/resolve/main/a.png", link
