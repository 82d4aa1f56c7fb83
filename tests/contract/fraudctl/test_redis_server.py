"""Redis keeps what was written through a kill, functions too, and refuses rather than evicts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from fraudctl.cluster.errors import ProgramMissingError
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer

LIBRARY = "#!lua name=one_v1\nredis.register_function('one_v1', function() return 1 end)"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, port=free_port())
    server.start()
    yield server
    server.stop()


def test_what_was_written_survives_a_kill(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("appendfsync", "always")  # else a sync under way may hold back the last of it for 2 s
        client.append("history", b"a record")
        client.function_load(LIBRARY)
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("history") == b"a record"
        assert client.fcall("one_v1", 0) == 1


def test_it_is_ready_only_when_its_file_is_loaded(own_redis: RedisServer) -> None:
    parts, keys = 10, 50_000
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("appendfsync", "always")  # else a sync under way may hold back the last of it for 2 s
        for part in range(parts):
            client.eval(f"for key = 1, {keys} do redis.call('SET', '{part}:' .. key, 'a history') end", 0)
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.dbsize() == parts * keys


def test_it_is_set_up_as_the_state_needs_it(redis_client: redis.Redis) -> None:
    settings = redis_client.config_get("maxmemory-policy", "append*")
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"


@pytest.mark.parametrize("value", [b"first", b"second"])
def test_each_test_gets_an_empty_server(redis_client: redis.Redis, value: bytes) -> None:
    assert redis_client.dbsize() == 0
    assert redis_client.function_list() == []
    redis_client.set("left behind", value)
    redis_client.function_load(LIBRARY)


def test_a_missing_redis_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissingError, match="apt-get install -y redis-server"):
        RedisServer(tmp_path, port=free_port()).start()


def test_a_redis_that_is_too_old_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.0.16 sha=00000000:0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(ProgramMissingError, match=r"6\.0\.16.*7 or newer"):
        RedisServer(tmp_path, port=free_port()).start()
