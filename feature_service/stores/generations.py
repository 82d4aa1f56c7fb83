"""The generations that stand side by side in one Redis: which there are, whether one is in use, and the end of one."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis

from feature_service.errors import StoreUnavailableError
from feature_service.stores.redis_pipe import OUTAGES

_SCAN_KEYS: Final = 1_000
_PAUSE_S: Final = 0.005  # between two scans: those who read and fold go first
_FENCE: Final = re.compile(rb"g(\d+):\{\d+\}:fence")


@asynccontextmanager
async def redis_client(url: str, *, timeout_ms: int) -> AsyncIterator[Any]:
    """A plain client for what is done by hand. Raises StoreUnavailableError for any outage within the block."""
    client: Any = Redis.from_url(url, socket_timeout=timeout_ms / 1000, socket_connect_timeout=timeout_ms / 1000)
    try:
        yield client
    except OUTAGES as error:
        raise StoreUnavailableError(f"Redis did not answer: {error}") from error
    finally:
        await client.aclose()


async def found_generations(client: Any) -> Mapping[int, str]:
    """The layout id of each generation that holds anything."""
    layouts: dict[int, str] = {}
    async for key in client.scan_iter(b"g*}:fence", count=_SCAN_KEYS):
        match = _FENCE.fullmatch(key)
        if match is not None and int(match[1]) not in layouts:
            layout = await client.hget(key, "layout")
            layouts[int(match[1])] = "" if layout is None else layout.decode()
    return dict(sorted(layouts.items()))


async def last_confirmed_at_ms(client: Any, generation: int) -> int:
    """When a worker was last seen to fold into the generation; 0: never."""
    state: dict[bytes, bytes] = await client.hgetall(b"g%d:{0}:fence" % generation)
    return max((int(value) for field, value in state.items() if field.endswith(b"@")), default=0)


async def drop_generation(client: Any, generation: int, on_progress: Callable[[int], None]) -> int:
    """Delete every key of the generation, at a pace that others do not notice; returns how many there were."""
    cursor, dropped = 0, 0
    while True:
        cursor, keys = await client.scan(cursor, match=b"g%d:{*" % generation, count=_SCAN_KEYS)
        if keys:
            dropped += int(await client.unlink(*keys))
            on_progress(dropped)
        if cursor == 0:
            return dropped
        await asyncio.sleep(_PAUSE_S)
