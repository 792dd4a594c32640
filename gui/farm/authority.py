"""A farm's certificates: an authority that is made when it is started, and one for each member.

Keys are made where they are used and stay there.  Who joins brings an invitation, a certificate
with its key in a line of text that a person carries over; it is good for a day and for one
certificate in its place.  The scheduler lets in whom the list of members has, no matter what else
was ever signed.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import zlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gui import records
from gui.errors import ErrorKind, SfumatoError
from gui.farm.config import folder, read_private, write_private
from gui.records import Record

INVITATION_HOURS = 24
_YEARS = datetime.timedelta(days=3650)
_PREFIX = "sfumato-farm-"
_MAX_CODE = 20_000
_INVITED = "invited"


@dataclass(frozen=True)
class Credentials:
    """PEM texts of one end of a connection."""

    authority: str
    certificate: str
    key: str


@dataclass(frozen=True)
class JoinCode(Record):
    """What a Mac needs to join, once."""

    farm: str
    """Its name."""
    addresses: tuple[str, ...]
    port: int
    authority: str
    """DER, base64; as the following."""
    certificate: str
    key: str

    def text(self) -> str:
        packed = zlib.compress(records.dumps(self).encode(), 9)
        return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> JoinCode:
        """From the text, however it was broken into lines on its way.

        Raises:
            SfumatoError: BAD_REQUEST where it is no join code.
        """
        packed = "".join(text[:_MAX_CODE].split()).removeprefix(_PREFIX)
        try:
            data = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
            plain = zlib.decompressobj().decompress(data, _MAX_CODE)
            return records.loads(cls, plain)
        except (ValueError, zlib.error) as error:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "This is no join code; copy the whole line that the other Mac shows, or choose "
                "its file.",
                str(error),
            ) from error

    @property
    def credentials(self) -> Credentials:
        """Raises SfumatoError, BAD_REQUEST, where they cannot be read."""
        try:
            certificates = [
                x509.load_der_x509_certificate(base64.b64decode(text))
                for text in (self.authority, self.certificate)
            ]
            key = serialization.load_der_private_key(base64.b64decode(self.key), None)
        except (ValueError, TypeError) as error:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "This join code is damaged; make a new one on the other Mac.",
                str(error),
            ) from error
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        authority, certificate = certificates
        return Credentials(_pem(authority), _pem(certificate), _key_pem(key))


@dataclass(frozen=True)
class Known(Record):
    """A certificate that is let in."""

    name: str
    until: float = 0.0
    """Seconds since 1970 when an invitation ends; 0 for a member, which stays."""


class Authority:
    """The authority of a farm that is started on this Mac; made when there is none.

    Raises:
        SfumatoError: STORAGE where its files cannot be written or read.
    """

    def __init__(self) -> None:
        self._members = folder() / "members.json"
        if not (folder() / "authority.pem").exists():
            self._make()
        self.certificate = read_private("authority.pem")
        self._key = _load_key(read_private("authority-key.pem"))
        self._authority = x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def farm(self) -> str:
        """Tells this farm from any other: the beginning of its certificate's fingerprint."""
        return farm_id(self.certificate)

    def scheduler(self) -> Credentials:
        """Those of the scheduler on this Mac."""
        return self._kept("scheduler", ExtendedKeyUsageOID.SERVER_AUTH)

    def own_member(self, name: str) -> Credentials:
        """Those of the member on the scheduler's own Mac."""
        credentials = self._kept("member", ExtendedKeyUsageOID.CLIENT_AUTH)
        serial = serial_of(credentials.certificate)
        known = self.known()
        if serial not in known:
            self._write({**known, serial: Known(name)})
        return credentials

    def known(self) -> dict[str, Known]:
        """Who is let in, by serial number."""
        try:
            return records.loads(dict[str, Known], self._members.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SfumatoError(
                ErrorKind.STORAGE,
                f"The list of the farm's Macs in {self._members} cannot be read; start the farm "
                "anew with --new, and let the others join again.",
                str(error),
            ) from error

    def invite(self, now: float) -> tuple[str, str, str]:
        """An invitation.

        Returns:
            The authority's certificate, the invitation's and its key: DER as base64.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        hours = datetime.timedelta(hours=INVITATION_HOURS)
        certificate = self._sign(key.public_key(), _INVITED, ExtendedKeyUsageOID.CLIENT_AUTH, hours)
        known = {s: k for s, k in self.known().items() if not k.until or k.until > now}
        serial = _serial(certificate)
        self._write({**known, serial: Known(_INVITED, now + hours.total_seconds())})
        der = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        own, given = (
            certificate.public_bytes(serialization.Encoding.DER)
            for certificate in (self._authority, certificate)
        )
        one, two, three = (base64.b64encode(data).decode() for data in (own, given, der))
        return one, two, three

    def enrol(self, invitation: str, request: str, name: str) -> str:
        """Give a certificate to who came with an invitation, which is spent by that.

        Args:
            invitation: serial number.
            request: PEM.

        Raises:
            SfumatoError: BAD_REQUEST for a request that cannot be read.
        """
        try:
            asked = x509.load_pem_x509_csr(request.encode())
            key = asked.public_key()
            if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
                raise ValueError("not signed by its own key")
        except ValueError as error:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                "The request to join cannot be read; update Sfumato on both Macs.",
                str(error),
            ) from error
        certificate = self._sign(key, name, ExtendedKeyUsageOID.CLIENT_AUTH, _YEARS)
        known = self.known()
        known.pop(invitation, None)
        self._write({**known, _serial(certificate): Known(name)})
        return _pem(certificate)

    def forget(self, serial: str) -> None:
        """Let a member in no more."""
        known = self.known()
        if known.pop(serial, None) is not None:
            self._write(known)

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sfumato farm")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + _YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(key, hashes.SHA256())
        )
        self._write({})
        for stale in ("scheduler.pem", "member.pem"):
            with contextlib.suppress(OSError):
                (folder() / stale).unlink(missing_ok=True)
        write_private("authority-key.pem", _key_pem(key))
        write_private("authority.pem", _pem(certificate))

    def _kept(self, role: str, usage: x509.ObjectIdentifier) -> Credentials:
        """Certificate and key of a role on this Mac, made when there are none of this authority."""
        try:
            kept = Credentials(
                self.certificate, read_private(f"{role}.pem"), read_private(f"{role}-key.pem")
            )
            read = x509.load_pem_x509_certificate(kept.certificate.encode())
            read.verify_directly_issued_by(self._authority)
            if _load_key(kept.key).public_key() == read.public_key():
                return kept
        except Exception:  # none, or another authority's: a new one is as good
            pass
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), role, usage, _YEARS)
        write_private(f"{role}-key.pem", _key_pem(key))
        write_private(f"{role}.pem", _pem(certificate))
        return Credentials(self.certificate, _pem(certificate), _key_pem(key))

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        name: str,
        usage: x509.ObjectIdentifier,
        lasts: datetime.timedelta,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:60] or "Mac")])
        issuer = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._authority.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            # Clocks of two Macs need not agree.
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), False
            )
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, known: dict[str, Known]) -> None:
        write_private(self._members.name, records.dumps(known, indent=1))


def new_request(name: str) -> tuple[str, str]:
    """A signing request and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:60] or "Mac")])
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)


def farm_id(authority: str) -> str:
    """As `Authority.farm`, of a certificate in PEM."""
    certificate = x509.load_pem_x509_certificate(authority.encode())
    return certificate.fingerprint(hashes.SHA256()).hex()[:16]


def serial_of(certificate: str) -> str:
    """Serial number of a certificate in PEM, as `Frames.peer_id` tells it."""
    return _serial(x509.load_pem_x509_certificate(certificate.encode()))


def _serial(certificate: x509.Certificate) -> str:
    text = f"{certificate.serial_number:x}"
    return text if len(text) % 2 == 0 else f"0{text}"


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs, crl_sign=signs,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _load_key(text: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
