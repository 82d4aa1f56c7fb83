"""After a fault: all that the input must give, compared with what is there."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import view
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.money import currency_exponents
from feature_service.offline.features import OfflineFeatures
from feature_service.offline.histories import LabelRecords
from feature_service.plan import make_plan
from feature_service.records import DECODED, ENTITIES, RECORD_WORDS, Kind
from feature_service.settings import StoreSettings, make_online_features, make_redis_store
from feature_service.stores.layout import COMPACTED_HEADER, HEADER_BYTES, RECORD_BYTES
from feature_service.stores.redis_store import RedisHistoryStore
from loadtests.faults.given import Expected
from loadtests.faults.world import World
from loadtests.topic_keys import keys_in
from stream_processor.barrier import wait_until_folded
from stream_processor.topic_ids import by_source, kafka_client, topic_ids

_VIEWS: Final = ("handbook", "production")
_READ_ROWS: Final = 512
_FOLD_TIMEOUT_S: Final = 120.0
_EXAMPLES: Final = 5


@dataclass(slots=True)
class Verdict:
    """What must all be 0 but for the counts of what was compared."""

    events: int
    values: int = 0
    compacted: int = 0  # histories
    unread: int = 0  # payments, as of their time: before what a compacted history still tells
    mismatches: int = 0  # values of features, in any bit
    records_missing: int = 0
    records_too_many: int = 0
    lost_decisions: int = 0
    lost_alerts: int = 0
    lost_dead_letters: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (
            self.mismatches
            or self.records_missing
            or self.records_too_many
            or self.lost_decisions
            or self.lost_alerts
            or self.lost_dead_letters
        )


async def judge(world: World, expected: Expected, *, patience_s: float = 60.0) -> Verdict:
    """Waits until all is folded and published, for what must be published `patience_s` at most: the rest is counted.

    Raises: TimeoutError where not all is folded.
    """
    verdict = Verdict(events=len(world.traffic.sent))
    settings, contract = StoreSettings(redis_url=world.redis.url), world.contract
    async with make_redis_store(settings, contract, contract.read_id_key()) as store:
        await _wait_until_folded(world, store)
        await _compare_records(store, expected, verdict)
        await _compare_features(world, store, expected, verdict)
    topics = world.topics
    verdict.lost_decisions = len(await _missing(world, topics.decisions, expected.decisions, patience_s))
    verdict.lost_alerts = len(await _missing(world, topics.alerts, expected.alerts, patience_s))
    letters = await keys_in(  # by their origin
        world.connection, topics.dead_letters, lambda found: len(found) >= expected.refused, patience_s=patience_s
    )
    verdict.lost_dead_letters = expected.refused - len(letters)
    return verdict


async def _missing(world: World, topic: str, ids: frozenset[str], patience_s: float) -> frozenset[str]:
    return ids - await keys_in(world.connection, topic, lambda found: found >= ids, patience_s=patience_s)


async def _wait_until_folded(world: World, store: RedisHistoryStore) -> None:
    async with kafka_client(world.connection) as client:
        ids = await topic_ids(client, [world.topics.transactions, world.topics.labels, world.topics.decisions])
    ends = by_source(ids, world.traffic.ends)
    await wait_until_folded(store, ends, timeout_s=_FOLD_TIMEOUT_S)


async def _compare_records(store: RedisHistoryStore, expected: Expected, verdict: Verdict) -> None:
    """Each record of each history, as often as it was sent: more than features show, which count copies once.

    Histories that were compacted have tiles instead: those only features show.
    """
    for entity, name in enumerate(ENTITIES):
        owners, records = _records_of(expected, entity)
        hashes, first = np.unique(owners, return_index=True)
        keys = [store.layout.history_key(name, each) for each in hashes.tolist()]
        ends = np.append(first[1:], owners.shape[0])
        for begin in range(0, len(keys), _READ_ROWS):
            part = slice(begin, begin + _READ_ROWS)
            histories = await store.read(keys[part])
            for history, start, end in zip(histories, first[part].tolist(), ends[part].tolist(), strict=True):
                if history is not None and history.startswith(COMPACTED_HEADER):
                    verdict.compacted += 1
                    continue
                found = _sorted(np.frombuffer((history or b"")[HEADER_BYTES:], dtype=f"V{RECORD_BYTES}"))
                wanted = _sorted(records[start:end])
                missing, too_many = _multiset_difference(wanted, found), _multiset_difference(found, wanted)
                verdict.records_missing += missing
                verdict.records_too_many += too_many


def _records_of(expected: Expected, entity: int) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    """Owners (r,), sorted, and the record (r,) of each, as bytes."""
    owners, records = [], []
    for part in (expected.payments, expected.labels, expected.asked):
        present = part.entity_hashes[:, entity] != 0
        owners.append(part.entity_hashes[present, entity])
        records.append(part.records[present, entity].reshape(-1, RECORD_WORDS))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return owner[order], np.ascontiguousarray(np.concatenate(records)[order]).view(f"V{RECORD_BYTES}").reshape(-1)


def _sorted(records: NDArray[np.void]) -> list[bytes]:
    return sorted(records.tolist())


def _multiset_difference(left: list[bytes], right: list[bytes]) -> int:
    """How many of `left` are not in `right`, both sorted."""
    if left == right:
        return 0
    count, at = 0, 0
    for each in left:
        while at < len(right) and right[at] < each:
            at += 1
        if at < len(right) and right[at] == each:
            at += 1
        else:
            count += 1
    return count


async def _compare_features(world: World, store: RedisHistoryStore, expected: Expected, verdict: Verdict) -> None:
    """Of each authorisation as of its time, and of each entity as of the end."""
    contract = world.contract
    authorisations = expected.rows[expected.rows["kind"] == Kind.AUTHORISATION]
    payments = authorisations.shape[0]
    rows = np.concatenate([authorisations, _entities_at_the_end(expected)])
    labels = expected.labels
    # One record serves all entities of a label; those it does not name have no hash.
    label_records = LabelRecords(labels.records[:, 0], labels.entity_hashes)
    minor_per_major = 10 ** currency_exponents()[contract.base_currency]
    for name in _VIEWS:
        plan = make_plan(view(name).names)
        offline = OfflineFeatures(plan, expected.rows, label_records, minor_per_major=minor_per_major).of(rows)
        online = make_online_features(plan, store.layout, contract)
        for begin in range(0, rows.shape[0], _READ_ROWS):
            part = slice(begin, begin + _READ_ROWS)
            keys = online.keys(rows[part])
            found = online.vectors(rows[part], keys, await store.read(keys.keys))
            # Entities with very many records are not readable as of long ago, but as of the end they are.
            unread = (found.statuses & READ_BEFORE_HORIZON) != 0
            assert not unread.any() or (verdict.compacted and not unread[max(0, payments - begin) :].any()), "not kept"
            verdict.unread += int(unread.sum())
            differs = found.values.view(np.int64) != np.ascontiguousarray(offline[part]).view(np.int64)
            differs[unread] = False
            verdict.values += differs.size
            verdict.mismatches += int(differs.sum())
            for row, column in np.argwhere(differs)[: _EXAMPLES - len(verdict.examples)].tolist():
                verdict.examples.append(
                    f"{name} {plan.names[column]}: online {found.values[row, column]!r}, "
                    f"offline {offline[begin + row, column]!r}"
                )


def _entities_at_the_end(expected: Expected) -> NDArray[np.void]:
    """A read without a transaction for each entity there is."""
    reads = []
    for entity in range(len(ENTITIES)):
        hashes = np.unique(
            np.concatenate(
                [part.entity_hashes[:, entity] for part in (expected.payments, expected.labels, expected.asked)]
            )
        )
        of_entity = np.zeros(np.count_nonzero(hashes), dtype=DECODED)
        of_entity["entity_hash"][:, entity] = hashes[hashes != 0]
        reads.append(of_entity)
    rows = np.concatenate(reads)
    rows["event_time_ms"] = expected.rows["event_time_ms"].max()
    return rows
