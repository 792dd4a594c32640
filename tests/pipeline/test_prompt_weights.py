"""Weighed words, breaks and changing words: compel's against compel, the web UI's by its rule, and
whole pictures against diffusers with the same embeddings."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from compel import Compel, DownweightMode, ReturnedEmbeddingsType

from gui.errors import Cancelled
from gui.pipeline.pipeline import Hooks
from gui.pipeline.text import TextEncoders
from gui.request import PictureRequest, RandomSource, StartImage
from gui.syntax.reading import read_phases
from gui.syntax.types import PromptSyntax
from tests.pipeline.reference import diffusers_scheduler, seeded
from tests.pipeline.test_parity import ours
from tests.support.torch_runtime import torch_pipeline

Pipes = Callable[[str], Any]
A1111, COMPEL, PLAIN = PromptSyntax.WEB_UI, PromptSyntax.COMPEL, PromptSyntax.PLAIN


@pytest.fixture(scope="module")
def pipes(diffusers_pipe: Pipes) -> Pipes:
    return diffusers_pipe


def encoders(kind: str, pipe: Any) -> TextEncoders:
    pipeline, _ = torch_pipeline(kind, pipe)
    pipeline.load()
    assert pipeline._text is not None
    return pipeline._text


def encoded(
    text: TextEncoders, prompt: str, syntax: PromptSyntax, chunks: int = 1, most: int | None = 1
) -> Any:
    (phase,) = read_phases(prompt, syntax, 1)
    return text.encode(phase.reading, chunks, most)


def states(pipe: Any, prompts: list[str]) -> torch.Tensor:
    """diffusers' encoding of pieces of a prompt put one behind the other, by their tokens."""
    ids = [pipe.tokenizer(p, add_special_tokens=False).input_ids for p in prompts]
    content = [49406, *itertools.chain(*ids), 49407]
    padded = content + [pipe.tokenizer.pad_token_id] * (77 - len(content))
    with torch.no_grad():
        return pipe.text_encoder(torch.tensor([padded]))[0]


# the web UI


@pytest.mark.parametrize("kind", ["sd1", "sd2v"])
def test_the_web_uis_rule(pipes: Pipes, kind: str) -> None:
    """Each token's state times its weight, brought back to the mean that all had."""
    pipe = pipes(kind)
    got = encoded(encoders(kind, pipe), "a (red:1.4) apple, [blue] (sky)", A1111)
    pieces = [
        ("a ", 1.0),
        ("red", 1.4),
        (" apple, ", 1.0),
        ("blue", 1 / 1.1),
        (" ", 1.0),
        ("sky", 1.1),
    ]
    z = states(pipe, [text for text, _ in pieces])
    weights = [1.0]
    for text, weight in pieces:
        weights += [weight] * len(pipe.tokenizer(text, add_special_tokens=False).input_ids)
    weights += [1.0] * (77 - len(weights))
    weighed = z * torch.tensor(weights)[None, :, None]
    expected = weighed * (z.mean() / weighed.mean())
    assert np.abs(got.context - expected.numpy()).max() < 1e-5
    assert (expected - z).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
@pytest.mark.parametrize("syntax", [A1111, COMPEL])
def test_a_prompt_without_marks_is_encoded_to_the_bit_as_ever(
    pipes: Pipes, kind: str, syntax: PromptSyntax
) -> None:
    text = encoders(kind, pipes(kind))
    for prompt in ("", "a photo of a cat, don't: 3", "cat " * 120, "a {red|blue} fox?"):
        plain, marked = (encoded(text, prompt, s) for s in (PLAIN, syntax))
        assert np.array_equal(plain.context, marked.context), prompt
        assert plain.pooled is None or np.array_equal(plain.pooled, marked.pooled)


