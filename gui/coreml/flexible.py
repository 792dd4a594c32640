"""Networks that were made for pictures of several sizes: which, and their shapes at one of them.

Core ML knows two ways: a list of shapes (`EnumeratedShapes`) and a range for each dimension
(`RangeDim`; Guernika's “multisize” models).  Of several inputs with lists, each takes the shape at
the same place in its list.  A network here bears its default shapes; `at_size` gives it those of
another size, and `gui.coreml.adapted.settled` a loaded one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gui import words
from gui.coreml.dialect import is_adapter, is_residual
from gui.coreml.model import ComponentInfo, ComponentKind, Flexibility, ModelInfo, TensorSpec
from gui.coreml.survey import check_count
from gui.coreml.tiles import tile_of, wants_tiles
from gui.picture_sizes import PictureSizes, Size
from gui.request import MAX_SIDE, MIN_SIDE

K = ComponentKind
LATENT = 8
"""Pixels of a side for each latent's."""
_HALVINGS = 3
"""Of Stable Diffusion 1's UNet, where a file does not tell."""
_UNETS = (K.UNET, K.CONTROL_UNET)
_SIZED = (*_UNETS, K.VAE_DECODER, K.VAE_ENCODER)
"""Networks that must be able to work on a picture of a size for a model to draw it."""
_ROWS = (2, 3)
"""Height's and width's places in a shape."""

Shape = tuple[int, ...]
Components = Mapping[ComponentKind, ComponentInfo]


# What files state


def several(flexible: Flexibility) -> Flexibility | None:
    """A flexibility, if it leaves anything open.

    Raises:
        ValueError: it lists more shapes than any network has.
    """
    check_count(len(flexible.shapes))
    is_open = len(set(flexible.shapes)) > 1 or any(low != high for low, high in flexible.ranges)
    return flexible if is_open else None


def default_shape(flexible: Flexibility | None) -> Shape:
    """The shape that Core ML takes for the default where none is stated: the first, or the
    least; empty where none is flexible."""
    if flexible is None:
        return ()
    return flexible.shapes[0] if flexible.shapes else tuple(low for low, _ in flexible.ranges)


def of_lists(shapes: Any, ranges: Any) -> Flexibility | None:
    """What a compiled model's texts state as lists of numbers; None where that is nothing.

    Args:
        shapes: ``[[2, 4, 64, 64], [2, 4, 96, 64]]``.
        ranges: ``[[2, 2], [4, 4], [32, 128], [32, 128]]``; below 0: without end.
    """
    if found := _rows(shapes):
        return several(Flexibility(shapes=tuple(tuple(row) for row in found)))
    pairs = [row for row in _rows(ranges) if len(row) == 2]
    return several(
        Flexibility(ranges=tuple((low, None if high < 0 else high) for low, high in pairs))
    )


def _rows(value: Any) -> list[list[int]]:
    rows = value if isinstance(value, list) else []
    is_plain = all(isinstance(row, list) and all(type(n) is int for n in row) for row in rows)
    return rows if is_plain else []


# Which sizes a model draws


@dataclass(frozen=True)
class _Bounds:
    """What one network or all of them allow, in pixels."""

    listed: tuple[Size, ...] | None = None
    """None: any within the ranges."""
    low: Size = (1, 1)
    high: tuple[int | None, int | None] = (None, None)

    def allows(self, size: Size) -> bool:
        fits = all(
            low <= side and (high is None or side <= high)
            for side, low, high in zip(size, self.low, self.high, strict=True)
        )
        return fits and (self.listed is None or size in self.listed)

    def __and__(self, other: _Bounds) -> _Bounds:
        low = max(self.low[0], other.low[0]), max(self.low[1], other.low[1])
        high = tuple(
            min((h for h in pair if h is not None), default=None)
            for pair in zip(self.high, other.high, strict=True)
        )
        both = _Bounds(None, low, (high[0], high[1]))
        lists = [bounds.listed for bounds in (self, other) if bounds.listed is not None]
        if not lists:
            return both
        kept = [size for size in lists[0] if all(size in each for each in lists[1:])]
        return replace(both, listed=tuple(size for size in kept if both.allows(size)))

    @property
    def is_empty(self) -> bool:
        if self.listed is not None:
            return not self.listed
        return any(h is not None and h < low for low, h in zip(self.low, self.high, strict=True))

    def told(self) -> str:
        if self.listed is not None:
            return words.listed(words.pixels(*size) for size in self.listed) or "no size"
        sides = (
            f"{low} or more" if high is None else f"{low} to {high}" if low != high else f"{low}"
            for low, high in zip(self.low, self.high, strict=True)
        )
        return " × ".join(sides)


