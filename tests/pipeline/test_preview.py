"""Previews: published maps, fitted ones, and x₀ from every kind of prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gui.coreml.model import Family
from gui.coreml.sidecar import Preview, Sidecar
from gui.paths import cache_dir
from gui.pipeline.denoise import predicted_x0
from gui.pipeline.preview import Previewer, fit_preview, published_preview
from gui.pipeline.preview_store import keep_preview, kept_preview
from gui.pipeline.schedulers import alphas_at, make_scheduler
from tests.pipeline.reference import diffusers_scheduler, timestep_of


def test_the_map_is_x0_times_matrix_plus_bias() -> None:
    matrix = ((0.5, 0.0, 0.1), (0.0, -0.5, 0.2), (0.3, 0.3, 0.3), (0.0, 0.0, 1.0))
    bias = (0.1, -0.2, 0.0)
    x0 = torch.randn(1, 4, 5, 7)
    expected = np.einsum("chw,cr->hwr", x0[0].numpy(), np.array(matrix)) + np.array(bias)
    expected = ((expected.clip(-1, 1) + 1) * 127.5).round()
    shown = Previewer(Preview(matrix, bias))(x0)
    assert shown.dtype == np.uint8
    assert shown.shape == (5, 7, 3)
    assert np.abs(shown - expected).max() <= 1


def test_published_maps_only_for_the_autoencoders_they_were_made_for() -> None:
    sd = published_preview(Family.SD1, 4, Sidecar(Family.SD1))
    assert sd is not None
    # a white field: SD's mean latents of white, as published factors imply, come out bright
    assert sd == published_preview(Family.SD2, 4, Sidecar(Family.SD2))
    xl = published_preview(Family.SDXL, 4, Sidecar(Family.SDXL, scaling_factor=0.13025))
    assert xl is not None
    assert xl != sd
    assert published_preview(Family.SD1, 16, Sidecar(Family.SD1)) is None
    assert published_preview(Family.SD1, 4, Sidecar(Family.SD1, scaling_factor=0.9)) is None
    assert published_preview(Family.SD1, 4, Sidecar(Family.SD1, shift_factor=0.1)) is None


@pytest.mark.parametrize("channels", [4, 8, 16])
def test_a_fitted_map_recovers_a_linear_decoder(channels: int) -> None:
    generator = torch.Generator().manual_seed(3)
    matrix = 0.2 * torch.randn(channels, 3, generator=generator)
    bias = torch.tensor([0.1, -0.2, 0.05])
    decodes = []

    def decode(latents: torch.Tensor) -> np.ndarray:
        decodes.append(latents)
        colours = torch.einsum("chw,cr->hwr", latents[0], matrix) + bias
        wide = colours.permute(2, 0, 1)[None].repeat_interleave(8, 2).repeat_interleave(8, 3)
        return (wide[0].permute(1, 2, 0) / 2 + 0.5).numpy()  # not clipped: linear throughout

    fitted = fit_preview(decode, channels, 16, 16)
    np.testing.assert_allclose(fitted.matrix, matrix, atol=2e-3)
    np.testing.assert_allclose(fitted.bias, bias, atol=2e-3)
    assert 1 <= len(decodes) <= 8


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", ["DDIM", "Euler", "LMS"])
def test_predicted_x0_is_the_schedulers_own(name: str, prediction: str) -> None:
    """Schedulers that return their x₀ return the same one."""
    scheduler = diffusers_scheduler(name, prediction_type=prediction)
    scheduler.set_timesteps(7)
    t = scheduler.timesteps[2]
    latents = torch.randn(1, 4, 8, 8) * 3
    answer = torch.randn(1, 4, 8, 8)
    scaled = scheduler.scale_model_input(latents, t)
    (alpha,) = alphas_at(scheduler, t[None])
    expected = scheduler.step(answer, t, latents).pred_original_sample
    got = predicted_x0(scaled, answer, alpha, prediction)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_alpha_between_timesteps() -> None:
    """Karras' noise levels fall between whole timesteps."""
    scheduler = make_scheduler("Euler Karras", Sidecar(Family.SD1))
    scheduler.set_timesteps(9)
    sigmas = scheduler.sigmas[:-1].double().numpy()  # type: ignore[attr-defined]
    times = torch.tensor([timestep_of(s) for s in sigmas])
    alphas = np.array(alphas_at(scheduler, times))
    np.testing.assert_allclose(((1 - alphas) / alphas) ** 0.5, sigmas, rtol=1e-3)


@pytest.mark.parametrize("text", ["", "[", '{"matrix": 1}', "[[1, 2]]", "[[0, 0, 0], [0, 0, 0]]"])
def test_a_damaged_kept_map_is_fitted_anew(text: str) -> None:
    kept = Preview(((0.1, 0.2, 0.3),) * 4, (0.0, 0.5, 0.0))
    keep_preview("model", kept)
    assert kept_preview("model", 4) == kept
    (file,) = (cache_dir() / "previews").iterdir()
    file.write_text(text)
    assert kept_preview("model", 4) is None
