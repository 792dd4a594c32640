"""What a LoRA file holds and which models it is for, told from its header alone.

What it adds to a model's weights is `gui.convert.checkpoint.lora`'s to compute.
"""
