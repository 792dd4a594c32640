"""Content Credentials (C2PA): a signed statement inside a picture that a model made it.

The key and its certificate are made on this computer, once, and lie in Sfumato's own folder.  Such
a signature proves that a picture has not been changed since, and not who made it: readers say that
the signer is not known.  Nothing is fetched for it and nothing is sent.

Source: C2PA Technical Specification 2.2, *Certificate profile* (version 3, digital signature, an
extended key usage such as e-mail protection, an authority key identifier) and *Actions*.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from gui import __version__, paths
from gui.errors import ErrorKind, SfumatoError, disk_error
from gui.library.export.forms import PictureForm
from gui.library.metadata.writing import MADE_WITH_PICTURE, source_type
from gui.library.temporaries import temporary_file
from gui.request import PictureRecord

FILE_NAME = "content-credentials.pem"
_YEARS = 10
_TYPES = {
    PictureForm.PNG: "image/png",
    PictureForm.JPEG: "image/jpeg",
    PictureForm.WEBP: "image/webp",
    PictureForm.HEIC: "image/heic",
    PictureForm.AVIF: "image/avif",
}

log = logging.getLogger(__name__)


@cache
def available() -> bool:
    """Whether pictures can be signed here."""
    return all(importlib.util.find_spec(name) is not None for name in ("c2pa", "cryptography"))


def signed(data: bytes, form: PictureForm, record: PictureRecord) -> bytes:
    """A picture's file with Content Credentials.  Any later change breaks them, so this comes last.

    Args:
        data: the file.
        record: what made it.

    Raises:
        SfumatoError: UNSUPPORTED where it cannot be signed; STORAGE where the key cannot be kept.
    """
    key, chain = _identity()
    try:
        import c2pa

        about = c2pa.C2paSignerInfo(b"es256", chain, key, None)  # no time from a server
        with (
            c2pa.Signer.from_info(about) as signer,
            c2pa.Builder(json.dumps(_manifest(record))) as builder,
        ):
            made = io.BytesIO()
            builder.sign(signer, _TYPES[form], io.BytesIO(data), made)
            return made.getvalue()
    except Exception as error:  # of a native library: whatever it makes of a file
        raise SfumatoError(
            ErrorKind.UNSUPPORTED,
            "The picture could not be signed; export it without Content Credentials.",
            repr(error),
        ) from error


def _manifest(record: PictureRecord) -> dict[str, Any]:
    """That a model made the picture, and with which program; nothing of the settings."""
    action: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": source_type(record)}
    if action["digitalSourceType"] == MADE_WITH_PICTURE:
        action["description"] = "Begun from another picture"
    return {
        "claim_generator_info": [{"name": "Sfumato", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


# -- the key ---------------------------------------------------------------------------------


def _identity() -> tuple[bytes, bytes]:
    """Private key and certificates (the signer's, then its authority's) as PEM; made when they are
    not there or have expired."""
    file = paths.data_dir() / FILE_NAME
    try:
        text = file.read_bytes()
    except OSError:
        text = b""
    key, marker, chain = text.partition(b"-----BEGIN CERTIFICATE-----")
    if marker and not _expired(marker + chain):
        return key, marker + chain
    key, chain = _made()
    temporary = temporary_file(file.parent)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key + chain)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, "The key for Content Credentials could not be kept") from error
    return key, chain


def _expired(chain: bytes) -> bool:
    from cryptography import x509

    try:
        ends = x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc
    except (ValueError, IndexError) as error:
        log.warning("the kept certificate is made anew: %r", error)
        return True
    return ends < datetime.now(UTC) + timedelta(days=1)


def _made() -> tuple[bytes, bytes]:
    """A new key on P-256 and its certificate, signed by an authority that is forgotten at once."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    begins = datetime.now(UTC) - timedelta(days=1)
    ends = begins + timedelta(days=365 * _YEARS)

    def name(text: str) -> x509.Name:
        parts = ((NameOID.ORGANIZATION_NAME, "Sfumato"), (NameOID.COMMON_NAME, text))
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    def certificate(
        subject: str, public: ec.EllipticCurvePublicKey, *, is_authority: bool
    ) -> bytes:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Made on this computer, authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_authority, key_cert_sign=is_authority,
                    crl_sign=is_authority, **usage,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
        )  # fmt: skip
        if not is_authority:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=False)
        made = builder.sign(authority_key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain = certificate("Made on this computer", key.public_key(), is_authority=False)
    authority = certificate(
        "Made on this computer, authority", authority_key.public_key(), is_authority=True
    )
    return private, chain + authority
