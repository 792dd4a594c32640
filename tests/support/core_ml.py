"""A stand-in for Core ML behind coremltools' own interface: its compiler and its loader."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest

from gui.coreml.compiled import describe_compiled
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.portable import PortableRuntime
from gui.request import ComputeUnit
from tests.support.compiled_writer import compile_package

K = ComponentKind


class CoreML:
    """Records every call that reaches coremltools."""

    def __init__(self, model_class: type) -> None:
        self.model_class = model_class
        self.compiled: list[Path] = []
        self.loads: list[dict[str, Any]] = []
        self.inputs: list[dict[str, np.ndarray]] = []
        self.load_errors: list[Exception] = []
        self.predict_error: Exception | None = None
        self.results: list[dict[str, np.ndarray]] = []
        self.on_predict: Callable[[str, dict[str, np.ndarray]], None] = lambda _unit, _found: None
        """Gets the compute unit and the results, and may change them."""

    def compile(self, model: Any, destination_path: str | None = None) -> str:
        assert destination_path is not None
        # The real one nests the model inside an existing destination
        assert not Path(destination_path).exists()
        assert not _has_links(Path(model)), "Core ML does not follow them"
        self.compiled.append(Path(model))
        compile_package(Path(model), Path(destination_path))
        return destination_path

    def load(self, path: str, **options: Any) -> Any:
        assert not _has_links(Path(path)), "Core ML does not follow them"
        self.loads.append({"path": Path(path), **options})
        if self.load_errors:
            raise self.load_errors.pop(0)
        model = PortableRuntime().load(_described(Path(path)), ComputeUnit.ALL)

        def predict(data: Any, state: Any = None) -> dict[str, np.ndarray]:
            for array in data.values():
                assert array.dtype in (np.float32, np.int32)
                assert array.flags.c_contiguous
            self.inputs.append(dict(data))
            if self.predict_error:
                raise self.predict_error
            self.results.append(dict(model(data)))
            self.on_predict(options["compute_units"].name, self.results[-1])
            return self.results[-1]

        stand_in = create_autospec(self.model_class, instance=True)
        stand_in.predict.side_effect = predict
        return stand_in


def _has_links(folder: Path) -> bool:
    return any(path.is_symlink() for path in (folder, *folder.rglob("*")))


def _described(path: Path) -> ComponentInfo:
    """A compiled model or chunk, whatever its name."""
    found = describe_compiled(path)
    return ComponentInfo(K.UNET, (path,), found.format, found.inputs, found.outputs)


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> CoreML:
    """Have coremltools compile and load with the stand-in."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import coremltools as ct
    stand_in = CoreML(ct.models.CompiledMLModel)
    model_class = create_autospec(ct.models.CompiledMLModel, side_effect=stand_in.load)
    compiler = create_autospec(ct.models.utils.compile_model, side_effect=stand_in.compile)
    monkeypatch.setattr(ct.models, "CompiledMLModel", model_class)
    monkeypatch.setattr(ct.models.utils, "compile_model", compiler)
    return stand_in
