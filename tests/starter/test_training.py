"""The training code against diffusers, transformers and plain torch."""

import itertools

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from starter_model.autoencoder import Autoencoder, split_moments
from starter_model.denoiser import (
    Batches,
    Captions,
    CompactText,
    DenoiserPlan,
    Latents,
    practise,
)
from starter_model.denoiser import signal_levels as levels
from starter_model.finetune import blend
from starter_model.optim import Muon, orthogonalize
from starter_model.parallel import Workers
from starter_model.release import fit_preview
from starter_model.world import Subject
from torch import nn
from transformers import CLIPTextModel

NOISE = DDPMScheduler(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    prediction_type="v_prediction",
)


def test_the_noise_schedule_is_stable_diffusions() -> None:
    torch.testing.assert_close(levels(), NOISE.alphas_cumprod, rtol=1e-4, atol=1e-6)


class FixedCaptions(Captions):
    """No tokenizer: the ids say which pair it was."""

    def __init__(self) -> None:
        self.subjects = [Subject("0", ("cat",), core=True), Subject("1", ("dog",), core=False)]

    def draw(self, subject: int, background: int, dropout: float) -> list[int]:
        return [subject, background]


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    values = torch.stack([torch.full((8, 16, 16), 0.5), torch.full((8, 16, 16), -0.5)])
    latents = Latents(values, torch.tensor([0, 1]), torch.tensor([3, 4]), 1.0, 0.0)
    return Batches(
        latents, FixedCaptions(), DenoiserPlan(batch=512, emphasis=(0.0, 3.0, 1.0))
    ).draw()


def test_velocity_and_noise_are_as_diffusers_defines_them(batch) -> None:
    noisy, velocity, steps, ids = batch
    clean = torch.where(ids[:, 0] == 0, 0.5, -0.5)[:, None, None, None].expand_as(noisy)
    level = NOISE.alphas_cumprod[steps][:, None, None, None]
    noise = (noisy - level.sqrt() * clean) / (1 - level).sqrt()
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    expected = NOISE.get_velocity(clean, noise, steps)
    torch.testing.assert_close(velocity, expected, rtol=1e-3, atol=2e-3)


def test_subjects_are_drawn_as_often_as_planned(batch) -> None:
    share = (batch[3][:, 0] == 0).float().mean()
    assert 0.65 < share < 0.85


def test_compact_words_mean_what_they_mean_in_a_full_vocabulary() -> None:
    torch.manual_seed(0)
    used = [320, 1125, 2368, 49406, 49407]
    compact = CompactText(used).eval()
    config = compact.clip.config.__class__(
        **{**compact.clip.config.to_dict(), "vocab_size": 49408, "eos_token_id": 49407}
    )
    full = CLIPTextModel(config).eval()
    state = compact.clip.state_dict()
    (name,) = [n for n in state if n.endswith("token_embedding.weight")]
    weight = state[name][0].expand(49408, -1).clone()
    weight[torch.tensor(used)] = state[name][1:]
    full.load_state_dict({**state, name: weight})
    ids = torch.full((1, 77), 49407)
    ids[0, :5] = torch.tensor([49406, 320, 2368, 7777, 1125])
    with torch.no_grad():
        states, pooled = compact(ids)
        expected = full(input_ids=ids)
    torch.testing.assert_close(states, expected.last_hidden_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 96), (96, 32)])
def test_muons_step_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    result = orthogonalize(matrix)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    singular = torch.linalg.svdvals(result)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    cosine = (result * (u @ v)).sum() / (result.norm() * (u @ v).norm())
    assert cosine > 0.97


@pytest.mark.parametrize("shape", [(48, 96), (96, 48)])
def test_muon_moves_as_torchs_own(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(shape))
    theirs = nn.Parameter(ours.detach().clone())
    optimizers = (
        Muon([ours], lr=0.05, momentum=0.9, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.05, momentum=0.9, weight_decay=0.1),
    )
    for _ in range(3):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3)


