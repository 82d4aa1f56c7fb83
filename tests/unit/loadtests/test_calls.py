import subprocess
import sys
import time
from collections.abc import Iterator

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
