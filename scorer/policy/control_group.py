"""Payments that are let through whatever the policy decides, to learn what becomes of those that it stops."""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from feature_service.records import ENTITY_INDEX
from scorer.policy.actions import PolicyData

_HASHES = 2.0**64
_CUSTOMER, _CARD = ENTITY_INDEX["customer"], ENTITY_INDEX["card"]


class ControlGroup(PolicyData):
    """A share of all customers, always the same ones until the salt is changed; a larger share has them all."""

    share: float = Field(gt=0, lt=1, description="of customers, and so the propensity of each payment")
    salt: str = Field(min_length=1, description="another one draws another group")

    def holds(self, unit: int) -> bool:
        """`unit`: a 64-bit hash, as `units` gives it."""
        drawn = hashlib.blake2b(unit.to_bytes(8, "little"), digest_size=8, key=_key(self.salt)).digest()
        return int.from_bytes(drawn, "little") < self.share * _HASHES


def units(rows: NDArray[np.void]) -> list[int]:
    """Who is drawn, of (n,) DECODED rows: the customer; without one the card; without either the payment alone."""
    entities, transactions = rows["entity_hash"].tolist(), rows["transaction_hash"].tolist()
    return [
        hashes[_CUSTOMER] or hashes[_CARD] or transaction
        for hashes, transaction in zip(entities, transactions, strict=True)
    ]


@lru_cache(maxsize=64)
def _key(salt: str) -> bytes:
    """A key of 32 bytes of a salt of any length."""
    return hashlib.sha256(salt.encode()).digest()
