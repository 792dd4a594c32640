"""A farm of real processes on the loopback, each Mac with a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from gui.farm.config import meanwhile
from gui.library.picture_record import read_record
from gui.request import PictureRequest
from tests.support.farm import Mac, free_port, until


def test_one_queue_is_drawn_by_two_macs(mac: Callable[..., Mac]) -> None:
    """Seeds and order are kept, and nothing is left over on either."""
    first, second, third = mac("First"), mac("Second"), mac("Third")
    code = first.start(free_port())
    second.join(code)
    (job_id,) = first.ask(PictureRequest("steps=3 sleep=0.1", "", seed=70, count=6))
    (job,) = first.wait(job_id)
    records = [read_record(Path(path)) for path in job.pictures]
    assert [r.request.seed for r in records if r] == [70, 71, 72, 73, 74, 75]
    assert {r.job for r in records if r} == {job_id}
    assert sorted(map(str, first.pictures())) == sorted(job.pictures)
    assert second.pictures() == []
    made = {seat["name"]: seat["pictures"] for seat in first.status()["seats"]}
    assert made["First"] + made["Second"] == 6
    assert min(made.values()) >= 1
    # Each Mac's queue is everybody's.
    (job_id,) = second.ask(PictureRequest("steps=3 sleep=0.1", "", seed=5, count=4))
    second.wait(job_id)
    assert len(second.pictures()) == 4
    held = [each.home / "data/Farm/Held" for each in (first, second)]
    until(lambda: not [file for folder in held for file in folder.glob("*")])
    # A code is good once.
    refused = third.cli("farm", "join", "--file", str(code), "--no-bonjour")
    assert refused.returncode == 1
    assert "used before" in refused.stderr
    assert "make a new join code" in refused.stderr
    assert not (third.home / "data/Farm/farm.json").exists()
    again = third.home / "another code"
    again.write_text(first.cli("farm", "invite").stdout)
    third.join(again)
    assert {s["name"] for s in first.status()["seats"]} == {"First", "Second", "Third"}
    third.stop()
    assert third.cli("farm", "leave").returncode == 0
    assert {s["name"] for s in first.status()["seats"]} == {"First", "Second"}
    assert "in no farm" in third.cli("farm", "status").stderr


def test_what_is_taken_off_or_fails_is_not_drawn_and_the_rest_goes_on(
    mac: Callable[..., Mac],
) -> None:
    first = mac("First")
    first.start(free_port())
    slow, off, bad, gone, deadly, good = first.ask(
        PictureRequest("steps=9000 sleep=0.1", "", seed=1),
        PictureRequest("steps=1", "", seed=2),
        PictureRequest("error=memory", "", seed=1),
        PictureRequest("", str(first.home / "no model"), seed=1),
        PictureRequest("crash_at=1", "", seed=1),
        PictureRequest("steps=1", "", seed=3),
    )
    first.wait(slow, status="running")
    assert first.cli("queue", "remove", off[:8]).returncode == 0
    first.stop_job(slow)
    first.wait(slow, status="cancelled")
    first.wait(good)
    first.wait(bad, gone, deadly, status="failed")
    error = first.job(bad).error
    assert error is not None
    assert error.message == "A sentence for a person."
    assert len(first.pictures()) == 1
    # The queue is nobody else's while the farm has it, and is after that.
    refused = first.cli("queue", "run")
    assert refused.returncode == 1
    assert "The Macs of the farm make what is in line" in refused.stderr
    # Even where nobody could say so.
    first.kill()
    assert first.cli("queue", "run", "--quiet").returncode == 0


def test_a_lora_that_is_missing_is_brought_where_that_is_allowed(mac: Callable[..., Mac]) -> None:
    first, second = mac("First"), mac("Second")
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    source = first.home / "data/LoRAs/Ink.safetensors"
    source.parent.mkdir(parents=True)
    down, up = np.zeros((4, 32), np.float16), np.zeros((32, 4), np.float16)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, source)
    second.join(first.start(free_port(), "--no-draw"))
    (job_id,) = first.ask(PictureRequest("steps=1 <lora:ink:0.5>", "", seed=1))
    (offer,) = until(lambda: first.status()["offers"])
    assert (offer["kind"], offer["model_name"], offer["state"]) == ("lora", "Ink", "")
    assert "Second lacks the LoRA “Ink”" in first.cli("farm", "status").stdout
    assert not (second.home / "data/LoRAs").exists()
    second.stop()
    second.join(None, "--bring", "0.001")
    first.wait(job_id)
    assert (second.home / "data/LoRAs/Ink.safetensors").read_bytes() == source.read_bytes()


def test_whoever_dies_loses_nothing(mac: Callable[..., Mac]) -> None:
    """One that draws, the one with the scheduler, and the one that asks, in turn."""
    first, second, third = mac("First"), mac("Second", SFUMATO_FARM_PATIENCE="0.2"), mac("Third")
    port = free_port()
    second.join(first.start(port))
    code = third.home / "code"
    code.write_text(first.cli("farm", "invite").stdout)
    third.join(code)
    requests = [PictureRequest("steps=4 sleep=0.1", "", seed=10 * k, count=4) for k in range(10)]
    ids = second.ask(*requests)
    until(lambda: len(second.pictures()) >= 2)
    third.kill()
    until(lambda: len(second.pictures()) >= 8)
    first.kill()
    until(lambda: meanwhile(True) in second.said())
    alone = len(second.pictures())
    until(lambda: len(second.pictures()) >= alone + 3)
    first.start(port)
    until(lambda: len(second.pictures()) >= alone + 8)
    second.kill()
    second.join()
    jobs = second.wait(*ids)
    for job, request in zip(jobs, requests, strict=True):
        records = [read_record(Path(path)) for path in job.pictures]
        assert [record.request.seed for record in records if record] == request.seeds()
    assert len(second.pictures()) == 40  # nothing twice
