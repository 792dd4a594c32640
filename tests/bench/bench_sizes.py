"""Networks resized without conversion, beside the same converted at twenty sizes.

Tiny networks of every family and both forms of attention: UNet, ControlNet, VAE decoder and
encoder, packages and compiled texts.  Three hundred conversions, so it runs only when named:
``make bench ONLY=sizes``; ``SFUMATO_SIZES=sd1,original,unet`` has it do a part.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gui.convert.types import ConvertRequest, ImageSize
from gui.coreml.model import Attention
from gui.coreml.model import ComponentKind as K
from tests.support.resized import SIZES, differences

OWN = ImageSize(64, 64)
KINDS = {"sd1": "sd1-safety", "sd2": "sd2", "xl": "sdxl"}
FORMS = (Attention.ORIGINAL, Attention.SPLIT_EINSUM)
RUN = 4
"""Every so many sizes, what the networks compute is compared as well."""


def _parts() -> Iterator[tuple[str, Attention, str]]:
    """Family, form of attention, network; the VAE knows of no form."""
    names = set(os.environ.get("SFUMATO_SIZES", "").replace("+", ",").split(",")) - {""}
    for family in KINDS:
        for form in FORMS:
            for network in ("unet", "controlnet", "vae_decoder", "vae_encoder"):
                if network.startswith("vae") and form is not FORMS[0]:
                    continue
                if _allows(names, (family, form.value, network)):
                    yield family, form, network


def _allows(names: set[str], part: tuple[str, str, str]) -> bool:
    """Whether a part is among those named, of each sort that is named at all."""
    return all(each in names or not names & known for each, known in zip(part, _ALL, strict=True))


_ALL = (set(KINDS), {form.value for form in FORMS},
        {"unet", "controlnet", "vae_decoder", "vae_encoder"})  # fmt: skip


def _converted(kind: str, form: Attention, network: str, size: ImageSize, folder: Path) -> Path:
    from gui.convert.job import run
    from tests.support.tiny_checkpoints import kept_folder, save_controlnet

    controls: tuple[str, ...] = ()
    components = (K.UNET,) if network == "controlnet" else (K(network),)
    if network == "controlnet":
        place = folder.parent / "lines"
        controls = (str(place if place.is_dir() else save_controlnet(kind, place)),)
    request = ConvertRequest(
        source=str(kept_folder(kind)), output=str(folder), components=components, sizes=(size,),
        attention=form, controlnets=controls, check=False,
    )  # fmt: skip
    run(request, lambda _progress: None, lambda: False)
    pattern = "ControlNet_*" if network == "controlnet" else f"*_{network}"
    (package,) = folder.glob(f"{pattern}.mlpackage")
    return package


def compare(family: str, form: Attention, network: str) -> list[str]:
    """In what the resized networks differ from those converted at their sizes."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        kind = KINDS[family]
        own = _converted(kind, form, network, OWN, folder / "own")
        for number, size in enumerate(SIZES):
            fresh = _converted(kind, form, network, size, folder / str(size))
            found += differences(own, fresh, OWN, size, run=number % RUN == 0)
    return found


def run() -> list[dict[str, Any]]:
    """A row for each network: how many differences there are."""
    rows: list[dict[str, Any]] = []
    for family, form, network in _parts():
        found = compare(family, form, network)
        name = f"{family}, {form.value}, {network}: differences at {len(SIZES)} sizes"
        note = "; ".join(found[:3])
        rows.append({"name": name, "value": len(found), "unit": "", "budget": 0, "note": note})
        print(name, len(found), note, file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    run()
