"""Whose payments a canary decides. Pure."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scorer.policy.control_group import units

_HASHES = 2.0**64


@dataclass(frozen=True, slots=True)
class Split:
    """A share of all customers, always the same ones until the salt is changed; a larger share has them all.

    A payment without a customer goes by its card, and without either by itself.
    """

    share: float  # above 0, below 1
    salt: str  # another one draws others
    _key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # With a word of its own, so that no salt draws the same customers here as into a policy's control group.
        object.__setattr__(self, "_key", hashlib.sha256(b"canary " + self.salt.encode()).digest())

    def takes(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """Of (n,) DECODED rows, (n,)."""
        return np.fromiter(map(self.holds, units(rows)), dtype=np.bool_, count=rows.shape[0])

    def holds(self, unit: int) -> bool:
        """`unit`: a 64-bit hash."""
        drawn = hashlib.blake2b(unit.to_bytes(8, "little"), digest_size=8, key=self._key).digest()
        return int.from_bytes(drawn, "little") < self.share * _HASHES
