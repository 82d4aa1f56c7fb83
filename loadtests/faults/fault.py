"""What a fault is: a name, how it is injected, and what it needs around it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from loadtests.faults.world import RedisKind, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    name: str  # for people
    inject: Callable[[World], Awaitable[int]]  # into a world whose traffic flows; returns how often
    brokers: int = 1
    redis: RedisKind = "server"
    environment: Mapping[str, str] = field(default_factory=dict)  # of the scorer and the workers
    fast: bool = False  # one of those that `make test` injects
