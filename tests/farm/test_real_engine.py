"""A farm with real engines and real model files: what another Mac draws is what this one would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from gui.library.picture_record import read_record
from gui.request import PictureRequest
from gui.start_image import StartImage
from tests.support.farm import Mac, free_port, until
from tests.support.tiny_models import TinyModel


def test_another_mac_draws_the_same_with_a_picture_from_here_and_a_model_from_here(
    mac: Callable[..., Mac], tiny_sd1: TinyModel, tmp_path: Path
) -> None:
    first, second = mac("First", ""), mac("Second", "")
    model = first.home / "data/Models/Tiny Model"
    shutil.copytree(tiny_sd1.folder, model)
    second.join(first.start(free_port(), "--no-draw"))

    # The model is missing there: nothing is copied before somebody says so.
    start = tmp_path / "my beginning.png"
    Image.linear_gradient("L").convert("RGB").resize((64, 64)).save(start)
    mask = tmp_path / "my mask.png"
    Image.linear_gradient("L").rotate(90).resize((64, 64)).save(mask)
    request = PictureRequest(
        "a fox", str(model), steps=2, seed=11, count=2,
        start_image=StartImage(str(start), 0.8, mask=str(mask)),
    )  # fmt: skip
    (job_id,) = first.ask(request)
    (offer,) = until(lambda: first.status()["offers"])
    assert offer["member_name"] == "Second"
    assert "No Mac that is here has" in first.status()["remarks"][0]
    assert not (second.home / "data/Models").exists()
    assert f"Second lacks “{offer['model_name']}”" in first.cli("farm", "status").stdout
    assert first.cli("farm", "copy", offer["model_name"], "Second").returncode == 0
    (job,) = first.wait(job_id)
    copied = [p for p in (second.home / "data/Models").rglob("*") if p.is_file()]
    ours = [p for p in model.rglob("*") if p.is_file()]
    assert len(copied) == len(ours)
    assert second.pictures() == []

    # The same by this Mac's own engine, whose queue it is again.
    first.stop()
    (own_id,) = first.ask(request)
    assert first.cli("queue", "run", "--quiet").returncode == 0
    own = first.job(own_id)
    for theirs, mine in zip(job.pictures, own.pictures, strict=True):
        one, other = read_record(Path(theirs)), read_record(Path(mine))
        assert one is not None and other is not None
        gone = {"created": "", "seconds": 0.0, "job": ""}
        assert replace(one, **gone) == replace(other, **gone)
        assert one.job == job_id
        with Image.open(theirs) as a, Image.open(mine) as b:
            assert a.tobytes() == b.tobytes()
