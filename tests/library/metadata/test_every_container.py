"""Every program's documented form in every container it is written to, field by field; and what a
foreign parser reads of the same files and of ours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sd_parsers import ParserManager

from gui.library.metadata.containers import read_fields_of
from gui.library.metadata.imported import Imported
from gui.library.metadata.tools import read_settings
from gui.library.picture_texts import parameters_text
from gui.request import PictureRecord, PictureRequest, RandomSource
from tests.library.metadata import forms
from tests.library.metadata.test_tools import (
    EASY,
    FOOOCUS,
    INVOKE,
    MFLUX,
    NOVELAI,
    SWARM,
    USER_COMMENT,
)

MODEL, MAKE, DESCRIPTION, SOFTWARE, MAKER_NOTE = 0x0110, 0x010F, 0x010E, 0x0131, 0x927C
CHARSETS = ("utf-16-be", "utf-16-le", "ascii", "utf-8")

KRITA = """a castle, ink <lora:fog:0.6>
Negative prompt: blurry
Steps: 20, Sampler: DPM++ 2M, CFG scale: 7.0, Seed: 1234567, Size: 1024x768, Model hash: unknown, \
Model: dreamshaper_8.safetensors, Denoising strength: 0.7"""
INVOKE_2 = {
    "model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "model_hash": "cc6cb27",
    "app_id": "invoke-ai/InvokeAI", "app_version": "2.3.0",
    "image": {
        "prompt": [{"prompt": "a fox [blurry]", "weight": 1}], "steps": 50, "cfg_scale": 7.5,
        "threshold": 0, "perlin": 0, "height": 640, "width": 512, "seed": 42, "seamless": False,
        "hires_fix": False, "type": "txt2img", "postprocessing": None, "sampler": "k_lms",
        "variations": []},
}  # fmt: skip
DREAM = '"a fox [blurry]" -s 50 -S 42 -W 512 -H 640 -C 7.5 -A k_lms'
NOVELAI_4 = {
    **NOVELAI, "prompt": "short", "seed": 9,
    "v4_prompt": {"caption": {"base_caption": "a fox in fog", "char_captions": [
        {"char_caption": "red scarf", "centers": [{"x": 0.5, "y": 0.5}]}]},
        "use_coords": False, "use_order": True},
    "v4_negative_prompt": {"caption": {"base_caption": "blurry", "char_captions": []}},
}  # fmt: skip
COMFY_PLAIN = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 8566257, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal",
        "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
        "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {
        "width": 512, "height": 640, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
}  # fmt: skip
FOOOCUS_TEXT = """a fox
Negative prompt: blurry
Steps: 30, Sampler: DPM++ 2M SDE, Schedule type: Karras, Seed: 123, Size: 1152x896, CFG scale: 4.0,\
 Sharpness: 2.0, Performance: Speed, Model hash: aeb7e9e689, Model: jugg, Version: Fooocus v2.5.5"""


def png(**texts: str) -> dict[str, bytes]:
    """The same texts in each of PNG's kinds of text chunk."""
    return {
        "PNG": forms.png(texts),
        "PNG compressed": forms.png(texts, compressed=True),
    }


def comments(data: object, inner: dict[int, tuple[int, bytes]] | None = None, **tags: bytes):
    """As EXIF comment in JPEG and WebP: both byte orders, every character set."""
    text = data if isinstance(data, str) else json.dumps(data)
    found: dict[str, bytes] = {}
    outer = {int(tag[1:], 16): (2, value) for tag, value in tags.items()}
    for order in "<>":
        for charset in CHARSETS:
            comment = {USER_COMMENT: (7, forms.comment(text, charset)), **(inner or {})}
            block = forms.tiff_structure(outer, comment, order=order)
            name = f"{'little' if order == '<' else 'big'} endian, {charset}"
            found[f"JPEG {name}"] = forms.picture("JPEG", exif=b"Exif\0\0" + block)
            found[f"WEBP {name}"] = forms.picture("WEBP", exif=block)
    return found


