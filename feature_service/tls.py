"""TLS of a server: from files, which may be replaced while it runs."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
import structlog

from feature_service.errors import FeatureError

Made = TypeVar("Made")

log = structlog.get_logger(__name__)


class TlsError(FeatureError):
    """TLS files that a server cannot use."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM. With client authorities, only clients with a certificate from one of them are let in."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def credentials(self) -> grpc.ServerCredentials:
        """Of what the files hold whenever a client connects. Raises: TlsError."""
        replacing = _Replacing[Any](self, lambda pems, _: pems.configuration())
        changed: Any = replacing.changed  # None where nothing did, which the types do not know
        credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            replacing.made, changed, require_client_authentication=self.client_ca is not None
        )
        return credentials

    def context(self) -> ssl.SSLContext:
        """For asyncio's servers; likewise. Raises: TlsError."""
        context = _ReplacingContext(ssl.PROTOCOL_TLS_SERVER)
        context.replacing = _Replacing(self, lambda _, checked: checked)
        return context


def tls_files(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    """None where no file is given: plain text. Raises: TlsError for a part of them."""
    if certificate is None:
        if key is not None or client_ca is not None:
            raise TlsError("TLS needs FRAUD_TLS_CERTIFICATE_FILE beside the key or the client authorities")
        return None
    if key is None:
        raise TlsError("TLS needs FRAUD_TLS_KEY_FILE beside the certificate")
    return TlsFiles(certificate, key, client_ca)


@dataclass(frozen=True, slots=True)
class _Pems:
    certificate: bytes
    key: bytes
    client_ca: bytes | None

    def configuration(self) -> Any:
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.certificate)], root_certificates=self.client_ca
        )


class _Replacing(Generic[Made]):
    """Reads the files again for each connection, which costs little beside a handshake."""

    def __init__(self, files: TlsFiles, make: Callable[[_Pems, ssl.SSLContext], Made]) -> None:
        """`make`: from what the files hold, and a context that has loaded them. Raises: TlsError."""
        self._files = files
        self._make = make
        self._seen = self._read()
        self.made = make(self._seen, self._check())

    def changed(self) -> Made | None:
        """What is made of new files, None where nothing changed. gRPC calls this before a handshake, in its own thread.

        Files that cannot be used, such as a new certificate beside the old key, change nothing.
        """
        try:
            found = self._read()
            if found == self._seen:
                return None
            self._seen = found
            made = self._make(found, self._check())
        except TlsError as error:
            log.error("TLS stays as it was", error=str(error))
            return None
        log.info("TLS files changed", certificate=str(self._files.certificate))
        self.made = made
        return made

    def _read(self) -> _Pems:
        files = self._files
        try:
            authorities = None if files.client_ca is None else files.client_ca.read_bytes()
            return _Pems(files.certificate.read_bytes(), files.key.read_bytes(), authorities)
        except OSError as error:
            raise TlsError(f"a TLS file cannot be read: {error}") from error

    def _check(self) -> ssl.SSLContext:
        """GRPC says of files that it cannot use no more than that."""
        files = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(files.certificate, files.key, password="")
        except (ssl.SSLError, OSError) as error:
            raise TlsError(f"{files.certificate} and {files.key} are not a certificate and its key: {error}") from error
        if files.client_ca is not None:
            try:
                context.load_verify_locations(files.client_ca)
            except (ssl.SSLError, OSError) as error:
                raise TlsError(f"{files.client_ca} holds no authorities: {error}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class _ReplacingContext(ssl.SSLContext):
    """Each connection gets the context of the files as they are, so that no session of an earlier one is resumed."""

    replacing: _Replacing[ssl.SSLContext]

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """What asyncio and uvloop make a connection's TLS with."""
        self.replacing.changed()
        return self.replacing.made.wrap_bio(*arguments, **options)
