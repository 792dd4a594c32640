"""A finished text encoder that also gives the states before its last layers: clip skip.

CLIP's layers are told by what they compute, not by names.  Each adds to the states twice: what
attention says of them (it has a softmax), then what two linear layers say (they have none).  The
states that a clip skip of n reads are those n − 1 layers before the last; Stable Diffusion 1 and 2
put them through the last normalisation, whose numbers the file has already, and XL takes them as
they are.  A few operations are added to the program; the weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gui import words
from gui.convert.patch.programs import FAULTS, damaged
from gui.coreml import proto
from gui.coreml.model import MAX_CLIP_SKIP, ComponentInfo, clip_skip_output
from gui.coreml.portable import from_proto
from gui.coreml.portable.blobs import WeightFolder
from gui.coreml.portable.ir import Function, Op, Ref
from gui.errors import ErrorKind, SfumatoError

_STATES = ("last_hidden_state", "hidden_embeds")
"""Outputs whose states are counted back from: the last layer's, or those before it (XL)."""
_ATTENTION = ("softmax", "scaled_dot_product_attention")
_PASSED_ON = ("cast", "identity")
_WIDEST = 400
"""Operations of a layer's branch at most; a real one has about thirty."""


class _NotToldError(Exception):
    """The program is not built as CLIP's text encoders are; the text says what is missing."""


@dataclass(frozen=True)
class _States:
    """Where a text encoder's states come from."""

    output: str
    """As the program calls it."""
    cast: str
    """The operation that gives the output its type; empty: none does."""
    norm: str
    """The last normalisation; empty: the output does without."""
    stream: str
    """The states before it."""
    first_skip: int
    """The clip skip that these states are: 1 after the last layer, 2 before it."""


def with_clip_skip(component: ComponentInfo, layers: int) -> dict[Path, bytes]:
    """What changes in a text encoder's files for its states up to `layers` layers from the end to
    be outputs; nothing where they are.

    Args:
        layers: as web UIs count: 2 is the last layer but one.

    Returns:
        New contents by file.

    Raises:
        SfumatoError: UNSUPPORTED, with the reason; BAD_REQUEST for more layers than there are;
            BAD_MODEL where a file cannot be read.
    """
    if component.output(clip_skip_output(layers)) is not None:
        return {}
    (path, *others) = component.files
    name = words.component(component.kind)
    if others or path.suffix != ".mlpackage":
        raise _refusal(f"the {name} is no “.mlpackage”")
    try:
        spec, root = proto.read_package_spec(path)
        if spec.WhichOneof("Type") != "mlProgram" or len(spec.mlProgram.functions) != 1:
            raise _NotToldError("holds several programs")
        (function,) = from_proto.read_functions(spec.mlProgram, WeightFolder(root)).values()
        given = {own: ours for ours, own in component.names.items()}
        states = _states(function, given)
        stream = _streams(function, states.stream)
        found: list[str] = []
        for skip, before in enumerate(stream, states.first_skip):
            found.append(before)
            if skip == layers:
                break
        if not found:
            raise _NotToldError("has no layers that are CLIP’s")
        if len(found) < layers - states.first_skip + 1:
            most = states.first_skip + len(found) - 1
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"The {name} has {most} layers; choose a clip skip of {most} at most.",
            )
        for skip, before in enumerate(found, states.first_skip):
            if skip > 1 and component.output(clip_skip_output(skip)) is None:
                _add_output(spec, states, before, skip)
    except _NotToldError as error:
        raise _refusal(f"the {name} {error}") from error
    except FAULTS as error:
        raise damaged(path, error) from error
    return {proto.package_model_file(path): spec.SerializeToString(deterministic=True)}


def _refusal(reason: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"This model cannot be given a clip skip: {reason}; set the clip skip to 1, or convert the "
        "model with it.",
    )


def check_layers(layers: int) -> None:
    """Raises SfumatoError: BAD_REQUEST for a clip skip that none is."""
    if not 2 <= layers <= MAX_CLIP_SKIP:
        raise SfumatoError(
            ErrorKind.BAD_REQUEST,
            f"A clip skip counts layers from the end: choose 2 to {MAX_CLIP_SKIP}, not {layers}.",
        )


# --- reading the program --------------------------------------------------------------------------


