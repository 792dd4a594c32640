"""Whether a program's weights fit into the memory that is left, before any of them is read."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from gui import words
from gui.coreml.portable.blobs import Blob
from gui.coreml.portable.ir import Function, constant_value
from gui.coreml.portable.rewrites import remove_dead_ops
from gui.coreml.resources import give_back_freed, memory_left
from gui.errors import ErrorKind, SfumatoError

_STORED = "constexpr_"
"""Operations that unpack weights; what they unpack is read and let go of."""


def weight_bytes(functions: Iterable[Function], element_bytes: int) -> int:
    """Least memory of the weights of programs as they are computed with.

    Args:
        functions: their constants still in their files.
        element_bytes: of a number that is computed with.
    """
    return element_bytes * sum(map(_elements, functions))


def check_room(name: str, needed: int) -> None:
    """Refuse what the system would end the process for.

    Args:
        name: of the network, as it begins a sentence.
        needed: see `weight_bytes`.

    Raises:
        SfumatoError: MEMORY.
    """
    left = memory_left()
    if left is None or needed <= left:
        return
    gc.collect()
    give_back_freed()  # of the model before, perhaps
    left = memory_left()
    if left is None or needed <= left:
        return
    raise SfumatoError(
        ErrorKind.MEMORY,
        f"{name} takes {words.memory(needed)} of memory, and {words.memory(left)} are left; close "
        "other programs, or choose a smaller model.",
        f"{needed} bytes of weights, {left} left",
    )


def _elements(function: Function) -> int:
    ops = remove_dead_ops(function.ops, function.outputs)
    unpacked = {ref.name for op in ops if op.type.startswith(_STORED) for ref in op.refs()}
    seen: set[object] = set()
    count = 0
    for op in ops:
        if op.name in unpacked:
            continue
        if op.type.startswith(_STORED):
            count += sum(stated.size for _, stated in op.outputs if stated.is_static)
        elif op.type == "const" and isinstance(value := constant_value(op), Blob):
            key = (value.file.path, value.offset)
            if key not in seen:
                seen.add(key)
                count += op.outputs[0][1].size
    return count
