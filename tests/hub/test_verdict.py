"""Verdicts: what runs where, why not, and which variant a machine is advised to take."""

from __future__ import annotations

import dataclasses
import random
import re

import pytest

from gui.coreml.model import Attention, Family, FileFormat
from gui.hub.types import Distilled, Level, Machine, ModelKind, RemoteFile, Variant
from gui.hub.variants.verdict import activations, judge, memory

GB = 2**30
MACHINES = {
    "M1": Machine("Darwin", "13.6", "Apple M1", True, 8, 4, 8 * GB, 200 * 10**9),
    "M2": Machine("Darwin", "14.5", "Apple M2", True, 8, 4, 16 * GB, 200 * 10**9),
    "M1 Max": Machine("Darwin", "15.2", "Apple M1 Max", True, 10, 8, 64 * GB, 500 * 10**9),
    "M2 Ultra": Machine("Darwin", "15.2", "Apple M2 Ultra", True, 24, 16, 128 * GB, 10**12),
    "Intel": Machine("Darwin", "13.6", "Intel Core i7", False, 12, 0, 16 * GB, 200 * 10**9),
    "Linux": Machine("Linux", "", "x86", False, 2, 0, 8 * GB, 200 * 10**9),
}

COMPONENTS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")
SD1_REST, SD1_UNET = 246_000_000 + 99_000_000, 1_719_000_000
XL_REST, XL_UNET = 246_000_000 + 1_390_000_000 + 198_000_000, 5_135_000_000
ORIGINAL, SPLIT, V2 = (
    Attention.ORIGINAL, Attention.SPLIT_EINSUM, Attention.SPLIT_EINSUM_V2,
)  # fmt: skip


def _variant(
    id: str, family: Family = Family.SD1, attention: Attention = ORIGINAL, bits: int = 16,
    **changes: object,
) -> Variant:  # fmt: skip
    rest, unet = (XL_REST, XL_UNET) if family is Family.SDXL else (SD1_REST, SD1_UNET)
    unet = unet * bits // 16
    side = 1024 if family is Family.SDXL else 512
    size = rest + unet + 68_000_000
    values: dict[str, object] = {
        "title": id,
        "files": (RemoteFile("f", size),),
        "format": FileFormat.COMPILED,
        "family": family,
        "attention": attention,
        "attention_known": True,
        "compression": "" if bits == 16 else f"{bits}-bit palette",
        "components": COMPONENTS,
        "has_encoder": True,
        "image_width": side,
        "image_height": side,
        "minimum_macos": "13",
        "download_bytes": size,
        "disk_bytes": size,
        "weight_bytes": rest + unet,
        "unet_bytes": unet,
    }
    return Variant(id=id, **{**values, **changes})  # type: ignore[arg-type]


VARIANTS = {
    "sd1": _variant("sd1"),
    "sd1 split": _variant("sd1 split", attention=SPLIT),
    "sd1 v2 6-bit": _variant("sd1 v2 6-bit", attention=V2, bits=6),
    "xl": _variant("xl", Family.SDXL),
    "xl split": _variant("xl split", Family.SDXL, SPLIT),
    "xl v2": _variant("xl v2", Family.SDXL, V2),
    "xl split 6-bit": _variant("xl split 6-bit", Family.SDXL, SPLIT, 6),
    "needs 14": _variant("needs 14", minimum_macos="14"),
    "needs 15": _variant("needs 15", attention=SPLIT, minimum_macos="15"),
}

