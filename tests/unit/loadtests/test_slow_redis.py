"""The proxy in front of a real Redis: what passes through it, how late, and how much is counted."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from loadtests.slow_redis import SlowRedis

HOLD_MS = 50.0


@pytest.fixture(scope="module")
def proxy(redis_url: str) -> Iterator[SlowRedis]:
    port = redis_url.rpartition(":")[2].partition("/")[0]
    with SlowRedis(int(port)) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: SlowRedis, redis_client: redis.Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(proxy.url) as client:
        client.ping()
        yield client
    proxy.hold_back(0.0)


def test_answers_come_as_they_are_and_in_order(client: redis.Redis) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(500):
        pipeline.set(f"key-{number}", bytes([number % 256]) * 10_000)
        pipeline.get(f"key-{number}")
    assert pipeline.execute()[1::2] == [bytes([number % 256]) * 10_000 for number in range(500)]


def test_what_is_held_back_comes_that_much_later(client: redis.Redis, proxy: SlowRedis) -> None:
    proxy.hold_back(HOLD_MS)
    begun_s = time.monotonic()
    for _ in range(3):
        client.ping()
    assert time.monotonic() - begun_s >= 3 * (HOLD_MS - 1) / 1_000  # its timers count whole milliseconds


def test_an_answer_held_for_less_does_not_overtake(client: redis.Redis, proxy: SlowRedis) -> None:
    connection: Any = client.connection_pool.get_connection()
    proxy.hold_back(HOLD_MS)
    passed = proxy.commands
    connection.send_command("ECHO", "first")
    while proxy.commands == passed:
        time.sleep(0.001)
    time.sleep(HOLD_MS / 5_000)  # Redis has answered by now, or the test shows less than it could
    proxy.hold_back(0.0)
    connection.send_command("ECHO", "second")
    assert [connection.read_response(), connection.read_response()] == [b"first", b"second"]
    client.connection_pool.release(connection)


def test_whole_commands_answers_and_connections_are_counted(client: redis.Redis, proxy: SlowRedis) -> None:
    before = (proxy.connections, proxy.commands, proxy.answers)
    for _ in range(7):
        client.echo("x" * 100_000)  # in many pieces
    after = (proxy.connections, proxy.commands, proxy.answers)
    assert tuple(new - old for old, new in zip(before, after, strict=True)) == (0, 7, 7)


def test_while_it_is_stopped_connections_are_refused(proxy: SlowRedis, client: redis.Redis) -> None:
    proxy.stop()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    proxy.start()
    assert client.ping()


def test_a_connection_to_a_server_that_is_away_is_closed() -> None:
    with SlowRedis(1) as proxy, redis.Redis.from_url(proxy.url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
