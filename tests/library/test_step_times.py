"""What a picture will take, by what was measured here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gui import paths
from gui.library import step_times
from gui.library.step_times import Pace, expected, measured, note, work_of
from gui.request import Enlargement, PictureRecord, PictureRequest
from tests.support.published_shapes import UNETS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path))


def record(width: int = 512, height: int = 512, **more: object) -> PictureRecord:
    request = PictureRequest("a fox", "", steps=20, scheduler="Euler")
    made = PictureRecord(request, width, height, "Tiny", "abc", seconds=23.0)
    return replace(made, **more)  # type: ignore[arg-type]


def test_what_was_measured_comes_back() -> None:
    note(record(), 1.0)
    (pace,) = measured("abc", "ALL")
    assert pace == Pace(512, 512, 1.0, 3.0)
    assert expected((pace,), (512, 512), 20, "Euler", xl=False) == pytest.approx(23.0)
    assert expected((pace,), (512, 512), 40, "Euler", xl=False) == pytest.approx(43.0)
    # a method of second order runs the UNet twice
    assert expected((pace,), (512, 512), 20, "Heun", xl=False) == pytest.approx(43.0)
    assert measured("abc", "CPU_ONLY") == () == measured("other", "ALL")
    assert expected((), (512, 512), 20, "Euler", xl=False) is None


def test_the_nearest_size_tells_of_others() -> None:
    note(record(), 1.0)
    note(record(1024, 1024), 8.0)
    paces = measured("abc", "ALL")
    near = expected(paces, (1024, 960), 20, "Euler", xl=False)
    assert near is not None and 130 < near < 165
    small = expected(paces, (512, 448), 20, "Euler", xl=False)
    assert small is not None and 18 < small < 23
    note(record(), 2.0)  # the latest counts
    assert expected(measured("abc", "ALL"), (512, 512), 20, "Euler", xl=False) == pytest.approx(40)


@pytest.mark.parametrize(("kind", "sizes"), [("sd1", (512, 1024)), ("sdxl", (1024, 1536))])
def test_attentions_part_grows_with_the_square(kind: str, sizes: tuple[int, int]) -> None:
    """As torch counts the multiplications of the published networks, which have no weights here."""
    import torch
    from diffusers import UNet2DConditionModel  # type: ignore[attr-defined]
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNETS[kind])
        context = torch.empty(1, 77, unet.config["cross_attention_dim"])
        added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        counts = []
        for side in sizes:
            sample = torch.empty(1, 4, side // 8, side // 8)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                unet(sample, torch.empty(()), context, added_cond_kwargs=added)
            counts.append(counter.get_total_flops())
    one, other = (work_of((side, side), xl=kind == "sdxl") for side in sizes)
    assert other / one == pytest.approx(counts[1] / counts[0], rel=0.1)


def test_an_enlarged_picture_is_noted_at_the_size_it_was_drawn() -> None:
    request = replace(record().request, enlargement=Enlargement.X4)
    note(record(request=request, width=2048, height=2048), 1.0)
    assert measured("abc", "ALL") == (Pace(512, 512, 1.0, 0.0),)


@pytest.mark.parametrize("text", ["", "[]", '{"abc ALL": 3}', '{"abc ALL": [{"width": 0}]}', "{"])
def test_whatever_the_file_holds(text: str) -> None:
    paths.cache_dir().mkdir(parents=True)
    (paths.cache_dir() / step_times.FILE_NAME).write_text(text)
    assert measured("abc", "ALL") == ()
    note(record(), 1.0)
    assert len(measured("abc", "ALL")) == 1


def test_what_says_nothing_is_not_noted() -> None:
    note(record(model_hash=""), 1.0)
    note(record(), 0.0)
    note(record(), float("nan"))
    assert not (paths.cache_dir() / step_times.FILE_NAME).exists()
