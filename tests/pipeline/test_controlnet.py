"""ControlNets, against diffusers' own pipelines on the same weights, and on real package files."""

from __future__ import annotations

import copy
import importlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gui.control_use import Control, ControlBalance
from gui.coreml.inspect import describe_file
from gui.coreml.model import ComponentKind
from gui.errors import ErrorKind, SfumatoError
from gui.pipeline.pipeline import Hooks
from gui.request import PictureRequest
from tests.coreml.editing import copy_of
from tests.pipeline.reference import diffusers_scheduler
from tests.pipeline.test_parity import (
    PROMPT,
    SEED,
    assert_same,
    call,
    ours,
    request,
    settings_of,
    theirs,
)
from tests.support.tiny_models import chunk_unet
from tests.support.tiny_networks import SHAPES, tiny_controlnet
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]


def controlled(pipe: Any, kind: str, nets: list[Any]) -> Any:
    """diffusers' pipeline with ControlNets."""
    module = importlib.import_module("diffusers")
    name = (
        "StableDiffusionXLControlNetPipeline" if kind == "sdxl" else
        "StableDiffusionControlNetPipeline"
    )  # fmt: skip
    parts = {k: v for k, v in pipe.components.items() if k != "image_encoder"}
    extra = {"add_watermarker": False} if kind == "sdxl" else {"requires_safety_checker": False}
    made = getattr(module, name)(**parts, **extra, controlnet=nets[0] if len(nets) == 1 else nets)
    made.set_progress_bar_config(disable=True)
    return made


def networks(kind: str, pipe: Any, count: int) -> list[Any]:
    made = []
    for number in range(count):
        net = copy.deepcopy(tiny_controlnet(kind, pipe))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number + 77)
            for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
                layer.weight.data.normal_(std=0.1)
        made.append(net)
    return made


@pytest.fixture
def drawing(tmp_path: Path) -> Callable[[str, int], Path]:
    """A control picture of exactly the model's size."""

    def make(kind: str, number: int = 0) -> Path:
        height, width = (8 * n for n in SHAPES[kind].latent)
        y, x = np.mgrid[0:height, 0:width]
        pixels = np.stack([(x * (number + 2)) % 256, (y * 5) % 256, (x * y) % 256], -1)
        path = tmp_path / f"{kind}-{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        return path

    return make


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
@pytest.mark.parametrize("name", ["DDIM", "Heun"])
@pytest.mark.parametrize("unet_batch", [2, 1])
def test_one_net(
    diffusers_pipe: Pipes,
    drawing: Callable[..., Path],
    kind: str,
    name: str,
    unet_batch: int,
) -> None:
    pipe, path = diffusers_pipe(kind), drawing(kind)
    (net,) = networks(kind, pipe, 1)
    asked = request(scheduler=name, controls=(Control("edges", str(path), weight=0.8),))
    picture, latents, _ = ours(kind, pipe, asked, controls={"edges": net}, unet_batch=unet_batch)
    arguments = call(asked) | {
        "image": Image.open(path), "controlnet_conditioning_scale": 0.8,
    }  # fmt: skip
    scheduler = diffusers_scheduler(name, **settings_of(kind))
    expected = theirs(kind, controlled(pipe, kind, [net]), scheduler, SEED, **arguments)
    assert_same(picture, latents, expected)
    _, plain, _ = ours(kind, pipe, replace(asked, controls=()))
    assert np.abs(plain - latents).max() > 1e-2  # it does lead


def test_two_nets_each_in_its_part_of_the_steps(
    diffusers_pipe: Pipes, drawing: Callable[..., Path]
) -> None:
    pipe, paths = diffusers_pipe("sd1"), [drawing("sd1", n) for n in range(2)]
    nets = networks("sd1", pipe, 2)
    asked = request(
        scheduler="DDIM",
        steps=10,
        controls=(
            Control("a", str(paths[0]), weight=1.2, end=0.5),
            Control("b", str(paths[1]), weight=0.4, start=0.3),
        ),
    )
    picture, latents, _ = ours("sd1", pipe, asked, controls=dict(zip("ab", nets, strict=True)))
    arguments = call(asked) | {
        "image": [Image.open(path) for path in paths],
        "controlnet_conditioning_scale": [1.2, 0.4],
        "control_guidance_start": [0.0, 0.3],
        "control_guidance_end": [0.5, 1.0],
    }
    scheduler = diffusers_scheduler("DDIM", **settings_of("sd1"))
    assert_same(
        picture, latents, theirs("sd1", controlled(pipe, "sd1", nets), scheduler, SEED, **arguments)
    )


