"""Programs that speak the API of A1111's web UI: a published client of it, and requests as its
documentation gives them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import webuiapi
from PIL import Image

from gui.library.job import JobStatus
from gui.library.picture_record import read_record
from gui.scheduler_names import SCHEDULER_NAMES
from tests.serve.conftest import Served, encoded, opened, picture


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture
def client(served: Served) -> Any:
    """A published client; what its methods give back has no types."""
    return webuiapi.WebUIApi(
        served.host, served.port, username="anybody", password=served.token, steps=3
    )


def test_the_published_client_gets_its_pictures(client: Any, served: Served) -> None:
    made = client.txt2img(
        prompt="a shown fox", negative_prompt="blurry", seed=1003, steps=2, n_iter=2, batch_size=2,
        cfg_scale=6.5, sampler_name="DPM++ 2M", scheduler="karras", save_images=True,
    )  # fmt: skip
    assert len(made.images) == 4
    assert made.info["all_seeds"] == [1003, 1004, 1005, 1006]
    assert made.info["seed"] == 1003 and made.parameters["prompt"] == "a shown fox"
    for image, infotext in zip(made.images, made.info["infotexts"], strict=True):
        assert image.info["parameters"] == infotext, "the settings are inside"
        assert "Negative prompt: blurry" in infotext and "CFG scale: 6.5" in infotext
        assert "Sampler: DPM++ 2M Karras" in infotext
    kept = [path for path in served.pictures.rglob("*.png") if "-a-shown-fox" in path.name]
    assert len(kept) == 4, "what is to be saved is in the gallery"


def test_what_is_not_to_be_saved_leaves_no_trace(client: Any, served: Served) -> None:
    made = client.txt2img(prompt="a secret", seed=7)
    assert opened(made.json["images"][0]).size == (16, 16)
    until(lambda: not any("secret" in job.request.prompt for job in served.jobs()))
    until(lambda: not [*(served.home / "cache" / "Answers").glob("*.png")])
    assert not [path for path in served.pictures.rglob("*.png") if "secret" in path.name]


def test_without_a_word_pictures_are_saved(served: Served) -> None:
    told = served.post("/sdapi/v1/txt2img", {"prompt": "kept by default", "steps": 2})
    (job,) = [job for job in served.jobs() if job.request.prompt == "kept by default"]
    assert job.status is JobStatus.DONE
    record = read_record(Path(job.pictures[0]))
    assert record is not None and json.loads(told["info"])["seed"] == record.request.seed


def test_minus_one_is_a_random_seed(served: Served) -> None:
    body = {"prompt": "seeds", "seed": -1, "subseed": -1, "subseed_strength": 0.2,
            "do_not_save_samples": True}  # fmt: skip
    found = [json.loads(served.post("/sdapi/v1/txt2img", body)["info"]) for _ in range(2)]
    assert found[0]["seed"] != found[1]["seed"] and min(one["seed"] for one in found) >= 0
    assert found[0]["subseed"] != found[1]["subseed"] and found[0]["subseed_strength"] == 0.2


def test_variations_count_their_subseed_up(served: Served) -> None:
    body = {"prompt": "varied", "seed": 5, "subseed": 90, "subseed_strength": 0.5, "n_iter": 2,
            "save_images": False}  # fmt: skip
    info = json.loads(served.post("/sdapi/v1/txt2img", body)["info"])
    assert info["all_seeds"] == [5, 5] and info["all_subseeds"] == [90, 91]


def test_what_means_nothing_here_is_named(served: Served) -> None:
    body = {"prompt": "odd", "restore_faces": True, "s_churn": 3, "quantum": 1, "eta": None,
            "override_settings": {"sd_vae": "my.vae.pt", "CLIP_stop_at_last_layers": 2},
            "alwayson_scripts": {"ADetailer": {"args": [True, {"ad_model": "face.pt"}]}},
            "styles": ["Watercolour", "Nobody's"], "save_images": False}  # fmt: skip
    info = json.loads(served.post("/sdapi/v1/txt2img", body)["info"])
    assert info["ignored"].keys() == {
        "restore_faces", "s_churn", "quantum", "override_settings.sd_vae",
        "alwayson_scripts.ADetailer", "styles: Nobody's",
    }  # fmt: skip
    assert info["clip_skip"] == 2 and info["styles"] == ["Watercolour"]
    assert info["prompt"].startswith("watercolour painting of odd")


def test_pictures_from_pictures(client: Any, served: Served) -> None:
    mask = Image.new("L", (20, 10), 0)
    mask.paste(255, (0, 0, 10, 10))
    client.img2img(
        images=[picture(20, 10, "blue")], mask_image=mask, prompt="painted in", seed=3,
        denoising_strength=0.4, mask_blur=4, inpainting_fill=2, inpaint_full_res=False,
        inpainting_mask_invert=1, width=256, height=128, save_images=True,
    )  # fmt: skip
    (job,) = [job for job in served.jobs() if job.request.prompt == "painted in"]
    start = job.request.start_image
    assert start is not None and (start.strength, start.masked_content) == (0.4, "noise")
    assert (start.mask_feather, start.mask_inverted, start.inpaint_area) == (10, True, "whole")
    assert (job.request.width, job.request.height) == (256, 128)
    with Image.open(start.path) as sent, Image.open(start.mask) as masked:
        assert sent.size == masked.size == (256, 128)
        assert sent.getpixel((200, 100)) == (0, 0, 255)
        assert [masked.convert("L").getpixel((x, 60)) for x in (20, 230)] == [255, 0]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_data_address_is_a_picture_like_any(served: Served, form: str) -> None:
    address = f"data:image/{form.lower()};base64,{encoded(picture(), form)}"
    body = {"init_images": [address], "prompt": f"from {form}", "save_images": False}
    assert len(served.post("/sdapi/v1/img2img", body)["images"]) == 1


def test_progress_is_told_with_previews(served: Served) -> None:
    made: list[Any] = []
    body = {"prompt": "steps=30 sleep=0.05", "save_images": False}
    thread = threading.Thread(target=lambda: made.append(served.post("/sdapi/v1/txt2img", body)))
    thread.start()

    def seen() -> Any:
        told = served.get("/sdapi/v1/progress")
        return told if 0 < told["progress"] < 1 and told["current_image"] else None

    told = until(seen)
    assert told["state"]["sampling_steps"] == 30 and told["state"]["sampling_step"] > 0
    red, green, blue = opened(told["current_image"]).convert("RGB").tobytes()[:3]
    assert (green, blue) == (0, 7) and 0 < red <= 30, "the stand-in's preview of a step"
    assert served.get("/sdapi/v1/progress?skip_current_image=true")["current_image"] is None
    thread.join()
    assert len(made[0]["images"]) == 1
    assert served.get("/sdapi/v1/progress")["progress"] == 0


def test_skip_and_interrupt(served: Served) -> None:
    made: list[Any] = []
    body = {"prompt": "steps=100 sleep=0.05", "n_iter": 3, "save_images": False, "seed": 1}
    thread = threading.Thread(target=lambda: made.append(served.post("/sdapi/v1/txt2img", body)))
    thread.start()

    def job_number() -> int:
        state = served.get("/sdapi/v1/progress?skip_current_image=true")["state"]
        return state["job_no"] if state["sampling_step"] else -1

    def step() -> int:
        return served.get("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"]

    until(lambda: job_number() == 0)
    served.post("/sdapi/v1/skip")
    until(lambda: job_number() == 1)
    told = step()
    until(lambda: step() != told)  # of the second one, not the last of the first
    served.post("/sdapi/v1/interrupt")
    thread.join(30)
    assert not thread.is_alive()
    note = json.loads(made[0]["info"])["notes"][-1]
    assert note == "It was stopped; the last picture is the preview of where it was."
    # As the web UI: what there was of the one that was skipped, and of the one that was stopped.
    assert len(made[0]["images"]) == 2
    for text in made[0]["images"]:
        red, green, blue = opened(text).convert("RGB").tobytes()[:3]
        assert (green, blue) == (0, 7) and 0 < red <= 100, "the stand-in's preview of a step"
    until(lambda: not list(served.home.rglob("answer*.png")))


def test_a_program_that_hangs_up_has_nothing_made(served: Served) -> None:
    body = {"prompt": "steps=1000 sleep=0.05 hangs-up", "save_images": False}
    with pytest.raises(requests.exceptions.ReadTimeout):
        served.ask("POST", "/sdapi/v1/txt2img", json=body, timeout=1.0)
    until(lambda: not any("hangs-up" in job.request.prompt for job in served.jobs()))


def test_what_there_is(client: Any, served: Served) -> None:
    assert [one["name"] for one in client.get_samplers()] == [s.name for s in SCHEDULER_NAMES]
    assert [one["title"] for one in client.get_sd_models()] == ["Sfumato Starter"]
    assert {"Drawings x4", "Photographs x4"} <= {one["name"] for one in client.get_upscalers()}
    assert [one["label"] for one in client.get_schedulers()] == ["Automatic", "Karras"]
    assert client.util_get_current_model() == "Sfumato Starter"
    assert client.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert client.get_cmd_flags()["api"] and client.get_memory()["ram"]["total"] > 0
    assert "Watercolour" in [one["name"] for one in client.get_prompt_styles()]
    assert client.get_loras() == client.get_hypernetworks() == client.get_sd_vae() == []
    assert client.controlnet_version() == 2 and "canny" in client.controlnet_module_list()
    assert client.controlnet_model_list() == []
    assert client.refresh_checkpoints() is None and client.get_scripts()["txt2img"]
    assert served.get("/internal/ping") == {}


def test_options_count_from_then_on(fresh: Served) -> None:
    told = fresh.post("/sdapi/v1/options", {"CLIP_stop_at_last_layers": 2, "no_such": 1})
    assert told == {"ignored": {"no_such": "there is no such option here"}}
    assert fresh.get("/sdapi/v1/options")["CLIP_stop_at_last_layers"] == 2
    info = json.loads(fresh.post("/sdapi/v1/txt2img", {"prompt": "a"})["info"])
    assert info["clip_skip"] == 2
    answer = fresh.ask("POST", "/sdapi/v1/options", json={"sd_model_checkpoint": "v1-5"})
    assert answer.status_code == 404 and "“v1-5”" in answer.json()["detail"]


def test_what_made_a_picture(client: Any) -> None:
    made = client.txt2img(prompt="read again", seed=11, steps=4)
    told = client.png_info(made.image)
    assert told.info == made.info["infotexts"][0]
    assert told.parameters["Seed"] == "11" and told.parameters["Prompt"] == "read again"


def test_pictures_are_enlarged(client: Any) -> None:
    image = picture(32, 24, "green")
    plain = client.extra_single_image(image, upscaler_1="Lanczos", upscaling_resize=3)
    assert plain.image.size == (96, 72)
    by_network = client.extra_single_image(image, upscaler_1="R-ESRGAN 4x+ Anime6B")
    assert by_network.image.size == (64, 48)
    red, green, blue = by_network.image.convert("RGB").crop((30, 20, 31, 21)).tobytes()
    assert green > 90 and max(red, blue) < 40
    several = client.extra_batch_images(
        [image, picture(8, 8)], upscaler_1="None", resize_mode=1,
        upscaling_resize_w=40, upscaling_resize_h=40, gfpgan_visibility=1,
    )  # fmt: skip
    assert [one.size for one in several.images] == [(40, 40)] * 2
    assert "gfpgan_visibility is ignored" in several.info


def test_a_second_pass_comes_in_the_size_that_was_asked_for(client: Any) -> None:
    """Whatever the networks enlarge by; what made it is told as ever."""
    made = client.txt2img(
        prompt="hires", seed=3, enable_hr=True, hr_scale=1.5, save_images=True, width=128,
        height=128,
    )  # fmt: skip
    assert made.image.size == (192, 192)
    assert made.info["width"] == 192
    assert "scaled down to 1.5; 2 times as large in Sfumato" in made.info["ignored"]["hr_scale"]
    assert client.png_info(made.image).info == made.info["infotexts"][0]


def test_control_pictures_are_made(client: Any) -> None:
    image = picture(64, 64, "black")
    image.paste("white", (16, 16, 48, 48))
    told = client.controlnet_detect([image], module="canny", processor_res=64)
    edges = told.image.convert("L")
    assert edges.size == (64, 64) and edges.getextrema() == (0, 255)
    assert edges.getpixel((32, 32)) == 0


def test_thresholds_are_the_modules_own(client: Any) -> None:
    """Low ones find a faint square, high ones do not; nonsense is the usual."""
    image = picture(64, 64, "black")
    image.paste((40, 40, 40), (16, 16, 48, 48))

    def has_edges(**thresholds: float) -> bool:
        told = client.controlnet_detect([image], module="canny", processor_res=64, **thresholds)
        return told.image.convert("L").getextrema() == (0, 255)

    assert has_edges(threshold_a=20, threshold_b=40)
    assert not has_edges(threshold_a=200, threshold_b=250)
    assert has_edges(threshold_a=-1, threshold_b=100)


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("sampler", "txt2img", {"sampler_name": "Eular a"}, 404, "Did you mean"),
    ("size", "txt2img", {"width": -512, "height": 512}, 422, "positive"),
    ("large", "txt2img", {"width": 90000, "height": 512}, 422, "The width"),
    ("steps", "txt2img", {"steps": 100000}, 422, "150 steps"),
    ("no steps", "txt2img", {"steps": 0}, 422, "The number of steps"),
    ("count", "txt2img", {"n_iter": 100, "batch_size": 8}, 422, "64 pictures"),
    ("nothing", "txt2img", {"n_iter": 0}, 422, "64 pictures"),
    ("strength", "img2img", {"init_images": ["$"], "denoising_strength": 7}, 422, "strength"),
    ("no picture", "img2img", {}, 404, "init image"),
    ("a path", "img2img", {"init_images": ["/etc/passwd"]}, 422, "init image 1"),
    ("an address", "img2img", {"init_images": ["http://127.0.0.1/a.png"]}, 422, "base64"),
    ("script", "txt2img", {"script_name": "X/Y/Z plot"}, 422, "script"),
    ("model", "txt2img", {"override_settings": {"sd_model_checkpoint": "../../x"}}, 404, "model"),
    ("type", "txt2img", {"seed": "x"}, 422, "“seed”"),
    ("net", "txt2img", {"alwayson_scripts": {"controlnet": {"args": [
        {"model": "/etc/passwd", "image": "$"}]}}}, 404, "ControlNet"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "where", "body", "status", "said"), BAD, ids=[b[0] for b in BAD])
def test_bad_input_is_one_sentence_and_starts_nothing(
    served: Served, name: str, where: str, body: dict[str, Any], status: int, said: str
) -> None:
    text = json.dumps({"prompt": f"bad {name}", **body}).replace("$", encoded(picture()))
    headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
    answer = served.ask("POST", f"/sdapi/v1/{where}", data=text, headers=headers)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert said in detail and detail.count(". ") <= 1 and "Traceback" not in detail
    assert not any(job.request.prompt == f"bad {name}" for job in served.jobs())


def test_a_lora_is_never_a_path(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "secret.safetensors"
    file.write_bytes(b"\2\0\0\0\0\0\0\0{}")
    body = {"prompt": f"a fox <lora:{file}:0.5>", "save_images": False}
    info = json.loads(served.post("/sdapi/v1/txt2img", body)["info"])
    assert list(info["ignored"].values()) == ["there is no LoRA of this name"]
    assert info["prompt"] == "a fox"


def test_a_failure_is_told_as_its_sentence(served: Served) -> None:
    answer = served.ask("POST", "/sdapi/v1/txt2img", json={"prompt": "error=unsupported"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "A sentence for a person.")
