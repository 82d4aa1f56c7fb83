"""What was decided, what shadows said and what became of it, from the topics of the cluster."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from fraud.v1.decision_pb2 import TIER_DEGRADED_STALE, VARIANT_CANARY, VARIANT_CHAMPION, Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore

from training.comparison.payments import Decided
from training.errors import ComparisonError

_POLL_MS: Final = 200
_PATIENCE_S: Final = 30.0  # between two records that must be there


class _Seen(NamedTuple):
    probability: float
    action: int


class _OfArm(NamedTuple):
    seen: _Seen
    decided_at_ms: int


@dataclass(slots=True)
class Outcomes:
    """Of two models: `champion` decided payments, and `challenger` was its shadow for some, its canary for others."""

    champion: str
    challenger: str
    of_champion: dict[str, _OfArm] = field(default_factory=dict)  # by transaction_id
    of_canary: dict[str, _OfArm] = field(default_factory=dict)
    shadowed: dict[str, tuple[_Seen, _Seen]] = field(default_factory=dict)  # of champion and challenger
    amounts: dict[str, float] = field(default_factory=dict)
    labels: dict[str, tuple[int, bool]] = field(default_factory=dict)  # known_at_ms and whether it was a fraud

    def add_decision(self, decision: Decision, amount_places: Mapping[str, int]) -> None:
        """The first of a transaction counts. `amount_places`: of the feature `amount` in vectors, by model_version."""
        arms = {
            (self.champion, VARIANT_CHAMPION): self.of_champion,
            (self.challenger, VARIANT_CANARY): self.of_canary,
        }
        arm = arms.get((decision.model_version, decision.variant))
        if arm is None or decision.tier > TIER_DEGRADED_STALE:
            return
        seen = _Seen(decision.fraud_probability, decision.policy_action)
        arm.setdefault(decision.transaction_id, _OfArm(seen, decision.decided_at_ms))
        place = amount_places[decision.model_version]
        if place < len(decision.feature_vector):
            self.amounts[decision.transaction_id] = float(np.nan_to_num(decision.feature_vector[place]))

    def add_shadow(self, score: ShadowScore) -> None:
        if (score.decided_by_version, score.model_version) == (self.champion, self.challenger):
            pair = (
                _Seen(score.decided_probability, score.decided_action),
                _Seen(score.fraud_probability, score.action),
            )
            self.shadowed.setdefault(score.transaction_id, pair)

    def add_label(self, label: Label) -> None:
        """What was known last counts."""
        known = self.labels.get(label.transaction_id)
        if known is None or label.known_at_ms >= known[0]:
            self.labels[label.transaction_id] = (label.known_at_ms, label.is_fraud)

    def pairs(self) -> tuple[Decided, Decided]:
        """The same payments, as the champion and as its shadow saw them."""
        ids = [*self.shadowed]
        of_champion, of_challenger = ([pair[place] for pair in self.shadowed.values()] for place in (0, 1))
        return self._columns(ids, of_champion), self._columns(ids, of_challenger)

    def arms(self) -> tuple[Decided, Decided]:
        """What champion and canary decided while both did: other times have other frauds."""
        times = [each.decided_at_ms for each in self.of_canary.values()]
        first_ms, last_ms = min(times, default=0), max(times, default=-1)
        beside = {
            transaction_id: each
            for transaction_id, each in self.of_champion.items()
            if first_ms <= each.decided_at_ms <= last_ms
        }
        first, second = (
            self._columns([*arm], [each.seen for each in arm.values()]) for arm in (beside, self.of_canary)
        )
        return first, second

    def _columns(self, ids: list[str], seen: list[_Seen]) -> Decided:
        labels = [self.labels.get(transaction_id) for transaction_id in ids]
        return Decided(
            np.array([each.probability for each in seen], dtype=np.float64),
            np.array([each.action for each in seen], dtype=np.int64),
            np.array([np.nan if label is None else float(label[1]) for label in labels], dtype=np.float64),
            np.array([self.amounts.get(transaction_id, 0.0) for transaction_id in ids], dtype=np.float64),
        )


async def values_of(client_arguments: Mapping[str, object], topic: str, *, since_ms: int) -> AsyncIterator[bytes]:
    """Of all records from that timestamp on that are there now. Raises: ComparisonError."""
    consumer: Any = AIOKafkaConsumer(**client_arguments, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = consumer.partitions_for_topic(topic) or await _looked_up(consumer, topic)
        partitions = [TopicPartition(topic, number) for number in numbers]
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        consumer.assign(partitions)
        left = set()
        for partition in partitions:
            if starts[partition] is not None and starts[partition].offset < ends[partition]:
                consumer.seek(partition, starts[partition].offset)
                left.add(partition)
            else:
                consumer.pause(partition)
        while left:
            async with asyncio.timeout(_PATIENCE_S):
                found = await consumer.getmany(timeout_ms=_POLL_MS)
            for partition, records in found.items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record.value
            left = {each for each in left if await consumer.position(each) < ends[each]}
    finally:
        await consumer.stop()


async def _looked_up(consumer: Any, topic: str) -> set[int]:
    numbers: set[int] | None = None
    if topic in await consumer.topics():
        numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise ComparisonError(f"there is no topic {topic}")
    return numbers
