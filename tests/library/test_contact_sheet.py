"""The contact sheet of a grid, read back as a picture and as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gui.axes import make_grid, parse_axis
from gui.grid import Grid
from gui.library import contact_sheet
from gui.library.contact_sheet import draw_sheet, save_sheet
from gui.library.job import JobStatus
from gui.library.picture_record import read_record
from gui.library.picture_scan import facts_of
from gui.library.picture_texts import png_of, png_texts
from gui.library.queue import JobStore
from gui.library.queue_grids import FinishedGrid
from gui.request import PictureRecord, PictureRequest

COLOURS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff", "#ff00ff")
LONG = "a very long prompt of many words " * 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    opened = JobStore(tmp_path / "queue.sqlite3")
    yield opened
    opened.close()


def enter(store: JobStore, prompt: str = "a fox", **base: object) -> tuple[Grid, list[str]]:
    """A grid of 3 × 2 in the queue, and its jobs' ids."""
    request = PictureRequest(prompt, "", seed=3, **base)  # type: ignore[arg-type]
    columns = parse_axis("steps", "10, 20, 30", request)
    grid, cells = make_grid(request, columns, parse_axis("scheduler", "Euler, DDIM", request))
    return grid, [job.id for job in store.add_all(cells, grid, request)]


def end(store: JobStore, job_id: str, folder: Path, colour: str, size=(64, 48)) -> Path:  # type: ignore[no-untyped-def]
    """A cell's picture is finished."""
    job = next(job for job in store.jobs() if job.id == job_id)
    record = PictureRecord(
        replace(job.request, guidance_scale=6.5), size[0], size[1], "Tiny", "abc"
    )
    folder.mkdir(exist_ok=True)
    file = folder / f"{job_id}.png"
    file.write_bytes(png_of(Image.new("RGB", size, colour), png_texts(record)))
    job.status, job.pictures = JobStatus.DONE, [str(file)]
    store.update(job)
    return file


def drop(store: JobStore, job_id: str, problem: str) -> None:
    from gui.errors import ErrorKind, SfumatoError

    job = next(job for job in store.jobs() if job.id == job_id)
    job.status, job.error = JobStatus.FAILED, SfumatoError(ErrorKind.MEMORY, problem)
    store.update(job)


def whole(store: JobStore, folder: Path, **more: object) -> FinishedGrid:
    _, jobs = enter(store, **more)  # type: ignore[arg-type]
    for job_id, colour in zip(jobs, COLOURS, strict=True):
        end(store, job_id, folder, colour)
    (finished,) = store.finished_grids()
    return finished


