"""The bench runner reports every figure, and says so when a bench could not be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import __main__ as harness

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
    assert harness.main(["--output", str(output)]) == 1
    report = json.loads(output.read_text())
    assert report["machine"]["cores"] >= 1
    assert report["benches"][0]["bench"] == "crash"
    assert "no such luck" in capsys.readouterr().out


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
