"""Prompts beyond 75 tokens and clip skip, against diffusers with the same embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gui.convert.types import ConvertRequest
from gui.coreml.inspect import inspect_model
from gui.coreml.model import ComponentKind
from gui.pipeline.chunks import lay_out
from gui.pipeline.tokens import ClipTokenizer, count_tokens
from gui.request import PictureRequest, RandomSource
from gui.syntax.reading import read_phases
from gui.syntax.types import PromptSyntax
from tests.pipeline.reference import diffusers_scheduler, seeded
from tests.pipeline.test_parity import ours
from tests.support.converted import converted
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]
A1111 = PromptSyntax.WEB_UI
CATS = "cat " * 60
LONG = CATS + ", a dog and a bird in a tree by the lake, at night under a red moon"


def request(prompt: str, **changes: Any) -> PictureRequest:
    values: dict[str, Any] = {
        "negative_prompt": "blurry", "steps": 3, "guidance_scale": 5.0, "scheduler": "Euler",
        "seed": 77, "random_source": RandomSource.TORCH, "previews": False,
        "prompt_syntax": A1111,
    }  # fmt: skip
    return PictureRequest(prompt, "m", **(values | changes))


def chunks_of(prompt: str, most: int | None = None) -> list[str]:
    """A prompt's chunks, as text."""
    tokenizer = ClipTokenizer()
    (phase,) = read_phases(prompt, A1111, 1)
    laid = lay_out(phase.reading, tokenizer, 75, most)
    texts = [
        tokenizer._tokenizer.decode([token.id for token in chunk])
        for parts in laid.sections
        for chunk in parts[0]
    ]
    return [text.replace("</w>", "").replace(" ,", ",") for text in texts]


def test_a_full_chunk_ends_at_its_comma() -> None:
    """As the web UI lays them out, whose reach back is 20 tokens."""
    assert chunks_of(LONG) == [
        f"{CATS.strip()}, a dog and a bird in a tree by the lake,",
        "at night under a red moon",
    ]
    far = CATS[: 4 * 54] + ", " + "dog " * 30
    assert chunks_of(far)[0].count("dog") == 20  # the comma is 21 tokens back
    near = CATS[: 4 * 55] + ", " + "dog " * 30
    assert chunks_of(near) == [f"{CATS[: 4 * 55].strip()},", ("dog " * 30).strip()]


def test_breaks_end_chunks_and_what_is_too_much_is_packed() -> None:
    assert chunks_of("a cat BREAK a dog, BREAK a bird BREAK") == ["a cat", "a dog,", "a bird"]
    assert chunks_of("BREAK a cat") == ["", "a cat"]
    assert chunks_of("a cat BREAK a dog", most=1) == ["a cat a dog"]
    assert chunks_of("a cat BREAK a dog", most=2) == ["a cat", "a dog"]


def test_what_is_counted_follows_the_model() -> None:
    assert count_tokens(LONG, A1111, 1).limit == 75 and not count_tokens(LONG, A1111, 1).fits
    assert count_tokens(LONG, A1111, 2).limit == 150 and count_tokens(LONG, A1111, 2).fits
    assert count_tokens(LONG, A1111, None).limit == 150
    assert count_tokens("cat", A1111, None).limit == 75


def embeddings(pipe: Any, chunks: list[str]) -> torch.Tensor:
    return torch.cat([pipe.encode_prompt(c, "cpu", 1, False)[0] for c in chunks], dim=1)


def theirs(pipe: Any, positive: torch.Tensor, negative: torch.Tensor, **more: Any) -> np.ndarray:
    pipe.scheduler = diffusers_scheduler("Euler")
    side = 8 * pipe.unet.config.sample_size
    latents = pipe(
        prompt_embeds=positive, negative_prompt_embeds=negative, generator=seeded(77),
        num_inference_steps=3, guidance_scale=5.0, output_type="latent", height=side, width=side,
        **more,
    ).images  # fmt: skip
    return (latents / pipe.vae.config.scaling_factor).numpy()


@pytest.mark.parametrize("chunks", [None, 3])
def test_a_long_prompt_against_diffusers(diffusers_pipe: Pipes, chunks: int | None) -> None:
    """Both prompts have as many chunks as the longer one, or as the UNet takes."""
    pipe = diffusers_pipe("sd1")
    _, latents, _ = ours("sd1", pipe, request(LONG), chunks=chunks)
    empty = [""] * ((chunks or 2) - 2)
    positive = embeddings(pipe, [*chunks_of(LONG), *empty])
    expected = theirs(pipe, positive, embeddings(pipe, ["blurry", "", *empty]))
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()
    short = ours("sd1", pipe, request(chunks_of(LONG)[0]), chunks=chunks)[1]
    assert not np.allclose(latents, short)


def test_a_long_prompt_of_xl_against_diffusers(diffusers_pipe: Pipes) -> None:
    pipe = diffusers_pipe("sdxl")
    _, latents, _ = ours("sdxl", pipe, request(LONG), chunks=2)
    sides = []
    for texts in (chunks_of(LONG), ["blurry", ""]):
        made = [pipe.encode_prompt(text, device="cpu", do_classifier_free_guidance=False)
                for text in texts]  # fmt: skip
        sides.append((torch.cat([m[0] for m in made], 1), made[0][2]))
    (positive, pooled), (negative, negative_pooled) = sides
    expected = theirs(
        pipe, positive, negative, pooled_prompt_embeds=pooled,
        negative_pooled_prompt_embeds=negative_pooled,
    )  # fmt: skip
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_control_that_reads_less_gets_the_beginning(diffusers_pipe: Pipes) -> None:
    from gui.pipeline.text import Conditioning
    from gui.pipeline.unet import _context

    row = Conditioning(np.arange(154 * 4, dtype=np.float32).reshape(1, 154, 4), None)
    cut = _context([row], (1, 4, 1, 77))
    assert np.array_equal(cut[0, :, 0].T, row.context[0, :77])


