"""Attempts in Redis: added and read beside the histories, atomically for each entity, in the same round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from feature_service.attempts import Attempts, attempts_of
from feature_service.decisions import mark_declined
from feature_service.key_set import KeySet
from feature_service.records import DECODED, ENTITIES
from feature_service.stores.function_call import FunctionCall
from feature_service.stores.layout import RECORD_BYTES, attempts_key
from feature_service.stores.redis_answers import accepted
from feature_service.stores.redis_store import RedisServers

# A decision is folded within a second, and where a worker was killed within half a minute. Where the log is not caught
# up with for longer, the answer says that its histories are stale.
LIFETIME_S: Final = 120
# Of one entity, the newest so many stay however fast they come, and twice as many at most.
PART_RECORDS: Final = 256

_ADD: Final = b"fraud_attempt_v2"
_NOTE: Final = b"fraud_note_attempt_v2"
_HEADER_BYTES: Final = 16  # of a value
_LIMITS: Final = (b"%d" % (LIFETIME_S * 1_000), b"%d" % (PART_RECORDS * RECORD_BYTES), b"%d" % RECORD_BYTES)


@dataclass(frozen=True, slots=True)
class BurstRead:
    """What n payments see of their entities. k keys."""

    histories: list[bytes | None]  # (k,)
    attempts: Attempts | None  # (k,) None: Redis does not take any now
    others: list[bytes | None]


def attempt_records(value: bytes) -> bytes:
    """Of what stands under an attempts key, the records, in the order in which they came."""
    return value[_HEADER_BYTES:]


class RedisAttempts:
    """For those who decide before a payment is in any log. Loads its compiled code when it is made."""

    def __init__(self, servers: RedisServers) -> None:
        """`servers`: such as `RedisHistoryStore.servers`."""
        self._servers = servers
        attempts_of(np.zeros(0, dtype=DECODED), KeySet([], np.empty((0, len(ENTITIES)), dtype=np.int64)))

    async def read(self, rows: NDArray[np.void], keys: KeySet, others: Sequence[bytes]) -> BurstRead:
        """Leave attempts of (n,) DECODED rows, and read what came before each; and the values under `others`, (m,).

        Of payments that race for an entity, here or in any process, one sees the other. Those of one call come in the
        order of `rows`. A caller that gives up cancels nothing: the attempts count. Raises: StoreUnavailableError.
        """
        runs = attempts_of(rows, keys)
        values, before = await self._servers.read_and_call([*keys.keys, *others], _call(_ADD, keys.keys, runs))
        count = len(keys.keys)
        attempts = None
        if not isinstance(before, ResponseError):
            attempts = Attempts([attempt_records(value) for value in before], runs)
        return BurstRead(values[:count], attempts, values[count:])

    async def note_declined(self, rows: NDArray[np.void], keys: KeySet) -> None:
        """Say of (n,) rows that they were declined, where nobody has said what became of them.

        Raises: StoreUnavailableError.
        """
        told = rows.copy()
        mark_declined(told, np.ones(told.shape[0], dtype=np.bool_))
        call = _call(_NOTE, keys.keys, attempts_of(told, keys))
        if call.keys:
            _, noted = await self._servers.read_and_call((), call)
            accepted([noted])


def _call(function: bytes, history_keys: Sequence[bytes], runs: Sequence[bytes]) -> FunctionCall:
    """For those that have records."""
    with_records = [(attempts_key(key), run) for key, run in zip(history_keys, runs, strict=True) if run]
    return FunctionCall(function, [key for key, _ in with_records], _LIMITS, [run for _, run in with_records])
