"""Random payments, labels and a question, in which whatever can collide does.

Few ids, few amounts, times on the edges of windows and one millisecond beside them, copies of a transaction with
another outcome or time, labels before their transaction and corrections of them, and much that is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hypothesis import strategies as st

from feature_service.catalogue.definitions import DAY_MS, HORIZON_MS, HOUR_MS, MINUTE_MS
from feature_service.records import ENTITIES, Kind, Outcome
from tests.oracle.payments import Histories, Label, Payment, histories_of

EDGES_MS: Final = (
    *(0, 1_000, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS),
    *(8 * DAY_MS, 14 * DAY_MS, 30 * DAY_MS, HORIZON_MS),
)
# Sign bits, and ids that want the same place of a small table.
IDS: Final = (1, 2, 3, 4 + 1, (1 << 16) + 1, (1 << 32) + 1, (1 << 63) + 1, (1 << 63) + 2, (1 << 64) - 1, (1 << 64) - 3)
# Of one world. The narrow ones cost precision where squares are summed carelessly; equal amounts have no deviation.
AMOUNTS_MINOR: Final = (
    (None, 0, 1, 1_999, 1_999, 10_050, 99_999, 33_333_333_333, 2**47 - 1),
    (None, 99_999_999),
    (0, 0, 0, 0, 500),
    (2**47 - 1, 2**47 - 2, 2**47 - 3),
)
LOCATIONS: Final = (
    None,
    (0, 0),
    (48_137_154, 11_576_124),
    (-33_856_784, 151_215_297),
    (0, -180_000_000),
    (90_000_000, 0),
)
COUNTRIES: Final = (0, 83, 85, 676)
MONDAY_MS: Final = 1_708_905_600_000  # 2024-02-26, the week of a leap day
TIMES_OF_DAY_MS: Final = (0, 7 * HOUR_MS - 1, 7 * HOUR_MS, 45_296_789, DAY_MS - 1)


@dataclass(frozen=True, slots=True)
class World:
    asked: Payment
    events: tuple[Payment | Label, ...]  # in the order of their arrival

    @property
    def payments(self) -> list[Payment]:
        return [event for event in self.events if isinstance(event, Payment)]

    @property
    def labels(self) -> list[Label]:
        return [event for event in self.events if isinstance(event, Label)]

    @property
    def histories(self) -> Histories:
        return histories_of(self.events)


def make_world(seed: int, event_count: int) -> World:
    random = Random(seed)
    as_of_ms = MONDAY_MS + random.randrange(7) * DAY_MS + random.choice(TIMES_OF_DAY_MS)
    ids = random.sample(IDS, k=3) if event_count < 20 else [random.getrandbits(64) for _ in range(event_count // 2)]
    amounts = random.choice(AMOUNTS_MINOR)
    asked = _payment(random, ids, amounts, as_of_ms)
    payments: list[Payment] = []
    for _ in range(event_count * 3 // 4):
        if payments and random.random() < 0.3:
            payments.append(_copy(random, payments, amounts, as_of_ms))
        else:
            payments.append(_payment(random, ids, amounts, _time_ms(random, as_of_ms)))
    if payments and random.random() < 0.3:
        asked = replace(random.choice(payments), time_ms=as_of_ms)
    if random.random() < 0.2:
        asked = replace(asked, transaction=0)
    labels = [_label(random, payments or [asked], as_of_ms) for _ in range(event_count - len(payments))]
    events: list[Payment | Label] = [*payments, *labels]
    if random.random() < 0.5:
        events.sort(key=lambda event: event.time_ms)
    if random.random() < 0.7:
        random.shuffle(events)
    return World(asked, tuple(events))


# Seeded: drawn one by one, hypothesis' choices would leave most worlds all but empty.
SMALL_WORLDS: Final = st.builds(make_world, st.integers(0, 2**32), st.integers(0, 16))
LARGE_WORLDS: Final = st.builds(make_world, st.integers(0, 2**32), st.integers(20, 300))
WORLDS: Final = SMALL_WORLDS | LARGE_WORLDS


def questions(world: World, random: Random) -> list[Payment]:
    """The world's own question among others: transactions of its log as they came in, and reads of their entities."""
    others = [
        replace(
            payment,
            transaction=random.choice((0, payment.transaction, payment.transaction)),
            time_ms=random.choice((payment.time_ms, world.asked.time_ms)),
        )
        for payment in random.sample(world.payments, k=min(len(world.payments), 7))
    ]
    return random.sample([world.asked, *others], k=len(others) + 1)


def _time_ms(random: Random, as_of_ms: int) -> int:
    nearby = random.choice((-1, 0, 0, 1, -random.randrange(2_000), -random.randrange(DAY_MS)))
    return as_of_ms - random.choice(EDGES_MS) + nearby


def _entities(random: Random) -> dict[str, int]:
    share = random.choice((0.5, 0.9, 1.0))
    return {name: random.choice((7, 7, (1 << 64) - 7)) for name in ENTITIES if random.random() < share}


def _payment(random: Random, ids: Sequence[int], amounts: Sequence[int | None], time_ms: int) -> Payment:
    return Payment(
        transaction=random.choice(ids),
        time_ms=time_ms,
        kind=random.choice((Kind.AUTHORISATION,) * 4 + (Kind.CAPTURE, Kind.REVERSAL, Kind.REFUND)),
        outcome=random.choice(tuple(Outcome)),
        amount_minor=random.choice(amounts),
        entities=_entities(random),
        mcc=random.choice((0, 5411)),
        merchant_country=random.choice(COUNTRIES),
        card_country=random.choice(COUNTRIES),
        channel=random.choice((0, 1, 4)),
        location=random.choice(LOCATIONS),
        utc_offset_minutes=random.choice((None, 0, -150, 765)),
    )


def _copy(random: Random, payments: Sequence[Payment], amounts: Sequence[int | None], as_of_ms: int) -> Payment:
    """An earlier payment again: the same, or with another outcome, time or amount."""
    original = random.choice(payments)
    return random.choice(
        (
            original,
            replace(original, outcome=random.choice(tuple(Outcome))),
            replace(original, time_ms=_time_ms(random, as_of_ms)),
            replace(original, amount_minor=random.choice(amounts)),
            replace(original, kind=random.choice((Kind.AUTHORISATION, Kind.CAPTURE))),
        )
    )


def _label(random: Random, payments: Sequence[Payment], as_of_ms: int) -> Label:
    of = random.choice(payments)
    return Label(
        transaction=of.transaction,
        time_ms=of.time_ms if random.random() < 0.9 else _time_ms(random, as_of_ms),
        known_at_ms=as_of_ms + random.choice((-8 * DAY_MS, -DAY_MS, -1, 0, 0, 1, DAY_MS)),
        is_fraud=random.random() < 0.6,
        source=random.randint(1, 4),
        entities=of.entities if random.random() < 0.8 else _entities(random),
    )
