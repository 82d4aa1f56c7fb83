"""A gRPC server that does nothing but answer one method with the same bytes: what the transport alone costs.

`python -m loadtests.baselines.echo_server ADDRESS /package.Service/Method RESPONSE_BYTES [--taking]`, that is with the
project's way of taking calls. It also stands in for a trace backend: an answer of no bytes is an export that was
accepted. What it got it prints when it is told to stop.
"""

import asyncio
import json
import signal
import sys
from typing import Any

import grpc

from feature_service.call_taking import TakingServer


async def serve(address: str, method: str, response: bytes, *, taking: bool) -> dict[str, int]:
    """How many calls, and bytes of requests, came until SIGTERM."""
    got = {"calls": 0, "bytes": 0}

    async def answer(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - what gRPC calls it with
        got["calls"] += 1
        got["bytes"] += len(request)
        return response

    service, _, name = method.removeprefix("/").partition("/")
    server = TakingServer() if taking else grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {name: grpc.unary_unary_rpc_method_handler(answer)}
    if taking:
        server.add_registered_method_handlers(service, handlers)
    else:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(address)
    told_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_stop.set)
    await server.start()
    await told_to_stop.wait()
    await server.stop(None)
    return got


if __name__ == "__main__":
    address, method, response_bytes, *options = sys.argv[1:]
    print(json.dumps(asyncio.run(serve(address, method, bytes(int(response_bytes)), taking="--taking" in options))))
