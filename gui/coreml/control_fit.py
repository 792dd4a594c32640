"""Whether a ControlNet or T2I-Adapter can lead a UNet.

Works on descriptions alone, and imports nothing heavy: the window uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gui import words
from gui.coreml import fit
from gui.coreml.dialect import ADAPTER, RESIDUAL, is_adapter
from gui.coreml.model import Attention, ComponentInfo, ComponentKind
from gui.errors import ErrorKind, SfumatoError

_UNETS = (ComponentKind.UNET, ComponentKind.CONTROL_UNET)


def picture_input(network: ComponentInfo) -> str:
    """The input that takes the control picture."""
    return network.inputs[0].name if is_adapter(network) else "controlnet_cond"


def takes_controls(unet: ComponentInfo, network: ComponentInfo | None = None) -> bool:
    """Whether a UNet has places for what a network says; None: a ControlNet."""
    prefix = ADAPTER if network is not None and is_adapter(network) else RESIDUAL
    return any(t.name.startswith(prefix) for t in unet.inputs)


def led_unet(
    components: Mapping[ComponentKind, ComponentInfo], network: ComponentInfo
) -> ComponentInfo | None:
    """The UNet of a model that a network can lead; None: it has none."""
    found = (components[kind] for kind in _UNETS if kind in components)
    return next((unet for unet in found if takes_controls(unet, network)), None)


def misfit(network: ComponentInfo, components: Mapping[ComponentKind, ComponentInfo]) -> str:
    """Why a network cannot lead a model, in a sentence that says what to do; empty: it can."""
    unet = led_unet(components, network)
    try:
        if unet is None:
            raise no_places(network)
        check_fit(network, unet, size=False)
    except SfumatoError as error:
        return error.message
    return ""


def remark(network: ComponentInfo, unet: ComponentInfo) -> str:
    """What is worth knowing of a network that fits; mostly empty."""
    kinds = {network.attention, unet.attention} - {Attention.UNKNOWN}
    if len(kinds) > 1:
        mine, theirs = words.attention(network.attention), words.attention(unet.attention)
        return f"Its attention is {mine}, the model’s {theirs}: they may run on different units."
    return ""


def no_places(network: ComponentInfo) -> SfumatoError:
    """The error of a model that nothing of this kind can lead."""
    if is_adapter(network):
        return SfumatoError(
            ErrorKind.UNSUPPORTED,
            "This model's UNet takes no T2I-Adapter; choose a model whose UNet has places for one "
            "(adapter_res_samples), or remove the control.",
        )
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        "This model's UNet takes no ControlNet; choose a model with a ControlNet-ready UNet "
        "(its files are called ControlledUnet or control-unet), or remove the control.",
    )


def check_fit(network: ComponentInfo, unet: ComponentInfo, *, size: bool = True) -> None:
    """Make sure that a ControlNet or T2I-Adapter belongs to a UNet.

    Args:
        size: whether it must be for pictures of the UNet's size already; else one that can be
            resized belongs to it as well (`gui.engine.variant.fitted`).

    Raises:
        SfumatoError: UNSUPPORTED, saying what differs.
    """
    adapter = is_adapter(network)
    prefix = ADAPTER if adapter else RESIDUAL
    places = {t.name: t.shape for t in unet.inputs if t.name.startswith(prefix)}
    if not places:
        raise no_places(network)
    mine, theirs = network.input("encoder_hidden_states"), unet.input("encoder_hidden_states")
    if mine and theirs and _differ(mine.shape[1:2], theirs.shape[1:2]):
        raise _misfit(network, _other_family(mine.shape[1], theirs.shape[1]))
    gives = {t.name: t.shape for t in network.outputs if t.name.startswith(prefix)}
    if any(_differ(gives[n][1:2], places[n][1:2]) for n in gives.keys() & places.keys()):
        raise _misfit(network, "it was made for another family of models")
    latent = unet.input("sample")
    if (shape := picture_shape(network)) and latent:
        wanted = tuple(8 * n if n else None for n in latent.shape[2:])
        is_fixed = size or network.attention is Attention.SPLIT_EINSUM_V2
        if is_fixed and _differ(shape[2:], wanted):
            told = " × ".join(str(n) for n in reversed(shape[2:]) if n)
            raise _misfit(network, f"it was made for pictures of {told} pixels")
    # XL's adapters have one for the middle, which not every UNet takes
    enough = adapter and places.keys() <= gives.keys()
    if gives.keys() != places.keys() and not enough:
        raise _misfit(network, f"it gives {len(gives)} answers where the UNet takes {len(places)}")


def picture_shape(network: ComponentInfo) -> tuple[int | None, ...]:
    """[batch, channels, height, width] of the control picture; empty: not stated."""
    found = network.input(picture_input(network))
    return found.shape if found is not None and len(found.shape) == 4 else ()


def _other_family(mine: int | None, theirs: int | None) -> str:
    names = [fit.CONTEXT_FAMILIES.get(width or 0) for width in (mine, theirs)]
    if all(names) and names[0] != names[1]:
        one, other = (words.family(name) for name in names if name)
        return f"it was made for {one}, and the model is {other}"
    return "it was made for another family of models"


def _misfit(network: ComponentInfo, why: str) -> SfumatoError:
    kind = "T2I-Adapter" if is_adapter(network) else "ControlNet"
    name = network.name or network.files[0].stem
    return SfumatoError(
        ErrorKind.UNSUPPORTED,
        f"The {kind} “{name}” does not fit this model: {why}; choose another.",
    )


def _differ(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    pairs = zip(one, other, strict=False)
    return any(a is not None and b is not None and a != b for a, b in pairs)
