"""When all that Redis holds is on its disk."""

import asyncio
from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import StoreError

_POLL_S: Final = 0.1


async def save(client: Any) -> None:
    """Return when the append-only file holds, synced, everything that Redis held when this was called.

    By a rewrite of the file that began after the call. Redis 7.0 has no other proof: it has no WAITAOF, the syncs that
    INFO counts as pending do not say which writes they cover, and `appendfsync everysec` answers before it syncs.

    `client`: a redis.asyncio.Redis of a master with an append-only file. Raises: StoreError; redis-py's own errors.
    """
    while True:
        await _until_idle(client)
        try:
            await client.bgrewriteaof()
            break
        except ResponseError as error:
            if "in progress" not in str(error):
                raise StoreError(f"Redis cannot rewrite its append-only file: {error}") from error
            # Somebody was quicker: what that one writes may have been copied before the call.
    if (await _until_idle(client))["aof_last_bgrewrite_status"] != "ok":
        raise StoreError("Redis could not rewrite its append-only file: its log says why")


async def _until_idle(client: Any) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = await client.info("persistence")
        if not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"]):
            return found
        await asyncio.sleep(_POLL_S)
