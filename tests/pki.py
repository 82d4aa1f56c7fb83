"""Certificates as an authority would give them out: for an hour, for names and identities of any kind, or expired."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Its certificate is `file`; those it gives out lie beside it."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        certificate = (
            _builder(subject=self._name, issuer=self._name, key=self._key, expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        common_name: str,
        *,
        dns: Sequence[str] = (),
        uris: Sequence[str] = (),
        expired: bool = False,
        file_name: str | None = None,
    ) -> KeyPair:
        """Written over what was there under that file name, which is the common name unless given."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject=_name(common_name), issuer=self._name, key=key, expired=expired)
        names = [*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris)]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pair = KeyPair(
            self._folder / f"{file_name or common_name}.pem", self._folder / f"{file_name or common_name}.key"
        )
        pair.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    *, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, expired: bool
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + (-_HOUR if expired else _HOUR)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 3 * _HOUR)
        .not_valid_after(end)
    )
