"""Makes the upscaling networks that ship with Sfumato; see ``README.md``."""
