"""Compaction takes away what no later read can see, and windows of entities with very many records are as defined."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.catalogue import VIEWS
from feature_service.catalogue.definitions import DAY_MS, EXACT_MEMBERS
from feature_service.kernel import APPROXIMATE, READ_BEFORE_HORIZON
from feature_service.kernel.tiles import RECORDS_BEFORE_FRONTIER, compacted, frontier_of
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, MISSING_INT64, RECORD_WORDS, TILE, Kind, Outcome
from tests.oracle.features import feature_vector
from tests.oracle.hot_worlds import HOT_WORLDS, HotWorld, question
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Histories, Label, Payment, histories_of

FEATURES = tuple({feature.name: feature for view in VIEWS.values() for feature in view.features}.values())
EVERYTHING = make_plan(tuple(feature.name for feature in FEATURES))
SEEDS = st.integers(0, 2**32)
NOW_MS = 1_700_000_000_000
CARD = {"card": 7}


def frontier_ms(records: NDArray[np.int64]) -> int:
    return int(records[kinds(records) == Kind.FRONTIER, 0].max(initial=MISSING_INT64))


def kinds(records: NDArray[np.int64]) -> NDArray[np.int64]:
    return (records[:, 7] >> 32) & 0xFF


def some_compacted(random: Random, world: HotWorld, stored: Histories) -> dict[tuple[int, int], NDArray[np.int64]]:
    """Any of them, with the frontier at any of their records that it has not passed."""
    changed = dict(stored)
    for key in random.sample(sorted(changed), k=random.randint(0, len(changed))):
        behind = random.randint(1, 2 * world.exact_members)
        frontier = frontier_of(changed[key], behind)
        if frontier != MISSING_INT64:
            changed[key] = compacted(
                changed[key], frontier, exact_members=world.exact_members, labels_kept=world.labels_kept
            )
    return changed


@given(world=HOT_WORLDS, seed=SEEDS)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_whatever_was_compacted_and_when_later_reads_give_the_bits_of_all_records(world: HotWorld, seed: int) -> None:
    random = Random(seed)
    log = histories_of(world.events(len(world.arrivals)))
    stored = {key: records[:0] for key, records in log.items()}
    taken = dict.fromkeys(log, 0)  # of each one's log
    for arrived in sorted({random.randint(1, len(world.arrivals)) for _ in range(8)} | {len(world.arrivals)}):
        events = world.events(arrived)
        for entity, owner in log:
            length = sum(event.entities[ENTITIES[entity]] == owner for event in events)
            new = log[entity, owner][taken[entity, owner] : length]
            stored[entity, owner] = np.concatenate([stored[entity, owner], new])
            taken[entity, owner] = length
        if random.random() < 0.7:
            stored |= some_compacted(random, world, stored)
        if random.random() < 0.5 or arrived == len(world.arrivals):
            raw = {key: log[key][:length] for key, length in taken.items()}
            newest_ms = max(event.time_ms for event in events)
            frontiers = [frontier_ms(each) for each in stored.values()]
            from_ms = max(frontiers) if max(frontiers) != MISSING_INT64 else newest_ms - DAY_MS
            asked = [question(random, world, arrived, from_ms) for _ in range(3)]
            expected, flags = kernel_vectors(EVERYTHING, asked, raw, exact_members=world.exact_members)
            found, statuses = kernel_vectors(EVERYTHING, asked, stored, exact_members=world.exact_members)
            np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))
            assert statuses.tolist() == flags.tolist()
            assert not (statuses & READ_BEFORE_HORIZON).any()


@given(world=HOT_WORLDS, seed=SEEDS)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_features_of_many_records_are_what_brute_force_says(world: HotWorld, seed: int) -> None:
    random = Random(seed)
    arrived = random.randint(1, len(world.arrivals))
    events = world.events(arrived)
    newest_ms = max(event.time_ms for event in events)
    asked = question(random, world, arrived, newest_ms - random.choice((0, DAY_MS)))
    values, _ = kernel_vectors(EVERYTHING, [asked], histories_of(events), exact_members=world.exact_members)
    payments = [event for event in events if isinstance(event, Payment)]
    labels = [event for event in events if isinstance(event, Label)]
    right = feature_vector(FEATURES, asked, payments, labels, world.exact_members)
    for feature, value, expected in zip(FEATURES, values[0].tolist(), right, strict=True):
        if expected is None:
            assert math.isnan(value), f"{feature.name} is missing, not {value}"
        else:
            assert value == pytest.approx(expected, rel=1e-8, abs=1e-6), feature.name


def paid(count: int, *, every_ms: int = 1_000, amount_minor: int = 500) -> list[Payment]:
    """The newest at NOW_MS."""
    return [
        Payment(transaction=index + 1, time_ms=NOW_MS - index * every_ms, amount_minor=amount_minor, entities=CARD)
        for index in range(count)
    ]


def asked(*, as_of_ms: int = NOW_MS) -> Payment:
    return Payment(transaction=0, time_ms=as_of_ms, entities=CARD)


def card(*events: Payment | Label) -> NDArray[np.int64]:
    return histories_of(events)[1, 7]


def status(name: str, records: NDArray[np.int64], question: Payment, exact_members: int = 10) -> int:
    _, statuses = kernel_vectors(make_plan((name,)), [question], {(1, 7): records}, exact_members=exact_members)
    return int(statuses[0])


def test_a_history_of_few_records_stays_as_it_is() -> None:
    records = card(*paid(100))
    assert compacted(records, NOW_MS, exact_members=101) is records
    assert compacted(records, NOW_MS, exact_members=98) is records  # no fewer records, with the frontier


def test_a_reader_sees_that_windows_reach_past_the_newest_records() -> None:
    approximate_card = APPROXIMATE << ENTITIES.index("card")
    assert status("card_count_1m", card(*paid(9)), asked()) == 0
    assert status("card_count_1m", card(*paid(10)), asked()) == approximate_card
    assert status("card_count_1m", card(*paid(10, every_ms=10_000)), asked()) == 0  # the window is full before
    assert status("card_distinct_merchant_1h", card(*paid(10)), asked()) == approximate_card
    assert status("card_seconds_since_previous", card(*paid(100)), asked()) == 0


def test_a_read_before_the_frontier_is_told() -> None:
    records = compacted(card(*paid(1_000)), NOW_MS, exact_members=10)
    assert status("card_count_1d", records, asked()) & READ_BEFORE_HORIZON == 0
    assert status("card_count_1d", records, asked(as_of_ms=NOW_MS - 1)) & READ_BEFORE_HORIZON


def test_what_comes_late_joins_its_tile() -> None:
    records = compacted(card(*paid(1_000)), NOW_MS, exact_members=10)
    late = [
        Payment(transaction=10_000 + at, time_ms=NOW_MS - at, entities=CARD) for at in range(600_000, 900_000, 7_000)
    ]
    again = compacted(np.concatenate([records, card(*late)]), NOW_MS, exact_members=10)
    assert again.shape == records.shape
    counts = again.view(TILE)["count"][again.view(TILE)["kind"] == Kind.TILE]
    assert counts.sum() == 1_000 + len(late) - (kinds(again) == Kind.AUTHORISATION).sum()


def test_the_frontier_stands_behind_the_newest_payments_and_never_moves_back() -> None:
    label = Label(transaction=1, time_ms=NOW_MS, known_at_ms=NOW_MS, is_fraud=True, entities=CARD)
    records = card(*paid(100), *[label] * 50)
    assert frontier_of(records, 100) == NOW_MS - 99_000
    assert frontier_of(records, 101) == MISSING_INT64
    again = compacted(records, frontier_of(records, 3), exact_members=10)
    assert frontier_of(again, 10) == NOW_MS - 2_000


def test_a_merchant_of_a_million_payments_a_day_stays_small() -> None:
    """With late records, all outcomes, refunds and labels; compacted with every 256 records past 2,048."""
    draw = np.random.default_rng(1)
    count, step = 1_000_000, 256
    rows = np.zeros((count, RECORD_WORDS), dtype=np.int64)
    rows[:, 0] = NOW_MS + np.sort(draw.integers(0, DAY_MS, count)) - draw.integers(0, 2_000, count)
    rows[:, 1] = draw.permutation(count) + 1
    rows[:, 2] = draw.integers(1, 2**20, count)
    outcomes = draw.choice(list(Outcome), count).astype(np.int64)
    rows[:, 3] = rows[:, 0]
    rows[:, 7] = draw.choice([Kind.AUTHORISATION, Kind.REFUND], count, p=[0.95, 0.05]) << 32 | outcomes << 40
    labels = rows[draw.choice(count, 2_000, replace=False)]
    labels[:, 7] = (np.int64(Kind.LABEL) << 32) | (np.int64(3) << 56)
    labels[:, 3] += 3_600_000
    rows = np.concatenate([rows, labels])
    rows = rows[np.argsort(rows[:, 3], kind="stable")]
    history = rows[:0]
    longest = 0
    for first in range(0, rows.shape[0], step):
        history = np.concatenate([history, rows[first : first + step]])
        longest = max(longest, history.shape[0])
        if history.shape[0] > 2 * EXACT_MEMBERS:
            history = compacted(history, frontier_of(history, RECORDS_BEFORE_FRONTIER))
    assert longest * RECORD_WORDS * 8 < 256 * 1024
    question = Payment(transaction=0, time_ms=int(rows[:, 0].max()), entities={"merchant": 7})
    names = [name for name in EVERYTHING.names if name.startswith("merchant")]
    raw, _ = kernel_vectors(make_plan(names), [question], {(2, 7): rows})
    found, _ = kernel_vectors(make_plan(names), [question], {(2, 7): history})
    assert found.tobytes() == raw.tobytes()
