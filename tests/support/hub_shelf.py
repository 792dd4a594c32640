"""Model files for the loopback Hub's repositories: real, small, and built once per machine."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.built import built
from tests.support.cached_models import cached_tiny_model
from tests.support.hub_repo import Content, Phantom, files_below

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "resources" / "starter-model"

REAL_BYTES = {
    # float16, as Apple's repositories have them
    "unet": 1_719_000_000, "unet_xl": 5_135_000_000, "text_encoder": 246_000_000,
    "text_encoder_2": 1_389_000_000, "vae_decoder": 99_000_000, "vae_encoder": 68_000_000,
    "safety_checker": 608_000_000,
}  # fmt: skip


def shelf(name: str, build: Callable[[Path], object]) -> Path:
    """A folder or file that `build` writes; found again by later runs.  Read-only."""
    return built(name, build, __file__)


def packages(kind: str, prefix: str = "") -> dict[str, Content]:
    """The packages of one tiny model, without the sidecar, which no repository has.

    Args:
        kind: ``original``, ``split_einsum``, ``split_einsum_v2``, ``xl``, ``control``, ``chunks``
            or ``palettized`` (split_einsum_v2, the UNet in a 6-bit palette).
    """
    return {
        prefix + path: content
        for path, content in files_below(package_folder(kind)).items()
        if not path.endswith("sfumato.json")
    }


@cache
def package_folder(kind: str) -> Path:
    models: dict[str, tuple[str, str, dict[str, Any]]] = {
        "original": ("sd1", "sd1", {"precision": "fp32", "safety": True}),
        "split_einsum": (
            "sd1_fp16", "sd1", {"precision": "fp16", "attention": "split_einsum"},
        ),
        "split_einsum_v2": (
            "sd1_split_v2", "sd1",
            {"precision": "fp32", "attention": "split_einsum_v2", "latent": (32, 32),
             "encoder": False},
        ),
        "xl": ("sdxl", "sdxl", {"precision": "fp32"}),
        "control": ("sd1_controlnet", "sd1", {"controlnet": True, "precision": "fp32"}),
        "chunks": (
            "sd1_b1_chunked", "sd1", {"unet_batch": 1, "chunked": True, "precision": "fp32"},
        ),
    }  # fmt: skip
    if kind == "palettized":
        return shelf("palettized", _palettize)
    name, shape, options = models[kind]
    return cached_tiny_model(name, shape, **options).folder


def _palettize(folder: Path) -> None:
    import coremltools as ct

    shutil.copytree(package_folder("split_einsum_v2"), folder)
    (folder / "sfumato.json").unlink()
    (unet,) = folder.glob("*_unet.mlpackage")
    optimize: Any = ct.optimize.coreml  # type: ignore[attr-defined]
    config = optimize.OpPalettizerConfig(mode="uniform", nbits=6, weight_threshold=512)
    model = optimize.palettize_weights(
        ct.models.MLModel(str(unet), skip_model_load=True),
        optimize.OptimizationConfig(global_config=config),
    )
    shutil.rmtree(unet)
    model.save(str(unet))


def compiled(kind: str, prefix: str = "", *, chunks: bool = False) -> dict[str, Content]:
    """The compiled models of one tiny model with Apple's names and tokenizer files.

    Args:
        kind: as for `packages`.
        chunks: the UNet in two chunks beside the whole one, as in Apple's first repositories.
    """
    return files_below(compiled_folder(kind, chunks), prefix)


def compiled_folder(kind: str, chunks: bool = False) -> Path:
    return shelf(
        f"{kind}-compiled{'-chunks' if chunks else ''}",
        lambda folder: _compile(folder, kind, chunks),
    )


def _compile(folder: Path, kind: str, chunks: bool) -> None:
    from tests.support.compiled_writer import compile_folder, compile_package

    compile_folder(package_folder(kind), folder)
    if chunks:
        for n in (1, 2):
            (chunk,) = package_folder("chunks").glob(f"*_unet_chunk{n}.mlpackage")
            compile_package(chunk, folder / f"UnetChunk{n}.mlmodelc")
    if kind == "palettized":
        metadata = folder / "Unet.mlmodelc" / "metadata.json"
        data = json.loads(metadata.read_text())
        data[0]["storagePrecision"] = "Mixed (Float16, Palettized (6 bits))"
        metadata.write_text(json.dumps(data, indent=2))
    tokenizer = ROOT / "resources" / "tokenizer"
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(tokenizer / name, folder / name)


def zipped(name: str, top: str, kind: str, *, form: str = "compiled", junk: bool = True) -> Path:
    """An archive of a tiny model inside one top folder, with what a Mac's Finder adds.

    Args:
        name: name on the shelf.
        top: the folder inside; empty: files lie at the archive's root.
        form: ``compiled`` or ``packages``.
        junk: ``__MACOSX`` and ``.DS_Store`` entries too.
    """

    def build(path: Path) -> None:
        source = compiled_folder(kind) if form == "compiled" else package_folder(kind)
        prefix = f"{top}/" if top else ""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file in sorted(source.rglob("*")):
                if file.is_file() and file.name != "sfumato.json":
                    archive.write(file, prefix + file.relative_to(source).as_posix())
            if junk:
                archive.writestr(f"{prefix}.DS_Store", b"\0\0\0\1Bud1")
                archive.writestr(f"__MACOSX/{prefix}._Unet.mlmodelc", b"\0\5\26\7")

    return shelf(f"{name}-{kind}-{form}{'' if junk else '-clean'}.zip", build)


def in_real_size(files: dict[str, Content], *, bits: int = 16) -> dict[str, Content]:
    """The same tree with weights as large as Apple's, without contents.

    Args:
        bits: of the UNet's weights.
    """
    sized: dict[str, Content] = {}
    xl = any("_sdxl_" in path or "TextEncoder2" in path for path in files)
    for path, content in files.items():
        if path.endswith("weight.bin") and (role := _role(path)):
            half = role.endswith(("chunk1", "chunk2"))
            role = role.removesuffix("_chunk1").removesuffix("_chunk2")
            size = REAL_BYTES.get(f"{role}_xl" if xl else role) or REAL_BYTES[role]
            if role == "unet":
                size = size * bits // 16 // (2 if half else 1)
            content = Phantom(size, path)
        sized[path] = content
        if path.endswith("UnetChunk2.mlmodelc/weights/weight.bin"):
            # A tiny first chunk needs no weights file; a real one does.
            sized[path.replace("Chunk2", "Chunk1")] = content
    return sized


def _role(path: str) -> str:
    name = path.lower().replace("textencoder2", "text_encoder_2").replace("unetchunk", "unet_chunk")
    name = name.replace("textencoder", "text_encoder").replace("safetychecker", "safety_checker")
    name = name.replace("vaedecoder", "vae_decoder").replace("vaeencoder", "vae_encoder")
    stem = next(p for p in name.split("/") if p.endswith((".mlpackage", ".mlmodelc")))
    stem = stem.rsplit(".", 1)[0]
    roles = ("text_encoder_2", "text_encoder", "unet_chunk1", "unet_chunk2", "unet",
             "vae_decoder", "vae_encoder", "safety_checker")  # fmt: skip
    return next((r for r in roles if stem.endswith(r)), "")


@cache
def picture(width: int = 640, height: int = 480, seed: int = 0) -> bytes:
    """A PNG for a model card."""
    from PIL import Image

    image = Image.linear_gradient("L").resize((width, height))
    hue = Image.new("L", (width, height), (seed * 47) % 256)
    merged = Image.merge("HSV", (hue, image, image.rotate(180))).convert("RGB")
    stream = io.BytesIO()
    merged.save(stream, "PNG")
    return stream.getvalue()


def generated_file(folder: Path, size: int, seed: int = 0) -> Path:
    """A file of random bytes, for throughput benches; found again when it is there already."""
    path = folder / f"random-{size}-{seed}.bin"
    if not (path.is_file() and path.stat().st_size == size):
        folder.mkdir(parents=True, exist_ok=True)
        block = os.urandom(min(size, 2**20)) or b""
        with path.open("wb") as file:
            for start in range(0, size, len(block) or 1):
                stamp = (start // max(len(block), 1) + seed).to_bytes(8, "little")
                file.write((stamp + block[8:])[: size - start])
    return path
