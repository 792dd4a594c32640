"""Stable Diffusion itself: prompt, noise, schedulers, denoising, pictures."""
