"""How calls to the gRPC servers are protected, and whose they are: from files, which may be replaced at any time."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from feature_service.client_settings import ClientSettings
from feature_service.errors import FeatureError
from feature_service.loopback import is_loopback


class ClientIdentityError(FeatureError):
    """Files that a client cannot use; the message names them and never their content."""


@dataclass(frozen=True, slots=True)
class _Content:
    ca: bytes | None
    certificate: bytes | None
    key: bytes | None
    token: str | None


class ClientIdentity:
    def __init__(self, settings: ClientSettings, address: str) -> None:
        """Raises: ClientIdentityError, also where a token would travel to `address` in plain text."""
        if settings.token_file is not None and settings.ca_file is None and not is_loopback(address):
            raise ClientIdentityError(
                f"FRAUD_CLIENT_TOKEN_FILE needs FRAUD_CLIENT_CA_FILE: to {address} the token would travel in plain text"
            )
        self._settings = settings
        self._content = self._read()

    def refresh(self) -> bool:
        """Read the files again: whether anything has changed. What cannot be read stays as it was."""
        try:
            content = self._read()
        except ClientIdentityError:
            return False
        changed = content != self._content
        self._content = content
        return changed

    @property
    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """None: plain text."""
        content = self._content
        if content.ca is None:
            return None
        return grpc.ssl_channel_credentials(content.ca, content.key, content.certificate)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Goes with each call."""
        token = self._content.token
        return () if token is None else (("authorization", f"Bearer {token}"),)

    def _read(self) -> _Content:
        settings = self._settings
        return _Content(
            _bytes(settings.ca_file),
            _bytes(settings.certificate_file),
            _bytes(settings.key_file),
            None if settings.token_file is None else _token(settings.token_file),
        )


def _bytes(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientIdentityError(f"{path}: cannot be read: {error.strerror}") from error


def _token(path: Path) -> str:
    token = (_bytes(path) or b"").strip()
    # What a header can carry: gRPC's own refusal would show it.
    if not token or not all(0x21 <= byte <= 0x7E for byte in token):
        raise ClientIdentityError(f"{path}: not one word of printable ASCII")
    return token.decode("ascii")