def cells_of(image: Image.Image) -> list[tuple[int, int, int]]:
    """The colours of large flat areas, in the order in which they are met row by row."""
    met = []
    seen = image.convert("RGB").resize((image.width // 8, image.height // 8), 0)
    wanted = {tuple(bytes.fromhex(colour[1:])) for colour in COLOURS}
    for y in range(seen.height):
        for x in range(seen.width):
            colour = seen.getpixel((x, y))
            if colour in wanted and colour not in met:
                met.append(colour)
    return met


def test_each_picture_stands_in_its_place(store: JobStore, tmp_path: Path) -> None:
    finished = whole(store, tmp_path / "made")
    saved = save_sheet(finished)
    assert saved is not None
    file, record = saved
    with Image.open(file) as image:
        image.load()
        assert cells_of(image) == [tuple(bytes.fromhex(c[1:])) for c in COLOURS]
        assert image.size == (record.width, record.height)
    assert file.parent == tmp_path / "made" and "grid" in file.name
    assert read_record(file) == record
    assert record.grid is not None and record.grid.columns.values == ("10", "20", "30")
    assert record.grid.rows is not None and record.grid.rows.values == ("Euler", "DDIM")
    common = record.request
    assert (common.prompt, common.seed, common.guidance_scale) == ("a fox", 3, 6.5)
    assert (common.steps, common.scheduler, common.grid) == (None, None, None)
    assert (record.model_name, record.model_hash) == ("Tiny", "abc")
    assert facts_of(file).prompt == "a fox", "the gallery knows it"


def test_the_cells_know_what_they_are(store: JobStore, tmp_path: Path) -> None:
    finished = whole(store, tmp_path / "made")
    record = read_record(Path(finished.outcomes[1, 1].picture))
    assert record is not None and record.request.grid is not None
    assert (record.request.grid.grid, record.request.grid.label) == (
        finished.grid.id, "Steps 20, DDIM",
    )  # fmt: skip


def test_a_cell_without_a_picture_says_why(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    draw = contact_sheet._Type.draw

    def noted(self, canvas, at, text, colour):  # type: ignore[no-untyped-def]
        written.append(text)
        draw(self, canvas, at, text, colour)

    monkeypatch.setattr(contact_sheet._Type, "draw", noted)
    _, jobs = enter(store)
    made = [
        end(store, job_id, tmp_path / "m", c) for job_id, c in zip(jobs[:3], COLOURS, strict=False)
    ]
    assert store.finished_grids() == []
    drop(store, jobs[3], "There is not enough memory for it.")
    store.remove(jobs[4])
    end(store, jobs[5], tmp_path / "m", COLOURS[5])
    made[0].unlink()
    (finished,) = store.finished_grids()
    saved = save_sheet(finished)
    assert saved is not None
    with Image.open(saved[0]) as image:
        assert len(cells_of(image)) == 3
    text = " ".join(written)
    assert "There is not enough memory for it." in text
    assert "Not made" in text and "Its picture is gone" in text
    for label in ("a fox", "Steps 10", "Steps 20", "Steps 30", "Euler", "DDIM", "guidance 6.5"):
        assert label in text
    assert "seed 3" in text and "scheduler" not in text


def test_one_that_was_tried_again_gets_a_new_sheet(store: JobStore, tmp_path: Path) -> None:
    grid, jobs = enter(store)
    for job_id in jobs[:5]:
        end(store, job_id, tmp_path / "m", COLOURS[0])
    drop(store, jobs[5], "It failed.")
    (finished,) = store.finished_grids()
    first = save_sheet(finished)
    assert first is not None
    # The process may end before it tells: what is there is taken.
    (again,) = store.finished_grids()
    assert save_sheet(again) == first and len(list((tmp_path / "m").glob("*grid*"))) == 1
    store.sheet_made(grid.id)
    assert store.finished_grids() == []
    job = next(job for job in store.jobs() if job.id == jobs[5])
    job.status, job.error = JobStatus.QUEUED, None
    store.update(job)
    assert store.finished_grids() == [], "it is waited for"
    end(store, jobs[5], tmp_path / "m", COLOURS[1])
    (last,) = store.finished_grids()
    second = save_sheet(last)
    assert second is not None and second[0] != first[0] and first[0].is_file()


def test_grids_outlast_their_jobs_and_go_with_the_last(store: JobStore, tmp_path: Path) -> None:
    grid, jobs = enter(store)
    for job_id in jobs:
        end(store, job_id, tmp_path / "m", COLOURS[0])
    store.forget_finished(keep=0)
    assert store.jobs() == []
    (finished,) = store.finished_grids()
    assert len([o for o in finished.outcomes.values() if o.picture]) == 6
    store.sheet_made(grid.id)
    store.forget_finished()
    assert store.connection.execute("SELECT count(*) FROM cells").fetchone() == (0,)


def test_nothing_made_is_no_sheet(store: JobStore, tmp_path: Path) -> None:
    _, jobs = enter(store)
    for job_id in jobs:
        store.remove(job_id)
    (finished,) = store.finished_grids()
    assert save_sheet(finished) is None


@pytest.mark.parametrize(
    "prompt", [LONG, "x" * 3000, "漢字 “quotes” <b>no bold</b>\x00\x07\u202e", ""]
)
def test_long_and_odd_prompts_are_wrapped_not_lost(
    store: JobStore, tmp_path: Path, prompt: str
) -> None:
    finished = whole(store, tmp_path / "m", prompt=prompt)
    saved = save_sheet(finished)
    assert saved is not None
    record = read_record(Path(finished.outcomes[0, 0].picture))
    assert record is not None
    assert draw_sheet(finished, record).height < 1400
    face = contact_sheet._Type(18)
    lines = face.lines(prompt, 300, 5)
    assert len(lines) <= 5 and all(face.width(line) <= 300 for line in lines)


def test_the_largest_grid_keeps_to_its_size() -> None:
    request = PictureRequest("x", "")
    grid, _ = make_grid(
        request, parse_axis("seed", "1-16", request), parse_axis("steps", "1-16", request)
    )
    record = PictureRecord(request, 1024, 1024, "M")
    image = draw_sheet(FinishedGrid(grid, request, {}, 0), record)
    assert image.width * image.height <= 1.2 * contact_sheet.MOST_PIXELS