# clip skip


def skipped(pipe: Any, prompt: str) -> torch.Tensor:
    """As diffusers' `clip_skip` of 1 has it (`StableDiffusionPipeline.encode_prompt`)."""
    ids = pipe.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        out = pipe.text_encoder(ids, output_hidden_states=True)
        return pipe.text_encoder.final_layer_norm(out.hidden_states[-2])


def test_clip_skip_against_diffusers(diffusers_pipe: Pipes) -> None:
    """Web UIs count one more than diffusers, and skip of both prompts."""
    pipe = diffusers_pipe("sd1")
    picture, latents, _ = ours("sd1", pipe, request("a red cat", clip_skip=2), clip_skip=2)
    expected = theirs(pipe, skipped(pipe, "a red cat"), skipped(pipe, "blurry"))
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()
    assert not picture.record.notes
    assert not np.allclose(latents, ours("sd1", pipe, request("a red cat"), clip_skip=2)[1])


def test_clip_skip_of_xl_against_diffusers(diffusers_pipe: Pipes) -> None:
    """Its own layer is the one before the last, which web UIs call 2."""
    pipe = diffusers_pipe("sdxl")
    plain = ours("sdxl", pipe, request("a red cat"))[1]
    assert np.array_equal(plain, ours("sdxl", pipe, request("a red cat", clip_skip=2))[1])
    _, latents, _ = ours("sdxl", pipe, request("a red cat", clip_skip=3), clip_skip=3)
    told = {"device": "cpu", "do_classifier_free_guidance": False, "clip_skip": 1}
    positive, _, pooled, _ = pipe.encode_prompt("a red cat", **told)
    negative, _, negative_pooled, _ = pipe.encode_prompt("blurry", **told)
    expected = theirs(
        pipe, positive, negative, pooled_prompt_embeds=pooled,
        negative_pooled_prompt_embeds=negative_pooled,
    )  # fmt: skip
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_layer_that_is_not_there_is_said(diffusers_pipe: Pipes) -> None:
    pipe = diffusers_pipe("sd1")
    picture, latents, _ = ours("sd1", pipe, request("a red cat", clip_skip=2))
    assert any("Clip skip 2 had no effect" in note for note in picture.record.notes)
    assert np.array_equal(latents, ours("sd1", pipe, request("a red cat"))[1])


def test_the_next_picture_has_its_own_layer(diffusers_pipe: Pipes) -> None:
    from gui.pipeline.pipeline import Hooks

    pipeline, runtime = torch_pipeline("sd1", diffusers_pipe("sd1"), clip_skip=2)

    def latents(skip: int) -> np.ndarray:
        list(pipeline.generate(request("(a) cat", clip_skip=skip, steps=1), Hooks()))
        return runtime.loaded[ComponentKind.VAE_DECODER].last["z"]

    first, second, third = latents(1), latents(2), latents(1)
    assert np.array_equal(first, third) and not np.allclose(first, second)


# conversion


def test_a_converted_model_reads_longer_prompts_and_offers_the_layer() -> None:
    """One conversion: a UNet of 154 tokens, and the text encoder's layer before the last."""
    made = converted("sd1-long", "sd1", text_tokens=154, clip_skip=2)
    info = inspect_model(made.folder)
    assert (info.text_chunks, info.clip_skip) == (2, 2)
    assert info.problems == ()
    assert all(psnr > 50 for psnr in made.psnr().values())


def test_a_converted_model_draws_what_diffusers_draws(tmp_path: Any) -> None:
    from gui.coreml.inspect import load_sidecar
    from gui.coreml.portable.runtime import PortableRuntime
    from gui.pipeline.pipeline import Hooks, Pipeline
    from gui.request import ComputeUnit
    from tests.support import tiny_checkpoints

    made = converted("sd1-long", "sd1", text_tokens=154, clip_skip=2)
    info = inspect_model(made.folder)
    pipeline = Pipeline(info, load_sidecar(info), PortableRuntime(), ComputeUnit.CPU_ONLY)
    (picture,) = pipeline.generate(request(LONG, clip_skip=2), Hooks())
    pipe = tiny_checkpoints.pipeline("sd1")
    texts = [
        torch.cat([skipped(pipe, chunk) for chunk in chunks], dim=1)
        for chunks in (chunks_of(LONG), ["blurry", ""])
    ]
    latents = torch.from_numpy(theirs(pipe, *texts))
    with torch.no_grad():
        image = pipe.vae.decode(latents).sample
    expected = (pipe.image_processor.postprocess(image, output_type="np")[0] * 255).round()
    assert np.abs(picture.pixels.astype(float) - expected).mean() < 2


def test_lengths_that_there_are_not() -> None:
    from gui.convert.estimate import _check_options
    from gui.errors import SfumatoError

    good = ConvertRequest("a", "b")
    for bad in ({"text_tokens": 100}, {"clip_skip": 0}, {"clip_skip": 13}):
        with pytest.raises(SfumatoError, match="choose"):
            _check_options(dataclasses.replace(good, **bad))
