"""Repositories made to hold the Hub's process up or to fill its memory: an answer all the same.

Limits are of the processor's time, which does not pass while others work on a busy machine.  They
are far above what honest work takes, and far below what work takes that grows with the square of
its input.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gui.coreml import compiled as programs
from gui.coreml import proto
from gui.coreml.compiled import describe_program
from gui.errors import ErrorKind, SfumatoError
from gui.hub.types import Level, Machine, RemoteFile, Variant
from gui.hub.variants.variants import MAX_VARIANTS, find_variants
from gui.hub.variants.verdict import judge
from tests.hub.trees import compiled, package, tree

MAX_SECONDS = 30.0
M2 = Machine("Darwin", "14.5", "Apple M2", True, 8, 4, 16 * 2**30, 200 * 10**9)

_Files = tuple[RemoteFile, ...]


def _in_time(work: Callable[[], object]) -> None:
    started = time.process_time()
    work()
    assert time.process_time() - started < MAX_SECONDS


# Many of something


def _many_models_and_controlnets() -> list[_Files]:
    models = [package(f"m{n}_unet.mlpackage", 10**9) for n in range(6000)]
    return models + [package(f"ControlNet_{n}.mlpackage", 10**8) for n in range(6000)]


def _many_models_and_encoders() -> list[_Files]:
    models = [package(f"m{n}_unet.mlpackage", 10**9) for n in range(6000)]
    return models + [package(f"e{n}_text_encoder.mlpackage", 10**8) for n in range(6000)]


def _many_pairs_of_chunks() -> list[_Files]:
    return [compiled(f"f{n}/UnetChunk{k}.mlmodelc") for n in range(15_000) for k in (1, 2)]


def _many_of_one_kind() -> list[_Files]:
    return [package(f"a{'_' * n}unet.mlpackage", 10**9) for n in range(1, 150)]


def _many_files_in_one_package() -> list[_Files]:
    deep = "/".join(["d" * 40] * 15)
    files = (RemoteFile(f"p/Unet.mlmodelc/{deep}/{n}", 1) for n in range(100_000))
    return [compiled("p/Unet.mlmodelc", 10**9), tuple(files)]


@pytest.mark.parametrize(
    "flood",
    [
        _many_files_in_one_package,
        _many_models_and_controlnets,
        _many_models_and_encoders,
        _many_pairs_of_chunks,
        _many_of_one_kind,
    ],
)
def test_floods_are_sorted_in_time(flood: Callable[[], list[_Files]]) -> None:
    files = tree(*flood())
    found: list[tuple[Variant, ...]] = []
    _in_time(lambda: found.append(judge(find_variants(files)[0], M2)))
    (variants,) = found
    assert 0 < len(variants) <= MAX_VARIANTS
    assert all(len(v.verdict.reasons) < 10 for v in variants)


def test_paths_of_hundreds_of_parts_are_left_aside() -> None:
    deep = tuple(RemoteFile(f"p/Unet.mlmodelc/{'a/' * 490}{n}", 1) for n in range(1000))
    (variant,), notes = find_variants(tree(compiled("p/Unet.mlmodelc", 10**9), deep))
    assert len(variant.files) == 5
    assert notes == ("1000 files with unsafe or repeated names were left aside.",)


def test_folders_without_a_model_are_counted_rather_than_listed() -> None:
    broken = (compiled(f"f{n}/Unet.mlmodelc", without="model.mil") for n in range(500))
    _, notes = find_variants(tree(*broken))
    assert len(notes) == 4
    assert notes[-1] == "497 more folders hold no whole model."


# Programs


HEAD = "program(1.0)\n{ func main<ios16>(tensor<fp16, [2, 4, 8, 8]> sample) {\n"
TAIL = "\n} -> (x);\n}"


@pytest.mark.parametrize(
    "text",
    [
        "program" + "func a<b>(" * 200_000,
        HEAD + "}->(" * 500_000,
        HEAD + "tensor<fp16, [1]> w = const() BLOBFILE " + "a" * 2_000_000 + ";" + TAIL,
        HEAD + "a" * 2_000_000 + " = const();" + TAIL,
        HEAD + "state<" * 300_000 + " = const();" + TAIL,
        HEAD + "tensor<fp16,[ " * 150_000 + " = const();" + TAIL,
        "program(1.0)\n{ func main<ios16>(" + "a" * 2_000_000 + ") {\n x = const();\n} -> (x);\n}",
        "program(1.0)\n{ func main<ios16>(" + "fp16 a, " * 500_000 + "fp16 a) {} -> (a);",
        "program(1.0)\n{ func main<ios16>(fp16 a) {} -> (" + "a, " * 500_000 + "a);",
        HEAD + f"tensor<fp16, [{'9, ' * 500_000}9]> w = const(val = tensor<fp16, "
        f'[{"9, " * 500_000}9]>(BLOBFILE(path = string("@w"), offset = uint64(64))));' + TAIL,
    ],
    ids=["functions", "results", "blob", "word", "states", "tensors", "parameter", "inputs",
         "outputs", "sizes"],
)  # fmt: skip
def test_no_program_keeps_the_reader_busy(text: str) -> None:
    def read() -> None:
        with contextlib.suppress(SfumatoError, ValueError):  # callers turn the latter into one
            describe_program(Path("Unet.mlmodelc"), [text], {})

    _in_time(read)


def test_types_are_read_as_compilers_write_them() -> None:
    """Among them states and open sizes, which no model of the tests has."""
    line = (
        "state<tensor<fp16, [1, 2]>> kept, tensor<fp16, [?, 77]> a.b-c, "
        "tensor<string, []> name, fp16 x"
    )
    found = [m.groups() for m in programs._PARAMETER.finditer(line)]
    assert found == [
        ("state<tensor<fp16, [1, 2]>>", "kept"),
        ("tensor<fp16, [?, 77]>", "a.b-c"),
        ("tensor<string, []>", "name"),
        ("fp16", "x"),
    ]


# Descriptions


class _Contents:
    """A probe that knows some files, by path."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents

    def read(self, file: RemoteFile, start: int, length: int) -> bytes:
        if file.path not in self.contents:
            raise SfumatoError(ErrorKind.NOT_FOUND, "It is not there.")
        return self.contents[file.path][start : start + length]


