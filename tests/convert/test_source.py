"""Sources are read as diffusers reads them: the same networks, the same settings."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gui.convert.checkpoint.source import PART_OF, look, open_source
from gui.convert.types import SourceInfo
from gui.coreml.model import ComponentKind, Family
from gui.errors import ErrorKind, SfumatoError
from tests.convert.conftest import edit_json, refusal
from tests.support.tiny_checkpoints import TINY, pipeline, save_folder

K = ComponentKind
Make = Callable[[str], Path]

FAMILIES = {
    "sd1": Family.SD1,
    "sd1-safety": Family.SD1,
    "sd2": Family.SD2,
    "sd2-v": Family.SD2,
    "sdxl": Family.SDXL,
    "sdxl-refiner": Family.SDXL_REFINER,
}
SD = (K.TEXT_ENCODER, K.UNET, K.VAE_DECODER, K.VAE_ENCODER)
FAMILIES |= {
    "sd1-inpaint": Family.SD1,
    "sd1-instruct": Family.SD1,
    "sd2-depth": Family.SD2,
    "sdxl-inpaint": Family.SDXL,
    "sdxl-instruct": Family.SDXL,
}
TASKS = {
    "inpaint": "It paints parts of pictures anew.",
    "instruct": "It edits pictures as it is told.",
    "depth": "It is led by a depth map.",
}
COMPONENTS = {
    "sd1": SD,
    "sd1-safety": (*SD, K.SAFETY_CHECKER),
    "sd2": SD,
    "sd2-v": SD,
    "sdxl": (K.TEXT_ENCODER, K.TEXT_ENCODER_2, K.UNET, K.VAE_DECODER, K.VAE_ENCODER),
    "sdxl-refiner": (K.TEXT_ENCODER_2, K.REFINER, K.VAE_DECODER, K.VAE_ENCODER),
}
COMPONENTS |= {
    f"{kind}-{task}": COMPONENTS[kind] for kind in ("sd1", "sd2", "sdxl") for task in TASKS
}


@pytest.fixture(params=list(TINY))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["folder", "single"])
def path(request: pytest.FixtureRequest, kind: str, tiny_folder: Make, tiny_single: Make) -> Path:
    return tiny_folder(kind) if request.param == "folder" else tiny_single(kind)


def state(network: Any) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def assert_same(network: Any, wanted: Any, exact: bool = True) -> None:
    got, want = state(network), state(wanted)
    assert got.keys() == want.keys()
    for name, value in want.items():
        expected = value if exact else value.half().float()
        assert torch.equal(got[name], expected), name
        assert got[name].dtype == value.dtype


# --- what a source is -----------------------------------------------------------------------------


def test_look_names_family_parts_and_size(kind: str, path: Path) -> None:
    info = look(path)
    pipe = pipeline(kind)
    assert info.family is FAMILIES[kind]
    first = info.notes[0] if info.notes else ""
    assert [task for task, told in TASKS.items() if told == first] == [
        task for task in TASKS if kind.endswith(f"-{task}")
    ]
    expected = COMPONENTS[kind]
    if info.single_file:  # the original layout has no place for a safety checker
        expected = tuple(k for k in expected if k is not K.SAFETY_CHECKER)
    assert info.components == expected
    assert info.unet_parameters == sum(p.numel() for p in pipe.unet.parameters())
    assert info.size.width % 64 == info.size.height % 64 == 0
    if path.is_file():
        assert info.bytes == path.stat().st_size
    else:
        assert info.bytes == sum(p.stat().st_size for p in path.rglob("*.safetensors"))
    assert SourceInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_look_counts_every_parameter(tiny_folder: Make) -> None:
    pipe = pipeline("sdxl")
    parts = (pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2)
    assert look(tiny_folder("sdxl")).parameters == sum(
        p.numel() for part in parts for p in part.parameters()
    )


def test_networks_compute_what_the_pipelines_do(kind: str, path: Path) -> None:
    pipe = pipeline(kind)
    with open_source(path) as source, torch.no_grad():
        source.check()
        for component in source.info.components:
            network: Any = source.component(component)
            assert not network.training
            assert not any(p.requires_grad for p in network.parameters())
            wanted = getattr(pipe, PART_OF[component])
            assert_same(network, wanted)
            for got, want in zip(
                outputs(network, component), outputs(wanted, component), strict=True
            ):
                assert torch.equal(got, want)


def outputs(network: Any, component: ComponentKind) -> tuple[torch.Tensor, ...]:
    """A run on seeded inputs: shows heads, activations and added conditioning to be right."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    if component in (K.TEXT_ENCODER, K.TEXT_ENCODER_2):
        ids = torch.tensor([[49406, 320, 1125, 539, 550, 49407, *[0] * 71]])
        out = network(ids, output_hidden_states=True)
        return (*out.hidden_states, out[0])
    if component is K.SAFETY_CHECKER:
        return (network.vision_model(normal(1, 3, 224, 224))[1],)
    if component is K.VAE_DECODER:
        return (network.decode(normal(1, 4, 4, 4)).sample,)
    if component is K.VAE_ENCODER:
        return (network.encode(normal(1, 3, 32, 32)).latent_dist.parameters,)
    config, added = network.config, {}
    if config.addition_embed_type:
        ids = 6 if component is K.UNET else 5
        width = config.projection_class_embeddings_input_dim
        pooled = width - ids * config.addition_time_embed_dim
        added = {"time_ids": 100 * normal(1, ids), "text_embeds": normal(1, pooled)}
    text = normal(1, 77, config.cross_attention_dim)
    return (
        network(normal(1, config.in_channels, 8, 8), 500, text, added_cond_kwargs=added).sample,
    )


