"""What people type, paste or drop that means one repository."""

from __future__ import annotations

import pytest

from gui.hub.catalog.references import is_address, parse_reference

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
    assert parse_reference(text) == REPO


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
    assert parse_reference("https://mirror.example:8443/a/b/tree/main") == "a/b"
    assert parse_reference("https://mirror.example/a/b") is None