def test_a_net_without_weight_is_not_run(
    diffusers_pipe: Pipes, drawing: Callable[..., Path]
) -> None:
    """One UNet is enough: with nothing to follow, its places take zeros, which change nothing."""
    pipe, path = diffusers_pipe("sd1"), drawing("sd1")
    (net,) = networks("sd1", pipe, 1)
    asked = request(scheduler="DDIM", controls=(Control("edges", str(path), weight=0.0),))
    _, led, runtime = ours("sd1", pipe, asked, controls={"edges": net})
    _, plain, _ = ours("sd1", pipe, replace(asked, controls=()))
    assert runtime.loaded[ComponentKind.CONTROLNET].calls == 0
    np.testing.assert_allclose(led, plain, atol=1e-5)


@pytest.mark.parametrize("balance", [ControlBalance.PROMPT, ControlBalance.CONTROL])
def test_what_matters_more_weakens_the_answers_far_from_the_middle(
    diffusers_pipe: Pipes, drawing: Callable[..., Path], balance: ControlBalance
) -> None:
    """As web UIs have it: 0.825 for each place before the last; and where the control is to matter
    more, it says nothing to the negative prompt's half."""
    pipe, path = diffusers_pipe("sd1"), drawing("sd1")
    (net,) = networks("sd1", pipe, 1)
    asked = request(scheduler="DDIM", controls=(Control("e", str(path), balance=balance),))
    _, _, runtime = ours("sd1", pipe, asked, controls={"e": net})
    given = runtime.loaded[ComponentKind.CONTROL_UNET].last
    asked = replace(asked, controls=(Control("e", str(path)),))
    # The last step differs by then, so what the net itself said is asked of it again.
    inputs = runtime.loaded[ComponentKind.CONTROLNET].last
    said = runtime.loaded[ComponentKind.CONTROLNET](inputs)
    for number in range(5):
        name = f"additional_residual_{number}"
        expected = said[name] * np.float32(0.825 ** (4 - number))
        if balance is ControlBalance.CONTROL:
            expected[0] = 0
        np.testing.assert_allclose(given[name], expected, rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused_before_anything_is_loaded(
    diffusers_pipe: Pipes, drawing: Callable[..., Path]
) -> None:
    pipe, path = diffusers_pipe("sd1"), drawing("sd1")
    (net,) = networks("sd1", pipe, 1)
    pipeline, runtime = torch_pipeline("sd1", pipe, controls={"edges": net})

    def refused(control: Control) -> SfumatoError:
        with pytest.raises(SfumatoError) as error:
            list(pipeline.generate(request(scheduler="DDIM", controls=(control,)), Hooks()))
        return error.value

    unknown = refused(Control("depth", str(path)))
    assert unknown.kind is ErrorKind.BAD_REQUEST
    assert "There is no ControlNet called “depth”; choose one of these: “edges”." in str(unknown)
    (info,) = pipeline.model.controlnets
    wide = [
        replace(t, shape=(2, 999, *t.shape[2:])) if t.name == "encoder_hidden_states" else t
        for t in info.inputs
    ]
    object.__setattr__(pipeline._controls, "_own", (replace(info, inputs=tuple(wide)),))
    family = refused(Control("edges", str(path)))
    assert "does not fit this model: it was made for another family" in str(family)
    assert runtime.loaded == {}
    plain, _ = torch_pipeline("sd1", pipe)
    plain._controls._own = (info,)
    with pytest.raises(SfumatoError, match="This model's UNet takes no ControlNet"):
        asked = request(scheduler="DDIM", controls=(Control("edges", str(path)),))
        list(plain.generate(asked, Hooks()))


def test_real_package_files_and_the_command_line(
    tiny_models: Callable[..., Any], drawing: Callable[..., Path], tmp_path: Path
) -> None:
    """A ControlNet in the model's folder, one in the library, and one by its path."""
    from gui.cli.main import main

    model = tiny_models("sd1_controlnet", "sd1", controlnet=True, precision="fp32")
    path = drawing("sd1")
    asked = [
        "generate", PROMPT, "-i", str(model.folder), "--steps", "2", "--scheduler", "DDIM",
        "--seed", "5", "--rng", "torch", "--quiet", "--negative-prompt", "",
        "--guidance-scale", "4",
    ]  # fmt: skip
    made = tmp_path / "made.png"
    led = ["--control", f"tiny_edges={path}", "--control-weight", "0.7", "-o", str(made)]
    assert main([*asked, *led]) == 0
    pipe = controlled(model.pipe, "sd1", [model.controlnet])
    expected, _ = theirs(
        "sd1", pipe, diffusers_scheduler("DDIM", **settings_of("sd1")), 5,
        prompt=PROMPT, num_inference_steps=2, guidance_scale=4.0, image=Image.open(path),
        controlnet_conditioning_scale=0.7,
    )  # fmt: skip
    with Image.open(made) as picture:
        told = 'ControlNet 0: "Module: none, Model: tiny_edges, Weight: 0.7, Guidance Start: 0,'
        assert told in picture.info["parameters"]
        assert str(tmp_path) not in picture.info["sfumato"]  # whose folders, is nobody's business
        assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 1


def test_a_branch_is_led_from_there_on_as_it_says(
    diffusers_pipe: Pipes, drawing: Callable[..., Path]
) -> None:
    """Each part of a picture's way has its own nets, all of them there together."""
    pipe, paths = diffusers_pipe("sd1"), [drawing("sd1", n) for n in range(2)]
    nets = dict(zip("ab", networks("sd1", pipe, 2), strict=True))
    pipeline, _ = torch_pipeline("sd1", pipe, controls=nets)

    def make(asked: PictureRequest) -> tuple[np.ndarray, list[bytes], PictureRequest]:
        seen: list[bytes] = []
        hooks = Hooks(on_step=lambda *a: seen.append(a[3].tobytes() if a[3] is not None else b""))
        (picture,) = pipeline.generate(replace(asked, previews=True), hooks)
        return picture.pixels, seen, picture.record.request

    led = (Control("a", str(paths[0])),)
    pixels, seen, first = make(request(scheduler="Euler", steps=6, controls=led))
    again, _, _ = make(first.branched(3))
    assert (again == pixels).all()
    for controls in ((), (Control("b", str(paths[1])),)):
        other, others, made = make(replace(first.branched(3), controls=controls))
        assert others[:3] == seen[:3] and (other != pixels).any()
        assert made.controls == controls and made.lineage()[0].controls == led


@pytest.mark.parametrize("led", [True, False])
def test_one_control_ready_unet_in_two_chunks_is_enough(
    led: bool,
    tiny_models: Callable[..., Any],
    drawing: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """As Apple's converter cuts it: the residuals are wanted by either half, and required.  Where
    nothing leads they take zeros, so no other UNet need be on the disk."""
    from gui.coreml.inspect import inspect_model, load_sidecar
    from gui.coreml.portable import PortableRuntime
    from gui.pipeline.pipeline import Pipeline
    from gui.request import ComputeUnit

    model = tiny_models("sd1_controlnet", "sd1", controlnet=True, precision="fp32")
    folder = copy_of(model.folder, tmp_path / "model")
    (ready,) = folder.glob("*_control-unet.mlpackage")
    (plain,) = folder.glob("*_unet.mlpackage")
    shutil.rmtree(plain)
    chunk_unet(ready)
    info = inspect_model(folder)
    assert info.problems == () and ComponentKind.UNET not in info.components
    halves = [describe_file(file) for file in info.components[ComponentKind.CONTROL_UNET].files]
    wanted = [
        {t.name for t in half.inputs if t.name.startswith("additional_residual_")}
        for half in halves
    ]
    assert all(wanted) and len(set.union(*wanted)) == 5
    path = drawing("sd1")
    asked = request(
        scheduler="DDIM", steps=2, controls=(Control("tiny_edges", str(path)),) if led else ()
    )
    pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)
    (made,) = pipeline.generate(replace(asked, seed=SEED), Hooks())
    pipe = controlled(model.pipe, "sd1", [model.controlnet]) if led else model.pipe
    more = {"image": Image.open(path)} if led else {}
    expected, _ = theirs(
        "sd1", pipe, diffusers_scheduler("DDIM", **settings_of("sd1")), SEED,
        **call(asked), **more,
    )  # fmt: skip
    assert np.abs(made.pixels.astype(int) - expected).max() <= 1


def test_one_that_is_off_has_no_part_in_it(
    diffusers_pipe: Pipes, drawing: Callable[..., Path]
) -> None:
    pipe, path = diffusers_pipe("sd1"), drawing("sd1")
    (net,) = networks("sd1", pipe, 1)
    off = Control("of no name that is here", str(path), on=False)
    asked = request(scheduler="DDIM", controls=(off,))
    _, latents, runtime = ours("sd1", pipe, asked, controls={"edges": net})
    _, plain, _ = ours("sd1", pipe, replace(asked, controls=()))
    assert ComponentKind.CONTROLNET not in runtime.loaded
    np.testing.assert_array_equal(latents, plain)
