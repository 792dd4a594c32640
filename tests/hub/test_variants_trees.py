"""Variants from file lists alone: layouts, missing parts, families by size, hostile names."""

from __future__ import annotations

import time

import pytest

from gui.coreml.model import Attention, Family, FileFormat
from gui.hub.types import Distilled, Machine, ModelKind, RemoteFile, Variant
from gui.hub.variants import heuristics
from gui.hub.variants.variants import find_variants
from gui.hub.variants.verdict import judge
from tests.hub.trees import compiled, listed, package, tree

_Files = tuple[RemoteFile, ...]

# Bytes of weights in float16, as published: parameters × 2
SD1 = {"text_encoder": 246_000_000, "unet": 1_719_000_000, "vae_decoder": 99_000_000}
SD2 = {"text_encoder": 681_000_000, "unet": 1_732_000_000, "vae_decoder": 99_000_000}
XL = {
    "text_encoder": 246_000_000, "text_encoder_2": 1_390_000_000, "unet": 5_135_000_000,
    "vae_decoder": 198_000_000,
}  # fmt: skip
SWIFT = {
    "text_encoder": "TextEncoder", "text_encoder_2": "TextEncoder2", "unet": "Unet",
    "vae_decoder": "VAEDecoder", "vae_encoder": "VAEEncoder", "safety_checker": "SafetyChecker",
}  # fmt: skip


def _packages(folder: str, sizes: dict[str, int], model: str = "a_b") -> _Files:
    prefix = f"{folder}/" if folder else ""
    return tuple(
        file
        for suffix, size in sizes.items()
        for file in package(f"{prefix}Stable_Diffusion_version_{model}_{suffix}.mlpackage", size)
    )


def _compiled(folder: str, sizes: dict[str, int]) -> _Files:
    prefix = f"{folder}/" if folder else ""
    return tuple(
        file
        for suffix, size in sizes.items()
        for file in compiled(f"{prefix}{SWIFT.get(suffix, suffix)}.mlmodelc", size)
    )


def _variants(*groups: _Files, id: str = "someone/something") -> dict[str, Variant]:
    return {v.id: v for v in find_variants(tree(*groups, id=id))[0]}


def _one(*groups: _Files, id: str = "someone/something") -> Variant:
    (variant,) = _variants(*groups, id=id).values()
    return variant


# What is there and what is missing


def test_no_encoder_is_no_fault() -> None:
    bare, full = _one(_packages("", SD1)), _one(_packages("", {**SD1, "vae_encoder": 68_000_000}))
    assert (bare.has_encoder, full.has_encoder) == (False, True)
    assert bare.missing == full.missing == ()
    assert bare.id == full.id == "."


@pytest.mark.parametrize("lost", ["text_encoder", "vae_decoder"])
def test_missing_networks_are_named(lost: str) -> None:
    variant = _one(_packages("x", {k: v for k, v in SD1.items() if k != lost}))
    assert variant.missing == ({"text_encoder": "text encoder"}.get(lost, "VAE decoder"),)


def test_xl_needs_both_text_encoders() -> None:
    variant = _one(_compiled("compiled", {k: v for k, v in XL.items() if k != "text_encoder"}))
    assert variant.family is Family.SDXL
    assert variant.missing == ("text encoder",)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (package("p/u_unet.mlpackage", without="weight.bin"), "its weights are missing"),
        (package("p/u_unet.mlpackage", without="Manifest"), "its manifest is missing"),
        (package("p/u_unet.mlpackage", without="model.mlmodel"), "its description is missing"),
        (compiled("p/Unet.mlmodelc", without="model.mil"), "its program is missing"),
        (compiled("p/Unet.mlmodelc", without="weights/"), "its weights are missing"),
        (compiled("p/Unet.mlmodelc", without="coremldata.bin"), "a part of it is missing"),
        (
            listed("p/Unet.mlmodelc/model.espresso.net", "p/Unet.mlmodelc/coremldata.bin"),
            "older kind",
        ),
    ],
)
def test_half_a_unet_is_not_offered_as_one(files: _Files, why: str) -> None:
    parts = {k: v for k, v in SD1.items() if k != "unet"}
    variant = _one(_packages("p", parts), files)
    (missing,) = variant.missing
    assert missing.startswith("UNet: ")
    assert why in missing
    assert not any("net.ml" in f.path.lower() for f in variant.files)


