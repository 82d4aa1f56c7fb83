"""Deciding payments as they come, each within its own time. Knows no transport.

Calls that arrive together are read, predicted and stored together: a group costs little more than one of them. A stage
that would overrun a call's part of its budget is skipped and named in its answer, while others of its group wait on.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from feature_service.errors import StoreUnavailableError
from feature_service.stores.attempts import BurstRead
from scorer.budget import Budget
from scorer.case import Case, regrouped
from scorer.decision_maker import DecisionMaker
from scorer.decision_writer import additions
from scorer.errors import ScorerError
from scorer.explaining import Explaining, is_explained
from scorer.gathering import Gathering
from scorer.group import Group
from scorer.idempotency import DecisionStore, StoredDecision
from scorer.observer import Observer
from scorer.payments import Answer, Payments
from scorer.policy import Action
from scorer.protocols import BurstReader, Publisher, Shadows
from scorer.publication import Publication
from scorer.shadow import to_shadow
from scorer.store_waits import AnswerTimes, StoreWaits
from scorer.turns import Turns

_AFTER_ANSWERS_S: Final = 0.001
_PAYLOAD_DIFFERS: Final = "this transaction_id was decided already, on another payload: send it under an id of its own"


class PayloadDiffersError(ScorerError):
    """The transaction_id has a decision already, on another payload."""


class ScoreOne:
    """For one event loop. Close it when no call comes any more."""

    def __init__(
        self,
        maker: DecisionMaker,
        bursts: BurstReader,
        decisions: DecisionStore,
        publisher: Publisher,
        explaining: Explaining,
        observer: Observer,
        shadows: Shadows,
        waits: StoreWaits,
        turns: Turns,
        *,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._maker = maker
        self._bursts = bursts
        self._decisions = decisions
        self._publisher = publisher
        self._explaining = explaining
        self._observer = observer
        self._shadows = shadows
        self._waits = waits
        self._times_of_puts = AnswerTimes()
        self._now_ns = monotonic_ns
        self._gathering = Gathering(lambda cases: turns.go_on(self._read, cases))
        self._unfinished: set[asyncio.Future[Any]] = set()  # that answers left to be done

    async def close(self) -> None:
        """Finish what is under way, and what answers left to be done."""
        await self._gathering.until_all_ended()
        while self._unfinished:
            await asyncio.wait(self._unfinished)

    def waiting(self, now_ns: int) -> int:
        """How many calls wait for the store, longer than for a quick one."""
        return self._waits.waiting(now_ns)

    async def score(self, payment: Payments, budget: Budget, *, decoded_ns: int) -> Answer:
        """Decide one (n is 1), before its budget ends. Raises: PayloadDiffersError.

        A caller that gives up cancels nothing: the payment is still decided, stored and published.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gathering.arrive(Case(payment, budget, decoded_ns, answer, self._gathering.one_ended))
        return await answer

    def _read(self, cases: Sequence[Case]) -> None:
        group = self._maker.prepare(
            Payments.joined([case.payment for case in cases]),
            arrived_ns=min(case.budget.started_ns for case in cases),
            decoded_ns=max(case.decoded_ns for case in cases),
        )
        for place, case in enumerate(cases):
            case.place = place
        self._waits.start(
            lambda: self._bursts.read(group.payments.rows, group.keys, group.decision_keys),
            Budget.features_ms,
            cases,
            lambda some, found: self._decide(group, some, found),
        )

    def _decide(self, all_of: Group, cases: Sequence[Case], found: BurstRead | None) -> None:
        histories, attempts = None, None
        if found is not None:
            histories, attempts = found.histories, found.attempts
            cases = self._without_stored(all_of, cases, found.others)
            if not cases:
                return
        group = regrouped(all_of, cases)
        assessed = self._maker.assess(group, self._maker.predict(group, histories, attempts))
        for case, each in zip(cases, assessed, strict=True):
            case.assessed = each
            case.skipped.extend(each.assessment.skipped)
            if histories is not None and attempts is None:
                case.skipped.append("attempts")
        self._explain(group, cases)
        decided = self._maker.decide(
            group, assessed, [case.reasons for case in cases], [case.skipped for case in cases]
        )
        for case, publication, kept_because in zip(cases, decided.publications, decided.kept_because, strict=True):
            case.publication, case.kept_because = publication, kept_because
            case.decided_at_ms = decided.decided_at_ms
        self._waits.start(
            lambda: self._decisions.put_if_absent(group.decision_keys, decided.decisions.stored),
            Budget.idempotency_ms,
            cases,
            lambda some, earlier: self._answer(group, some, earlier),
            self._times_of_puts,
        )

    def _explain(self, group: Group, cases: Sequence[Case]) -> None:
        assessments = [case.assessed.assessment for case in cases]
        explained = [place for place, each in enumerate(assessments) if is_explained(each)]
        needed_ms, now_ns = len(explained) * self._explaining.least_ms, self._now_ns()
        late = {place for place in explained if cases[place].budget.explanation_ms(now_ns) <= needed_ms}
        for place in late:
            cases[place].reasons_are_late = True
            cases[place].skipped.append("explanation")
        for case, reasons in zip(cases, self._explaining.of_all(assessments, late=late), strict=True):
            case.reasons = reasons
        if explained:
            group.marks.explained_ns = self._now_ns()

    def _answer(self, group: Group, cases: Sequence[Case], earlier: Sequence[bytes | None] | None) -> None:
        if earlier is not None:
            cases = self._without_stored(group, cases, earlier)
        for case in cases:
            publication = case.publication
            if earlier is None:
                case.skipped.append("idempotency")
                publication = publication._replace(decision=publication.decision + additions(skipped=["idempotency"]))
            decision = publication.decision
            if not case.reasons_are_late and not self._publisher.offer(publication):
                case.skipped.append("publishing")
                decision += additions(skipped=["publishing"])
            case.settle(Answer(decision, replayed=False, ready_ns=self._now_ns()))
            if case.reasons_are_late:
                loop = asyncio.get_running_loop()
                explained = self._finishing(loop.create_future())
                loop.call_later(_AFTER_ANSWERS_S, self._publish_explained, case, publication, explained)
        if declined := [case for case in cases if case.assessed.assessment.action is Action.DECLINE]:
            self._finishing(asyncio.ensure_future(self._note_declined(group, declined)))
        self._observe(group, cases)
        if group.serving.challengers:
            self._shadows.offer(
                to_shadow(group, [(case.place, case.assessed.assessment, case.decided_at_ms) for case in cases])
            )
        self._gathering.go_on()

    def _publish_explained(self, case: Case, publication: Publication, done: "asyncio.Future[Any]") -> None:
        """With the reasons that were too late for the answer."""
        try:
            [reasons] = self._explaining.of_models([case.assessed.assessment])
            self._publisher.offer(publication._replace(decision=publication.decision + additions(reasons=reasons)))
        finally:
            done.set_result(None)

    def _without_stored(self, group: Group, cases: Sequence[Case], values: Sequence[bytes | None]) -> list[Case]:
        """Those that have no decision yet; the others get theirs. `values`: under the group's decision keys."""
        undecided = []
        for case in cases:
            stored = StoredDecision.decode(values[case.place])
            if stored is None:
                undecided.append(case)
            elif stored.request_hash == group.request_hashes[case.place]:
                self._replay(group, case, stored)
            else:
                case.fail(PayloadDiffersError(_PAYLOAD_DIFFERS))
        return undecided

    def _replay(self, group: Group, case: Case, stored: StoredDecision) -> None:
        # Again, in case that the process that answered first did not come to it: every answer given is published.
        _, publication = self._maker.replay(group, case.place, stored)
        self._publisher.offer(publication)
        self._observer.replayed(
            group.payments.transaction_ids[case.place],
            group.contexts[case.place],
            group.payments.parents[case.place],
            group.marks,
            caller="rpc",
            ended_ns=self._now_ns(),
        )
        case.settle(Answer(stored.decision, replayed=True, ready_ns=self._now_ns()))

    def _observe(self, group: Group, cases: Sequence[Case]) -> None:
        ended_ns = self._now_ns()
        self._observer.counted([case.assessed.assessment for case in cases], group.marks, caller="rpc")
        for case in cases:
            late = case.budget.remaining_ms(ended_ns) < 0
            kept = late or case.kept_because is not None
            span = group.contexts[case.place] if kept else None
            self._observer.answered(case.assessed, group.marks, ended_ns=ended_ns, deadline_missed=late, span=span)
            if kept:  # what tells of the others is not even put together
                scored = self._maker.scored(
                    group,
                    case.place,
                    case.assessed,
                    case.kept_because,
                    case.reasons,
                    case.skipped,
                    links=(),
                    deadline_missed=late,
                )
                self._observer.scored(scored, group.marks, ended_ns=ended_ns)

    async def _note_declined(self, group: Group, cases: Sequence[Case]) -> None:
        """Where that is not possible, the decisions themselves say so once they are folded."""
        declined = group.only([case.place for case in cases])
        with suppress(StoreUnavailableError):
            await self._bursts.note_declined(declined.payments.rows, declined.keys)

    def _finishing(self, future: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future
