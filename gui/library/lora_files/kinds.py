"""What a LoRA file holds for each layer, told from names and shapes alone.

Names are those that trainers write: kohya's ``lora_down``, diffusers' and peft's ``lora_A`` (with
an adapter's name or without), diffusers' older ``lora.down``, and LyCORIS' ``hada_``, ``lokr_``,
``diff``, ``w_norm`` and ``dora_scale``.  `deltas` says what the numbers mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gui.errors import ErrorKind, SfumatoError
from gui.library.safetensors_header import FLOATS, Header, read_header

MAX_HEADER = 32_000_000
"""Bytes of a LoRA's header: the largest have a few thousand tensors, and notes on the pictures they
were trained with."""


class Kind(StrEnum):
    """How a layer's difference is written."""

    LORA = "LoRA"
    LOHA = "LoHa"
    LOKR = "LoKr"
    FULL = "full difference"


@dataclass(frozen=True)
class Change:
    """What a file adds to one layer."""

    kind: Kind
    tensors: Mapping[str, str]
    """Names of tensors by their role: down, up, mid; w1_a, w1_b, w2_a, w2_b, t1, t2, w1, w2; diff;
    magnitude (of DoRA), lora_bias, bias, alpha, scale."""

    @property
    def first(self) -> str:
        """A tensor's name, for reports."""
        return next(iter(self.tensors.values()))


@dataclass(frozen=True)
class LoraFile:
    """A LoRA as its header describes it."""

    header: Header
    changes: Mapping[str, Change]
    """By the layer's name, in the file's spelling but for what `modern` mends."""
    unread: tuple[str, ...] = field(default=())
    """Whatever else it holds: words of an embedding, parts of an unknown kind …"""

    @property
    def path(self) -> Path:
        return self.header.path

    def kinds(self) -> tuple[str, ...]:
        """What it is made of, for people, the commonest first."""
        counts: dict[str, int] = {}
        for change in self.changes.values():
            name = "DoRA" if "magnitude" in change.tensors else str(change.kind)
            counts[name] = counts.get(name, 0) + 1
        return tuple(sorted(counts, key=lambda name: -counts[name]))


_ADAPTER = r"(?:\.([^.]+))?"
"""What peft may put into a name: the adapter's."""
_ROLES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (rf"(.+)\.lora_A{_ADAPTER}\.weight", "down"),
        (rf"(.+)\.lora_B{_ADAPTER}\.weight", "up"),
        (rf"(.+)\.lora_B{_ADAPTER}\.bias", "lora_bias"),
        (rf"(.+)\.lora_down{_ADAPTER}\.weight", "down"),
        (rf"(.+)\.lora_up{_ADAPTER}\.weight", "up"),
        (rf"(.+)\.lora_up{_ADAPTER}\.bias", "lora_bias"),
        (rf"(.+)\.lora_mid{_ADAPTER}\.weight", "mid"),
        (r"(.+)\.lora_linear_layer\.down\.weight", "down"),
        (r"(.+)\.lora_linear_layer\.up\.weight", "up"),
        (r"(.+)\.lora\.down\.weight", "down"),
        (r"(.+)\.lora\.up\.weight", "up"),
        (r"(.+)_lora\.down\.weight", "down"),
        (r"(.+)_lora\.up\.weight", "up"),
        *((rf"(.+)\.hada_{role}{_ADAPTER}", role) for role in ("w1_a", "w1_b", "w2_a", "w2_b")),
        *((rf"(.+)\.hada_{role}{_ADAPTER}", role) for role in ("t1", "t2")),
        *(
            (rf"(.+)\.lokr_{role}{_ADAPTER}", f"kron_{role}")
            for role in ("w1_a", "w1_b", "w1", "w2_a", "w2_b", "w2", "t2")
        ),
        (r"(.+)\.diff", "diff"),
        (r"(.+)\.w_norm", "diff"),
        (r"(.+)\.diff_b", "bias"),
        (r"(.+)\.b_norm", "bias"),
        (r"(.+)\.dora_scale", "magnitude"),
        (rf"(.+)\.lora_magnitude_vector{_ADAPTER}(?:\.weight)?", "magnitude"),
        (r"(.+)\.alpha", "alpha"),
        (r"(.+)\.scale", "scale"),
    )
)

