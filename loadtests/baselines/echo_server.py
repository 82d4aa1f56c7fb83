"""A gRPC server that does nothing: what the transport alone costs. `python -m … ADDRESS RESPONSE_BYTES`."""

import asyncio
import sys
from typing import Any, Final

import grpc

from feature_service.grpc_server import until_told_to_stop

SERVICE: Final = "loadtests.Echo"
METHOD: Final = f"/{SERVICE}/Echo"


async def serve(address: str, response: bytes) -> None:
    async def echo(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - what gRPC calls it with
        return response

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(address)
    await server.start()
    await until_told_to_stop()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], bytes(int(sys.argv[2]))))
