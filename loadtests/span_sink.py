"""Takes spans by OTLP over gRPC and throws them away: a process of its own, so that exporting costs what it costs.

`python -m loadtests.span_sink ADDRESS COUNT_FILE` writes how many exports and bytes it got when it is told to stop.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import grpc

from feature_service.grpc_server import until_told_to_stop

_SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
_ACCEPTED: Final = b""  # an ExportTraceServiceResponse without complaints


async def serve(address: str) -> dict[str, int]:
    """What it got until it was told to stop."""
    got = {"exports": 0, "bytes": 0}

    async def export(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - what gRPC calls it with
        got["exports"] += 1
        got["bytes"] += len(request)
        return _ACCEPTED

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    server.add_insecure_port(address)
    await server.start()
    await until_told_to_stop()
    await server.stop(None)
    return got


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(asyncio.run(serve(sys.argv[1]))))
