"""What gRPC's core is told reaches it, and means something to it."""

import os
import subprocess
import sys

import pytest

IMPORTED = "import sys, {module}.__main__; print([*sys.modules])"
SERVING = """
import asyncio
import feature_service.grpc_core
import grpc

async def serve():
    server = grpc.aio.server()
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await server.stop(None)

asyncio.run(serve())
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("module", ["scorer", "feature_service"])
def test_services_say_it_before_grpc_is_loaded(module: str) -> None:
    loaded = run(IMPORTED.format(module=module)).stdout

    assert 0 <= loaded.find("'feature_service.grpc_core'") < loaded.find("'grpc'")


def test_grpc_knows_what_it_is_told() -> None:
    assert "Unknown experiment" in run(SERVING, GRPC_EXPERIMENTS="-no_such_thing").stderr
    assert "Unknown experiment" not in run(SERVING).stderr
