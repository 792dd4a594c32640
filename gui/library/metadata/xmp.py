"""XMP packets as plain fields: ``{"dc:description": "a fox", …}``.

Source: ISO 16684-1: RDF/XML in which a property is an attribute or an element of an
``rdf:Description``, and a list is an Alt, Bag or Seq of ``rdf:li``.  Parsed by expat with document
types refused, so no entity is ever expanded.
"""

from __future__ import annotations

import contextlib
from xml.parsers import expat

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_FIELDS = 2000

PREFIXES = {
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "urn:sfumato:xmp:": "sfumato",
}

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_CONTAINERS = {"rdf:RDF", "rdf:Description", "rdf:Alt", "rdf:Bag", "rdf:Seq", "rdf:li"}


class _RefusedError(Exception):
    """The packet has what no XMP needs."""


def read_xmp(packet: bytes) -> dict[str, str]:
    """The text of each property, list entries joined by line breaks.  Never raises; what comes
    before a fault is kept."""
    if len(packet) > MAX_BYTES:
        return {}
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    with contextlib.suppress(expat.ExpatError, _RefusedError, ValueError, UnicodeError):
        parser.Parse(packet.strip(b"\0 \r\n\t\xef\xbb\xbf"), True)
    return {name: "\n".join(values) for name, values in reader.fields.items()}


class _Reader:
    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self._path: list[str] = []
        self._buffer: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise _RefusedError
        self._path.append(_short(name))
        self._buffer.clear()
        if self._path[-1] in ("rdf:Description", "rdf:li"):
            for key, value in attributes.items():
                short = _short(key)
                if not short.startswith(("rdf:", "xml:")):
                    self._keep(short, value)

    def end(self, _name: str) -> None:
        text = "".join(self._buffer).strip()
        self._buffer.clear()
        if text:
            owner = next((n for n in reversed(self._path) if n not in _CONTAINERS), "")
            if owner:
                self._keep(owner, text)
        self._path.pop()

    def text(self, data: str) -> None:
        self._buffer.append(data)

    def refuse(self, *_: object) -> None:
        raise _RefusedError

    def _keep(self, name: str, value: str) -> None:
        if len(self.fields) < MAX_FIELDS or name in self.fields:
            self.fields.setdefault(name, []).append(value)


def _short(name: str) -> str:
    """``uri name`` as ``prefix:name``."""
    space, _, local = name.rpartition(" ")
    if space == "http://www.w3.org/XML/1998/namespace":
        return f"xml:{local}"
    prefix = PREFIXES.get(space)
    return f"{prefix}:{local}" if prefix else local
