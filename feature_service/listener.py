"""Where a gRPC server listens."""

from feature_service.call_taking import TakingServer
from feature_service.errors import FeatureError
from feature_service.tls import TlsFiles


class ListenError(FeatureError):
    """An address that cannot be had."""


def listen(server: TakingServer, bind: str, tls: TlsFiles | None) -> int:
    """The port. Raises: ListenError, TlsError."""
    try:
        if tls is None:
            return server.add_insecure_port(bind)
        return server.add_secure_port(bind, tls.credentials())
    except RuntimeError as error:
        raise ListenError(f"{bind} cannot be listened on: {error}") from error
