"""`python -m loadtests.measure_rest`: what a `Score` costs a scorer by gRPC, by REST with bytes, and by REST with JSON.

One scorer, the three ways in turns; its processor time for a call is compared within each round.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import aiohttp
import grpc
from fraud.v1.scoring_pb2 import ScoreRequest
from fraud.v1.transaction_pb2 import Transaction
from google.protobuf import json_format
from rich.console import Console

from feature_service.rest.forms import JSON, PROTOBUF, Form
from fraudctl.cluster.ports import HOST, free_port
from loadtests.context import temporary_context
from loadtests.cpu_time import CpuTimes, process_ids
from loadtests.scoring import payments_now, running_scorer, scoring_input
from scorer.servicer import SERVICE

_ROUNDS: Final = 9  # the first of which nobody counts
_CALLS: Final = 1_000
_IN_FLIGHT: Final = 16
_DEADLINE_MS: Final = 5_000  # far past what a call takes, so that all do the same work

Way = Callable[[ScoreRequest], Awaitable[None]]


def main() -> None:
    console = Console()
    with temporary_context("rest", console, quick=True) as context:
        given = scoring_input(context)
        rest = f"{HOST}:{free_port()}"
        environment = {"FRAUD_SCORER_REST_BIND": rest}
        with running_scorer(context, "scorer", context.make_topics("rest"), given.bundle, environment) as (
            process,
            address,
        ):
            context.say("asking")
            payments = iter(payments_now(given, 3 * _ROUNDS * _CALLS, prefix="rest"))
            pids = process_ids({"scorer": process})
            took_us = asyncio.run(_measure(address, f"http://{rest}", payments, pids))
    by_grpc, *others = took_us.items()
    for name, times_us in (by_grpc, *others):
        ratios = [time_us / of_grpc for time_us, of_grpc in zip(times_us, by_grpc[1], strict=True)]
        console.print(
            f"{name}: {statistics.median(times_us):,.0f} µs of the scorer's processor a call, "
            f"{statistics.median(ratios):.2f} of gRPC's (median of {len(times_us)} rounds)",
            soft_wrap=True,
        )


async def _measure(
    address: str, url: str, payments: Iterator[Transaction], pids: dict[str, int]
) -> dict[str, list[float]]:
    """Microseconds of processor time a call, by way and round."""
    async with grpc.aio.insecure_channel(address) as channel, aiohttp.ClientSession(url) as session:
        ways = {
            "gRPC": _by_grpc(channel),
            "REST, bytes": _by_rest(session, PROTOBUF),
            "REST, JSON": _by_rest(session, JSON),
        }
        took_us: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(_ROUNDS):
            for name, way in ways.items():
                requests = [ScoreRequest(transaction=next(payments)) for _ in range(_CALLS)]
                clock = CpuTimes(pids)
                await _ask(way, requests)
                if number:
                    took_us[name] += clock.us_each(_CALLS, of="call").values()
    return took_us


async def _ask(way: Way, requests: Sequence[ScoreRequest]) -> None:
    waiting = iter(requests)

    async def one_after_another() -> None:
        for request in waiting:
            await way(request)

    await asyncio.gather(*(one_after_another() for _ in range(_IN_FLIGHT)))


def _by_grpc(channel: grpc.aio.Channel) -> Way:
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Score")

    async def call(request: ScoreRequest) -> None:
        await method(request.SerializeToString(), timeout=_DEADLINE_MS / 1_000)

    return call


def _by_rest(session: aiohttp.ClientSession, form: Form) -> Way:
    headers = {"Content-Type": form, "X-Deadline-Ms": str(_DEADLINE_MS)}

    async def call(request: ScoreRequest) -> None:
        body = request.SerializeToString() if form == PROTOBUF else json_format.MessageToJson(request).encode()
        async with session.post("/v1/score", data=body, headers=headers) as response:
            response.raise_for_status()
            await response.read()

    return call


if __name__ == "__main__":
    main()