def _judged(program: str) -> Variant:
    """The only variant of a repository whose UNet has this program."""
    text = program.encode()
    path = "p/Unet.mlmodelc/model.mil"
    parts = [compiled(f"p/{name}.mlmodelc", 10**8) for name in ("TextEncoder", "VAEDecoder")]
    unet = [
        RemoteFile(path, len(text), blob=hashlib.sha1(text).hexdigest()) if f.path == path else f
        for f in compiled("p/Unet.mlmodelc", 1_719_000_000, without="metadata")
    ]
    (variant,) = find_variants(tree(*parts, tuple(unet)), _Contents({path: text}))[0]
    return judge([variant], M2)[0]


def _unet(parameters: str) -> str:
    return (
        f"program(1.0)\n{{\n    func main<ios16>({parameters}) {{\n"
        "            tensor<fp16, [2, 4, 64, 64]> noise_pred = softmax(x = sample);\n"
        "        } -> (noise_pred);\n}"
    )


SAMPLE = "tensor<fp16, [2, 4, 64, 64]> sample"
REST = "tensor<fp16, [2]> timestep, tensor<fp16, [2, 768, 1, 77]> encoder_hidden_states"


def test_the_program_that_the_next_ones_spoil_is_a_good_one() -> None:
    variant = _judged(_unet(f"{SAMPLE}, {REST}"))
    assert (variant.problems, variant.image_width) == ((), 512)


@pytest.mark.parametrize("where", ["input", "output"])
def test_a_million_inputs_make_no_sense(where: str) -> None:
    spec = proto.module("Model_pb2").Model(specificationVersion=7)
    spec.mlProgram.functions["main"].opset = "CoreML5"
    for _ in range(100_000):
        getattr(spec.description, where).add().name = "x"
    data = spec.SerializeToString()
    unet = package("p/m_unet.mlpackage", 1_719_000_000)
    (description,) = [f for f in unet if f.path.endswith("model.mlmodel")]
    files = [dataclasses.replace(f, size=len(data)) if f is description else f for f in unet]
    (variant,) = find_variants(tree(tuple(files)), _Contents({description.path: data}))[0]
    assert variant.problems == ("The description in m_unet.mlpackage makes no sense.",)


def test_sizes_beyond_all_measure_are_a_sentence() -> None:
    for size in ("1" + "0" * 400, "4294967296", "0"):
        variant = _judged(_unet(f"tensor<fp16, [2, 4, {size}, 64]> sample, {REST}"))
        assert variant.problems == ("The description of the UNet (Unet.mlmodelc) makes no sense.",)
        assert variant.verdict.level is Level.NO


def test_a_name_of_a_million_letters_is_not_repeated_to_the_person() -> None:
    variant = _judged(_unet(f"{SAMPLE}, {REST}, tensor<fp16, [?]> x{'y' * 10**6}"))
    (problem,) = variant.problems
    assert "leaves the size of 'xyyy" in problem and len(problem) <= 301
    assert variant.verdict.reasons[0] == problem


def test_names_that_would_turn_the_text_around_do_not() -> None:
    parts = [compiled(f"{folder}/{name}Unet.mlmodelc", 10**8)
             for folder in ("a", "b\u202e") for name in ("", "x\u202e ")]  # fmt: skip
    variants, _ = find_variants(tree(*parts))
    titles = {v.title for v in variants}
    assert len(titles) == len(variants) == 4
    assert all(title.isprintable() for title in titles)
