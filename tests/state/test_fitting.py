"""Which of the installed models a ControlNet or LoRA on the Hub is said to fit."""

from __future__ import annotations

import dataclasses

import pytest

from gui.coreml.inspect import inspect_model
from gui.coreml.model import Family, ModelInfo
from gui.hub.types import ModelKind, Variant
from gui.state.describe import fitting
from tests.support.hub_shelf import STARTER, package_folder


@pytest.fixture(scope="module")
def models() -> list[tuple[str, ModelInfo]]:
    starter, ready = inspect_model(STARTER), inspect_model(package_folder("control"))
    return [("Starter", starter), ("Ready", ready)]


def _variant(kind: ModelKind, family: Family, **more: object) -> Variant:
    return Variant("x", "X", (), kind=kind, family=family, **more)  # type: ignore[arg-type]


def test_a_lora_fits_models_of_its_family(models: list[tuple[str, ModelInfo]]) -> None:
    families = {name: info.family for name, info in models}
    assert families["Starter"] is Family.SD1
    text = fitting(_variant(ModelKind.LORA, Family.SD1), models)
    assert text.startswith("Starter")
    assert fitting(_variant(ModelKind.LORA, Family.SDXL), models) == (
        "None of your models: it needs one of Stable Diffusion XL"
    )
    assert (
        fitting(_variant(ModelKind.LORA, Family.UNKNOWN), models) == "Not known before it is tried"
    )


def test_a_controlnet_needs_a_place_to_speak_in(models: list[tuple[str, ModelInfo]]) -> None:
    starter = [m for m in models if m[0] == "Starter"]
    net = _variant(ModelKind.CONTROLNET, Family.SD1)
    assert fitting(net, starter) == ("None of your models: it needs one that is ControlNet-ready")
    ready = [(name, dataclasses.replace(info, family=Family.SD1)) for name, info in models[1:]]
    assert fitting(net, ready) == "Ready"


def test_many_are_not_all_named(models: list[tuple[str, ModelInfo]]) -> None:
    many = [(f"Model {n}", models[0][1]) for n in range(6)]
    text = fitting(_variant(ModelKind.LORA, Family.SD1), many)
    assert text == "Model 0, Model 1, Model 2 and 3 others"


def test_what_cannot_be_used_fits_nothing(models: list[tuple[str, ModelInfo]]) -> None:
    assert fitting(_variant(ModelKind.LORA, Family.SD1, problems=("No.",)), models) == ""
    assert fitting(_variant(ModelKind.TEXT_TO_IMAGE, Family.SD1), models) == ""
