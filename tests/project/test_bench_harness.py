"""The bench runner reports every figure, and says so when a bench could not be measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import __main__ as harness
from tests.bench import budget, history

GOOD = """
import os
def run():
    print("chatter that is not a figure")
    row = {"unit": "ms", "note": "by hand"}
    return [
        {"name": "fast", "value": 4.0, "budget": 5, **row},
        {"name": "slow", "value": 6.5, "budget": 5, **row},
        {"name": "process", "value": os.getpid(), "unit": "", "budget": None, "note": ""},
    ]
"""


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    folder = tmp_path / "made_up"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "bench_good.py").write_text(GOOD)
    (folder / "bench_crash.py").write_text("def run():\n    raise RuntimeError('no such luck')\n")
    (folder / "bench_odd.py").write_text("def run():\n    return [{'name': 'half a row'}]\n")
    return folder


def test_each_bench_runs_in_a_process_of_its_own(made_up: Path) -> None:
    results = [harness.measure("good", "made_up", made_up.parent) for _ in range(2)]
    processes = {result["rows"][2]["value"] for result in results}
    assert len(processes) == 2
    assert [row["within_budget"] for row in results[0]["rows"]] == [True, False, None]


@pytest.mark.parametrize(("name", "told"), [("crash", "no such luck"), ("odd", "KeyError")])
def test_a_bench_that_fails_says_why(made_up: Path, name: str, told: str) -> None:
    result = harness.measure(name, "made_up", made_up.parent)
    assert told in result["error"]
    assert result["rows"] == []
    assert "FAILED" in harness.table([result])


def test_table_shows_figure_budget_and_verdict(made_up: Path) -> None:
    text = harness.table([harness.measure("good", "made_up", made_up.parent)])
    fast, slow = (line.split() for line in text.splitlines()[1:3])
    assert fast == ["fast", "4", "ms", "5", "ms", "ok", "by", "hand"]
    assert "OVER" in slow


def test_report_is_written(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(harness, "benches", lambda: ["crash"])
    monkeypatch.setattr(
        harness, "measure", lambda name, do=harness.measure: do(name, "made_up", made_up.parent)
    )
    output = tmp_path / "build" / "bench.json"
    history = tmp_path / "history"
    assert harness.main(["--output", str(output), "--history", str(history)]) == 1
    report = json.loads(output.read_text())
    assert report["machine"]["cores"] >= 1
    assert report["benches"][0]["bench"] == "crash"
    assert "no such luck" in capsys.readouterr().out


ABOUT = {"system": "Linux x86_64", "cpu": "EPYC 7B13 (R)", "cores": 2, "load_before": 0.1}


def run_of(**values: float) -> list[dict[str, Any]]:
    """A run's results, as `measure` gives them."""
    units = {"rate": "a second", "ratio": "×"}
    rows = [
        {"name": name, "value": value, "unit": units.get(name, "ms"), "budget": 50, "note": "",
         "within_budget": value <= 50}
        for name, value in values.items()
    ]  # fmt: skip
    return [{"bench": "heartbeat", "seconds": 1.0, "rows": rows, "error": ""}]


def test_a_run_is_compared_with_those_before_on_the_same_machine(tmp_path: Path) -> None:
    file = history.file_for(ABOUT, tmp_path)
    assert file.name == "linux-x86-64-epyc-7b13-r-2-cores.jsonl"
    assert history.file_for({**ABOUT, "cores": 4}, tmp_path) != file
    for stall, rate in ((30, 100), (31, 98), (29, 102), (30, 101)):
        history.add(file, ABOUT, run_of(stall=stall, rate=rate, ratio=0.7), tmp_path)
    with file.open("a") as stream:
        stream.write("half a li")
    earlier = history.read(file)
    assert len(earlier) == 4
    assert history.worse(run_of(stall=32, rate=95, ratio=0.72), earlier) == []
    found = dict(history.worse(run_of(stall=40, rate=60, ratio=0.9, new=9), earlier))
    assert list(found) == ["stall", "rate", "ratio"]
    assert found["stall"].startswith("30 → 40 ms, 33% (median of 4, noise ")
    assert history.worse(run_of(stall=20, rate=200), earlier) == []


def test_what_is_noisy_by_itself_must_be_worse_by_more(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    for stall in (20, 40, 30, 22, 38):
        history.add(file, ABOUT, run_of(stall=stall), tmp_path)
    assert history.worse(run_of(stall=60), history.read(file)) == []
    assert history.worse(run_of(stall=90), history.read(file))


def test_runs_on_a_busy_machine_are_not_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    for _ in range(3):
        history.add(file, ABOUT, run_of(stall=30), tmp_path)
        history.add(file, {**ABOUT, "load_before": 9.0}, run_of(stall=90), tmp_path)
    assert history.worse(run_of(stall=60), history.read(file))
    assert history.is_busy({**ABOUT, "load_before": 9.0})


def test_every_line_of_the_budget_has_a_bench_and_somebody_beside_it() -> None:
    known = set(harness.benches())
    for line in budget.LINES:
        assert set(line.benches) <= known
        assert line.peer
        assert bool(line.benches) is not bool(line.instead)
    lines = budget.summary(run_of(**{"window held up: a": 20, "window held up: b": 60}))
    told = {line[0]: line[1:] for line in lines}
    assert told["worst window stall"][:3] == ("60 ms", "50 ms", "1 of 2 OVER")
    assert told["mask stroke to pixels"][2] == "make bench ONLY=mask"


def test_every_bench_of_the_project_can_be_run() -> None:
    """Each module has the one function the runner calls (what it measures, `make bench` shows)."""
    names = harness.benches()
    assert names
    for name in names:
        source = (harness.HERE / f"bench_{name}.py").read_text()
        assert "def run() -> list[dict" in source, f"bench_{name}.py has no run()"


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as refusal:
        harness.main(["no-such-bench"])
    assert refusal.value.code == 2
    assert "no-such-bench" in capsys.readouterr().err
