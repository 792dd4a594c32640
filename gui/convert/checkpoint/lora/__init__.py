"""LoRAs: what a file holds, which layers of a model it means, and the numbers it adds to them.

`gui.library.lora_files` reads the header, `layers` and `matching` find the model's layers, `deltas`
computes, and `fusing` does all of it before a conversion.  The last two need torch.
"""

from gui.convert.checkpoint.lora.fusing import (
    check,
    check_fit,
    check_scale,
    few_steps_of,
    fuse,
)

__all__ = ["check", "check_fit", "check_scale", "few_steps_of", "fuse"]
