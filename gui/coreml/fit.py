"""Do the networks of a folder make a model that can be used?  Every objection is one sentence.

Works on descriptions alone; knows Apple's tensor contract (names and shapes of inputs and outputs,
as `python_coreml_stable_diffusion.torch2coreml` writes them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gui import words
from gui.coreml.dialect import RESIDUAL, is_adapter, is_residual
from gui.coreml.model import (
    CONTEXT_FAMILIES,
    ComponentInfo,
    ComponentKind,
    Family,
    TensorSpec,
    UNetKind,
)
from gui.coreml.operations import runs_core_ml
from gui.coreml.sidecar import Sidecar
from gui.coreml.survey import MAX_RANK, Description
from gui.errors import ErrorKind, SfumatoError

K = ComponentKind
Components = Mapping[ComponentKind, ComponentInfo]

MAX_SIZE = 2**31
"""Sizes of tensors lie below; Core ML counts with 32 bits in places."""

MAX_TEXT = 300
"""Characters of a title or a sentence, which may quote what a stranger wrote."""

NEWEST_SPEC = 10
"""Newest Core ML specification version this program knows (macOS 26)."""

_SPARED = (K.SAFETY_CHECKER, K.REFINER)
"""Networks that pictures can be made without."""

_NAMED = 3
"""Operations that a sentence names."""

_UNET_INPUTS = ("sample", "timestep", "encoder_hidden_states")
REQUIRED_INPUTS: dict[ComponentKind, tuple[str, ...]] = {
    K.TEXT_ENCODER: ("input_ids",),
    K.TEXT_ENCODER_2: ("input_ids",),
    K.TEXT_ENCODER_T5: ("input_ids",),
    K.UNET: _UNET_INPUTS,
    K.CONTROL_UNET: _UNET_INPUTS,
    K.REFINER: _UNET_INPUTS,
    K.MMDIT: ("latent_image_embeddings", "timestep"),
    K.VAE_DECODER: ("z",),
    K.VAE_ENCODER: ("x",),
    K.SAFETY_CHECKER: ("clip_input", "images", "adjustment"),
    K.CONTROLNET: (*_UNET_INPUTS, "controlnet_cond"),
}
_UNET_EXTRAS = frozenset({"time_ids", "text_embeds", "timestep_cond"})


def plain(text: str) -> str:
    """What a stranger wrote, or what quotes it: without characters that are not to be seen (some
    turn a text around), and no longer than anyone reads."""
    return words.shortened(words.plain(text[: 2 * MAX_TEXT]), MAX_TEXT)


def kind_by_inputs(names: set[str]) -> ComponentKind | None:
    """The network that takes these inputs, for files whose name says nothing."""
    order = (
        K.CONTROLNET, K.UNET, K.MMDIT, K.SAFETY_CHECKER, K.TEXT_ENCODER, K.VAE_DECODER,
        K.VAE_ENCODER,
    )  # fmt: skip
    for kind in order:
        required = set(REQUIRED_INPUTS[kind])
        if required <= names and (len(required) > 1 or required == names):
            if kind is K.UNET and any(n.startswith(RESIDUAL) for n in names):
                return K.CONTROL_UNET
            return kind
    return None


# One component


def check_contract(component: ComponentInfo) -> None:
    """Check one network's inputs and outputs against Apple's.

    Raises:
        SfumatoError: BAD_MODEL for other names or layouts, UNSUPPORTED for a specification that is
            too new.
    """
    what = f"The {words.component(component.kind)} ({component.files[0].name})"
    if component.spec_version > NEWEST_SPEC:
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{what} is newer than this version of Sfumato knows; update Sfumato.",
            f"specification {component.spec_version}",
        )
    names = [t.name for t in component.inputs]
    required = () if is_adapter(component) else REQUIRED_INPUTS[component.kind]
    missing = [n for n in required if n not in names]
    if missing:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{what} was converted for another program: it has no input {missing[0]!r}; choose "
            "another model.",
            f"inputs: {', '.join(names)}",
        )
    if not component.outputs:
        raise SfumatoError(ErrorKind.BAD_MODEL, f"{what} has no outputs; get the model again.")
    for tensor in (*component.inputs, *component.outputs):
        sensible = all(size is None or 0 < size < MAX_SIZE for size in tensor.shape)
        if not sensible or len(tensor.shape) > MAX_RANK:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"The description of the {words.component(component.kind)} "
                f"({component.files[0].name}) makes no sense; get the model again.",
                f"{tensor.name}: {str(tensor.shape)[:200]}",
            )
    for tensor in component.inputs:
        if not tensor.shape:
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"{what} was converted for another program: {tensor.name!r} has no "
                "dimensions; choose another model.",
            )
        if tensor.dtype.startswith("image"):
            raise SfumatoError(
                ErrorKind.BAD_MODEL,
                f"{what} was converted for another program: it takes a picture as "
                f"{tensor.name!r}; choose another model.",
            )
        if None in tensor.shape:
            raise SfumatoError(
                ErrorKind.UNSUPPORTED,
                f"{what} leaves the size of {tensor.name!r} open and does not say which it takes; "
                "choose another model.",
                str(tensor.shape),
            )
    context = component.input("encoder_hidden_states")
    if context is not None and (len(context.shape) != 4 or context.shape[2] != 1):
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{what} was converted for another program: its text input is not laid out as "
            "Apple's; choose another model.",
            f"encoder_hidden_states {context.shape}",
        )
    sample = component.input("sample")
    if sample is not None and len(sample.shape) != 4:
        raise SfumatoError(
            ErrorKind.BAD_MODEL,
            f"{what} takes no latents; get the model again.",
            f"sample {sample.shape}",
        )


def check_operations(component: ComponentInfo) -> None:
    """Check that everything a network does can be computed on this machine.

    Raises:
        SfumatoError: UNSUPPORTED, naming network and operation, where it cannot.
    """
    if sentence := _beyond(component):
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            f"{sentence.rstrip('.')}; choose another model.",
            ", ".join(component.unknown_operations),
        )


def _beyond(component: ComponentInfo) -> str:
    """What of a network only Core ML itself can compute, as a sentence; empty where that runs."""
    if runs_core_ml() or not component.unknown_operations:
        return ""
    names = component.unknown_operations[:_NAMED]
    one = len(component.unknown_operations) == 1
    listed = ", ".join(names) + ("" if len(names) == len(component.unknown_operations) else ", …")
    sentence = (
        f"The {words.component(component.kind)} uses {listed}, "
        f"{'an operation' if one else 'operations'} that only a Mac can compute"
    )
    if component.kind is K.SAFETY_CHECKER:
        return f"{sentence}; switch the safety checker off to use this model here."
    return f"{sentence}."


def check_chain(parts: Sequence[Description]) -> None:
    """Check that the second chunk of a network takes what the first one gives.

    Raises:
        SfumatoError: BAD_MODEL where it does not.
    """
    first, second = parts
    given = {t.name: t for t in first.outputs}
    known = {*(t.name for t in first.inputs), *_UNET_INPUTS, *_UNET_EXTRAS}
    used = False
    for tensor in second.inputs:
        if tensor.name in given:
            used = True
            fits = _same(given[tensor.name].shape, tensor.shape)
        else:
            fits = tensor.name in known or is_residual(tensor.name)
        if not fits:
            raise _chunks_apart(first, second, tensor)
    if not used:
        raise _chunks_apart(first, second, None)


def _chunks_apart(first: Description, second: Description, at: TensorSpec | None) -> SfumatoError:
    return SfumatoError(
        ErrorKind.BAD_MODEL,
        f"{first.path.name} and {second.path.name} are not two halves of one network; choose "
        "another model.",
        f"at {at.name} {at.shape}" if at else "nothing passes from one to the other",
    )


def _same(a: Sequence[int | None], b: Sequence[int | None]) -> bool:
    """Whether two shapes are one, as far as they are known."""
    alike = all(m is None or n is None or m == n for m, n in zip(a, b, strict=False))
    return not a or not b or (len(a) == len(b) and alike)


# The whole


@dataclass(frozen=True)
class Sizes:
    """What the networks' shapes say; 0 where they say nothing."""

    channels: int = 0
    """Of the latents."""
    latent_height: int = 0
    latent_width: int = 0
    image_height: int = 0
    image_width: int = 0
    batch: int = 0
    context: int = 0


