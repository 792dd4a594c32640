"""Prompts that were asked for or saved, styles and presets, as the window sees them."""
