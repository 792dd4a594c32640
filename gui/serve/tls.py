"""The certificate with which the service is heard beyond this computer: made here, known by its
fingerprint."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gui import paths
from gui.errors import disk_error
from gui.private_files import keep_private
from gui.serve.addresses import names_of
from gui.serve.messages import ServiceOptions

_DAYS = 397
"""The most that Apple's systems take."""
_RENEW_DAYS = 30


@dataclass(frozen=True)
class Certificate:
    """Files, and what a person can compare."""

    certificate: str
    key: str
    fingerprint: str


def certificate(options: ServiceOptions) -> Certificate:
    """The one that is kept, while it is good for these names; else a new one.  Blocking.

    Raises:
        SfumatoError: STORAGE.
    """
    folder = paths.data_dir() / "Service"
    public, secret = folder / "certificate.pem", folder / "key.pem"
    wanted = sorted(names_of(options))
    if not (secret.is_file() and _is_good(public, wanted)):
        _make(public, secret, wanted)
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    der = x509.load_pem_x509_certificate(public.read_bytes()).public_bytes(Encoding.DER)
    digest = hashlib.sha256(der).hexdigest().upper()
    told = ":".join(digest[k : k + 2] for k in range(0, len(digest), 2))
    return Certificate(str(public), str(secret), told)


def _is_good(file: Path, wanted: list[str]) -> bool:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc - datetime.now(UTC)
    return set(_general(wanted)) <= set(names) and left > timedelta(days=_RENEW_DAYS)


def _general(names: list[str]):  # type: ignore[no-untyped-def]
    from cryptography import x509

    for name in names:
        try:
            yield x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            yield x509.DNSName(name)


def _make(public: Path, secret: Path, wanted: list[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sfumato")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(list(_general(wanted))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    told = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        public.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, data in ((secret, told), (public, made.public_bytes(Encoding.PEM))):
            scratch = file.with_name(f"{file.name}-{os.getpid()}")
            keep_private(scratch)
            scratch.write_bytes(data)
            scratch.replace(file)
    except OSError as error:
        raise disk_error(error, "The certificate of the service cannot be kept") from error