def denoiser(components: Components) -> ComponentInfo | None:
    """The network that removes noise."""
    kinds = (K.UNET, K.MMDIT, K.CONTROL_UNET, K.REFINER)
    return next((components[k] for k in kinds if k in components), None)


def sizes(components: Components) -> Sizes:
    unet = denoiser(components)
    batch = context = 0
    latent: Sequence[int | None] = ()
    if unet is not None:
        sample = unet.input("sample") or unet.input("latent_image_embeddings")
        if sample is not None and len(sample.shape) == 4:
            batch, latent = sample.shape[0] or 0, sample.shape[1:]
        context = _dim(unet.input("encoder_hidden_states"), 1)
        if unet.kind is K.MMDIT:
            context = _dim(unet.input("token_level_text_embeddings"), 1)
    decoder = components.get(K.VAE_DECODER)
    if decoder is not None and not latent:
        z = decoder.input("z")
        latent = z.shape[1:] if z is not None and len(z.shape) == 4 else ()
    channels, height, width = (d or 0 for d in latent) if len(latent) == 3 else (0, 0, 0)
    channels = latent_channels(components) or channels
    image = decoder.outputs[0].shape if decoder is not None and decoder.outputs else ()
    z = _shape(decoder, "z")[2:] if decoder is not None else ()
    whole = not z or z == (height, width)  # else the decoder works on tiles
    if len(image) == 4 and image[2] and image[3] and whole:
        image_height, image_width = image[2], image[3]
    else:
        image_height, image_width = 8 * height, 8 * width
    return Sizes(channels, height, width, image_height, image_width, batch, context)


