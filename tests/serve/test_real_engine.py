"""The real engine behind the service: the starter model, from one program to another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageChops

from tests.serve.conftest import ROOT, Served, opened


def test_it_draws_what_the_command_line_draws(tmp_path: Path) -> None:
    service = Served(tmp_path, "")
    try:
        body = {"prompt": "a red (apple:1.2) on blue", "seed": 12, "steps": 4, "cfg_scale": 4,
                "sampler_name": "Euler a", "width": 512, "height": 512}  # fmt: skip
        told = service.post("/sdapi/v1/txt2img", body)
    finally:
        service.close()
    info = json.loads(told["info"])
    assert info["ignored"] == {} and (info["width"], info["height"]) == (512, 512)
    assert info["sd_model_name"] == "Sfumato Starter" and info["sampler_name"] == "Euler a"
    file = tmp_path / "same.png"
    subprocess.run(
        [sys.executable, "-m", "gui.cli.main", "generate", body["prompt"], "--seed", "12",
         "--steps", "4", "--guidance-scale", "4", "--scheduler", "Euler a", "--rng", "nvidia",
         "-o", str(file), "--quiet"],
        check=True, cwd=tmp_path, timeout=120,
        env={**os.environ, "SFUMATO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with Image.open(file) as drawn:
        assert ImageChops.difference(drawn, opened(told["images"][0])).getbbox() is None
