"""The client library's own clients of what a Redis URL names: tests look with them at what was written."""

from typing import cast

import redis

from feature_service.stores.cluster_url import ClusterUrl


def client_of(url: str) -> redis.Redis:
    """Of one server or of a cluster: the commands that the tests use are the same."""
    if not ClusterUrl.matches(url):
        return redis.Redis.from_url(url)
    cluster = ClusterUrl.parse(url)
    return cast("redis.Redis", redis.RedisCluster.from_url(cluster.of(cluster.seeds[0])))