def latent_channels(components: Components) -> int:
    """Channels of the latents: what the UNet gives, and the VAE takes; 0 where nothing says it."""
    unet, decoder = denoiser(components), components.get(K.VAE_DECODER)
    given = unet.outputs[0] if unet is not None and len(unet.outputs) == 1 else None
    return (
        _dim(given, 1)
        or _dim(decoder.input("z") if decoder is not None else None, 1)
        or _dim(unet.input("sample") if unet is not None else None, 1)
    )


def unet_kind(components: Components) -> UNetKind | None:
    """What the UNet is shown beside the latents; None: something that is not known."""
    unet, latents = components.get(K.UNET) or components.get(K.CONTROL_UNET), 0
    more = 0
    if unet is not None:
        latents = latent_channels(components)
        more = _dim(unet.input("sample"), 1) - latents
    kinds = {
        0: UNetKind.STANDARD,
        1: UNetKind.DEPTH,
        latents: UNetKind.INSTRUCT,
        latents + 1: UNetKind.INPAINT,
    }
    return kinds.get(more) if more else UNetKind.STANDARD


def family(components: Components, own: Sidecar | None) -> tuple[Family, list[str]]:
    """The model's family and what to say about it.

    The context's width tells the published families apart; a model of another width is what its
    sidecar says, or what its inputs look like.
    """
    unet = denoiser(components)
    if unet is None:
        return (own.family if own else Family.UNKNOWN), []
    if unet.kind is K.MMDIT:
        return Family.SD3, []
    if _dim(unet.input("time_ids"), -1) == 5:
        return Family.SDXL_REFINER, []
    context = _dim(unet.input("encoder_hidden_states"), 1)
    by_width = CONTEXT_FAMILIES.get(context)
    is_xl = unet.input("text_embeds") is not None
    if by_width is not None and is_xl == (by_width in (Family.SDXL, Family.SDXL_REFINER)):
        return by_width, []
    if own is not None:
        return own.family, []
    if is_xl:
        return Family.SDXL, []
    return Family.UNKNOWN, [
        "The model's family cannot be told from its files; it is taken for Stable Diffusion 1."
    ]


def notes(components: Components, own: Sidecar | None) -> list[str]:
    """Things worth knowing that do not stop use."""
    found = []
    if K.VAE_ENCODER not in components:
        found.append("Pictures cannot be the starting point: the model has no VAE encoder.")
    if K.REFINER in components and K.UNET in components:
        found.append("Its refiner can make the last steps (Refiner, among the settings).")
    checker = components.get(K.SAFETY_CHECKER)
    if checker is not None and (beyond := _beyond(checker)):
        found.append(beyond)
    return found


