"""What scripts and launchers read: nothing but JSON on stdout, errors included."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gui.library.picture_record import read_record
from tests.cli.test_cli import Cli, one_sentence
from tests.cli.test_history_cli import Run, pictures, run

__all__ = ["pictures", "run"]

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def events(stdout: str) -> list[dict[str, Any]]:
    """Each line of it; one that is no JSON fails."""
    return [json.loads(line) for line in stdout.splitlines()]


def test_a_batch_with_its_progress(cli: Cli) -> None:
    done = cli("generate", "steps=2", "--seed", "7", "--count", "2", "--progress", "json")
    assert (done.returncode, done.stderr) == (0, "")
    told = events(done.stdout)
    steps = [(each["picture"], each["step"]) for each in told if each["event"] == "step"]
    assert steps == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [each["component"] for each in told if each["event"] == "loading"] == [
        "text_encoder", "unet", "vae_decoder",
    ]  # fmt: skip
    made = [each for each in told if each["event"] == "picture"]
    assert [each["seed"] for each in made] == [7, 8]
    for each in made:
        record = read_record(Path(each["path"]))
        assert record is not None and record.to_json() == each["record"]
        assert (each["width"], each["height"]) == (16, 16) and each["seconds"] >= 0


def test_errors_are_told_where_the_script_reads(cli: Cli, run: Run) -> None:
    failed = cli("generate", "error=memory", "--json", "--quiet")
    (error,) = events(failed.stdout)
    assert (failed.returncode, error["event"], error["kind"]) == (1, "error", "memory")
    assert error["message"] == "A sentence for a person." and one_sentence(failed.stderr)
    for arguments in (
        ("generate", "--json", "a fox", "--steps", "0"),
        ("generate", "--progress=json"),
        ("queue", "add", "--json", "--no-such-flag", "a fox"),
        ("upscale", "--json"),
    ):
        code, out, err = run(*arguments)
        (error,) = events("\n".join(out))
        assert (code, error["event"], error["kind"]) == (2, "error", "bad-request"), arguments
        assert error["message"].endswith(" --help.") and one_sentence(err)
    # what follows “--” is a prompt
    assert run("generate", "--", "a", "--json")[1] == []


def test_a_grid_and_a_queue(cli: Cli) -> None:
    """A line per picture, and one for the contact sheet; what failed is told with its request."""
    grid = cli("generate", "a fox", "-i", "m", "--columns", "steps=1,2", "--json", "-o", "out/")
    told = events(grid.stdout)
    assert [each["event"] for each in told] == ["picture", "picture", "sheet"]
    assert [each["record"]["request"]["steps"] for each in told[:2]] == [1, 2]
    added = cli("queue", "add", "error=storage", "-i", "m", "--json")
    (job,) = events(added.stdout)
    assert (job["status"], job["request"]["prompt"]) == ("waiting", "error=storage")
    ran = cli("queue", "run", "--progress", "json")
    (error,) = (each for each in events(ran.stdout) if each["event"] == "error")
    assert ran.returncode == 1
    assert (error["job"], error["prompt"], error["kind"]) == (job["id"], "error=storage", "storage")


def test_pictures_of_several_files(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    fox = str(pictures[0])
    code, out, _ = run("history", "export", fox, str(tmp_path / "no.png"), "--json")
    (error,) = events("\n".join(out))
    assert (code, error["kind"]) == (1, "bad-request")
    code, out, _ = run("metadata", "--json", "no.png", fox)
    wrong, right = events("\n".join(out))
    assert (code, wrong["event"], wrong["source"]) == (1, "error", "no.png")
    assert right["path"] == fox


def test_alfred_lists_pictures_and_models(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    """The keys that Alfred documents for a Script Filter, and always one object with a list."""
    fox, owl, photo = map(str, pictures)
    code, out, _ = run("history", "search", "--alfred")
    (listed,) = events("\n".join(out))
    assert code == 0 and [*listed] == ["items"]
    by_file = {item["arg"]: item for item in listed["items"]}
    assert set(by_file) == {fox, owl, photo}
    item = by_file[fox]
    assert item["title"] == "a red fox in fog" and "seed 77" in item["subtitle"]
    assert item["type"] == "file" and item["icon"] == {"path": fox}
    assert item["quicklookurl"] == fox and item["text"]["copy"] == "a red fox in fog"
    assert by_file[photo]["title"] == "photo.jpg"
    for arguments in (("history", "search", "zebra"), ("models", "list")):
        (row,) = events("\n".join(run(*arguments, "--alfred")[1]))[0]["items"]
        assert row["valid"] is False and row["title"].endswith(".")
    model = tmp_path / "data" / "Models" / "mine"
    (model / "Unet.mlpackage").mkdir(parents=True)
    (row,) = events("\n".join(run("models", "list", "--alfred")[1]))[0]["items"]
    assert (row["title"], row["arg"]) == ("mine", str(model))
    wrong = run("history", "search", "--scheduler", "no such", "--alfred")
    (row,) = events("\n".join(wrong[1]))[0]["items"]
    assert wrong[0] == 0 and row["valid"] is False and "scheduler" in row["title"]


def test_recipes_of_the_readme_work(cli: Cli, tmp_path: Path) -> None:
    """The script for Raycast, and the line for Shortcuts, as they stand there."""
    text = README.read_text(encoding="utf-8")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    command = bin_dir / "sfumato"
    python = Path(sys.executable)
    command.write_text(f'#!/bin/sh\nexec "{python}" -m gui.cli.main "$@"\n')
    command.chmod(0o755)
    for name in ("open", "pbcopy"):  # a Mac's own
        (bin_dir / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{tmp_path}/mac.log"\n')
        (bin_dir / name).chmod(0o755)
    environment = {**cli.environment, "PATH": f"{bin_dir}:{os.environ['PATH']}"}
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    scripts = [block for block in blocks if '"$1"' in block]
    assert len(scripts) == 2
    for script in scripts:
        ran = subprocess.run(
            ["/bin/bash", "-s", "--", "steps=1 it's a “fox”"],
            input=script, text=True, capture_output=True, env=environment, cwd=cli.folder,
            timeout=100,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        path = Path(ran.stdout.splitlines()[-1])
        with Image.open(path) as picture:
            assert "it's a “fox”" in picture.info["parameters"]
    assert "@raycast.schemaVersion 1" in text and "@raycast.argument1" in text