_FOREIGN = (
    (r"\.[ab][12]\.weight$", "GLoRA"),
    (r"\.oft_|\.oft\.|\.boft_", "OFT"),
    (r"\.on_input", "IA3"),
    (r"\.lora_[AB]\.[^.]*\.?bottleneck|\.vera_", "VeRA"),
)
"""Parts of names that kinds have which are not read, and what these are called."""

_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


def read_lora(path: Path) -> LoraFile:
    """Read a LoRA's header.

    Raises:
        SfumatoError: where the file is no LoRA, is damaged, or is of a kind that is not read.
    """
    header = read_header(path, MAX_HEADER)
    for name in header.tensors:
        for mark, kind in _FOREIGN:
            if re.search(mark, name):
                raise SfumatoError(
                    ErrorKind.UNSUPPORTED,
                    f"“{path.name}” is of the kind {kind}, which is not understood and cannot be "
                    "applied; choose a plain LoRA.",
                    name,
                )
    roles = _by_layer(header)
    changes = {stem: change for stem, found in roles.items() if (change := _change(header, found))}
    if not changes:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"“{path.name}” is not a LoRA; choose a “.safetensors” file made for use with a model.",
            f"{path}: {', '.join(list(header.tensors)[:5])}",
        )
    for change in changes.values():
        result_shape(header, change)
    read = {name for change in changes.values() for name in change.tensors.values()}
    unread = (n.rpartition(".")[0] or n for n in header.tensors if n not in read)
    return LoraFile(header, changes, tuple(dict.fromkeys(unread)))


def _by_layer(header: Header) -> dict[str, dict[str, str]]:
    """Names of tensors by layer and role."""
    found: dict[str, dict[str, str]] = {}
    for name in header.tensors:
        place = _role(name)
        if place is None:
            continue
        stem, role = modern(place[0]), place[1]
        roles = found.setdefault(stem, {})
        if role in roles:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"“{header.path.name}” holds several LoRAs for the same layers; choose a file with "
                "one.",
                f"{name} beside {roles[role]}",
            )
        roles[role] = name
    return found


def _role(name: str) -> tuple[str, str] | None:
    for pattern, role in _ROLES:
        if match := pattern.fullmatch(name):
            return match[1], role
    return None


def modern(stem: str) -> str:
    """The layer's name where an old file names the attention processor that held its LoRA, or a
    text encoder's layers as it did a UNet's (diffusers before version 0.18)."""
    stem = stem.replace(".processor.", ".")
    owner, _, leaf = stem.rpartition(".")
    if owner.endswith(".self_attn"):
        return f"{owner}.{_OLD_TEXT.get(leaf, leaf)}"
    return f"{stem}.0" if leaf == "to_out" else stem


_EXTRAS = ("magnitude", "lora_bias", "bias", "alpha", "scale")


def _change(header: Header, roles: dict[str, str]) -> Change | None:
    """What a layer's tensors make together; None for extras alone.

    Raises:
        SfumatoError: BAD_MODEL where one is missing.
    """
    own = {role for role in roles if role not in _EXTRAS}
    kron = {role.removeprefix("kron_") for role in own if role.startswith("kron_")}
    if own & {"down", "up", "mid"}:
        kind, wanted = Kind.LORA, {"down", "up"}
    elif kron:
        kind, own = Kind.LOKR, kron
        wanted = {"w1"} if "w1" in kron else {"w1_a", "w1_b"}
        wanted |= {"w2"} if "w2" in kron else {"w2_a", "w2_b"}
    elif own - {"diff"}:
        kind, wanted = Kind.LOHA, {"w1_a", "w1_b", "w2_a", "w2_b"}
        wanted |= {"t1", "t2"} if own & {"t1", "t2"} else set()
    elif own or "bias" in roles:
        kind, wanted = Kind.FULL, set()
    else:
        return None
    if missing := sorted(wanted - own):
        raise damaged(header, f"{missing[0]} beside {next(iter(roles.values()))} is missing")
    return Change(kind, {role.removeprefix("kron_"): name for role, name in roles.items()})


# --- shapes ---------------------------------------------------------------------------------------


