"""Which master of a Redis Cluster serves which slot, and what its nodes say of it: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.crc import key_slot

from feature_service.stores.cluster_url import Address

_SLOTS: Final = 16_384


@dataclass(frozen=True, slots=True)
class SlotMap:
    owners: Sequence[Address | None]  # (16384,) by slot; None: nobody serves it
    masters: frozenset[Address]

    @classmethod
    def parse(cls, answer: Sequence[Any], asked: Address) -> "SlotMap":
        """Of the answer to CLUSTER SLOTS by the node that was asked, which may leave its own host out."""
        owners: list[Address | None] = [None] * _SLOTS
        for first, last, (host, port, *_), *_replicas in answer:
            if host != b"?":  # a name that its administrator has not given
                owner = Address(host.decode() if host else asked.host, port)
                owners[first : last + 1] = [owner] * (last + 1 - first)
        return cls(owners, frozenset(owner for owner in owners if owner is not None))

    def by_owner(self, keys: Sequence[bytes]) -> dict[Address | None, list[int]]:
        """The places of the keys, in order, by who serves them."""
        places: dict[Address | None, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(self.owners[key_slot(key)], []).append(place)
        return places


NOBODY: Final = SlotMap([None] * _SLOTS, frozenset())


def redirected_to(refusal: str, asked: Address) -> Address:
    """Of a refusal such as `ASK 3999 host:port` by the node that was asked, which may leave its own host out."""
    host, _, port = refusal.split(" ")[2].rpartition(":")
    return Address(host or asked.host, int(port))
