"""`python -m loadtests.measure_client`: what the load tests' client takes of the processors, beside grpcio's.

Both call an echo server with 16 calls in flight, in turns; processor time is of this process, all threads.
"""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import grpc
from rich.console import Console

from loadtests.calls import Method, Request, call_in_flight
from loadtests.context import temporary_context
from loadtests.echo import echo_server

_ECHO: Final = "/loadtests.Echo/Echo"
_REQUEST: Final = Request(bytes(300), timeout_s=1.0)
_RESPONSE_BYTES: Final = 1_800
_CALLS: Final = 10_000  # of each round
_IN_FLIGHT: Final = 16
_ROUNDS: Final = 7  # the first of which nobody counts


def main() -> None:
    console = Console()
    with (
        # Not on a terminal: what shows there that something is being done would be measured too.
        temporary_context("client", Console(force_terminal=False), quick=True) as context,
        echo_server(context, "echo", method=_ECHO, response_bytes=_RESPONSE_BYTES) as echo,
    ):
        ways: dict[str, Callable[[], object]] = {
            "grpcio": lambda: _call_with_grpcio(echo.address),
            "the load tests' own": lambda: call_in_flight(
                Method(echo.address, _ECHO), [_REQUEST] * _CALLS, in_flight=_IN_FLIGHT, seconds=60
            ),
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(_ROUNDS):
            for name, call in ways.items():
                begun_s, used_s = time.monotonic(), time.process_time()
                call()
                took[name].append((time.monotonic() - begun_s, time.process_time() - used_s))
    for name, rounds in took.items():
        seconds, used_s = (statistics.median(each) for each in zip(*rounds[1:], strict=True))
        console.print(
            f"{name}: {1e6 * used_s / _CALLS:,.0f} µs of its processor a call, {_CALLS / seconds:,.0f} calls/s "
            f"(medians of {_ROUNDS - 1} rounds)",
            soft_wrap=True,
        )


def _call_with_grpcio(address: str) -> None:
    room = threading.Semaphore(_IN_FLIGHT)

    def ended(_: Any) -> None:
        room.release()

    with grpc.insecure_channel(address) as channel:
        echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_ECHO)
        calls = []
        for _ in range(_CALLS):
            room.acquire()
            call = echo.future(_REQUEST.body, timeout=_REQUEST.timeout_s)
            call.add_done_callback(ended)
            calls.append(call)
        for call in calls:
            call.result()


if __name__ == "__main__":
    main()
