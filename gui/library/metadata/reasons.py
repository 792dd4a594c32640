"""Why a setting of another program cannot be used here, in one sentence a person understands."""

from __future__ import annotations

import re

NOT_HERE = "Sfumato has no such setting."
NO_LORA = "It is not among your LoRAs; add its file to use it."
NO_WEIGHTS = "Its way to weigh words is not known here; the brackets are read as they stand."
OWN_WEIGHTS = "Its program weighs words by a rule of its own; here it is the web UIs’."
NO_LORA_TAGS = "The names of LoRAs were taken out of it."

_REASONS: tuple[tuple[str, str], ...] = (
    (r"hires|hrf|second.?stage|latent.?upscale",
     "A picture is made in one pass here; Enlarge makes it larger afterwards."),
    (r"control.?net|^control|t2i.?adapter|ip.?adapter|style.?model",
     "The picture that guided it is not in the file."),
    (r"adetailer|face.?(restor|detail|fix)|detailer|gfpgan|codeformer",
     "Sfumato does not draw faces again after the picture is made."),
    (r"refiner", "Sfumato makes a picture with one model."),
    (r"^vae|automatic.?vae|use_vae", "A model’s own VAE is used here."),
    (r"lora|lyco|hypernet|add.?net",
     "LoRAs are chosen below the prompt, or named in it."),
    (r"embedding|^ti\b|textual.?inversion", "Sfumato knows no textual inversions."),
    (r"tiling|seamless|tiled", "Its way of tiling is not read; set Tiling among the settings."),
    (r"upscal|postprocess|esrgan", "What was done to the picture afterwards is not repeated."),
    (r"mask|inpaint", "The mask is not in the file."),
    (r"variation|subseed|eta noise|ensd|perlin|threshold|noise.?offset",
     "It changes the noise in a way that can’t be repeated here."),
    (r"style|performance|expansion", "It stands for words and settings that the file tells too."),
    (r"init.?image|start.?image|image_path|starting", "The starting picture is not in the file."),
    (r"quantize|precision|dtype|fp8|token merging|^ngms|time.?stamp|batch",
     "It says how the picture was computed, and changes little in it."),
)  # fmt: skip
_COMPILED = [(re.compile(pattern, re.IGNORECASE), why) for pattern, why in _REASONS]


def why_not(name: str) -> str:
    """The reason for which a setting of this name is left; that there is none such, if no better
    one is known."""
    return next((why for pattern, why in _COMPILED if pattern.search(name[:80])), NOT_HERE)