def test_settings_are_those_of_the_pipeline(kind: str, tiny_folder: Make) -> None:
    pipe, source = pipeline(kind), open_source(tiny_folder(kind))
    config = dict(pipe.scheduler.config)
    assert (
        source.scheduler_config().items()
        >= {k: v for k, v in config.items() if not k.startswith("_")}.items()
    )
    assert source.scheduler_config()["_class_name"] == type(pipe.scheduler).__name__
    assert source.scaling_factor == pipe.vae.config.scaling_factor
    assert source.shift_factor == 0.0
    tokenizers = (getattr(pipe, "tokenizer", None), getattr(pipe, "tokenizer_2", None))
    assert source.pad_token_ids == tuple(t.pad_token_id for t in tokenizers if t)
    assert source.force_zeros_for_empty_prompt == pipe.config.get(
        "force_zeros_for_empty_prompt", False
    )
    assert source.info.prediction_type == pipe.scheduler.config.prediction_type


def test_settings_of_single_files_are_the_familys(kind: str, tiny_single: Make) -> None:
    source, pipe = open_source(tiny_single(kind)), pipeline(kind)
    config = source.scheduler_config()
    for key in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "steps_offset"):
        assert config[key] == pipe.scheduler.config[key]
    assert source.scaling_factor == pipe.vae.config.scaling_factor
    tokenizers = (getattr(pipe, "tokenizer", None), getattr(pipe, "tokenizer_2", None))
    assert source.pad_token_ids == tuple(t.pad_token_id for t in tokenizers if t)
    assert source.force_zeros_for_empty_prompt == (
        kind.startswith("sdxl") and kind != "sdxl-refiner"
    )


def test_the_tokenizers_files_are_clips(tiny_single: Make) -> None:
    vocabulary, merges = open_source(tiny_single("sd1")).tokenizer_files()
    assert json.loads(vocabulary.read_text())["<|endoftext|>"] == 49407
    assert merges.read_text().splitlines()[1] == "i n"


# --- forms of diffusers folders -------------------------------------------------------------------


def test_half_precision_variant(tmp_path: Path) -> None:
    folder = save_folder("sd1", tmp_path / "half", variant="fp16")
    assert not list(folder.rglob("model.safetensors"))
    source = open_source(folder)
    for component in (K.TEXT_ENCODER, K.UNET):
        assert_same(
            source.component(component),
            getattr(pipeline("sd1"), PART_OF[component]),
            exact=False,
        )


