"""Core ML model files: what is in them, and how to run them."""