def result_shape(header: Header, change: Change) -> tuple[int, ...]:
    """The shape of a layer's difference: [out, in], or [out, in, kernel …]; the kernel of LoHa and
    LoKr may be within `in`.  Empty where only the bias changes.

    Raises:
        SfumatoError: BAD_MODEL where the tensors do not fit together.
    """
    shapes = {role: header.tensors[name].shape for role, name in change.tensors.items()}
    singles = all(math.prod(shapes[role]) == 1 for role in ("alpha", "scale") if role in shapes)
    floats = all(
        header.tensors[name].dtype in (FLOATS | _WHOLE if role == "alpha" else FLOATS)
        for role, name in change.tensors.items()
    )
    shape = _shape(change.kind, shapes) if singles and floats else None
    if shape is None or 0 in shape:
        told = ", ".join(f"{role} {list(size)}" for role, size in shapes.items())
        types = {header.tensors[name].dtype for name in change.tensors.values()}
        raise damaged(header, f"{change.first}: {told}, {', '.join(sorted(types))}")
    return shape


_WHOLE = frozenset({"I64", "I32"})
"""Types that some trainers give alpha."""


def _shape(kind: Kind, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        if kind is Kind.LORA:
            return _lora_shape(shapes["down"], shapes["up"], shapes.get("mid"))
        if kind is Kind.LOHA:
            first, second = (_factor_shape(shapes, n) for n in ("1", "2"))
            return first if first == second else None
        if kind is Kind.LOKR:
            left, right = (_factor_shape(shapes, n) for n in ("1", "2"))
            if left is None or right is None or len(left) != 2 or len(right) < 2:
                return None
            return (left[0] * right[0], left[1] * right[1], *right[2:])
        return shapes.get("diff", ())
    except IndexError:
        return None


def _lora_shape(
    down: tuple[int, ...], up: tuple[int, ...], mid: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    fits = (
        len(down) in (2, 4)
        and len(up) in (2, 4)
        and down[0] > 0
        and all(side == 1 for side in up[2:])
    )
    if mid is None:
        return (up[0], *down[1:]) if fits and up[1] == down[0] else None
    fits = fits and len(mid) == 4 and mid[:2] == (up[1], down[0])
    return (up[0], down[1], *mid[2:]) if fits and all(s == 1 for s in down[2:]) else None


def _factor_shape(shapes: Mapping[str, tuple[int, ...]], n: str) -> tuple[int, ...] | None:
    """Shape of w1 or w2, given as it is, as a product of two, or around a core tensor."""
    if f"w{n}" in shapes:
        return shapes[f"w{n}"]
    a, b = shapes[f"w{n}_a"], shapes[f"w{n}_b"]
    if len(a) != 2 or len(b) != 2:
        return None
    core = shapes.get(f"t{n}")
    if core is None:
        return (a[0], b[1]) if a[1] == b[0] else None
    fits = len(core) == 4 and core[:2] == (a[0], b[0])
    return (a[1], b[1], *core[2:]) if fits else None


def rank_of(header: Header, change: Change) -> int | None:
    """The rank by which alpha is divided; None where there is none."""
    for role in ("down", "w2_b", "w1_b"):
        if name := change.tensors.get(role):
            return header.tensors[name].shape[0]
    return None


def ends(shape: Iterable[int]) -> tuple[int, ...]:
    """Input channels and kernel, without a kernel of one."""
    numbers = tuple(shape)
    return numbers[:1] if all(n == 1 for n in numbers[1:]) else numbers


def fits(header: Header, change: Change, weight: tuple[int, ...] | None) -> bool:
    """Whether a layer's difference has the shape of its weight.

    Args:
        weight: None where the layer has none.
    """
    shape = result_shape(header, change)
    if not shape:
        return True
    if weight is None:
        return False
    own = shape == weight or (
        shape[0] == weight[0]
        and (
            ends(shape[1:]) == ends(weight[1:])
            or (
                change.kind in (Kind.LOHA, Kind.LOKR)
                and len(shape) == 2
                and shape[1] == math.prod(weight[1:])
            )
        )
    )
    return own and _magnitude_fits(header, change, weight)


def _magnitude_fits(header: Header, change: Change, weight: tuple[int, ...]) -> bool:
    name = change.tensors.get("magnitude")
    if name is None:
        return True
    shape = header.tensors[name].shape
    wanted = weight[1] if is_by_input(shape) else weight[0]
    return math.prod(shape) == wanted


def is_by_input(shape: tuple[int, ...]) -> bool:
    """Whether DoRA's magnitudes are one per input channel, as older LyCORIS has them, and not one
    per output channel."""
    return len(shape) > 1 and shape[0] == 1 and math.prod(shape) > 1


def damaged(header: Header, detail: str) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"The LoRA “{header.path.name}” is damaged; download it again.",
        f"{header.path}: {detail}",
    )
