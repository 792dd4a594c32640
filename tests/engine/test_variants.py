"""Requests with LoRAs or of another size: the engine makes the model on demand, and keeps it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gui.control_use import Control
from gui.convert.patch.variant import make_variant
from gui.convert.types import ImageSize, Lora
from gui.engine.backend import PipelineBackend
from gui.errors import Cancelled, ErrorKind, SfumatoError
from gui.library import loras, variants
from gui.library.models.removal import delete_model
from gui.library.picture_texts import parameters_text
from gui.pipeline.pipeline import Hooks
from gui.request import LoraUse, PictureRequest
from gui.start_image import Outpaint, StartImage
from tests.support import patched

LORA = patched.lora_file("sd1-safety")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "data" / "LoRAs" / "styles"
    folder.mkdir(parents=True)
    shutil.copyfile(LORA, folder / "Ink.safetensors")
    return tmp_path


@pytest.fixture(scope="module")
def backend() -> PipelineBackend:
    return PipelineBackend()


def picture(backend: PipelineBackend, request: PictureRequest, loading: Any = None) -> Any:
    choice = backend.find(request)
    pipeline = choice.build()
    try:
        pipeline.load(loading or (lambda *_: None), request)
        (made,) = pipeline.generate(request, Hooks())
    finally:
        pipeline.close()
    assert made.pixels.shape[:2] == (choice.height, choice.width)
    return made


def request(model: Path, **values: Any) -> PictureRequest:
    return PictureRequest(
        "a fox", str(model), steps=1, seed=3, previews=False, safety_checker=False, **values
    )


def test_pictures_are_those_of_a_patched_model(backend: PipelineBackend, home: Path) -> None:
    model = patched.model("sd1").folder
    make_variant(model, home / "made", [Lora(str(LORA), 0.7, 0.2)], ImageSize(128, 64))
    wanted = picture(backend, request(home / "made"))
    told: list[str] = []
    asked = request(model, loras=(LoraUse("Ink", 0.7, 0.2),), width=128)
    got = picture(backend, replace(asked, height=64), lambda name, *_: told.append(name))
    assert np.array_equal(got.pixels, wanted.pixels)
    assert told[0] == "variant"
    plain = picture(backend, request(model, width=128, height=64))
    assert not np.array_equal(plain.pixels, got.pixels)
    # of the model that was asked for, not of a file in a cache
    assert got.record.model_name == plain.record.model_name != wanted.record.model_name
    assert got.record.request.loras == asked.loras


def test_a_variant_is_made_once(backend: PipelineBackend, home: Path) -> None:
    model = patched.model("sd1").folder
    asked = request(model, loras=(LoraUse("Ink", 0.5),))
    picture(backend, asked)
    (made,) = (home / "home" / "cache" / "Variants").glob("*/*/model")
    before = made.stat().st_ino
    picture(backend, asked)
    assert made.stat().st_ino == before
    assert backend.find(asked).key == backend.find(asked).key
    other = replace(asked, loras=(LoraUse("Ink", 0.6),))
    assert backend.find(other).key != backend.find(asked).key
    off = replace(asked, loras=(LoraUse("Ink", 0.5, on=False),))
    assert backend.find(off).key == backend.find(request(model)).key


def test_a_stop_while_it_is_made_leaves_nothing(backend: PipelineBackend, home: Path) -> None:
    calls = []

    def stop(name: str, *_: Any) -> None:
        calls.append(name)
        if len(calls) == 5:
            raise Cancelled

    asked = request(patched.model("sd1").folder, loras=(LoraUse("Ink"),))
    with pytest.raises(Cancelled):
        picture(backend, asked, stop)
    assert not list((home / "home" / "cache" / "Variants").glob("*/*/*"))


def test_a_lora_that_is_not_there(backend: PipelineBackend, home: Path) -> None:
    with pytest.raises(SfumatoError) as error:
        backend.find(request(patched.model("sd1").folder, loras=(LoraUse("Oil"),)))
    assert error.value.kind is ErrorKind.NOT_FOUND
    assert "LoRAs folder" in error.value.message


def test_the_last_few_are_kept_and_go_with_their_model(tmp_path: Path, home: Path) -> None:
    model = tmp_path / "home" / "data" / "Models" / "mine"
    (model / "Unet.mlmodelc").mkdir(parents=True)
    for n in range(variants.KEPT + 2):
        place = variants.place(model, {"n": n})
        place.mkdir(parents=True)
        variants.remember(model, place)
        os.utime(place.parent, (n, n))
    kept = [n for n in range(variants.KEPT + 2) if variants.place(model, {"n": n}).is_dir()]
    assert kept == list(range(2, variants.KEPT + 2))
    delete_model(model)
    assert not list((home / "home" / "cache" / "Variants").iterdir())


def test_tags_in_a_prompt() -> None:
    """As A1111's web UI reads them: one number for all, two for text encoders and UNet."""
    asked = PictureRequest(
        "<lora:Ink:0.8>, a fox, <lora:My style:0.5:1> in fog <lora:c:te=0:unet=0.3>",
        "", negative_prompt="blurry", loras=(LoraUse("Ink", 0.1), LoraUse("Own", 0.2)),
    )  # fmt: skip
    got = loras.with_tags(asked)
    assert got.prompt == "a fox, in fog"
    assert got.loras == (
        LoraUse("Own", 0.2),
        LoraUse("Ink", 0.8),
        LoraUse("My style", 1.0, 0.5),
        LoraUse("c", 0.3, 0.0),
    )
    assert loras.tags_of(got.loras) == (
        "<lora:Own:0.2> <lora:Ink:0.8> <lora:My style:0.5:1> <lora:c:0:0.3>"
    )
    assert loras.with_tags(got) is got
    assert (
        loras.with_tags(replace(got, loras=(), prompt=loras.tags_of(got.loras))).loras == got.loras
    )
    with pytest.raises(SfumatoError, match="must be a number"):
        loras.with_tags(replace(asked, prompt="<lora:Ink:much>"))