def test_full_precision_is_preferred_to_a_variant(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    full = folder / "unet" / "diffusion_pytorch_model.safetensors"
    half = {k: torch.zeros_like(v).half() for k, v in load_file(full).items()}
    save_file(half, full.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert_same(open_source(folder).component(K.UNET), pipeline("sd1").unet)


def test_sharded_weights(tmp_path: Path) -> None:
    folder = save_folder("sd1", tmp_path / "shards", shard="300KB")
    assert len(list((folder / "unet").glob("*-of-*.safetensors"))) > 3
    source = open_source(folder)
    for component in SD:
        assert_same(source.component(component), getattr(pipeline("sd1"), PART_OF[component]))
    next((folder / "unet").glob("*-00003-of-*.safetensors")).unlink()
    with pytest.raises(SfumatoError) as error:
        look(folder)
    assert "is missing" in refusal(error)
    assert error.value.kind is ErrorKind.BAD_MODEL


def test_an_index_may_not_point_elsewhere(tmp_path: Path, tiny_folder: Make) -> None:
    folder = save_folder("sd1", tmp_path / "shards", shard="300KB")
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    other = tiny_folder("sd1") / "unet" / "diffusion_pytorch_model.safetensors"
    edit_json(index, weight_map={"conv_in.weight": os.path.relpath(other, index.parent)})
    with pytest.raises(SfumatoError) as error:
        look(folder)
    assert "makes no sense" in refusal(error)


def test_old_names_of_attention_and_text_layers(copied: Callable[[str], Path]) -> None:
    """Files from before diffusers 0.18 and transformers 5.6 name some layers differently."""
    folder = copied("sd1")
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, value in load_file(vae).items():
        for new, before in old.items():
            if f"attentions.0.{new}." in name:
                name = name.replace(new, before)
                value = value[:, :, None, None].clone() if value.ndim == 2 else value
        renamed[name] = value
    assert any(".query." in name for name in renamed)
    save_file(renamed, vae)
    text = folder / "text_encoder" / "model.safetensors"
    wrapped = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(text).items()}
    wrapped["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(wrapped, text)
    source = open_source(folder)
    assert_same(source.component(K.VAE_DECODER), pipeline("sd1").vae)
    assert_same(source.component(K.TEXT_ENCODER), pipeline("sd1").text_encoder)


def test_padding_stated_as_an_object(copied: Callable[[str], Path]) -> None:
    folder = copied("sd2")
    (folder / "tokenizer" / "tokenizer_config.json").write_text("{}")
    (folder / "tokenizer" / "special_tokens_map.json").write_text(
        json.dumps({"pad_token": {"content": "<|endoftext|>", "lstrip": False}})
    )
    assert open_source(folder).pad_token_ids == (49407,)


def test_velocity_is_assumed_for_768_pixels(copied: Callable[[str], Path]) -> None:
    folder = copied("sd2")
    shutil.rmtree(folder / "scheduler")
    edit_json(folder / "unet" / "config.json", sample_size=96)
    info = look(folder)
    assert info.prediction_type == "v_prediction"
    assert (info.size.width, info.size.height) == (768, 768)
    assert any("assumed" in note for note in info.notes)
    edit_json(folder / "unet" / "config.json", sample_size=64)
    assert look(folder).prediction_type == "epsilon"


# --- safety ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "form"), [("sd1-safety", "folder"), ("sdxl", "single")])
def test_nothing_is_unpickled_or_fetched(
    kind: str,
    form: str,
    tiny_folder: Make,
    tiny_single: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tiny_folder(kind) if form == "folder" else tiny_single(kind)

    def never(*_: object, **__: object) -> Any:
        raise AssertionError("not allowed")

    monkeypatch.setattr(pickle, "load", never)
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(pickle, "Unpickler", never)
    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    with open_source(path) as source:
        for component in source.info.components:
            source.component(component)


def test_looking_needs_no_heavy_library(tiny_single: Make, tiny_folder: Make) -> None:
    script = (
        "import sys\nfrom gui.convert.checkpoint.source import look\n"
        "for p in sys.argv[1:]: print(look(p).family)\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'coremltools'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tiny_single("sdxl"), tiny_folder("sd1")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split("\n")[:3] == ["sdxl", "sd1", "[]"]


def test_the_file_is_not_changed_by_changing_a_network(tiny_single: Make, tmp_path: Path) -> None:
    path = Path(shutil.copy(tiny_single("sd1"), tmp_path))
    before = path.read_bytes()
    source = open_source(path)
    network = source.component(K.UNET)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert path.read_bytes() == before
    assert_same(source.component(K.UNET), pipeline("sd1").unet)


def test_names_for_people(tiny_folder: Make, tmp_path: Path) -> None:
    for place, name in (
        ("models--stabilityai--sd-turbo/snapshots/0123abcd", "sd-turbo"),
        ("stabilityai--sd-turbo", "sd-turbo"),
        ("My model", "My model"),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(tiny_folder("sd2"))
        assert look(tmp_path / place).name == name


def test_a_person_may_know_better_what_is_predicted(tiny_single: Make) -> None:
    source = open_source(tiny_single("sd2"), prediction_type="epsilon")
    assert source.info.prediction_type == "epsilon"
    assert source.scheduler_config()["prediction_type"] == "epsilon"
    with pytest.raises(SfumatoError) as error:
        open_source(tiny_single("sd2"), prediction_type="magic")
    assert "v_prediction" in refusal(error)
