"""What a feature is: data, from which names, versions, plans and descriptions follow."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from feature_service.errors import CatalogueError
from feature_service.records import COUNTERPARTS, ENTITIES

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

# No window reaches further back than this behind the time it is read as of. Part of the layout of what is stored: a
# longer one needs a new generation of histories.
HORIZON_MS: Final = 37 * DAY_MS

# Of an entity with so many records in the horizon or more, the newest so many are seen exactly, whichever window they
# are in. Windows that reach further back count older ones up to a boundary that lies off by 1/32 of its age at most
# (1/16 at the horizon). Older ones do not enter DISTINCT and SAME, which then mean "at least", nor what is since the
# previous record.
EXACT_MEMBERS: Final = 1_024


class Input(IntEnum):
    """Which records an aggregation sees. The value is a bit position in the kernel's mask."""

    ATTEMPTS = 0  # authorisations, whatever became of them
    APPROVED = 1
    DECLINED = 2  # by the issuer, or by the scorer where the issuer said nothing
    CAPTURES = 3
    REVERSALS = 4
    REFUNDS = 5


class Statistic(IntEnum):
    """What is computed. Where a window is empty: 0 for counts, sums, rates and distincts, missing for the others."""

    COUNT = 0
    AMOUNT_SUM = 1  # major units of the base currency, as all amounts
    AMOUNT_MEAN = 2
    AMOUNT_STD = 3  # of the sample (n - 1); missing below two amounts
    AMOUNT_MIN = 4
    AMOUNT_MAX = 5
    FRAUD_COUNT = 6  # attempts whose latest label known as of the read says fraud
    FRAUD_RATE = 7  # FRAUD_COUNT / COUNT
    DISTINCT = 8  # different values of `of`, missing ones aside
    SAME = 9  # records that share `of` with the current transaction; missing where that has none
    SECONDS_SINCE_PREVIOUS = 10  # to the newest other record; missing where none is within the horizon
    TRAVEL_SPEED_KMH = 11  # from the newest other located record, over at least one second


class Operation(IntEnum):
    """How a derived feature follows from its operands; missing where an operand is, or where it divides by zero."""

    RATIO = 0  # a / b
    Z_SCORE = 1  # (a - b) / c
    IS_ZERO = 2  # 1 where a is 0, else 0


# Features of the transaction itself, in the order of the kernel's slots.
REQUEST_FEATURES: Final = {
    "amount": "the amount, in major units of the base currency",
    "is_weekend": "1 on Saturday and Sunday, UTC",
    "is_night": "1 from 00:00 to 06:59, UTC",
    "hour": "hour of the day, 0 to 23, local where the offset is known, else UTC",
    "mcc": "merchant category code, as a category",
    "merchant_country": "country of the merchant, as a category: 1 + 26 * first + second letter",
    "card_country": "country of the card, as a category: 1 + 26 * first + second letter",
    "is_cross_border": "1 where the merchant's country is not the card's",
    "channel": "how the card was presented, as a category",
}


@dataclass(frozen=True, slots=True)
class RequestFeature:
    name: str

    @property
    def definition(self) -> str:
        return f"{self.name} = request({self.name})"

    @property
    def description(self) -> str:
        return REQUEST_FEATURES[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A statistic of one entity's records in the window `(t - delay - window, t - delay]`."""

    entity: str
    statistic: Statistic
    window_ms: int = HORIZON_MS
    input: Input = Input.ATTEMPTS
    of: str = ""
    delay_ms: int = 0
    include_current: bool = True

    def __post_init__(self) -> None:
        if self.entity not in ENTITIES:
            raise CatalogueError(f"unknown entity {self.entity!r}: use one of {', '.join(ENTITIES)}")
        attributes = (*COUNTERPARTS[self.entity], "country")
        if (self.statistic in (Statistic.DISTINCT, Statistic.SAME)) != bool(self.of):
            raise CatalogueError(f"{self.statistic.name} of {self.entity}: `of` belongs to DISTINCT and SAME only")
        if self.of and self.of not in attributes:
            raise CatalogueError(f"{self.entity} records carry {', '.join(attributes)}, not {self.of!r}")
        if self.statistic in (Statistic.FRAUD_COUNT, Statistic.FRAUD_RATE) and self.input is not Input.ATTEMPTS:
            raise CatalogueError(f"{self.statistic.name} of {self.entity}: labels are of attempts, of no other input")
        if self.delay_ms < 0 or not 0 < self.window_ms <= HORIZON_MS - self.delay_ms:
            raise CatalogueError(f"{self.name}: window + delay must lie within the horizon of {HORIZON_MS} ms")
        if self.statistic in (Statistic.SECONDS_SINCE_PREVIOUS, Statistic.TRAVEL_SPEED_KMH) and (
            self.window_ms != HORIZON_MS or self.delay_ms or self.include_current
        ):
            raise CatalogueError(f"{self.name}: looks at other records, and back over the whole horizon")

    @property
    def name(self) -> str:
        parts = [self.entity]
        if self.input is not Input.ATTEMPTS:
            parts.append(self.input.name.lower())
        if self.of:
            parts.append(f"{self.statistic.name.lower()}_{self.of}")
        else:
            parts.append(self.statistic.name.lower())
        if self.statistic not in (Statistic.SECONDS_SINCE_PREVIOUS, Statistic.TRAVEL_SPEED_KMH):
            parts.append(duration_name(self.window_ms))
        if self.delay_ms:
            parts.append(f"delay_{duration_name(self.delay_ms)}")
        elif not self.include_current and self.statistic < Statistic.SECONDS_SINCE_PREVIOUS:
            parts.append("before")
        return "_".join(parts)

    @property
    def definition(self) -> str:
        of = f" of {self.of}" if self.of else ""
        current = "included" if self.include_current else "excluded"
        return (
            f"{self.name} = {self.statistic.name.lower()}{of}({self.entity} {self.input.name.lower()}, "
            f"(t-{self.delay_ms + self.window_ms}, t-{self.delay_ms}] ms, current {current})"
        )

    @property
    def description(self) -> str:
        what = self.statistic.name.lower().replace("_", " ") + (f" {self.of}" if self.of else "")
        until = f" ending {duration_name(self.delay_ms)} before it" if self.delay_ms else ""
        return f"{what} over the {self.entity}'s {self.input.name.lower()} of {duration_name(self.window_ms)}{until}"


@dataclass(frozen=True, slots=True)
class Derived:
    """A feature computed from others, by name; operands need not be part of the view."""

    name: str
    operation: Operation
    operands: tuple["Feature", ...]

    @property
    def definition(self) -> str:
        inner = "; ".join(operand.definition for operand in self.operands)
        return f"{self.name} = {self.operation.name.lower()}({inner})"

    @property
    def description(self) -> str:
        return f"{self.operation.name.lower().replace('_', ' ')} of {', '.join(part.name for part in self.operands)}"


Feature = RequestFeature | Aggregate | Derived


@dataclass(frozen=True, slots=True)
class FeatureView:
    """An ordered set of features under a name."""

    name: str
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.features):
            raise CatalogueError(f"view {self.name!r} defines a name twice")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)


def duration_name(duration_ms: int) -> str:
    """Shortest exact form: 7d, 10m, 1h. Raises: CatalogueError where it is no whole number of minutes."""
    for unit_ms, unit in ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m")):
        if duration_ms % unit_ms == 0:
            return f"{duration_ms // unit_ms}{unit}"
    raise CatalogueError(f"a window or delay of {duration_ms} ms is no whole number of minutes")
