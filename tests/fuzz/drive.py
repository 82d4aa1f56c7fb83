"""Many odd calls to a real server, and what became of each."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from tests.fuzz.cases import Case

_ANSWER: Final = "an answer"
_SHOWN_BYTES: Final = 200


@dataclass(slots=True)
class Outcome:
    ends: Counter[str] = field(default_factory=Counter)  # how calls ended
    kinds: Counter[str] = field(default_factory=Counter)  # what they were
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        return self.ends.total()

    def __str__(self) -> str:
        ends = ", ".join(f"{count:,} {end}" for end, count in self.ends.most_common())
        return f"{self.calls:,} calls of {len(self.kinds)} kinds in {self.seconds:.0f} s: {ends}"


async def drive(
    address: str,
    method: str,
    given: Iterable[Case],
    *,
    in_flight: int,
    most_bytes: int,
    allowed: frozenset[grpc.StatusCode] = frozenset(),
) -> Outcome:
    """`allowed`: ends of a call besides an answer and INVALID_ARGUMENT.

    A call in a hurry may run out of time, or be told at once that it would, and one of more than `most_bytes` exhausts
    resources.
    """
    outcome = Outcome()
    begun_s = time.monotonic()
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call: Any = channel.unary_unary(method)
        rest = iter(given)

        async def send() -> None:
            for case in rest:
                end = await _end_of(call, case)
                outcome.kinds[case.kind] += 1
                outcome.ends[_ANSWER if end is None else end.name] += 1
                if not _is_allowed(case, end, allowed, most_bytes):
                    shown = case.body[:_SHOWN_BYTES].hex()
                    outcome.violations.append(f"case {case.number} ({case.kind}) ended with {end}: {shown}")

        await asyncio.gather(*(send() for _ in range(in_flight)))
    outcome.seconds = time.monotonic() - begun_s
    return outcome


async def _end_of(call: Any, case: Case) -> grpc.StatusCode | None:
    try:
        await call(case.body, timeout=case.timeout_s, metadata=case.metadata)
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return None


def _is_allowed(case: Case, end: grpc.StatusCode | None, allowed: frozenset[grpc.StatusCode], most_bytes: int) -> bool:
    if end is None or end is grpc.StatusCode.INVALID_ARGUMENT or end in allowed:
        return True
    if end is grpc.StatusCode.RESOURCE_EXHAUSTED and len(case.body) > most_bytes:
        return True
    return case.in_a_hurry and end in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