def graphs(graph: object) -> dict[str, bytes]:
    """ComfyUI's places: text chunks, and EXIF in the other forms."""
    text = json.dumps(graph)
    found = png(prompt=text, workflow='{"nodes": [], "links": []}')
    for order in "<>":
        block = forms.tiff_structure(
            {MODEL: (2, f"prompt:{text}\0".encode()), MAKE: (2, b'workflow:{"nodes": []}\0')},
            order=order,
        )
        for form in ("JPEG", "WEBP", "AVIF"):
            head = b"Exif\0\0" if form == "JPEG" else b""
            found[f"{form} {order}"] = forms.picture(form, exif=head + block)
    return found


def draw_things() -> dict[str, bytes]:
    fields = {"exif:UserComment": forms.DRAW_THINGS, "xmp:CreatorTool": "Draw Things"}
    whole = {**fields, "dc:description": "a fox\n-blurry\nSteps: 20"}
    text = (
        "a fox\n-blurry\nSteps: 20, Sampler: DPM++ 2M Karras, Guidance Scale: 7.5, Seed: 77, "
        "Size: 512x768, Model: sd_v1.5_f16.ckpt, Strength: 1.0, Seed Mode: Scale Alike"
    )
    described = {"dc:description": text, "xmp:CreatorTool": "Draw Things"}
    key = "XML:com.adobe.xmp"
    return {
        "PNG XMP attributes": forms.png({key: forms.xmp_packet(whole).decode()}),
        "PNG XMP elements": forms.png({key: forms.xmp_packet(whole, as_elements=True).decode()}),
        "PNG description": forms.png({key: forms.xmp_packet(described, as_elements=True).decode()}),
        **comments(forms.DRAW_THINGS),
    }


def iptc(text: str) -> bytes:
    """A JPEG with an IPTC caption, as ImageIO writes it."""
    data = b"\x1c\x02\x78" + len(text.encode()).to_bytes(2, "big") + text.encode()
    data += b"\x1c\x02\x41\x00\x0fMochi Diffusion"
    resource = b"8BIM\x04\x04\0\0" + len(data).to_bytes(4, "big") + data + b"\0" * (len(data) % 2)
    body = b"Photoshop 3.0\0" + resource
    jpeg = forms.picture("JPEG")
    return jpeg[:2] + b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def mochi() -> dict[str, bytes]:
    key = "XML:com.adobe.xmp"
    packet = forms.xmp_packet({"dc:description": forms.MOCHI}, as_elements=True)
    return {
        "PNG XMP": forms.png({key: packet.decode()}),
        "JPEG IPTC": iptc(forms.MOCHI),
        "JPEG XMP": forms.picture("JPEG", xmp=packet),
        "WEBP XMP": forms.picture("WEBP", xmp=packet),
    }


@dataclass(frozen=True)
class Case:
    files: Callable[[], dict[str, bytes]]
    program: str
    expected: dict[str, Any]


