"""Settings out of other programs' pictures: every form they write, and forms that lie."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest

from gui.errors import SfumatoError
from gui.library.metadata.containers import Fields, read_fields_of
from gui.library.metadata.imported import Imported
from gui.library.metadata.samplers import our_scheduler
from gui.library.metadata.tools import read_parameters, read_settings
from gui.request import PictureRecord, PictureRequest, RandomSource
from tests.library.metadata import forms


def fields_of(data: bytes) -> Fields:
    return read_fields_of(io.BytesIO(data), "picture")


def settings_of(data: bytes) -> Imported:
    found = read_settings(fields_of(data))
    assert found is not None
    return found


def unmapped(found: Imported) -> dict[str, str]:
    return {u.name: u.value for u in found.unmapped}


# -- Automatic1111 ----------------------------------------------------------------------------

USER_COMMENT = 0x9286


def a1111_files() -> dict[str, bytes]:
    text = forms.A1111
    files = {
        "png text": forms.png({"parameters": text}),
        "png compressed": forms.png({"parameters": text}, compressed=True),
        "png beyond latin": forms.png({"parameters": text.replace("fox", "狐 fox")}),
    }
    for order in "<>":
        for charset in ("utf-16-be", "utf-16-le", "ascii", "utf-8"):
            block = forms.tiff_structure(
                {}, {USER_COMMENT: (7, forms.comment(text, charset))}, order=order
            )
            files[f"jpeg {order} {charset}"] = forms.picture("JPEG", exif=b"Exif\0\0" + block)
    block = forms.tiff_structure({}, {USER_COMMENT: (7, forms.comment(text))}, order=">")
    files["webp"] = forms.picture("WEBP", exif=block)
    files["avif"] = forms.picture("AVIF", exif=block)
    return files


@pytest.mark.parametrize(("name", "data"), a1111_files().items(), ids=list(a1111_files()))
def test_web_ui_text_is_read_from_every_container(name: str, data: bytes) -> None:
    fields = fields_of(data)
    assert (fields.width, fields.height) == (24, 16)
    found = settings_of(data)
    assert found.program == "Stable Diffusion web UI"
    assert found.prompt.endswith("(oil painting:1.2), \nsecond line") and "fox" in found.prompt
    assert found.negative_prompt == "blurry, ugly\nlowres"
    assert (found.steps, found.guidance_scale, found.seed) == (28, 6.5, 2**32 - 1)
    assert (found.scheduler, found.width, found.height) == ("DPM++ 2M Karras", 512, 768)
    assert (found.model, found.model_hash, found.strength) == ("dreamy", "0123456789", None)
    assert (found.clip_skip, found.random_source) == (2, RandomSource.TORCH)
    assert found.loras == [("foggy days", 0.6)]
    assert unmapped(found) == {"Denoising strength": "0.45", "Hires upscale": "2"}


def test_a_web_ui_that_names_no_random_source_used_the_gpu() -> None:
    found = read_parameters("a fox\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1")
    assert found is not None and found.random_source is RandomSource.NVIDIA
    assert found.scheduler == "Euler a" and found.negative_prompt == ""


def test_a_prompt_that_speaks_of_negative_prompts_is_no_error() -> None:
    found = read_parameters(
        "a sign that says Negative prompt: no\nNegative prompt: x\nNegative prompt: y\n"
        "Steps: 20, Sampler: Euler, Seed: 1"
    )
    assert found is not None
    assert found.prompt == "a sign that says Negative prompt: no"
    assert found.negative_prompt == "x\nNegative prompt: y"


def test_ordinary_text_is_no_settings() -> None:
    assert read_parameters("a letter: dear reader, yours") is None
    assert read_settings(fields_of(forms.png({"Comment": "hello", "Title": "x"}))) is None


def test_our_own_text_is_ours() -> None:
    from gui.library.picture_texts import parameters_text

    request = PictureRequest("a fox", "", "blurry", 12, 3.5, "Euler a", 5,
                             random_source=RandomSource.NUMPY)  # fmt: skip
    text = parameters_text(PictureRecord(request, 128, 96, "Tiny, the: model"))
    found = settings_of(forms.png({"parameters": text}))
    assert (found.program, found.model) == ("Sfumato", "Tiny, the: model")
    assert (found.scheduler, found.random_source) == ("Euler a", RandomSource.NUMPY)


# -- ComfyUI ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["png", "webp", "avif"])
def test_comfy_graphs_are_walked_to_the_sampler(place: str) -> None:
    graph = json.dumps(forms.COMFY)
    if place == "png":
        data = forms.png({"prompt": graph, "workflow": '{"nodes": []}'})
    else:
        block = forms.tiff_structure({0x0110: (2, f"prompt:{graph}\0".encode())})
        data = forms.picture(place.upper(), exif=block)
    found = settings_of(data)
    assert found.program == "ComfyUI"
    assert (found.prompt, found.negative_prompt) == ("a fox in fog", "blurry")
    assert (found.seed, found.steps, found.guidance_scale) == (99, 22, 5.5)
    assert (found.scheduler, found.width, found.height) == ("DPM++ 2M Karras", 640, 448)
    assert (found.model, found.loras) == ("dream.safetensors", [("fog.safetensors", 0.5)])
    assert found.strength is None and found.raw["prompt"] == graph


def test_comfys_custom_sampler_keeps_its_parts_apart() -> None:
    graph = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "xl.safetensors"}},
        "2": {"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": "a fox", "text_l": "fog"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": ""}},
        "4": {"class_type": "CFGGuider", "inputs": {
            "cfg": 3, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0]}},
        "5": {"class_type": "RandomNoise", "inputs": {"noise_seed": 12}},
        "6": {"class_type": "BasicScheduler", "inputs": {
            "scheduler": "normal", "steps": 9, "denoise": 0.4, "model": ["1", 0]}},
        "7": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler_ancestral"}},
        "8": {"class_type": "LoadImage", "inputs": {"image": "start.png"}},
        "9": {"class_type": "VAEEncode", "inputs": {"pixels": ["8", 0]}},
        "10": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["5", 0], "guider": ["4", 0], "sampler": ["7", 0], "sigmas": ["6", 0],
            "latent_image": ["9", 0]}},
        "11": {"class_type": "VAEDecode", "inputs": {"samples": ["10", 0]}},
        "12": {"class_type": "SaveImage", "inputs": {"images": ["11", 0]}},
    }  # fmt: skip
    found = settings_of(forms.png({"prompt": json.dumps(graph)}))
    assert (found.prompt, found.seed, found.steps) == ("a fox, fog", 12, 9)
    assert (found.guidance_scale, found.scheduler, found.strength) == (3.0, "Euler a", 0.4)
    assert (found.model, found.start_picture) == ("xl.safetensors", "start.png")


def test_a_cyclic_or_odd_graph_ends() -> None:
    cyclic = {str(k): {"class_type": "KSampler", "inputs": {
        "model": [str((k + 1) % 50), 0], "positive": [str((k * 7) % 50), 0],
        "latent_image": [str(k), 0], "samples": [str((k + 3) % 50), 0],
        "seed": [str((k + 1) % 50), 0]}} for k in range(50)}  # fmt: skip
    cyclic["s"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0]}}
    found = read_settings(fields_of(forms.png({"prompt": json.dumps(cyclic)})))
    assert found is None or found.program == "ComfyUI"
    for odd in ({"1": []}, {"1": {"class_type": None}}, {"1": {"class_type": "KSampler"}}):
        assert read_settings(fields_of(forms.png({"prompt": json.dumps(odd)}))) is None
    nan = json.dumps(forms.COMFY).replace("5.5", "NaN")
    assert settings_of(forms.png({"prompt": nan})).guidance_scale is None


def test_a_second_pass_is_named_and_left() -> None:
    graph = json.loads(json.dumps(forms.COMFY))
    graph["20"] = {"class_type": "KSampler", "inputs": {
        **graph["6"]["inputs"], "seed": 5, "denoise": 0.5, "latent_image": ["6", 0]}}  # fmt: skip
    graph["7"]["inputs"]["samples"] = ["20", 0]
    found = settings_of(forms.png({"prompt": json.dumps(graph)}))
    assert (found.seed, found.strength) == (99, None)
    assert "pass" in unmapped(found)


# -- the others -------------------------------------------------------------------------------

INVOKE = {
    "app_version": "4.2.0", "generation_mode": "txt2img", "positive_prompt": "a fox",
    "negative_prompt": "blurry", "width": 512, "height": 640, "seed": 3, "rand_device": "cpu",
    "cfg_scale": 7.5, "cfg_rescale_multiplier": 0, "steps": 30, "scheduler": "dpmpp_2m_k",
    "clip_skip": 1, "model": {"key": "k", "hash": "blake3:ab", "name": "dream", "base": "sd-1"},
    "loras": [{"model": {"name": "fog"}, "weight": 0.75}], "controlnets": [], "seamless_x": True,
}  # fmt: skip
FOOOCUS = {
    "prompt": "a fox", "negative_prompt": "blurry", "steps": 30, "resolution": "(1152, 896)",
    "guidance_scale": 4.0, "base_model": "jugg", "base_model_hash": "aeb7e9e689", "seed": "123",
    "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "loras": [["fog", 0.1, "hash"]],
    "performance": "Speed", "version": "Fooocus v2.5.5",
}  # fmt: skip
SWARM = {
    "sui_image_params": {
        "prompt": "a fox", "negativeprompt": "blurry", "model": "dream", "seed": 8, "steps": 20,
        "cfgscale": 7, "aspectratio": "1:1", "width": 512, "height": 512, "sampler": "euler",
        "scheduler": "normal", "loras": ["fog"], "loraweights": ["0.5"], "swarm_version": "0.9"},
    "sui_models": [{"name": "dream", "param": "model", "hash": "0xab"}],
}  # fmt: skip
EASY = {
    "prompt": "a fox", "negative_prompt": "blurry", "seed": "7", "use_vae_model": "None",
    "use_stable_diffusion_model": "dream", "sampler_name": "euler_a", "width": "512",
    "height": "512", "num_inference_steps": "25", "guidance_scale": "7.5", "clip_skip": "True",
    "tiling": "None",
}  # fmt: skip
NOVELAI = {
    "prompt": "a fox", "uc": "blurry", "steps": 28, "height": 1216, "width": 832, "scale": 5.0,
    "seed": 9, "sampler": "k_euler_ancestral", "noise_schedule": "karras", "sm": True,
    "signed_hash": "x",
}  # fmt: skip
MFLUX = {
    "mflux_version": "0.9.0", "model": "dev", "seed": 4, "steps": 20, "guidance": 3.5,
    "width": 1024, "height": 768, "quantize": 8, "prompt": "a fox", "negative_prompt": None,
    "lora_paths": ["/Users/me/loras/fog.safetensors"], "lora_scales": [0.9],
}  # fmt: skip


def user_comment(data: object, charset: str = "utf-16-be") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return forms.tiff_structure({}, {USER_COMMENT: (7, forms.comment(text, charset))}, order=">")


CASES = {
    "invoke": (forms.png({"invokeai_metadata": json.dumps(INVOKE)}), "InvokeAI",
               (30, 7.5, 3, "DPM++ 2M Karras", 512, 640, "dream", [("fog", 0.75)])),
    "fooocus": (forms.png({"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"}),
                "Fooocus", (30, 4.0, 123, "DPM++ 2M SDE Karras", 1152, 896, "jugg",
                            [("fog", 0.1)])),
    "swarm png": (forms.png({"parameters": json.dumps(SWARM)}), "SwarmUI",
                  (20, 7.0, 8, "Euler", 512, 512, "dream", [("fog", 0.5)])),
    "swarm jpeg": (forms.picture("JPEG", exif=b"Exif\0\0" + user_comment(SWARM)), "SwarmUI",
                   (20, 7.0, 8, "Euler", 512, 512, "dream", [("fog", 0.5)])),
    "easy png": (forms.png(EASY), "Easy Diffusion",
                 (25, 7.5, 7, "Euler a", 512, 512, "dream", [])),
    "easy jpeg": (forms.picture("JPEG", exif=b"Exif\0\0" + user_comment(EASY)), "Easy Diffusion",
                  (25, 7.5, 7, "Euler a", 512, 512, "dream", [])),
    "novelai": (forms.png({"Software": "NovelAI", "Source": "NAI Diffusion V3 ABC",
                           "Description": "a fox", "Comment": json.dumps(NOVELAI)}), "NovelAI",
                (28, 5.0, 9, "Euler a", 832, 1216, "NAI Diffusion V3 ABC", [])),
    "mflux": (forms.picture("WEBP", exif=user_comment(MFLUX, "ascii")), "mflux",
              (20, 3.5, 4, None, 1024, 768, "dev", [("fog.safetensors", 0.9)])),
    "draw things png": (forms.png({"XML:com.adobe.xmp": forms.xmp_packet({
        "exif:UserComment": forms.DRAW_THINGS, "xmp:CreatorTool": "Draw Things"}).decode()}),
        "Draw Things", (20, 7.5, 77, "DPM++ 2M Karras", 512, 768, "sd_v1.5_f16.ckpt",
                        [("fog.ckpt", 0.0)])),
    "draw things elements": (forms.png({"XML:com.adobe.xmp": forms.xmp_packet({
        "exif:UserComment": forms.DRAW_THINGS}, as_elements=True).decode()}),
        "Draw Things", (20, 7.5, 77, "DPM++ 2M Karras", 512, 768, "sd_v1.5_f16.ckpt",
                        [("fog.ckpt", 0.0)])),
    "draw things jpeg": (forms.picture("JPEG", exif=b"Exif\0\0" + user_comment(forms.DRAW_THINGS)),
        "Draw Things", (20, 7.5, 77, "DPM++ 2M Karras", 512, 768, "sd_v1.5_f16.ckpt",
                        [("fog.ckpt", 0.0)])),
    "mochi": (forms.png({"XML:com.adobe.xmp": forms.xmp_packet(
        {"dc:description": forms.MOCHI}, as_elements=True).decode()}), "Mochi Diffusion",
        (20, 11.0, 42, "DPM++ 2M", 512, 768, "sd-1-5", [])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_program_is_told_and_read(name: str) -> None:
    data, program, wanted = CASES[name]
    found = settings_of(data)
    assert found.program == program
    assert found.prompt.startswith("a fox")
    assert (
        found.steps, found.guidance_scale, found.seed, found.scheduler, found.width, found.height,
        found.model, found.loras,
    ) == wanted  # fmt: skip


def test_what_cannot_be_used_is_named_with_its_reason() -> None:
    draw = settings_of(CASES["draw things png"][0])
    assert "Draw Things’ own" in draw.remarks["seed"] and draw.random_source is None
    fooocus = settings_of(CASES["fooocus"][0])
    assert "performance" in unmapped(fooocus)
    assert settings_of(CASES["invoke"][0]).more["tiling"] == "x"
    assert settings_of(CASES["mochi"][0]).prompt == "a fox; with a tail"


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ('"a fox [blurry] in fog" -s 50 -S 42 -W 512 -H 640 -C 7.5 -A k_lms', "a fox in fog",
         "blurry"),
    ],
)  # fmt: skip
def test_invokes_first_form(text: str, prompt: str, negative: str) -> None:
    found = settings_of(forms.png({"Dream": text}))
    assert (found.prompt, found.negative_prompt) == (prompt, negative)
    assert (found.steps, found.seed, found.width, found.height) == (50, 42, 512, 640)
    assert found.scheduler == "LMS"


@pytest.mark.parametrize(
    ("sampler", "schedule", "ours"),
    [
        ("DPM++ 2M Karras", "", "DPM++ 2M Karras"),
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras"),
        ("DPM++ 2M", "Automatic", "DPM++ 2M"),
        ("dpmpp_2m_k", "", "DPM++ 2M Karras"),
        ("dpmpp_2m", "karras", "DPM++ 2M Karras"),
        ("k_euler_ancestral", "", "Euler a"),
        ("Euler Ancestral", "", "Euler a"),
        ("Euler", "SGM Uniform", "Euler"),
        ("uni_pc", "normal", "UniPC"),
        ("PLMS", "", "PNDM"),
        ("DPM2 a", "Karras", "DPM2 a Karras"),
        ("Restart", "", None),
        ("", "", None),
    ],
)
def test_sampler_names(sampler: str, schedule: str, ours: str | None) -> None:
    assert our_scheduler(sampler, schedule)[0] == ours


# -- odd and hostile --------------------------------------------------------------------------


def test_a_text_of_several_megabytes_is_read_and_one_beyond_the_limit_left_out() -> None:
    big = json.dumps({**forms.COMFY, "x": {"class_type": "Note", "inputs": {"t": "y" * 3_000_000}}})
    assert settings_of(forms.png({"prompt": big}, compressed=True)).seed == 99
    bomb = forms.png({"a": "x"})
    import zlib

    packed = zlib.compress(b"x" * 200_000_000, 9)
    data = bomb[:-12] + forms.chunk(b"zTXt", b"parameters\0\0" + packed) + bomb[-12:]
    fields = fields_of(data)
    assert "parameters" not in fields.texts and fields.left_out


def test_text_after_the_pixels_and_without_an_end_is_read() -> None:
    plain = forms.png({})
    data = plain[:-12] + forms.chunk(b"tEXt", b"parameters\0" + forms.A1111.encode())
    assert settings_of(data).steps == 28


def test_xmp_with_entities_is_refused_without_expanding_them() -> None:
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'
    )
    fields = fields_of(forms.picture("WEBP", xmp=bomb))
    assert fields.xmp == {} and fields.width == 24


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_are_read_as_far_as_they_go(seed: int) -> None:
    """Every form with random bytes changed, cut or doubled: fields, or one sentence."""
    rng = random.Random(seed)
    files = [*a1111_files().values(), *(data for data, _, _ in CASES.values())]
    for _ in range(12):
        data = bytearray(rng.choice(files))
        for _ in range(rng.randint(1, 30)):
            at = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randrange(1, 40)]
            elif kind == 2:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
            else:
                data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"])
            if len(data) < 20:
                break
        try:
            fields = fields_of(bytes(data))
        except SfumatoError as error:
            assert error.message.endswith(".")
        else:
            found = read_settings(fields)
            assert found is None or isinstance(found.prompt, str)


def test_what_is_no_picture_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match="no picture that can be read"):
        fields_of(b"dear reader, this is a letter and no picture")
    with pytest.raises(SfumatoError, match="no picture"):
        fields_of(b"")
