"""Patterns of ops replaced by one faster op before lowering.

A pattern's last op is replaced; what then has no reader any more is removed.  A value that someone
else reads too simply stays, so a rewrite never changes what is computed.
"""

from __future__ import annotations

from collections import Counter

from gui.coreml.portable.ir import Function
from gui.coreml.portable.rewrites.attention import rewrite_attention
from gui.coreml.portable.rewrites.graph import Graph, remove_dead_ops
from gui.coreml.portable.rewrites.normalization import rewrite_group_norm, rewrite_layer_norm
from gui.coreml.portable.rewrites.split_einsum import rewrite_split_einsum

__all__ = ["remove_dead_ops", "rewrite"]

_REWRITES = {
    "group_norm": rewrite_group_norm,
    "layer_norm": rewrite_layer_norm,
    "attention": rewrite_attention,
    "split_einsum": rewrite_split_einsum,
}


def rewrite(function: Function, found: Counter[str]) -> Function:
    """The function with every known pattern replaced.

    Args:
        found: counts of replaced patterns by name are added here.
    """
    graph = Graph(function)
    for name, action in _REWRITES.items():
        count = action(graph)
        if count:
            found[name] += count
    return graph.rewritten()
