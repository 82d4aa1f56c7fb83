"""Groups of records that no feature tells apart once their ids, counterparts and exact times are gone.

The first six are the kinds of payments by what features see of their outcome; the seventh are labels that say fraud.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import Input

GROUPS: Final = 7
FRAUDS: Final = 6


def _inputs() -> NDArray[np.int64]:
    attempts = 1 << Input.ATTEMPTS
    return np.array(
        [
            attempts,
            attempts | 1 << Input.APPROVED,
            attempts | 1 << Input.DECLINED,
            1 << Input.CAPTURES,
            1 << Input.REVERSALS,
            1 << Input.REFUNDS,
            0,
        ]
    )


# (7,) which inputs, as bits, see the records of a group.
GROUP_INPUTS: Final = _inputs()
