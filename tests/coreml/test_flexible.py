"""Which sizes a model's files allow: ranges, lists, defaults, and what contradicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.coreml.inspect import inspect_component, inspect_model
from gui.coreml.model import ComponentKind, ModelInfo, TensorSpec
from gui.errors import SfumatoError
from gui.picture_sizes import PictureSizes
from gui.records import dumps, loads
from tests.coreml.editing import copy_of, edited, package, replace
from tests.support.compiled_writer import compile_folder
from tests.support.flexible import LISTED, listed_model, ranged_model

K = ComponentKind
Range = tuple[int, int]
SIDES = (64, 128)


def ranges(folder: Path, suffix: str, name: str, height: Range, width: Range) -> None:
    """Declare other ranges for an input's sides."""
    with edited(package(folder, suffix)) as spec:
        (feature,) = (f for f in spec.description.input if f.name == name)
        sizes = feature.type.multiArrayType.shapeRange.sizeRanges
        for size, (low, high) in zip(sizes[2:], (height, width), strict=True):
            size.lowerBound, size.upperBound = low, high


@pytest.fixture
def ranged(tmp_path: Path) -> Path:
    """A model of Apple's form with ranges, to change."""
    return copy_of(ranged_model(), tmp_path / "model")


def sizes(folder: Path) -> PictureSizes:
    info = inspect_model(folder)
    assert info.problems == () and info.sizes is not None
    return info.sizes


def test_a_range_goes_by_the_steps_that_the_unet_can_halve(ranged: Path) -> None:
    """The tiny UNet halves once: latents of 2, pixels of 16."""
    assert sizes(ranged) == PictureSizes((64, 64), (), SIDES, SIDES, 16)
    for suffix in ("unet", "control-unet"):  # an odd end is not reached
        ranges(ranged, suffix, "sample", (9, 15), (8, 16))
    found = sizes(ranged)
    assert (found.heights, found.widths, found.own) == ((80, 112), SIDES, (64, 80))


def test_the_default_is_stated_apart_from_the_range(ranged: Path) -> None:
    info = inspect_model(ranged)
    sample = info.components[K.UNET].input("sample")
    assert sample is not None and sample.shape == (2, 4, 8, 8)
    assert sample.accepts((2, 4, 16, 8)) and not sample.accepts((2, 4, 17, 8))
    assert not sample.accepts((1, 4, 8, 8))  # the batch is no size
    with edited(package(ranged, "unet")) as spec:
        spec.description.input[0].type.multiArrayType.shape[2:] = (12, 16)
    info = inspect_model(ranged)
    assert (info.image_width, info.image_height) == (128, 96)
    assert (info.latent_width, info.latent_height) == (16, 12)
    assert info.components[K.VAE_DECODER].inputs[0].shape == (1, 4, 12, 16)


def test_a_list_is_what_all_networks_have_in_theirs(tmp_path: Path) -> None:
    folder = copy_of(listed_model(), tmp_path / "model")
    every = tuple((8 * w, 8 * h) for h, w in LISTED)
    assert sizes(folder) == PictureSizes((64, 64), every, step=64)
    with edited(package(folder, "vae_decoder")) as spec:
        shapes = spec.description.input[0].type.multiArrayType.enumeratedShapes.shapes
        del shapes[1]
    assert sizes(folder).listed == (every[0], *every[2:])


def test_of_several_lists_the_shapes_at_one_place_belong_together(tmp_path: Path) -> None:
    folder = copy_of(listed_model(), tmp_path / "model")
    with edited(package(folder, "unet")) as spec:
        (feature,) = (f for f in spec.description.input if f.name == "mid_block_res_sample")
        shapes = feature.type.multiArrayType.enumeratedShapes.shapes
        first, second = list(shapes[1].shape), list(shapes[2].shape)
        shapes[1].shape[:], shapes[2].shape[:] = second, first
    assert sizes(folder).listed == tuple((8 * w, 8 * h) for h, w in (LISTED[0], LISTED[3]))


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("model", [ranged_model, listed_model])
def test_a_compiled_model_states_the_same(
    model: Callable[[], Path], metadata: bool, tmp_path: Path
) -> None:
    """In `metadata.json`, or in the program's own text."""
    compiled = compile_folder(model(), tmp_path / "compiled", metadata=metadata)
    (compiled / "sfumato.json").write_text(json.dumps({"family": "sd1"}))
    found = sizes(compiled)
    assert found == sizes(copy_of(model(), tmp_path / "model"))


def test_without_a_word_on_sizes_it_cannot_be_used(tmp_path: Path) -> None:
    compiled = compile_folder(ranged_model(), tmp_path / "compiled", metadata=False)
    text = (compiled / "Unet.mlmodelc" / "model.mil").read_text()
    start = text.index("[FlexibleShapeInformation")
    replace(
        compiled / "Unet.mlmodelc" / "model.mil",
        (text[:start] + text[text.index("{\n", start) :]).encode(),
    )
    (problem, *_) = inspect_model(compiled).problems
    assert "leaves the size of 'sample' open and does not say which it takes" in problem


