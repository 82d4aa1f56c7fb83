"""What is measured side by side: scorers with tracing on and off, two that share a port, and an echo server."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import Process
from loadtests.calls import Method, call_on_schedule
from loadtests.context import Context
from loadtests.cpu_time import process_ids
from loadtests.echo import echo_server
from loadtests.latency import Schedule
from loadtests.score_cluster import folded, span_sink
from loadtests.score_requests import SCORE, SCORE_BATCH, score_requests
from loadtests.scoring import ScoringInput, running_scorer

_ECHO: Final = "/loadtests.Echo/Echo"
_RESPONSE_BYTES: Final = 1_800  # of the echo server; about those of an answer
_WARM_UP: Final = Schedule(250.0, 500)
_SHARING: Final = 2
_CONNECTIONS: Final = 16  # the kernel gives each to one of the processes on the port


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Equal only to itself."""

    name: str
    score: Method
    pids: Mapping[str, int]  # of all that works for it


@dataclass(frozen=True, slots=True)
class Targets:
    """All are warm."""

    echo: Target
    traced: Target
    untraced: Target
    sharing: Target  # processes on one port, traced
    batches: Mapping[str, Method]  # ScoreBatch, by the name of its target


@contextmanager
def running_targets(context: Context, given: ScoringInput) -> Iterator[Targets]:
    with ExitStack() as stack:
        spans = stack.enter_context(span_sink(context, "bench-scorer"))
        topics = stack.enter_context(folded(context, "bench-scorer", given, context.redis))
        shared = f"{HOST}:{free_port()}"

        def scorer(name: str, environment: dict[str, str], address: str = "") -> tuple[Process, str]:
            running = running_scorer(context, name, topics, given.bundle, environment, address=address)
            return stack.enter_context(running)

        def target(name: str, score: Method, scorers: Mapping[str, Process]) -> Target:
            warm_up = score_requests(given, _WARM_UP.count, prefix=f"warm-up-{name}-".replace(" ", "-"))
            call_on_schedule(score, warm_up, _WARM_UP)
            return Target(name, score, process_ids({**scorers, "redis": context.redis, "kafka": context.kafka}))

        echo = stack.enter_context(echo_server(context, "echo", method=_ECHO, response_bytes=_RESPONSE_BYTES))
        traced, traced_at = scorer("traced", spans.environment)
        untraced, untraced_at = scorer("untraced", {"OTEL_TRACES_EXPORTER": "none"})
        sharing = {
            f"scorer-{number}": scorer(f"sharing-{number}", spans.environment, shared)[0] for number in range(_SHARING)
        }
        yield Targets(
            echo=Target("echo", Method(echo.address, _ECHO), {"echo": echo.pid}),
            traced=target("tracing on", Method(traced_at, SCORE), {"scorer": traced}),
            untraced=target("tracing off", Method(untraced_at, SCORE), {"scorer": untraced}),
            sharing=target(f"{_SHARING} processes", Method(shared, SCORE, connections=_CONNECTIONS), sharing),
            batches={
                "tracing on": Method(traced_at, SCORE_BATCH),
                "tracing off": Method(untraced_at, SCORE_BATCH),
            },
        )
