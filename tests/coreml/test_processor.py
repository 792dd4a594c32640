"""What the processor is, from what real systems say of theirs."""

from __future__ import annotations

import doctest
import platform
import sys

import pytest

from gui.coreml import processor
from gui.coreml.processor import INTEL, Processor, describe_processor, this_processor

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu sse2 sse4_2 avx2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8
bugs\t\t: spectre_v1
"""
CASCADE_LAKE = XEON.replace("avx512_bf16 amx_bf16 amx_tile amx_int8", "avx512_vnni")
ALDER_LAKE_N = XEON.replace("avx512f avx512_bf16 amx_bf16 amx_tile amx_int8", "avx_ne_convert")
ZEN_4 = """vendor_id\t: AuthenticAMD
model name\t: AMD Ryzen 9 7950X 16-Core Processor
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16
"""
GRAVITON_3 = """processor\t: 0
Features\t: fp asimd evtstrm aes sve svei8mm svebf16 i8mm bf16 dgh rng
CPU implementer\t: 0x41
"""
GRAVITON_2 = GRAVITON_3.replace("svebf16 i8mm bf16 ", "")


@pytest.mark.parametrize(
    ("text", "maker", "has_bf16", "is_x86"),
    [
        (XEON, INTEL, True, True),
        (CASCADE_LAKE, INTEL, False, True),
        (ALDER_LAKE_N, INTEL, False, True),  # converts bfloat16, computes with none
        (ZEN_4, "AuthenticAMD", True, True),
        (GRAVITON_3, "", True, False),
        (GRAVITON_2, "", False, False),
        ("", "", False, False),
        ("flags\nmodel name :\n\x00", "", False, False),
    ],
)
def test_under_linux(text: str, maker: str, has_bf16: bool, is_x86: bool) -> None:
    found = describe_processor("linux", lambda _: text)
    assert (found.maker, found.has_bf16, found.is_x86) == (maker, has_bf16, is_x86)


@pytest.mark.parametrize(("answer", "has_bf16"), [("1", True), ("0", False), ("", False)])
def test_on_a_mac(answer: str, has_bf16: bool) -> None:
    answers = {
        "machdep.cpu.brand_string": "Apple M2",
        "hw.optional.arm.FEAT_BF16": answer,
    }
    found = describe_processor("darwin", lambda question: answers.get(question, ""))
    assert (found.name, found.has_bf16, found.is_x86) == ("Apple M2", has_bf16, False)


def test_this_one_against_torch() -> None:
    import torch

    found = this_processor()
    assert found != Processor()
    if sys.platform == "linux" and platform.machine() == "x86_64":
        instructions = found.instructions
        assert ("avx512_bf16" in instructions) == torch.cpu._is_avx512_bf16_supported()
        assert ("avx2" in instructions) == torch.cpu._is_avx2_supported()


def test_the_documented_example() -> None:
    result = doctest.testmod(processor)
    assert result.attempted > 0
    assert result.failed == 0
