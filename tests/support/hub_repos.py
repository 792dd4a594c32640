"""Repositories laid out like real ones on the Hub, with real small Core ML files inside.

Each function makes one; `standard_repos` all of them.  Building is cheap after the first run: files
lie on a shelf in the test cache and are served from there.
"""

from __future__ import annotations

from tests.support.hub_repo import Content, Phantom, Repo, files_below
from tests.support.hub_shelf import (
    STARTER,
    compiled,
    in_real_size,
    packages,
    picture,
    zipped,
)

LICENCE = "creativeml-openrail-m"
STARTER_REPO = "sfumato/fog-starter"
"""The one that makes real pictures."""


def card(
    title: str,
    text: str,
    *,
    licence: str = LICENCE,
    base_model: str = "",
    prompts: tuple[str, ...] = (),
    image: str = "",
    tags: tuple[str, ...] = (),
) -> str:
    """A README as authors write them: front matter, title, paragraph, picture."""
    lines = ["---", f"license: {licence}"]
    if base_model:
        lines.append(f"base_model: {base_model}")
    if tags:
        lines += ["tags:", *(f"- {t}" for t in tags)]
    if prompts:
        lines += ["widget:", *(f'- text: "{p}"' for p in prompts)]
    lines += ["---", "", f"# {title}", ""]
    if image:
        lines += [f"![example]({image})", ""]
    return "\n".join([*lines, text, "", "## More", "", "Anything else.", ""])


def _sized(files: dict[str, Content], real: bool, bits: int = 16) -> dict[str, Content]:
    return in_real_size(files, bits=bits) if real else files


def apple_v1_5(real: bool = False) -> Repo:
    """Attention × form; the compiled folders hold the whole UNet and its chunks."""
    files: dict[str, Content] = {
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "README.md": card(
            "Core ML version of Stable Diffusion v1-5",
            "Stable Diffusion v1-5 is a latent text-to-image model; this is **Apple's** conversion"
            " for [Core ML](https://developer.apple.com/documentation/coreml).",
            base_model="runwayml/stable-diffusion-v1-5",
            prompts=("a high tech solarpunk utopia in the Amazon rainforest",),
            image="https://example.invalid/elsewhere.png",
        ),
    }
    for attention in ("original", "split_einsum"):
        files |= _sized(packages(attention, f"{attention}/packages/"), real)
        files |= _sized(compiled(attention, f"{attention}/compiled/", chunks=True), real)
    return Repo(
        "apple/coreml-stable-diffusion-v1-5", files, likes=310, downloads=1200, trending=3,
        modified="2023-07-27T12:00:00.000Z", licence=LICENCE, library="coreml",
        tags=("coreml", "stable-diffusion", "text-to-image", "arxiv:2207.12598"),
        pipeline_tag="text-to-image",
        card_data={"base_model": "runwayml/stable-diffusion-v1-5"},
    )  # fmt: skip


