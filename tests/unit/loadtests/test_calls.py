import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from fraudctl.cluster.ports import HOST, free_port
from loadtests.calls import Request, call_in_flight, call_on_schedule, method_at
from loadtests.latency import Schedule

METHOD = "/loadtests.Echo/Echo"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    address = f"{HOST}:{free_port()}"
    command = [sys.executable, "-m", "loadtests.baselines.echo_server", address, METHOD, "7"]
    with subprocess.Popen(command) as server, grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        yield address
        server.terminate()


def test_scheduled_calls_are_all_made_and_answered_in_order(address: str) -> None:
    with method_at(address, METHOD) as echo:
        begun_s = time.monotonic()
        calls = call_on_schedule(echo, [Request(b"x", (("key", "value"),))] * 50, Schedule(500, 50))
    assert calls.responses == [bytes(7)] * 50
    assert not calls.refusals
    assert calls.latencies_s.shape == (50,)
    assert (calls.latencies_s > 0).all()
    assert 49 / 500 <= calls.seconds <= time.monotonic() - begun_s


def test_calls_in_flight_stop_when_the_requests_are_used_up(address: str) -> None:
    with method_at(address, METHOD) as echo:
        calls = call_in_flight(echo, [Request(b"x", (("key", "value"),))] * 100, in_flight=4, seconds=60)
    assert len(calls.responses) == calls.latencies_s.shape[0] == 100


def test_calls_in_flight_stop_when_the_time_is_over(address: str) -> None:
    with method_at(address, METHOD) as echo:
        calls = call_in_flight(echo, [Request(b"x", (("key", "value"),))] * 1_000_000, in_flight=4, seconds=0.2)
    assert 0 < len(calls.responses) < 1_000_000


def test_refusals_are_counted_by_status_and_timed(address: str) -> None:
    with method_at(address, "/loadtests.Echo/Other") as other:
        calls = call_on_schedule(other, [Request(b"x", (("key", "value"),))] * 3, Schedule(500, 3))
    assert calls.refusals == {"UNIMPLEMENTED": 3}
    assert not calls.responses
    assert (calls.latencies_s > 0).all()


def test_a_call_without_an_answer_ends_with_its_own_deadline() -> None:
    with silent_server() as silent, method_at(silent, METHOD) as echo:
        calls = call_on_schedule(echo, [Request(b"x", timeout_s=0.1), Request(b"x", timeout_s=0.2)], Schedule(500, 2))
    assert calls.refusals == {"DEADLINE_EXCEEDED": 2}
    assert not calls.succeeded.any()
    assert (calls.latencies_s >= (0.1, 0.2)).all()


def test_refusals_with_a_hint_when_to_come_again_are_counted() -> None:
    with refusing_server((("grpc-retry-pushback-ms", "20"),)) as hinting, method_at(hinting, METHOD) as echo:
        hinted = call_on_schedule(echo, [Request(b"x")] * 3, Schedule(500, 3))
    with refusing_server(()) as curt, method_at(curt, METHOD) as echo:
        unhinted = call_on_schedule(echo, [Request(b"x")] * 3, Schedule(500, 3))
    assert hinted.refusals == unhinted.refusals == {"RESOURCE_EXHAUSTED": 3}
    assert (hinted.retry_hints, unhinted.retry_hints) == (3, 0)


def test_calls_are_never_sent_before_they_are_due(address: str) -> None:
    with method_at(address, METHOD) as echo:
        calls = call_on_schedule(echo, [Request(b"x")] * 20, Schedule(500, 20))
    assert (calls.started_s <= calls.sent_s).all()
    assert (calls.sent_s < calls.ended_s).all()


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as listening:
        yield f"{HOST}:{listening.getsockname()[1]}"


@contextmanager
def refusing_server(trailers: tuple[tuple[str, str], ...]) -> Iterator[str]:
    def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(trailers)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "on purpose")

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    service, _, name = METHOD.removeprefix("/").partition("/")
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {name: grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield f"{HOST}:{port}"
    finally:
        server.stop(None).wait()
