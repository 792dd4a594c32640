"""Runs Core ML's ML Programs on the CPU through torch or OpenVINO, on any machine.

`from_proto` and `from_text` read a program into `ir`; `rewrites` recognise group norm and
attention; `lower` turns it into a `plan` of torch calls by the rules in `ops`, some of
them oneDNN's own (`onednn`) or done in place (`in_place`); `openvino` compiles such calls where it
is installed and the network is worth it; `model` and `runtime` wrap that as `gui.coreml.runtime`
asks.
"""

from gui.coreml.portable import large_pages  # noqa: F401  (first: torch asks once)
from gui.coreml.portable.lower import Compute
from gui.coreml.portable.model import PortableModel, read_stages
from gui.coreml.portable.runtime import PortableRuntime

__all__ = ["Compute", "PortableModel", "PortableRuntime", "read_stages"]