def test_a_broken_encoder_does_not_spoil_the_rest() -> None:
    broken = package("p/x_vae_encoder.mlpackage", without="weight.bin")
    variant = _one(_packages("p", SD1), broken)
    assert (variant.missing, variant.has_encoder) == ((), False)
    assert not any("vae_encoder" in f.path for f in variant.files)


def test_nothing_whole_is_a_note() -> None:
    variants, notes = find_variants(tree(compiled("p/Unet.mlmodelc", without="model.mil")))
    assert variants == ()
    assert "its program is missing" in notes[0]


# Several in one folder


def test_packages_and_compiled_side_by_side_are_two() -> None:
    found = _variants(_packages("both", SD1), _compiled("both", SD1))
    assert set(found) == {"both#packages", "both#compiled"}
    for id, variant in found.items():
        suffix = ".mlpackage/" if id.endswith("packages") else ".mlmodelc/"
        assert all(suffix in f.path for f in variant.files)


def test_a_package_fills_the_gap_of_a_compiled_folder() -> None:
    parts = {k: v for k, v in SD1.items() if k != "vae_decoder"}
    variant = _one(_compiled("p", parts), package("p/x_vae_decoder.mlpackage", 99_000_000))
    assert variant.format is FileFormat.COMPILED
    assert variant.missing == ()


@pytest.mark.parametrize("form", ["packages", "compiled"])
def test_a_whole_unet_and_its_chunks(form: str) -> None:
    if form == "packages":
        half = {"unet_chunk1": 860_000_000, "unet_chunk2": 859_000_000}
        files = _packages("p", {**SD1, **half})
    else:
        chunks = (f for n in (1, 2) for f in compiled(f"p/UnetChunk{n}.mlmodelc", 860_000_000))
        files = _compiled("p", SD1) + tuple(chunks)
    found = _variants(files)
    assert set(found) == {"p#unet", "p#chunks"}
    whole, chunked = found["p#unet"], found["p#chunks"]
    assert (whole.chunked, chunked.chunked) == (False, True)
    assert whole.download_bytes < 2_100_000_000
    assert chunked.download_bytes < 2_100_000_000


def test_one_chunk_alone_is_no_unet() -> None:
    parts = {k: v for k, v in SD1.items() if k != "unet"}
    variant = _one(_packages("p", {**parts, "unet_chunk2": 860_000_000}))
    assert variant.missing == ("UNet: one of its two chunks is missing",)


def test_models_of_one_folder_are_told_apart_by_name() -> None:
    found = _variants(
        _packages("all", SD1, "one"), _packages("all", {"unet": 1_719_000_000}, "other")
    )
    assert set(found) == {"all#one", "all#other"}
    assert found["all#one"].missing == ()
    assert found["all#other"].missing == ("text encoder", "VAE decoder")
    assert found["all#one"].title != found["all#other"].title


def test_two_alike_are_a_problem() -> None:
    twice = compiled("p/Unet.mlmodelc", 1_719_000_000) + compiled("p/unet.mlmodelc", 1_719_000_000)
    parts = {k: v for k, v in SD1.items() if k != "unet"}
    variant = _one(_compiled("p", parts), twice)
    assert any("two of the UNet" in p for p in variant.problems)


def test_controlnets_belong_to_the_model_beside_them() -> None:
    variant = _one(
        _compiled("original/compiled", {**SD1, "ControlledUnet": 1_719_000_000}),
        compiled("original/compiled/controlnet/Canny.mlmodelc", 700_000_000),
        compiled("original/compiled/controlnet/Scribble.mlmodelc", 700_000_000),
    )
    assert variant.id == "original/compiled"
    assert variant.controlnets == ("Canny", "Scribble")
    assert variant.controlnet_ready
    assert variant.kind is ModelKind.TEXT_TO_IMAGE


