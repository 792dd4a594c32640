"""Names: what people type that means a repository, what strangers call files, what we call ours."""

from __future__ import annotations

import pytest

from gui import names
from gui.errors import SfumatoError
from gui.names import is_address, parse_reference, parse_repository

REPO = "apple/coreml-stable-diffusion-v1-5"


@pytest.mark.parametrize(
    "text",
    [
        REPO,
        f"  {REPO}\n",
        f"{REPO}/",
        f"“{REPO}”",
        f"https://huggingface.co/{REPO}",
        f"http://www.huggingface.co/{REPO}/",
        f"https://huggingface.co/{REPO}/tree/main/original/packages",
        f"https://huggingface.co/{REPO}/blob/main/README.md?download=true#usage",
        f"https://huggingface.co/{REPO}.git",
        f"git clone https://huggingface.co/{REPO}",
        f"https://huggingface.co/api/models/{REPO}",
        f"huggingface.co/{REPO}",
        f"hf.co/{REPO}",
        f"https://hf.co/{REPO}",
        f"hf://{REPO}/original",
        f"hf://models/{REPO}@main/original",
        f"{REPO}/tree/main/original/packages",
        f"{REPO}?library=coreml",
        f"{REPO}/#readme",
        f"(https://huggingface.co/{REPO}).",
        f"https://huggingface.co/{REPO}/,",
        f"HTTPS://HuggingFace.co/{REPO}/discussions/1",
    ],
)
def test_names_and_addresses(text: str) -> None:
    assert parse_repository(text) == REPO


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stable diffusion",
        "apple",
        "a cat/dog on a mat",
        "one/two/three",
        "../../etc",
        "owner/..",
        "owner/na--me",
        "https://example.com/apple/model",
        "https://huggingface.co.evil.example/apple/model",
        "https://huggingface.co@evil.example/apple/model",
        "ftp://huggingface.co/apple/model",
        "https://huggingface.co/datasets/someone/something",
        "https://huggingface.co/spaces/someone/something",
        "https://huggingface.co/docs/diffusers",
        "https://huggingface.co/apple",
        "https://[huggingface.co/apple/model",
        "x" * 3000 + "/y",
        "/Users/me/model",
        "~/models/fog",
        "model.safetensors",
        "hf://datasets/someone/something",
        "https://huggingface.co/api/datasets/someone/something",
    ],
)
def test_everything_else_is_words(text: str) -> None:
    assert parse_reference(text) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"https://huggingface.co/{REPO}", True),
        ("https://huggingface.co/spaces/someone/something", True),
        ("huggingface.co/datasets/someone/something", True),
        ("HF.co/apple", True),
        ("ftp://example.com", True),
        (REPO, False),
        ("huggingface.co", False),
        ("a photo: cat/dog", False),
        ("", False),
    ],
)
def test_what_can_only_be_an_address(text: str, address: bool) -> None:
    assert is_address(text) is address


def test_the_configured_hub_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8443")
    assert parse_repository("https://mirror.example:8443/a/b/tree/main") == "a/b"
    assert parse_repository("mirror.example:8443/a/b") == "a/b"
    assert parse_repository("https://mirror.example/a/b") is None
    assert names.repository_page("a/b") == "https://mirror.example:8443/a/b"


def test_a_hub_below_a_path_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://intern.example/hub/")
    assert parse_repository("https://intern.example/hub/a/b/tree/main") == "a/b"
    assert parse_repository("https://huggingface.co/hub/b") == "hub/b"
    assert names.repository_page("a/b") == "https://intern.example/hub/a/b"
    assert names.token_page() == "https://intern.example/hub/settings/tokens"


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        (REPO, ""),
        (f"https://huggingface.co/{REPO}/tree/main", ""),
        (f"https://huggingface.co/{REPO}/tree/v1.0/original", "v1.0"),
        (f"https://huggingface.co/{REPO}/blob/0123abcd/README.md", "0123abcd"),
        (f"https://huggingface.co/{REPO}/tree/refs%2Fpr%2F3/original", "refs/pr/3"),
        (f"https://huggingface.co/{REPO}/tree/refs/pr/3/original", "refs/pr/3"),
        (f"https://huggingface.co/{REPO}/discussions/7", ""),
        (f"{REPO}/tree/fp16", "fp16"),
        (f"hf://{REPO}@fp16/original", "fp16"),
        (f"hf://{REPO}@main/original", ""),
        (f"hf://{REPO}@refs%2Fpr%2F3/original", "refs/pr/3"),
    ],
)
def test_the_revision_that_an_address_points_at(text: str, revision: str) -> None:
    assert parse_reference(text) == names.Reference(REPO, revision)


