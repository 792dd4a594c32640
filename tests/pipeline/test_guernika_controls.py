"""ControlNets and T2I-Adapters in Guernika's form, against diffusers' pipelines."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.control_use import Control
from gui.coreml.control_networks import inspect_control_network
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind
from gui.errors import SfumatoError
from tests.coreml.editing import copy_of
from tests.pipeline.reference import diffusers_scheduler
from tests.pipeline.test_controlnet import controlled, networks
from tests.pipeline.test_guernika import (
    assert_diffusers,
    generate,
    with_family,
)
from tests.pipeline.test_parity import NEGATIVE, PROMPT, SEED, settings_of, theirs
from tests.support.guernika import (
    guernika_adapter,
    kept_controlnet,
    kept_guernika_model,
    tiny_adapter,
)
from tests.support.tiny_networks import SHAPES

Pipes = Callable[[str], Any]
ASKED = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 4,
         "guidance_scale": 5.0}  # fmt: skip
KINDS = ["sd1", "sdxl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("guernika-controls")

    @functools.cache
    def made(kind: str) -> Path:
        return with_family(copy_of(kept_guernika_model(kind), root / kind), kind)

    return made


def pictures(kind: str, into: Path, count: int) -> list[Path]:
    """Control pictures of exactly the model's size."""
    height, width = (8 * n for n in SHAPES[kind].latent)
    y, x = np.mgrid[0:height, 0:width]
    made = []
    for number in range(count):
        shades = np.stack([(x * (number + 2)) % 256, (y * 5) % 256, (x * y) % 256], -1)
        made.append(into / f"control-{number}.png")
        Image.fromarray(shades.astype(np.uint8)).save(made[-1])
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_one_net(
    kind: str, folder: Callable[[str], Path], diffusers_pipe: Pipes, tmp_path: Path
) -> None:
    pipe = diffusers_pipe(kind)
    (net,) = networks(kind, pipe, 1)
    (drawing,) = pictures(kind, tmp_path, 1)
    path = kept_controlnet(kind, net, 0)
    controls = (Control(str(path), str(drawing), weight=0.8),)
    expected = theirs(
        kind, controlled(pipe, kind, [net]), diffusers_scheduler("Euler", **settings_of(kind)),
        SEED, **ASKED, image=Image.open(drawing), controlnet_conditioning_scale=0.8,
    )  # fmt: skip
    assert_diffusers(generate(folder(kind), controls=controls), expected)


def test_two_nets_each_in_its_part(
    folder: Callable[[str], Path], diffusers_pipe: Pipes, tmp_path: Path
) -> None:
    pipe = diffusers_pipe("sd1")
    nets = networks("sd1", pipe, 2)
    drawings = pictures("sd1", tmp_path, 2)
    paths = [kept_controlnet("sd1", net, number) for number, net in enumerate(nets)]
    expected = theirs(
        "sd1", controlled(pipe, "sd1", nets), diffusers_scheduler("Euler", **settings_of("sd1")),
        SEED, **ASKED, image=[Image.open(p) for p in drawings],
        controlnet_conditioning_scale=[1.2, 0.4], control_guidance_start=[0.0, 0.25],
        control_guidance_end=[0.5, 1.0],
    )  # fmt: skip
    controls = (
        Control(str(paths[0]), str(drawings[0]), weight=1.2, end=0.5),
        Control(str(paths[1]), str(drawings[1]), weight=0.4, start=0.25),
    )
    assert_diffusers(generate(folder("sd1"), controls=controls), expected)


@pytest.mark.parametrize(("kind", "end"), [("sd1", 1.0), ("sdxl", 0.5)])
def test_an_adapter(
    kind: str, end: float, folder: Callable[[str], Path], diffusers_pipe: Pipes, tmp_path: Path
) -> None:
    """It is run once, whatever the number of steps."""
    pipe, adapter = diffusers_pipe(kind), tiny_adapter(31)
    (drawing,) = pictures(kind, tmp_path, 1)
    path = guernika_adapter(kind, adapter, tmp_path / "T2IAdapter.mlpackage")
    controls = (Control(str(path), str(drawing), weight=0.7, end=end),)
    expected = theirs(
        kind, adapted(pipe, kind, adapter), diffusers_scheduler("Euler", **settings_of(kind)),
        SEED, **ASKED, image=Image.open(drawing), adapter_conditioning_scale=0.7,
        **({"adapter_conditioning_factor": end} if end < 1 else {}),
    )  # fmt: skip
    made = generate(folder(kind), controls=controls)
    assert_diffusers(made, expected)
    plain = generate(folder(kind))
    assert np.abs(plain[1] - made[1]).max() > 1e-2  # it does lead


def test_one_channel_of_a_sketch_adapter(
    folder: Callable[[str], Path], diffusers_pipe: Pipes, tmp_path: Path
) -> None:
    pipe, adapter = diffusers_pipe("sd1"), tiny_adapter(32, channels=1)
    drawing = tmp_path / "sketch.png"
    Image.open(pictures("sd1", tmp_path, 1)[0]).convert("L").save(drawing)
    path = guernika_adapter("sd1", adapter, tmp_path / "T2IAdapter_Sketch.mlpackage")
    assert inspect_control_network(path).name == "Sketch"
    expected = theirs(
        "sd1", adapted(pipe, "sd1", adapter), diffusers_scheduler("Euler", **settings_of("sd1")),
        SEED, **ASKED, image=Image.open(drawing),
    )  # fmt: skip
    controls = (Control(str(path), str(drawing)),)
    assert_diffusers(generate(folder("sd1"), controls=controls), expected)


def test_what_does_not_fit_is_said(folder: Callable[[str], Path], tmp_path: Path) -> None:
    """A net of another size, and an adapter where the UNet has no place for one."""
    (drawing,) = pictures("sd1", tmp_path, 1)
    large = guernika_adapter("sdxl", tiny_adapter(33), tmp_path / "T2IAdapter_Large.mlpackage")
    with pytest.raises(SfumatoError) as error:
        generate(folder("sd1"), controls=(Control(str(large), str(drawing)),))
    assert error.value.message == (
        "The T2I-Adapter “Large” does not fit this model: it was made for pictures of 128 × 128 "
        "pixels; choose another."
    )


def test_an_adapter_in_a_models_own_folder_is_found_by_what_it_gives(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder("sd1"), model)
    guernika_adapter("sd1", tiny_adapter(34), model / "odd name.mlpackage")
    info = inspect_model(model)
    assert info.problems == ()
    assert [each.name for each in info.controlnets] == ["odd name"]
    assert ComponentKind.UNET in info.components
    assert json.loads((model / "sfumato.json").read_text()) == {"family": "sd1"}


def adapted(pipe: Any, kind: str, adapter: Any) -> Any:
    """diffusers' pipeline with a T2I-Adapter."""
    module = importlib.import_module("diffusers")
    name = f"StableDiffusion{'XL' if kind == 'sdxl' else ''}AdapterPipeline"
    parts = {k: v for k, v in pipe.components.items() if k != "image_encoder"}
    extra = {} if kind == "sdxl" else {"requires_safety_checker": False}
    made = getattr(module, name)(**parts, **extra, adapter=adapter)
    made.set_progress_bar_config(disable=True)
    return made