def test_a_refiner_can_be_had_along_and_is_left_out_at_first() -> None:
    alone, both = _variants(_compiled("", {**XL, "UnetRefiner": 4_600_000_000})).values()
    assert (alone.id, both.id) == (".", ".#with-refiner")
    assert both.without_refiner == alone.id and not alone.without_refiner
    assert alone.download_bytes < 7_200_000_000
    assert abs(both.download_bytes - alone.download_bytes - 4_600_000_000) < 1_000_000
    assert not any("Refiner" in file.path for file in alone.files)
    assert "refiner" in both.components and both.family is alone.family is Family.SDXL
    assert both.title == f"{alone.title} · with refiner"
    assert alone.notes == ("There is a refiner, too, for the last steps; it is 4.60 GB more.",)
    assert both.notes == ("The refiner makes the last steps; it is 4.60 GB of the download.",)
    assert not both.problems and not both.missing
    assert both.weight_bytes == alone.weight_bytes, "one of the two UNets is loaded where it must"
    machine = Machine("Darwin", "14.5", "Apple M2", True, 8, 4, 32 * 2**30, 200 * 10**9)
    first, _ = judge((both, alone), machine)
    assert first.id == alone.id and first.recommended
    forms = _variants(
        _packages("", {**XL, "refiner": 4_600_000_000}, "xl"),
        _compiled("", {**XL, "UnetRefiner": 4_600_000_000}),
    )
    twins = {v.id: v.without_refiner for v in forms.values() if v.without_refiner}
    assert twins == {
        ".#packages+with-refiner": ".#packages", ".#compiled+with-refiner": ".#compiled",
    }  # fmt: skip


def test_families_that_cannot_be_used_say_so() -> None:
    sd3 = _one(_compiled("", {"MultiModalDiffusionTransformer": 4_000_000_000}))
    assert (sd3.family, sd3.missing) == (Family.SD3, ())
    assert "Stable Diffusion 3" in sd3.problems[0]
    refiner = _one(_compiled("", {"UnetRefiner": 4_600_000_000, "text_encoder_2": 1_390_000_000}))
    assert refiner.family is Family.SDXL_REFINER
    assert "refiner" in refiner.problems[0]


def test_a_text_encoder_beside_an_archive_is_no_model() -> None:
    found = _variants(
        listed("sd3_compiled.zip", size=6 * 10**9),
        compiled("TextEncoderT5.mlmodelc", 9 * 10**9),
        id="a/coreml-stable-diffusion-3-medium",
    )
    assert set(found) == {"sd3_compiled.zip"}
    assert "Stable Diffusion 3" in found["sd3_compiled.zip"].problems[0]


def test_companions_come_along_and_nothing_else() -> None:
    variant = _one(
        _compiled("c", SD1),
        listed("c/vocab.json", "c/merges.txt", "c/scheduler/scheduler_config.json", "c/README.md",
               "c/cover.png", "c/unet.safetensors", "vocab.json", "c/.DS_Store",
               "c/Unet.mlmodelc/._model.mil"),
    )  # fmt: skip
    extra = {f.path for f in variant.files if ".mlmodelc/" not in f.path}
    assert extra == {"c/vocab.json", "c/merges.txt", "c/scheduler/scheduler_config.json"}
    assert not any("._" in f.path for f in variant.files)
    assert variant.folder == "c"


# Sizes


@pytest.mark.parametrize(
    ("sizes", "family", "compression"),
    [
        (SD1, Family.SD1, ""),
        (SD2, Family.SD2, ""),
        (XL, Family.SDXL, ""),
        ({k: 2 * v for k, v in SD1.items()}, Family.SD1, ""),  # float32
        ({**SD1, "unet": 645_000_000}, Family.SD1, "6-bit palette"),
        ({**SD1, "unet": 645_000_000, "text_encoder": 140_000_000}, Family.SD1, "6-bit palette"),
        ({**SD2, "unet": 650_000_000, "text_encoder": 318_000_000}, Family.SD2, "6-bit palette"),
        ({**SD1, "unet": 860_000_000}, Family.SD1, "8-bit palette"),
        ({**SD1, "unet": 430_000_000, "text_encoder": 493_000_000}, Family.SD1, "4-bit palette"),
        ({**XL, "unet": 1_444_000_000}, Family.SDXL, "mixed palette (4.5 bits)"),
    ],
)
def test_weights_tell_family_and_compression(
    sizes: dict[str, int], family: Family, compression: str
) -> None:
    variant = _one(_packages("p", sizes))
    assert (variant.family, variant.compression) == (family, compression)


@pytest.mark.parametrize(
    ("repo", "family"),
    [("a/coreml-v1-5", Family.SD1), ("a/coreml-2-1", Family.SD2), ("a/b", Family.UNKNOWN)],
)
def test_names_decide_where_sizes_could_be_either(repo: str, family: Family) -> None:
    """246 MB is SD1's text encoder in 16 bits, and SD2's in 4."""
    sizes = {**SD1, "unet": 430_000_000}
    assert _one(_packages("p", sizes), id=repo).family is family


