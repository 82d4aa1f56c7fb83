"""Unary gRPC calls of bytes, on a schedule or as many at a time as are wanted, timed by the client."""

import gc
import heapq
import select
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Barrier
from typing import Final, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

from loadtests.connection import Connection
from loadtests.figures import BenchError
from loadtests.http2 import Answer, framed, packed, unpacked
from loadtests.latency import Schedule

_ANSWER_TIMEOUT_S: Final = 60.0
_OK: Final = grpc.StatusCode.OK
_UNAVAILABLE: Final = grpc.StatusCode.UNAVAILABLE
_STATUSES: Final[Mapping[int, grpc.StatusCode]] = {status.value[0]: status for status in grpc.StatusCode}
_LISTENED_AFTER_S: Final = 0.001  # where calls are made one after the other, since they are late
_RETRY_HINT: Final = "grpc-retry-pushback-ms"


class Method(NamedTuple):
    """What is called, and over how many connections in turn: each goes to one of the processes that share a port."""

    address: str
    path: str  # /package.Service/Method
    connections: int = 1

    def headers(self, metadata: tuple[tuple[str, str], ...], timeout_s: float | None) -> bytes:
        """Packed."""
        timeout = () if timeout_s is None else (("grpc-timeout", f"{round(timeout_s * 1e6)}u"),)
        return packed(
            (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", self.path),
                (":authority", self.address),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                *timeout,
                *metadata,
            )
        )


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


def call_on_schedule(
    method: Method, requests: Sequence[Request], schedule: Schedule, *, together: Barrier | None = None
) -> Calls:
    """Each request when it is due, whatever became of those before: latencies are counted from then.

    `together`: waited at before the first, where several threads call: what one of them prepares delays the others.

    Raises: OSError where nobody listens; BenchError where calls without a deadline are not answered. Likewise below.
    """
    with closing(_Sent(method, requests)) as sent, _uncollected():
        if together is not None:
            together.wait()
        due = schedule.run(sent.make, now=time.monotonic, sleep=sent.listen)
        return sent.finish(started_s=due)


def call_in_flight(method: Method, requests: Sequence[Request], *, in_flight: int, seconds: float) -> Calls:
    """As fast as answers come, `in_flight` at a time, until the time or the requests are used up."""
    with closing(_Sent(method, requests)) as sent, _uncollected():
        begun_s = time.monotonic()
        for number in range(len(requests)):
            while sent.open >= in_flight:
                sent.listen_once(_ANSWER_TIMEOUT_S)
            if time.monotonic() - begun_s > seconds:
                break
            sent.make(number)
        return sent.finish(started_s=None)


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
    """Calls on their way, and what came back. Headers are packed before the first of them, and read after the last."""

    def __init__(self, method: Method, requests: Sequence[Request]) -> None:
        """Raises: OSError where nobody listens."""
        headers = cache(method.headers)
        self._headers = [headers(request.metadata, request.timeout_s) for request in requests]
        self._messages = [framed(request.body) for request in requests]
        self._timeouts_s = [request.timeout_s for request in requests]
        self._sent_s = np.full(len(requests), np.nan)
        self._ended_s = np.full(len(requests), np.nan)
        self._outcomes: dict[int, Answer | grpc.StatusCode] = {}
        self._deadlines: list[tuple[float, int, Connection, int]] = []  # a heap; with the call's number, and its stream
        self._address = method.address
        self._opened = [Connection(method.address) for _ in range(method.connections)]
        self._in_turn = deque(self._opened)
        self._made = 0
        self._listened_s = 0.0

    @property
    def open(self) -> int:
        return self._made - len(self._outcomes)

    def make(self, number: int) -> None:
        """It is sent with the next look for answers, together with others. Numbers come in order, from 0."""
        self._made += 1
        now_s = self._sent_s[number] = time.monotonic()
        try:
            connection = self._next()
        except OSError:
            self._end(number, _UNAVAILABLE, now_s)
            return
        stream = connection.call(number, self._headers[number], self._messages[number])
        timeout_s = self._timeouts_s[number]
        if timeout_s is not None:
            heapq.heappush(self._deadlines, (now_s + timeout_s, number, connection, stream))
        if now_s - self._listened_s > _LISTENED_AFTER_S:
            self.listen_once(0)

    def listen(self, seconds: float) -> None:
        """So long."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self.listen_once(left_s)

    def listen_once(self, seconds: float) -> None:
        """Until something can be read or sent, or a call's time is over, and no longer than that."""
        if self._deadlines:
            seconds = max(0.0, min(seconds, self._deadlines[0][0] - time.monotonic()))
        for each in self._opened:
            each.flush()
        connections = [each for each in self._opened if not each.is_over]
        unsent = [each for each in connections if each.has_unsent]
        readable, _, _ = select.select(connections, unsent, (), seconds)
        now_s = self._listened_s = time.monotonic()
        for each in readable:
            for number, answer in each.receive():
                self._end(number, answer, now_s)
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, number, connection, stream = heapq.heappop(self._deadlines)
            if connection.cancel(stream):
                self._end(number, grpc.StatusCode.DEADLINE_EXCEEDED, now_s)

    def finish(self, *, started_s: NDArray[np.float64] | None) -> Calls:
        """`started_s`: None where it is when each was sent."""
        until_s = time.monotonic() + _ANSWER_TIMEOUT_S
        while self.open:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise BenchError(f"{self.open} calls were not answered within {_ANSWER_TIMEOUT_S} s")
            self.listen_once(left_s)
        ends = [_end(outcome) for outcome in (self._outcomes[number] for number in range(self._made))]
        sent_s = self._sent_s[: self._made]
        return Calls(
            started_s=sent_s if started_s is None else started_s,
            sent_s=sent_s,
            ended_s=self._ended_s[: self._made],
            statuses=[end.status for end in ends],
            responses=[end.response for end in ends if end.status is _OK],
            retry_hints=sum(end.is_hinted for end in ends),
        )

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def _next(self) -> Connection:
        """Another in the place of one that takes no more calls. Raises: OSError."""
        if self._in_turn[0].is_closing:
            self._in_turn[0] = Connection(self._address)
            self._opened.append(self._in_turn[0])
        self._in_turn.rotate(-1)
        return self._in_turn[-1]

    def _end(self, number: int, outcome: Answer | grpc.StatusCode, now_s: float) -> None:
        self._ended_s[number] = now_s
        self._outcomes[number] = outcome


class _End(NamedTuple):
    status: grpc.StatusCode
    response: bytes = b""
    is_hinted: bool = False


def _end(outcome: Answer | grpc.StatusCode) -> _End:
    if isinstance(outcome, grpc.StatusCode):
        return _End(outcome)
    if outcome.trailers is None:
        return _End(_UNAVAILABLE)
    status, is_hinted = _read_trailers(outcome.trailers)
    return _End(status, outcome.message, is_hinted)


@cache
def _read_trailers(trailers: bytes) -> tuple[grpc.StatusCode, bool]:
    """The status, and whether they say when to come again."""
    found = unpacked(trailers)
    return _STATUSES[int(found["grpc-status"])], _RETRY_HINT in found
