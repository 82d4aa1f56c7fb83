"""What a measurement gives: figures with their targets, and their form in JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Value = str | int | float | None
"""Of a detail: None where there is nothing to tell."""

Unit = Literal["events/s", "decisions/s", "transactions/s", "rows/s", "calls/s", "ms", "µs", "x"]


@dataclass(frozen=True, slots=True)
class Target:
    """`first` is what a sketch or a peer reached, in words, or empty; `reach` is in the unit of the result."""

    first: str
    reach: float
    better: Literal["more", "less"]

    def met_by(self, value: float) -> bool:
        return value >= self.reach if self.better == "more" else value <= self.reach


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    unit: Unit
    value: float
    target: Target | None = None
    details: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"{self.name} was not measured: {self.value}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        target = found["target"]
        return cls(**{**found, "target": None if target is None else Target(**target)})


class BenchError(Exception):
    """A measurement that could not be made, and why. Base of this package's errors."""