def test_the_text_for_web_uis_names_them(backend: PipelineBackend, home: Path) -> None:
    from gui.library.metadata.web_ui import read_parameters

    made = picture(backend, request(patched.model("sd1").folder, loras=(LoraUse("Ink", 0.7),)))
    text = parameters_text(made.record)
    assert text.startswith("a fox <lora:Ink:0.7>\n")
    read = read_parameters(text)
    assert read is not None
    assert read.loras == [("Ink", 0.7)]


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    import json

    from safetensors.torch import load_file, save_file

    tensors = load_file(LORA)
    frequency = {"10_fox": {"inkfox": 20, "grass": 3, "ink style": 19}}
    notes = {"ss_base_model_version": "sd_v1", "ss_tag_frequency": json.dumps(frequency),
             "modelspec.title": "Ink"}  # fmt: skip
    save_file(tensors, tmp_path / "b.safetensors", metadata=notes)
    save_file(tensors, tmp_path / "a.safetensors")
    (tmp_path / "b.preview.png").write_bytes(b"x")
    (tmp_path / "c.safetensors").write_bytes(b"\xff" * 20)
    first, second, third = loras.details(tmp_path)
    assert (first.name, first.base, first.triggers) == ("a", "", ())
    assert second.base == "SD 1"
    assert second.triggers == ("inkfox", "ink style")
    assert second.cover.endswith("b.preview.png")
    assert third.name == "c"


# --- ControlNets of the library -------------------------------------------------------------------


def control_picture(folder: Path) -> str:
    from PIL import Image

    rng = np.random.default_rng(4)
    Image.fromarray(rng.integers(0, 255, (64, 128, 3), np.uint8)).save(folder / "control.png")
    return str(folder / "control.png")


def library_network(home: Path) -> Path:
    """The model's own ControlNet, as one that lies in the library."""
    (own,) = patched.model("sd1").folder.glob("ControlNet_*.mlpackage")
    place = home / "home" / "data" / "ControlNets" / "Lines.mlpackage"
    shutil.copytree(own, place)
    return place


