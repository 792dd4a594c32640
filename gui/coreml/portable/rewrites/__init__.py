"""Patterns of ops replaced by one faster op before lowering.

Each pattern applies only where nobody else reads the values in between.
"""

from __future__ import annotations

from collections import Counter

from gui.coreml.portable.ir import Function
from gui.coreml.portable.rewrites.graph import Graph, remove_dead_ops

__all__ = ["remove_dead_ops", "rewrite"]


def rewrite(function: Function, found: Counter[str]) -> Function:
    """The function with every known pattern replaced.

    Args:
        found: counts of replaced patterns by name are added here.
    """
    graph = Graph(function)
    return graph.rewritten()