def test_weights_count_in_memory_but_not_the_encoder() -> None:
    variant = _one(_packages("p", {**SD1, "vae_encoder": 68_000_000}))
    assert variant.unet_bytes == 1_719_000_000
    assert variant.weight_bytes == 2_064_000_000


# Names


@pytest.mark.parametrize(
    ("name", "attention"),
    [
        ("x_split_einsum_v2_compiled.zip", Attention.SPLIT_EINSUM_V2),
        ("x/split-einsum-v2/compiled", Attention.SPLIT_EINSUM_V2),
        ("x_split-einsum_compiled.zip", Attention.SPLIT_EINSUM),
        ("Split_Einsum/x", Attention.SPLIT_EINSUM),
        ("x_original_512x768_cn.zip", Attention.ORIGINAL),
        ("original/packages", Attention.ORIGINAL),
        ("aboriginal-art_compiled.zip", Attention.UNKNOWN),
        ("model.zip", Attention.UNKNOWN),
    ],
)
def test_attention_in_names(name: str, attention: Attention) -> None:
    assert heuristics.attention(name) is attention


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("apple/coreml-stable-diffusion-v1-5", Family.SD1),
        ("apple/coreml-stable-diffusion-1-4-palettized", Family.SD1),
        ("apple/coreml-stable-diffusion-2-base", Family.SD2),
        ("apple/coreml-stable-diffusion-2-1-base-palettized", Family.SD2),
        ("apple/coreml-stable-diffusion-xl-base", Family.SDXL),
        ("someone/coreml-sdxlTurbo", Family.SDXL),
        ("argmaxinc/coreml-stable-diffusion-3-medium", Family.SD3),
        ("someone/coreml-sd3.5-large", Family.SD3),
        ("someone/coreml-dream-v2-refined", Family.UNKNOWN),
        ("coreml-community/coreml-dreamlike-photoreal-2.0", Family.UNKNOWN),  # a Stable Diffusion 1
        ("someone/coreml-realistic-vision-v2-1", Family.UNKNOWN),
        ("someone/coreml-sd21-768", Family.SD2),
        ("someone/coreml-sd15-lcm", Family.SD1),
        ("someone/coreml-juggernautXL-v9", Family.SDXL),
        ("apple/coreml-stable-diffusion-xl-base-with-refiner", Family.SDXL),
        ("someone/coreml-stable-diffusion-xl-refiner", Family.SDXL_REFINER),
    ],
)
def test_family_in_names(name: str, family: Family) -> None:
    assert heuristics.family(name) is family


# Titles


def _titles(*groups: _Files) -> dict[str, str]:
    return {v.id: v.title for v in _variants(*groups).values()}


def test_titles_say_what_tells_variants_apart() -> None:
    name = "coreml-dream_original"
    found = _titles(
        listed(f"a/{name}_compiled.zip", f"b/{name}_compiled.zip"),
        listed(f"{name}_512x768_cn.zip", "x_split-einsum_compiled.zip"),
    )
    assert found == {
        f"a/{name}_compiled.zip": "Original · compiled · zip · a",
        f"b/{name}_compiled.zip": "Original · compiled · zip · b",
        f"{name}_512x768_cn.zip": "Original · compiled · ControlNet-ready · zip",
        "x_split-einsum_compiled.zip": "Split einsum · compiled · zip",
    }
    one, other = f"x/{name}_compiled.zip", f"x/{name}_ema-vae_compiled.zip"
    assert _titles(listed(one, other)) == {
        one: "Original · compiled · zip",
        other: "Original · compiled · zip · ema-vae",
    }


@pytest.mark.parametrize(
    ("repo", "place", "wanted"),
    [
        ("someone/coreml-dreamshaper_8LCM", "split_einsum/compiled", Distilled(4, "LCM")),
        ("someone/models", "sdxl_lightning_8step/original/packages", Distilled(8, "Lightning")),
        ("someone/models-LCM", "sdxl-turbo/compiled", Distilled(4, "Turbo")),
        ("someone/models", "sd-turbo_split-einsum_compiled.zip", Distilled(4, "Turbo")),
        ("someone/models", "turbo.zip", Distilled(4, "Turbo")),
        ("someone/6-step-sd", "compiled", Distilled(6)),
        ("lcm/models", "compiled", None),  # an owner's name says nothing
        ("someone/lightning-storm", "original/compiled", None),
        ("someone/stable-diffusion-v1-5", "compiled", None),
    ],
)
def test_models_of_few_steps_by_their_names(
    repo: str, place: str, wanted: Distilled | None
) -> None:
    files = listed(place) if place.endswith(".zip") else _compiled(place, SD1)
    assert _one(files, id=repo).distilled == wanted


