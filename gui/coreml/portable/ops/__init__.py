"""Rules: how each MIL op is said in torch.

A rule takes a `RuleContext` and an op and returns the op's value (a tuple for several).  Importing
this package fills the table `RULES`.
"""

from gui.coreml.operations import PORTABLE
from gui.coreml.portable.ops import (
    activations,
    compression,
    control_flow,
    convolution,
    elementwise,
    indexing,
    linear_algebra,
    normalization,
    random,
    recurrent,
    reductions,
    resampling,
    sampling,
    scatter,
    shapes,
)
from gui.coreml.portable.ops.context import RULES, RuleContext, Value, rule

_own = {name for name in RULES if "." not in name}
if _own != PORTABLE:  # inspection would promise what does not run, or refuse what does
    raise ImportError(f"rules and gui.coreml.operations differ: {sorted(_own ^ PORTABLE)}")

__all__ = [
    "RULES",
    "RuleContext",
    "Value",
    "activations",
    "compression",
    "control_flow",
    "convolution",
    "elementwise",
    "indexing",
    "linear_algebra",
    "normalization",
    "random",
    "recurrent",
    "reductions",
    "resampling",
    "rule",
    "sampling",
    "scatter",
    "shapes",
]