TORCH, NVIDIA, NUMPY = RandomSource.TORCH, RandomSource.NVIDIA, RandomSource.NUMPY
CASES = {
    "A1111": Case(
        lambda: {**png(parameters=forms.A1111), **comments(forms.A1111)},
        "Stable Diffusion web UI",
        {"negative_prompt": "blurry, ugly\nlowres", "steps": 28, "guidance_scale": 6.5,
         "seed": 2**32 - 1, "scheduler": "DPM++ 2M Karras", "width": 512, "height": 768,
         "model": "dreamy", "model_hash": "0123456789", "clip_skip": 2, "random_source": TORCH,
         "loras": [("foggy days", 0.6)]}),
    "krita-ai-diffusion": Case(
        lambda: png(parameters=KRITA),
        "Krita AI Diffusion",
        {"prompt": "a castle, ink", "negative_prompt": "blurry", "steps": 20, "guidance_scale": 7.0,
         "seed": 1234567, "scheduler": "DPM++ 2M", "width": 1024, "height": 768,
         "model": "dreamshaper_8.safetensors", "model_hash": "", "strength": 0.7,
         "loras": [("fog", 0.6)], "random_source": TORCH}),
    "ComfyUI": Case(
        lambda: graphs(COMFY_PLAIN),
        "ComfyUI",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 20, "guidance_scale": 8.0,
         "seed": 8566257, "scheduler": "Euler", "width": 512, "height": 640,
         "model": "v1-5.safetensors", "random_source": TORCH}),
    "InvokeAI": Case(
        lambda: png(invokeai_metadata=json.dumps(INVOKE), invokeai_workflow="{}"),
        "InvokeAI",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 30, "guidance_scale": 7.5,
         "seed": 3, "scheduler": "DPM++ 2M Karras", "width": 512, "height": 640, "model": "dream",
         "model_hash": "blake3:ab", "clip_skip": 2, "random_source": TORCH,
         "loras": [("fog", 0.75)], "more": {"guidance_rescale": "0", "tiling": "x"}}),
    "InvokeAI 2": Case(
        lambda: png(**{"sd-metadata": json.dumps(INVOKE_2)}),
        "InvokeAI 2",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 50, "guidance_scale": 7.5,
         "seed": 42, "scheduler": "LMS", "width": 512, "height": 640,
         "model": "stable-diffusion-1.5", "model_hash": "cc6cb27"}),
    "InvokeAI 1": Case(
        lambda: png(Dream=DREAM),
        "InvokeAI 1",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 50, "guidance_scale": 7.5,
         "seed": 42, "scheduler": "LMS", "width": 512, "height": 640}),
    "Fooocus": Case(
        lambda: {
            **png(parameters=json.dumps(FOOOCUS), fooocus_scheme="fooocus"),
            **comments(FOOOCUS, {MAKER_NOTE: (7, b"fooocus")}, t0131=b"Fooocus v2.5.5\0")},
        "Fooocus",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 30, "guidance_scale": 4.0,
         "seed": 123, "scheduler": "DPM++ 2M SDE Karras", "width": 1152, "height": 896,
         "model": "jugg", "model_hash": "aeb7e9e689", "loras": [("fog", 0.1)]}),
    "Fooocus, A1111 scheme": Case(
        lambda: {
            **png(parameters=FOOOCUS_TEXT, fooocus_scheme="a1111"),
            **comments(FOOOCUS_TEXT, {MAKER_NOTE: (7, b"a1111")}, t0131=b"Fooocus v2.5.5\0")},
        "Fooocus",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 30, "guidance_scale": 4.0,
         "seed": 123, "scheduler": "DPM++ 2M SDE Karras", "width": 1152, "height": 896,
         "model": "jugg", "model_hash": "aeb7e9e689"}),
    "SwarmUI": Case(
        lambda: {**png(parameters=json.dumps(SWARM)), **comments(SWARM)},
        "SwarmUI",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 20, "guidance_scale": 7.0,
         "seed": 8, "scheduler": "Euler", "width": 512, "height": 512, "model": "dream",
         "model_hash": "0xab", "loras": [("fog", 0.5)]}),
    "Easy Diffusion": Case(
        lambda: {**png(**EASY), **comments(EASY)},
        "Easy Diffusion",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 25, "guidance_scale": 7.5,
         "seed": 7, "scheduler": "Euler a", "width": 512, "height": 512, "model": "dream",
         "clip_skip": 2}),
    "NovelAI": Case(
        lambda: png(Title="AI generated image", Description="a fox", Software="NovelAI",
                    Source="NovelAI Diffusion V3 7BCCAA2C", Comment=json.dumps(NOVELAI)),
        "NovelAI",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 28, "guidance_scale": 5.0,
         "seed": 9, "scheduler": "Euler a", "width": 832, "height": 1216,
         "model": "NovelAI Diffusion V3", "model_hash": "7bccaa2c"}),
    "NovelAI 4": Case(
        lambda: png(Description="a fox", Software="NovelAI", Source="NovelAI Diffusion V4 37442FCA",
                    Comment=json.dumps(NOVELAI_4)),
        "NovelAI",
        {"prompt": "a fox in fog", "negative_prompt": "blurry", "steps": 28, "seed": 9,
         "model": "NovelAI Diffusion V4"}),
    "Draw Things": Case(
        draw_things,
        "Draw Things",
        {"prompt": "a fox", "negative_prompt": "blurry", "steps": 20, "guidance_scale": 7.5,
         "seed": 77, "scheduler": "DPM++ 2M Karras", "width": 512, "height": 768,
         "model": "sd_v1.5_f16.ckpt", "strength": None, "random_source": None}),
    "Mochi Diffusion": Case(
        mochi,
        "Mochi Diffusion",
        {"prompt": "a fox; with a tail", "negative_prompt": "blurry", "steps": 20,
         "guidance_scale": 11.0, "seed": 42, "scheduler": "DPM++ 2M", "width": 512, "height": 768,
         "model": "sd-1-5", "random_source": NUMPY}),
    "mflux": Case(
        lambda: comments(MFLUX),
        "mflux",
        {"prompt": "a fox", "negative_prompt": "", "steps": 20, "guidance_scale": 3.5, "seed": 4,
         "width": 1024, "height": 768, "model": "dev", "loras": [("fog.safetensors", 0.9)]}),
}  # fmt: skip


