"""Random entities with more records than are seen exactly, in the order of arrival, as compaction asks for them.

Much comes late, in bursts or of one millisecond. Copies share their original's event time and labels their
transaction's, and both come before what they repeat or correct has become part of a tile: right behind it here, in
arrivals that no compaction parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hypothesis import strategies as st

from feature_service.catalogue.definitions import DAY_MS, HORIZON_MS, HOUR_MS, MINUTE_MS
from feature_service.records import ENTITIES, Kind, Outcome
from tests.oracle.payments import Label, Payment
from tests.oracle.worlds import AMOUNTS_MINOR, COUNTRIES, LOCATIONS, MONDAY_MS

OWNERS: Final = dict.fromkeys(ENTITIES, 7)
SPANS_MS: Final = (2_000, MINUTE_MS, HOUR_MS, DAY_MS, 30 * DAY_MS, 45 * DAY_MS)

Arrival = Sequence[Payment | Label]


@dataclass(frozen=True, slots=True)
class HotWorld:
    """All of it is of one entity of each kind."""

    arrivals: Sequence[Arrival]
    exact_members: int
    labels_kept: int

    def events(self, arrived: int) -> list[Payment | Label]:
        return [event for arrival in self.arrivals[:arrived] for event in arrival]


def make_hot_world(seed: int) -> HotWorld:
    random = Random(seed)
    amounts = random.choice(AMOUNTS_MINOR)
    payments = [_payment(random, index + 1, amounts) for index in range(random.randint(5, 250))]
    labels = [_label(random, each) for each in payments if random.random() < 0.3]
    payments += [replace(each, kind=Kind.CAPTURE) for each in payments if random.random() < 0.05]
    delays_ms = (0, 0, 0, random.choice(SPANS_MS))
    arrivals: list[tuple[int, Arrival]] = [
        *((each.time_ms + random.choice(delays_ms), _with_copies(random, each)) for each in payments),
        *((each.known_at_ms + random.choice(delays_ms), _with_correction(random, each)) for each in labels),
    ]
    if random.random() < 0.9:
        arrivals.sort(key=lambda each: each[0])
    return HotWorld([arrival for _, arrival in arrivals], random.choice((1, 3, 10, 30)), random.choice((0, 1, 5, 100)))


HOT_WORLDS: Final = st.builds(make_hot_world, st.integers(0, 2**32))


def question(random: Random, world: HotWorld, arrived: int, from_ms: int) -> Payment:
    """As of the time given or later: a read, a new payment, or one that is there already."""
    payments = [event for event in world.events(arrived) if isinstance(event, Payment)]
    later_ms = from_ms + random.choice((0, 0, 1, random.choice(SPANS_MS), random.randrange(HORIZON_MS)))
    asked = replace(_payment(random, 1_000_000, (500, None)), time_ms=later_ms)
    choice = random.random()
    if choice < 0.3:
        return replace(asked, transaction=0)
    stored = [each for each in payments if each.time_ms >= from_ms]
    return random.choice(stored) if choice < 0.6 and stored else asked


def _payment(random: Random, transaction: int, amounts: Sequence[int | None]) -> Payment:
    span_ms = random.choice(SPANS_MS)
    age_ms = random.choice((0, span_ms, random.randrange(span_ms), random.randrange(span_ms)))
    return Payment(
        transaction=transaction * 0x9E3779B97F4A7C15 % 2**64,
        time_ms=MONDAY_MS - age_ms,
        kind=random.choice((Kind.AUTHORISATION,) * 6 + (Kind.REVERSAL, Kind.REFUND)),
        outcome=random.choice(tuple(Outcome)),
        amount_minor=random.choice(amounts),
        entities=OWNERS | {"terminal": random.choice((7, 7, 8))},
        merchant_country=random.choice(COUNTRIES),
        location=random.choice(LOCATIONS),
    )


def _label(random: Random, of: Payment) -> Label:
    return Label(
        transaction=of.transaction,
        time_ms=of.time_ms,
        known_at_ms=of.time_ms + random.choice((0, 1, MINUTE_MS, DAY_MS, random.randrange(40 * DAY_MS))),
        is_fraud=random.random() < 0.7,
        entities=of.entities,
    )


def _with_copies(random: Random, payment: Payment) -> Arrival:
    copies = [replace(payment, outcome=random.choice(tuple(Outcome))) for _ in range(random.choice((0, 0, 0, 1, 2)))]
    return random.sample([payment, *copies], k=1 + len(copies))


def _with_correction(random: Random, label: Label) -> Arrival:
    if random.random() < 0.8:
        return [label]
    later_ms = label.known_at_ms + random.choice((0, 1, DAY_MS))
    correction = replace(label, known_at_ms=later_ms, is_fraud=not label.is_fraud, source=random.randint(1, 4))
    return random.sample([label, correction], k=2)