def test_ranges_without_end(ranged: Path) -> None:
    for suffix in ("unet", "control-unet"):
        ranges(ranged, suffix, "sample", (1, -1), (1, -1))
    assert sizes(ranged).widths == SIDES  # the VAE ends sooner
    ranges(ranged, "vae_decoder", "z", (1, -1), (1, -1))
    ranges(ranged, "vae_encoder", "x", (8, -1), (8, -1))
    for number, scale in enumerate((1, 1, 2, 2, 2)):
        name = f"additional_residual_{number}"
        ranges(ranged, "control-unet", name, (1, -1), (8 // scale, -1))
    assert sizes(ranged).widths == sizes(ranged).heights == (64, 2048)


def test_networks_without_a_size_in_common(ranged: Path) -> None:
    ranges(ranged, "vae_decoder", "z", (20, 30), (20, 30))
    (problem, *_) = inspect_model(ranged).problems
    assert problem.startswith("The model's networks draw no size of picture in common")
    assert "VAE decoder: 160 to 240 × 160 to 240" in problem
    assert problem.endswith("choose another.")


def test_a_range_that_contradicts_itself(ranged: Path) -> None:
    ranges(ranged, "unet", "sample", (16, 8), (8, 16))
    (problem, *_) = inspect_model(ranged).problems
    assert problem == (
        "The UNet states sizes that contradict one another; get the model again, or choose another."
    )


def test_places_for_controls_that_end_sooner(ranged: Path) -> None:
    """What a ControlNet hands over must fit as well."""
    ranges(ranged, "control-unet", "additional_residual_4", (4, 6), (4, 8))
    assert sizes(ranged).heights == (64, 96)


def test_one_network_for_one_size_holds_the_others_to_it(ranged: Path) -> None:
    with edited(package(ranged, "vae_encoder")) as spec:
        array = spec.description.input[0].type.multiArrayType
        array.ClearField("shapeRange")
        array.shape[:] = (1, 3, 96, 64)
    info = inspect_model(ranged)
    assert info.problems == ()
    assert info.sizes == PictureSizes((64, 96), ((64, 96),))
    assert (info.image_width, info.image_height) == (64, 96)


@pytest.mark.parametrize(
    "wrong",
    [
        [[2, 2], [4, 4], [8, 16]],
        [[2, 2], [4, 4], [8, 16], [8, "x"]],
        [[2, 2], [4, 4], [8], [8, 16]],
        "x" * 1000,
        [[[[]]]],
    ],
)
def test_metadata_that_makes_no_sense(wrong: object, tmp_path: Path) -> None:
    """What the program says then counts; or nothing, in one sentence."""
    compiled = compile_folder(ranged_model(), tmp_path / "compiled")
    file = compiled / "Unet.mlmodelc" / "metadata.json"
    data = json.loads(file.read_text())
    data[0]["inputSchema"][0]["shapeRange"] = json.dumps(wrong)
    replace(file, json.dumps(data).encode())
    info = inspect_model(compiled)
    assert info.problems or info.sizes is not None
    assert all(problem.count(". ") == 0 for problem in info.problems)


def test_more_shapes_than_any_network_has(tmp_path: Path) -> None:
    folder = copy_of(listed_model(), tmp_path / "model")
    with edited(package(folder, "vae_decoder")) as spec:
        shapes = spec.description.input[0].type.multiArrayType.enumeratedShapes.shapes
        for side in range(100_000):
            shapes.add().shape[:] = (1, 4, side + 8, 8)
    (problem, *_) = inspect_model(folder).problems
    assert problem.endswith("makes no sense.")


def test_it_goes_from_process_to_process(ranged: Path) -> None:
    info = inspect_model(ranged)
    assert loads(ModelInfo, dumps(info)) == info
    component = inspect_component(package(ranged, "unet"))
    assert component.is_flexible and component.halvings == 1
    # records of an older version have nothing of it
    assert loads(TensorSpec, '{"name": "z", "dtype": "fp16", "shape": [1, 4, 8, 8]}').accepts(
        (1, 4, 8, 8)
    )


def test_the_nearest_size() -> None:
    drawn = PictureSizes((512, 512), (), (256, 1024), (256, 768), 64)
    assert drawn.nearest((500, 1000)) == (512, 768)
    assert drawn.nearest((10, 10)) == (256, 256)
    assert drawn.nearest((576, 320)) == (576, 320)
    assert (drawn.span(), drawn.others()) == (
        "256–1024", "256 to 1024 × 256 to 768 pixels, in steps of 64"
    )  # fmt: skip
    listed = PictureSizes((512, 512), ((512, 512), (512, 768), (768, 512)))
    assert (listed.span(), listed.others()) == ("512–768", "also 512 × 768 and 768 × 512")
    assert listed.nearest((640, 500)) in ((512, 512), (768, 512))
    assert listed.nearest((2000, 1000)) == (768, 512)
    with pytest.raises(SfumatoError, match="choose 512 × 768, which is nearest"):
        listed.check((500, 900))
