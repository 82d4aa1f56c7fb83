"""Calls to the cluster's gRPC services, with their refusals in words."""
# ruff: noqa: PLC0415  -- commands import this module, and must not import what it needs before it is used

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fraudctl.errors import UserError
from fraudctl.local import use_local_environment

if TYPE_CHECKING:
    import grpc

    from feature_service.client_identity import ClientIdentity

_TIMEOUT_S = 5.0


@contextmanager
def channel(address_variable: str) -> "Iterator[tuple[grpc.Channel, str]]":
    """A channel to the service whose address that environment variable gives, and the address."""
    import grpc

    use_local_environment()
    address = os.environ[address_variable]
    credentials = _identity(address).channel_credentials
    with (
        grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    ) as connection:
        yield connection, address


def call(method: Callable[..., Any], request: Any, address: str, *, refusals: "Sequence[grpc.StatusCode]" = ()) -> Any:
    """The answer. Raises UserError where the service cannot be reached, or refuses the caller or the input."""
    import grpc

    try:
        return method(request, timeout=_TIMEOUT_S, metadata=_identity(address).metadata)
    except grpc.RpcError as error:
        code, detail = error.code(), error.details()
        if code is grpc.StatusCode.UNAVAILABLE:
            raise UserError(
                f"nothing answers at {address}: start the local cluster with `fraudctl up`, "
                "or see to FRAUD_CLIENT_* where the server asks for TLS"
            ) from error
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise UserError(f"{address}: {detail}: see to FRAUD_CLIENT_*") from error
        if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS, *refusals):
            raise UserError(str(detail)) from error
        raise


def _identity(address: str) -> "ClientIdentity":
    from pydantic import ValidationError

    from feature_service.client_identity import ClientIdentity
    from feature_service.client_settings import ClientSettings

    try:
        return ClientIdentity(ClientSettings(), address)
    except ValidationError as error:
        raise UserError(error.errors()[0]["msg"]) from error
