"""Plain clients of Redis's masters, for what is done by hand: one, or those of a cluster as it is now."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from feature_service.errors import StoreUnavailableError
from feature_service.stores.cluster_node import ClusterNode, first_map
from feature_service.stores.cluster_url import Address, ClusterUrl, check_password, unreadable_url
from feature_service.stores.redis_pipe import RedisPipe
from feature_service.stores.slot_map import SlotMap

_OUTAGES: Final = (RedisError, OSError, asyncio.TimeoutError)


class RedisMasters:
    """A redis.asyncio.Redis of each."""

    def __init__(self, clients: Mapping[Address | None, Any], slots: SlotMap | None) -> None:
        """Without `slots` there is one, of no address."""
        self._clients = clients
        self._slots = slots

    @property
    def all(self) -> list[Any]:
        return list(self._clients.values())

    def of(self, key: bytes) -> Any:
        """The one that holds a key. Raises: StoreUnavailableError where none does."""
        owner = None if self._slots is None else next(iter(self._slots.by_owner([key])))
        if owner not in self._clients:
            raise StoreUnavailableError(f"no master serves the slot of {key!r}")
        return self._clients[owner]


@asynccontextmanager
async def redis_masters(url: str, *, timeout_ms: int) -> AsyncIterator[RedisMasters]:
    """Raises StoreError for a URL that is none.

    Raises StoreUnavailableError for any outage within the block, a slot that moves meanwhile among them.
    """
    timeout_s = timeout_ms / 1000
    check_password(url)
    try:
        async with AsyncExitStack() as stack:

            def client_of(its_url: str) -> Any:
                try:
                    client: Any = Redis.from_url(its_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
                except ValueError:
                    raise unreadable_url() from None
                stack.push_async_callback(client.aclose)
                return client

            if not ClusterUrl.matches(url):
                yield RedisMasters({None: client_of(url)}, None)
                return
            cluster = ClusterUrl.parse(url)
            slots = await _slots_of(cluster, timeout_s)
            yield RedisMasters({master: client_of(cluster.of(master)) for master in slots.masters}, slots)
    except _OUTAGES as error:
        raise StoreUnavailableError(f"Redis did not answer: {error}") from error


async def _slots_of(cluster: ClusterUrl, timeout_s: float) -> SlotMap:
    nodes = [ClusterNode(seed, RedisPipe(cluster.of(seed), timeout_s=timeout_s)) for seed in cluster.seeds]
    try:
        slots, _ = await first_map(nodes)
    finally:
        for node in nodes:
            await node.close()
    if slots is None:
        raise StoreUnavailableError("no node of the Redis Cluster says who serves which slot")
    return slots
