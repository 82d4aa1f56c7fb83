"""What is asked of a Redis master before it holds state, and commands for one that stands alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import StoreError
from feature_service.stores.function_call import FunctionCall
from feature_service.stores.redis_answers import accepted
from feature_service.stores.redis_pipe import RedisPipe, encode_command
from feature_service.stores.values import ValuesReader

_SOURCES: Final = [Path(__file__).with_name(name).read_text() for name in ("fold.lua", "attempts.lua")]
LIBRARIES: Final = [source.partition("name=")[2].split()[0] for source in _SOURCES]  # what Redis calls them
SETTINGS: Final = ("maxmemory-policy", "appendonly", "cluster-enabled")
_LOAD: Final = [encode_command(b"FUNCTION", b"LOAD", b"REPLACE", source.encode()) for source in _SOURCES]
_GET_SETTINGS: Final = encode_command(b"CONFIG", b"GET", *(name.encode() for name in SETTINGS))


def refusal_of(settings: Mapping[str, str], *, in_cluster: bool) -> str | None:
    """Why a server with these `SETTINGS` must not hold state, and the remedy."""
    if settings["maxmemory-policy"] != "noeviction":
        return "Redis may evict state: set maxmemory-policy noeviction"
    if settings["appendonly"] != "yes":
        return "Redis keeps no append-only file: set appendonly yes"
    if settings["cluster-enabled"] == "yes" and not in_cluster:
        return "Redis is a node of a cluster: write redis+cluster:// in FRAUD_REDIS_URL"
    return None


async def prepare(pipe: RedisPipe, *, in_cluster: bool) -> None:
    """Check what the guarantees rest on, and load the Functions. Raises: StoreError, StoreUnavailableError."""
    [flat] = accepted(await pipe.call([_GET_SETTINGS]))
    texts = [text.decode() for text in flat]
    if refusal := refusal_of(dict(zip(texts[::2], texts[1::2], strict=True)), in_cluster=in_cluster):
        raise StoreError(refusal)
    accepted(await pipe.call(_LOAD))


class RedisMaster:
    """`RedisServers` of one, over one pipe, and another one for what is only read."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._pipe = RedisPipe(url, timeout_s=timeout_s)
        self._reads = RedisPipe(url, timeout_s=timeout_s, make_reader=ValuesReader)

    async def open(self) -> None:
        await prepare(self._pipe, in_cluster=False)

    async def close(self) -> None:
        await self._pipe.close()
        await self._reads.close()

    async def call(self, _: Sequence[bytes], commands: Sequence[bytes | memoryview]) -> list[Any]:
        return await self._pipe.call(commands)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        [values] = accepted(await self._reads.call([encode_command(b"MGET", *keys)]))
        return values  # type: ignore[no-any-return]

    async def read_and_call(
        self, keys: Sequence[bytes], call: FunctionCall
    ) -> tuple[list[bytes | None], list[Any] | ResponseError]:
        reads = [encode_command(b"MGET", *keys)] if keys else []
        calls = [call.together()] if call.keys else []
        answers = await self._pipe.call([*reads, *calls]) if reads or calls else []
        values = accepted(answers[: len(reads)])
        return values[0] if reads else [], answers[-1] if calls else []
