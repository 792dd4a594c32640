"""Models that cannot be used: each says why in one clear sentence, and nothing ever raises."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.coreml.inspect import inspect_component, inspect_model
from gui.coreml.model import ComponentKind, ModelInfo, UNetKind
from gui.errors import ErrorKind, SfumatoError
from tests.coreml.editing import (
    copy_of,
    edited,
    package,
    replace,
    set_shapes,
    spec_file,
    weights_file,
)
from tests.support.compiled_writer import compile_folder, compile_package
from tests.support.tiny_models import TinyModel

K = ComponentKind


@pytest.fixture
def sd1(tiny_sd1: TinyModel, tmp_path: Path) -> Path:
    return copy_of(tiny_sd1.folder, tmp_path / "sd1")


@pytest.fixture
def sdxl(tiny_sdxl: TinyModel, tmp_path: Path) -> Path:
    return copy_of(tiny_sdxl.folder, tmp_path / "sdxl")


def problem(folder: Path) -> str:
    """The one problem of the model in `folder`, which is one sentence."""
    info = inspect_model(folder)
    assert not info.usable
    assert len(info.problems) == 1, info.problems
    return sentence(info.problems[0])


def sentence(text: str) -> str:
    assert text[0].isupper() or text[0].isalnum()
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


# Places


def test_a_place_without_a_model(tmp_path: Path, sd1: Path) -> None:
    assert problem(tmp_path / "nowhere") == "nowhere does not exist."
    file = tmp_path / "file.txt"
    file.write_text("hello")
    assert problem(file) == "file.txt is no folder."
    (tmp_path / "empty").mkdir()
    assert problem(tmp_path / "empty") == "There are no Core ML models in this folder."
    assert "is one part of a model" in problem(package(sd1, "unet"))


def test_two_models_in_one_folder(sd1: Path, tiny_sd1_fp16: TinyModel) -> None:
    copy_of(package(tiny_sd1_fp16.folder, "unet"), sd1 / "other_unet.mlpackage")
    assert "There are two of the UNet" in problem_among(sd1, "keep one model per folder")


def problem_among(folder: Path, part: str) -> str:
    found = [p for p in inspect_model(folder).problems if part in p]
    assert found, inspect_model(folder).problems
    return sentence(found[0])


# Missing parts


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        ("text_encoder", "The text encoder is missing."),
        ("unet", "The UNet is missing."),
        ("vae_decoder", "The VAE decoder is missing."),
    ],
)
def test_a_missing_network(sd1: Path, suffix: str, says: str) -> None:
    shutil.rmtree(package(sd1, suffix))
    assert problem(sd1) == says


def test_sdxl_needs_both_text_encoders(sdxl: Path) -> None:
    shutil.rmtree(package(sdxl, "text_encoder_2"))
    assert problem(sdxl) == "The second text encoder is missing."


def test_without_encoder_or_checker_a_model_is_usable(sd1: Path) -> None:
    shutil.rmtree(package(sd1, "vae_encoder"))
    shutil.rmtree(package(sd1, "safety_checker"))
    info = inspect_model(sd1)
    assert info.usable
    assert not info.has_image_to_image
    assert "Pictures cannot be the starting point: the model has no VAE encoder." in info.notes


# Damaged files


def cut_spec(path: Path) -> None:
    replace(spec_file(path), spec_file(path).read_bytes()[:-100])


def cut_weights(path: Path) -> None:
    replace(weights_file(path), weights_file(path).read_bytes()[:-1])


def link_weights_in_a_circle(path: Path) -> None:
    weights_file(path).unlink()
    weights_file(path).symlink_to("weight.bin")


def write_neural_network(path: Path) -> None:
    with edited(path) as spec:
        spec.neuralNetwork.layers.add().name = "old"


def write_other_blob_name(path: Path) -> None:
    with edited(path) as spec:
        main = spec.mlProgram.functions["main"]
        for op in main.block_specializations[main.opset].operations:
            value = op.attributes.get("val")
            if value is not None and value.WhichOneof("value") == "blobFileValue":
                value.blobFileValue.fileName = "@model_path/../../../../etc/passwd"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: (p / "Manifest.json").unlink(), "has no Manifest.json"),
        (lambda p: replace(p / "Manifest.json", b"{"), "manifest"),
        (lambda p: spec_file(p).unlink(), "lacks its model description"),
        (cut_spec, "truncated"),
        (lambda p: replace(spec_file(p), b""), "truncated"),
        (lambda p: replace(spec_file(p), b"<html>Not found</html>"), "truncated or damaged"),
        (cut_weights, "cut short"),
        (lambda p: weights_file(p).unlink(), "lacks its weights"),
        (link_weights_in_a_circle, "leads nowhere"),
        (write_other_blob_name, "points at weights outside itself"),
        (write_neural_network, "older kind of Core ML model"),
    ],
    ids=[
        "no manifest", "broken manifest", "no spec", "cut spec", "empty spec", "web page",
        "cut weights", "no weights", "link circle", "blob out", "neural network",
    ],
)  # fmt: skip
def test_a_damaged_package(sd1: Path, damage: Callable[[Path], object], says: str) -> None:
    path = package(sd1, "unet")
    damage(path)
    found = problem_among(sd1, says)
    assert path.name in found
    with pytest.raises(SfumatoError) as caught:
        inspect_component(path)
    assert caught.value.kind in (ErrorKind.BAD_MODEL, ErrorKind.UNSUPPORTED)
    assert sentence(caught.value.message) and caught.value.what == found


def test_no_byte_of_damage_is_a_crash(sd1: Path) -> None:
    """Whatever happens to a specification's bytes, inspection answers."""
    path = package(sd1, "vae_decoder")
    whole = spec_file(path).read_bytes()
    rng = random.Random(1)
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 4, 32))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        replace(spec_file(path), bytes(data))
        assert isinstance(inspect_model(sd1), ModelInfo)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: (p / "model.mil").unlink(), "lacks its program"),
        (lambda p: (p / "model.mil").write_bytes(b"\xff\x00\x01"), "is not text"),
        (lambda p: (p / "model.mil").write_text("hello"), "no ML Program"),
        (
            lambda p: (p / "model.mil").write_text((p / "model.mil").read_text()[:20000]),
            "cut short",
        ),
        (
            lambda p: (p / "model.mil").write_text(
                (p / "model.mil").read_text().replace("[2, 4, 8, 8]", f"[{'9' * 5000}]")
            ),
            "makes no sense",
        ),
        (lambda p: (p / "weights" / "weight.bin").write_bytes(b""), "cut short"),
        (lambda p: shutil.rmtree(p / "weights"), "lacks its weights"),
        (
            lambda p: (
                (p / "model.mil").unlink(),
                (p / "model.espresso.net").write_text("{}"),
            ),
            "older kind of Core ML model",
        ),
    ],
)
def test_a_damaged_compiled_model(
    tiny_sd1: TinyModel, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    path = compile_package(package(tiny_sd1.folder, "unet"), tmp_path / "Unet.mlmodelc")
    inspect_component(path)
    damage(path)
    with pytest.raises(SfumatoError, match=says) as caught:
        inspect_component(path)
    assert "Unet.mlmodelc" in sentence(caught.value.message)


def test_a_file_where_a_package_should_be(sd1: Path) -> None:
    path = package(sd1, "unet")
    shutil.rmtree(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert problem(sd1) == "The UNet is missing."
    with pytest.raises(SfumatoError, match="is a file, not a folder"):
        inspect_component(path)
    with pytest.raises(SfumatoError, match="does not exist"):
        inspect_component(sd1 / "gone.mlpackage")
    with pytest.raises(SfumatoError, match="is no Core ML model"):
        inspect_component(sd1 / "sfumato.json")


# Foreign files


def test_a_stranger_beside_the_model_is_left_aside(sd1: Path, tiny_sd1: TinyModel) -> None:
    stranger = copy_of(package(tiny_sd1.folder, "unet"), sd1 / "Poses.mlpackage")
    rename_inputs(stranger, sample="picture", encoder_hidden_states="poses")
    info = inspect_model(sd1)
    assert info.usable
    (note,) = [n for n in info.notes if "Poses.mlpackage" in n]
    assert "is no part of a Stable Diffusion model" in sentence(note)


def test_a_network_is_known_by_its_inputs_where_its_name_says_nothing(sd1: Path) -> None:
    package(sd1, "unet").rename(sd1 / "part-a.mlpackage")
    package(sd1, "vae_decoder").rename(sd1 / "part-b.mlpackage")
    info = inspect_model(sd1)
    assert info.problems == ()
    assert info.components[K.UNET].files[0].name == "part-a.mlpackage"


def rename_inputs(path: Path, **names: str) -> None:
    with edited(path) as spec:
        for feature in spec.description.input:
            feature.name = names.get(feature.name, feature.name)


def test_a_unet_converted_for_another_program(sd1: Path) -> None:
    rename_inputs(package(sd1, "unet"), sample="latent")
    assert "was converted for another program: it has no input 'sample'" in problem_among(
        sd1, "UNet ("
    )


def test_a_unet_with_another_text_layout(sd1: Path) -> None:
    set_shapes(package(sd1, "unet"), encoder_hidden_states=(2, 77, 32))
    assert "not laid out as Apple's" in problem_among(sd1, "text input")


@pytest.mark.parametrize(
    ("suffix", "tensor", "shape", "says"),
    [
        ("vae_decoder", "image", (1,) * 65, "makes no sense"),
        ("text_encoder", "last_hidden_state", (1,) * 65, "makes no sense"),
        ("unet", "timestep", (1,) * 65, "makes no sense"),
    ],
)
def test_more_dimensions_than_any_tensor_has(
    suffix: str, tensor: str, shape: tuple[int, ...], says: str, sd1: Path
) -> None:
    set_shapes(package(sd1, suffix), **{tensor: shape})
    assert says in problem_among(sd1, says)


def test_a_specification_from_the_future(sd1: Path) -> None:
    with edited(package(sd1, "vae_decoder")) as spec:
        spec.specificationVersion = 99
    assert "newer than this version of Sfumato knows" in problem_among(sd1, "VAE decoder (")


# Parts that do not fit


def test_an_sdxl_text_encoder_with_an_sd1_unet(sd1: Path, tiny_sdxl: TinyModel) -> None:
    shutil.rmtree(package(sd1, "text_encoder"))
    source = package(tiny_sdxl.folder, "text_encoder")
    copy_of(source, sd1 / source.name)
    assert problem(sd1) == (
        "The text encoder belongs to Stable Diffusion XL and does not fit the UNet."
    )


def test_an_sd1_text_encoder_with_an_sdxl_unet(sdxl: Path, tiny_sd1: TinyModel) -> None:
    shutil.rmtree(package(sdxl, "text_encoder"))
    source = package(tiny_sd1.folder, "text_encoder")
    copy_of(source, sdxl / source.name)
    assert problem(sdxl) == "The text encoder belongs to another family and does not fit the UNet."


def test_a_text_encoder_of_another_width(sd1: Path) -> None:
    set_shapes(package(sd1, "text_encoder"), last_hidden_state=(1, 77, 48), pooled_outputs=(1, 48))
    assert problem(sd1) == (
        "The text encoder does not fit the UNet: it gives 48 channels, and the UNet takes 32."
    )


def test_a_text_encoder_of_another_length(sd1: Path) -> None:
    set_shapes(package(sd1, "text_encoder"), last_hidden_state=(1, 64, 32))
    assert problem(sd1) == "The text encoder reads 64 tokens, but the UNet takes 77."


def test_a_second_text_encoder_with_another_pooled_width(sdxl: Path) -> None:
    set_shapes(package(sdxl, "text_encoder_2"), pooled_outputs=(1, 99))
    assert "it gives 99 pooled channels, and the UNet takes 40" in problem(sdxl)


def test_a_decoder_for_another_size(sd1: Path, tiny_sd2v: TinyModel) -> None:
    shutil.rmtree(package(sd1, "vae_decoder"))
    source = package(tiny_sd2v.folder, "vae_decoder")
    copy_of(source, sd1 / source.name)
    found = problem_among(sd1, "The VAE decoder does not fit the UNet")
    assert "takes latents of 12 × 8 with 4 channels" in found
    assert "the UNet gives 8 × 8 with 4 channels" in found


def test_an_encoder_for_another_size(sd1: Path, tiny_sd2v: TinyModel) -> None:
    shutil.rmtree(package(sd1, "vae_encoder"))
    source = package(tiny_sd2v.folder, "vae_encoder")
    copy_of(source, sd1 / source.name)
    problem_among(sd1, "The VAE encoder does not fit the UNet")
    problem_among(sd1, "The VAE encoder and decoder are made for pictures of different sizes.")


def test_a_safety_checker_for_another_size_is_used_all_the_same(sd1: Path) -> None:
    """It judges a copy of the picture of its own size; see the pipeline's tests."""
    set_shapes(package(sd1, "safety_checker"), images=(1, 512, 512, 3))
    assert inspect_model(sd1).usable


def test_a_sidecar_of_another_family(sd1: Path, sdxl: Path) -> None:
    replace(sd1 / "sfumato.json", (sdxl / "sfumato.json").read_bytes())
    problem_among(sd1, "it lacks time_ids")
    set_shapes(package(sd1, "unet"), encoder_hidden_states=(2, 768, 1, 77))
    problem_among(
        sd1, "sfumato.json says Stable Diffusion XL, but the UNet is Stable Diffusion 1's."
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not text in UTF-8"),
        (b"[" * 200_000, "nests too many"),
        (b"[]", "is no JSON object"),
        (b'{"format": 1}', "makes no sense"),
        (b'{"family": "sd9"}', "makes no sense"),
        (b'{"format": 2, "family": "sd1"}', "has format 2"),
        (b'{"family": "sd1", "prediction_type": "guess"}', "“prediction_type” must be epsilon"),
        (b'{"family": "sd1", "scaling_factor": NaN}', "holds NaN"),
        (
            b'{"family": "sd1", "scaling_factor": 0}',
            "“scaling_factor” must be a number other than 0",
        ),
        (b'{"family": "sd1", "scheduler_config": 3}', "“scheduler_config” must be an object"),
    ],
)
def test_a_broken_sidecar(sd1: Path, content: bytes, says: str) -> None:
    replace(sd1 / "sfumato.json", content)
    assert "sfumato.json" in problem_among(sd1, says)


# Known, but not runnable


@pytest.mark.parametrize(
    ("channels", "kind"),
    [(4, UNetKind.STANDARD), (9, UNetKind.INPAINT), (8, UNetKind.INSTRUCT), (5, UNetKind.DEPTH)],
)
def test_what_a_unet_is_shown_is_told_by_its_channels(
    sd1: Path, channels: int, kind: UNetKind
) -> None:
    set_shapes(package(sd1, "unet"), sample=(2, channels, 8, 8))
    info = inspect_model(sd1)
    assert (info.problems, info.unet_kind, info.latent_channels) == ((), kind, 4)


@pytest.mark.parametrize("channels", [3, 6, 7, 10])
def test_a_unet_that_is_shown_what_nobody_knows(sd1: Path, channels: int) -> None:
    set_shapes(package(sd1, "unet"), sample=(2, channels, 8, 8))
    assert problem(sd1) == (
        f"The UNet takes {channels} channels; what they are to show it is not known."
    )


def test_a_refiner_is_named(sdxl: Path) -> None:
    set_shapes(package(sdxl, "unet"), time_ids=(2, 5))
    assert problem(sdxl) == (
        "This is a refiner: choose it as Refiner of a Stable Diffusion XL model."
    )


def test_stable_diffusion_3_is_named(sd1: Path) -> None:
    path = package(sd1, "unet").rename(sd1 / "x_mmdit.mlpackage")
    rename_inputs(
        path,
        sample="latent_image_embeddings",
        encoder_hidden_states="token_level_text_embeddings",
    )
    assert problem(sd1) == "This is a Stable Diffusion 3 model, which cannot be used yet."


def test_an_odd_batch(sd1: Path) -> None:
    set_shapes(
        package(sd1, "unet"),
        sample=(4, 4, 8, 8),
        timestep=(4,),
        encoder_hidden_states=(4, 32, 1, 77),
        noise_pred=(4, 4, 8, 8),
    )
    assert problem(sd1) == "The UNet works on 4 pictures at once; only 1 and 2 can be used."


def test_an_unknown_input(sd1: Path) -> None:
    with edited(package(sd1, "unet")) as spec:
        extra = spec.description.input.add()
        extra.CopyFrom(spec.description.input[1])
        extra.name = "camera_angle"
    assert problem(sd1) == "The UNet needs an input that cannot be given: camera_angle."


def test_what_a_stranger_wrote_is_quoted_in_moderation(sd1: Path) -> None:
    """Names of a million letters, of several lines, and such as turn the text around."""
    with edited(package(sd1, "unet")) as spec:
        spec.description.metadata.versionString = "someone/" + "long\n\u202e" * 10**5
        extra = spec.description.input.add()
        extra.CopyFrom(spec.description.input[1])
        extra.name = "camera\n\u202e" * 10**5
    (sd1 / "sfumato.json").unlink()
    info = inspect_model(sd1)
    for text in (info.name, *info.problems):
        assert text.isprintable() and len(text) <= 301
    assert info.name.startswith("long")
    assert any("cannot be given: camera" in problem for problem in info.problems)


def test_a_compiled_folder_has_the_same_objections(
    sd1: Path, tiny_sdxl: TinyModel, tmp_path: Path
) -> None:
    shutil.rmtree(package(sd1, "text_encoder"))
    source = package(tiny_sdxl.folder, "text_encoder")
    copy_of(source, sd1 / source.name)
    compiled = compile_folder(sd1, tmp_path / "compiled")
    shutil.copy(sd1 / "sfumato.json", compiled)
    assert inspect_model(compiled).problems == inspect_model(sd1).problems


def test_a_broken_controlnet_does_not_spoil_the_model(sd1: Path) -> None:
    path = sd1 / "ControlNet_broken.mlpackage"
    path.mkdir()
    info = inspect_model(sd1)
    assert info.usable
    assert any("ControlNet" in n and path.name in n for n in info.notes)
