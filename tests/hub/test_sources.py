"""Which files of a checkpoint are fetched to convert it."""

from __future__ import annotations

import pytest

from gui.errors import ErrorKind, SfumatoError
from gui.hub.downloads.checkpoint_files import pick
from gui.hub.types import RemoteFile, RepoTree

GB = 1 << 30

SD15 = """
.gitattributes README.md model_index.json v1-5-pruned.ckpt v1-5-pruned.safetensors
v1-5-pruned-emaonly.ckpt v1-5-pruned-emaonly.safetensors v1-inference.yaml
feature_extractor/preprocessor_config.json
safety_checker/config.json safety_checker/model.fp16.safetensors safety_checker/model.safetensors
safety_checker/pytorch_model.bin safety_checker/pytorch_model.fp16.bin
scheduler/scheduler_config.json
text_encoder/config.json text_encoder/model.fp16.safetensors text_encoder/model.safetensors
text_encoder/pytorch_model.bin text_encoder/pytorch_model.fp16.bin
tokenizer/merges.txt tokenizer/special_tokens_map.json tokenizer/tokenizer_config.json
tokenizer/vocab.json
unet/config.json unet/diffusion_pytorch_model.bin unet/diffusion_pytorch_model.fp16.bin
unet/diffusion_pytorch_model.fp16.safetensors unet/diffusion_pytorch_model.non_ema.bin
unet/diffusion_pytorch_model.non_ema.safetensors unet/diffusion_pytorch_model.safetensors
vae/config.json vae/diffusion_pytorch_model.bin vae/diffusion_pytorch_model.fp16.safetensors
vae/diffusion_pytorch_model.safetensors
"""
"""As of stable-diffusion-v1-5 on the Hub."""

PLAIN = "model_index.json unet/config.json vae/config.json scheduler/scheduler_config.json "


def tree(text: str, sizes: dict[str, int] | None = None) -> RepoTree:
    small = (".json", ".txt", ".md", ".yaml", ".gitattributes")
    return RepoTree(
        "ada/base",
        "0" * 40,
        tuple(
            RemoteFile(p, (sizes or {}).get(p, 1000 if p.endswith(small) else 2 * GB))
            for p in text.split()
        ),
    )


def picked(text: str, sizes: dict[str, int] | None = None) -> set[str]:
    found = [file.path for file in pick(tree(text, sizes))]
    assert len(found) == len(set(found)), "a file is listed twice"
    return set(found)


def test_half_precision_safetensors_once_and_nothing_that_can_run():
    assert picked(SD15) == {
        "model_index.json",
        "feature_extractor/preprocessor_config.json",
        "safety_checker/config.json",
        "safety_checker/model.fp16.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }


def test_full_precision_where_there_is_no_half():
    text = PLAIN + (
        "unet/diffusion_pytorch_model.safetensors unet/diffusion_pytorch_model.non_ema.safetensors "
        "vae/diffusion_pytorch_model.fp16.safetensors vae/diffusion_pytorch_model.safetensors"
    )
    found = picked(text)
    assert "unet/diffusion_pytorch_model.safetensors" in found
    assert "unet/diffusion_pytorch_model.non_ema.safetensors" not in found
    assert "vae/diffusion_pytorch_model.safetensors" not in found


@pytest.mark.parametrize(
    ("shards", "index"),
    [
        ("unet/m.fp16-0000{}-of-00002.safetensors", "unet/m.safetensors.index.fp16.json"),
        ("unet/m.fp16-0000{}-of-00002.safetensors", "unet/m.fp16.safetensors.index.json"),
        ("unet/m-0000{}-of-00002.fp16.safetensors", "unet/m.safetensors.index.fp16.json"),
        ("unet/m-0000{}-of-00002.safetensors", "unet/m.safetensors.index.json"),
    ],
)
def test_shards_come_with_their_index(shards, index):
    shards, index = (t.replace("/m", "/diffusion_pytorch_model") for t in (shards, index))
    parts = [shards.format(1), shards.format(2)]
    text = PLAIN + " ".join([*parts, index]) + " vae/diffusion_pytorch_model.safetensors"
    found = picked(text + " unet/diffusion_pytorch_model.bin")
    assert {*parts, index} <= found
    assert not any(path.endswith(".bin") for path in found)


def test_shards_without_an_index_are_no_use():
    text = PLAIN + "unet/diffusion_pytorch_model-00001-of-00002.safetensors"
    with pytest.raises(SfumatoError):
        pick(tree(text.replace("vae/", "x/") + " y.bin"))


def test_other_folders_stay_behind():
    text = SD15 + " unet/openvino_model.xml vae_decoder/model.onnx onnx/model.safetensors"
    assert picked(text) == picked(SD15)


def test_a_single_file_checkpoint():
    sizes = {"small-lora.safetensors": 100 << 20}
    assert picked("README.md dream.safetensors small-lora.safetensors", sizes) == {
        "dream.safetensors"
    }


def test_the_pruned_one_of_several_single_files():
    sizes = {"full.safetensors": 7 * GB, "pruned.safetensors": 2 * GB, "vae.safetensors": GB // 3}
    assert picked(" ".join(sizes), sizes) == {"pruned.safetensors"}


def test_a_controlnet():
    text = "README.md config.json diffusion_pytorch_model.bin "
    halves = "diffusion_pytorch_model.fp16.safetensors diffusion_pytorch_model.safetensors"
    assert picked(text + halves) == {"config.json", "diffusion_pytorch_model.fp16.safetensors"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("README.md model.ckpt", "pickle"),
        (PLAIN + "unet/diffusion_pytorch_model.bin vae/diffusion_pytorch_model.bin", "pickle"),
        (PLAIN + "transformer/diffusion_pytorch_model.safetensors", "not a Stable Diffusion 1"),
        ("README.md", "holds no checkpoint"),
        ("model.gguf README.md", "holds no checkpoint"),
    ],
)
def test_what_cannot_be_converted_is_said(text, words):
    with pytest.raises(SfumatoError) as caught:
        pick(tree(text))
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    assert words in caught.value.message
    assert caught.value.message.endswith(".")
