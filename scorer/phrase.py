"""How a value is said: its place in a sentence, its unit, and what is usual."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Phrase:
    """How to speak of one feature. `{}` in a template is the value's place."""

    template: str
    missing: str
    format: Format
    has_usual: bool = True  # a mean over payments says something
    singular: str = ""  # template for the value 1, where it differs
    zero: str = ""

    def usual(self, mean: float) -> str:
        """What follows a value, to compare it with: the mean that training saw, NaN where it saw none."""
        return "" if isnan(mean) or not self.has_usual else f" (usual: {self.format(mean)})"

    def words(self, value: float, usual: str) -> str:
        """Of this value; `usual` as above."""
        if isnan(value):
            return self.missing
        template = self.template
        if value == 0:
            template = self.zero or template
        elif value == 1:
            template = self.singular or template
        return template.format(self.format(value)) + usual


def number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() or abs(value) >= 100 else f"{value:.2g}"


def money(value: float) -> str:
    return f"{value:,.2f}"


def percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