def _states(function: Function, given: Mapping[str, str]) -> _States:
    """Args: given: Apple's names of outputs by the file's own."""
    ours = {given.get(output, output): output for output in function.outputs}
    name = next((each for each in _STATES if each in ours), None)
    if name is None:
        raise _NotToldError("gives no states of tokens")
    makers = _makers(function)
    output = ours[name]
    cast, value = "", output
    while (op := makers.get(value)) is not None and op.type in _PASSED_ON:
        cast, value = cast or op.name, _ref(op, "x")
    op = makers.get(value)
    norm = op.name if op is not None and op.type == "layer_norm" else ""
    if norm and op is not None:
        value = _ref(op, "x")
    if bool(norm) != (name == "last_hidden_state"):
        raise _NotToldError("ends in a way that is not CLIP’s")
    return _States(output, cast, norm, value, 1 if norm else 2)


def _streams(function: Function, value: str) -> Iterator[str]:
    """The states after each layer, backwards from those given."""
    makers = _makers(function)
    while middle := _before(makers, value, attention=False):
        yield value
        value = _before(makers, middle, attention=True)


def _before(makers: Mapping[str, Op], value: str, *, attention: bool) -> str:
    """The states to which one half of a layer was added; empty: there is none.

    Args:
        attention: whether that half is to have a softmax.

    Raises:
        _NotToldError: something else was added.
    """
    op = makers.get(value)
    if op is None or op.type != "add":
        return ""
    sides = [each.name for each in op.refs() if each.name in makers]
    for states, said in (sides, sides[::-1]) if len(sides) == 2 else ():
        between = _between(makers, said, states)
        if between is None:
            continue
        kinds = {each.type for each in between}
        if "layer_norm" not in kinds or kinds.isdisjoint(("linear", "conv", "matmul")):
            break
        if kinds.isdisjoint(_ATTENTION) == attention:
            raise _NotToldError("has layers of another order than CLIP’s")
        return states
    if attention or any(makers[side].type == "add" for side in sides):
        raise _NotToldError("adds up in a way that is not CLIP’s")
    return ""  # where token and position embeddings meet


def _between(makers: Mapping[str, Op], said: str, states: str) -> list[Op] | None:
    """The operations that make one value of another; None where it does not come from it."""
    found: dict[str, Op] = {}
    waiting, reached = [said], False
    while waiting:
        name = waiting.pop()
        if name == states:
            reached = True
            continue
        op = makers.get(name)
        if op is None or op.name in found:
            continue
        if len(found) >= _WIDEST:
            return None
        found[op.name] = op
        waiting += [each.name for each in op.refs()]
    return list(found.values()) if reached else None


def _makers(function: Function) -> dict[str, Op]:
    """Operations by what they compute, constants left out."""
    return {
        name: op
        for op in function.ops
        if op.type != "const" and not op.type.startswith("constexpr_")
        for name, _ in op.outputs
    }


def _ref(op: Op, operand: str) -> str:
    value = op.inputs.get(operand)
    if not isinstance(value, Ref):
        raise _NotToldError("ends in a way that is not CLIP’s")
    return value.name


# --- writing it -----------------------------------------------------------------------------------


def _add_output(spec: Any, states: _States, before: str, skip: int) -> None:
    """Have a program of one function give states as one more output, described like the others."""
    (function,) = spec.mlProgram.functions.values()
    block = function.block_specializations[function.opset]
    output = clip_skip_output(skip)
    value = before
    if states.norm:
        value = f"{output}_norm" if states.cast else output
        _copy_op(block, states.norm, before, value)
    if states.cast:
        _copy_op(block, states.cast, value, output)
    elif not states.norm:
        _identity(block, before, states.output, output)
    block.outputs.append(output)
    (told,) = (f for f in spec.description.output if f.name == states.output)
    added = spec.description.output.add()
    added.CopyFrom(told)
    added.name = output
    added.shortDescription = f"The state of every token {skip} layers from the end"


def _copy_op(block: Any, name: str, x: str, output: str) -> None:
    """Add an operation like another one, of another value."""
    original = next(op for op in block.operations if any(o.name == name for o in op.outputs))
    op = block.operations.add()
    op.CopyFrom(original)
    op.inputs["x"].arguments[0].name = x
    op.outputs[0].name = output
    _name(op, output)


def _identity(block: Any, x: str, like: str, output: str) -> None:
    """Add an operation that passes a value on under another name."""
    original = next(op for op in block.operations if any(o.name == like for o in op.outputs))
    op = block.operations.add()
    op.type = "identity"
    op.inputs["x"].arguments.add().name = x
    op.outputs.add().CopyFrom(next(o for o in original.outputs if o.name == like))
    op.outputs[0].name = output
    if "name" in original.attributes:
        op.attributes["name"].CopyFrom(original.attributes["name"])
        _name(op, output)


def _name(op: Any, name: str) -> None:
    if "name" in op.attributes:
        op.attributes["name"].immediateValue.tensor.strings.values[:] = [name]
