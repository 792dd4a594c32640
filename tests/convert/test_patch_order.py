"""Layers whose constants have lost their names, told by order and shapes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gui.convert.patch.base import base_of
from gui.convert.patch.names import parameter_of
from gui.convert.patch.order import names_by_order
from gui.convert.patch.variant import make_variant
from gui.convert.types import Lora
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind as K
from gui.coreml.portable import read_stages
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import refusal
from tests.support import patched
from tests.support.compiled_writer import compile_folder
from tests.support.tiny_checkpoints import kept_folder
from tests.support.tiny_models import TinyModel

NAME = re.compile(r"\b[A-Za-z]\w*_(?:weight|bias)(?:_to_fp16|_to_fp32)?(?:_palettized)?\b")


def renamed(model: Path, folder: Path) -> Path:
    """A model compiled, with nothing left of its weights' names."""
    made = compile_folder(model, folder)
    for text in made.rglob("model.mil"):
        program = text.read_text()
        names = dict.fromkeys(NAME.findall(program))
        numbers = {name: f"c{number}" for number, name in enumerate(names)}
        text.write_text(NAME.sub(lambda m, to=numbers: to[m[0]], program))
    return made


def weight_files(folder: Path) -> dict[str, bytes]:
    return {p.parents[1].name: p.read_bytes() for p in folder.rglob("weights/weight.bin")}


def networks() -> Iterator[tuple[str, Path, K]]:
    for name in patched.MODELS:
        yield name, patched.model(name).folder, K.UNET
    yield "control", patched.model("sd1").folder, K.CONTROL_UNET
    for name, kind in (("sd1", K.TEXT_ENCODER), ("xl", K.TEXT_ENCODER), ("xl", K.TEXT_ENCODER_2)):
        yield f"{name} text", patched.model(name).folder, kind


def test_order_says_what_names_say(tiny_sd1: TinyModel, tiny_sd1_fp16: TinyModel) -> None:
    """Of our networks and of Apple's layout, whole and in two, both forms of attention."""
    apples = [(model.attention, model.folder, K.UNET) for model in (tiny_sd1, tiny_sd1_fp16)]
    for name, folder, kind in (*networks(), *apples):
        component = inspect_model(folder).components[kind]
        files = [[stage.function for stage in read_stages(path)] for path in component.files]
        part = "unet" if "unet" in kind else str(kind)
        found = names_by_order(part, files)
        assert found is not None, name
        told = {constant: parameter for each in found for constant, parameter in each.items()}
        assert len(told) > 10, name
        for constant, parameter in told.items():
            assert parameter_of(constant) in ("", parameter), name


@pytest.mark.parametrize("name", patched.MODELS)
def test_a_lora_on_a_model_without_names(name: str, tmp_path: Path) -> None:
    """The same to the byte as with names, also held against the checkpoint's weights."""
    kind = patched.MODELS[name]["kind"]
    lora = Lora(str(patched.lora_file(kind)), 0.7)
    base = base_of(kept_folder(kind))
    model = patched.model(name).folder
    plain = compile_folder(model, tmp_path / "plain")
    make_variant(plain, tmp_path / "wanted", [lora], base=base)
    report = make_variant(
        renamed(model, tmp_path / "renamed"), tmp_path / "made", [lora], base=base
    )
    assert weight_files(tmp_path / "made") == weight_files(tmp_path / "wanted")
    assert weight_files(tmp_path / "made") != weight_files(plain)
    assert any("told by their order and shapes" in note for note in report.notes)


def refused(model: Path, folder: Path) -> SfumatoError:
    lora = Lora(str(patched.lora_file("sd1-safety")), 0.7)
    with pytest.raises(SfumatoError) as error:
        make_variant(model, folder / "made", [lora])
    refusal(error)
    assert not (folder / "made").exists()
    return error.value


def test_what_order_does_not_tell_is_refused(tmp_path: Path) -> None:
    model = renamed(patched.model("sd1").folder, tmp_path / "renamed")
    shutil.rmtree(model / "ControlledUnet.mlmodelc")
    text = model / "Unet.mlmodelc" / "model.mil"
    program = text.read_text()
    # a name that is left, and says something else
    first = re.search(r'"?weight = (c\d+)', program)
    assert first is not None
    text.write_text(re.sub(rf"\b{first[1]}\b", "mid_block_resnets_0_conv1_weight_to_fp16", program))
    error = refused(model, tmp_path)
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "lost their names" in error.message


def test_queries_and_keys_that_changed_places_are_noticed(tmp_path: Path) -> None:
    """Alike in shape, they are told apart by what the attention does with them."""
    component = inspect_model(patched.model("xl").folder).components[K.UNET]
    (functions,) = ([s.function for s in read_stages(path)] for path in component.files)
    (function,) = functions
    layers = [op for op in function.ops if op.type in ("conv", "linear")]
    places = {parameter_of(op.inputs["weight"].name): op for op in layers}
    query = next(name for name in places if name.endswith("attn1.to_q.weight"))
    one, other = places[query], places[query.replace("to_q", "to_k")]
    first, second = (function.ops.index(op) for op in (one, other))
    function.ops[first], function.ops[second] = other, one
    assert names_by_order("unet", [[function]]) is None