def test_a_controlnet_takes_the_steps_of_the_model_it_steers() -> None:
    net = compiled("lcm/controlnet-canny.mlmodelc", 700_000_000)
    assert _one(net, id="someone/controlnets-LCM").distilled is None


def test_a_part_that_lies_alone_is_called_by_its_name() -> None:
    variant = _one(compiled("VAEDecoder.mlmodelc", 99_000_000))
    assert variant.title == "VAE decoder · compiled"
    assert variant.missing == ("text encoder", "UNet")


def test_one_of_two_unets_is_in_memory() -> None:
    """A picture is made with the plain one, or with the one for ControlNets."""
    variant = _one(_compiled("", {**SD1, "ControlledUnet": 1_719_000_000}))
    assert variant.controlnet_ready
    assert variant.weight_bytes == _one(_compiled("", SD1)).weight_bytes
    assert variant.download_bytes > 3_700_000_000


# What was not read


def test_a_collection_of_controlnets_is_listed_whole() -> None:
    """More than are read of files whose names say nothing."""
    nets = (compiled(f"CN/{n:02d}.mlmodelc", 700_000_000) for n in range(30))
    found = _variants(*nets, id="someone/ControlNet-Models-For-Core-ML")
    assert len(found) == 30
    assert all(v.kind is ModelKind.CONTROLNET for v in found.values())


# Hostile lists


def test_unsafe_paths_are_counted_and_never_offered() -> None:
    unsafe = listed(
        "../p/x.json", "/p/Unet.mlmodelc/model.mil", "p/../Unet.mlmodelc/model.mil",
        "p//vocab.json",
        "p/./vocab.json", "p\\vocab.json", "C:/vocab.json", "p/\0/vocab.json", "p/vocab.json\n",
        "p/Unet.mlmodelc/../../../etc/passwd", "x" * 300 + "/vocab.json", "p/\ud800/vocab.json", "",
    )  # fmt: skip
    variants, notes = find_variants(tree(_compiled("p", SD1), unsafe))
    (variant,) = variants
    assert all(f.path.startswith("p/") and ".." not in f.path for f in variant.files)
    assert f"{len(unsafe)} files with unsafe" in notes[0]


def test_names_that_differ_in_case_only_are_a_problem() -> None:
    clash = listed("p/Unet.mlmodelc/Model.mil")
    variant = _one(_compiled("p", SD1), clash)
    assert any("upper and lower case" in p for p in variant.problems)
    folders = listed("p/Unet.mlmodelc/Weights/more.bin")
    assert _one(_compiled("p", SD1), folders).problems
    one = "p/Unet.mlmodelc/caf\u00e9.txt"
    other = "p/Unet.mlmodelc/cafe\u0301.txt"
    assert _one(_compiled("p", SD1), listed(one, other)).problems


def test_repeated_paths_count_once() -> None:
    files = _compiled("p", SD1)
    assert _one(files, files).download_bytes == _one(files).download_bytes


def test_negative_sizes_are_left_aside() -> None:
    bad = (RemoteFile("p/vocab.json", -(10**12)),)
    assert _one(_compiled("p", SD1), bad).download_bytes > 0


def test_a_flood_of_models_is_cut_short() -> None:
    flood = (compiled(f"f{n}/Unet.mlmodelc", 10**9) for n in range(1000))
    variants, notes = find_variants(tree(*flood))
    assert len(variants) == 200
    assert "Only the first 200 of 1000 are listed." in notes


def test_ids_and_titles_never_repeat() -> None:
    folders = [f"{a}/{b}" for a in ("a", "b", "original") for b in ("x", "y", "512x512")]
    found = find_variants(tree(*(_compiled(f, SD1) for f in folders)))[0]
    assert len({v.id for v in found}) == len({v.title for v in found}) == len(folders)


def test_very_many_models_in_one_folder_are_sorted_in_time() -> None:
    """A hostile list: work that grew with its square would hold the whole process for minutes."""
    many = tree(*(package(f"m{n}_unet.mlpackage", 10**9) for n in range(15_000)))
    started = time.process_time()
    variants, notes = find_variants(many)
    assert time.process_time() - started < 15
    assert len(variants) == 200 and any("first 200 of 15000" in n for n in notes)
