"""What can be answered, on what it rests, and why it is not what was decided.

Members hash as the integers they are: by its name, as enumerations do, costs a call each time one is looked up.
"""

from enum import IntEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Action(IntEnum):
    """By severity; the values of `fraud.v1.Action`."""

    __hash__ = int.__hash__

    APPROVE = 1
    CHALLENGE = 2
    REVIEW = 3
    DECLINE = 4


class Tier(IntEnum):
    """What a decision rests on; the values of `fraud.v1.Tier`."""

    __hash__ = int.__hash__

    FULL = 1
    DEGRADED_STALE = 2
    DEGRADED_NO_FEATURES = 3
    FALLBACK_RULES = 4


class Override(IntEnum):
    """Why the answer is not what the policy decided; the values of `fraud.v1.Override`."""

    __hash__ = int.__hash__

    NONE = 0
    OBSERVE_ONLY = 1
    KILL_SWITCH = 2
    CONTROL_GROUP = 3


ActionName = Literal["APPROVE", "CHALLENGE", "REVIEW", "DECLINE"]
TierName = Literal["FULL", "DEGRADED_STALE", "DEGRADED_NO_FEATURES", "FALLBACK_RULES"]


class PolicyData(BaseModel):
    """A part of a policy as people write it: what is misspelt is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