def problems(components: Components, kind: Family, own: Sidecar | None) -> list[str]:
    """Why the model cannot be used; empty if it can."""
    unusable = not_yet(components, kind)
    if unusable:
        return [unusable]
    found = _missing(components, kind)
    if unet_kind(components) in (UNetKind.INPAINT, UNetKind.INSTRUCT):
        found += [] if K.VAE_ENCODER in components else ["The VAE encoder is missing."]
    needed = [c for k, c in components.items() if k not in _SPARED]
    found += filter(None, map(_beyond, needed))
    unet = components.get(K.UNET)
    if unet is not None:
        found += _unet_problems(components, unet, kind, own)
        found += _text_problems(components, unet, kind)
        found += _vae_problems(components, unet)
    return found


def not_yet(components: Components, kind: Family) -> str:
    """Kinds of model that are known, but cannot be run."""
    unet = denoiser(components)
    if kind is Family.SD3:
        return "This is a Stable Diffusion 3 model, which cannot be used yet."
    if unet is None:
        return ""
    if kind is Family.SDXL_REFINER:
        return "This is a refiner: choose it as Refiner of a Stable Diffusion XL model."
    if unet_kind(components) is None:
        channels = _dim(unet.input("sample"), 1)
        return f"The UNet takes {channels} channels; what they are to show it is not known."
    return ""


def _missing(components: Components, kind: Family) -> list[str]:
    return [f"The {words.component(k)} is missing." for k in missing_kinds(set(components), kind)]


def missing_kinds(have: set[ComponentKind], kind: Family) -> list[ComponentKind]:
    """The networks that a model of a family cannot do without, and that are not among `have`."""
    needed = [K.TEXT_ENCODER, K.UNET, K.VAE_DECODER]
    if kind is Family.SDXL:
        needed.insert(1, K.TEXT_ENCODER_2)
    if K.CONTROL_UNET in have:
        have = have | {K.UNET}  # without a ControlNet it is the plain one: its residuals are zero
    return [k for k in needed if k not in have]


def _unet_problems(
    components: Components, unet: ComponentInfo, kind: Family, own: Sidecar | None
) -> list[str]:
    found: list[str] = []
    batch = _dim(unet.input("sample"), 0)
    three = unet_kind(components) is UNetKind.INSTRUCT  # with words, without, without a picture
    if batch not in (1, 2) and not (three and batch == 3):
        found.append(f"The UNet works on {batch} pictures at once; only 1 and 2 can be used.")
    for name in ("timestep", "encoder_hidden_states", "text_embeds"):
        tensor = unet.input(name)
        if tensor is not None and _dim(tensor, 0) != batch:
            found.append(f"The UNet's inputs do not fit one another ({name}).")
    if len(unet.outputs) != 1 or not _same(unet.outputs[0].shape, _latents(components, unet)):
        found.append("The UNet's output does not fit its latents.")
    if kind is Family.SDXL:
        for name in ("time_ids", "text_embeds"):
            if unet.input(name) is None:
                found.append(f"The UNet is no complete Stable Diffusion XL one: it lacks {name}.")
    if own is not None and own.family not in (kind, Family.UNKNOWN):
        found.append(
            f"Its sfumato.json says {words.family(own.family)}, but the UNet is "
            f"{words.family(kind)}'s."
        )
    extra = [
        t.name
        for t in unet.inputs
        if t.name not in _UNET_INPUTS
        and t.name not in _UNET_EXTRAS
        and not is_residual(t.name)
        and not t.optional
    ]
    if extra:
        found.append(f"The UNet needs an input that cannot be given: {extra[0]}.")
    return found


