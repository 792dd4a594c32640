"""The real engine behind the service, on real model files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import webuiapi
from PIL import Image, ImageChops, ImageDraw

from tests.serve.conftest import ROOT, Served


def test_it_draws_what_the_command_line_draws(
    tiny_models: Callable[..., Any], tmp_path: Path
) -> None:
    """Led by a ControlNet, and painted in where a mask is white."""
    model = tiny_models("sd1_controlnet", "sd1", controlnet=True, precision="fp32")
    drawing: Any = Image.new("RGB", (64, 64), "black")
    ImageDraw.Draw(drawing).ellipse((12, 12, 50, 50), outline="white", width=3)
    service = Served(tmp_path, "", "--model", str(model.folder))
    try:
        client: Any = webuiapi.WebUIApi(
            service.host, service.port, username="me", password=service.token
        )
        (name,) = client.controlnet_model_list()
        unit = webuiapi.ControlNetUnit(image=drawing, model=name, weight=0.7, module="canny")
        told = client.txt2img(
            prompt="a (photo:1.2) of a cat", seed=5, steps=2, cfg_scale=4, sampler_name="DDIM",
            width=64, height=64, controlnet_units=[unit],
            alwayson_scripts={},  # else it puts the unit into its own default, for ever
        )  # fmt: skip
        scene = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
        mask = Image.new("L", (64, 64), 0)
        mask.paste(255, (0, 0, 20, 64))
        painted = client.img2img(
            images=[scene], mask_image=mask, prompt="a cat", seed=5, steps=4, sampler_name="DDIM",
            width=64, height=64, mask_blur=2, inpaint_full_res=False, denoising_strength=1,
        )  # fmt: skip
    finally:
        service.close()
    assert told.info["ignored"] == {} and told.info["sd_model_name"] == model.folder.name
    inside, beyond = (0, 0, 15, 64), (26, 0, 64, 64)
    changes = ImageChops.difference(painted.image.convert("RGB"), scene)
    assert changes.crop(beyond).getbbox() is None, "what is not masked stays as it is"
    assert changes.crop(inside).getbbox() is not None
    path, same = tmp_path / "drawing.png", tmp_path / "same.png"
    drawing.save(path)
    subprocess.run(
        [sys.executable, "-m", "gui.cli.main", "generate", "a (photo:1.2) of a cat", "--seed", "5",
         "-i", str(model.folder), "--steps", "2", "--guidance-scale", "4", "--scheduler", "DDIM",
         "--rng", "nvidia", "--control", f"{name}={path}", "--control-weight", "0.7",
         "--control-preprocessor", "canny",
         "-o", str(same), "--quiet"],
        check=True, cwd=tmp_path, timeout=120,
        env={**os.environ, "SFUMATO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with Image.open(same) as drawn:
        assert ImageChops.difference(drawn, told.image).getbbox() is None