def settings_of(data: bytes) -> Imported:
    found = read_settings(read_fields_of(io.BytesIO(data), "picture"))
    assert found is not None
    return found


def right(case: Case, found: Imported) -> list[str]:
    """Names of the fields that are as they were written."""
    checked = {"program": case.program, **case.expected}
    return [name for name, value in checked.items() if getattr(found, name) == value]


@pytest.mark.parametrize("name", CASES)
def test_every_field_is_right_in_every_container(name: str) -> None:
    case = CASES[name]
    for container, data in case.files().items():
        found = settings_of(data)
        wrong = {"program", *case.expected} - set(right(case, found))
        assert wrong == set(), (container, {field: getattr(found, field) for field in wrong})


# -- a foreign parser -------------------------------------------------------------------------

FOREIGN = ("A1111", "ComfyUI", "Fooocus", "NovelAI")
"""Programs that it knows in their present form.  It misses the model of InvokeAI's, which the name
moved in, and reads EXIF comments as big endian UTF-16 whatever they are."""


def foreign(data: bytes) -> Any:
    found = ParserManager().parse(io.BytesIO(data))
    assert found is not None and len(found.samplers) == 1
    return found.samplers[0]


@pytest.mark.parametrize("name", [*FOREIGN, "InvokeAI"])
def test_a_foreign_parser_reads_the_same(name: str) -> None:
    data = CASES[name].files()["PNG"]
    ours, theirs = settings_of(data), foreign(data)
    assert str(ours.seed) == str(theirs.parameters["seed"])
    assert ours.guidance_scale == float(theirs.parameters["cfg_scale"])
    if name != "NovelAI":  # it leaves NovelAI's steps among the rest
        assert str(ours.steps) == str(theirs.parameters["steps"])
    assert ours.sampler.split()[0] == theirs.name.split()[0]
    words = [prompt.value.strip() for prompt in theirs.prompts]
    if name == "A1111":  # it keeps the names of LoRAs in the prompt
        words = [words[0].replace(", <lora:foggy days:0.6>", "")]
        assert words == [ours.prompt.replace(" \n", "\n").replace(",\n", "\n")]
    else:
        assert words == [ours.prompt]
    assert [prompt.value for prompt in theirs.negative_prompts] == [ours.negative_prompt]
    if theirs.model is not None:
        assert theirs.model.name == ours.model


@pytest.mark.parametrize("prompt", ["a fox", "Füchse im Nebel, 狐", "a fox\nin the snow, at night"])
def test_a_foreign_parser_reads_what_we_write(prompt: str) -> None:
    request = PictureRequest(prompt, "", "blurry", 12, 3.5, "DPM++ 2M Karras", 5)
    data = forms.png({"parameters": parameters_text(PictureRecord(request, 128, 96, "Tiny"))})
    theirs = foreign(data)
    assert [p.value for p in theirs.prompts] == [prompt]
    assert [p.value for p in theirs.negative_prompts] == ["blurry"]
    assert (theirs.parameters["seed"], theirs.parameters["steps"]) == ("5", "12")
    assert float(theirs.parameters["cfg_scale"]) == 3.5
    assert theirs.model.name == "Tiny" and "DPM++ 2M" in theirs.name


def main() -> None:
    """Print how many fields are right, per program and container."""
    for name, case in CASES.items():
        files = case.files()
        total = len(case.expected) + 1
        counts = [len(right(case, settings_of(data))) for data in files.values()]
        print(f"{name:24}{len(files):4} files{sum(counts):6} of {total * len(files)} fields right")


if __name__ == "__main__":
    main()
