"""How state is laid out: virtual shards, key names, and the id that tells one layout from another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feature_service.records import ENTITIES, ENTITY_INDEX, RECORD

# A history is a header, then records. The last byte is the format's version: in the second there are tiles.
HEADER: Final = b"FRAUDH\x00\x01"
COMPACTED_HEADER: Final = b"FRAUDH\x00\x02"
HEADERS: Final = (HEADER, COMPACTED_HEADER)
HEADER_BYTES: Final = len(HEADER)
RECORD_BYTES: Final = RECORD.itemsize
FOLD_VERSION: Final = 1
HISTORY_CAP: Final = 2_048  # records, tiles among them, past which a history is to be compacted

ENTITY_LETTERS: Final = dict(zip(ENTITIES, "ckmtdi", strict=True))  # k: a card
_LETTERS: Final = "".join(ENTITY_LETTERS.values()).encode()


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """`generation` keeps state that is built beside the live one apart; all of a shard's keys share its hash tag."""

    shard_count: int
    key_fingerprint: str  # of the key that ids are hashed with
    generation: int = 1

    @property
    def layout_id(self) -> str:
        return f"{self.shard_count}-{self.key_fingerprint}-{FOLD_VERSION}"

    @property
    def prefix(self) -> bytes:
        return b"g%d:{" % self.generation

    @property
    def sources_key(self) -> bytes:
        return self.prefix + b"sources}"

    def fence_key(self, shard: int) -> bytes:
        return b"%s%d}:fence" % (self.prefix, shard)

    def history_key(self, entity: str, entity_hash: int) -> bytes:
        return self.history_keys([ENTITY_INDEX[entity]], [entity_hash])[0]

    def history_keys(self, entities: Sequence[int], hashes: Sequence[int]) -> list[bytes]:
        """`entities`: indices of `ENTITIES`."""
        prefix, shard_count = self.prefix, self.shard_count
        return [
            b"%b%d}:%c:%016x" % (prefix, each % shard_count, _LETTERS[entity], each)
            for entity, each in zip(entities, hashes, strict=True)
        ]


def attempts_key(history_key: bytes) -> bytes:
    """Of the attempts beside a history: in the same slot."""
    return history_key.replace(b"}:", b"}:a", 1)
