"""A node of a Redis Cluster: seen to before it is given commands, and asked who serves which slot."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import StoreError, StoreUnavailableError
from feature_service.stores.cluster_url import Address
from feature_service.stores.redis_master import prepare
from feature_service.stores.redis_pipe import RedisPipe, encode_command
from feature_service.stores.slot_map import SlotMap

_WHO_SERVES: Final = [encode_command(b"CLUSTER", b"INFO"), encode_command(b"CLUSTER", b"SLOTS")]
_PATIENCE_S: Final = 0.1  # for a better map than the one at hand


class ClusterNode:
    def __init__(self, address: Address, pipe: RedisPipe) -> None:
        self._address = address
        self._pipe = pipe
        self._preparing: asyncio.Task[None] | None = None
        self._is_prepared = False

    async def close(self) -> None:
        """Wait for the answers still owed."""
        await self._pipe.close()

    def call(self, commands: Sequence[bytes | memoryview]) -> "asyncio.Future[list[Any]]":
        """As `RedisPipe.call`; before the first, as `prepare`."""
        if self._is_prepared:
            return self._pipe.call(commands)
        return asyncio.ensure_future(self._prepare_and_call(commands))

    async def prepare(self) -> None:
        """Raises: StoreError for one that must not hold state, StoreUnavailableError."""
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(prepare(self._pipe, in_cluster=True))
        await asyncio.shield(self._preparing)
        self._is_prepared = True

    async def slots(self) -> tuple[SlotMap | None, bool]:
        """Its map, None where it gives none, and whether it is in touch with most of the cluster.

        Raises: StoreError where it is in no cluster.
        """
        try:
            info, slots = await self._pipe.call(_WHO_SERVES)
        except StoreUnavailableError:
            return None, False
        if not isinstance(slots, ResponseError):
            return SlotMap.parse(slots, self._address), b"cluster_state:ok" in info
        if "cluster support disabled" in str(slots):
            raise StoreError(
                f"Redis at {self._address} is in no cluster: write redis:// or rediss:// in FRAUD_REDIS_URL"
            )
        return None, False

    async def _prepare_and_call(self, commands: Sequence[bytes | memoryview]) -> list[Any]:
        try:
            await self.prepare()
        except StoreError as error:  # the others go on, and this one too when it is set up
            raise StoreUnavailableError(str(error)) from error
        return await self._pipe.call(commands)


async def first_map(nodes: Iterable[ClusterNode]) -> tuple[SlotMap | None, bool]:
    """The first map from a node that is in touch with most of the cluster, else another's; None where there is none.

    As `ClusterNode.slots`. A node that is silent is waited for only where no other gives a map.
    """
    asking = {asyncio.create_task(node.slots()) for node in nodes}
    waiting, other, patience_s = asking, None, None
    try:
        while waiting:
            answered, waiting = await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not answered:
                break
            for slots, is_in_touch in [each.result() for each in answered]:
                if slots is not None and is_in_touch:
                    return slots, True
                if slots is not None:
                    other, patience_s = slots, _PATIENCE_S
    finally:
        for each in asking:
            each.cancel()
    return other, False
