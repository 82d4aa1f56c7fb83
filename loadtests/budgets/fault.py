"""What a fault is: a name, how it is injected, and from which deadline on answers have all features all the same."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from loadtests.budgets.rig import Rig

RedisKind = Literal["slowed", "cluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    name: str  # for people
    inject: Callable[[Rig], AbstractContextManager[None]]  # it lasts until it is left
    full_from_ms: float = 0.0  # a shorter deadline gives DEGRADED_NO_FEATURES; infinite: any does
    redis: RedisKind = "slowed"
