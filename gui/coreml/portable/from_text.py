"""Front end for ``.mlmodelc``: the textual MIL (``model.mil``) of a compiled model as `ir`.

Two dialects are read: ``tensor<string, []>("x")`` (programs of macOS 13's time) and the shorter
``string("x")`` of ``program(1.3)``.  Floats are hexadecimal.  Nothing is evaluated.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from gui.coreml.portable.blobs import ELEMENT_TYPES, WeightFolder
from gui.coreml.portable.ir import (
    Block,
    Constant,
    Function,
    Op,
    Operand,
    ProgramError,
    Ref,
    TensorType,
    UnsupportedProgramError,
    fill,
)

_TOKEN = re.compile(
    r"""\s+
    |"((?:[^"\\]|\\.)*)"
    |(-?(?:0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*(?:[pP][+-]?\d+)?|\d[\d.]*(?:[eE][+-]?\d+)?|inf|nan)(?![\w]))
    |([A-Za-z_@][\w.\-@/]*)
    |(->|[()\[\]{}<>,;=?])""",
    re.VERBOSE,
)
_STRING, _NUMBER, _WORD, _MARK, _END = 1, 2, 3, 4, 0
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_CONTAINERS = ("dict", "tuple", "list")
_MAX_DEPTH = 64


def read_functions(text: str, weights: WeightFolder) -> dict[str, Function]:
    """Every function of a MIL text by name.

    Raises:
        ProgramError: a syntax error, with its line.
        UnsupportedProgramError: an element type that nothing here computes with.
        WeightFileError: a weight file is missing or foreign.
    """
    return _Parser(text, weights).program()


class _Parser:
    """Recursive descent over a token list."""

    def __init__(self, text: str, weights: WeightFolder) -> None:
        self._text, self._weights = text, weights
        self._kinds: list[int] = []
        self._tokens: list[str] = []
        self._places: list[int] = []
        self._at = 0
        self._depth = 0
        self._scan()

    def _scan(self) -> None:
        position, end, match = 0, len(self._text), _TOKEN.match
        while position < end:
            found = match(self._text, position)
            if found is None:
                raise self._error(position, f"unexpected {self._text[position : position + 20]!r}")
            kind = found.lastindex
            if kind:
                self._kinds.append(kind)
                self._tokens.append(found.group(kind))
                self._places.append(position)
            position = found.end()
        self._kinds.append(_END)
        self._tokens.append("end of file")
        self._places.append(end)

    # Helpers over the token list

    def _error(self, position: int, what: str) -> ProgramError:
        return ProgramError(f"line {self._text.count(chr(10), 0, position) + 1}: {what}")

    def _expected(self, what: str) -> ProgramError:
        found = self._tokens[self._at]
        return self._error(self._places[self._at], f"expected {what}, found {found[:40]!r}")

    def _sees(self, mark: str) -> bool:
        return self._tokens[self._at] == mark and self._kinds[self._at] != _STRING

    def _accept(self, mark: str) -> bool:
        if self._sees(mark):
            self._at += 1
            return True
        return False

    def _expect(self, *marks: str) -> None:
        for mark in marks:
            if not self._accept(mark):
                raise self._expected(repr(mark))

    def _word(self) -> str:
        if self._kinds[self._at] != _WORD:
            raise self._expected("a name")
        self._at += 1
        return self._tokens[self._at - 1]

    def _whole(self) -> int:
        value = self._number() if self._kinds[self._at] == _NUMBER else None
        if not isinstance(value, int):
            raise self._expected("a whole number")
        return value

    def _number(self) -> int | float:
        token = self._tokens[self._at].lower()
        self._at += 1
        try:
            if "0x" in token:
                is_real = "p" in token or "." in token
                return float.fromhex(token) if is_real else int(token, 16)
            is_real = any(c in token for c in ".en")
            return float(token) if is_real else int(token)
        except ValueError as error:
            raise self._error(self._places[self._at - 1], f"{token!r} is no number") from error

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(self._places[self._at], "nested too deeply")

    # Types

    def _type(self) -> TensorType:
        head = self._word()
        if head == "tensor":
            self._expect("<")
            dtype = self._word()
            self._expect(",", "[")
            shape: list[int | None] = []
            while not self._accept("]"):
                shape.append(None if self._accept("?") else self._whole())
                self._accept(",")
            self._expect(">")
            return TensorType(dtype, tuple(shape))
        if not self._accept("<"):
            return TensorType(head, ())
        self._enter()
        parts: list[TensorType] = []
        while not self._accept(">"):
            if self._kinds[self._at] == _NUMBER:
                self._at += 1
            elif not self._accept("?"):
                parts.append(self._type())
            self._accept(",")
        self._depth -= 1
        if head == "state" and parts:
            return dataclasses.replace(parts[0], is_state=True)
        return TensorType(head, ())

    # Values

    def _literal(self) -> Constant:
        stated = self._type()
        self._expect("(")
        if self._accept(")"):
            return [] if stated.dtype in _CONTAINERS else fill(np.zeros(0), stated.static_shape)
        if self._sees("BLOBFILE"):
            value: Constant = self._blob(stated)
            self._expect(")")
            return value
        value = self._raw()
        if not self._sees(")"):
            value = [value]
            while self._accept(","):
                value.append(self._raw())
        self._expect(")")
        if stated.dtype in _CONTAINERS or stated.dtype == "string":
            return value
        if stated.dtype not in ELEMENT_TYPES:
            raise UnsupportedProgramError(f"element type {stated.dtype}", "a literal")
        values = np.array(value, ELEMENT_TYPES[stated.dtype].numpy)
        return fill(values, stated.static_shape)

    def _blob(self, stated: TensorType) -> Constant:
        self._expect("BLOBFILE", "(")
        fields: dict[str, Any] = {}
        while not self._accept(")"):
            name = self._word()
            self._expect("=")
            fields[name] = self._literal()
            self._accept(",")
        if not isinstance(fields.get("path"), str) or "offset" not in fields:
            raise self._expected("a weight's path and offset")
        place = int(fields["offset"])
        return self._weights.blob(fields["path"], place, stated.dtype, stated.static_shape)

    def _raw(self) -> Any:
        kind, token = self._kinds[self._at], self._tokens[self._at]
        if kind == _STRING:
            self._at += 1
            return _unescape(token)
        if kind == _NUMBER:
            return self._number()
        if kind == _WORD:
            if token in ("true", "false"):
                self._at += 1
                return token == "true"
            return self._literal()
        closing = _CLOSING.get(token) if kind == _MARK else None
        if closing is None:
            raise self._expected("a value")
        self._at += 1
        self._enter()
        items = []
        while not self._accept(closing):
            items.append(self._raw())
            self._accept(",")
        self._depth -= 1
        return items

    def _operand(self) -> Operand:
        if self._accept("("):
            self._enter()
            items = []
            while not self._accept(")"):
                items.append(self._operand())
                self._accept(",")
            self._depth -= 1
            return items
        is_name = self._kinds[self._at] == _WORD and self._tokens[self._at + 1] not in ("<", "(")
        return Ref(self._word()) if is_name else self._literal()

    def _attributes(self) -> dict[str, Constant]:
        attributes: dict[str, Constant] = {}
        if self._accept("["):
            while not self._accept("]"):
                name = self._word()
                self._expect("=")
                attributes[name] = self._operand()
                self._accept(",")
        return attributes

    # Structure

    def _op(self) -> Op:
        outputs = []
        if self._tokens[self._at + 1] != "(":  # an op without results, such as write_state
            while True:
                stated = self._type()
                outputs.append((self._word(), stated))
                if not self._accept(","):
                    break
            self._expect("=")
        op_type = self._word()
        self._expect("(")
        inputs: dict[str, Operand] = {}
        while not self._accept(")"):
            name = self._word()
            self._expect("=")
            inputs[name] = self._operand()
            self._accept(",")
        attributes = self._attributes()
        blocks = []
        while not self._sees(";"):
            blocks.append(self._block())
        self._expect(";")
        if op_type.startswith("constexpr_"):
            inputs |= {key: value for key, value in attributes.items() if key != "name"}
        return Op(op_type, inputs, outputs, attributes, blocks)

    def _block(self) -> Block:
        """A body of control flow: a name, inputs where it has any, ops, results."""
        self._enter()
        if self._kinds[self._at] == _WORD:
            self._word()
        inputs = self._parameters() if self._accept("(") else []
        ops, outputs = self._body()
        self._accept(",")
        self._depth -= 1
        return Block(inputs, ops, outputs)

    def _body(self) -> tuple[list[Op], list[str]]:
        """Ops in braces and the names of what they give; attributes before them are passed over,
        which may be of types that no value has (lists of shapes)."""
        self._pass_over_attributes()
        self._expect("{")
        ops: list[Op] = []
        while not self._accept("}"):
            ops.append(self._op())
        return ops, self._results()

    def _pass_over_attributes(self) -> None:
        depth = 0
        while depth or self._sees("["):
            if self._kinds[self._at] == _END:
                raise self._expected("']'")
            depth += self._sees("[") - self._sees("]")
            self._at += 1

    def _parameters(self) -> list[tuple[str, TensorType]]:
        """Typed names up to the closing bracket."""
        inputs = []
        while not self._accept(")"):
            stated = self._type()
            inputs.append((self._word(), stated))
            self._accept(",")
        return inputs

    def _results(self) -> list[str]:
        self._expect("->", "(")
        outputs = []
        while not self._accept(")"):
            outputs.append(self._word())
            self._accept(",")
        return outputs

    def _function(self) -> Function:
        self._expect("func")
        name = self._word()
        self._expect("<")
        opset = self._word()
        self._expect(">", "(")
        inputs = self._parameters()
        ops, outputs = self._body()
        self._expect(";")
        return Function(name, opset, inputs, outputs, ops)

    def program(self) -> dict[str, Function]:
        self._expect("program", "(")
        self._number()
        self._expect(")")
        self._attributes()
        self._expect("{")
        functions: dict[str, Function] = {}
        while not self._accept("}"):
            function = self._function()
            functions[function.name] = function
        return functions


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), text)
