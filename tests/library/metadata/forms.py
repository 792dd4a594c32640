"""Picture files with metadata in the forms that programs write, made by Pillow or by hand."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo


def png(texts: dict[str, str], *, compressed: bool = False, exif: bytes = b"") -> bytes:
    """A PNG of 24 × 16 with these text chunks."""
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value, zip=compressed)
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), "#336699").save(buffer, "PNG", pnginfo=info, exif=exif)
    return buffer.getvalue()


def picture(form: str, *, exif: bytes = b"", xmp: bytes = b"") -> bytes:
    """A picture of another form (``JPEG``, ``WEBP``, ``AVIF``, ``TIFF``)."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"exif": exif} if exif else {}
    if xmp:
        options["xmp"] = xmp
    Image.new("RGB", (24, 16), "#336699").save(buffer, form, **options)
    return buffer.getvalue()


def tiff_structure(
    tags: dict[int, tuple[int, bytes]],
    inner: dict[int, tuple[int, bytes]] | None = None,
    *,
    order: str = "<",
) -> bytes:
    """An EXIF block: type and bytes by tag, and those of the inner directory.

    Written here from the TIFF specification, so that types, byte orders and lies are the test's.
    """
    directories = [dict(tags)]
    if inner is not None:
        directories[0][0x8769] = (4, b"\0\0\0\0")
        directories.append(inner)
    body = bytearray(b"II" if order == "<" else b"MM")
    body += struct.pack(order + "HI", 42, 8)
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
    pointer = 0  # where the first directory names the place of the inner one
    for number, directory in enumerate(directories):
        at = len(body)
        if number == 1:
            body[pointer : pointer + 4] = struct.pack(order + "I", at)
        extra = at + 2 + 12 * len(directory) + 4
        rows, tail = bytearray(struct.pack(order + "H", len(directory))), bytearray()
        for tag, (kind, data) in sorted(directory.items()):
            count = len(data) // sizes.get(kind, 1)
            if len(data) <= 4:
                if tag == 0x8769:
                    pointer = at + len(rows) + 8
                rows += struct.pack(order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
            else:
                rows += struct.pack(order + "HHII", tag, kind, count, extra + len(tail))
                tail += data
        body += rows + b"\0\0\0\0" + tail
    return bytes(body)


def comment(text: str, charset: str = "utf-16-be") -> bytes:
    """A UserComment as programs write it."""
    if charset.startswith("utf-16"):
        return b"UNICODE\0" + text.encode(charset)
    if charset == "ascii":
        return b"ASCII\0\0\0" + text.encode("utf-8")
    return bytes(8) + text.encode(charset)


def xmp_packet(fields: dict[str, str], *, as_elements: bool = False) -> bytes:
    """An XMP packet with these properties, as attributes or as elements."""
    from xml.sax.saxutils import escape, quoteattr

    spaces = (
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/"'
    )
    if as_elements:
        inner = "".join(
            f'<{k}><rdf:Alt><rdf:li xml:lang="x-default">{escape(v)}</rdf:li></rdf:Alt></{k}>'
            for k, v in fields.items()
        )
        body = f'<rdf:Description rdf:about="" {spaces}>{inner}</rdf:Description>'
    else:
        attributes = " ".join(f"{k}={quoteattr(v)}" for k, v in fields.items())
        body = f'<rdf:Description rdf:about="" {spaces} {attributes}/>'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta '
        'xmlns:x="adobe:ns:meta/"><rdf:RDF '
        f'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{body}</rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


A1111 = """a fox, (oil painting:1.2), <lora:foggy days:0.6>
second line
Negative prompt: blurry, ugly
lowres
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 4294967295, \
Size: 512x768, Model hash: 0123456789, Model: dreamy, Denoising strength: 0.45, Clip skip: 2, \
RNG: CPU, Lora hashes: "foggy days: 11aa, other: 22bb", Hires upscale: 2, Version: v1.9.4"""

COMFY: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
    "2": {"class_type": "LoraLoader", "inputs": {
        "model": ["1", 0], "clip": ["1", 1], "lora_name": "fog.safetensors",
        "strength_model": 0.5, "strength_clip": 1.0}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0], "clip": ["2", 1]}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["2", 1]}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 448}},
    "6": {"class_type": "KSampler", "inputs": {
        "seed": 99, "steps": 22, "cfg": 5.5, "sampler_name": "dpmpp_2m", "scheduler": "karras",
        "denoise": 1.0, "model": ["2", 0], "positive": ["3", 0], "negative": ["4", 0],
        "latent_image": ["5", 0]}},
    "7": {"class_type": "VAEDecode", "inputs": {"samples": ["6", 0], "vae": ["1", 2]}},
    "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}},
    "9": {"class_type": "PrimitiveString", "inputs": {"value": "a fox in fog"}},
}  # fmt: skip

DRAW_THINGS = json.dumps({
    "c": "a fox", "uc": "blurry", "steps": 20, "sampler": "DPM++ 2M Karras", "scale": 7.5,
    "seed": 77, "size": "512x768", "model": "sd_v1.5_f16.ckpt", "strength": 1.0,
    "seed_mode": "Scale Alike", "lora": [{"model": "fog.ckpt", "weight": 0.0}]})  # fmt: skip

MOCHI = (
    "Include in Image: a fox; with a tail; Exclude from Image: blurry; Model: sd-1-5; Steps: 20; "
    "Guidance Scale: 11.0; Seed: 42; Size: 512x768; Quality: Default; Scheduler: DPM-Solver++; "
    "ML Compute Unit: CPU & Neural Engine; Generator: Mochi Diffusion 5.2"
)
