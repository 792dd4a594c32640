"""Sfumato: pictures from words with Core ML Stable Diffusion, on your own Mac."""

__version__ = "0.1.0"
