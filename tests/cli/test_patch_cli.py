"""`sfumato patch` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from gui.coreml.inspect import inspect_model, load_sidecar
from tests.support import patched


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gui.cli.main", "patch", *arguments],
        text=True, capture_output=True, check=False, timeout=120,
        env={**os.environ, "SFUMATO_HOME": str(home)},
    )  # fmt: skip


def test_lora_and_size(tmp_path: Path) -> None:
    source = str(patched.model("sd1").folder)
    lora = str(patched.lora_file("sd1-safety"))
    done = run(source, "--lora", f"{lora}:0.8:0.5", "--size", "128x64", "--name", "Fog & ink",
               "-o", str(tmp_path / "made"), "--json", home=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["folder"] == str(tmp_path / "made")
    assert report["written_bytes"] > 10_000
    info = inspect_model(tmp_path / "made")
    assert info.problems == ()
    assert (info.image_width, info.image_height) == (128, 64)
    said = load_sidecar(info)
    assert said.name == "Fog & ink"
    (entry,) = said.extra["patch"]["loras"]
    assert (entry["scale"], entry["text_scale"]) == (0.8, 0.5)
    again = run(source, "--size", "128x64", "-o", str(tmp_path / "made" / ".."), home=tmp_path)
    assert again.returncode == 0, again.stderr
    made = Path(again.stdout.strip())
    assert made.name == "model-128x64"
    assert inspect_model(made).problems == ()


def test_wrong_command_lines(tmp_path: Path) -> None:
    source = str(patched.model("sd1").folder)
    assert "nothing to do" in run(source, home=tmp_path).stderr
    assert "choose 2 to 12" in run(source, "--clip-skip", "40", home=tmp_path).stderr
    assert "no size" in run(source, "--size", "big", home=tmp_path).stderr
    done = run(source, "--lora", "no-such.safetensors", home=tmp_path)
    assert done.returncode == 1
    assert "There is no file" in done.stderr
