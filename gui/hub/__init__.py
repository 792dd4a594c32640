"""The Hugging Face Hub: search, variants and verdicts, downloads that lose nothing, the account.

`gui.hub.types` and `gui.hub.client` are light, for the window; the rest imports huggingface_hub and
runs in a child process (`gui.hub.service`) or in the command line.
"""
