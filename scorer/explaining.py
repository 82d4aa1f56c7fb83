"""Reasons for alerts, computed beside the event loop: they take milliseconds."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from scorer.assessment import Assessment
from scorer.errors import ModelError
from scorer.reasons import Reason, rule_reason

_THREADS: Final = 2

log = structlog.get_logger(__name__)


class Explaining:
    """Close it when no call needs it any more."""

    def __init__(self, *, limit: int) -> None:
        """`limit`: of features named; rules that hold are named all."""
        self._limit = limit
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="explain")

    def of_rules(self, assessment: Assessment) -> tuple[Reason, ...]:
        """And of lists: what the policy itself has to say."""
        if not assessment.rules and not assessment.lists:
            return ()
        of_rules = [rule_reason(rule.rule_id, rule.words) for rule in assessment.rules]
        return (*of_rules, *(rule_reason(each.name, each.words) for each in assessment.lists))

    def of_model(self, assessment: Assessment) -> asyncio.Future[tuple[Reason, ...]]:
        """Nothing where no model answered, or it refuses to say."""
        return asyncio.get_running_loop().run_in_executor(self._pool, self._reasons, assessment)

    async def of_models(self, assessments: Sequence[Assessment]) -> list[tuple[Reason, ...]]:
        return await asyncio.gather(*map(self.of_model, assessments))

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _reasons(self, assessment: Assessment) -> tuple[Reason, ...]:
        if assessment.model is None:
            return ()
        try:
            return assessment.model.scoring.reasons(assessment.vector, limit=self._limit)
        except ModelError as error:
            log.error("a model gives no reasons", model=assessment.model.model_name, error=str(error))
            return ()
