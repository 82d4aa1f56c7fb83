"""Unary gRPC calls of bytes, on a schedule or as many at a time as are wanted, timed by the client."""

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

from loadtests.figures import BenchError
from loadtests.latency import Schedule

_ANSWER_TIMEOUT_S: Final = 60.0
_OPTIONS: Final = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Request(NamedTuple):
    body: bytes
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Calls:
    """n calls, in the order they were made. A refused call has no response, and counts as any other in latencies."""

    latencies_s: NDArray[np.float64]  # (n,)
    responses: Sequence[bytes]  # of those that succeeded
    refusals: Counter[str]  # by status
    seconds: float  # from the first call to the last answer


@contextmanager
def method_at(address: str, method: str) -> Iterator[Any]:
    """`/package.Service/Method` as a callable of bytes with `future`."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        yield channel.unary_unary(method)


def call_on_schedule(method: Any, requests: Sequence[Request], schedule: Schedule) -> Calls:
    """Each request when it is due, whatever became of those before: latencies are counted from then.

    In a thread, since an event loop's timers are a millisecond late on average.
    """
    sent = _Sent(len(requests))
    with _uncollected():
        due = schedule.run(
            lambda number: sent.make(number, method, requests[number]), now=time.monotonic, sleep=time.sleep
        )
        return sent.finish(begun_s=float(due[0]), started_s=due)


def call_in_flight(method: Any, requests: Sequence[Request], *, in_flight: int, seconds: float) -> Calls:
    """As fast as answers come, `in_flight` at a time, until the time or the requests are used up."""
    sent = _Sent(len(requests))
    room = threading.Semaphore(in_flight)
    with _uncollected():
        begun_s = time.monotonic()
        started = []
        for number, request in enumerate(requests):
            room.acquire()
            now_s = time.monotonic()
            if now_s - begun_s > seconds:
                break
            started.append(now_s)
            sent.make(number, method, request, room)
        return sent.finish(begun_s=begun_s, started_s=np.array(started))


@contextmanager
def _uncollected() -> Iterator[None]:
    """A collection of what this process holds stops it for up to 100 ms, and would be counted as the server's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Sent:
    """Calls on their way, and what came back."""

    def __init__(self, most: int) -> None:
        self._calls: list[Any] = []
        self._ended_s = np.full(most, np.nan)
        self._open = 0
        self._all_ended = threading.Condition()

    def make(self, number: int, method: Any, request: Request, room: threading.Semaphore | None = None) -> None:
        def ended(_: object) -> None:
            self._ended_s[number] = time.monotonic()
            if room is not None:
                room.release()
            with self._all_ended:
                self._open -= 1
                self._all_ended.notify()

        with self._all_ended:
            self._open += 1
        call = method.future(request.body, metadata=request.metadata)
        call.add_done_callback(ended)
        self._calls.append(call)

    def finish(self, *, begun_s: float, started_s: NDArray[np.float64]) -> Calls:
        with self._all_ended:
            if not self._all_ended.wait_for(lambda: self._open == 0, _ANSWER_TIMEOUT_S):
                raise BenchError(f"{self._open} calls were not answered within {_ANSWER_TIMEOUT_S} s")
        codes = [call.code() for call in self._calls]
        ended_s = self._ended_s[: len(codes)]
        return Calls(
            latencies_s=ended_s - started_s,
            responses=[
                call.result() for call, code in zip(self._calls, codes, strict=True) if code is grpc.StatusCode.OK
            ],
            refusals=Counter(code.name for code in codes if code is not grpc.StatusCode.OK),
            seconds=float(ended_s.max()) - begun_s,
        )