def sizes_of(components: Components) -> tuple[PictureSizes | None, str]:
    """The sizes that a model's networks draw as they are, and what is wrong with them.

    Returns:
        None where every network is for one size alone; a sentence, empty where nothing is wrong.
    """
    sized = [components[kind] for kind in _SIZED if kind in components]
    own = _own_size(components)
    if own is None or not any(_size_inputs(component) for component in sized):
        return None, ""
    everything = _Bounds()
    found: list[str] = []
    for component in sized:
        bounds = _bounds(component)
        if bounds.is_empty:
            return None, (
                f"The {words.component(component.kind)} states sizes that contradict one another; "
                "get the model again, or choose another."
            )
        everything &= bounds
        found.append(f"{words.component(component.kind)}: {bounds.told()}")
    step = LATENT << max(_halvings(component) for component in sized)
    sizes = _sizes(everything, own, step)
    if sizes is None:
        return None, (
            f"The model's networks draw no size of picture in common ({'; '.join(found)}); get "
            "the model again, or choose another."
        )
    return sizes, ""


def settled_on_own(
    components: Components,
) -> tuple[dict[ComponentKind, ComponentInfo], PictureSizes | None, str]:
    """A model's networks at the size that is drawn where none is asked for, and what `sizes_of`
    says of them."""
    sizes, wrong = sizes_of(components)
    if sizes is None:
        return dict(components), None, wrong
    return {kind: at_size(c, sizes.own) for kind, c in components.items()}, sizes, wrong


