"""A refused call as gRPC tells it."""

from typing import Final, NoReturn, Protocol

import grpc

from feature_service.refusal import CallRefusedError

# gRPC clients with a retry policy wait as long as this trailer says.
_RETRY_HINT: Final = "grpc-retry-pushback-ms"


class Context(Protocol):
    """What is used of grpc.aio.ServicerContext."""

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, str], ...]) -> None: ...

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


async def abort(context: Context, refused: CallRefusedError) -> NoReturn:
    """Ends the call."""
    if refused.retry_ms:
        context.set_trailing_metadata(((_RETRY_HINT, str(refused.retry_ms)),))
    await context.abort(grpc.StatusCode[refused.status], str(refused))
