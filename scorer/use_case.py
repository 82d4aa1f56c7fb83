"""Deciding one payment: read, assess, explain, remember, publish, within the time there is. Knows no transport.

A stage that would overrun its part of the budget is skipped and named in the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Protocol, TypeVar

from feature_service.errors import StoreUnavailableError
from scorer.assessment import Assessment
from scorer.budget import Budget, Stage
from scorer.decision_maker import DecisionMaker
from scorer.decision_writer import additions, read_back
from scorer.errors import ScorerError
from scorer.explaining import Explaining
from scorer.group import Group
from scorer.idempotency import DecisionStore, StoredDecision
from scorer.observer import Observer
from scorer.payments import Answer, Payments
from scorer.policy import Tier
from scorer.publication import Publication
from scorer.reasons import Reason

Value = TypeVar("Value")


class PayloadDiffersError(ScorerError):
    """The transaction_id has a decision already, on another payload."""


class Reader(Protocol):
    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """In one round trip. A caller that gives up cancels nothing for others. Raises: StoreUnavailableError."""
        ...


class Publisher(Protocol):
    def offer(self, publication: Publication) -> bool:
        """Have it published soon; False where that will not be."""
        ...

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Returns when all are acknowledged."""
        ...


class ScoreOne:
    """For one event loop. Close it when no call is in flight any more."""

    def __init__(
        self,
        maker: DecisionMaker,
        reader: Reader,
        decisions: DecisionStore,
        publisher: Publisher,
        explaining: Explaining,
        observer: Observer,
        *,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._maker = maker
        self._reader = reader
        self._decisions = decisions
        self._publisher = publisher
        self._explaining = explaining
        self._observer = observer
        self._now_ns = monotonic_ns
        self._after_answer: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish what answers left to be done."""
        if self._after_answer:
            await asyncio.wait(self._after_answer)

    async def score(self, payment: Payments, budget: Budget, *, decoded_ns: int) -> Answer:
        """Decide one (n is 1), before its budget ends. Raises: PayloadDiffersError."""
        group = self._maker.prepare(payment, arrived_ns=budget.started_ns, decoded_ns=decoded_ns)
        skipped: list[Stage] = []
        values = await _within(budget.features_ms(self._now_ns()), lambda: self._reader.read(group.all_keys))
        if values is not None and (stored := StoredDecision.decode(values[-1])) is not None:
            return self._replayed(group, stored)
        [assessed] = self._maker.assess(group, self._maker.predict(group, None if values is None else values[:-1]))
        if assessed.assessment.tier >= Tier.DEGRADED_NO_FEATURES:
            skipped.append("features")

        reasons: tuple[Reason, ...] = ()
        late = False
        if assessed.alert:
            if self._explaining.least_ms < budget.explanation_ms(self._now_ns()):
                [reasons] = self._explaining.of_models([assessed.assessment])
            else:
                late = True
                skipped.append("explanation")
            group.marks.explained_ns = self._now_ns()
        reasons = (*self._explaining.of_rules(assessed.assessment), *reasons)

        [decided] = self._maker.decide(group, [assessed], [reasons], [skipped])
        earlier = await _within(
            budget.idempotency_ms(self._now_ns()),
            lambda: self._decisions.put_if_absent(group.decision_keys, [decided.stored.encode()]),
        )
        publication = decided.publication
        if earlier is None:
            skipped.append("idempotency")
            publication = publication._replace(decision=publication.decision + additions(skipped=["idempotency"]))
        elif (stored := StoredDecision.decode(earlier[0])) is not None:
            return self._replayed(group, stored)
        decision = publication.decision
        if late:
            self._later(self._publish_explained(publication, assessed.assessment))
        elif not self._publisher.offer(publication):
            skipped.append("publishing")
            decision += additions(skipped=["publishing"])
        ended_ns = self._now_ns()
        scored = self._maker.scored(
            group, 0, assessed, decided, reasons, skipped, links=(), deadline_missed=budget.remaining_ms(ended_ns) < 0
        )
        self._observer.counted([assessed.assessment], group.marks, caller="rpc")
        self._observer.answered(scored, group.marks, ended_ns=ended_ns)
        self._observer.scored(scored, group.marks, ended_ns=ended_ns)
        return Answer(decision, replayed=False)

    def _replayed(self, group: Group, stored: StoredDecision) -> Answer:
        if stored.request_hash != group.request_hashes[0]:
            raise PayloadDiffersError(
                "this transaction_id was decided already, on another payload: send it under an id of its own"
            )
        payments = group.payments
        # Again, in case that the process that answered first did not come to it: every answer given is published.
        _, action = read_back(stored.decision)
        self._publisher.offer(
            Publication(
                payments.transaction_ids[0].encode(),
                stored.decision,
                action,
                action in self._maker.alert_actions,
                group.contexts[0],
            )
        )
        self._observer.replayed(
            payments.transaction_ids[0],
            group.contexts[0],
            payments.parents[0],
            group.marks,
            caller="rpc",
            ended_ns=self._now_ns(),
        )
        return Answer(stored.decision, replayed=True)

    async def _publish_explained(self, publication: Publication, assessment: Assessment) -> None:
        """With the reasons that the answer had no time for."""
        [reasons] = self._explaining.of_models([assessment])
        self._publisher.offer(publication._replace(decision=publication.decision + additions(reasons=reasons)))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._after_answer.add(task)
        task.add_done_callback(self._after_answer.discard)


async def _within(allowed_ms: float, call: Callable[[], Awaitable[Value]]) -> Value | None:
    """What the call gives, None where it is too late or the store is away."""
    if allowed_ms <= 0:
        return None
    try:
        async with asyncio.timeout(allowed_ms / 1000):
            return await call()
    except (TimeoutError, StoreUnavailableError):
        return None
