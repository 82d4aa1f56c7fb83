"""Definition skew: features read online, behind a barrier, against the offline result of the same events, bit for bit.

Events go through the real broker, workers and Redis a stretch of time at once. When a stretch is folded, the features
of every authorisation in it are read from Redis as of its event time and compared with the offline result by bits.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.contract_settings import ContractSettings
from feature_service.errors import StoreUnavailableError
from feature_service.events import Event, EventBatch
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.offline.dataset import DecodedEvents
from feature_service.offline.features import OfflineFeatures
from feature_service.online import OnlineFeatures
from feature_service.records import Kind
from feature_service.settings import StoreSettings, make_redis_store
from feature_service.stores.base import HistoryReader
from feature_service.stores.redis_store import RedisHistoryStore
from stream_processor.barrier import wait_until_folded
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.publish import EventPublisher
from stream_processor.record_batch import TopicPartition
from stream_processor.topic_ids import by_source, kafka_client, topic_ids

_STRETCH_MS: Final = 5 * 86_400_000  # reads may lie this far, and no more than a week, behind a history's newest record
_READ_ROWS: Final = 512
_EXAMPLES: Final = 10
_FOLD_TIMEOUT_S: Final = 120.0
_AWAY_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Disorder:
    """What happens to the events on their way: nothing, if not told otherwise."""

    shuffled_within_ms: int = 0
    duplicate_share: float = 0.0
    seed: int = 1


@dataclass(slots=True)
class Skew:
    """What the comparison found."""

    rows: int = 0
    values: int = 0
    mismatched_values: int = 0
    mismatched_rows: dict[str, int] = field(default_factory=dict)  # by view
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stretch:
    first_ms: int
    last_ms: int  # of its payments, inclusive
    events: list[Event]  # to publish, in order


def stretches(batches: Sequence[EventBatch], decisions: Sequence[Event], disorder: Disorder) -> Iterator[Stretch]:
    """The events of a data set by consecutive stretches of time; disorder stays within a stretch.

    A stretch holds its payments, decisions on payments, and the labels that become known before its last payment.
    """
    random = np.random.default_rng(disorder.seed)
    payments = [event for batch in batches for event in batch.transactions.events("transactions")] + [*decisions]
    labels = sorted(
        (event for batch in batches for event in batch.labels.events("labels")), key=lambda event: event.timestamp_ms
    )
    unordered = np.array([event.timestamp_ms for event in payments], dtype=np.int64)
    order = np.argsort(unordered, kind="stable")
    times = unordered[order]
    first, next_label = 0, 0
    while first < len(payments):
        end = int(np.searchsorted(times, times[first] + _STRETCH_MS))
        sent = order[first:end]
        if disorder.duplicate_share:
            copies = random.choice(sent, size=round(len(sent) * disorder.duplicate_share))
            sent = np.concatenate([sent, copies])
        if disorder.shuffled_within_ms:
            arrival = unordered[sent] + random.integers(0, disorder.shuffled_within_ms, size=len(sent))
            sent = sent[np.argsort(arrival, kind="stable")]
        events = [payments[index] for index in sent.tolist()]
        while next_label < len(labels) and labels[next_label].timestamp_ms <= times[end - 1]:
            events.append(labels[next_label])
            next_label += 1
        yield Stretch(int(times[first]), int(times[end - 1]), events)
        first = end


async def measure(
    events: DecodedEvents,
    batches: Sequence[EventBatch],
    decisions: Sequence[Event],
    *,
    online: Mapping[str, OnlineFeatures],
    offline: Mapping[str, OfflineFeatures],
    connection: KafkaConnection,
    store_settings: StoreSettings,
    contract: ContractSettings,
    topics: tuple[str, str, str] = ("transactions", "labels", "decisions"),
    disorder: Disorder = Disorder(),
    on_progress: Callable[[int], None] = lambda _: None,
) -> Skew:
    """Replay `batches` and `decisions`, whose rows are those of `events`, through workers that run, and compare them.

    `on_progress` gets the payments of `batches` compared so far. Raises: TimeoutError where nothing folds the events.
    """
    skew = Skew()
    done = 0
    async with (
        make_redis_store(store_settings, contract, contract.read_id_key()) as store,
        kafka_client(connection) as client,
        EventPublisher(
            connection, transactions_topic=topics[0], labels_topic=topics[1], decisions_topic=topics[2]
        ) as publisher,
    ):
        ids = await topic_ids(client, topics)
        ends: dict[TopicPartition, int] = {}
        rows = events.in_histories
        for stretch in stretches(batches, decisions, disorder):
            ends |= (await publisher.publish(stretch.events)).next_offsets
            sources = by_source(ids, ends)
            await _wait_until_folded(store, sources)
            times_ms = rows["event_time_ms"]
            in_stretch = np.flatnonzero((stretch.first_ms <= times_ms) & (times_ms <= stretch.last_ms))
            await compare_rows(store, rows[in_stretch], online=online, offline=offline, skew=skew)
            done += int((in_stretch < events.rows.shape[0]).sum())
            on_progress(done)
    return skew


async def compare_rows(
    store: HistoryReader,
    rows: NDArray[np.void],
    *,
    online: Mapping[str, OnlineFeatures],
    offline: Mapping[str, OfflineFeatures],
    skew: Skew,
) -> None:
    """Add to `skew` what the features of the authorisations among `rows` are in the store now, against offline."""
    rows = rows[rows["kind"] == Kind.AUTHORISATION]
    expected = {view: offline[view].of(rows) for view in online}
    skew.rows += rows.shape[0]
    for first in range(0, rows.shape[0], _READ_ROWS):
        part = slice(first, first + _READ_ROWS)
        histories: dict[tuple[bytes, ...], Sequence[bytes | None]] = {}  # views mostly need the same
        for view, features in online.items():
            keys = features.keys(rows[part])
            if tuple(keys.keys) not in histories:
                histories[tuple(keys.keys)] = await store.read(keys.keys)
            found = features.vectors(rows[part], keys, histories[tuple(keys.keys)])
            assert not (found.statuses & READ_BEFORE_HORIZON).any(), "a stretch is longer than histories keep"
            _compare(view, features.plan.names, found.values, expected[view][part], skew)


async def _wait_until_folded(store: RedisHistoryStore, ends: Mapping[str, int]) -> None:
    """However often the store is away meanwhile."""
    async with asyncio.timeout(_FOLD_TIMEOUT_S):
        while True:
            try:
                return await wait_until_folded(store, ends, timeout_s=_FOLD_TIMEOUT_S)
            except StoreUnavailableError:
                await asyncio.sleep(_AWAY_POLL_S)


def _compare(
    view: str, names: Sequence[str], found: NDArray[np.float64], expected: NDArray[np.float64], skew: Skew
) -> None:
    differs = found.view(np.int64) != np.ascontiguousarray(expected).view(np.int64)
    skew.values += differs.size
    skew.mismatched_values += int(differs.sum())
    skew.mismatched_rows[view] = skew.mismatched_rows.get(view, 0) + int(differs.any(axis=1).sum())
    for row, column in zip(*np.nonzero(differs), strict=True):
        if len(skew.examples) == _EXAMPLES:
            break
        skew.examples.append(
            f"{view} {names[column]}: online {found[row, column]!r}, offline {expected[row, column]!r}"
        )