def test_two_workers_find_the_gradient_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    layer, x = nn.Linear(8, 4), torch.randn(6, 8)
    parameters = list(layer.parameters())
    expected = torch.autograd.grad(layer(x).square().mean(), parameters)
    try:
        workers = Workers(2)
        mean = workers.gradients(
            lambda part: layer(part).square().mean(), [(x[:3],), (x[3:],)], parameters
        )
    finally:
        torch.set_num_threads(threads)
    assert mean == pytest.approx(layer(x).square().mean().item(), rel=1e-5)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_the_autoencoder_keeps_the_shapes_of_a_kl_one() -> None:
    model = Autoencoder().eval()
    with torch.no_grad():
        moments = model.encoder(torch.zeros(2, 3, 128, 128))
        mean, log_variance = split_moments(moments)
        picture = model.decoder(mean)
    assert moments.shape == (2, 16, 16, 16)
    assert mean.shape == log_variance.shape == (2, 8, 16, 16)
    assert picture.shape == (2, 3, 128, 128)


def test_the_preview_recovers_a_linear_map() -> None:
    rng = np.random.default_rng(0)
    matrix, bias = rng.normal(size=(8, 3)) * 0.1, np.array([0.1, -0.2, 0.0])
    latents = rng.normal(size=(4, 8, 16, 16))
    colors = np.einsum("nchw,cr->nrhw", latents, matrix) + bias[:, None, None]
    pictures = torch.from_numpy(colors).float().repeat_interleave(8, 2).repeat_interleave(8, 3)
    preview = fit_preview(torch.from_numpy(latents).float(), pictures)
    np.testing.assert_allclose(preview.matrix, matrix, atol=1e-4)
    np.testing.assert_allclose(preview.bias, bias, atol=1e-4)


class Counted:
    """In the place of ``Training``: counts its steps and keeps what it was given and when saved."""

    def __init__(self, minutes: float, seconds: float = 0.0) -> None:
        self.plan = DenoiserPlan(minutes=minutes, save_seconds=3600)
        self.step, self.seconds = 0, seconds
        self.seen: list[float] = []
        self.saved: list[int] = []

    def learn(self, batch: tuple[torch.Tensor, ...]) -> float:
        self.seen.append(batch[0].item())
        self.step += 1
        return 0.5

    def save(self) -> None:
        self.saved.append(self.step)


def one_by_one():  # type: ignore[no-untyped-def]
    """Draws batches that are numbered from 0."""
    numbers = itertools.count()
    return lambda: (torch.tensor([float(next(numbers))]),) * 4


def test_training_learns_from_every_batch_once_and_saves_at_the_end() -> None:
    training = Counted(minutes=0.001)
    practise(training, one_by_one())  # type: ignore[arg-type]
    assert training.seen == list(range(training.step))
    assert training.saved == [training.step]
    assert training.seconds >= 0.06


def test_time_that_a_run_before_took_counts() -> None:
    training = Counted(minutes=1.0, seconds=60.0)
    practise(training, one_by_one())  # type: ignore[arg-type]
    assert training.step == 0


def test_what_goes_wrong_in_drawing_is_told() -> None:
    def broken() -> tuple[torch.Tensor, ...]:
        raise OSError("no sprites")

    with pytest.raises(OSError, match="no sprites"):
        practise(Counted(minutes=1.0), broken)  # type: ignore[arg-type]


def test_a_blend_lies_between_two_unets_and_keeps_the_newer_text_encoder(tmp_path) -> None:
    def checkpoint(unet: float, text: float) -> dict:
        weights = {"unet.a": torch.full((2,), unet), "text.a": torch.full((2,), text)}
        return {"model": weights, "average": weights, "step": 3, "seconds": 4.0, "used": [1]}

    torch.save(checkpoint(0.0, 0.0), tmp_path / "before.pt")
    torch.save({**checkpoint(1.0, 1.0), "optimizers": []}, tmp_path / "denoiser.pt")
    blend(tmp_path, tmp_path / "before.pt", 0.75)
    found = torch.load(tmp_path / "denoiser.pt", weights_only=True)
    for part in ("model", "average"):
        assert found[part]["unet.a"].tolist() == [0.75, 0.75]
        assert found[part]["text.a"].tolist() == [1.0, 1.0]
    assert (found["step"], found["used"]) == (3, [1])
    assert "optimizers" not in found