def apple_v1_5_palettized(real: bool = False) -> Repo:
    name = "coreml-stable-diffusion-v1-5-palettized"
    files: dict[str, Content] = {
        "README.md": card("Palettized", "The same, with 6-bit weights.", image="example.png"),
        "example.png": picture(seed=1),
    }
    for attention, kind in (("original", "original"), ("split_einsum_v2", "palettized")):
        files |= _sized(packages(kind, f"{attention}/packages/"), real, 6)
        files |= _sized(compiled(kind, f"{attention}/compiled/"), real, 6)
        stem = f"{name}_{attention}_compiled"
        files[f"{stem}.zip"] = Phantom(1_290_000_000, stem) if real else zipped(stem, stem, kind)
    return Repo(
        f"apple/{name}", files, likes=72, downloads=5400, trending=8,
        modified="2023-08-25T12:00:00.000Z", licence=LICENCE, library="coreml",
        tags=("coreml", "stable-diffusion", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def apple_xl(real: bool = False) -> Repo:
    """No attention level; both forms at the root, and a zip."""
    name = "coreml-stable-diffusion-xl-base"
    files: dict[str, Content] = {"README.md": card("SDXL 1.0", "A larger model.")}
    files |= _sized(packages("xl", "packages/"), real)
    files |= _sized(compiled("xl", "compiled/"), real)
    stem = f"{name}_original_compiled"
    files[f"{stem}.zip"] = Phantom(7_000_000_000, stem) if real else zipped(stem, stem, "xl")
    return Repo(
        f"apple/{name}", files, likes=68, downloads=300, modified="2023-07-26T12:00:00.000Z",
        licence="openrail++", library="coreml", pipeline_tag="text-to-image",
        tags=("coreml", "stable-diffusion-xl", "text-to-image"),
    )  # fmt: skip


def apple_mixed_bits(real: bool = False) -> Repo:
    """Not tagged text-to-image; a bare UNet beside a whole model."""
    whole = "coreml-stable-diffusion-xl-base_mbp_4_50_palettized"
    files: dict[str, Content] = {
        "README.md": card("Mixed-Bit Palettization", "Recipes and models.", licence="openrail++"),
        "recipes/stabilityai-stable-diffusion-xl-base-1.0_palettization_recipe.json": "{}",
    }
    files |= _sized(compiled("xl", f"{whole}/compiled/"), real, 4)
    files |= _sized(packages("xl", f"{whole}/packages/"), real, 4)
    alone = "unet-mbp-sdxl-1-base/recipe_4_50_bit_mixedpalette/"
    unet = {
        alone + path: content
        for path, content in compiled("xl").items()
        if path.startswith("Unet.")
    }
    files |= _sized(unet, real, 4)
    return Repo(
        "apple/coreml-stable-diffusion-mixed-bit-palettization", files, likes=26, downloads=90,
        modified="2023-08-01T12:00:00.000Z", licence="openrail++", tags=("coreml",),
    )  # fmt: skip


def pcuenq_zips(real: bool = False) -> list[Repo]:
    """Only zips; one says nothing but ``coreml``, the other nothing at all."""
    first, second = "coreml-stable-diffusion-1-5", "coreml-dreamlike-2"
    files: dict[str, Content] = {
        f"{first}_split_einsum_compiled.zip": Phantom(2_500_000_000, first)
        if real
        else zipped(first, f"{first}_split_einsum_compiled", "split_einsum"),
        f"{first}_original_compiled.zip": Phantom(2_600_000_000, first + "o")
        if real
        else zipped(f"{first}o", "", "original", junk=False),
    }
    untagged: dict[str, Content] = {
        f"{second}_packages.zip": Phantom(2_500_000_000, second)
        if real
        else zipped(second, second, "split_einsum", form="packages"),
    }
    return [
        Repo(f"pcuenq/{first}", files, likes=9, downloads=40, tags=("coreml",),
             modified="2022-12-10T12:00:00.000Z"),
        Repo(f"pcuenq/{second}", untagged, likes=1, modified="2022-12-16T12:00:00.000Z"),
    ]  # fmt: skip


def community(real: bool = False) -> Repo:
    """Free-form folders and names, as people make them."""
    name = "coreml-reve-paisible-v2"
    files: dict[str, Content] = {
        "README.md": card(
            "Rêve paisible", "Un modèle pour rêver.\n\nTake the _cn file for ControlNet.",
            image="samples/matin d'été.png",
        ),
        "samples/matin d'été.png": picture(480, 640, seed=3),
    }  # fmt: skip

    def archive(path: str, kind: str) -> None:
        stem = path.rsplit("/", 1)[-1].removesuffix(".zip")
        shelved = f"community-{len(files)}"
        files[path] = Phantom(2_000_000_000, path) if real else zipped(shelved, stem, kind)

    archive(f"split-einsum/rêve {name}_split-einsum_compiled.zip", "split_einsum")
    archive(f"original/512x512/{name}_original_512x512_compiled.zip", "original")
    archive(f"original/512x768/{name}_original_512x768 (vae moelleux)_compiled.zip", "original")
    archive(f"original/512x512/{name}_original_512x512_cn.zip", "control")
    return Repo(
        f"coreml-community/{name}", files, likes=31, downloads=210, trending=1,
        modified="2023-11-03T12:00:00.000Z", licence=LICENCE, library="coreml",
        tags=("coreml", "stable-diffusion", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def sd3(real: bool = True) -> Repo:
    """One zip and the third text encoder beside it.  Always phantoms: nothing here runs it."""
    prefix = "TextEncoderT5.mlmodelc/"
    files: dict[str, Content] = {
        "README.md": card("SD3 Medium", "With MLX and Core ML.", licence="other"),
        "sd3_medium_compiled.zip": Phantom(6_400_000_000),
        f"{prefix}weights/weight.bin": Phantom(9_500_000_000),
        f"{prefix}model.mil": "program(1.0)\n",
        f"{prefix}coremldata.bin": b"\0" * 64,
        f"{prefix}metadata.json": "[{}]",
    }
    return Repo(
        "argmaxinc/coreml-stable-diffusion-3-medium", files, likes=39, downloads=60, trending=2,
        modified="2024-06-12T12:00:00.000Z", licence="other", library="DiffusionKit",
        tags=("coreml", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def controlnets() -> Repo:
    """ControlNets only, to add to a model that is ready for them."""
    folder = "CN/original/512x512/"
    files: dict[str, Content] = {"README.md": card("ControlNets", "For Core ML models.")}
    for path, content in compiled("control").items():
        if path.startswith("controlnet/"):
            inner = path.split("/", 2)[2]
            for name in ("Canny-5x5", "Depth-5x5"):
                files[f"{folder}{name}.mlmodelc/{inner}"] = content
    return Repo(
        "coreml-community/ControlNet-Models-For-Core-ML", files, likes=22, downloads=15,
        modified="2023-09-01T12:00:00.000Z", licence=LICENCE, tags=("coreml", "controlnet"),
    )  # fmt: skip


def gated() -> Repo:
    """Terms to accept; ``ada`` did."""
    files: dict[str, Content] = {"README.md": card("Gated", "Accept the terms first.")}
    files |= packages("split_einsum", "split_einsum/packages/")
    return Repo(
        "ada-lab/coreml-gated-diffusion", files, likes=14, downloads=33, gated="auto",
        granted=("ada",), modified="2024-03-01T12:00:00.000Z", licence="other", library="coreml",
        tags=("coreml", "stable-diffusion", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def starter() -> Repo:
    """The model that ships with the app: what comes of searching and fetching it is pictures."""
    files = files_below(STARTER, "packages/")
    files["README.md"] = card(
        "Fog starter", "A small model that draws simple scenes.", licence="mit",
        prompts=("a red circle on a blue ground",), image="example.png",
    )  # fmt: skip
    files["example.png"] = picture(seed=2)
    return Repo(
        STARTER_REPO, files, likes=5, downloads=7, trending=20,
        modified="2026-01-10T12:00:00.000Z", licence="mit", library="coreml",
        tags=("coreml", "stable-diffusion", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def junk() -> list[Repo]:
    """Core ML, but no pictures from words."""
    upscaler: dict[str, Content] = {
        "README.md": card("4×", "Enlarges."),
        "RealESRGAN.mlmodel": b"1",
    }
    whisper: dict[str, Content] = {"ggml-base-encoder.mlmodelc.zip": b"PK", "README.md": "# W"}
    llama: dict[str, Content] = {"llama.mlpackage/Manifest.json": "{}", "README.md": "# Llama"}
    yolo: dict[str, Content] = {"yolov8.mlmodel": b"1", "README.md": "# YOLO"}
    return [
        Repo("speech/whisper-base-coreml", whisper, likes=400, downloads=99000, trending=50,
             tags=("coreml", "whisper"), pipeline_tag="automatic-speech-recognition"),
        Repo("talk/coreml-Llama-3-8B", llama, likes=350, downloads=80000, trending=40,
             tags=("coreml", "llama"), pipeline_tag="text-generation"),
        Repo("vision/yolov8-coreml", yolo, likes=120, downloads=900, tags=("coreml",)),
        Repo("enlarge/coreml-RealESRGAN-x4", upscaler, likes=18, downloads=77,
             licence="bsd-3-clause", tags=("coreml", "super-resolution"),
             pipeline_tag="image-to-image"),
    ]  # fmt: skip


def many_files(count: int = 10_000) -> Repo:
    """So many that its tree comes in pages; one variant among them."""
    files: dict[str, Content] = {f"samples/{n // 100:03d}/{n:05d}.txt": "x" for n in range(count)}
    files |= packages("split_einsum", "split_einsum/packages/")
    return Repo(
        "crowd/coreml-ten-thousand-files", files, likes=2, library="coreml",
        tags=("coreml", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def hostile() -> Repo:
    """Names that must never become paths, beside a sound model with odd but honest ones."""
    files: dict[str, Content] = {
        "../outside.txt": "no",
        "split_einsum/../../outside.txt": "no",
        "/etc/absolute.txt": "no",
        "split_einsum/packages/..\\..\\windows.txt": "no",
        "split_einsum/packages/./dot.txt": "no",
        "split_einsum/packages//double.txt": "no",
        "nul\0byte.txt": "no",
        "line\nbreak.txt": "no",
        "C:/drive.txt": "no",
        "Case.txt": "upper",
        "case.txt": "lower",
        "naïve — 絵.txt": "fine",
        "a folder/with spaces .txt": "fine",
        "x" * 255 + "/" + "y" * 255: "long",
    }
    files |= packages("split_einsum", "mit Leerzeichen und Ümläuten/")
    return Repo(
        "mallory/coreml-hostile", files, likes=1, library="coreml",
        tags=("coreml", "text-to-image"), pipeline_tag="text-to-image",
    )  # fmt: skip


def standard_repos(real_sizes: bool = False) -> list[Repo]:
    """All of them, fresh: tests may change what they get.

    Args:
        real_sizes: weights as large as the real ones, as phantoms, which cannot be verified.
    """
    return [
        apple_v1_5(real_sizes),
        apple_v1_5_palettized(real_sizes),
        apple_xl(real_sizes),
        apple_mixed_bits(real_sizes),
        *pcuenq_zips(real_sizes),
        community(real_sizes),
        sd3(),
        controlnets(),
        gated(),
        starter(),
        *junk(),
        many_files(),
        hostile(),
    ]


def crowd(count: int) -> list[Repo]:
    """Many small text-to-image repositories, for paging and scrolling."""
    return [
        Repo(
            f"author{n % 37}/coreml-model-{n:05d}", {"README.md": f"# {n}"}, likes=count - n,
            downloads=n, trending=n * 7919 % 1000, library="coreml",
            tags=("coreml", "stable-diffusion", "text-to-image"), pipeline_tag="text-to-image",
        )
        for n in range(count)
    ]  # fmt: skip