def _sizes(bounds: _Bounds, own: Size, step: int) -> PictureSizes | None:
    if bounds.listed is not None:
        listed = [s for s in bounds.listed if all(MIN_SIDE <= side <= MAX_SIDE for side in s)]
        if own not in listed:
            own = listed[0] if listed else own
        return PictureSizes(own, tuple(listed)) if listed else None
    (w, h), (wide, high) = (
        [max(-(-side // step) * step, MIN_SIDE) for side in bounds.low],
        [min(MAX_SIDE if side is None else side, MAX_SIDE) // step * step for side in bounds.high],
    )
    if w > wide or h > high:
        return PictureSizes(own, (own,)) if bounds.allows(own) else None
    sizes = PictureSizes(own, (), (w, wide), (h, high), step)
    if bounds.allows(own):
        return sizes
    return replace(sizes, own=replace(sizes, own=(w, h)).nearest(own))


def _own_size(components: Components) -> Size | None:
    """The size for which the UNet's default shapes are."""
    unet = next((components[kind] for kind in _UNETS if kind in components), None)
    sample = unet.input("sample") if unet is not None else None
    return _pixels(sample.shape, LATENT) if sample is not None else None


def _pixels(shape: Sequence[int | None], scale: int) -> Size | None:
    if len(shape) != 4:
        return None
    height, width = (shape[row] for row in _ROWS)
    return (scale * width, scale * height) if height and width else None


def _halvings(component: ComponentInfo) -> int:
    """How often a network halves its latents, with what it is handed at every depth."""
    if component.kind not in _UNETS:
        return 0
    depths = (_depth(component, tensor) for tensor in component.inputs if is_residual(tensor.name))
    return max(component.halvings or _HALVINGS, *depths, 0)


def _depth(component: ComponentInfo, tensor: TensorSpec) -> int:
    """How often latents have been halved where a tensor is added."""
    sample = component.input("sample")
    whole, part = (t.shape[2] if t and len(t.shape) == 4 else None for t in (sample, tensor))
    depth = 0
    while whole and part and whole > part:
        whole, depth = -(-whole // 2), depth + 1
    return depth


def _scale(component: ComponentInfo, tensor: TensorSpec) -> int:
    """Pixels of a picture's side for each of a tensor's; 0: it knows of no picture."""
    if len(tensor.shape) != 4:
        return 0
    if component.kind is K.CONTROLNET and is_adapter(component):
        return 1
    if tensor.name in ("x", "controlnet_cond"):
        return 1
    if tensor.name == "sample" or (tensor.name == "z" and component.kind is K.VAE_DECODER):
        return LATENT
    return LATENT << _depth(component, tensor) if is_residual(tensor.name) else 0


def _size_inputs(component: ComponentInfo) -> list[tuple[TensorSpec, int]]:
    """Flexible inputs whose shapes follow the picture's size, with their scales."""
    found = ((t, _scale(component, t)) for t in component.inputs if t.flexible)
    return [(tensor, scale) for tensor, scale in found if scale]


def _bounds(component: ComponentInfo) -> _Bounds:
    """The sizes that a network takes."""
    bounds = _Bounds()
    lists: list[list[Size | None]] = []
    for tensor in component.inputs:
        scale = _scale(component, tensor)
        if not scale:
            continue
        flexible = tensor.flexible
        if flexible is None or (flexible.ranges and len(flexible.ranges) != len(tensor.shape)):
            size = _pixels(tensor.shape, scale)
            # what is halved may have been rounded: the latents themselves say the size
            if size is not None and not is_residual(tensor.name):
                bounds &= _Bounds((size,))
            elif size is not None and (own := _own(component)):
                bounds &= _Bounds((own,))
        elif flexible.shapes:
            lists.append([_listed_size(tensor, shape, scale) for shape in flexible.shapes])
        else:
            (low_h, high_h), (low_w, high_w) = (flexible.ranges[row] for row in _ROWS)
            bounds &= _Bounds(
                None,
                (scale * low_w, scale * low_h),
                (high_w and scale * high_w, high_h and scale * high_h),
            )
    if lists:
        bounds &= _Bounds(tuple(_in_step(lists)))
    return bounds


def _own(component: ComponentInfo) -> Size | None:
    sample = component.input("sample")
    return _pixels(sample.shape, LATENT) if sample is not None else None


def _listed_size(tensor: TensorSpec, shape: Shape, scale: int) -> Size | None:
    """The picture's size for one shape of a list; None where more than it is another's."""
    alike = len(shape) == 4 and shape[:2] == tensor.shape[:2]
    return _pixels(shape, scale) if alike else None


def _in_step(lists: Sequence[Sequence[Size | None]]) -> Iterable[Size]:
    """The sizes that several inputs have at the same places of their lists."""
    if len({len(each) for each in lists}) == 1:
        rows = [set(row) for row in zip(*lists, strict=True)]
        return dict.fromkeys(size for row in rows if len(row) == 1 for size in row if size)
    return [size for size in lists[0] if size and all(size in each for each in lists[1:])]


# A network at one size


def sizes_for(component: ComponentInfo) -> PictureSizes | None:
    """The sizes that one network takes; None where that is one alone."""
    own = _own(component) or next(
        (size for t in component.inputs if (s := _scale(component, t))
         if (size := _pixels(t.shape, s))), None,
    )  # fmt: skip
    bounds = _bounds(component)
    if own is None or bounds.is_empty or not _size_inputs(component):
        return None
    return _sizes(bounds, own, LATENT)


def at_size(component: ComponentInfo, size: Size) -> ComponentInfo:
    """A network with the shapes that it has for pictures of a size, which it must allow; one that
    is for one size alone as it is."""

    def sized(tensor: TensorSpec) -> TensorSpec:
        scale = _scale(component, tensor)
        if tensor.flexible is None or not scale:
            return tensor
        sides = (-(-side // scale) for side in reversed(size))
        return replace(tensor, shape=(*tensor.shape[:2], *sides))

    if not component.is_flexible:
        return component
    outputs = tuple(_sized_output(component.kind, tensor, size) for tensor in component.outputs)
    return replace(component, inputs=tuple(map(sized, component.inputs)), outputs=outputs)


def for_tiles(component: ComponentInfo, size: Size, *, sparing: bool) -> ComponentInfo:
    """A half of a flexible VAE with the shapes of the tiles in which pictures of a size are decoded
    and encoded; any other network, or where it does not allow them, as it is.

    Args:
        sparing: memory is short.
    """
    is_vae = component.kind in (K.VAE_DECODER, K.VAE_ENCODER) and component.is_flexible
    if not is_vae or not wants_tiles(*size, sparing):
        return component
    bounds, tile = _bounds(component), tile_of(*size)
    fits = not bounds.is_empty and bounds.allows(tile)
    return at_size(component, tile) if fits else component


def _sized_output(kind: ComponentKind, tensor: TensorSpec, size: Size) -> TensorSpec:
    """An output of which the program leaves open what follows from the size."""
    scale = 1 if kind is K.VAE_DECODER else LATENT
    if kind not in (*_SIZED, K.REFINER) or len(tensor.shape) != 4:
        return tensor
    sides = (side // scale for side in reversed(size))
    return replace(tensor, shape=(*tensor.shape[:2], *sides))


def matched(network: ComponentInfo, unet: ComponentInfo) -> ComponentInfo:
    """A network with its shapes for the pictures that a UNet is settled on, where it takes them;
    else as it is."""
    size, sizes = _own(unet), sizes_for(network)
    return at_size(network, size) if size and sizes and sizes.allows(size) else network


def model_at(model: ModelInfo, size: Size) -> ModelInfo:
    """A model whose networks have the shapes for pictures of a size.

    Raises:
        SfumatoError: BAD_REQUEST for a size that it does not draw.
    """
    if model.sizes is None:
        return model
    model.sizes.check(size)
    width, height = size
    return replace(
        model,
        components={kind: at_size(c, size) for kind, c in model.components.items()},
        latent_width=width // LATENT,
        latent_height=height // LATENT,
        image_width=width,
        image_height=height,
    )
