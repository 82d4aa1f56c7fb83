"""Unary gRPC calls of bytes, on a schedule or as many at a time as are wanted, timed by the client."""

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

from loadtests.figures import BenchError
from loadtests.latency import Schedule

_ANSWER_TIMEOUT_S: Final = 60.0
_OK: Final = grpc.StatusCode.OK
_REFUSALS: Final = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
_RETRY_HINT: Final = "grpc-retry-pushback-ms"
_OPTIONS: Final = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Request(NamedTuple):
    body: bytes
    metadata: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None  # the caller's deadline, counted from when it is sent


@dataclass(frozen=True, slots=True)
class Calls:
    """n calls, in the order they were made. A refused call has no response, and counts as any other in latencies."""

    started_s: NDArray[np.float64]  # (n,) monotonic: when each was due, or made where there is no schedule
    sent_s: NDArray[np.float64]  # (n,) when this process came to it
    ended_s: NDArray[np.float64]  # (n,)
    statuses: Sequence[grpc.StatusCode]  # (n,)
    responses: Sequence[bytes]  # of those that succeeded
    retry_hints: int  # refusals that say when to come again

    @property
    def latencies_s(self) -> NDArray[np.float64]:
        """(n,)"""
        return self.ended_s - self.started_s

    @property
    def seconds(self) -> float:
        """From the first call to the last answer."""
        return float(self.ended_s.max() - self.started_s[0])

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """(n,)"""
        return np.array([status is _OK for status in self.statuses])

    @property
    def refusals(self) -> Counter[str]:
        """By status."""
        return Counter(status.name for status in self.statuses if status is not _OK)


@contextmanager
def method_at(address: str, method: str) -> Iterator[Any]:
    """`/package.Service/Method` as a callable of bytes with `future`."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        yield channel.unary_unary(method)


@contextmanager
def method_over(address: str, method: str, *, connections: int) -> Iterator[Any]:
    """Likewise, over as many connections in turn: each goes to one of the processes that share a port."""
    options = [*_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(address, options=options)) for _ in range(connections)]
        yield _InTurn([channel.unary_unary(method) for channel in channels])


class _InTurn:
    def __init__(self, methods: Sequence[Any]) -> None:
        self._methods = cycle(methods)

    def future(self, body: bytes, **options: Any) -> Any:
        return next(self._methods).future(body, **options)


def call_on_schedule(method: Any, requests: Sequence[Request], schedule: Schedule) -> Calls:
    """Each request when it is due, whatever became of those before: latencies are counted from then.

    In a thread, since an event loop's timers are a millisecond late on average.
    """
    sent = _Sent(len(requests))
    with _uncollected():
        due = schedule.run(
            lambda number: sent.make(number, method, requests[number]), now=time.monotonic, sleep=time.sleep
        )
        return sent.finish(started_s=due)


def call_in_flight(method: Any, requests: Sequence[Request], *, in_flight: int, seconds: float) -> Calls:
    """As fast as answers come, `in_flight` at a time, until the time or the requests are used up."""
    sent = _Sent(len(requests))
    room = threading.Semaphore(in_flight)
    with _uncollected():
        begun_s = time.monotonic()
        started: list[float] = []
        for number, request in enumerate(requests):
            room.acquire()
            now_s = time.monotonic()
            if now_s - begun_s > seconds:
                break
            started.append(now_s)
            sent.make(number, method, request, room)
        return sent.finish(started_s=np.array(started))


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
        self._sent_s = np.full(most, np.nan)
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
        self._sent_s[number] = time.monotonic()
        call = method.future(request.body, metadata=request.metadata, timeout=request.timeout_s)
        call.add_done_callback(ended)
        self._calls.append(call)

    def finish(self, *, started_s: NDArray[np.float64]) -> Calls:
        with self._all_ended:
            if not self._all_ended.wait_for(lambda: self._open == 0, _ANSWER_TIMEOUT_S):
                raise BenchError(f"{self._open} calls were not answered within {_ANSWER_TIMEOUT_S} s")
        made = len(self._calls)
        statuses = [call.code() for call in self._calls]
        refused = [call for call, status in zip(self._calls, statuses, strict=True) if status in _REFUSALS]
        return Calls(
            started_s=started_s,
            sent_s=self._sent_s[:made],
            ended_s=self._ended_s[:made],
            statuses=statuses,
            responses=[
                call.result()
                for call, status in zip(self._calls, statuses, strict=True)
                if status is grpc.StatusCode.OK
            ],
            retry_hints=sum(_RETRY_HINT in dict(call.trailing_metadata()) for call in refused),
        )
