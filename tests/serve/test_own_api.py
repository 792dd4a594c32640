"""Sfumato's own API: queue, events, pictures, models."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from gui.library.picture_record import read_record
from tests.serve.conftest import Served, picture
from tests.serve.test_web_ui import until


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_from_the_queue_to_the_gallery(fresh: Served) -> None:
    fresh.ask("PUT", "/api/v1/queue/paused", json={"paused": True})
    first, second, third = [
        fresh.post("/api/v1/queue", {"request": {"prompt": f"{name} house", "seed": 3, "steps": 2}})
        for name in ("red", "blue", "green")
    ]
    assert first["status"] == "queued" and first["request"]["model"] == "Sfumato Starter"
    moved = fresh.post(f"/api/v1/queue/{third['id']}/move", {"before": first["id"]})
    assert [job["id"] for job in moved["jobs"]] == [third["id"], first["id"], second["id"]]
    assert fresh.ask("DELETE", f"/api/v1/queue/{second['id']}").status_code == 204
    assert fresh.ask("GET", f"/api/v1/queue/{second['id']}").status_code == 404
    told = fresh.get("/api/v1/queue")
    assert told["paused"] and len(told["jobs"]) == 2
    fresh.ask("PUT", "/api/v1/queue/paused", json={"paused": False})
    until(lambda: fresh.get(f"/api/v1/queue/{first['id']}")["status"] == "done")
    found = fresh.get("/api/v1/pictures?words=house")
    numbers = {one["prompt"]: one["number"] for one in found["pictures"]}
    assert numbers.keys() == {"red house", "green house"} and found["total"] == 2
    number = numbers["red house"]
    assert fresh.get(f"/api/v1/queue/{first['id']}")["pictures"] == [number]
    sent = fresh.ask("GET", f"/api/v1/pictures/{number}")
    assert sent.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(sent.content)).size == (16, 16)
    again = {"prompt": "from it", "start_image": {"path": f"picture:{number}", "strength": 0.3}}
    job = fresh.post("/api/v1/queue", {"request": again})
    until(lambda: fresh.get(f"/api/v1/queue/{job['id']}")["status"] == "done")
    assert fresh.get("/api/v1/models") == [{"name": "Sfumato Starter", "chosen": True}]


def test_what_happens_is_followed(fresh: Served) -> None:
    news: list[tuple[str, Any]] = []

    def follow() -> None:
        with fresh.ask("GET", "/api/v1/events", stream=True) as answer:
            name = ""
            for line in map(str, answer.iter_lines(decode_unicode=True)):
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    news.append((name, json.loads(line.removeprefix("data: "))))
                if name == "ended" and line == "":
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    until(lambda: news)
    prompt = "steps=8 sleep=0.1"
    job = fresh.post("/api/v1/queue", {"request": {"prompt": prompt}, "keep": False})
    thread.join(30)
    names = [name for name, _ in news]
    assert names[0] == "queue" and names.count("picture") == names.count("ended") == 1
    steps = [data for name, data in news if name == "step" and data["steps"]]
    assert steps and all(data["job"] == job["id"] for data in steps)
    assert steps[-1]["preview"].startswith("data:image/jpeg;base64,")
    assert [data["step"] for data in steps] == sorted(data["step"] for data in steps)
    assert news[-1][1] == {"job": job["id"], "status": "done", "error": None}


def test_one_that_runs_is_stopped(served: Served) -> None:
    request = {"prompt": "steps=1000 sleep=0.05 stopped"}
    job = served.post("/api/v1/queue", {"request": request})["id"]
    until(lambda: served.get(f"/api/v1/queue/{job}")["status"] == "running")
    assert served.ask("DELETE", f"/api/v1/queue/{job}").status_code == 204
    until(lambda: served.get(f"/api/v1/queue/{job}")["status"] == "cancelled")
    assert served.ask("DELETE", f"/api/v1/queue/{job}").status_code == 204
    assert served.ask("GET", f"/api/v1/queue/{job}").status_code == 404


def test_an_upload_is_started_from(served: Served) -> None:
    upload = served.ask("POST", "/api/v1/uploads", data=png(picture(20, 12, "blue")))
    assert upload.status_code == 201 and upload.json()["width"] == 20
    path = f"upload:{upload.json()['id']}"
    request = {"prompt": "uploaded", "seed": 9, "start_image": {"path": path, "mask": path}}
    job = served.post("/api/v1/queue", {"request": request})
    assert "/" not in job["request"]["start_image"]["path"]
    until(lambda: served.get(f"/api/v1/queue/{job['id']}")["status"] == "done")
    (made,) = [each for each in served.jobs() if each.request.prompt == "uploaded"]
    record = read_record(Path(made.pictures[0]))
    assert record is not None and record.request.seed == 9


REFUSED = [
    ({"start_image": {"path": "/etc/hosts"}}, 422),
    ({"start_image": {"path": "upload:../../secret"}}, 404),
    ({"start_image": {"path": "picture:99999999"}}, 404),
    ({"model": "/etc"}, 404),
    ({"refiner": "/tmp/x"}, 404),
    ({"upscaler": "/tmp/x.mlmodel"}, 404),
    ({"depth_map": "~/x.png"}, 422),
    ({"loras": [{"name": "/tmp/x.safetensors"}]}, 404),
    ({"controls": [{"network": "/tmp/x.mlpackage", "picture": ""}]}, 404),
    ({"output_dir": "/tmp"}, 422),
    ({"output_file": "/tmp/x.png"}, 422),
    ({"width": -64}, 422),
    ({"steps": 151}, 422),
    ({"branch": {"step": 1, "earlier": {"prompt": "b", "model": "", "start_image":
        {"path": "/etc/hosts"}}}}, 422),
]  # fmt: skip


@pytest.mark.parametrize(("more", "status"), REFUSED, ids=[str(each[0]) for each in REFUSED])
def test_no_path_from_outside_is_opened(served: Served, more: dict[str, Any], status: int) -> None:
    body = {"request": {"prompt": "refused", **more}}
    answer = served.ask("POST", "/api/v1/queue", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].count(". ") <= 1
    assert not any(job.request.prompt == "refused" for job in served.jobs())


def test_no_folder_of_the_person_is_told(served: Served) -> None:
    served.post("/sdapi/v1/txt2img", {"prompt": "where"})
    texts = [
        served.ask("GET", path).text
        for path in ("/api/v1/queue", "/api/v1/models", "/api/v1/pictures", "/sdapi/v1/sd-models",
                     "/sdapi/v1/options", "/openapi.json")
    ]  # fmt: skip
    assert not [text for text in texts if str(served.home) in text]


def test_it_is_described(served: Served) -> None:
    told = served.get("/openapi.json")
    assert (
        told["openapi"].startswith("3.")
        and {"token", "password"} <= told["components"]["securitySchemes"].keys()
    )
    paths = told["paths"]
    for path in ("/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/api/v1/queue", "/api/v1/events"):
        assert path in paths
    body = paths["/sdapi/v1/txt2img"]["post"]["requestBody"]["content"]["application/json"]
    schema = told["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
    assert {"prompt", "sampler_name", "n_iter"} <= schema["properties"].keys()
    unknown = served.ask("GET", "/sdapi/v1/interrogate")
    assert unknown.status_code == 404 and "openapi.json" in unknown.json()["detail"]


def test_events_have_an_end(served: Served) -> None:
    streams: list[requests.Response] = []
    try:
        for _ in range(40):
            streams.append(served.ask("GET", "/api/v1/events", stream=True))
        statuses = [stream.status_code for stream in streams]
        assert statuses == [200] * 32 + [503] * 8
    finally:
        for stream in streams:
            stream.close()
    until(lambda: served.ask("GET", "/api/v1/events", stream=True).status_code == 200)
