"""What was decided, what shadows said and what became of it, from the topics of the cluster."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import UnknownTopicOrPartitionError
from fraud.v1.decision_pb2 import TIER_DEGRADED_STALE, VARIANT_CANARY, VARIANT_CHAMPION, Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore

from training.comparison.payments import Decided
from training.errors import ComparisonError

_POLL_MS: Final = 200


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
    unreadable: int = 0  # records that are none of their topic's

    def add_decision(self, decision: Decision, amount_places: Mapping[str, int]) -> None:
        """The first of a transaction counts. `amount_places`: of the feature `amount` in vectors, by model_version, for
        models that have it.
        """
        arms = {
            (self.champion, VARIANT_CHAMPION): self.of_champion,
            (self.challenger, VARIANT_CANARY): self.of_canary,
        }
        arm = arms.get((decision.model_version, decision.variant))
        if arm is None or decision.transaction_id in arm or decision.tier > TIER_DEGRADED_STALE:
            return
        seen = _Seen(decision.fraud_probability, decision.policy_action)
        arm[decision.transaction_id] = _OfArm(seen, decision.decided_at_ms)
        place = amount_places.get(decision.model_version)
        if place is not None and place < len(decision.feature_vector):
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


async def values_of(
    client_arguments: Mapping[str, object], topic: str, *, since_ms: int
) -> AsyncIterator[bytes | None]:
    """Of all records of that timestamp or a later one that are there now.

    Raises: ComparisonError, and aiokafka's KafkaError where the brokers cannot be reached.
    """
    # From the beginning, without a seek: that can be overtaken by the search for the position to begin with.
    consumer: Any = AIOKafkaConsumer(
        topic, **client_arguments, auto_offset_reset="earliest", enable_auto_commit=False
    )  # fmt: skip
    try:
        await consumer.start()
        ends = await consumer.end_offsets(consumer.assignment())
        left = {partition for partition in ends if await consumer.position(partition) < ends[partition]}
        while left:
            for partition, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
                for record in records:
                    if record.offset < ends[partition] and record.timestamp >= since_ms:
                        yield record.value
            left = {partition for partition in left if await consumer.position(partition) < ends[partition]}
    except UnknownTopicOrPartitionError as error:
        raise ComparisonError(f"there is no topic {topic}") from error
    finally:
        await consumer.stop()