def _text_problems(components: Components, unet: ComponentInfo, kind: Family) -> list[str]:
    """Text encoder and UNet must agree on family, width and number of tokens."""
    context = _shape(unet, "encoder_hidden_states")
    encoders = [components[k] for k in (K.TEXT_ENCODER, K.TEXT_ENCODER_2) if k in components]
    if kind is not Family.SDXL:
        encoders = encoders[:1] if K.TEXT_ENCODER in components else []
    if not encoders or len(context) != 4:
        return []
    # SDXL reads the state before the last layer, SD1 and SD2 the last one
    wanted = "hidden_embeds" if kind is Family.SDXL else "last_hidden_state"
    other = "last_hidden_state" if kind is Family.SDXL else "hidden_embeds"
    widths = []
    for encoder in encoders:
        name = words.component(encoder.kind)
        if encoder.output(wanted) is None:
            if encoder.output(other) is not None:
                theirs = "another family" if kind is Family.SDXL else "Stable Diffusion XL"
                return [f"The {name} belongs to {theirs} and does not fit the UNet."]
            return [f"The {name} was converted for another program: it gives no {wanted!r}."]
        states = encoder.output(wanted)
        read, taken = _dim(states, 1), context[3]
        if read and taken and taken % read:  # a UNet may read several texts side by side
            return [f"The {name} reads {read} tokens, but the UNet takes {taken}."]
        widths.append(_dim(states, -1))
    complete = kind is not Family.SDXL or len(encoders) == 2
    if complete and all(widths) and sum(widths) != context[1]:
        return [
            f"The text encoder does not fit the UNet: it gives {sum(widths)} channels, "
            f"and the UNet takes {context[1]}."
        ]
    if kind is Family.SDXL and len(encoders) == 2:
        pooled = _dim(encoders[1].output("pooled_outputs"), -1)
        embeds = _dim(unet.input("text_embeds"), -1)
        if pooled and embeds and pooled != embeds:
            return [
                f"The second text encoder does not fit the UNet: it gives {pooled} pooled "
                f"channels, and the UNet takes {embeds}."
            ]
    return []


def _vae_problems(components: Components, unet: ComponentInfo) -> list[str]:
    """Latents and pictures must have the same size everywhere."""
    found = []
    latent = tuple(_latents(components, unet)[1:])
    decoder = components.get(K.VAE_DECODER)
    if decoder is not None and not _takes(tuple(_shape(decoder, "z")[1:]), latent):
        found.append(
            f"The VAE decoder does not fit the UNet: it takes latents of "
            f"{_size_text(_shape(decoder, 'z'))}, and the UNet gives "
            f"{_size_text(_latents(components, unet))}."
        )
    encoder = components.get(K.VAE_ENCODER)
    if encoder is not None and len(latent) == 3:
        moments = encoder.outputs[0].shape
        channels, *size = latent
        if len(moments) == 4 and not _takes(moments[1:], (2 * (channels or 0), *size)):
            found.append(
                f"The VAE encoder does not fit the UNet: it gives latents of "
                f"{_size_text(moments)}, and the UNet takes "
                f"{_size_text(_latents(components, unet))}."
            )
        picture = _shape(encoder, "x")
        if decoder is not None and not _same(picture, decoder.outputs[0].shape):
            found.append("The VAE encoder and decoder are made for pictures of different sizes.")
    return found


def _takes(has: Sequence[int | None], whole: Sequence[int | None]) -> bool:
    """Whether a half of the VAE can work on latents, [channels, height, width]: at once, or in
    tiles."""
    return _same(has, whole) or (
        len(has) == len(whole) == 3
        and has[0] == whole[0]
        and all(side and of and side <= of for side, of in zip(has[1:], whole[1:], strict=True))
    )


def _latents(components: Components, unet: ComponentInfo) -> tuple[int | None, ...]:
    """Shape of the latents among what the UNet takes."""
    sample = _shape(unet, "sample")
    if len(sample) != 4:
        return sample
    return (sample[0], latent_channels(components), *sample[2:])


def _shape(component: ComponentInfo, name: str) -> tuple[int | None, ...]:
    tensor = component.input(name)
    return tensor.shape if tensor is not None else ()


def _dim(tensor: TensorSpec | None, axis: int) -> int:
    """One size of a tensor; 0 where there is none."""
    if tensor is None or not -len(tensor.shape) <= axis < len(tensor.shape):
        return 0
    return tensor.shape[axis] or 0


def _size_text(shape: Sequence[int | None]) -> str:
    """[B, C, h, w] as ``w × h × C``."""
    if len(shape) != 4:
        return "another kind"
    return f"{shape[3]} × {shape[2]} with {shape[1]} channels"
