import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import grpc
import pytest

from fraudctl.cluster.ports import HOST, free_port
from loadtests.calls import Method, Request, call_in_flight, call_on_schedule
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
    echo = Method(address, METHOD)
    begun_s = time.monotonic()
    calls = call_on_schedule(echo, [Request(b"x", (("key", "value"),))] * 50, Schedule(500, 50))
    assert calls.responses == [bytes(7)] * 50
    assert not calls.refusals
    assert calls.latencies_s.shape == (50,)
    assert (calls.latencies_s > 0).all()
    assert 49 / 500 <= calls.seconds <= time.monotonic() - begun_s


def test_calls_of_several_threads_begin_together(address: str) -> None:
    echo, together = Method(address, METHOD), Barrier(2, timeout=60)
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call_on_schedule, echo, [Request(b"x")] * 3, Schedule(500, 3), together=together)
        while not together.n_waiting and not calling.done():
            time.sleep(0.001)
        begun_s = time.monotonic()
        together.wait()
        assert calling.result().started_s[0] >= begun_s


def test_calls_in_flight_stop_when_the_requests_are_used_up(address: str) -> None:
    echo = Method(address, METHOD)
    calls = call_in_flight(echo, [Request(b"x", (("key", "value"),))] * 100, in_flight=4, seconds=60)
    assert len(calls.responses) == calls.latencies_s.shape[0] == 100


def test_calls_in_flight_stop_when_the_time_is_over(address: str) -> None:
    echo = Method(address, METHOD)
    calls = call_in_flight(echo, [Request(b"x", (("key", "value"),))] * 1_000_000, in_flight=4, seconds=0.2)
    assert 0 < len(calls.responses) < 1_000_000


def test_refusals_are_counted_by_status_and_timed(address: str) -> None:
    other = Method(address, "/loadtests.Echo/Other")
    calls = call_on_schedule(other, [Request(b"x", (("key", "value"),))] * 3, Schedule(500, 3))
    assert calls.refusals == {"UNIMPLEMENTED": 3}
    assert not calls.responses
    assert (calls.latencies_s > 0).all()


def test_a_call_without_an_answer_ends_with_its_own_deadline() -> None:
    with silent_server() as silent:
        calls = call_on_schedule(
            Method(silent, METHOD), [Request(b"x", timeout_s=0.1), Request(b"x", timeout_s=0.2)], Schedule(500, 2)
        )
    assert calls.refusals == {"DEADLINE_EXCEEDED": 2}
    assert not calls.succeeded.any()
    assert (calls.latencies_s >= (0.1, 0.2)).all()


def test_refusals_with_a_hint_when_to_come_again_are_counted() -> None:
    with refusing_server((("grpc-retry-pushback-ms", "20"),)) as hinting:
        hinted = call_on_schedule(Method(hinting, METHOD), [Request(b"x")] * 3, Schedule(500, 3))
    with refusing_server(()) as curt:
        unhinted = call_on_schedule(Method(curt, METHOD), [Request(b"x")] * 3, Schedule(500, 3))
    assert hinted.refusals == unhinted.refusals == {"RESOURCE_EXHAUSTED": 3}
    assert (hinted.retry_hints, unhinted.retry_hints) == (3, 0)


def test_calls_are_never_sent_before_they_are_due(address: str) -> None:
    echo = Method(address, METHOD)
    calls = call_on_schedule(echo, [Request(b"x")] * 20, Schedule(500, 20))
    assert (calls.started_s <= calls.sent_s).all()
    assert (calls.sent_s < calls.ended_s).all()


@pytest.mark.parametrize("size", [0, 70_000, 3_000_000])
def test_messages_may_be_longer_than_a_frame_and_a_window(size: int) -> None:
    with server_of(lambda request, _: request[::-1]) as mirror:
        requests = [Request(bytes([number]) + bytes(size)) for number in range(9)]
        calls = call_in_flight(Method(mirror, METHOD), requests, in_flight=4, seconds=60)
    assert calls.responses == [request.body[::-1] for request in requests]


def test_metadata_and_deadline_reach_the_server() -> None:
    def tell(_: bytes, context: grpc.ServicerContext) -> bytes:
        remaining_s = context.time_remaining()
        [value] = [value for name, value in context.invocation_metadata() if name == "key"]
        return f"{value!s} {remaining_s is not None and remaining_s < 30}".encode()

    with server_of(tell) as telling:
        requests = [Request(b"x", (("key", "value"),), 30.0), Request(b"x", (("key", "other"),))]
        calls = call_on_schedule(Method(telling, METHOD), requests, Schedule(500, 2))
    assert calls.responses == [b"value True", b"other False"]


def test_calls_go_over_the_connections_in_turn() -> None:
    with server_of(lambda _, context: context.peer().encode()) as naming:
        calls = call_on_schedule(Method(naming, METHOD, connections=3), [Request(b"x")] * 9, Schedule(500, 9))
    assert len(set(calls.responses)) == 3
    assert [*calls.responses] == [*calls.responses[:3]] * 3


def test_a_server_that_closes_old_connections_answers_every_call() -> None:
    options = (("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 10_000))
    with server_of(lambda _, context: context.peer().encode(), options) as ageing:
        calls = call_in_flight(Method(ageing, METHOD), [Request(b"x")] * 1_000_000, in_flight=4, seconds=1)
    assert not calls.refusals
    assert len(set(calls.responses)) > 1


def test_with_the_server_calls_end() -> None:
    with socket.create_server((HOST, 0)) as listening, ThreadPoolExecutor(1) as pool:

        def stop() -> None:
            accepted, _ = listening.accept()
            listening.close()
            accepted.close()

        address = f"{HOST}:{listening.getsockname()[1]}"
        pool.submit(stop)
        calls = call_on_schedule(Method(address, METHOD), [Request(b"x")] * 3, Schedule(500, 3))
    assert calls.refusals == {"UNAVAILABLE": 3}


def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        call_on_schedule(Method(f"{HOST}:{free_port()}", METHOD), [Request(b"x")], Schedule(500, 1))


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

    with server_of(refuse) as address:
        yield address


@contextmanager
def server_of(
    answer: Callable[[bytes, grpc.ServicerContext], bytes], options: Sequence[tuple[str, int]] = ()
) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2), options=options)
    service, _, name = METHOD.removeprefix("/").partition("/")
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {name: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield f"{HOST}:{port}"
    finally:
        server.stop(None).wait()
