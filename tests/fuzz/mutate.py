"""Changes to bytes and to JSON, drawn from a seeded generator."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

_NUMBERS = (0, 1, 2, 3, *(2**n - k for n in (7, 8, 15, 16, 31, 32, 63, 64) for k in (1, 0)))

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 77, 10**6, 2**31, 2**63, 10**30, 0.5, -0.5, 1e-300,
    1e308, float("inf"), float("-inf"), float("nan"), "", "x", "0", "epsilon", "\0", "../../x",
    "/etc/passwd", "a" * 300, "霧" * 90, "\ud800", [], {}, [[]], [None], [0], [1, 2, 3], [-1, 1],
    ["x"], {"x": 1}, {"": None}, [[[[[[[[]]]]]]]], ["a", "b", "c", "d"], [1e30] * 5,
)  # fmt: skip


def bytes_changed(random: Random, data: bytes) -> bytes:
    """One to four changes anywhere."""
    buffer = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_BYTE_CHANGES)(random, buffer)
    return bytes(buffer)


def _flip(random: Random, buffer: bytearray) -> None:
    if buffer:
        buffer[random.randrange(len(buffer))] ^= 1 << random.randrange(8)


def _overwrite(random: Random, buffer: bytearray) -> None:
    at = random.randrange(len(buffer) + 1)
    buffer[at : at + random.randrange(1, 9)] = random.randbytes(random.randrange(1, 9))


def _number(random: Random, buffer: bytearray) -> None:
    """An integer with meaning, as file formats store lengths and offsets."""
    size = random.choice((1, 2, 4, 8))
    value = random.choice(_NUMBERS) % (1 << 8 * size)
    at = random.randrange(max(1, len(buffer) - size + 1))
    buffer[at : at + size] = value.to_bytes(size, random.choice(("little", "big")))


def _cut(random: Random, buffer: bytearray) -> None:
    del buffer[random.randrange(len(buffer) + 1) :]


def _remove(random: Random, buffer: bytearray) -> None:
    at = random.randrange(len(buffer) + 1)
    del buffer[at : at + random.randrange(1, 64)]


def _repeat(random: Random, buffer: bytearray) -> None:
    at = random.randrange(len(buffer) + 1)
    part = buffer[at : at + random.randrange(1, 64)]
    buffer[at:at] = part * random.choice((1, 1, 2, 100))


def _begin(random: Random, buffer: bytearray) -> None:
    buffer[:0] = random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"[", b"\n"))


_BYTE_CHANGES: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip, _flip, _overwrite, _number, _number, _cut, _remove, _repeat, _begin
)  # fmt: skip


def json_changed(random: Random, data: bytes) -> bytes:
    """JSON with some values changed into others, or now and then bytes that are none."""
    if random.random() < 0.1:
        return bytes_changed(random, data)
    if random.random() < 0.02:
        opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
        depth = random.choice((63, 64, 65, 500, 100_000))
        return (opening * depth + "1" + closing * depth).encode()
    value = json.loads(data)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        value = _node_changed(random, value)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def _node_changed(random: Random, value: Any) -> Any:
    """`value` with one place in it changed."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        changed = dict(value)
        kind = random.random()
        if kind < 0.1:
            del changed[key]
        elif kind < 0.15:
            changed[random.choice(("", "x", "__metadata__", key + "\0"))] = changed.pop(key)
        else:
            changed[key] = _node_changed(random, value[key])
        return changed
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        changed = list(value)
        kind = random.random()
        if kind < 0.15:
            del changed[at]
        elif kind < 0.3:
            changed.insert(at, changed[at])
        else:
            changed[at] = _node_changed(random, value[at])
        return changed
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.5:
        return random.choice((value + 1, value - 1, -value, value * 2, value * 1000, value / 3))
    return random.choice(ODD_VALUES)
