"""The parameter that a constant of a Core ML program is, told from the constant's name.

coremltools names a weight after its place in the traced network, dots replaced by underscores:
``down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q_weight_to_fp16``.  Apple's converter
and Guernika's trace networks with diffusers' own names, perhaps below a wrapper's; ours names a few
layers otherwise (`gui.convert.networks.layout`).
"""

from __future__ import annotations

import re

from gui.convert.checkpoint.original_layout import UNetShape

_ENDING = re.compile(
    r"_(weight|bias)(?:_to_fp16|_to_fp32)?(?:_(?:affine_)?(?:palettized|quantized))*(?:_cast_fp16)?$"
)
_ROOT = re.compile(
    r"(?:^|_)(down_blocks|mid_block|up_blocks|time_embedding|add_embedding|conv_in|conv_norm_out"
    r"|conv_out|encoder_layers|embeddings|final_layer_norm|text_projection)(?=_|$)"
)
_WORDS = (
    "down_blocks", "up_blocks", "mid_block", "time_embedding", "add_embedding", "conv_in",
    "conv_norm_out", "conv_out", "transformer_blocks", "time_emb_proj", "conv_shortcut", "proj_in",
    "proj_out", "to_q", "to_k", "to_v", "to_out", "linear_1", "linear_2", "cond_proj",
    "final_layer_norm", "text_projection", "self_attn", "q_proj", "k_proj", "v_proj", "out_proj",
    "layer_norm1", "layer_norm2", "token_embedding", "position_embedding",
)  # fmt: skip
"""Parts of names that have underscores of their own."""
_SPLIT = re.compile("(" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r"|[^_]+)(?:_|$)")

_OURS = {
    ".blocks.": ".transformer_blocks.",
    ".ff.proj_in": ".ff.net.0.proj",
    ".ff.proj_out": ".ff.net.2",
}


def parameter_of(constant: str) -> str:
    """The parameter's canonical name (`gui.convert.checkpoint.weights.canonical`), such as
    ``mid_block.attentions.0.proj_in.weight``; empty for a constant that is none.

    Args:
        constant: the name of the constant, or of the operation that unpacks it.
    """
    ending = _ENDING.search(constant)
    root = _ROOT.search(constant)
    if ending is None or root is None or root.end() > ending.start():
        return ""
    path = constant[root.start(1) : ending.start()]
    dotted = ".".join(_SPLIT.findall(path))
    for ours, theirs in _OURS.items():
        dotted = dotted.replace(ours, theirs)
    dotted = dotted.removesuffix(".layer")
    if dotted.endswith(".to_out"):
        dotted += ".0"
    return f"{dotted}.{ending.group(1)}"


def unet_shape_of(shapes: dict[str, tuple[int, ...]]) -> UNetShape | None:
    """What decides a UNet's original names, from its parameters; None for one that the original
    code could not have built.

    Args:
        shapes: by canonical name.
    """
    levels, layers = 0, 0
    while f"down_blocks.{levels}.resnets.0.conv1.weight" in shapes:
        levels += 1
    while f"down_blocks.0.resnets.{layers}.conv1.weight" in shapes:
        layers += 1
    first = shapes.get("conv_in.weight")
    if not levels or not layers or first is None:
        return None

    def depth(stem: str) -> int:
        found = 0
        while f"{stem}.transformer_blocks.{found}.attn1.to_q.weight" in shapes:
            found += 1
        return found

    depths = [
        {depth(f"down_blocks.{level}.attentions.{layer}") for layer in range(layers)}
        for level in range(levels)
    ]
    if any(len(level) != 1 for level in depths):
        return None
    # only the names of blocks follow from a shape, the other fields decide nothing here
    return UNetShape(
        in_channels=first[1],
        out_channels=4,
        channels=tuple(shapes[f"down_blocks.{n}.resnets.0.conv1.weight"][0] for n in range(levels)),
        layers=layers,
        depths=tuple(level.pop() for level in depths),
        middle_depth=depth("mid_block.attentions.0"),
        context=0,
        linear=False,
    )
