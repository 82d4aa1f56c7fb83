"""The keys of what transactions need to be read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class KeySet:
    """The different keys that n transactions need, and for each of their entities which key it is."""

    keys: list[bytes]
    places: NDArray[np.int64]  # (n, 6) index into keys; -1 where the entity is absent or not needed