G, F, N = Level.GOOD, Level.FAIR, Level.NO
TABLE: dict[str, dict[str, Level]] = {
    #                  M1 8 GB 13.6, M2 16 GB 14.5, M1 Max, M2 Ultra, Intel, Linux 8 GB
    name: dict(zip(MACHINES, levels, strict=True))
    for name, levels in {
        "sd1": (G, G, G, G, F, F),
        "sd1 split": (G, G, G, G, F, F),
        "sd1 v2 6-bit": (G, G, G, G, F, F),
        "xl": (N, G, G, G, F, N),
        "xl split": (N, G, G, G, F, N),
        "xl v2": (N, F, F, F, F, N),
        "xl split 6-bit": (N, G, G, G, F, N),
        "needs 14": (N, G, G, G, N, F),
        "needs 15": (N, N, G, G, N, F),
    }.items()
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", TABLE)
def test_levels(name: str, machine: str) -> None:
    (judged,) = judge([VARIANTS[name]], MACHINES[machine])
    assert judged.verdict.level is TABLE[name][machine], judged.verdict.reasons
    assert judged.recommended == (judged.verdict.level is not N)
    assert judged.verdict.reasons
    assert all(re.fullmatch(r"[A-Z0-9].*[.]", r) for r in judged.verdict.reasons)


@pytest.mark.parametrize(
    ("machine", "choice"),
    [
        ("M1", "sd1 v2 6-bit"),  # 8 GB: the small one
        ("M2", "sd1 v2 6-bit"),  # the Neural Engine; both forms serve, so the smaller download
        ("M1 Max", "sd1"),
        ("M2 Ultra", "sd1"),
        ("Intel", "sd1"),
        ("Linux", "sd1"),
    ],
)
def test_advice_follows_the_chip(machine: str, choice: str) -> None:
    offered = [VARIANTS[n] for n in ("sd1", "sd1 split", "sd1 v2 6-bit")]
    assert judge(offered, MACHINES[machine])[0].id == choice


def test_version_2_is_the_last_choice_for_xl() -> None:
    offered = [VARIANTS[n] for n in ("xl v2", "xl", "xl split")]
    assert [v.id for v in judge(offered, MACHINES["M2"])] == ["xl", "xl split", "xl v2"]
    assert [v.id for v in judge(offered, MACHINES["M2 Ultra"])] == ["xl", "xl split", "xl v2"]


def test_no_speed_is_claimed_that_was_not_measured() -> None:
    """Times on both processors were published for Stable Diffusion 1 and 2, not for XL."""

    def text(name: str) -> str:
        return " ".join(judge([VARIANTS[name]], MACHINES["M2"])[0].verdict.reasons)

    assert "usually faster" in text("sd1") and "usually faster" not in text("xl")
    (split,) = judge([VARIANTS["xl split"]], MACHINES["M1 Max"])
    assert "faster" not in " ".join(split.verdict.reasons)


def test_pictures_of_the_usual_size_are_advised() -> None:
    """A model is at its best at the size it was trained at."""
    tall = _variant("a tall", image_height=768, download_bytes=10**9)
    large = _variant("large", image_width=768, image_height=768, download_bytes=10**9)
    assert judge([tall, large, VARIANTS["sd1"]], MACHINES["M1 Max"])[0].id == "sd1"
    both = [
        _variant(f"{side}", Family.SD2, SPLIT, image_width=side, image_height=side)
        for side in (640, 768)
    ]
    assert judge(both, MACHINES["M2"])[0].id == "768"


@pytest.mark.parametrize(
    ("family", "side", "heads"),
    [(Family.SD1, 512, 8), (Family.SD2, 768, 5), (Family.SDXL, 512, 10)],
)
def test_scores_of_original_attention(family: Family, side: int, heads: int) -> None:
    """Heads of published UNets at their finest attention: 320 channels in 8 (SD1), 320 in 64 each
    (SD2), 640 in 64 each at half the size (XL); both halves of guidance, before and after the
    softmax, 2 bytes each."""
    tokens = (side // (16 if family is Family.SDXL else 8)) ** 2
    variant = _variant("x", family, image_width=side, image_height=side)
    decoder = 2 * 256 * side * side * (4 if family is Family.SDXL else 2)
    scores = 2 * 2 * 2 * heads * tokens * tokens
    assert activations(variant, MACHINES["M2"]) == max(scores, decoder)
    refiner = dataclasses.replace(variant, family=Family.SDXL_REFINER)
    if family is Family.SDXL:
        assert activations(refiner, MACHINES["M2"]) == activations(variant, MACHINES["M2"])


def test_what_does_not_run_is_not_called_slow() -> None:
    (judged,) = judge([VARIANTS["needs 14"]], MACHINES["Intel"])
    assert judged.verdict.reasons == ("Needs macOS 14; this Mac has 13.6.",)


def test_without_known_attention_weights_count_unpacked() -> None:
    """Which processor it will be, and so whether a palette stays one, is not known."""
    known = judge([VARIANTS["xl split 6-bit"]], MACHINES["M2"])[0].memory_bytes
    unknown = dataclasses.replace(VARIANTS["xl split 6-bit"], attention=Attention.UNKNOWN)
    assert judge([unknown], MACHINES["M2"])[0].memory_bytes > 1.4 * known


def test_palettes_stay_packed_from_macos_14_on() -> None:
    """Before, Core ML unpacks them as it loads a model."""
    palette = VARIANTS["xl split 6-bit"]
    newer = dataclasses.replace(MACHINES["M1"], macos="14.0")
    assert memory(palette, MACHINES["M1"]) == memory(VARIANTS["xl split"], MACHINES["M1"])
    assert memory(palette, newer) < 0.7 * memory(palette, MACHINES["M1"])
    assert judge([palette], newer)[0].verdict.level is F


def test_reasons_carry_their_figures() -> None:
    def reasons(variant: Variant, machine: str) -> tuple[str, ...]:
        return judge([variant], MACHINES[machine])[0].verdict.reasons

    assert reasons(VARIANTS["needs 14"], "M1")[0] == "Needs macOS 14; this Mac has 13.6."
    (text,) = [r for r in reasons(VARIANTS["xl"], "M1") if "memory" in r]
    assert re.fullmatch(r"About [89]\.\d GB of memory while it works; this Mac has 8 GB\.", text)
    full = dataclasses.replace(MACHINES["M2"], free_disk_bytes=2_100_000_000)
    big = _variant("big", download_bytes=3_400_000_000)
    assert judge([big], full)[0].verdict.reasons[0] == (
        "3.40 GB to download, and 2.10 GB free on disk."
    )
    fast = reasons(VARIANTS["sd1 split"], "M1 Max")
    assert any("8 performance cores" in r for r in fast)
    assert any("CPU" in r for r in reasons(VARIANTS["sd1"], "Linux"))
    assert any("starting point" in r for r in reasons(_variant("x", has_encoder=False), "M2"))
    prepared = reasons(_variant("x", format=FileFormat.PACKAGE), "M2")
    assert any("before the first picture" in r for r in prepared)


def test_a_zip_needs_room_for_itself_and_its_contents() -> None:
    machine = dataclasses.replace(MACHINES["M2"], free_disk_bytes=3_000_000_000)
    archive = _variant("a.zip", archive=True, download_bytes=1_800_000_000)
    assert judge([VARIANTS["sd1"]], machine)[0].verdict.level is G
    judged = judge([archive], machine)[0]
    assert judged.verdict.level is N
    assert judged.verdict.reasons[0].startswith("3.93 GB to download and unpack")


@pytest.mark.parametrize(
    "changes",
    [
        {"problems": ("This is a Stable Diffusion 3 model, which cannot be used yet.",)},
        {"missing": ("text encoder", "VAE decoder")},
        {"kind": ModelKind.CONTROLNET, "problems": ("This is a ControlNet.",)},
    ],
)
def test_what_cannot_run_anywhere_is_never_recommended(changes: dict) -> None:
    for machine in MACHINES.values():
        good, bad = judge([_variant("bad", **changes), VARIANTS["sd1"]], machine)
        assert (good.id, bad.id) == ("sd1", "bad")
        assert (bad.verdict.level, bad.recommended) == (N, False)
        (alone,) = judge([_variant("bad", **changes)], machine)
        assert not alone.recommended


def test_missing_parts_are_spelled_out() -> None:
    variant = _variant("x", missing=("text encoder", "UNet: its weights are missing"))
    (judged,) = judge([variant], MACHINES["M2"])
    assert judged.verdict.reasons[0] == (
        "It lacks the text encoder and the UNet (its weights are missing), and makes no pictures "
        "without."
    )


def test_ties_are_broken_the_same_way_whatever_the_order() -> None:
    offered = [
        _variant("whole"),
        _variant("chunks", chunked=True),
        _variant("package", format=FileFormat.PACKAGE),
        _variant("no encoder", has_encoder=False),
        _variant("zip", archive=True),
        _variant("guessed", attention_known=False),
        _variant("split", attention=SPLIT),
        _variant("twin"),
    ]
    expected = {
        "M2": ["split", "twin", "whole", "zip", "chunks", "package", "no encoder", "guessed"],
        "M1": ["split", "chunks", "twin", "whole", "zip", "package", "no encoder", "guessed"],
        "Linux": ["package", "twin", "whole", "zip", "chunks", "no encoder", "guessed", "split"],
    }
    for name, order in expected.items():
        for seed in range(10):
            random.Random(seed).shuffle(offered)
            judged = judge(offered, MACHINES[name])
            assert [v.id for v in judged] == order, name
            assert [v.recommended for v in judged] == [True, *[False] * (len(order) - 1)]


def test_unpacked_archives_are_never_praised_blindly() -> None:
    unknown = Variant("a_split_einsum_compiled.zip", "zip", (RemoteFile("a.zip", 10**9),),
                      archive=True, attention=SPLIT, download_bytes=10**9)  # fmt: skip
    (judged,) = judge([unknown], MACHINES["M2"])
    assert judged.verdict.level is F
    assert judged.memory_bytes == 0
    assert "not known yet" in judged.verdict.reasons[0]


def test_stable_diffusion_2_at_768_is_warned_of_on_the_gpu() -> None:
    variant = _variant("v", Family.SD2, image_width=768, image_height=768)
    (judged,) = judge([variant], MACHINES["M1 Max"])
    assert judged.verdict.level is F
    assert "768" in judged.verdict.reasons[0]


def test_an_unknown_machine_forbids_nothing() -> None:
    for variant in VARIANTS.values():
        (judged,) = judge([variant], Machine("Darwin"))
        assert judged.verdict.level is not N


def test_memory_by_machine() -> None:
    """Palettes stay packed on the Neural Engine only; the portable runtime computes in 32 bits.

    Measured there: 3.5 GiB for a UNet of Stable Diffusion 1.5 in 16 bits.
    """
    packed, plain = VARIANTS["sd1 v2 6-bit"], VARIANTS["sd1 split"]
    assert memory(packed, MACHINES["M2"]) < 0.65 * memory(plain, MACHINES["M2"])
    on_gpu = _variant("sd1 6-bit", bits=6)
    assert memory(on_gpu, MACHINES["M2"]) == memory(VARIANTS["sd1"], MACHINES["M2"])
    unet = _variant("unet", weight_bytes=SD1_UNET, image_width=8, image_height=8)
    assert memory(unet, MACHINES["Linux"]) == pytest.approx(3.5 * GB, rel=0.15)


def test_a_small_model_is_no_burden_for_a_processor() -> None:
    small = _variant("small", unet_bytes=10**8, weight_bytes=3 * 10**8)
    for machine in ("Linux", "Intel"):
        (judged,) = judge([small], MACHINES[machine])
        assert judged.verdict.level is G
        assert judged.verdict.reasons[0].startswith("Runs on the CPU with about ")


def test_few_steps_are_a_remark_and_no_merit() -> None:
    for few, sentence in (
        (Distilled(4, "LCM", is_guess=False), "Made for 4 steps, LCM."),
        (Distilled(1, "Turbo"), "By its name, it is made for 1 step, Turbo."),
        (Distilled(8), "By its name, it is made for 8 steps."),
    ):
        plain, quick = VARIANTS["sd1"], _variant("sd1", distilled=few)
        for machine in MACHINES.values():
            (before,), (after,) = judge([plain], machine), judge([quick], machine)
            assert after.verdict.level is before.verdict.level
            assert set(after.verdict.reasons) - set(before.verdict.reasons) == {sentence}
            assert after.verdict.reasons[0] == before.verdict.reasons[0]


def test_nothing_to_judge() -> None:
    assert judge([], MACHINES["M2"]) == ()
