"""`python -m loadtests.measure_transport`: what a server that does nothing takes for a call, by how it takes calls.

That of grpc.aio, the project's own with gRPC's event engine, and without it as services have it; in turns, a call every
two milliseconds and 16 in flight. Medians of rounds.
"""

import os
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

import feature_service.grpc_core  # noqa: F401 - sets what is measured
from loadtests.calls import Calls, Method, Request, call_in_flight, call_on_schedule
from loadtests.context import temporary_context
from loadtests.cpu_time import CpuTimes
from loadtests.echo import EchoServer, echo_server
from loadtests.latency import Latencies, Schedule

_ECHO: Final = "/loadtests.Echo/Echo"
_REQUEST: Final = Request(bytes(300))
_RESPONSE_BYTES: Final = 1_800
_SCHEDULE: Final = Schedule(500.0, 1_000)
_IN_FLIGHT: Final = 16
_CALLS: Final = 10_000
_ROUNDS: Final = 8  # the first of which nobody counts
_CORE: Final = "GRPC_EXPERIMENTS"
_OWN_CORE: Final = os.environ[_CORE]  # as `feature_service.grpc_core` sets it
_SERVERS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "grpc.aio": ((), ""),
    "own, event engine": (("--taking",), ""),
    "own": (("--taking",), _OWN_CORE),
}


@dataclass(slots=True)
class _Rounds:
    server: EchoServer
    figures: list[tuple[float, ...]] = field(default_factory=list)

    def run(self) -> None:
        method = Method(self.server.address, _ECHO)
        figures: list[float] = []
        for in_flight in (False, True):
            cpu, changes = CpuTimes({"server": self.server.pid}), _thread_changes(self.server.pid)
            calls = _in_flight(method) if in_flight else _on_schedule(method)
            count = len(calls.statuses)
            figures += cpu.us_for_each(count).values()
            figures.append((_thread_changes(self.server.pid) - changes) / count)
            figures.append(count / calls.seconds if in_flight else Latencies.of(calls.latencies_s).p50_ms)
        self.figures.append(tuple(figures))


def main() -> None:
    console = Console()
    with temporary_context("transport", Console(force_terminal=False), quick=True) as context, ExitStack() as stack:
        rounds: dict[str, _Rounds] = {}
        for name, (options, core) in _SERVERS.items():
            folder = f"echo-{len(rounds)}"
            server = echo_server(
                context, folder, *options, method=_ECHO, response_bytes=_RESPONSE_BYTES, environment={_CORE: core}
            )
            rounds[name] = _Rounds(stack.enter_context(server))
        for _ in range(_ROUNDS):
            for each in rounds.values():
                each.run()
    table = Table(
        "server", "500/s: µs a call", "changes of threads", "p50 ms", "16 in flight: µs a call", "changes", "/s"
    )
    for name, each in rounds.items():
        medians = [statistics.median(column) for column in zip(*each.figures[1:], strict=True)]
        formats = ("{:,.0f}", "{:.1f}", "{:.2f}", "{:,.0f}", "{:.1f}", "{:,.0f}")
        table.add_row(name, *(text.format(median) for text, median in zip(formats, medians, strict=True)))
    console.print(table)


def _on_schedule(method: Method) -> Calls:
    return call_on_schedule(method, [_REQUEST] * _SCHEDULE.count, _SCHEDULE)


def _in_flight(method: Method) -> Calls:
    return call_in_flight(method, [_REQUEST] * _CALLS, in_flight=_IN_FLIGHT, seconds=60)


def _thread_changes(pid: int) -> int:
    """How often a processor was given to one of a process's threads anew; see proc(5)."""
    statuses = Path(f"/proc/{pid}/task").glob("*/status")
    lines = (line for status in statuses for line in status.read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if "voluntary_ctxt_switches" in line)


if __name__ == "__main__":
    main()
