"""What deciding payments needs of the world: histories, a place to publish, challengers to ask."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_service.key_set import KeySet
from feature_service.stores.attempts import BurstRead
from scorer.publication import Publication
from scorer.shadow import ToShadow


class Reader(Protocol):
    def read(self, keys: Sequence[bytes]) -> Awaitable[Sequence[bytes | None]]:
        """In one round trip. A caller that gives up cancels nothing for others. Raises: StoreUnavailableError."""
        ...


class BurstReader(Protocol):
    """Sees what was asked a moment ago, and leaves what is asked now."""

    async def read(self, rows: NDArray[np.void], keys: KeySet, others: Sequence[bytes]) -> BurstRead:
        """In one round trip. A caller that gives up cancels nothing: what was asked counts.

        Raises: StoreUnavailableError.
        """
        ...

    async def note_declined(self, rows: NDArray[np.void], keys: KeySet) -> None:
        """Have those that follow know it. Raises: StoreUnavailableError."""
        ...


class Publisher(Protocol):
    def offer(self, publication: Publication) -> bool:
        """Have it published soon; False where that will not be."""
        ...

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Returns when all are acknowledged."""
        ...


class Shadows(Protocol):
    def offer(self, decided: Sequence[ToShadow]) -> None:
        """Have challengers score what was answered, when they come to it."""
        ...
