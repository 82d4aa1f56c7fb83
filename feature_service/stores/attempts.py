"""Attempts in Redis: added and read beside the histories, atomically for each entity, in the same round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from feature_service.attempts import attempts_of, with_attempts
from feature_service.decisions import mark_declined
from feature_service.online import KeySet
from feature_service.stores.layout import RECORD_BYTES, attempts_key
from feature_service.stores.redis_answers import accepted
from feature_service.stores.redis_store import RedisServers

# A decision is folded within a second, and where a worker was killed within half a minute. Where the log is not caught
# up with for longer, the answer says that its histories are stale.
LIFETIME_S: Final = 120
# Of one entity, the newest so many stay however fast they come, and twice as many at most.
PART_RECORDS: Final = 256

_ADD: Final = b"fraud_attempt_v1"
_NOTE: Final = b"fraud_note_attempt_v1"
_HEADER_BYTES: Final = 16  # of a value
_CALL: Final = b"*8\r\n$5\r\nFCALL\r\n$%d\r\n%b\r\n$1\r\n1\r\n$%d\r\n%b\r\n%b$%d\r\n%b\r\n"
_NUMBERS: Final = (b"%d" % (LIFETIME_S * 1_000), b"%d" % (PART_RECORDS * RECORD_BYTES), b"%d" % RECORD_BYTES)
_LIMITS: Final = b"".join(b"$%d\r\n%b\r\n" % (len(number), number) for number in _NUMBERS)


@dataclass(frozen=True, slots=True)
class BurstRead:
    """What n payments see of their entities. k keys."""

    histories: list[bytes | None]  # (k,) with all attempts there are
    unseen: NDArray[np.int64] | None  # (n, 6) records at the end of each that a payment does not see; None: it sees all
    others: list[bytes | None]
    complete: bool  # False: Redis does not take attempts now, so that none are seen


def attempt_records(value: bytes) -> bytes:
    """Of what stands under an attempts key, the records, in the order in which they came."""
    return value[_HEADER_BYTES:]


class RedisAttempts:
    """For those who decide before a payment is in any log."""

    def __init__(self, servers: RedisServers) -> None:
        """`servers`: such as `RedisHistoryStore.servers`."""
        self._servers = servers

    async def read(self, rows: NDArray[np.void], keys: KeySet, others: Sequence[bytes]) -> BurstRead:
        """Leave attempts of (n,) DECODED rows, and read what came before each; and the values under `others`, (m,).

        Of payments that race for an entity, here or in any process, one sees the other. Those of one call come in the
        order of `rows`. A caller that gives up cancels nothing: the attempts count. Raises: StoreUnavailableError.
        """
        runs = attempts_of(rows, keys)
        values, before = await self._servers.read_and_call(
            [*keys.keys, *others], *self._commands(_ADD, keys.keys, runs)
        )
        count = len(keys.keys)
        histories, complete = values[:count], not any(isinstance(answer, ResponseError) for answer in before)
        if not complete:
            return BurstRead(histories, None, values[count:], complete=False)
        attempts = [attempt_records(value) for value in before]
        return BurstRead(*with_attempts(histories, attempts, runs, keys), values[count:], complete=True)

    async def note_declined(self, rows: NDArray[np.void], keys: KeySet) -> None:
        """Say of (n,) rows that they were declined, where nobody has said what became of them.

        Raises: StoreUnavailableError.
        """
        told = rows.copy()
        mark_declined(told, np.ones(told.shape[0], dtype=np.bool_))
        attempt_keys, commands = self._commands(_NOTE, keys.keys, attempts_of(told, keys))
        if commands:
            accepted(await self._servers.call(attempt_keys, commands))

    @staticmethod
    def _commands(
        function: bytes, history_keys: Sequence[bytes], runs: Sequence[Sequence[bytes]]
    ) -> tuple[list[bytes], list[bytes | memoryview]]:
        """Their keys, and calls of the Function for those that have records."""
        keys: list[bytes] = []
        commands: list[bytes | memoryview] = []
        for history_key, run in zip(history_keys, runs, strict=True):
            if run:
                key, records = attempts_key(history_key), b"".join(run)
                keys.append(key)
                commands.append(_CALL % (len(function), function, len(key), key, _LIMITS, len(records), records))
        return keys, commands
