"""Groups of records that no feature tells apart once their ids, counterparts and exact times are gone.

The first six are the kinds of payments by what features see of their outcome; the seventh are labels that say fraud.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import Input
from feature_service.compiled import compiled
from feature_service.records import Kind, Outcome

GROUPS: Final = 7
FRAUDS: Final = 6
_AUTHORISATION = int(Kind.AUTHORISATION)
_REFUND = int(Kind.REFUND)
_DECLINED = int(Outcome.DECLINED)


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


@compiled
def payment_group(kind: int, outcome: int) -> int:
    """Of a payment's record; -1 for what is none."""
    if kind == _AUTHORISATION:
        return outcome if outcome <= _DECLINED else 0
    return kind + 1 if _AUTHORISATION < kind <= _REFUND else -1
