"""Deciding many payments, in parts, so that other calls get their turn; remembered; published, acknowledged.

Features, models and reasons are computed in a thread of their own: that takes longer than all a Score call does.

The caller tries again, so nothing is skipped here: what cannot be read or stored fails the whole call.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from feature_service.errors import StoreUnavailableError
from scorer.assessment import Assessed
from scorer.budget import Stage
from scorer.decision_maker import Decided, DecisionMaker
from scorer.explaining import Explaining, is_explained
from scorer.group import Group
from scorer.idempotency import DecisionStore, StoredDecision
from scorer.observer import Observer
from scorer.payments import Payments
from scorer.protocols import Publisher, Reader, Shadows
from scorer.publication import Publication
from scorer.reasons import Reason
from scorer.shadow import to_shadow
from telemetry.trace_context import TraceContext

_PARTS_AT_ONCE: Final = 2  # of one batch: one is read while the other is predicted
# Of all batches. Redis does all that it has been asked before it sends what it found: with many more it and this
# process would work in turns, and its answers, which are megabytes, would lie in fresh memory each time.
_READS_AT_ONCE: Final = 2


class BatchAnswer(NamedTuple):
    brief: bytes  # a serialised fraud.v1.Decision without feature_vector and transaction
    replayed: bool  # stored by an earlier call


@dataclass(frozen=True, slots=True)
class _Part:
    """Payments read together: those with a decision keep it."""

    group: Group
    stored: list[StoredDecision | None]  # of each in the group
    undecided: Group
    assessed: list[Assessed]  # of the undecided
    reasons: list[tuple[Reason, ...]]  # likewise


class ScoreMany:
    """For one event loop. Close it when no call is in flight any more."""

    def __init__(
        self,
        maker: DecisionMaker,
        reader: Reader,
        decisions: DecisionStore,
        publisher: Publisher,
        explaining: Explaining,
        observer: Observer,
        shadows: Shadows,
        *,
        monotonic_ns: Callable[[], int],
        part_size: int,
    ) -> None:
        """`maker`: for this object alone. `part_size`: payments that are predicted in one go."""
        self._maker = maker
        self._reader = reader
        self._decisions = decisions
        self._publisher = publisher
        self._explaining = explaining
        self._observer = observer
        self._shadows = shadows
        self._now_ns = monotonic_ns
        self._part_size = part_size
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._assessing = ThreadPoolExecutor(1, thread_name_prefix="assess")

    def close(self) -> None:
        self._assessing.shutdown(wait=True)

    async def score(
        self, payments: Payments, *, links: Sequence[TraceContext], arrived_ns: int, decoded_ns: int
    ) -> list[BatchAnswer]:
        """Answers to (n), in their order, once all are published.

        A payment that has a decision keeps it, whatever its payload was then: an event of the stream tells more than
        the call that was made before it, such as its outcome.

        Raises: StoreUnavailableError, with some of them decided perhaps.
        """
        gate = asyncio.Semaphore(_PARTS_AT_ONCE)

        async def score_part(some: Payments) -> list[BatchAnswer]:
            async with gate:
                part = await self._assess(self._maker.prepare(some, arrived_ns=arrived_ns, decoded_ns=decoded_ns))
            return await self._settle(part, links)

        try:
            async with asyncio.TaskGroup() as tasks:
                parts = [tasks.create_task(score_part(some)) for some in payments.slices(self._part_size)]
        except ExceptionGroup as failures:
            if unavailable := failures.subgroup(StoreUnavailableError):
                raise StoreUnavailableError(str(unavailable.exceptions[0])) from failures
            raise
        return [answer for task in parts for answer in task.result()]

    async def _assess(self, group: Group) -> _Part:
        async with self._reading:
            values = await self._reader.read(group.all_keys)
        histories = values[: len(group.keys.keys)]
        stored = [StoredDecision.decode(value) for value in values[len(histories) :]]
        undecided = group.only([index for index, found in enumerate(stored) if found is None])
        assessed, reasons = await asyncio.get_running_loop().run_in_executor(
            self._assessing, self._assess_and_explain, undecided, histories
        )
        return _Part(group, stored, undecided, assessed, reasons)

    def _assess_and_explain(
        self, group: Group, histories: Sequence[bytes | None]
    ) -> tuple[list[Assessed], list[tuple[Reason, ...]]]:
        """In the thread, in one go: what is handed over twice waits twice for other parts."""
        assessed = self._maker.assess(group, self._maker.predict(group, histories))
        assessments = [each.assessment for each in assessed]
        reasons = self._explaining.of_all(assessments)
        if any(map(is_explained, assessments)):
            group.marks.explained_ns = self._now_ns()
        return assessed, reasons

    async def _settle(self, part: _Part, links: Sequence[TraceContext]) -> list[BatchAnswer]:
        undecided, assessed, reasons = part.undecided, part.assessed, part.reasons
        skipped = [each.assessment.skipped for each in assessed]
        decided = self._maker.decide(undecided, assessed, reasons, skipped)
        await _turn_of_others()
        decisions = decided.decisions
        earlier = await self._decisions.put_if_absent(undecided.decision_keys, decisions.stored)
        answers = [BatchAnswer(brief, replayed=False) for brief in decisions.briefs]
        publications = decided.publications
        if len(answers) < len(part.stored) or any(earlier):
            answers, publications = self._with_earlier(part, answers, publications, earlier)
        await self._publisher.publish(publications)
        self._observe(part, decided, reasons, skipped, links)
        if undecided.serving.challengers:
            answered = [(place, each.assessment, decided.decided_at_ms) for place, each in enumerate(assessed)]
            self._shadows.offer(to_shadow(undecided, answered))
        return answers

    def _with_earlier(
        self,
        part: _Part,
        answers: Sequence[BatchAnswer],
        publications: Sequence[Publication],
        earlier: Sequence[bytes | None],
    ) -> tuple[list[BatchAnswer], list[Publication]]:
        """Of the whole part: what was decided now, and in its place what was decided before."""
        decided_now = iter(zip(answers, publications, earlier, strict=True))
        all_answers, all_publications = [], []
        for index, in_store in enumerate(part.stored):
            found = in_store
            if found is None:
                answer, publication, raced = next(decided_now)
                found = StoredDecision.decode(raced)  # of another call, or the same id in this one
            if found is not None:
                answer, publication = self._replay(part.group, index, found)
            all_answers.append(answer)
            all_publications.append(publication)
        return all_answers, all_publications

    def _observe(
        self,
        part: _Part,
        decided: Decided,
        reasons: Sequence[Sequence[Reason]],
        skipped: Sequence[Sequence[Stage]],
        links: Sequence[TraceContext],
    ) -> None:
        marks, ended_ns = part.undecided.marks, self._now_ns()
        self._observer.counted([each.assessment for each in part.assessed], marks, caller="stream")
        for place, kept_because in enumerate(decided.kept_because):
            if kept_because is not None:
                scored = self._maker.scored(
                    part.undecided,
                    place,
                    part.assessed[place],
                    kept_because,
                    reasons[place],
                    skipped[place],
                    links=links,
                    deadline_missed=False,
                )
                self._observer.scored(scored, marks, ended_ns=ended_ns)

    def _replay(self, group: Group, index: int, stored: StoredDecision) -> tuple[BatchAnswer, Publication]:
        self._observer.replayed(
            group.payments.transaction_ids[index],
            group.contexts[index],
            group.payments.parents[index],
            group.marks,
            caller="stream",
            ended_ns=self._now_ns(),
        )
        brief, publication = self._maker.replay(group, index, stored)
        return BatchAnswer(brief, replayed=True), publication


async def _turn_of_others() -> None:
    """Between steps that take a millisecond or two: a Score call that came meanwhile goes first."""
    await asyncio.sleep(0)
