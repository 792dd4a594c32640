"""`sfumato queue` and grids on the command line, as real processes on a stand-in pipeline."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from gui.library.picture_record import read_record
from gui.library.queue import JobStore
from gui.request import PictureRequest
from tests.cli.test_cli import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def store_of(cli: Cli, *, own: bool = True) -> JobStore:
    return JobStore(cli.home / "data" / "queue.sqlite3", own=own)


def jobs_of(cli: Cli) -> list[tuple[str, str]]:
    store = store_of(cli, own=False)
    found = [(job.request.prompt, str(job.status)) for job in store.jobs()]
    store.close()
    return found


def test_from_adding_to_the_pictures(cli: Cli) -> None:
    added = cli("queue", "add", "a fox", "--steps", "2", "--seed", "7", "--count", "2", "-i", "m")
    assert added.returncode == 0 and "queue run" in added.stderr
    (short,) = added.stdout.split()
    cli("queue", "add", "error=memory", "-i", "m")
    listed = cli("queue", "list").stdout.splitlines()
    assert listed[0].split()[:4] == [short, "waiting", "a", "fox"] and "0 of 2 made" in listed[0]
    ran = cli("queue", "run", "--json")
    assert ran.returncode == 1, "one of them failed"
    assert "“error=memory”: " in ran.stderr
    *told, error = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (error["event"], error["prompt"]) == ("error", "error=memory")
    assert [one["record"]["request"]["seed"] for one in told] == [7, 8]
    assert all(Path(one["path"]).is_file() for one in told)
    listing = cli("queue", "list", "--json").stdout.splitlines()
    done, failed = [json.loads(line) for line in listing]
    assert (done["status"], failed["status"]) == ("done", "failed")
    assert done["pictures"] == [one["path"] for one in told] and failed["error"]["message"]
    assert "1 request in line again" in cli("queue", "retry", "--failed").stderr
    assert jobs_of(cli)[1] == ("error=memory", "queued")
    assert cli("queue", "retry", "--failed").returncode == 1


def test_requests_are_taken_off_by_id_or_kind(cli: Cli) -> None:
    ids = [cli("queue", "add", prompt, "-i", "m").stdout.strip() for prompt in "abc"]
    assert "1 request taken off" in cli("queue", "remove", ids[1]).stderr
    assert [prompt for prompt, _ in jobs_of(cli)] == ["a", "c"]
    gone = cli("queue", "remove", ids[1])
    assert gone.returncode == 1 and "Nothing in line is called" in gone.stderr
    assert cli("queue", "remove").returncode == 2
    assert "2 requests taken off" in cli("queue", "remove", "--waiting").stderr
    assert "nothing is in line" in cli("queue", "list").stderr


def test_what_makes_no_sense_is_refused_before_it_is_in_line(cli: Cli) -> None:
    assert cli("queue", "add").returncode == 2
    for arguments, sentence in (
        (["a", "--columns", "steps=0"], "The number of steps must be"),
        (["a", "--columns", "colour=1"], "no side for a grid"),
        (["{a|b}", "-o", "x.png"], "no room in one file"),
        (["{a|b}", "--columns", "steps=1"], "no side of the grid takes"),
    ):
        refused = cli("queue", "add", *arguments, "-i", "m")
        assert refused.returncode == 1 and sentence in refused.stderr
        assert refused.stdout == ""
    assert cli("queue", "add", "a", "--rows", "steps=1", "-i", "m").returncode == 2
    assert jobs_of(cli) == []


def test_a_pause_is_kept_and_said(cli: Cli) -> None:
    cli("queue", "add", "x", "-i", "m")
    assert cli("queue", "pause").returncode == 0
    assert "paused" in cli("queue", "list").stderr
    assert "paused" in cli("queue", "add", "y", "-i", "m").stderr
    refused = cli("queue", "run")
    assert refused.returncode == 1 and "`sfumato queue resume`" in refused.stderr
    assert "queue run" in cli("queue", "resume").stderr
    assert cli("queue", "run").returncode == 0
    assert [status for _, status in jobs_of(cli)] == ["done", "done"]


def test_who_is_open_runs_it(cli: Cli) -> None:
    window = store_of(cli)
    window.claim(window.add(PictureRequest("running", "m")).id)
    assert "made there" in cli("queue", "add", "mine", "-i", "m").stderr
    refused = cli("queue", "run")
    assert refused.returncode == 1 and "open elsewhere" in refused.stderr
    running = window.jobs()[0]
    kept = cli("queue", "remove", running.id[:8])
    assert kept.returncode == 1 and "is being made" in kept.stderr
    assert window.changed_elsewhere()
    assert [job.request.prompt for job in window.jobs()] == ["running", "mine"]
    window.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_loses_nothing(cli: Cli, number: signal.Signals) -> None:
    store = store_of(cli)
    store.add_all(
        PictureRequest("steps=2 sleep=0.1", "m", seed=seed, count=2) for seed in (10, 20, 30)
    )
    store.close()
    run = cli.start("queue", "run", "--quiet")
    assert run.stdout is not None
    first = run.stdout.readline().strip()
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == (-number if number is signal.SIGKILL else 130), err
    assert Path(first).is_file()
    jobs = jobs_of(cli)
    assert len(jobs) == 3 and {status for _, status in jobs} <= {"queued", "running", "done"}
    again = cli("queue", "run")
    assert again.returncode == 0, again.stderr
    assert {status for _, status in jobs_of(cli)} == {"done"}
    seeds = sorted(
        record.request.seed
        for path in cli.home.rglob("*.png")
        if (record := read_record(path)) is not None
    )
    assert seeds == [10, 11, 20, 21, 30, 31], "each once"


def test_a_grid_without_a_window(cli: Cli) -> None:
    made = cli(
        "generate", "a fox", "-i", "m", "--seed", "3", "-o", "out/",
        "--columns", "steps=1,2", "--rows", "guidance=5-6:0.5", "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    told = [json.loads(line) for line in made.stdout.splitlines()]
    assert len(told) == 7
    sheet = read_record(Path(told[-1]["path"]))
    assert sheet is not None and sheet.grid is not None and sheet.grid.rows is not None
    assert sheet.grid.rows.values == ("5", "5.5", "6")
    assert {Path(one["path"]).parent for one in told} == {cli.folder / "out"}
    assert jobs_of(cli) == [], "apart from the queue"
    assert "left from last time" not in made.stderr


def test_alternatives_make_a_picture_each(cli: Cli) -> None:
    made = cli("generate", "a {red|blue} fox", "-i", "m", "--quiet", "--json")
    records = [json.loads(line)["record"]["request"] for line in made.stdout.splitlines()]
    assert [record["prompt"] for record in records] == ["a red fox", "a blue fox"]
    assert len({record["seed"] for record in records}) == 1
    literal = cli("generate", r"a \{red|blue} fox", "-i", "m", "--quiet", "--json")
    (record,) = [json.loads(line)["record"] for line in literal.stdout.splitlines()]
    assert record["request"]["prompt"] == "a {red|blue} fox"


def test_a_damaged_queue_is_not_touched_by_who_does_not_run_it(cli: Cli) -> None:
    (cli.home / "data").mkdir(parents=True)
    file = cli.home / "data" / "queue.sqlite3"
    file.write_bytes(b"no database " * 1000)
    refused = cli("queue", "add", "x", "-i", "m")
    assert refused.returncode == 1 and "cannot be used" in refused.stderr
    assert file.read_bytes() == b"no database " * 1000


def test_a_run_that_lingers_makes_what_comes_and_gives_way(cli: Cli) -> None:
    """Its model stays loaded, and whoever opens a window has the queue."""
    store = store_of(cli, own=False)
    store.add(PictureRequest("steps=1", "m", seed=1))
    run = cli.start("queue", "run", "--quiet", "--linger", "600")
    assert run.stdout is not None
    assert Path(run.stdout.readline().strip()).is_file()
    store.add(PictureRequest("steps=1", "m", seed=2))
    assert Path(run.stdout.readline().strip()).is_file()
    end = time.monotonic() + 60
    while not store.take():
        assert time.monotonic() < end
        time.sleep(0.01)
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert [status for _, status in jobs_of(cli)] == ["done", "done"]
    store.close()