def test_xl_weighs_both_encoders_and_pools_the_words_alone(pipes: Pipes) -> None:
    pipe = pipes("sdxl")
    text = encoders("sdxl", pipe)
    plain = encoded(text, "a red cat", PLAIN)
    heavy = encoded(text, "a (red:1.5) cat", A1111)
    assert np.array_equal(plain.pooled, heavy.pooled)
    for half in (slice(0, 32), slice(32, 80)):
        z = plain.context[:, :, half]
        weights = np.ones((1, 77, 1), np.float32)
        weights[0, 2] = 1.5
        weighed = z * weights
        expected = weighed * (z.mean() / weighed.mean())
        assert np.abs(heavy.context[:, :, half] - expected).max() < 1e-5


# compel


@pytest.mark.parametrize("kind", ["sd1", "sd2v"])
@pytest.mark.parametrize(
    "prompt",
    [
        "a red++ cat on a (blue mat)1.3",
        "a cat, (dark, gloomy)0.4 sky- and rain--",
        '"a tall tree"0.6 by (the (old)+ river)1.2',
        '("a red cat++", "a blue dog").blend(0.7, 0.3)',
        '("a cat", "a dog-", "fish").blend(1, 0.5, 0.2)',
        '("a cat", "a dog").blend(1, -0.4, no_normalize)',
        "nothing at all",
    ],
)
def test_the_encodings_are_compels(pipes: Pipes, kind: str, prompt: str) -> None:
    pipe = pipes(kind)
    compel: Any = Compel(pipe.tokenizer, pipe.text_encoder, downweight_mode=DownweightMode.REMOVE)
    expected = compel(prompt).numpy()
    got = encoded(encoders(kind, pipe), prompt, COMPEL).context
    assert np.abs(got - expected).max() < 1e-5


@pytest.mark.parametrize("weights", ["", "1, 0.5"])
def test_compels_and_is_as_long_as_its_sides(pipes: Pipes, weights: str) -> None:
    pipe = pipes("sd1")
    compel: Any = Compel(pipe.tokenizer, pipe.text_encoder, truncate_long_prompts=False)
    prompt = f'("a red cat+", "a blue dog").and({weights})'
    expected = compel(prompt).numpy()
    got = encoded(encoders("sd1", pipe), prompt, COMPEL, chunks=2, most=None).context
    assert got.shape == (1, 154, 32)
    assert np.abs(got - expected).max() < 1e-5


def test_xl_as_compel(pipes: Pipes) -> None:
    pipe = pipes("sdxl")
    kind = ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
    prompt = "a red++ cat, (blue)0.5 mat"
    sides: list[Any] = [
        Compel(t, e, returned_embeddings_type=kind, downweight_mode=DownweightMode.REMOVE)(prompt)
        for t, e in ((pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2))
    ]
    got = encoded(encoders("sdxl", pipe), prompt, COMPEL).context
    assert np.abs(got - torch.cat(sides, -1).numpy()).max() < 1e-5


# whole pictures


def request(prompt: str, **changes: Any) -> PictureRequest:
    values: dict[str, Any] = {
        "negative_prompt": "blurry", "steps": 6, "guidance_scale": 5.0, "scheduler": "Euler",
        "seed": 77, "random_source": RandomSource.TORCH, "previews": False,
        "prompt_syntax": A1111,
    }  # fmt: skip
    return PictureRequest(prompt, "m", **(values | changes))


