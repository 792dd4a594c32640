"""The Hugging Face Hub: search, variants and verdicts, downloads that lose nothing, the account.

`gui.hub.types` and `gui.hub.messages` are light, for the window; the rest imports huggingface_hub
and runs in a child process (`gui.hub.service`) or in the command line.
"""

import os

# Read by huggingface_hub when it is first imported, in this process and in its children: it shall
# say nothing about this machine, and fetch files over plain HTTP, which can be continued.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
