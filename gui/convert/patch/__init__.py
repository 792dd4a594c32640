"""Finished models changed without conversion: LoRAs added to their weights, other picture sizes.

`constants` finds a network's weights by the names they have in its program, `weights` adds to them
in a copy of the weight file; `sizes` infers shapes anew and `programs` writes them.  `variant`
makes the whole model.
"""