# -- names from outside --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("unet.mlpackage/Data/com.apple.CoreML/weights/weight.bin", ""),
        ("naïve — 絵/ a file.txt", ""),
        ("...", ""),
        ("a" * 255, ""),
        ("a" * 256, "too long"),
        ("絵" * 85, ""),
        ("絵" * 86, "too long"),
        ("/".join(["a" * 99] * 9), ""),
        ("/".join(["a" * 99] * 9) + "aa", "too long"),
        ("/".join("a" * 20), ""),
        ("/".join("a" * 21), "too deep"),
        ("", "empty"),
        ("/a", "outside"),
        ("a/../b", "outside"),
        ("..", "outside"),
        ("c:/x", "outside"),
        ("./a", "empty part"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "characters"),
        ("a\0", "characters"),
        ("a\nb", "characters"),
        ("a\ud800", "not readable"),
    ],
)
def test_what_may_be_a_file_of_a_model(path: str, fault: str) -> None:
    found = names.path_fault(path)
    assert fault in found and bool(found) == bool(fault)
    assert names.is_safe(path) is not bool(fault)
    if fault:
        with pytest.raises(SfumatoError, match=fault):
            names.checked_path(path)
    else:
        assert "/".join(names.checked_path(path)) == path


@pytest.mark.parametrize(
    "paths",
    [
        ("a/x", "A/y"),
        ("Fog.bin", "fog.bin"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "strasse"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/b/c", "a/b"),
        ("a/b", "a/b"),
    ],
)
def test_what_a_mac_cannot_keep_apart(paths: tuple[str, str]) -> None:
    assert names.clash(paths) is not None
    with pytest.raises(SfumatoError, match="same file on a Mac"):
        names.check_distinct(paths)


def test_what_a_mac_keeps_apart() -> None:
    names.check_distinct(["a/x", "a/y", "b/x", "b.x", "a.b/x"])


@pytest.mark.parametrize(
    ("path", "debris"),
    [
        ("__MACOSX/fog/._Unet.mlmodelc", True),
        ("fog/__MACOSX/x", True),
        ("fog/.DS_Store", True),
        ("fog/._weight.bin", True),
        ("Thumbs.db", True),
        ("fog/desktop.ini", True),
        (".cache/huggingface/download/x.metadata", True),
        (".git/objects/aa", True),
        ("fog/.localized", True),
        ("fog/weights/weight.bin", False),
        ("macosx/unet.mlpackage", False),
        ("a.DS_Store", False),
        (".hidden", False),
    ],
)
def test_debris(path: str, debris: bool) -> None:
    assert names.is_debris(path) is debris


# -- names that we give --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("a/b: c.mlpackage", "a b c"),
        ("Fog.partial", "Fog"),
        ("Fog.MLMODELC.zip ", "Fog"),
        ("  .hidden ", "hidden"),
        ("...", "model"),
        ("", "model"),
        ("cafe\u0301", "caf\u00e9"),
        ("霧の中の灯台", "霧の中の灯台"),
    ],
)
def test_folder_of_a_model(text: str, folder: str) -> None:
    assert names.folder_name(text) == folder


@pytest.mark.parametrize("text", ["x" * 500, "霧" * 500, "\U00020000" * 500, "a/" * 300])
def test_names_that_we_give_fit_any_disk_with_room_for_more(text: str) -> None:
    for name in (names.folder_name(text), names.file_name(text)):
        assert names.is_safe(name) and len(f"{name} 12.partial".encode()) <= names.MAX_NAME_BYTES


def test_the_first_free_name() -> None:
    there = {"fog", "fog 2"}
    assert names.first_free("fog", there.__contains__) == "fog 3"
    assert names.first_free("mist", there.__contains__) == "mist"
