"""The generations that stand side by side in one Redis: which there are, whether one is in use, and the end of one."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from feature_service.stores.redis_masters import RedisMasters

_SCAN_KEYS: Final = 1_000
_PAUSE_S: Final = 0.005  # between two scans: those who read and fold go first
_FENCE: Final = re.compile(rb"g(\d+):\{\d+\}:fence")


async def found_generations(masters: RedisMasters) -> Mapping[int, str]:
    """The layout id of each generation that holds anything."""
    layouts: dict[int, str] = {}
    for client in masters.all:
        async for key in client.scan_iter(b"g*}:fence", count=_SCAN_KEYS):
            match = _FENCE.fullmatch(key)
            if match is not None and int(match[1]) not in layouts:
                layout = await client.hget(key, "layout")
                layouts[int(match[1])] = "" if layout is None else layout.decode()
    return dict(sorted(layouts.items()))


async def last_confirmed_at_ms(masters: RedisMasters, generation: int) -> int:
    """When a worker was last seen to fold into the generation; 0: never."""
    key = b"g%d:{0}:fence" % generation
    state: dict[bytes, bytes] = await masters.of(key).hgetall(key)
    return max((int(value) for field, value in state.items() if field.endswith(b"@")), default=0)


async def drop_generation(masters: RedisMasters, generation: int, on_progress: Callable[[int], None]) -> int:
    """Delete every key of the generation, at a pace that others do not notice; returns how many there were."""
    dropped = 0
    for client in masters.all:
        cursor: Any = None
        while cursor != 0:
            cursor, keys = await client.scan(cursor or 0, match=b"g%d:{*" % generation, count=_SCAN_KEYS)
            async with client.pipeline(transaction=False) as pipeline:
                for key in keys:  # one by one: in a cluster they are of different slots
                    pipeline.unlink(key)
                dropped += sum(await pipeline.execute())
            on_progress(dropped)
            await asyncio.sleep(_PAUSE_S)
    return dropped
