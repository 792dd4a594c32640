"""Small Core ML programs written op by op with coremltools' builder, saved as packages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Build = Callable[..., Any]
"""(builder, *inputs) → one MIL variable or several."""


def coremltools() -> Any:
    """The library, with its start-up warnings about other platforms kept quiet."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import coremltools as ct

    return ct


def builder() -> Any:
    coremltools()
    from coremltools.converters.mil import Builder

    return Builder


def save_program(
    path: Path,
    build: Build,
    inputs: Mapping[str, np.ndarray] | Mapping[str, tuple[int, ...]],
    *,
    target: str = "macOS13",
    precision: str = "fp32",
    passes: bool = False,
) -> Path:
    """Convert a program and save it.

    Args:
        path: the package to write.
        build: gets the builder and one variable per input.
        inputs: example arrays (their shape and type count) or shapes of float32 inputs.
        target: oldest macOS; decides the ops' versions.
        precision: ``fp32`` or ``fp16``.
        passes: run coremltools' graph passes; without them the ops stay as written.
    """
    ct = coremltools()
    from coremltools.converters.mil.mil import types

    kinds = {"float32": types.fp32, "int32": types.int32, "bool": types.bool}
    specs = []
    for value in inputs.values():
        array = value if isinstance(value, np.ndarray) else np.zeros(value, np.float32)
        specs.append(builder().TensorSpec(array.shape, kinds[str(array.dtype)]))
    wanted = getattr(ct.target, target)
    names = ", ".join(inputs)
    # The builder reads input names off the signature
    scope = {"build": build, "mb": builder()}
    function = eval(f"lambda {names}: build(mb, {names})", scope)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = builder().program(input_specs=specs, opset_version=wanted)(function)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=wanted,
            compute_precision=getattr(
                ct.precision, {"fp32": "FLOAT32", "fp16": "FLOAT16"}[precision]
            ),
            pass_pipeline=ct.PassPipeline.DEFAULT if passes else ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
    model.save(str(path))
    return path


def inferred_values(
    build: Build, arrays: Sequence[np.ndarray], target: str = "macOS15"
) -> list[np.ndarray | None]:
    """What coremltools itself computes for the program on constant inputs: its own constant
    folding, which is the published definition of an op.  None where it has none."""
    ct = coremltools()
    from coremltools.converters.mil.mil import Function

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Function({}, opset_version=getattr(ct.target, target)):
            constants = [builder().const(val=array) for array in arrays]
            results = build(builder(), *constants)
    many = results if isinstance(results, (list, tuple)) else [results]
    return [None if r.val is None else np.asarray(r.val) for r in many]


def dense_value(build: Callable[[Any], Any], target: str) -> np.ndarray:
    """What coremltools itself decompresses a compressed constant to."""
    ct = coremltools()
    from coremltools.converters.mil.mil import Function

    with Function({}, opset_version=getattr(ct.target, target)):
        op = build(builder()).op
        return np.asarray(op.materialized_val_inference())