def their_latents(
    pipe: Any, at: Callable[[int], torch.Tensor], steps: int = 6, **more: Any
) -> np.ndarray:
    """diffusers' latents with prompt embeddings that change from step to step, counted from 1."""
    negative = states(pipe, ["blurry"])

    def switch(_pipe: Any, done: int, _t: Any, given: dict[str, Any]) -> dict[str, Any]:
        given["prompt_embeds"] = torch.cat([negative, at(min(done + 2, steps))])
        return given

    pipe.scheduler = diffusers_scheduler("Euler")
    latents = pipe(
        prompt_embeds=at(1), negative_prompt_embeds=negative, generator=seeded(77),
        num_inference_steps=steps, guidance_scale=5.0, output_type="latent",
        callback_on_step_end=switch, height=64, width=64,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"], **more,
    ).images  # fmt: skip
    return (latents / pipe.vae.config.scaling_factor).numpy()


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a [red:blue:0.5] apple", lambda n: "a red apple" if n <= 3 else "a blue apple"),
        ("a [red:blue:2] apple", lambda n: "a red apple" if n <= 2 else "a blue apple"),
        ("an apple[ on a plate:4]", lambda n: "an apple" if n <= 4 else "an apple on a plate"),
        ("an apple[ on a plate::0.34]", lambda n: "an apple on a plate" if n <= 2 else "an apple"),
        ("a [cat|dog|fox]", lambda n: f"a {('cat', 'dog', 'fox')[(n - 1) % 3]}"),
    ],
)
def test_words_that_change_against_diffusers(pipes: Pipes, prompt: str, words: Any) -> None:
    pipe = pipes("sd1")
    _, latents, _ = ours("sd1", pipe, request(prompt))
    expected = their_latents(pipe, lambda n: states(pipe, [words(n)]))
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_weighed_picture_against_diffusers(pipes: Pipes) -> None:
    pipe = pipes("sd1")
    _, latents, _ = ours("sd1", pipe, request("a (red)1.5 apple+", prompt_syntax=COMPEL))
    embeds: Any = Compel(pipe.tokenizer, pipe.text_encoder)("a (red)1.5 apple+")
    expected = their_latents(pipe, lambda _n: embeds)
    assert np.abs(latents - expected).max() < 1e-5 * np.abs(expected).max()


def test_of_a_starting_picture_the_steps_that_are_made_count(pipes: Pipes, tmp_path: Any) -> None:
    """Half way is half way through what is made of it."""
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 90, 30)).save(tmp_path / "a.png")
    start = StartImage(str(tmp_path / "a.png"), 0.5)
    pipe = pipes("sd1")
    one = ours("sd1", pipe, request("a [red:blue:0.34]", start_image=start, steps=12))[1]
    same = ours("sd1", pipe, request("a [red:blue:2]", start_image=start, steps=12))[1]
    other = ours("sd1", pipe, request("a red", start_image=start, steps=12))[1]
    assert np.array_equal(one, same) and not np.allclose(one, other)


def test_a_branch_goes_on_with_the_words_of_its_step(pipes: Pipes) -> None:
    """Another prompt from step 3 on is what the web UI writes as a change after step 3."""
    pipe = pipes("sd1")
    earlier = request("a red apple")
    changed = ours("sd1", pipe, request("a [red:blue:3] apple"))[1]
    branch = request("a [green:blue:2] apple", branch=earlier.branched(3).branch)
    assert np.array_equal(ours("sd1", pipe, branch)[1], changed)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a (cat:30)", "A weight of 30 in the prompt was taken as 10"),
        ("a cat.swap(dog)", "“.swap(dog)” is a mark of compel"),
        ("cat " * 80 + "(zebra)", "this part had no effect: “cat cat cat cat cat (zebra)”"),
    ],
)
def test_what_had_no_effect_is_said(pipes: Pipes, prompt: str, words: str) -> None:
    picture, _, _ = ours("sd1", pipes("sd1"), request(prompt, steps=1))
    assert any(words in note for note in picture.record.notes), picture.record.notes
    assert picture.record.request.prompt == prompt


def test_stopped_while_it_encodes(pipes: Pipes) -> None:
    pipeline, runtime = torch_pipeline("sd1", pipes("sd1"))
    hooks = Hooks(cancelled=lambda: any(m.calls for m in runtime.loaded.values()))
    with pytest.raises(Cancelled):
        next(pipeline.generate(request("[a|b|c] cat"), hooks))
    assert sum(model.calls for model in runtime.loaded.values()) == 1
