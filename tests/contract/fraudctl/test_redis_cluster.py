"""A Redis Cluster of processes: it serves every slot, lives through a master's death, and finds its data again."""

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from redis.exceptions import MovedError

from fraudctl.cluster.redis_cluster import MASTERS, RedisCluster

SLOT_OF_X = 16_287
FAILOVER_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_three_masters_serve_all_slots_and_each_has_a_replica(cluster: RedisCluster) -> None:
    masters = cluster.masters()
    assert len(masters) == MASTERS
    ranges = sorted((first, last) for first, last, _ in masters[0].owners())
    assert (ranges[0][0], ranges[-1][1]) == (0, 16_383)
    assert all(first == last + 1 for (_, last), (first, _) in pairwise(ranges))
    assert len({cluster.replica_of(master).port for master in masters}) == MASTERS


def test_a_killed_masters_replica_takes_over_and_it_comes_back_as_its_replica(cluster: RedisCluster) -> None:
    master = cluster.master_of(SLOT_OF_X)
    replica = cluster.replica_of(master)
    master.ask("SET", "x", "1")
    master.ask("WAIT", 1, 1_000)
    master.kill()
    deadline_s = time.monotonic() + FAILOVER_TIMEOUT_S
    while not replica.is_master:
        assert time.monotonic() < deadline_s
    cluster.start()
    assert cluster.master_of(SLOT_OF_X) is replica
    assert cluster.replica_of(replica) is master
    assert replica.ask("GET", "x") == b"1"
    with pytest.raises(MovedError):
        master.ask("GET", "x")


def test_stopped_and_started_it_is_the_same_cluster(cluster: RedisCluster) -> None:
    owner = cluster.master_of(SLOT_OF_X)
    owner.ask("SET", "x", "2")
    cluster.stop()
    assert cluster.masters() == []
    cluster.start()
    assert cluster.master_of(SLOT_OF_X).ask("GET", "x") == b"2"
