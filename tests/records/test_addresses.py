"""What other programs may ask for by an address, and what is left out of it."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from gui.addresses import read_address
from gui.asked import LONGEST, asked_for
from gui.errors import SfumatoError
from gui.request import Composition, RandomSource


@pytest.mark.parametrize(
    "address",
    [
        "sfumato://generate?prompt=a%20red%20fox&steps=20",
        "sfumato:generate?prompt=a+red+fox&steps=20",
        "SFUMATO://Generate/?prompt=a%20red%20fox&Steps=20",
        "sfumato:///generate?prompt=a%20red%20fox&steps=+20",
    ],
)
def test_spellings(address: str) -> None:
    asked = read_address(address)
    assert asked.values == {"prompt": "a red fox", "steps": 20} and not asked.left


def test_every_kind_of_value() -> None:
    texts = {
        "prompt": "狐 “red”\nsecond line",
        "negative-prompt": "blurry & dull",
        "guidance_scale": "4.5",
        "scheduler": "euler a",
        "seed": "4294967295",
        "random_source": "PyTorch",
        "safety_checker": "off",
        "width": "512",
        "composition": "varied",
        "model": "My Model",
    }
    asked = read_address("sfumato://generate?" + urlencode(texts, quote_via=quote))
    assert asked.model == "My Model" and not asked.left
    assert asked.values == {
        "prompt": "狐 “red”\nsecond line",
        "negative_prompt": "blurry & dull",
        "guidance_scale": 4.5,
        "scheduler": "Euler a",
        "seed": 4294967295,
        "random_source": RandomSource.TORCH,
        "safety_checker": False,
        "width": 512,
        "composition": Composition.VARIED,
    }


@pytest.mark.parametrize(
    "name",
    ["output_file", "output_dir", "start_image", "start_image.path", "controls", "depth_map",
     "loras", "upscaler", "styles", "previews", "branch", "__class__", "", "x" * 500],
)  # fmt: skip
def test_no_file_is_named_and_no_inside_reached(name: str) -> None:
    asked = asked_for({"prompt": "a fox", name: "/etc/passwd"})
    assert asked.values == {"prompt": "a fox"}
    assert len(asked.left) == 1 and "left out" in asked.left[0] and len(asked.left[0]) < 120


@pytest.mark.parametrize(
    ("name", "text"),
    [("steps", "0"), ("steps", "1-9"), ("steps", "many"), ("steps", ""), ("steps", "1e999"),
     ("seed", "-1"), ("seed", "4294967296"), ("guidance_scale", "nan"), ("scheduler", "magic"),
     ("safety_checker", "perhaps"), ("random_source", ""), ("width", "1"), ("count", "100000")],
)  # fmt: skip
def test_a_bad_value_is_left_out_and_said(name: str, text: str) -> None:
    asked = asked_for({"prompt": "a fox", name: text})
    assert asked.values == {"prompt": "a fox"} and len(asked.left) == 1


def test_what_cannot_be_seen_goes() -> None:
    asked = asked_for({"prompt": "a\u202efox\x00\x1b[31m"})
    assert asked.prompt == "a fox  [31m"


@pytest.mark.parametrize(
    "address",
    [
        "sfumato://generate",
        "sfumato://generate?prompt=%20%0A",
        "sfumato://erase?prompt=a",
        "sfumato://",
        "https://generate?prompt=a",
        "sfumato://[?prompt=a",
        "sfumato://generate?" + "&".join(f"a{k}=1" for k in range(200)),
        "sfumato://generate?prompt=" + "a" * LONGEST,
    ],
)
def test_what_asks_for_nothing(address: str) -> None:
    with pytest.raises(SfumatoError) as raised:
        read_address(address)
    assert "type" in raised.value.message
