"""The client library's own clients of what a Redis URL names: tests look with them at what was written."""

from typing import cast

import redis
from redis.cluster import ClusterNode

from feature_service.stores.cluster_url import ClusterUrl


def client_of(url: str, *, timeout_s: float | None = None) -> redis.Redis:
    """Of one server or of a cluster: the commands that the tests use are the same."""
    if not ClusterUrl.matches(url):
        return redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    cluster = ClusterUrl.parse(url)
    seeds = [ClusterNode(*seed) for seed in cluster.seeds]  # type: ignore[no-untyped-call]  # redis-py leaves it out
    return cast("redis.Redis", redis.RedisCluster(startup_nodes=seeds, socket_timeout=timeout_s))