def test_controlnets_of_the_library_follow_the_size(backend: PipelineBackend, home: Path) -> None:
    model = patched.model("sd1").folder
    make_variant(model, home / "made", size=ImageSize(128, 64))
    own = Control("tiny-edges", control_picture(home), weight=1.5)
    wanted = picture(backend, request(home / "made", controls=(own,)))
    network = library_network(home)
    before = {path: path.read_bytes() for path in network.rglob("*") if path.is_file()}
    other = replace(own, network="Lines")
    asked = request(model, controls=(other,), width=128, height=64)
    assert np.array_equal(picture(backend, asked).pixels, wanted.pixels)
    (kept,) = (home / "home" / "cache" / "Variants").glob("*/*/model/Lines.mlpackage")
    inode = kept.stat().st_ino
    picture(backend, asked)
    assert kept.stat().st_ino == inode
    # at the size that it was made for it is used as it is
    native = picture(backend, request(model, controls=(other,)))
    same = picture(backend, request(model, controls=(own,)))
    assert np.array_equal(native.pixels, same.pixels)
    assert {path: path.read_bytes() for path in before} == before
    network.rename(network.with_name("Gone.mlpackage"))
    variants.sweep()
    assert not kept.exists()


def test_a_controlnet_by_its_path_for_a_model_of_another_size(
    backend: PipelineBackend, home: Path
) -> None:
    """Also the other way round: the model's own size is not the ControlNet's."""
    model = home / "made"
    make_variant(patched.model("sd1").folder, model, size=ImageSize(128, 64))
    own = Control("tiny-edges", control_picture(home))
    wanted = picture(backend, request(model, controls=(own,)))
    asked = request(model, controls=(replace(own, network=str(library_network(home))),))
    assert np.array_equal(picture(backend, asked).pixels, wanted.pixels)


def test_a_controlnet_that_cannot_follow(backend: PipelineBackend, home: Path) -> None:
    from gui.coreml import proto

    network = library_network(home)
    spec, root = proto.read_package_spec(network)
    (function,) = spec.mlProgram.functions.values()
    for block in function.block_specializations.values():
        for op in block.operations:
            if op.type == "reshape":
                op.type = "reshape_like"
    (root / "model.mlmodel").write_bytes(spec.SerializeToString())
    control = Control("Lines", control_picture(home))
    asked = request(patched.model("sd1").folder, controls=(control,), width=128, height=64)
    with pytest.raises(SfumatoError) as error:
        picture(backend, asked)
    assert "Lines" in error.value.message
    assert not list((home / "home" / "cache" / "Variants").glob("*/*/model/Lines*"))


def test_two_processes_that_make_the_same_variant(
    backend: PipelineBackend, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that comes second takes what the first has made."""
    import subprocess
    import sys

    from gui.convert.patch import variant

    model = patched.model("sd1").folder
    asked = request(model, loras=(LoraUse("Ink", 0.4),))
    code = (
        "import sys; from pathlib import Path\n"
        "from gui.convert.patch.variant import make_variant\n"
        "from gui.convert.types import Lora\n"
        "make_variant(Path(sys.argv[1]), Path(sys.argv[2]), [Lora(sys.argv[3], 0.4)])\n"
    )
    synced = variant.sync_tree
    made: list[int] = []

    def first_the_other(folder: Path) -> None:
        synced(folder)
        if not made:
            place = folder.parent.parent / "model"
            lora = home / "home" / "data" / "LoRAs" / "styles" / "Ink.safetensors"
            arguments = [sys.executable, "-c", code, str(model), str(place), str(lora)]
            subprocess.run(arguments, check=True)
            made.append(place.stat().st_ino)

    monkeypatch.setattr(variant, "sync_tree", first_the_other)
    picture(backend, asked)
    (kept,) = (home / "home" / "cache" / "Variants").glob("*/*/model")
    assert kept.stat().st_ino == made[0]
    assert [p.name for p in kept.parent.iterdir()] == ["model"]


def test_a_frame_that_moves_outwards_is_made_at_its_own_size(
    backend: PipelineBackend, home: Path
) -> None:
    model = patched.model("sd1").folder
    y, x = np.mgrid[0:64, 0:64]
    Image.fromarray(np.stack([x * 3, y * 3, x + y], -1).astype(np.uint8)).save(home / "p.png")
    start = StartImage(str(home / "p.png"), mask_feather=0, outpaint=Outpaint(left=60, top=4))
    made = picture(backend, request(model, start_image=start))
    assert made.pixels.shape == (128, 128, 3)
    assert (made.pixels[64:, 64:] == np.asarray(Image.open(home / "p.png"))).all()
    # a size that is asked for holds, and all of the frame is in it
    made = picture(backend, request(model, start_image=start, width=64, height=64))
    assert made.pixels.shape == (64, 64, 3)
