"""Stable Diffusion checkpoints → Core ML packages that Sfumato, Apple's tool and Swift apps load.

`gui.convert.types` and `gui.convert.client` are light, for the window; the rest imports torch,
diffusers and coremltools and runs in a child process (`gui.convert.service`).
"""
