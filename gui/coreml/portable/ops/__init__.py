"""Rules: how each MIL op is said in torch.

A rule takes a `RuleContext` and an op and returns the op's value (a tuple for several).  Importing
this package fills the table `RULES`.
"""

from gui.coreml.portable.ops import (
    activations,
    compression,
    convolution,
    elementwise,
    indexing,
    linear_algebra,
    normalization,
    reductions,
    resampling,
    shapes,
)
from gui.coreml.portable.ops.context import RULES, RuleContext, Value, rule

__all__ = [
    "RULES",
    "RuleContext",
    "Value",
    "activations",
    "compression",
    "convolution",
    "elementwise",
    "indexing",
    "linear_algebra",
    "normalization",
    "reductions",
    "resampling",
    "rule",
    "shapes",
]
